"""Floods: everything stays on file, nobody is flooded by us, and real reports in between are answered at once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from mailbox_service.adapters.database.case_sql import NAMED_ALIKE
from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.budget import answer_keys
from mailbox_service.core.message import Address
from mailbox_service.services.intake import MAX_ATTEMPTS
from mailbox_service.services.mailboxes import Maintainer
from tests.attacks.conftest import Build
from tests.attacks.house import (
    ADA,
    MAILBOX,
    SECURITY,
    START,
    SUPPORT,
    TEAM,
    US,
    House,
    Sent,
    but_reminders,
    mail,
    prose,
    to_others,
)

DAY, QUARTER = timedelta(days=1), timedelta(minutes=15)
SHORT = "SQL injection in the login form, remote code execution.\r\n"
RITA = "rita@research.example"
DIGEST_BYTES = 96_000  # five sections of sixty entries of three short lines


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No log: some lines a message would cost more than the messages."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def spoofed(number: int) -> bytes:
    """A report in the name of somebody who never wrote it."""
    return mail(f"{SHORT}{number}", sender=f"v{number}@v{number % 5000}.example")


async def on_file(house: House) -> tuple[int, int]:
    """How many messages there are, and how many of them still wait."""
    ((messages, waiting),) = await house.rows("select count(*), coalesce(sum(state = 'waiting'), 0) from message")
    return messages, waiting


@pytest.mark.timeout(900)  # some 20 s; but a machine may be busy
async def test_ten_thousand_spoofed_reports_hide_no_real_one(house: House) -> None:
    sent: list[Sent] = []
    real = 0
    first = to_others(await house.receive(mail(sender=RITA, id_="<1@r.example>", authenticated="pass")))[0]
    for start in range(0, 10_000, 1_000):
        batch = [spoofed(n) for n in range(start, start + 1_000)]
        if start % 3_000 == 0:
            real += 1
            batch.insert(500, mail(f"{SHORT}real {start}", sender=f"r{start}@real.example", authenticated="pass"))
        out = await house.receive(*batch)
        if start % 3_000 == 0:
            assert f"r{start}@real.example" in {s.to for s in out}
        sent += out
    # In the middle of it the reporter of an earlier case answers: that is told at once, and by itself.
    out = await house.receive(mail("A patch.\r\n", sender=RITA, subject="Re: x", answers=first.message_id))
    assert [s.to for s in out] == [ADA] and first.subject.split("]")[0] in out[0].subject
    assert await on_file(house) == (10_000 + real + 2, 0)
    assert Counter(await house.dispositions()) == {"case": 10_001 + real, "attached": 1}
    assert len([s for s in to_others(sent) if s.to.startswith("v")]) == 100
    assert len([s for s in sent if s.to == ADA]) == 19  # and one for the case before the flood
    # One mail stands for all the rest, and the digest says who was not answered.
    (collected,) = await house.pass_time(QUARTER)
    assert collected.to == ADA and collected.subject.startswith(f"{10_000 + real - 19} new reports")
    later = await house.pass_time(DAY)
    assert len(later) - len(but_reminders(later)) <= 1, "one list and not ten thousand reminders"
    (digest,) = but_reminders(later)
    assert "Cases whose reporter was not answered, 9900" in prose(digest) and "hourly limit" in prose(digest)
    assert len(collected.raw) < DIGEST_BYTES and len(digest.raw) < DIGEST_BYTES


async def test_one_sender_with_a_thousand_mails_is_answered_ten_times_and_once_a_day(database: Database) -> None:
    house = House(database)
    sent = await house.receive(*[mail(f"{SHORT}{n}", sender=RITA, authenticated="pass") for n in range(1_000)])
    assert Counter(s.to for s in sent) == {RITA: 10, ADA: 20}
    sent = but_reminders(await house.pass_time(DAY))
    assert Counter(s.to for s in sent) == {RITA: 1, ADA: 2}
    assert max(len(s.raw) for s in sent if s.to == RITA) <= 2048
    assert Counter(await house.dispositions()) == {"case": 1_000}
    assert "Cases whose reporter was not answered, 990" in "".join(prose(s) for s in sent)
    later = await house.pass_time(DAY)
    assert but_reminders(later) == []
    assert len(later) <= 2


async def test_a_conversation_goes_out_before_a_flood_that_waits(house: House) -> None:
    ack = to_others(await house.receive(mail(sender=RITA, id_="<1@r.example>")))[0]
    house.transport.known = frozenset()
    flood = [spoofed(n) for n in range(150)] + [
        mail(f"{SUPPORT}{n}", subject="LDAP", sender=f"c{n}@c.example") for n in range(9)
    ]
    for raws in (flood, [mail("And this.\r\n", sender=RITA, subject="Re: x", answers=ack.message_id)]):
        await house.intake.work(await house.intake.store([house.raw(data) for data in raws]))
    waiting = await house.rows("select kind from outbound where state = 'waiting' order by priority, due_at, id")
    assert waiting[0] == ("notice_message",) and len(waiting) > 100


@pytest.mark.parametrize(
    "spellings",
    [
        ['"victim"@v.example', "victim@v.example", "VICTIM@V.example", '"victim+a"@v.example'],
        [
            "victim@bücher.example",
            "victim@xn--bcher-kva.example",
            "victim@BÜCHER.example",
            "victim@bu\u0308cher.example",
        ],
        ["victim@gmail.com", "victim@ｇmail.com", "victim@gmａil.com", "vic.tim@googlemail.com"],
        ["v@proton.me", "v@pm.me", "v.@protonmail.com", "_v-@proton.me"],
        ["v@yandex.ru", "v@yandex.com", "v@ya.ru", "v@yandex.kz"],
    ],
    ids=["quotes", "international domain", "wide letters", "Proton", "Yandex"],
)
async def test_one_mailbox_has_one_budget_however_it_is_spelled(house: House, spellings: list[str]) -> None:
    sent = await house.receive(*[mail(f"{SHORT}{n}", sender=spellings[n % len(spellings)]) for n in range(24)])
    assert len(to_others(sent)) <= 5
    assert len(to_others(await house.pass_time(DAY))) <= 1


def test_the_spelling_of_a_domain_does_not_change_its_budget() -> None:
    keys = {
        answer_keys("m", Address(f"{n}@{domain}"), "s", True, START)[1]
        for n, domain in enumerate(("x.bücher.example", "y.xn--bcher-kva.example", "BÜCHER.example", "ｂücher.example"))
    }
    assert len(keys) == 1


async def test_many_mails_of_one_message_id_make_no_later_mail_slow(house: House) -> None:
    flood = [mail(f"{SHORT}{n}", sender=f"v{n}@v{n}.example", id_="<same@v.example>") for n in range(300)]
    await house.receive(*flood)
    alike = await house.database.transact(lambda tx: tx.messages_named(["<same@v.example>"]))
    assert [int(known.id) for known in alike] == list(range(1, NAMED_ALIKE + 1))
    sent = await house.receive(mail("More.\r\n", sender="v0@v0.example", subject="Re: x", answers="<same@v.example>"))
    assert (await house.last())["disposition"] == "attached" and len(sent) == 1


async def test_a_flood_in_junk_answers_nobody_and_tells_the_maintainers_in_few_mails(house: House) -> None:
    flood = [spoofed(n) for n in range(200)] + [mail(f"Buy. {n}", subject="offer") for n in range(100)]
    sent = await house.receive(*flood, junk=True)
    assert to_others(sent) == [] and len(sent) <= 20
    assert len(but_reminders(await house.pass_time(DAY))) <= 2
    assert await on_file(house) == (300, 0)


async def test_a_group_that_writes_all_mail_in_our_own_name_makes_no_flood(house: House) -> None:
    extra = "List-Id: <security.demo.example>\nPrecedence: list\nX-Google-Group-Id: 1"
    flood = [mail(f"{SHORT}{n}", sender=f"'V {n}' via Security <{US}>", extra=extra) for n in range(200)]
    sent = await house.receive(*flood)
    assert to_others(sent) == [] and len(sent) == 20
    assert Counter(await house.dispositions()) == {"case": 200}


async def test_a_flood_of_mail_that_cannot_be_worked_is_held_and_told_in_few_mails(house: House) -> None:
    await house.intake.store([house.raw(spoofed(n)) for n in range(45)])
    await house.rows_changed(f"update message set attempts = {MAX_ATTEMPTS}, lease_until = null")
    sent = await house.settled()
    assert [s.to for s in sent] == [ADA] * 20
    assert await house.rows("select state, count(*) from message group by state") == [("held", 45)]
    (digest,) = await house.pass_time(DAY)
    assert "Held for a person, 25" in prose(digest)


# --- machines that answer machines ---------------------------------------------------------------------------


def stripped(sent: Sent) -> bytes:
    """The mail after a gateway that keeps nothing but the usual fields, and gives it a new id."""
    return mail(sent.body, sender=str(sent.mail["From"]), to=sent.to, subject=sent.subject)


def whole(sent: Sent) -> bytes:
    return b"Received: from a forwarder\r\n" + sent.raw


OTHER = "security@other.example"
Way = Callable[[Sent], bytes]


async def mails_a_day(houses: dict[str, House], first: dict[str, bytes], way: Way, most: int = 60) -> list[int]:
    """Every mail goes to the house of its address, which may answer it; how many there were on each of four days."""
    waiting = list(first.items())
    counts = []
    for _ in range(4):
        counts.append(0)
        while waiting and counts[-1] < most:
            address, data = waiting.pop(0)
            for sent in await houses[address].receive(data):
                counts[-1] += 1
                waiting += [(sent.to, way(sent))] if sent.to in houses else []
        for house in houses.values():
            waiting += [(sent.to, way(sent)) for sent in await house.pass_time(DAY) if sent.to in houses]
    return counts


@pytest.mark.parametrize("text", [SECURITY, SUPPORT], ids=["report", "question"])
async def test_two_services_that_are_each_others_team_and_maintainers_come_to_rest(build: Build, text: str) -> None:
    houses = facing(build)
    counts = await mails_a_day(houses, {US: mail(text, subject="x", sender=OTHER)}, whole)
    assert counts[0] <= 4 and counts[-1] == 0


@pytest.mark.parametrize("text", [SECURITY, SUPPORT], ids=["report", "question"])
async def test_even_when_a_gateway_removes_every_sign_they_stay_within_limits(build: Build, text: str) -> None:
    houses = facing(build)
    counts = await mails_a_day(houses, {US: mail(text, subject="x", sender=OTHER)}, stripped)
    assert max(counts) <= 40, counts


def facing(build: Build) -> dict[str, House]:
    """Two services, each the team's and the maintainers' address of the other, with different configurations."""
    here = replace(MAILBOX, team_address=OTHER, maintainers=(Maintainer("Other", OTHER),))
    there = replace(MAILBOX, address=OTHER, team_address=US, authserv_id=None, maintainers=(Maintainer("Here", US),))
    return {US: build(here), OTHER: build(there, secret=b"t" * 32)}


@pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "without references"])
async def test_a_maintainers_robot_that_answers_every_notice_is_told_less(build: Build, threaded: bool) -> None:
    tickets = "tickets@corp.example"
    house = build(replace(MAILBOX, maintainers=(Maintainer("Tickets", tickets),)))
    waiting = await house.receive(mail(sender=RITA))
    number = 0
    for _ in range(3):
        got = 0
        while waiting and got < 40:
            sent = waiting.pop(0)
            if sent.to != tickets:
                continue
            got, number = got + 1, number + 1
            names = sent.message_id if threaded else None
            answer = f"Ticket {number} was opened for you.\r\n> {sent.subject}\r\n"
            waiting += await house.receive(mail(answer, subject=f"[#{number}] received", sender=tickets, answers=names))
        assert got <= 20  # ten notices and a few answers to its own mails; it would be all of the forty
        waiting = await house.pass_time(DAY)


# --- the team's address ---------------------------------------------------------------------------------------


async def test_who_wrote_to_a_team_address_that_is_forwarded_here_is_not_sent_there(house: House) -> None:
    for to in (TEAM, f"{TEAM}, {US}"):
        question = mail(f"{SUPPORT}{to}", subject="LDAP", to=to, sender="c@c.example", authenticated="pass")
        assert to_others(await house.receive(question)) == []
        assert (await house.last())["no_answer"] == "it was written to the team's address too"
    assert await house.digest_numbers() == [1, 2]


async def test_what_comes_back_from_the_team_address_makes_no_loop(house: House) -> None:
    redirect = to_others(await house.receive(mail(SUPPORT, subject="LDAP", sender="c@c.example")))[0]
    forwarded = mail(SUPPORT, subject="LDAP again", to=TEAM, sender="c@c.example", answers=redirect.message_id)
    assert to_others(await house.receive(whole(redirect))) == []
    sent = await house.receive(forwarded)
    # The answer to a redirect is a report, whatever way it takes; and no second redirect.
    assert (await house.last())["disposition"] == "case"
    assert not any("team@" in s.body for s in to_others(sent) if "SEC-" not in s.subject)
