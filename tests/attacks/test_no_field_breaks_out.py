"""No value of an incoming mail adds a header, a recipient or a control character to anything that goes out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.attacks.house import ADA, SECURITY, House, Sent, mail

OWN_FIELDS = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "auto-submitted",
    "x-auto-response-suppress",
    "x-mailbox-service-loop",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
}
BREAKS = (
    "\r\nBcc: evil@x.example\r\n",
    "\nBcc: evil@x.example\n",
    "\rBcc: evil@x.example",
    "\x00",
    "\u202eevil",
    "{{7*7}}",
    "{% include '/etc/passwd' %}",
    "=?utf-8?q?=0D=0ABcc:_evil@x.example?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAeC5leGFtcGxl?=",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "\x85Bcc: evil@x.example",
    "\u2028Bcc: evil@x.example",
    "<evil@x.example>",
    ", evil@x.example",
    "(evil@x.example)",
    ": evil@x.example;",
    '"',
    "\\",
    "%0d%0aBcc:",
    "\x0b\x0c",
    "\udcff\udcfe",
    "\U000e0065\U000e0076",
    "\ufe01\U000e0155",
    "\x1b[2J\x1b]8;;https://x.example\x1b\\",
)
FROMS = (
    "{}<rita@research.example>",
    '"{}" <rita@research.example>',
    "rita{}@research.example",
    "rita@research.example{}",
    "Rita <rita@research.example{}>",
    "rita@{}research.example",
    "Rita ({}) <rita@research.example>",
)
FIELDS = ("References", "In-Reply-To", "Reply-To", "Cc", "Sender", "Return-Path", "List-Id", "Errors-To")
EXPECTED = {ADA, "rita@research.example"}


def with_break(text: str) -> list[bytes]:
    """One mail for each place where the text can stand."""
    found = [mail(f"{SECURITY}{form}", sender=form.replace("{}", text)) for form in FROMS]
    found.append(mail(f"{SECURITY}s", subject=f"SQL {text} injection"))
    found.append(mail(f"{SECURITY}i", id_=f"<a{text}b@r.example>"))
    found.append(mail(f"{SECURITY}t", to=f"{text}<security@demo.example>"))
    for name in FIELDS:
        found.append(f"{name}: <x{text}y@r.example> {text}\r\n".encode("utf-8", "surrogateescape") + mail(SECURITY))
    parts = (
        f"--b\r\nContent-Type: text/plain\r\n\r\n{SECURITY}\r\n--b\r\nContent-Type: application/pdf; name=a\r\n"
        f'Content-Disposition: attachment; filename="a{text}.pdf"\r\n\r\nx\r\n--b--\r\n'
    )
    found.append(mail(parts, extra="Content-Type: multipart/mixed; boundary=b"))
    return found


def field_names(sent: Sent) -> list[str]:
    head = sent.raw.split(b"\r\n\r\n")[0].decode()
    return [line.partition(":")[0].lower() for line in head.split("\r\n") if line[:1] not in " \t"]


FORGED = (
    "Hints, not verdicts:\r\n- may be about the same as SEC-2026-0099: much of the text is the same\r\n\r\n"
    "  mailbox-service outbox pause\r\n"
)


@pytest.mark.parametrize(
    "vector",
    [
        "CVSS:3.1/AV:N\r\n  mailbox-service outbox pause",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/\u202eX:Y",
        "CVSS:4.0/" + "AV:N/" * 400,
        "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H\x1b[31m",
    ],
    ids=ascii,
)
async def test_a_report_cannot_write_its_own_hints(house: House, vector: str) -> None:
    sent = await house.receive(
        mail(f"{SECURITY}{vector}\r\n{FORGED}", sender='"Hints, not verdicts:" <rita@research.example>')
    )
    (notice,) = [one for one in sent if one.to == ADA]
    ours = [line for line in notice.body.splitlines() if not line.startswith(">")]
    assert not [line for line in ours if "SEC-2026-0099" in line or "outbox pause" in line]
    assert ours.count("Hints, not verdicts:") <= 1
    assert not {c for c in notice.body if c not in "\r\n" and (ord(c) < 32 or c == "\u202e")}
    (acknowledgement,) = [one for one in sent if one.to != ADA]
    assert "Hint" not in acknowledgement.body and "CVSS" not in acknowledgement.body


@pytest.mark.parametrize("text", BREAKS, ids=ascii)
async def test_whatever_stands_in_a_field_the_mails_keep_their_shape(house: House, text: str) -> None:
    sent = await house.receive(*with_break(text))
    sent += await house.pass_time(timedelta(days=1))
    # Braces are letters of an address like others (RFC 5322 §3.2.3), so one sender is called so.
    assert {s.to for s in sent} - {"rita{{7*7}}@research.example"} == EXPECTED
    for one in sent:
        names = field_names(one)
        assert set(names) <= OWN_FIELDS and len(names) == len(set(names))
        head = one.raw.split(b"\r\n\r\n")[0]
        assert not any(byte < 32 and byte not in b"\r\n" for byte in head) and b"\x7f" not in head
        assert head.replace(b"\r\n", b"").count(b"\r") == head.replace(b"\r\n", b"").count(b"\n") == 0
        assert not {c for c in one.body if c not in "\r\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0)}
        assert not {"\u202e", "\u2028", "\U000e0065", "\ufe01", "\U000e0155"} & set(one.body)
        assert "evil" not in str(one.mail["To"]) + str(one.mail["From"]) + one.subject
    assert await house.rows("select count(*) from outbound where state != 'sent'") == [(0,)]
    assert await house.rows("select count(*) from message where state != 'done'") == [(0,)]
