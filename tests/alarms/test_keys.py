"""Keys that expire are told 30, 14 and 3 days ahead, and not each day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.gpg.keys import KeyFacts, SubkeyFacts
from mailbox_service.errors import TemporaryError
from mailbox_service.services.ports.openpgp import Pin, PublicKey
from tests.alarms.bench import DAY, HOUR, Watch
from tests.database.setting import NOW

KEY = "A" * 40


def key(days: float) -> KeyFacts:
    return KeyFacts(SubkeyFacts(KEY, "ed25519", "sce", NOW, NOW + timedelta(days=days), True))


def pinned(address: str, days: float) -> Pin:
    return Pin(
        "security",
        address,
        PublicKey(KEY, f"valid for {days} days".encode()),
        None,
        "host",
        NOW,
        NOW + timedelta(days=days),
    )


async def told_by_day(watch: Watch, name: str, days: int) -> list[tuple[int, str]]:
    """On which day what was told."""
    told = []
    for day in range(days):
        told += [(day, one.split()[1]) for one in await watch.look_after(DAY) if one.startswith(name)]
    return told


async def test_a_maintainers_key_is_told_at_its_steps_until_it_is_renewed(embedded: Database) -> None:
    watch = Watch(embedded)
    await embedded.transact(lambda tx: tx.pin(pinned("Ada@example.org", 40)))
    assert await told_by_day(watch, "pinned_key", 45) == [
        (9, "raised"),
        (25, "reminder"),
        (36, "reminder"),
        (39, "reminder"),
    ]
    await embedded.transact(lambda tx: tx.pin(pinned("ada@example.org", 400)))
    assert await told_by_day(watch, "pinned_key", 2) == [(0, "over")]


async def test_the_keys_of_reporters_are_no_alarm(embedded: Database) -> None:
    watch = Watch(embedded)
    await embedded.transact(lambda tx: tx.pin(pinned("eve@research.example", 1)))
    assert await told_by_day(watch, "pinned_key", 3) == []


async def test_the_mailboxes_own_key_is_told_unless_another_lasts_longer(embedded: Database) -> None:
    watch = Watch(embedded)
    keys = [key(40)]

    async def own() -> Mapping[str, Sequence[KeyFacts]]:
        return {"security": list(keys)}

    watch.vigil._own_keys = own
    assert await told_by_day(watch, "own_key", 45) == [
        (9, "raised"),
        (25, "reminder"),
        (36, "reminder"),
        (39, "reminder"),
    ]
    keys.insert(0, key(400))
    assert await told_by_day(watch, "own_key", 2) == [(0, "over")]


async def test_keys_that_cannot_be_listed_keep_the_vigil_from_nothing(embedded: Database) -> None:
    watch = Watch(embedded)

    async def own() -> Mapping[str, Sequence[KeyFacts]]:
        raise TemporaryError("gpg cannot be run")

    watch.vigil._own_keys = own
    await embedded.transact(lambda tx: tx.pin(pinned("ada@example.org", 1)))
    assert "pinned_key raised" in await watch.look_after(HOUR)
