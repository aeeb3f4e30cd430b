"""No loops, no backscatter, no flood: machines are not answered, forgers cannot aim us, and robots come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from mailbox_service.services.mailboxes import Maintainer
from tests.attacks.conftest import Build
from tests.attacks.house import (
    ADA,
    MAILBOX,
    SECURITY,
    SUPPORT,
    US,
    House,
    Sent,
    but_reminders,
    mail,
    to_others,
    with_mailbox,
)

DAY = timedelta(days=1)

# What real systems send back: header lines, subject, reverse-path (None: not known).
MACHINES: dict[str, tuple[str, str, str | None]] = {
    "Exchange": (
        "Auto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\nX-MS-Exchange-Inbox-Rules-Loop: a@b.example",
        "Automatic reply: Your report",
        None,
    ),
    "Exchange, German, headers removed": ("", "Automatische Antwort: Ihre Meldung", None),
    "Outlook, French, headers removed": ("", "=?utf-8?q?R=C3=A9ponse_automatique_:_Your_report?=", None),
    "Outlook, Japanese, headers removed": ("", "=?utf-8?b?6Ieq5YuV5b+c562UOiBZb3VyIHJlcG9ydA==?=", None),
    "Notes, headers removed": ("", "AUTO: Max Muster is out of the office (returning 12/01/2026)", None),
    "an old client, German": ("", "Abwesenheitsnotiz: Your report", None),
    "Gmail": ("Auto-Submitted: auto-replied\nPrecedence: bulk\nX-Autoreply: yes", "Out of office Re: x", None),
    "vacation(1)": ("Precedence: bulk\nAuto-Submitted: auto-replied", "away from my mail", None),
    "Sieve": ("Auto-Submitted: auto-replied (vacation)\nX-Sieve: Pigeonhole Sieve", "Auto: x", None),
    "Exim autoreply": ("Auto-Submitted: auto-replied", "Re: x", ""),
    "Zendesk": ("Auto-Submitted: auto-generated\nX-Auto-Response-Suppress: All", "[Request received]", None),
    "Jira": ("X-JIRA-FingerPrint: abc\nPrecedence: bulk", "[JIRA] (X-1) y", None),
    "GitHub": ("X-GitHub-Reason: mention\nList-ID: a/b <b.a.github.com>", "[a/b] Issue", None),
    "Mailman 2": ("X-Mailman-Version: 2.1.39\nX-BeenThere: l@x.example\nPrecedence: list", "[L] a", None),
    "Mailman 3": ("List-Id: <l.x.example>", "[L] a", None),
    "OTRS": ("X-OTRS-Loop: yes", "[Ticket#1] RE", None),
    "Request Tracker": ("X-RT-Loop-Prevention: example.com", "[x #1] AutoReply", None),
    "ServiceNow": ("X-ServiceNow-Generated: true", "INC1 opened", None),
    "Freshdesk": ("Auto-Submitted: auto-replied", "Ticket received", None),
    "a calendar": ("Content-Type: text/calendar; method=REPLY", "Accepted: Meeting", None),
    "an Exchange calendar": ("Content-Class: urn:content-classes:calendarmessage", "Zugesagt: Meeting", None),
    "a DMARC report": (
        'Content-Type: application/zip; name="x!demo.example!1!2.zip"',
        "Report domain: demo.example Submitter: x.example Report-ID: 123",
        None,
    ),
    "a TLS report": (
        'Content-Type: multipart/report; report-type="tlsrpt"; boundary=b',
        "Report Domain: demo.example Submitter: x.example",
        None,
    ),
    "a TLS report, multipart/mixed": (
        "TLS-Report-Domain: demo.example\nContent-Type: multipart/mixed; boundary=b",
        "TLS",
        None,
    ),
    "an abuse report": ("Content-Type: multipart/report; report-type=feedback-report; boundary=b", "FW: Earn", None),
    "a read receipt": (
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
        "Read: x",
        None,
    ),
    "procmail": ("X-Loop: a@b.example", "x", None),
    "cron": ("X-Cron-Env: <SHELL=/bin/sh>", "Cron <root@h> x", None),
    "a newsletter tool": ("List-Unsubscribe: <mailto:x@y.example>\nFeedback-ID: 1:2", "x", None),
    "X-Precedence": ("X-Precedence: bulk", "x", None),
}


@pytest.mark.parametrize("machine", MACHINES)
async def test_no_machine_is_answered_whatever_it_says(house: House, machine: str) -> None:
    extra, subject, path = MACHINES[machine]
    for body in (SECURITY, SUPPORT, "I am out of the office.\r\n"):
        sent = await house.receive(mail(body, subject=subject, extra=extra, sender="max@corp.example"), path=path)
        assert to_others(sent) == []
    assert await house.rows("select count(*) from message where state = 'done'") == [(3,)]


@pytest.mark.parametrize(
    "sender",
    ["root@localhost", "root@127.0.0.1", "admin@intranet", "MAILER-DAEMON@x.example", "no-reply@x.example", US],
)
async def test_addresses_that_no_person_abroad_reads_are_not_answered(house: House, sender: str) -> None:
    assert to_others(await house.receive(mail(sender=sender))) == []
    assert (await house.last())["disposition"] == "case"


# --- backscatter -------------------------------------------------------------------------------------------


async def test_an_answer_goes_to_the_from_alone_whoever_else_is_named(house: House) -> None:
    others = "\n".join(
        f"{name}: victim@v.example"
        for name in (
            "Reply-To",
            "Sender",
            "Cc",
            "Resent-From",
            "Errors-To",
            "Return-Path",
            "Disposition-Notification-To",
            "Return-Receipt-To",
            "X-Original-From",
            "Mail-Followup-To",
        )
    )
    sent = await house.receive(mail(extra=others), mail(SUPPORT, subject="LDAP", extra=others))
    assert {s.to for s in sent} == {"rita@research.example", ADA}
    assert not any(b"victim" in s.raw for s in to_others(sent))


@pytest.mark.parametrize(
    "spelling",
    ["vic.tim+{}@gmail.com", "v+{}@v.example", "victim@h{}.corp.example", "v{}@corp.example"],
    ids=["dots and details at Gmail", "details", "hosts of one domain", "people of one domain"],
)
async def test_a_forger_does_not_get_round_the_caps_by_spelling_one_victim_in_many_ways(
    house: House, spelling: str
) -> None:
    sent = await house.receive(*[mail(f"{SECURITY}{n}", sender=spelling.format(n)) for n in range(25)])
    assert len(to_others(sent)) <= 10
    assert len(to_others(await house.pass_time(DAY))) <= 1
    assert Counter(await house.dispositions()) == {"case": 25}


async def test_upper_and_lower_case_make_one_collected_acknowledgement(house: House) -> None:
    spellings = ["".join(c.upper() if n >> i & 1 else c for i, c in enumerate("victim")) for n in range(25)]
    await house.receive(*[mail(f"{SECURITY}{s}", sender=f"{s}@v.example") for s in spellings])
    assert len(to_others(await house.pass_time(DAY))) <= 1


async def test_five_hundred_reports_in_one_name_make_five_answers_and_one_a_day(house: House) -> None:
    sent = await house.receive(*[mail(f"{SECURITY}{n}", sender="v@v.example") for n in range(500)])
    assert Counter(s.to for s in sent) == {"v@v.example": 5, ADA: 20}
    sent = await house.pass_time(DAY)
    assert len(to_others(sent)) == 1 and len(but_reminders(sent)) <= 3 and len(sent) <= 4
    assert Counter(await house.dispositions()) == {"case": 500}


async def test_three_hundred_forged_senders_make_at_most_a_hundred_answers_an_hour(house: House) -> None:
    sent = await house.receive(*[mail(f"{SECURITY}{n}", sender=f"v@v{n}.example") for n in range(300)])
    assert len(to_others(sent)) == 100
    assert len(sent) - 100 == 20  # notices; the other cases are collected
    assert Counter(await house.dispositions()) == {"case": 300}


@pytest.mark.parametrize("text", [SECURITY, SUPPORT], ids=["report", "support"])
async def test_forged_senders_that_do_not_exist_do_not_flood_the_maintainers(house: House, text: str) -> None:
    house.transport.known = frozenset({ADA})
    sent = await house.receive(*[mail(f"{text}{n}", subject="x", sender=f"v@v{n}.example") for n in range(60)])
    assert len(sent) <= 40  # twenty cases, and as many failures at most


@pytest.mark.parametrize("field", ["References", "In-Reply-To"])
async def test_an_answer_stays_below_two_kilobytes_whatever_it_refers_to(house: House, field: str) -> None:
    many = "\r\n ".join(f"<{n}@r.example>" for n in range(10_000))
    long = "\r\n ".join(f"<{n}.{'x' * 900}@r.example>" for n in range(30))
    for ids in (many, long):
        sent = to_others(
            await house.receive(mail(f"{SECURITY}{len(ids)}", id_="<m@r.example>", extra=f"{field}: {ids}"))
        )
        assert [len(s.raw) <= 2048 for s in sent] == [True]


async def test_the_collected_acknowledgement_stays_below_two_kilobytes(house: House) -> None:
    await house.receive(*[mail(f"{SECURITY}{n}", sender="v@v.example") for n in range(500)])
    (collected,) = to_others(await house.pass_time(DAY))
    assert len(collected.raw) <= 2048


async def test_a_mail_that_arrives_by_two_ways_is_answered_once(house: House) -> None:
    copy = mail(id_="<one@r.example>")
    sent = await house.receive(copy, b"Received: from an alias\r\n" + copy)
    assert len(to_others(sent)) == 1


async def test_a_copy_that_came_by_a_list_first_does_not_cost_the_direct_one_its_answer(house: House) -> None:
    copy = mail(id_="<one@r.example>")
    assert to_others(await house.receive(b"List-Id: <l.example>\r\n" + copy)) == []
    assert len(to_others(await house.receive(copy))) == 1


@pytest.mark.parametrize(
    ("body", "authenticated", "disposition", "answers"),
    [
        (SECURITY, "pass", "case", 1),
        (SECURITY, None, "case", 0),
        (SECURITY, "fail", "case", 0),
        ("I attach what I found in your product. Please look.", "pass", "hold", 0),
        (SUPPORT, "pass", "spam", 0),
    ],
)
async def test_from_junk_only_a_report_is_answered_and_only_to_an_authenticated_author(
    house: House, body: str, authenticated: str | None, disposition: str, answers: int
) -> None:
    sent = await house.receive(mail(body, subject="finding", authenticated=authenticated), junk=True)
    assert (await house.last())["disposition"] == disposition
    assert len(to_others(sent)) == answers


# --- loops -------------------------------------------------------------------------------------------------


def _quoted(sent: Sent) -> str:
    return "".join(f"> {line}\r\n" for line in sent.body.splitlines())


Robot = Callable[[Sent, int], bytes]
ROBOT = "robot@corp.example"


def threaded(sent: Sent, n: int) -> bytes:
    return mail("Away.\r\n" + _quoted(sent), subject=f"Re: {sent.subject}", sender=ROBOT, answers=sent.message_id)


def with_prefix(sent: Sent, n: int) -> bytes:
    return mail(f"Bin nicht da. {n}\r\n", subject=f"Automatische Antwort: {sent.subject}", sender=ROBOT)


def forgetful(sent: Sent, n: int) -> bytes:
    return mail(f"We got your mail, ticket {n}.\r\n" + _quoted(sent), subject=f"Ticket {n}", sender=ROBOT)


def terse(sent: Sent, n: int) -> bytes:
    return mail(f"We received your mail {n} and will answer soon.\r\n", subject="Thank you", sender=ROBOT)


async def days_until_rest(house: House, first: bytes, robot: Robot, days: int = 4) -> list[int]:
    """How many mails the robot got on each day; it answers every one of them."""
    waiting = to_others(await house.receive(first))
    got, number = [], 0
    for _ in range(days):
        got.append(0)
        while waiting:
            number += 1
            got[-1] += 1
            waiting = waiting[1:] + to_others(await house.receive(robot(waiting[0], number)))
        waiting = to_others(await house.pass_time(DAY))
    return got


FIRST = [mail(sender=ROBOT), mail(SUPPORT, subject="LDAP", sender=ROBOT)]


@pytest.mark.parametrize("first", FIRST, ids=["report", "support"])
@pytest.mark.parametrize("robot", [threaded, with_prefix])
async def test_an_autoresponder_without_automatic_headers_comes_to_rest(
    house: House, robot: Robot, first: bytes
) -> None:
    got = await days_until_rest(house, first, robot)
    assert got[0] <= 2 and got[1:] == [0, 0, 0]


@pytest.mark.parametrize("first", FIRST, ids=["report", "support"])
@pytest.mark.parametrize("robot", [forgetful, terse])
async def test_a_robot_that_drops_all_references_stays_within_the_caps(
    house: House, robot: Robot, first: bytes
) -> None:
    assert max(await days_until_rest(house, first, robot)) <= 6


async def test_a_robot_that_drops_all_references_comes_to_rest(house: House) -> None:
    assert (await days_until_rest(house, FIRST[0], terse))[-1] == 0


async def test_two_services_that_face_each_other_come_to_rest(build: Build) -> None:
    other = replace(MAILBOX, address="security@other.example", team_address="team@other.example")
    here, there = build(), build(other, secret=b"t" * 32)
    sent = to_others(await here.receive(mail(sender="security@other.example")))
    assert [s.to for s in sent] == ["security@other.example"]
    assert await there.receive(sent[0].raw) == []
    assert await there.pass_time(DAY) == []


async def test_our_own_mails_that_come_back_cause_at_most_one_digest(house: House) -> None:
    sent = await house.receive(mail(), mail(SUPPORT, subject="LDAP", sender="c@company.example"))
    for most in (2, 1, 0):  # mails on that day
        resent = [b"Received: from a forwarder\r\nResent-From: ada@demo.example\r\n" + s.raw for s in sent]
        assert await house.receive(*resent) == []
        sent = await house.pass_time(DAY)
        assert len(sent) <= most
    assert await house.rows("select count(*) from cases") == [(1,)]


async def test_a_maintainer_whose_address_is_another_security_address_starts_no_loop(build: Build) -> None:
    other_address = "security@other.example"
    here = build(with_mailbox(maintainers=(Maintainer("Other", other_address),)))
    there = build(with_mailbox(address=other_address, maintainers=(Maintainer("Here", US),)), secret=b"t" * 32)
    out = await here.receive(mail())
    for _ in range(5):
        back = [s.raw for s in out if s.to == other_address]
        sent = await there.receive(*back) if back else []
        out = await here.receive(*[s.raw for s in sent if s.to == US]) if sent else []
    assert out == []
