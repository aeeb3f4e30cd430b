"""Rules of encrypted mail that nothing else holds (docs/proofs.md): keys that come along, no oracle, no network, and a
key of ours that has expired."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.core.openpgp import header_field
from mailbox_service.errors import Refused
from mailbox_service.services.ports.openpgp import Opened, PublicKey
from tests.conversation.people import Person as Writer
from tests.conversation.people import said
from tests.end_to_end.openpgp_people import Correspondent
from tests.openpgp.keys import People, Person
from tests.openpgp.test_sealed_cases import newest
from tests.openpgp.test_sealing import ADA, ADDRESS, keyrings, ours, pinned
from tests.services.bench import BOX, Bench, read

JANE = "jane@research.example"
CANARY = "Kanarienvogel"
CONTACTS = replace(BOX, openpgp=True)


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    with keyrings() as opened:
        generate(opened, "Example security", ADDRESS, "2y")
        yield opened


@pytest.fixture(scope="module")
def door(homes: Homes) -> GpgDoor:
    return GpgDoor(homes, frozenset({ADDRESS}))


@pytest.fixture
def house(database: Database, door: GpgDoor) -> Bench:
    return Bench(database, mailbox=CONTACTS, doors={BOX.name: door})


@pytest.fixture(scope="module")
def jane(people: People) -> Person:
    return people.join(f"Jane <{JANE}>")


def writer(key: Person, door: GpgDoor, address: str = JANE) -> Correspondent:
    return Correspondent(address, "Jane Doe", key=key, ours=ours(door))


# --- keys that come along --------------------------------------------------------------------------------------------


async def started(house: Bench, who: Correspondent) -> Writer:
    """A sealed case with the key of its reporter; they have got the acknowledgement."""
    await house.post(who.seal(who.write(f"{CANARY} sings."), sign=False, offer=True))
    who.got += [mail for recipient, mail in await house.deliver() if recipient == who.address]
    return who


def in_use(house: Bench) -> list[tuple[str, str]]:
    found = house.database.run(lambda tx: tx.pin_rows())
    return [(str(row["fingerprint"]), str(row["how"])) for row in found if row["address"] == JANE]


async def test_a_new_key_that_nobody_signed_for_is_not_used_and_the_maintainers_hear_of_it(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> None:
    ada, other = people.join(f"Ada <{ADA}>"), people.join(f"Jane <{JANE}>")
    pinned(house, ADA, ada.public)
    who = writer(jane, door)
    await started(house, who)
    assert in_use(house) == [(jane.fingerprint, "first use")]
    # By whom the mail server vouches for, encrypted, attached or as an Autocrypt field: it is another key.
    attached = writer(other, door)
    attached._written = 5
    field = ": ".join(header_field(JANE, other.public.data)).encode() + b"\r\n"
    for mail in (
        attached.seal(attached.write("My new key.", answering=who.newest()), sign=False, offer=True),
        attached.seal(attached.write("My new key.", answering=who.newest()), offer=True),
        field + who.write("My new key.", answering=who.newest()),
    ):
        await house.post(mail)
        assert in_use(house) == [(jane.fingerprint, "first use")]
        told = [row for row in house.mails("notice_message") if row["recipient"] == ADA]
        assert f"Another key of the reporter, {other.fingerprint}, was offered" in str(house.context(told[-1]))


async def test_a_new_key_comes_with_a_signature_of_the_former_one(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> None:
    other, who = people.join(f"Jane <{JANE}>"), writer(jane, door)
    await started(house, who)
    newer = writer(other, door)
    newer._written = 5
    await house.post(newer.seal(newer.write("My new key.", answering=who.newest()), by=jane, offer=True))
    assert in_use(house) == [(other.fingerprint, "signed by the former key")]
    assert house.events("SEC-2026-0001").count("key_pinned") == 2


def autocrypt(key: Person) -> bytes:
    return ": ".join(header_field(JANE, key.public.data)).encode() + b"\r\n"


async def test_a_signature_vouches_for_no_key_that_stands_outside_of_it(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> None:
    """Whoever sees a signed mail before us can put a key of their own beside what is signed."""
    other, who = people.join(f"Jane <{JANE}>"), writer(jane, door)
    await started(house, who)
    mail = who.write("All as before.", answering=who.newest())
    for forged in (who.sign(mail), who.seal(mail)):
        await house.post(autocrypt(other) + forged)
        assert in_use(house) == [(jane.fingerprint, "first use")]
        told = str(house.context(house.mails("notice_message")[-1]))
        assert f"Another key of the reporter, {other.fingerprint}, was offered" in told


@pytest.mark.parametrize("proven", [True, False])
async def test_a_key_outside_of_the_encryption_is_its_authors_where_the_server_vouches_for_them(
    house: Bench, door: GpgDoor, jane: Person, proven: bool
) -> None:
    """K-9 and FairEmail send the Autocrypt field outside only."""
    who = writer(jane, door)
    mail = autocrypt(jane) + who.seal(who.write(f"{CANARY} sings."), sign=False)
    await house.post(mail if proven else mail.replace(b"dmarc=pass", b"dmarc=none"))
    assert in_use(house) == ([(jane.fingerprint, "first use")] if proven else [])


async def test_a_key_inside_of_the_encryption_goes_before_one_outside(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> None:
    other, who = people.join(f"Jane <{JANE}>"), writer(jane, door)
    await house.post(autocrypt(other) + who.seal(who.write(f"{CANARY} sings."), sign=False, offer=True))
    assert in_use(house) == [(jane.fingerprint, "first use")]


async def test_both_sides_are_shown_which_key_came_along(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> None:
    ada = people.join(f"Ada <{ADA}>")
    pinned(house, ADA, ada.public)
    who, maintainer = writer(jane, door), writer(ada, door, ADA)
    await house.post(who.seal(who.write(f"{CANARY} sings."), sign=False, offer=True))
    await house.deliver()
    (notice,) = [maintainer.read(data) for recipient, data in house.office.taken if recipient == ADA]
    assert f"{JANE} is written to by the key {jane.fingerprint}, which came by mail (first use)." in said(notice.mail)
    outside = read(notice.outside)
    await house.post(maintainer.seal(maintainer.write("/reply\nThank you.", answering=outside), sign=False))
    await house.deliver()
    answer = who.read(newest(house, JANE))
    assert answer.encrypted and said(answer.mail).endswith(f"Encrypted to your key {jane.public.spoken}")
    # Where the host said whose key it is, there is nothing to compare.
    assert ada.fingerprint not in said(notice.mail)


async def test_a_changed_key_of_the_same_fingerprint_changes_nothing(
    house: Bench, door: GpgDoor, people: People
) -> None:
    """Whoever adds names, or strips what encrypts, offers the same fingerprint."""
    jane = people.join(f"Jane <{JANE}>")
    who = writer(jane, door)
    await started(house, who)
    before = house.database.run(lambda tx: tx.known_key(jane.fingerprint))
    jane.gpg("--quick-add-uid", jane.fingerprint, "Jane <jane@elsewhere.example>")
    await house.post(who.seal(who.write("The same key.", answering=who.newest()), offer=True))
    assert house.database.run(lambda tx: tx.known_key(jane.fingerprint)) == before
    assert in_use(house) == [(jane.fingerprint, "first use")]


# --- no oracle -------------------------------------------------------------------------------------------------------


async def test_from_outside_it_cannot_be_told_what_was_opened(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> None:
    """Opened, not for us, damaged, and seen before: one acknowledgement for all of them."""
    who = writer(jane, door)
    good = who.seal(who.write(f"{CANARY} sings."), sign=False)
    mails = {
        "opened": good,
        "repeated": good.replace(b"Message-ID: <jane.1@", b"Message-ID: <jane.9@"),
        "not for us": who.seal(who.write(f"{CANARY} sings."), sign=False, to=people.join("X <x@x.example>").public),
        "damaged": damaged(who.seal(who.write(f"{CANARY} sings."), sign=False)),
    }
    answers = {}
    for name, mail in mails.items():
        await house.post(mail)
        sent = [data for recipient, data in house.office.taken if recipient == JANE]
        await house.deliver()
        (answer,) = [data for recipient, data in house.office.taken if recipient == JANE][len(sent) :]
        assert CANARY.encode() not in answer
        answers[name] = without_numbers(answer)
    closed = [str(house.context(row)["remarks"]) for row in house.mails("notice_case") if row["recipient"] == ADA]
    assert len([text for text in closed if "could not be opened" in text]) == 3, "three of them were not opened"
    assert len(set(answers.values())) == 1, answers


def damaged(mail: bytes) -> bytes:
    """The same with another letter in the middle of its armour."""
    found = re.search(rb"-----BEGIN PGP MESSAGE-----\r\n\r\n(.*?)\r\n-----END", mail, re.DOTALL)
    assert found is not None
    at = found.start(1) + len(found[1]) * 2 // 3
    at += mail[at : at + 1] in (b"\r", b"\n", b"=")
    return mail[:at] + (b"A" if mail[at : at + 1] != b"A" else b"B") + mail[at + 1 :]


def without_numbers(answer: bytes) -> str:
    mail = read(answer)
    header = sorted(name for name in mail.keys() if name.lower() not in ("references", "in-reply-to"))  # noqa: SIM118
    return re.sub(r"SEC-\d+-\d+|[0-9A-Fa-f]{16,}|\d\d:\d\d(:\d\d)?", "*", f"{header} {mail['Subject']} {said(mail)}")


# --- no network ------------------------------------------------------------------------------------------------------


class Trap:
    """In place of gpg's only way to the network, its dirmngr: whoever asks it is noticed."""

    def __init__(self, home: Path) -> None:
        words = ["gpgconf", "--homedir", str(home), "--list-dirs", "dirmngr-socket"]
        name = subprocess.run(words, capture_output=True, check=True, timeout=30).stdout.decode().strip()
        self._path = Path(name.replace("%3a", ":"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.calls = 0
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(self._path))
        self._door.listen()
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        while True:
            try:
                caller, _ = self._door.accept()
            except OSError:
                return
            self.calls += 1
            caller.close()

    def close(self) -> None:
        # A thread that waits in accept is woken by a last call, which is not counted.
        counted = self.calls
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(self._path))
        self._thread.join(1)
        self._door.close()
        self._path.unlink(missing_ok=True)
        self.calls = counted


def test_gpg_asks_nobody_on_the_network(homes: Homes, door: GpgDoor, jane: Person) -> None:
    """Neither for a recipient, nor for a signer it does not know (facts 7, threats 11)."""
    with tempfile.TemporaryDirectory(prefix="d-") as folder:
        trap = Trap(Path(folder))
        # As gpg does where nobody forbids it: else the trap would catch nothing.
        words = ["gpg", "--homedir", folder, "--batch", "--no-autostart", "--auto-key-locate", "clear,wkd"]
        subprocess.run([*words, "--locate-keys", "nobody@example.org"], capture_output=True, timeout=30, check=False)
        trap.close()
        assert trap.calls > 0
    traps = [Trap(home) for home in (homes.refreshed(), homes.empty)]
    try:
        key = ours(door)
        sealed = jane.seal(b"Content-Type: text/plain\r\n\r\nHello\r\n", key)
        assert isinstance(door.open(sealed), Opened) and isinstance(door.open(sealed, [jane.public]), Opened)
        door.verify_detached(b"x", jane.sign(b"x"), [])
        door.verify_detached(b"x", jane.sign(b"x", "--sig-keyserver-url", "hkp://keys.example.org"), [key])
        door.encrypt(b"x", [jane.public], sign=True)
        door.sign_detached(b"x")
        door.examine(jane.public.data)
        with pytest.raises(Refused):
            door.encrypt(b"x", [PublicKey("F" * 40, jane.public.data)], sign=False)
    finally:
        for one in traps:
            one.close()
    assert [one.calls for one in traps] == [0, 0]


# --- a key of ours that has expired ----------------------------------------------------------------------------------


async def test_what_is_encrypted_to_a_key_of_ours_that_has_expired_is_read(database: Database, jane: Person) -> None:
    with keyrings() as here:
        generate(here, "Example security", ADDRESS, "seconds=3")
        door = GpgDoor(here, frozenset({ADDRESS}))
        who = writer(jane, door)
        mail = who.seal(who.write(f"{CANARY} sings."), sign=False)
        threading.Event().wait(4)
        late = GpgDoor(here, frozenset({ADDRESS}))
        assert late.public_key() is None
        house = Bench(database, mailbox=CONTACTS, doors={BOX.name: late})
        await house.post(mail)
        await house.deliver()
        (row,) = [row for row in house.mails("notice_case") if row["recipient"] == ADA]
        assert house.context(row)["source"] == {"message": 1, "as": "notice"}, "it was opened"
        assert [row["recipient"] for row in house.mails("acknowledgement")] == [JANE]
        assert {row["state"] for row in house.mails()} == {"sent"}
        assert not any(CANARY.encode() in data for _, data in house.office.taken)
