"""What people are answered in a case that came encrypted: whole to whoever has a key, and to nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.core.openpgp import Signed, read
from tests.openpgp.keys import Person
from tests.openpgp.test_sealed_cases import CANARY, JANE, ada, jane, newest, opened, secret_mail, stored, written
from tests.openpgp.test_sealing import ADA, door, pinned
from tests.services.bench import BOX, Bench, changed, letter

__all__ = ["ada", "door", "jane"]  # fixtures

GRACE = "grace@example.org"
CVE = "CVE-2026-4711"


@pytest.fixture
async def house(database: Database, door: GpgDoor, ada: Person, jane: Person) -> Bench:
    """A case of Jane's that came encrypted. Ada's key is pinned; neither Grace's nor Jane's is."""
    house = Bench(database, mailbox=changed(openpgp=True), doors={BOX.name: door})
    pinned(house, ADA, ada.public)
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    await house.deliver()
    return house


def named(house: Bench, address: str) -> str:
    """The mail of ours that a person answers."""
    return str(parse(newest(house, address)).message_id)


def said(data: bytes) -> str:
    """What a mail says to whoever looks at it on its way, on one line."""
    found = read(data)
    assert isinstance(found, Signed)
    return " ".join(parse(found.content).text.split())


def nowhere(house: Bench, *words: str) -> bool:
    """Whether the words are neither in the database nor in a byte that went out."""
    everything = [stored(house.database), *(data for _, data in house.office.taken)]
    return not any(word.encode() in data for word in words for data in everything)


async def test_who_has_a_key_reads_what_was_done_and_who_has_none_that_their_mail_was_read(
    house: Bench, door: GpgDoor, ada: Person
) -> None:
    await house.post(written(f"/reproduced\n/cve {CVE}\n", named(house, ADA), 1))
    await house.deliver()
    _, text, entity = opened(ada, newest(house, ADA))
    assert "moved the case to reproduced" in text and f"set cve to {CVE}" in text and not attached_files(entity)
    mail = letter(
        "Re", GRACE, references=named(house, GRACE), message_id="<g1@example.org>", body="/affects before 4.38\n"
    )
    await house.post(mail)
    await house.deliver()
    text = said(newest(house, GRACE))
    assert "was read" in text and "does not say what was done" in text and "nothing was changed" not in text
    assert "4.38" not in text and not any(CVE.encode() in data for _, data in house.office.taken)


async def test_lines_below_a_text_are_shown_to_who_wrote_them_and_kept_nowhere(
    house: Bench, door: GpgDoor, ada: Person
) -> None:
    body = f"/own\nLook at this:\n/credit {CANARY}\n"
    await house.post(secret_mail(ada, ADA, door, body, answers=named(house, ADA), number=2))
    await house.deliver()
    text = opened(ada, newest(house, ADA))[1]
    assert f"- /credit {CANARY}" in text and "gave the case to Ada" in text
    assert nowhere(house, CANARY)


async def test_what_is_written_wrong_is_shown_to_who_wrote_it_and_kept_nowhere(
    house: Bench, door: GpgDoor, ada: Person
) -> None:
    await house.post(secret_mail(ada, ADA, door, f"/{CANARY} sings\n", answers=named(house, ADA), number=2))
    await house.deliver()
    _, text, entity = opened(ada, newest(house, ADA))
    assert f"/{CANARY} sings: there is no such command" in text and not attached_files(entity)
    assert nowhere(house, CANARY)


async def test_what_is_refused_is_told_with_the_lines_and_the_reason(house: Bench, door: GpgDoor, ada: Person) -> None:
    body = "/merge SEC-2026-4711\n"
    await house.post(secret_mail(ada, ADA, door, body, answers=named(house, ADA), number=2))
    await house.deliver()
    text = opened(ada, newest(house, ADA))[1]
    assert "there is no case of this name in this mailbox" in text and "- /merge SEC-2026-4711" in text
    assert nowhere(house, "SEC-2026-4711")


async def test_who_comes_second_is_told_what_the_first_did_if_they_have_a_key(
    house: Bench, door: GpgDoor, ada: Person
) -> None:
    first = named(house, ADA)
    house.now += timedelta(minutes=1)
    grace = letter("Re", GRACE, references=named(house, GRACE), message_id="<g1@example.org>", body=f"/cve {CVE}\n")
    await house.post(grace)
    await house.post(secret_mail(ada, ADA, door, "/cve CVE-2026-1111\n", answers=first, number=2))
    await house.deliver()
    text = opened(ada, newest(house, ADA))[1]
    assert f"meanwhile Grace set cve to {CVE}" in text
    assert not any(CVE.encode() in data for _, data in house.office.taken)


async def test_status_tells_the_facts_to_who_has_a_key(house: Bench, door: GpgDoor, ada: Person, jane: Person) -> None:
    await house.post(written(f"/reproduced\n/cve {CVE}\n", named(house, ADA), 1))
    await house.deliver()
    await house.post(written("/status\n", named(house, ADA), 2))
    await house.deliver()
    assert f"CVE id: {CVE}" in opened(ada, newest(house, ADA))[1]
    for number in (1, 2):
        ask = letter(
            "Re",
            JANE,
            references=named_clear(house, JANE),
            message_id=f"<s{number}@research.example>",
            body="/status\n",
        )
        await house.post(ask)
        await house.deliver()
        if number == 1:
            assert "there is news on your report" in said(newest(house, JANE))
            pinned(house, JANE, jane.public, case=1)
    subject, text, _ = opened(jane, newest(house, JANE))
    assert f"CVE id: {CVE}" in text and "is accepted as true" in text and "SEC-2026-0001" in subject
    assert not any(CVE.encode() in data for _, data in house.office.taken)


def named_clear(house: Bench, address: str) -> str:
    """The first mail to a person, which is never encrypted."""
    return str(parse(next(data for to, data in house.office.taken if to == address)).message_id)


async def test_a_reporter_with_a_key_reads_what_they_did_and_why_not(house: Bench, door: GpgDoor, jane: Person) -> None:
    pinned(house, JANE, jane.public, case=1)
    first = named_clear(house, JANE)
    await house.post(secret_mail(jane, JANE, door, f"/credit {CANARY} Doe\n", answers=first, number=2))
    await house.deliver()
    text = opened(jane, newest(house, JANE))[1]
    assert f"you set credit to {CANARY} Doe" in text and "Ada" not in text
    await house.post(secret_mail(jane, JANE, door, f"/{CANARY}-works\n", answers=first, number=3))
    await house.deliver()
    assert f"/{CANARY}-works: there is no such command" in opened(jane, newest(house, JANE))[1]
    assert not any(CANARY.encode() in data for _, data in house.office.taken)


async def test_a_note_that_stayed_inside_is_shown_to_its_writer(house: Bench, door: GpgDoor, ada: Person) -> None:
    await house.post(secret_mail(ada, ADA, door, f"{CANARY} looks real.\n", answers=named(house, ADA), number=2))
    await house.deliver()
    text = opened(ada, newest(house, ADA))[1]
    assert "stayed with the maintainers" in text and f"{CANARY} looks real." in text
    assert nowhere(house, CANARY)
