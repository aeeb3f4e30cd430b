"""A signature counts once: who sends it again, encrypted anew, is shown as somebody who repeats another's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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

SECRET = "The hole is in parse_header."


@pytest.fixture(scope="module")
def door() -> Iterator[GpgDoor]:
    with keyrings() as homes:
        generate(homes, "Example security", BOX.address, "2y")
        yield GpgDoor(homes, frozenset({BOX.address}))


@pytest.fixture(scope="module")
def keys(people: People) -> dict[str, Keyholder]:
    named = {"Ada": "ada", "Grace": "grace", "Mallory": "mallory"}
    found = {name: people.join(f"{name} <{local}@example.org>", at=BEFORE) for name, local in named.items()}
    return found | {"Jane": people.join("Jane <jane@research.example>", at=BEFORE)}


async def sealed_story(database: Database, door: GpgDoor, keys: dict[str, Keyholder]) -> Signing:
    """Jane's case is sealed; Ada and Grace have pinned keys."""
    story = await begun(database, door, keys, replace(BOX, openpgp=True))
    jane = story.jane
    assert isinstance(jane, Correspondent)
    mail = jane.write("More.", answering=jane.newest())
    await story.send(jane.seal(mail, sign=False))
    assert story.case()["sealed"]
    return story


def top(story: Signing, who: str) -> str:
    """What a notice says first to somebody with a key."""
    return said(story.people[who].got[-1])


async def test_a_repeated_signature_is_told_as_one_before_all_else(
    database: Database, door: GpgDoor, keys: dict[str, Keyholder]
) -> None:
    story = await sealed_story(database, door, keys)
    ada, grace = story.ada, story.grace
    assert isinstance(ada, Correspondent) and isinstance(grace, Correspondent)
    signed = story.signed(ada, SECRET)
    await story.send(ada.seal(signed, sign=False))
    first = len(story.bench.messages())
    shown = top(story, grace.address)
    assert f"signed by the key pinned to {ada.address}: {keys['Ada'].fingerprint}" in shown and SECRET in shown
    # Whoever has read it encrypts it anew: another ciphertext, the same signature.
    again = signed.replace(b"Message-ID: <ada.", b"Message-ID: <again.", 1)
    proven = b"Authentication-Results: mx.example.org; dmarc=pass header.from=example.org\r\n"
    for mail in (ada.seal(again, sign=False), proven + again.replace(b"<again.", b"<clear.")):
        await story.send(mail)
        shown = top(story, grace.address)
        assert f"Its signature is a repetition of that of message {first}, and proves nothing." in shown
        assert "signed by the key" not in shown and SECRET in shown


async def test_in_a_clear_case_a_notice_says_who_signed_and_what_is_a_repetition(
    database: Database, door: GpgDoor, keys: dict[str, Keyholder]
) -> None:
    story = await begun(database, door, keys)
    jane = story.jane
    assert isinstance(jane, Correspondent)
    story.pin(jane.address, keys["Jane"].public, case=1, how="first use")
    signed = story.signed(jane, SECRET)
    await story.send(signed)
    shown = top(story, story.grace.address)
    assert f"It is signed by the key pinned to {jane.address}: {keys['Jane'].fingerprint}." in shown and SECRET in shown
    await story.send(signed.replace(b"Message-ID: <jane.", b"Message-ID: <again.", 1))
    shown = top(story, story.grace.address)
    assert "came before, in message 2; the signature proves nothing" in shown and "signed by the key" not in shown
    await story.send(story.signed(jane, SECRET, by=keys["Mallory"]))
    assert "Its signature proves nothing: unknown key." in top(story, story.grace.address)


async def test_a_key_that_counts_in_another_case_alone_signs_nothing_here(
    database: Database, door: GpgDoor, keys: dict[str, Keyholder]
) -> None:
    """Whoever reports in Jane's name has pinned a key for their own case; and one maintainer is not the other."""
    story = await begun(database, door, keys)
    jane, ada = story.jane, story.ada
    assert isinstance(jane, Correspondent) and isinstance(ada, Correspondent)
    await story.send(jane.write("Another hole.", proven=False, subject="report: another"))
    story.pin(jane.address, keys["Mallory"].public, case=2, how="first use")
    await story.send(story.signed(jane, SECRET, "[SEC-2026-0001]", by=keys["Mallory"]))
    shown = top(story, story.grace.address)
    assert "Its signature proves nothing: unknown key." in shown and "signed by the key" not in shown
    await story.send(story.signed(ada, SECRET, "[SEC-2026-0001]", by=keys["Grace"]))
    shown = top(story, story.grace.address)
    assert f"signed by the key pinned to {story.grace.address}: {keys['Grace'].fingerprint}" in shown
