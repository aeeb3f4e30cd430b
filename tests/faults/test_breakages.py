"""The harness is proven itself: each deliberate defect is noticed, and by the oracle that is there for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import breakages, power_cut
from tests.faults.failpoints import Fault
from tests.faults.races import both_hold_the_same_mails, both_store_the_same_mail
from tests.faults.scene import NewScene, Scene

sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
postgres = pytest.mark.parametrize("kind", ["postgres"], indirect=True)


async def one_pass(here: Scene) -> None:
    assert await here.once() == 0, here.log()


async def two_passes(here: Scene) -> None:
    await here.once()
    await here.once()


async def killed_after_the_dot(here: Scene) -> None:
    await here.once(Fault("kill", "after write smtp dot"))
    await here.once()


@sqlite
@pytest.mark.parametrize(
    ("breakage", "course", "oracle"),
    [
        ("flag_before_commit", one_pass, "the_server_is_told_after_the_commit"),
        ("mail_not_frozen", killed_after_the_dot, "every_copy_is_the_frozen_mail"),
        ("outcome_not_recorded", two_passes, "a_mail_is_repeated_only_where_nobody_can_know"),
        ("message_dropped", one_pass, "every_message_is_on_file"),
    ],
)
async def test_a_broken_service_is_noticed(
    breakage: str, course: Callable[[Scene], Awaitable[None]], oracle: str, new_scene: NewScene
) -> None:
    async with new_scene() as sound:
        await course(sound)
        assert not sound.wrong()
    async with new_scene() as broken:
        broken.breakage = breakage
        await course(broken)
        assert any(line.startswith(oracle) for line in broken.wrong()), broken.wrong()


@postgres
async def test_a_missing_fencing_token_is_noticed(new_scene: NewScene) -> None:
    async with new_scene() as broken:
        broken.breakage = "no_fencing_token"
        await both_hold_the_same_mails(broken)
        assert any(line.startswith("a_mail_is_repeated_only") for line in broken.wrong()), broken.wrong()


@pytest.fixture
def restored(request: pytest.FixtureRequest) -> Iterator[None]:
    """The schema of the shared database is whole again afterwards."""
    yield
    breakages.restore_unique_keys(request.getfixturevalue("migrated_postgres"))


@postgres
@pytest.mark.usefixtures("restored")
async def test_a_missing_unique_key_is_noticed(new_scene: NewScene) -> None:
    async with new_scene() as broken:
        breakages.drop_unique_keys(broken.url)
        await both_store_the_same_mail(broken)
        assert any(line.startswith("a_message_is_worked_once") for line in broken.wrong()), broken.wrong()


@sqlite
async def test_a_commit_that_does_not_reach_the_disk_is_noticed(new_scene: NewScene, tmp_path: Path) -> None:
    async with new_scene() as broken:
        broken.breakage, broken.disk = "commits_not_synced", tmp_path / "disk"
        before = broken.database_files()
        assert await broken.once() == 0, broken.log()
        assert power_cut.wrong(power_cut.recorded(broken.disk), before, tmp_path / "image", seed=1)
