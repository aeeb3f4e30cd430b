"""Sealed cases of many people, with keys and without: reporters, invited ones. Who gets what, and nobody else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.composition import OutFile
from mailbox_service.core.gpg.status import DecryptionFlaw
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.core.openpgp import Encrypted, read
from mailbox_service.services.ports import CaseId, MessageId
from mailbox_service.services.ports.openpgp import NotOpened, Opened, Pin, PublicKey
from tests.database.setting import NOW
from tests.openpgp.keys import People, Person
from tests.openpgp.test_sealed_cases import CANARY, JANE, newest, opened, secret_mail, stored, written
from tests.openpgp.test_sealing import ADA, door, ours, pinned
from tests.services.bench import BOX, Bench, changed

__all__ = ["door"]  # fixtures

KIM, FRIEND, GRACE = "kim@lab.example", "friend@elsewhere.example", "grace@example.org"
REF = "SEC-2026-0001"
PROOF = OutFile("proof.txt", f"{CANARY} proof".encode())
CAGE = OutFile("cage.bin", f"{CANARY}\x00bars".encode())


@pytest.fixture(scope="module")
def keys(people: People, door: GpgDoor) -> dict[str, Person]:
    """Everybody's, whether they are pinned or not."""
    found = {address: people.join(f"{address.partition('@')[0]} <{address}>") for address in (ADA, GRACE, JANE, KIM)}
    found[FRIEND] = people.join(f"friend <{FRIEND}>")
    for person in found.values():
        person.know(ours(door))
    return found


class Company(Bench):
    """Ada's key is pinned; the others' are where a test says so."""

    def __init__(self, database: Database, door: GpgDoor, keys: dict[str, Person]) -> None:
        super().__init__(database, mailbox=changed(openpgp=True), doors={BOX.name: door})
        self.keys, self.door, self._written = keys, door, 0
        pinned(self, ADA, keys[ADA].public)

    def first_use(self, address: str, case: int) -> None:
        """What the first mail of a reporter does that brings their key."""
        pin = Pin(BOX.name, address, self.keys[address].public, CaseId(case), "first use", NOW)
        self.database.run(lambda tx: tx.pin(pin))

    async def sends(self, address: str, body: str, answers: str | None = None, *files: OutFile, **how: str) -> None:
        """An encrypted mail, and all that follows from it."""
        self._written += 1
        key = self.keys[address]
        await self.post(
            secret_mail(key, address, self.door, body, answers=answers, files=files, number=self._written, **how)
        )
        await self.deliver()

    async def report(self, address: str, number: int, *files: OutFile) -> str:
        """Somebody reports; the id of the notice that Ada got."""
        await self.sends(address, f"{CANARY} report of {address}", None, *files, subject=f"report: {CANARY} {number}")
        return str(parse(newest(self, ADA)).message_id)

    def got(self, address: str) -> int:
        return sum(recipient == address for recipient, _ in self.office.taken)

    def reads(self, address: str) -> tuple[str, str, bytes]:
        """Subject, text and entity of the newest mail to somebody with a key."""
        return opened(self.keys[address], newest(self, address))

    def in_clear(self, address: str) -> str:
        """The text of the newest mail to somebody, which is not encrypted."""
        data = newest(self, address)
        assert not isinstance(read(data), Encrypted)
        return " ".join(parse(data).text.split())

    def nothing_lies_open(self) -> None:
        for word in (CANARY, "proof.txt", "cage.bin"):
            assert word.encode() not in stored(self.database)
            assert not any(word.encode() in data for _, data in self.office.taken)


@pytest.fixture
def company(database: Database, door: GpgDoor, keys: dict[str, Person]) -> Company:
    return Company(database, door, keys)


def files_of(entity: bytes) -> list[tuple[str, bytes]]:
    return [(file.filename, file.data) for file in attached_files(entity) if not file.filename.endswith(".eml")]


# --- a note that is sent on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_note_is_sent_on_with_its_files_to_those_who_may_read_it(company: Company, encrypted: bool) -> None:
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    before = company.got(JANE)
    await company.sends(ADA, f"{CANARY} is what we found.", notice, CAGE)
    assert company.got(JANE) == before, "a note stays inside"
    if encrypted:
        await company.sends(ADA, "/send", notice)
    else:
        await company.post(written("/send\n", notice, 9))
        await company.deliver()
    _, text, entity = company.reads(JANE)
    assert f"{CANARY} is what we found." in text and "Ada" not in text
    assert files_of(entity) == [(CAGE.filename, CAGE.data)]
    told = company.in_clear(GRACE)
    assert "is not shown here" in told and CANARY not in told
    company.nothing_lies_open()


async def test_a_second_maintainer_with_a_key_reads_the_note_that_was_sent_on(company: Company) -> None:
    pinned(company, GRACE, company.keys[GRACE].public)
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    await company.sends(ADA, f"{CANARY} is what we found.", notice, CAGE)
    _, text, _ = company.reads(GRACE)
    assert f"{CANARY} is what we found." in text
    await company.sends(ADA, "/send", notice)
    _, text, entity = company.reads(GRACE)
    assert f"{CANARY} is what we found." in text and "Ada answered the reporter" in text
    (whole,) = [file for file in attached_files(entity) if file.filename.endswith(".eml")]
    assert [(file.filename, file.data) for file in attached_files(whole.data)] == [(CAGE.filename, CAGE.data)]
    company.nothing_lies_open()


@pytest.mark.parametrize("to", ["notice", "note"])
async def test_lines_of_the_internal_mail_are_shown_to_their_writer_before_they_go_out(
    company: Company, to: str
) -> None:
    """A mail program that quotes without marks must not send one person's words to another."""
    pinned(company, GRACE, company.keys[GRACE].public)
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    line = f"{CANARY} report of {JANE}"
    if to == "note":
        line = f"{CANARY} was let in by a colleague of mine."
        await company.sends(GRACE, line, str(parse(newest(company, GRACE)).message_id))
        notice = str(parse(newest(company, ADA)).message_id)
    before = company.got(JANE)
    await company.sends(ADA, f"/reply\nThank you.\n\n{line}", notice)
    assert company.got(JANE) == before
    text = company.reads(ADA)[1]
    assert "/confirm" in text and line in text
    # The words of a doubt may be words of the case; which there are is told within.
    await company.sends(ADA, "/confirm", str(parse(newest(company, ADA)).message_id))
    assert line in company.reads(JANE)[1]
    company.nothing_lies_open()


# --- several reporters -----------------------------------------------------------------------------------------------


async def merged(company: Company) -> str:
    """Jane's case has taken in Kim's; the id of the notice that Ada answers."""
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    await company.report(KIM, 2)
    await company.sends(ADA, "/merge SEC-2026-0002", notice)
    return notice


async def test_each_of_several_reporters_reads_it_with_the_key_of_their_own_case(company: Company) -> None:
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    await company.report(KIM, 2)
    company.first_use(KIM, 2)
    await company.sends(ADA, "/merge SEC-2026-0002", notice)
    await company.sends(ADA, f"/reply\n{CANARY} sings.", notice, CAGE)
    for address in (JANE, KIM):
        _, text, entity = company.reads(address)
        assert f"{CANARY} sings." in text, address
        assert files_of(entity) == [(CAGE.filename, CAGE.data)]
    company.nothing_lies_open()


async def test_a_reporter_without_a_key_takes_nothing_from_the_others_and_it_is_said(company: Company) -> None:
    notice = await merged(company)
    await company.sends(ADA, f"/reply\n{CANARY} sings.", notice)
    assert f"{CANARY} sings." in company.reads(JANE)[1]
    told = company.in_clear(KIM)
    assert "there is news" in told and CANARY not in told and JANE not in told
    _, text, _ = company.reads(ADA)
    assert KIM in text and "no key" in text
    # Who may not know the reporters hears that somebody could not be served, and not who.
    told = company.in_clear(GRACE)
    assert KIM not in told and JANE not in told and "cannot read" in told
    company.nothing_lies_open()


# --- invited people --------------------------------------------------------------------------------------------------


async def invited(company: Company, text: str, *files: OutFile) -> str:
    """Ada invites a friend, and confirms it in an encrypted mail; the id of the first notice."""
    notice = await company.report(JANE, 1)
    await company.sends(ADA, f"/invite {FRIEND}\n{text}", notice, *files)
    question = newest(company, ADA)
    assert "/confirm" in company.reads(ADA)[1]
    before = company.got(FRIEND)
    await company.sends(ADA, "/confirm", str(parse(question).message_id))
    assert company.got(FRIEND) <= before + 1
    return notice


async def test_who_is_invited_and_has_a_key_reads_what_they_are_told(company: Company) -> None:
    pinned(company, FRIEND, company.keys[FRIEND].public)
    notice = await invited(company, f"{CANARY} is in your library.", CAGE)
    _, text, entity = company.reads(FRIEND)
    assert f"{CANARY} is in your library." in text and "glad of your help" in text
    assert files_of(entity) == [(CAGE.filename, CAGE.data)]
    assert company.got(JANE) == 1, "the reporter does not hear of it"
    # The reporter has no key, and a word for the friend does not need one.
    await company.sends(ADA, f"/invite {FRIEND}\n{CANARY} again.", notice)
    await company.sends(ADA, "/confirm", str(parse(newest(company, ADA)).message_id))
    assert f"{CANARY} again." in company.reads(FRIEND)[1]
    company.nothing_lies_open()


async def test_text_for_an_invited_person_without_a_key_is_refused_and_nothing_goes_out(company: Company) -> None:
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    await company.sends(ADA, f"/invite {FRIEND}\n{CANARY} is in your library.", notice)
    _, text, _ = company.reads(ADA)
    assert "nothing was sent" in text and "key" in text and "/confirm" not in text
    assert company.got(FRIEND) == 0
    company.nothing_lies_open()


async def test_an_invitation_without_text_says_nothing_and_asks_for_a_key(company: Company) -> None:
    await invited(company, "")
    told = company.in_clear(FRIEND)
    assert "glad of your help" in told and "public OpenPGP key" in told and REF in told
    assert "Your report" not in told and CANARY not in told and JANE not in told
    company.nothing_lies_open()


async def test_who_was_removed_without_a_key_is_thanked_and_told_nothing(company: Company) -> None:
    notice = await invited(company, "")
    await company.sends(ADA, f"/remove {FRIEND}", notice)
    if "/confirm" in company.reads(ADA)[1]:
        await company.sends(ADA, "/confirm", str(parse(newest(company, ADA)).message_id))
    told = company.in_clear(FRIEND)
    assert "You no longer take part in it" in told and "there is news" not in told


async def test_what_an_invited_person_writes_is_for_the_maintainers_alone(company: Company) -> None:
    pinned(company, FRIEND, company.keys[FRIEND].public)
    pinned(company, GRACE, company.keys[GRACE].public)
    await invited(company, f"{CANARY} is in your library.")
    before = company.got(JANE)
    await company.sends(FRIEND, f"{CANARY} was fixed by us.", str(parse(newest(company, FRIEND)).message_id), PROOF)
    for address in (ADA, GRACE):
        assert f"{CANARY} was fixed by us." in company.reads(address)[1]
    assert company.got(JANE) == before
    company.nothing_lies_open()


# --- confirmations in encrypted mail ---------------------------------------------------------------------------------


async def test_a_confirmation_in_a_quote_of_an_encrypted_mail_is_none(company: Company) -> None:
    pinned(company, FRIEND, company.keys[FRIEND].public)
    notice = await company.report(JANE, 1)
    await company.sends(ADA, f"/invite {FRIEND}\n{CANARY} is in your library.", notice)
    question = str(parse(newest(company, ADA)).message_id)
    for quoted in ("> /confirm", "I do not.\n\nOn Monday, Example security wrote:\n> Please answer with\n> /confirm"):
        await company.sends(ADA, quoted, question)
        assert company.got(FRIEND) == 0
    await company.sends(ADA, "/confirm\n\n> /confirm", question)
    assert f"{CANARY} is in your library." in company.reads(FRIEND)[1]
    count = company.got(FRIEND)
    await company.sends(ADA, "/confirm", question)
    assert company.got(FRIEND) == count and "nothing is done twice" in company.reads(ADA)[1]
    company.nothing_lies_open()


async def test_what_cannot_be_opened_any_more_when_it_is_confirmed_is_not_done_and_said(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned(company, FRIEND, company.keys[FRIEND].public)
    notice = await company.report(JANE, 1)
    await company.sends(ADA, f"/invite {FRIEND}\n{CANARY} is in your library.", notice)
    question = str(parse(newest(company, ADA)).message_id)
    _cannot_be_opened(company, MessageId(2), monkeypatch)
    await company.sends(ADA, "/confirm", question)
    assert company.got(FRIEND) == 0 and "cannot be opened" in company.reads(ADA)[1]
    assert [message["state"] for message in company.messages()] == ["done"] * 3


async def test_a_note_that_cannot_be_opened_any_more_is_not_sent_on_and_it_is_said(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    await company.sends(ADA, f"{CANARY} is what we found.", notice, CAGE)
    _cannot_be_opened(company, MessageId(2), monkeypatch)
    before = company.got(JANE)
    await company.sends(ADA, "/send", notice)
    assert company.got(JANE) == before and "cannot be opened" in company.reads(ADA)[1]
    assert [message["state"] for message in company.messages()] == ["done"] * 3


def _cannot_be_opened(company: Company, message: MessageId, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the key that it is encrypted to had been taken away."""
    there, opens = read(company.database.run(lambda tx: tx.raw(message))), company.door.open
    assert isinstance(there, Encrypted)
    gone = there.message.octets

    def closed(ciphertext: bytes, signers: Sequence[PublicKey] = ()) -> Opened | NotOpened:
        return NotOpened(DecryptionFlaw.NO_KEY) if ciphertext == gone else opens(ciphertext, signers)

    monkeypatch.setattr(company.door, "open", closed)


# --- a fix to try ----------------------------------------------------------------------------------------------------


async def test_a_fix_goes_to_who_can_read_it_and_the_others_hear_that_there_is_news(company: Company) -> None:
    notice = await merged(company)
    await company.sends(ADA, f"/patched\n{CANARY} is shut in.", notice, CAGE)
    _, text, entity = company.reads(JANE)
    assert "/fix-works" in text and CAGE.filename in text and f"{CANARY} is shut in." in text
    assert files_of(entity) == [(CAGE.filename, CAGE.data)]
    assert "there is news" in company.in_clear(KIM)
    assert "1 of the 2 cannot read it" in company.in_clear(GRACE)
    company.nothing_lies_open()


async def test_a_fix_that_nobody_can_read_is_said_to_be_unread_and_shows_no_name_of_a_file(company: Company) -> None:
    """The stage is the case's, whoever can read of it: it is carried out, and who did it hears what is missing."""
    notice = await company.report(JANE, 1)
    await company.sends(ADA, "/patched", notice, CAGE)
    told = company.in_clear(JANE)
    assert "there is news" in told and "public key" in told and "fix" not in told
    _, text, _ = company.reads(ADA)
    assert f"{JANE} cannot read it: no key is pinned to them" in text
    company.nothing_lies_open()


async def test_a_second_address_without_a_key_hears_that_there_is_news(company: Company) -> None:
    notice = await company.report(JANE, 1)
    company.first_use(JANE, 1)
    acknowledgement = str(parse(newest(company, JANE)).message_id)
    await company.sends(JANE, f"/second-address {KIM}", acknowledgement)
    for address in (JANE, KIM):
        question = str(parse(newest(company, address)).message_id)
        await company.sends(address, "/confirm", question)
    await company.sends(ADA, f"/reply\n{CANARY} sings.", notice)
    assert f"{CANARY} sings." in company.reads(JANE)[1]
    assert "there is news" in company.in_clear(KIM)
    # Their key is theirs, and no other of the case's.
    company.first_use(KIM, 1)
    await company.sends(ADA, f"/reply\n{CANARY} sings again.", notice)
    assert f"{CANARY} sings again." in company.reads(KIM)[1]
    company.nothing_lies_open()
