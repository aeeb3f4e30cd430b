from __future__ import annotations

import email
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core import composition
from mailbox_service.core.composition import OutFile, Outgoing, compose, is_address, is_message_id
from mailbox_service.core.message.attachments import safe_filename
from mailbox_service.core.message.extraction import File

MAIL = Outgoing(
    from_address="security@example.org",
    from_name="Example Security",
    to_address="reporter@example.net",
    reply_to=None,
    subject="[SEC-2026-0001] Your report to Example",
    body="Hello,\n\nthank you.\n",
    message_id="<abc@example.org>",
    date=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    in_reply_to=None,
    references=(),
    auto_submitted="auto-replied",
    loop_marker="marker",
    attachment=None,
    attachment_name="original.eml",
)
CLEAN = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))
CONTROLS = ("\r", "\n", "\r\n", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800", "\r\nBcc: x@example.org")


def read(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def check_form(data: bytes) -> None:
    assert data.isascii()
    assert data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n")
    assert data.endswith(b"\r\n")
    head = data.split(b"\r\n\r\n")[0]
    assert all(line.strip() for line in head.split(b"\r\n"))
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))


def test_the_bytes_of_a_plain_mail() -> None:
    mail = replace(MAIL, in_reply_to="<b@x>", references=("<a@x>", "<b@x>"), reply_to="security+t@example.org")
    assert compose(mail).decode().split("\r\n") == [
        'From: "Example Security" <security@example.org>',
        "To: reporter@example.net",
        "Reply-To: security+t@example.org",
        "Subject: [SEC-2026-0001] Your report to Example",
        "Date: Mon, 23 Nov 2026 10:00:00 +0000",
        "Message-ID: <abc@example.org>",
        "In-Reply-To: <b@x>",
        "References: <a@x>",
        " <b@x>",
        "Auto-Submitted: auto-replied",
        "X-Auto-Response-Suppress: All",
        "X-Mailbox-Service-Loop: marker",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Hello,",
        "",
        "thank you.",
        "",
    ]


@given(CLEAN)
def test_any_subject_is_read_back_as_it_was(subject: str) -> None:
    data = compose(replace(MAIL, subject=subject))
    check_form(data)
    assert read(data)["Subject"] == subject


@given(CLEAN)
def test_any_name_is_read_back_as_it_was(name: str) -> None:
    data = compose(replace(MAIL, from_name=name))
    check_form(data)
    (sender,) = read(data)["From"].addresses
    assert sender.addr_spec == MAIL.from_address
    # The older interface: policy.default of Python 3.11 puts a blank between two encoded words (RFC 2047 §6.2).
    phrase, address = parseaddr(str(email.message_from_bytes(data)["From"]).replace("\r\n", ""))
    assert (str(make_header(decode_header(phrase))), address) == (" ".join(name.split()), MAIL.from_address)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_body_is_read_back_as_it_was(body: str) -> None:
    data = compose(replace(MAIL, body=body))
    check_form(data)
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    tidy = "\n".join(line if line == "-- " else line.rstrip(" \t") for line in lines).rstrip("\n") + "\n"
    payload = read(data).get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n") == tidy


@given(st.binary(), st.booleans())
def test_any_original_is_attached_byte_for_byte(original: bytes, as_lines: bool) -> None:
    if as_lines:
        original = b"Subject: x\r\n\r\n" + original.replace(b"\r", b"").replace(b"\n", b"\r\n")
    data = compose(replace(MAIL, attachment=original))
    check_form(data)
    assert attached_bytes(data) == original


def attached_bytes(data: bytes) -> bytes:
    """The attachment cut out by its boundary, so that no parser's idea of lines stands between."""
    boundary = b"--" + str(read(data).get_boundary()).encode()
    part = data.split(b"\r\n" + boundary)[2].removeprefix(b"\r\n")
    head, _, content = part.partition(b"\r\n\r\n")
    if b"base64" in head:
        return bytes(email.message_from_bytes(head + b"\r\n\r\n" + content).get_payload(decode=True))
    return content


@pytest.mark.parametrize(
    ("original", "kind"),
    [
        (b"Subject: x\r\n\r\nhi\r\n", "message/rfc822"),
        (b"Subject: x\r\n\r\nno line end", "message/rfc822"),
        (b"Subject: x\n\nbare LF\n", "application/octet-stream"),
        (b"Subject: x\r\n\r\nbare\rCR\r\n", "application/octet-stream"),
        (b"Subject: x\r\n\r\n\xff\r\n", "application/octet-stream"),
        (b"Subject: x\r\n\r\n\0\r\n", "application/octet-stream"),
        (b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n", "application/octet-stream"),
        (b"X: " + b"x\r\n " * 20_000 + b"\r\n\r\n", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_an_original_that_might_change_on_the_way_is_encoded(original: bytes, kind: str) -> None:
    data = compose(replace(MAIL, attachment=original))
    part = list(read(data).iter_parts())[1]
    assert (part.get_content_type(), part.get_filename()) == (kind, "original.eml")
    assert attached_bytes(data) == original


def test_an_original_that_contains_our_boundary_gets_another() -> None:
    first = compose(replace(MAIL, attachment=b"Subject: x\r\n\r\n"))
    boundary = str(read(first).get_boundary())
    original = f"Subject: x\r\n\r\n--{boundary}--\r\n".encode()
    data = compose(replace(MAIL, attachment=original))
    assert read(data).get_boundary() != boundary
    assert attached_bytes(data) == original


@pytest.mark.parametrize("attachment", [None, b"Subject: x\r\n\r\n\xff"])
def test_the_same_mail_is_the_same_bytes(attachment: bytes | None) -> None:
    assert compose(replace(MAIL, attachment=attachment)) == compose(replace(MAIL, attachment=attachment))


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(
    "field",
    ["from_address", "from_name", "to_address", "reply_to", "subject", "message_id", "loop_marker", "attachment_name"],
)
def test_no_control_character_gets_into_a_header(field: str, control: str) -> None:
    for spoiled in (f"x{control}@example.org", f"x@example.org{control}", f"{control}x@example.org"):
        change: dict[str, Any] = {field: spoiled}
        with pytest.raises(ValueError):
            compose(replace(MAIL, attachment=b"", **change))


@pytest.mark.parametrize("control", CONTROLS)
def test_a_spoiled_message_id_of_others_is_left_out(control: str) -> None:
    spoiled = f"<a{control}@x>"
    data = compose(replace(MAIL, in_reply_to=spoiled, references=("<ok@x>", spoiled, "no brackets", "<a b@x>", "<>")))
    message = read(data)
    assert "In-Reply-To" not in message
    assert message["References"] == "<ok@x>"
    assert "Bcc" not in message


def test_long_references_keep_the_first_and_the_last_twenty() -> None:
    ids = tuple(f"<{number}@x>" for number in range(50))
    message = read(compose(replace(MAIL, references=ids, in_reply_to="<parent@x>")))
    assert message["References"].split() == ["<0@x>", *ids[31:], "<parent@x>"]


@pytest.mark.parametrize("address", ["a,b@c.example", "A <a@b.example>", "a@b, c@d", "", "a", "a@b@c"])
def test_what_is_not_exactly_one_address_is_refused(address: str) -> None:
    for field in ("from_address", "to_address", "reply_to"):
        change: dict[str, Any] = {field: address}
        with pytest.raises(ValueError):
            compose(replace(MAIL, **change))


def test_odd_but_valid_recipients_stay_themselves() -> None:
    for address in ('"a, b"@example.net', "o'hara+x@example.net", '"a"@example.net', "a" * 64 + "@example.net"):
        assert f"To: {address}\r\n".encode() in compose(replace(MAIL, to_address=address))


def test_an_address_beyond_ascii_is_written_in_utf_8() -> None:
    assert "To: jörg@exämple.net\r\n".encode() in compose(replace(MAIL, to_address="jörg@exämple.net"))


def test_a_date_without_zone_and_a_foreign_keyword_are_refused() -> None:
    changes: list[dict[str, Any]] = [
        {"date": MAIL.date.replace(tzinfo=None)},
        {"auto_submitted": "no"},
        {"message_id": "<no-at>"},
    ]
    for change in changes:
        with pytest.raises(ValueError):
            compose(replace(MAIL, **change))


def test_the_body_takes_the_smaller_encoding() -> None:
    def encoding(body: str) -> str:
        return str(read(compose(replace(MAIL, body=body)))["Content-Transfer-Encoding"])

    assert encoding("plain\n") == "7bit"
    assert encoding("x" * 998) == "7bit"
    assert encoding("x" * 999) == "quoted-printable"
    assert encoding("Grüße aus Köln, wie geht es Ihnen heute?") == "quoted-printable"
    assert encoding("漢字" * 50) == "base64"


def test_the_signature_separator_keeps_its_blank() -> None:
    assert b"\r\n-- \r\nus\r\n" in compose(replace(MAIL, body="x  \n-- \nus\n"))


@given(st.text())
def test_validation_is_total(text: str) -> None:
    assert is_address(text) in (True, False)
    assert is_message_id(text) in (True, False)


@given(st.text("a\r\n", max_size=60).map(str.encode))
def test_lines_fit_exactly_when_the_longest_one_does(data: bytes) -> None:
    with mock.patch.object(composition, "LINE_LIMIT_CHARS", 4):
        assert composition._lines_fit(data) is (max(map(len, data.split(b"\r\n"))) <= 4)


# --- files ----------------------------------------------------------------------------------------------------------

NAMES = st.text(st.sampled_from("ab.é/\\\"'=?_:*~- \u202e\u200b\x1b;%😀")).map(
    lambda name: safe_filename(name.encode().decode("latin-1"), 1, "application/zip")
)


@given(st.lists(st.tuples(NAMES, st.binary()), max_size=5), st.booleans())
def test_files_of_any_safe_name_are_read_back_byte_for_byte(files: list[tuple[str, bytes]], original: bool) -> None:
    mail = replace(
        MAIL, files=tuple(OutFile(*file) for file in files), attachment=b"Subject: x\r\n\r\nx" * original or None
    )
    data = compose(mail)
    check_form(data)
    parts = list(read(data).iter_attachments())[original:]
    assert [part.get_filename() for part in parts] == [name for name, _ in files]
    assert [part.get_payload(decode=True) for part in parts] == [content for _, content in files]


@pytest.mark.parametrize(
    "name", ["", " a", "a/b", "..\\x", 'a"b', "a\r\nb", "a\0b", "\u202egpj.exe", "a" * 121, "\ud800"]
)
def test_an_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        compose(replace(MAIL, files=(OutFile(name, b"x"),)))


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("fix.patch", b"--- a\n+++ b\n", "text/plain"),
        ("FIX.DIFF", "für\r\n".encode(), "text/plain"),
        ("fix.patch", b"\xff\xfe", "application/octet-stream"),
        ("fix.patch", b"a\x1b[31m", "application/octet-stream"),
        ("fix.patch", b"PK\x03\x04", "application/octet-stream"),
        ("fix.txt", b"a" * 9000 + b"\0", "application/octet-stream"),
        ("fix.html", b"<p>x</p>", "application/octet-stream"),
        ("fix.zip", b"text", "application/octet-stream"),
    ],
)
def test_only_a_patch_is_declared_as_text(name: str, content: bytes, kind: str) -> None:
    data = compose(replace(MAIL, files=(OutFile(name, content),)))
    (part,) = read(data).iter_attachments()
    assert (part.get_content_type(), part["Content-Transfer-Encoding"]) == (kind, "base64")


def test_the_form_of_a_file() -> None:
    data = compose(replace(MAIL, files=(OutFile("a b.zip", b"x"), OutFile("Lösung " * 10 + ".zip", b"y")))).decode()
    assert 'Content-Disposition: attachment;\r\n filename="a b.zip"\r\n' in data
    assert "Content-Disposition: attachment;\r\n filename*0*=utf-8''L%C3%B6sung%20" in data
    assert max(len(line) for line in data.split("\r\n") if "filename" in line) <= 78


def test_files_that_read_back_otherwise_are_refused() -> None:
    files = (OutFile("a.zip", b"x"),)
    for seen in ((), (File("b.zip", "", b"x"),), (File("a.zip", "", b"y"),), (File("a.zip", "", b"x"),) * 2):
        with (
            mock.patch.object(composition, "attached_files", return_value=seen),
            pytest.raises(ValueError, match="reads back"),
        ):
            compose(replace(MAIL, files=files))
