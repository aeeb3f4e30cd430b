"""A message that could not be read when it came, told of once more when its key is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import bring_in, generate
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.errors import Refused
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.late_opening import tell_of_opened
from mailbox_service.services.ports import MessageId
from tests.openpgp.keys import People, Person
from tests.openpgp.test_sealed_answers import GRACE, nowhere, said
from tests.openpgp.test_sealed_cases import CANARY, JANE, newest, opened, secret_mail
from tests.openpgp.test_sealing import ADA, ADDRESS, keyrings, ours, pinned
from tests.services.bench import BOX, KEY, Bench, changed, letter


@dataclass
class Lost:
    """The mailbox's key that is not on the host yet, as the mailbox's door is to who encrypts to it."""

    person: Person

    def public_key(self) -> object:
        return self.person.public


@pytest.fixture
def homes() -> Iterator[Homes]:
    with keyrings() as homes:
        generate(homes, "Example security", ADDRESS, "2y")
        yield homes


@pytest.fixture
def door(homes: Homes) -> GpgDoor:
    return GpgDoor(homes, frozenset({ADDRESS}))


@pytest.fixture
def lost(people: People) -> Lost:
    # Older than the key of today, so that the mailbox goes on signing with that one.
    return Lost(people.join(f"Security <{ADDRESS}>", at="20250101T000000"))


@pytest.fixture
def house(database: Database, door: GpgDoor) -> Bench:
    return Bench(database, mailbox=changed(openpgp=True), doors={BOX.name: door})


def told(house: Bench, number: int = 1) -> int:
    return house.database.run(
        lambda tx: tell_of_opened(tx, house.mailbox, Correspondence(KEY), MessageId(number), house.now)
    )


async def test_whoever_has_a_key_reads_it_and_the_others_hear_that_it_can_be_read(
    house: Bench, homes: Homes, door: GpgDoor, lost: Lost, people: People
) -> None:
    ada, jane = people.join(f"Ada <{ADA}>"), people.join(f"Jane <{JANE}>")
    ada.know(ours(door))
    pinned(house, ADA, ada.public)
    await house.post(secret_mail(jane, JANE, lost, f"{CANARY} text"))  # type: ignore[arg-type]
    await house.deliver()
    text = opened(ada, newest(house, ADA))[1]
    assert "It could not be opened: no key." in text and "message decrypt 1 --tell" in text
    bring_in(homes, lost.person.secret(), frozenset({ADDRESS}))
    before = len(house.office.taken)
    assert told(house) == 2
    await house.deliver()
    assert sorted(recipient for recipient, _ in house.office.taken[before:]) == [ADA, GRACE]
    _, text, entity = opened(ada, newest(house, ADA))
    assert f"{CANARY} text" in text and f"{CANARY} subject" in text and JANE in text
    assert "Message 1 of SEC-2026-0001 can be read now" in text
    (whole,) = [file for file in attached_files(entity) if file.filename.endswith(".eml")]
    assert f"{CANARY} text" in parse(whole.data).text
    text = said(newest(house, GRACE))
    assert "A message of SEC-2026-0001 can be read now" in text and JANE not in text
    assert nowhere(house, CANARY)
    assert told(house) == 0
    await house.deliver()
    assert len(house.office.taken) == before + 2


async def test_who_became_a_maintainer_since_is_told_and_the_others_not_again(
    house: Bench, door: GpgDoor, people: People
) -> None:
    jane = people.join(f"Jane <{JANE}>")
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    all_ = house.mailbox
    house.mailbox = changed(openpgp=True, maintainers=all_.maintainers[:1])
    assert told(house) == 1
    house.mailbox = all_
    assert told(house) == 1


async def test_what_came_first_with_another_message_is_not_shown_in_the_case_of_the_second(
    house: Bench, door: GpgDoor, people: People
) -> None:
    jane = people.join(f"Jane <{JANE}>")
    report = secret_mail(jane, JANE, door, f"{CANARY} text")
    stolen = report.replace(JANE.encode(), b"eve@research.example")
    await house.post(report)
    await house.post(stolen)
    with pytest.raises(Refused, match="came first with message 1"):
        told(house, 2)


async def test_what_is_in_no_case_is_told_to_nobody(house: Bench) -> None:
    await house.post(letter("support how do I log in"))
    with pytest.raises(Refused, match="is in no case"):
        told(house)
