"""What seals a clear case: an encrypted message of somebody known. A stranger must not silence those without a key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.adapters.openpgp.ownership import generate
from tests.conversation.people import said
from tests.end_to_end.openpgp_people import Correspondent
from tests.openpgp.keys import People
from tests.openpgp.keys import Person as Keyholder
from tests.openpgp.test_sealing import keyrings
from tests.openpgp.test_signatures import BEFORE, Signing, begun
from tests.services.bench import BOX

SECRET, CLEAR = "Kanarienvogel in parse_header.", "Please try the newest build."
ADA, GRACE, JANE = "ada@example.org", "grace@example.org", "jane@research.example"
ARMOUR = "-----BEGIN PGP MESSAGE-----\n\nhQEMA0\n=abcd\n-----END PGP MESSAGE-----"


@pytest.fixture(scope="module")
def door() -> Iterator[GpgDoor]:
    with keyrings() as homes:
        generate(homes, "Example security", BOX.address, "2y")
        yield GpgDoor(homes, frozenset({BOX.address}))


@pytest.fixture(scope="module")
def keys(people: People) -> dict[str, Keyholder]:
    named = {"Ada": ADA, "Grace": GRACE, "Jane": JANE, "Mallory": JANE}
    return {name: people.join(f"{name} <{address}>", at=BEFORE) for name, address in named.items()}


@pytest.fixture
async def story(database: Database, door: GpgDoor, keys: dict[str, Keyholder]) -> AsyncIterator[Signing]:
    """Jane's case, which is clear. No key is pinned."""
    found = await begun(database, door, keys, replace(BOX, openpgp=True))
    for address in (ADA, GRACE):
        found.bench.database.run(lambda tx, who=address: tx.unpin(BOX.name, who, None, found.bench.now))  # type: ignore[misc]
    yield found


def correspondent(person: Any) -> Correspondent:
    assert isinstance(person, Correspondent)
    return person


def encrypted(who: Any, *, proven: bool, to_ours: bool = True, **how: Any) -> bytes:
    """An answer of theirs, or of somebody who writes in their name, that only the mailbox can read."""
    person = correspondent(who)
    mail = person.write(SECRET, answering=person.newest() if to_ours else None, proven=proven, quote=False)
    return person.seal(mail, sign=False, **how)


def sealed(story: Signing, reference: str = "SEC-2026-0001") -> bool:
    return bool(story.bench.database.run(lambda tx: tx.case_row(reference))["sealed"])


async def still_open_to_all(story: Signing) -> None:
    """Jane's case goes on in clear, as if nothing had come: whoever has no key is told everything."""
    assert not sealed(story)
    out = await story.answer(story.ada, f"/reply\n{CLEAR}\n", "[SEC-2026-0001]")
    got = {recipient: said(mail) for recipient, mail in out}
    assert CLEAR in got[JANE] and CLEAR in got[GRACE]
    assert not any(SECRET.encode() in data for _, data in story.bench.office.taken)


async def test_in_a_maintainers_name_it_is_held_and_seals_nothing(story: Signing) -> None:
    await story.send(encrypted(story.ada, proven=False))
    row = story.bench.row(-1)
    assert (row["disposition"], row["case"]) == ("hold", None)
    assert "without proof; it would seal SEC-2026-0001" in row["why"]
    assert {mail["recipient"] for mail in story.bench.mails("held")} == {ADA, GRACE}
    await still_open_to_all(story)


@pytest.mark.parametrize("to_ours", [True, False])
async def test_in_a_reporters_name_it_opens_a_case_of_its_own(story: Signing, to_ours: bool) -> None:
    """With a mail of ours that leaked, or with nothing but the Message-ID of the report."""
    forged = encrypted(story.jane, proven=False, to_ours=to_ours)
    if not to_ours:
        forged = b"In-Reply-To: <jane.1@research.example>\r\n" + forged
    await story.send(forged)
    assert sealed(story, "SEC-2026-0002")
    entry = story.bench.journal("SEC-2026-0002")[0]
    assert entry["data"]["relation"] == "SEC-2026-0001"
    await still_open_to_all(story)


async def test_what_only_looks_encrypted_does_no_more(story: Signing) -> None:
    await story.send(story.ada.write(ARMOUR, answering=story.ada.newest(), proven=False, quote=False))
    await still_open_to_all(story)


async def test_an_automatic_answer_in_their_name_seals_nothing(story: Signing) -> None:
    await story.send(b"Auto-Submitted: auto-replied\r\n" + encrypted(story.jane, proven=True))
    await still_open_to_all(story)


async def test_a_bounce_that_anybody_may_have_written_seals_nothing(story: Signing) -> None:
    report = (
        "Return-Path: <>\nFrom: MAILER-DAEMON@research.example\nTo: security@example.org\n"
        f"Subject: Undelivered Mail Returned to Sender\nIn-Reply-To: {story.jane.newest()['Message-ID']}\n"
        "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        f"--b\nContent-Type: text/plain\n\n{ARMOUR}\n--b\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.research.example\n\nFinal-Recipient: rfc822; {JANE}\nAction: failed\n"
        "Status: 5.1.1\n--b--\n"
    )
    await story.send(report.replace("\n", "\r\n").encode())
    assert story.bench.row(-1)["disposition"] == "bounce"
    await still_open_to_all(story)


async def test_a_key_that_is_theirs_in_another_case_alone_proves_nothing_here(
    story: Signing, keys: dict[str, Keyholder]
) -> None:
    """Whoever reports in Jane's name, with a key, has pinned it for their own case."""
    jane, mallory = correspondent(story.jane), keys["Mallory"]
    opening = jane.write(SECRET, proven=False, subject="report: another")
    await story.send(jane.seal(opening, sign=False, offer=True, by=mallory))
    story.pin(JANE, mallory.public, case=2, how="first use")
    signed = story.signed(jane, SECRET, "[SEC-2026-0001]", by=mallory)
    await story.send(jane.seal(signed, sign=False, by=mallory))
    await still_open_to_all(story)


@pytest.mark.parametrize("who", ["jane", "ada"])
async def test_whom_the_mail_server_vouches_for_seals_it(story: Signing, who: str) -> None:
    await story.send(encrypted(getattr(story, who), proven=True))
    assert sealed(story)
    assert story.bench.row(-1)["disposition"] == "attached"


@pytest.mark.parametrize("who", ["jane", "ada"])
async def test_who_has_signed_it_seals_it(story: Signing, keys: dict[str, Keyholder], who: str) -> None:
    person = correspondent(getattr(story, who))
    if who == "ada":
        story.pin(ADA, keys["Ada"].public)
    else:
        story.pin(JANE, keys["Jane"].public, case=1, how="first use")
    await story.send(person.seal(story.signed(person, SECRET), sign=False))
    assert sealed(story)
    assert story.bench.row(-1)["disposition"] == "attached"


async def test_a_maintainers_key_that_a_mail_brought_seals_nothing(story: Signing, keys: dict[str, Keyholder]) -> None:
    ada = correspondent(story.ada)
    story.pin(ADA, keys["Mallory"].public, case=1, how="first use")
    await story.send(ada.seal(story.signed(ada, SECRET, by=keys["Mallory"]), sign=False, by=keys["Mallory"]))
    await still_open_to_all(story)


async def test_to_a_case_that_is_sealed_it_is_added_as_before(story: Signing) -> None:
    await story.send(encrypted(story.jane, proven=True))
    await story.send(encrypted(story.jane, proven=False))
    assert story.bench.row(-1)["disposition"] == "attached" and len(story.bench.cases()) == 1
