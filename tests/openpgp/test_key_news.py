"""A key that is pinned, replaced or taken away: told by the old way and by the new one, and to the maintainers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.message import parse
from mailbox_service.core.openpgp import Encrypted, Signed, read
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.key_news import pin_on_host, unpin_on_host
from mailbox_service.services.ports import CaseId
from mailbox_service.services.ports.openpgp import Pin, PublicKey
from tests.database.setting import NOW
from tests.end_to_end.openpgp_people import Correspondent
from tests.openpgp.keys import People, Person
from tests.openpgp.test_sealed_answers import GRACE, said
from tests.openpgp.test_sealed_cases import JANE, opened, stored
from tests.openpgp.test_sealing import ADA, door, ours, pinned
from tests.services.bench import BOX, KEY, Bench, changed, letter

__all__ = ["door"]  # fixtures


@pytest.fixture(scope="module")
def ada(people: People, door: GpgDoor) -> Person:
    return known(people.join(f"Ada <{ADA}>"), door)


@pytest.fixture(scope="module")
def other(people: People, door: GpgDoor) -> Person:
    return known(people.join(f"Ada <{ADA}>"), door)


@pytest.fixture(scope="module")
def jane(people: People, door: GpgDoor) -> Person:
    return known(people.join(f"Jane <{JANE}>"), door)


@pytest.fixture
def house(database: Database, door: GpgDoor) -> Bench:
    return Bench(database, mailbox=changed(openpgp=True), doors={BOX.name: door})


def known(person: Person, door: GpgDoor) -> Person:
    person.know(ours(door))
    return person


def on_host(house: Bench, address: str, key: PublicKey, case: int | None = None) -> bool:
    number = None if case is None else CaseId(case)
    pin = Pin(BOX.name, address, key, number, "host", house.now, None, "root on the host")
    return house.database.run(lambda tx: pin_on_host(tx, house.mailbox, Correspondence(KEY), pin))


def taken_away(house: Bench, address: str) -> list[str]:
    return house.database.run(
        lambda tx: unpin_on_host(tx, house.mailbox, Correspondence(KEY), address, None, "root on the host", house.now)
    )


async def sent(house: Bench) -> list[tuple[str, bytes]]:
    before = len(house.office.taken)
    await house.deliver()
    return house.office.taken[before:]


def readable(person: Person, data: bytes) -> bool:
    """Whether the mail is encrypted, and to this key."""
    found = read(data)
    return isinstance(found, Encrypted) and bool(person.gpg("--decrypt", data=found.message.octets, fails=True))


def clear(data: bytes) -> bool:
    return isinstance(read(data), Signed)


def one(out: list[tuple[str, bytes]], address: str, by: Callable[[bytes], bool]) -> bytes:
    """Of two mails to a person the one of this way; they are sent at once, in any order."""
    first, second = (data for to, data in out if to == address)
    assert by(first) != by(second)
    return first if by(first) else second


def encrypted_to(person: Person) -> Callable[[bytes], bool]:
    return lambda data: readable(person, data)


async def test_the_first_key_is_told_in_clear_and_encrypted_to_it(house: Bench, ada: Person, door: GpgDoor) -> None:
    assert on_host(house, ADA, ada.public)
    out = await sent(house)
    plain, sealed = one(out, ADA, clear), one(out, ADA, encrypted_to(ada))
    for text in (said(plain), opened(ada, sealed)[1]):
        assert f"from now on: {ada.public.spoken}" in text and "until now: no key" in text
        assert "Somebody who runs this service did it by hand" in text and "root" not in text
    (notice,) = (data for to, data in out if to == GRACE)
    text = said(notice)
    assert f"pinned to {ADA} was changed" in text and ada.public.spoken in text and "by root on the host" in text


async def test_another_key_is_told_to_the_holders_of_both_and_to_nobody_in_clear(
    house: Bench, ada: Person, other: Person
) -> None:
    pinned(house, ADA, ada.public)
    assert on_host(house, ADA, other.public)
    out = await sent(house)
    old = one(out, ADA, encrypted_to(ada))
    assert old is not one(out, ADA, encrypted_to(other)) and not any(clear(data) for to, data in out if to == ADA)
    text = opened(ada, old)[1]
    assert f"until now: {ada.public.spoken}" in text and f"from now on: {other.public.spoken}" in text
    assert "If you do not, somebody may read and write in your place" in text


async def test_a_key_that_is_taken_away_is_told_to_its_holder_and_in_clear(house: Bench, ada: Person) -> None:
    pinned(house, ADA, ada.public)
    assert taken_away(house, ADA) == [ada.fingerprint]
    out = await sent(house)
    new = one(out, ADA, clear)
    assert new is not one(out, ADA, encrypted_to(ada))
    assert "are not encrypted to your OpenPGP key any more" in said(new)
    assert taken_away(house, ADA) == [] and await sent(house) == []


async def test_nothing_is_told_where_nothing_changed(house: Bench, ada: Person) -> None:
    pinned(house, ADA, ada.public)
    assert not on_host(house, ADA, ada.public)
    # The same key with newer signatures.
    assert on_host(house, ADA, PublicKey(ada.fingerprint, ada.public.data + ada.public.data))
    assert await sent(house) == []


async def test_a_key_that_nobody_can_use_any_more_is_told_in_clear(house: Bench, people: People, ada: Person) -> None:
    late = people.join(f"Ada <{ADA}>", expires="2020-02-01", at="20200101T000000")
    pinned(house, ADA, late.public, expires_at=NOW - timedelta(days=1))
    on_host(house, ADA, ada.public)
    out = await sent(house)
    assert one(out, ADA, clear) is not one(out, ADA, encrypted_to(ada))


async def test_who_reports_is_named_only_to_maintainers_with_a_key(house: Bench, ada: Person, jane: Person) -> None:
    pinned(house, ADA, ada.public)
    on_host(house, JANE, jane.public)
    out = dict(await sent(house))
    assert f"pinned to {JANE} was changed" in opened(ada, out[ADA])[1]
    assert b"jane" not in out[GRACE].split(b"\r\n\r\n", 1)[1]
    assert jane.public.spoken not in said(out[GRACE]) and "does not say whose key it is" in said(out[GRACE])


async def test_what_was_done_on_the_host_for_a_case_is_in_its_journal(
    house: Bench, ada: Person, jane: Person, door: GpgDoor
) -> None:
    pinned(house, ADA, ada.public)
    await house.post(letter("SQL injection", JANE))
    case = house.database.run(lambda tx: tx.case_row("SEC-2026-0001")["id"])
    for _ in range(2):  # the second time nothing changes
        on_host(house, JANE, jane.public, case)
    house.database.run(
        lambda tx: unpin_on_host(
            tx, house.mailbox, Correspondence(KEY), JANE, CaseId(case), "root on the host", house.now
        )
    )
    on_host(house, JANE, jane.public)  # for all of the mailbox: of no one case
    rows = house.database.run(lambda tx: tx.journal_of(CaseId(case)))
    told = [(row["event"], row["actor"], row["data"]) for row in rows if str(row["event"]).startswith("key_")]
    data = {"address": JANE, "fingerprint": jane.public.fingerprint, "how": "host"}
    by = "root on the host"
    assert told == [("key_pinned", by, data), ("key_unpinned", by, data)]


def correspondent(key: Person, door: GpgDoor) -> Correspondent:
    return Correspondent(JANE, "Jane Doe", key=key, ours=ours(door))


async def test_a_key_that_came_with_the_report_is_told_to_the_maintainers_and_with_the_first_answer_to_the_reporter(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    pinned(house, ADA, ada.public)
    writer = correspondent(jane, door)
    await house.post(writer.seal(writer.write("The cage."), offer=True))
    out = await sent(house)
    assert [to for to, _ in out].count(JANE) == 1, "the acknowledgement alone: nothing shows that the report was opened"
    by = dict(out)
    assert f"{JANE} is written to by the key {jane.fingerprint}" in opened(ada, by[ADA])[1]
    assert jane.fingerprint.encode() not in by[GRACE]
    for number in (1, 2):
        answer = letter(
            "Re",
            ADA,
            references=str(parse(by[ADA]).message_id),
            message_id=f"<a{number}@example.org>",
            body="/reply\nIt is open.\n",
        )
        await house.post(answer)
        theirs = [data for to, data in await sent(house) if to == JANE]
        news = [data for data in theirs if clear(data)]
        assert any("It is open." in opened(jane, data)[1] for data in theirs if not clear(data))
        assert len(news) == (1 if number == 1 else 0)
        if news:
            text = said(news[0])
            assert (
                jane.public.spoken in text and "The key came with a mail of yours." in text and "SEC-2026-0001" in text
            )
            assert parse(news[0]).subject == "Re: [SEC-2026-0001] Your report to Example"


async def with_another_key(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> tuple[Person, Correspondent, bytes]:
    """Jane has reported, with her key; then a second key of hers, and her answer by it."""
    writer = correspondent(jane, door)
    await house.post(writer.seal(writer.write("The cage."), offer=True))
    (acknowledgement,) = (data for to, data in await sent(house) if to == JANE)
    later = known(people.join(f"Jane <{JANE}>"), door)
    successor = correspondent(later, door)
    return later, successor, successor.write("My new key.", answering=writer.receive(acknowledgement), quote=False)


async def test_a_renewed_key_in_a_mail_signed_by_the_old_one_is_told_by_both_ways(
    house: Bench, door: GpgDoor, ada: Person, jane: Person, people: People
) -> None:
    pinned(house, ADA, ada.public)
    later, successor, mail = await with_another_key(house, door, jane, people)
    await house.post(successor.seal(mail, by=jane, offer=True))
    out = await sent(house)
    old = one(out, JANE, encrypted_to(jane))
    assert old is not one(out, JANE, encrypted_to(later))
    assert "signed by the one until now" in opened(jane, old)[1] and later.public.spoken in opened(jane, old)[1]
    notices = [opened(ada, data)[1] for to, data in out if to == ADA]
    assert any(f"pinned to {JANE} in SEC-2026-0001 was changed" in text for text in notices)
    grace = [data for to, data in out if to == GRACE]
    assert any("does not say whose key it is" in said(data) for data in grace)
    assert not any(key.fingerprint.encode() in data for key in (jane, later) for data in grace)


async def test_a_key_that_another_one_did_not_sign_is_told_without_its_fingerprint_to_who_has_none(
    house: Bench, door: GpgDoor, ada: Person, jane: Person, people: People
) -> None:
    pinned(house, ADA, ada.public)
    later, successor, mail = await with_another_key(house, door, jane, people)
    await house.post(successor.seal(mail, offer=True))
    out = dict(await sent(house))
    assert JANE not in out
    assert f"Another key of the reporter, {later.fingerprint}, was offered" in opened(ada, out[ADA])[1]
    assert "Another key of the reporter was offered; it is not used." in said(out[GRACE])
    assert later.fingerprint.encode() not in out[GRACE]
    assert b"The cage." not in stored(house.database)


async def test_a_key_that_came_in_clear_is_shown_in_the_notice(house: Bench, door: GpgDoor, jane: Person) -> None:
    writer = correspondent(jane, door)
    key = jane.gpg("--armor", "--export", jane.fingerprint)
    await house.post(writer.sign(writer.write("report: the cage.", files=(("key.asc", key),))))
    out = await sent(house)
    assert [to for to, _ in out].count(JANE) == 1
    assert f"The reporter's key {jane.fingerprint} came with it, and is pinned to them" in said(dict(out)[GRACE])
