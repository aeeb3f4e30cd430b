"""What a person wrote is seen by a person, however odd its way: as a case, in one, or in the next digest."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Build
from tests.attacks.house import ADA, SECURITY, SUPPORT, US, House, mail, to_others

RITA = "rita@research.example"


def multipart(*parts: str) -> str:
    return "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"


MIXED = "Content-Type: multipart/mixed; boundary=b"
TEXT = f"Content-Type: text/plain\r\n\r\n{SECURITY}"
STATUS = "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nAction: failed"
FORWARDED = "Content-Type: message/rfc822\r\n\r\nFrom: a@x.example\r\nSubject: report\r\n\r\nXSS in the search form"
DSN = (
    "Content-Type: message/rfc822\r\n\r\nFrom: mailer-daemon@x.example\r\nSubject: failed\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=c\r\n\r\n"
    f"--c\r\n\r\nfailed\r\n--c\r\n{STATUS}\r\n--c--\r\n"
)

# How the mail of people looks after a list, a ticket system, a phone or a careful company had it: header, From.
WAYS: dict[str, tuple[str, str]] = {
    "a Google Group that rewrites the From": (
        "List-Id: <security.demo.example>\nPrecedence: list\nX-Original-From: Rita <rita@research.example>",
        f"'Rita' via Security <{US}>",
    ),
    "a Google Group that keeps the From": ("List-Id: <security.demo.example>\nPrecedence: list", RITA),
    "Mailman": ("X-BeenThere: l@x.example\nX-Mailman-Version: 2.1.39\nPrecedence: list", "Rita via L <l@x.example>"),
    "a ticket system": (
        "Auto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\nPrecedence: bulk",
        "Support <support@corp.example>",
    ),
    "a GitHub notification": ("X-GitHub-Reason: security_alert\nList-ID: a/b <b.a.github.com>", "noreply@github.com"),
    "Exchange": ("X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply\nX-MS-Has-Attach:", RITA),
    "an Exchange rule that redirects": ("X-MS-Exchange-Inbox-Rules-Loop: rita@research.example", RITA),
    "a phone": ("X-Mailer: iPhone Mail (23A341)", RITA),
    "a newsletter tool": ("List-Unsubscribe: <https://x.example>\nFeedback-ID: 1:2", RITA),
    "procmail": ("X-Loop: rita@research.example", RITA),
    "a role address": ("", "no-reply@corp.example"),
    "a mail administrator": ("", "Pat <postmaster@corp.example>"),
    "no From at all": ("", ""),
    "two authors": ("", "rita@research.example, ann@research.example"),
    "an unreadable From": ("", "=?utf-8?q?rita=40research=2Eexample?="),
    "a DMARC report's subject": ("Subject: Report domain: a.example Submitter: b.example", RITA),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_report_becomes_a_case_and_the_maintainers_hear_of_it(house: House, way: str) -> None:
    extra, sender = WAYS[way]
    sent = await house.receive(mail(extra=extra, sender=sender))
    assert (await house.last())["disposition"] == "case"
    assert [s.to for s in sent if s.to == ADA] == [ADA]


@pytest.mark.parametrize("parts", [(TEXT, STATUS), (TEXT, DSN), (TEXT, FORWARDED)], ids=["status", "bounce", "mail"])
async def test_a_report_that_encloses_a_bounce_is_a_report(house: House, parts: tuple[str, ...]) -> None:
    await house.receive(mail(multipart(*parts), extra=MIXED))
    assert (await house.last())["disposition"] == "case"


ENUMERATION = f"The login says 'user unknown' for some names. {SECURITY}"


@pytest.mark.parametrize(
    ("body", "extra", "sender", "path"),
    [
        (ENUMERATION, "", RITA, ""),
        (ENUMERATION, "", "Pat <postmaster@corp.example>", None),
        (multipart(TEXT, FORWARDED), MIXED, "Pat <postmaster@corp.example>", None),
        (multipart(TEXT, FORWARDED), MIXED, RITA, ""),
        (SECURITY, "Auto-Submitted: auto-replied", RITA, None),
        (SECURITY, "Precedence: auto_reply", RITA, None),
    ],
    ids=[
        "null path, words of a bounce",
        "postmaster, words of a bounce",
        "postmaster forwards",
        "null path forwards",
        "marked as automatic reply",
        "old mark",
    ],
)
async def test_a_report_that_looks_like_a_machines_is_named_in_the_digest(
    house: House, body: str, extra: str, sender: str, path: str | None
) -> None:
    assert to_others(await house.receive(mail(body, extra=extra, sender=sender), path=path)) == []
    assert await house.digest_numbers() == [1]
    assert (await house.rows("select section from collected")) == [("unsure",)]


async def test_the_bounce_of_a_mail_of_ours_is_written_into_its_case_and_is_taken_for_no_report(house: House) -> None:
    ack = to_others(await house.receive(mail()))[0]
    returned = f"Content-Type: message/rfc822\r\n\r\n{ack.raw.decode()}"
    report = "Content-Type: multipart/report; report-type=delivery-status; boundary=b"
    bounce = mail(
        multipart(TEXT, STATUS, returned), extra=report, sender="MAILER-DAEMON@research.example", subject="failed"
    )
    # Nothing goes to the reporter; whoever works on the case learns that nothing can.
    assert [sent.to for sent in await house.receive(bounce, path="")] == [ADA]
    last = await house.last()
    assert (last["disposition"], last["case"]) == ("bounce", 1)
    assert await house.rows("select count(*) from collected where section = 'unsure'") == [(0,)]


@pytest.mark.parametrize("extra", ["", "List-Id: <l.example>", "List-Unsubscribe: <https://x.example>"])
async def test_what_somebody_adds_to_their_report_joins_it_on_a_list_too(house: House, extra: str) -> None:
    await house.receive(mail(id_="<1@r.example>", extra=extra))
    sent = await house.receive(mail("And this.\r\n", subject="Re: x", answers="<1@r.example>", extra=extra))
    assert (await house.last())["disposition"] == "attached"
    assert [s.to for s in sent] == [ADA]


async def test_what_others_on_a_list_add_to_a_report_is_named_in_the_digest(house: House) -> None:
    extra = "List-Id: <l.example>"
    await house.receive(mail(id_="<1@r.example>", extra=extra))
    known = await house.digest_numbers()
    await house.receive(mail(SUPPORT, sender="ann@x.example", subject="Re: x", answers="<1@r.example>", extra=extra))
    assert [n for n in await house.digest_numbers() if n not in known] == [2]


@pytest.mark.parametrize("extra", ["", "List-Unsubscribe: <https://x.example>", "X-Loop: x"])
async def test_the_answer_to_a_redirect_opens_a_case_with_both_messages(house: House, extra: str) -> None:
    redirect = to_others(await house.receive(mail(SUPPORT, subject="LDAP")))[0]
    await house.receive(mail("It is, though.\r\n", subject="Re: x", answers=redirect.message_id, extra=extra))
    assert await house.dispositions() == ["attached", "case"]


async def test_a_notice_of_another_service_that_carries_a_report_is_named_in_the_digest(build: Build) -> None:
    here, there = build(), build(secret=b"t" * 32)
    notice = next(s for s in await there.receive(mail()) if s.to == ADA)
    await here.receive(notice.raw)
    assert await here.digest_numbers() == [1]


async def test_nobody_suppresses_a_report_by_sending_its_message_id_first(house: House) -> None:
    await house.receive(mail("Hello.\r\n", subject="hi", sender="evil@x.example", id_="<v@r.example>"))
    sent = await house.receive(mail(id_="<v@r.example>"))
    assert (await house.last())["disposition"] == "case"
    assert {s.to for s in sent} == {RITA, ADA}


POISON = {
    "nothing": b"",
    "NULs": b"\0" * 5000,
    "no header": b"\r\n\r\nhello",
    "nesting": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
    + b"--a\r\nContent-Type: message/rfc822\r\n\r\n" * 400,
    "many parts": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\nx\r\n" * 3_000,
    "many fields": b"X: y\r\n" * 5_000 + b"\r\nx",
    "a long line": b"Subject: " + b"a" * 300_000,
    "open comments": b"From: " + b"(" * 40_000 + b"\r\n\r\nx",
    "open quotes": b'From: "' + b'\\"' * 100_000 + b"\r\n\r\nx",
    "encoded words": b"Subject: " + b"=?utf-8?q?=41?= " * 5_000 + b"\r\n\r\nx",
    "open tags": b"Content-Type: text/html\r\n\r\n" + b"<div <" * 10_000,
    "unknown charset": b"Content-Type: text/plain; charset=\xff\xfe\r\n\r\n\xff\xfe\xfd",
    "bad base64": b"Content-Transfer-Encoding: base64\r\n\r\n====A===" * 2000,
    "references": b"References: " + b"<" * 100_000 + b"\r\n\r\nx",
    "surrogates": "Subject: \ud800\udfff\r\n\r\n\udc80".encode("utf-8", "surrogatepass"),
}


async def test_poison_stays_on_file_and_hides_no_mail_before_beside_or_behind_it(house: House) -> None:
    around = [mail(f"{SECURITY}{n}", sender=f"r@r{n}.example") for n in range(len(POISON) + 1)]
    batch = [around[0]]
    for poison, report in zip(POISON.values(), around[1:], strict=True):
        batch += [poison, report]
    sent = await house.receive(*batch)
    assert {s.to for s in to_others(sent)} == {f"r@r{n}.example" for n in range(len(around))}
    states = await house.rows("select state, count(*) from message group by state")
    assert [tuple(row) for row in states] == [("done", len(batch))]
    for number, data in enumerate(batch, start=1):
        stored = await house.rows(f"select data from message_chunk where message_id = {number} order by seq")
        assert b"".join(row[0] for row in stored) == data
