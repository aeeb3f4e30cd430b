"""What goes out of a mailbox with keys: signed, and encrypted to whoever has a key that is pinned."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.core.budget import AnswerLimits
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.core.openpgp import Encrypted, Signed, offered_key, read
from mailbox_service.services.ports import CaseId
from mailbox_service.services.ports.openpgp import Pin, PublicKey, Verified
from tests.database.setting import NOW
from tests.openpgp.keys import People, Person
from tests.services.bench import BOX, Bench, changed, letter

ADDRESS = BOX.address
ADA = "ada@example.org"


@contextmanager
def keyrings() -> Iterator[Homes]:
    with tempfile.TemporaryDirectory(prefix="mbs-") as folder:
        keys = Path(folder, "keys")
        keys.mkdir(mode=0o700)
        with Homes.open(keys, temporary=Path(folder)) as homes:
            yield homes


@pytest.fixture(scope="module")
def door() -> Iterator[GpgDoor]:
    """The door of the bench's mailbox."""
    with keyrings() as homes:
        generate(homes, "Example security", ADDRESS, "2y")
        yield GpgDoor(homes, frozenset({ADDRESS}))


@pytest.fixture
def keyless() -> Iterator[GpgDoor]:
    with keyrings() as homes:
        yield GpgDoor(homes, frozenset({ADDRESS}))


@pytest.fixture(scope="module")
def ada(people: People) -> Person:
    return people.join(f"Ada <{ADA}>")


@pytest.fixture
def house(database: Database, door: GpgDoor) -> Bench:
    return Bench(database, doors={BOX.name: door})


def pinned(
    house: Bench, address: str, key: PublicKey, case: int | None = None, *, expires_at: datetime | None = None
) -> None:
    number = None if case is None else CaseId(case)
    house.database.run(lambda tx: tx.pin(Pin(BOX.name, address, key, number, "host", NOW, expires_at)))


def ours(door: GpgDoor) -> PublicKey:
    key = door.public_key()
    assert key is not None
    return key


def verified(door: GpgDoor, data: bytes) -> bool:
    """Whether the mail bears our signature over all that is shown of it."""
    found = read(data)
    assert isinstance(found, Signed)
    return isinstance(door.verify_detached(found.content, found.signature.octets, [ours(door)]), Verified)


def frozen(house: Bench) -> list[tuple[str, bytes]]:
    return house.office.taken


async def test_every_mail_is_signed_and_offers_our_key(house: Bench, door: GpgDoor) -> None:
    await house.post(letter("report: a hole"))
    await house.deliver()
    assert len(frozen(house)) == 3
    for _, data in frozen(house):
        assert verified(door, data)
        offer = offered_key(parse(data))
        assert offer is not None and offer.key.fingerprint == ours(door).fingerprint


async def test_whoever_has_a_pinned_key_gets_ciphertext_and_the_others_do_not(
    house: Bench, door: GpgDoor, ada: Person
) -> None:
    pinned(house, ADA, ada.public)
    await house.post(letter("report: a canary", body="the canary sings"))
    await house.deliver()
    by = dict(frozen(house))
    assert isinstance(read(by["grace@example.org"]), Signed) and b"canary" in by["grace@example.org"]
    data = by[ADA]
    found = read(data)
    assert isinstance(found, Encrypted) and b"canary" not in data
    assert parse(data).subject == "[SEC-2026-0001]"
    ada.know(ours(door))
    plain = ada.gpg("--status-fd", "1", "--decrypt", data=found.message.octets)
    assert b"the canary sings" in plain and b"GOODSIG" in plain


async def test_a_first_answer_is_never_encrypted(house: Bench, people: People, door: GpgDoor) -> None:
    """It would say whose key we know to whoever writes in their name."""
    pinned(house, "eve@research.example", people.join("Eve <eve@research.example>").public)
    await house.post(letter("report: a hole"))
    await house.deliver()
    assert verified(door, dict(frozen(house))["eve@research.example"])


async def test_a_key_of_the_case_outranks_the_mailboxs(
    house: Bench, door: GpgDoor, ada: Person, people: People
) -> None:
    other = people.join(f"Ada <{ADA}>")
    other.know(ours(door))
    await house.post(letter("report: a hole"))
    pinned(house, ADA, ada.public)
    pinned(house, ADA, other.public, case=1)
    await house.deliver()
    found = read(dict(frozen(house))[ADA])
    assert isinstance(found, Encrypted)
    assert other.gpg("--decrypt", data=found.message.octets)
    assert not ada.gpg("--decrypt", data=found.message.octets, fails=True)


async def test_a_key_that_has_expired_gets_a_signed_mail(house: Bench, door: GpgDoor, people: People) -> None:
    late = people.join(f"Ada <{ADA}>", expires="2020-02-01", at="20200101T000000")
    pinned(house, ADA, late.public, expires_at=NOW - timedelta(days=1))
    pinned(house, "grace@example.org", people.join("g@x.example", expires="2020-02-01", at="20200101T000000").public)
    await house.post(letter("report: a hole"))
    await house.deliver()
    assert verified(door, dict(frozen(house))[ADA])
    # Here only gpg finds out.
    assert verified(door, dict(frozen(house))["grace@example.org"])


async def test_what_is_frozen_is_what_goes_out_again(house: Bench, ada: Person) -> None:
    pinned(house, ADA, ada.public)
    await house.post(letter("report: a hole"))
    await house.deliver()
    row = next(m for m in house.mails("notice_case") if m["recipient"] == ADA)
    (kept,) = house.database.run(lambda tx: tx.outbound_rows([row["id"]]))
    assert kept.frozen == dict(frozen(house))[ADA]


async def test_without_a_key_of_its_own_the_mailbox_writes_as_always(database: Database, keyless: GpgDoor) -> None:
    house = Bench(database, doors={BOX.name: keyless})
    await house.post(letter("report: a hole"))
    await house.deliver()
    assert len(frozen(house)) == 3
    assert not any(isinstance(read(data), Signed | Encrypted) for _, data in frozen(house))


async def test_a_first_answer_names_our_key(house: Bench, door: GpgDoor) -> None:
    await house.post(letter("report: a hole"))
    await house.deliver()
    text = dict(frozen(house))["eve@research.example"]
    assert ours(door).spoken.encode() in text and b"security-key.asc" not in text and b"S/MIME" not in text


async def test_an_answer_for_several_reports_names_our_key_and_a_redirect_offers_it_to_programs_alone(
    database: Database, door: GpgDoor
) -> None:
    house = Bench(database, mailbox=changed(limits=AnswerLimits(sender_per_day=1)), doors={BOX.name: door})
    await house.post_each(*(letter(f"report number {number}", message_id=f"<{number}@x>") for number in range(3)))
    await house.post(letter("support how do I log in", "kim@company.example"))
    await house.deliver()
    redirect = dict(frozen(house))["kim@company.example"]
    assert verified(door, redirect) and ours(door).spoken.encode() not in redirect
    offer = offered_key(parse(redirect))
    assert offer is not None and offer.key.fingerprint == ours(door).fingerprint
    await house.later(days=1)
    await house.deliver()
    (row,) = house.mails("acknowledgement_collected")
    (collected,) = house.database.run(lambda tx: tx.outbound_rows([row["id"]]))
    assert collected.frozen is not None and verified(door, collected.frozen)
    assert ours(door).spoken.encode() in collected.frozen


async def test_who_writes_by_smime_is_sent_our_key_and_asked_for_openpgp(house: Bench, door: GpgDoor) -> None:
    smime = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n"
    await house.post(letter("report: a hole", headers=smime))
    await house.deliver()
    data = dict(frozen(house))["eve@research.example"]
    assert verified(door, data) and b"encrypted by S/MIME" in data
    (file,) = (file for file in attached_files(data) if file.filename == "security-key.asc")
    assert [one.key.fingerprint for one in door.examine(file.data)] == [ours(door).fingerprint]
