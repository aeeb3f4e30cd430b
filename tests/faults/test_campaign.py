"""SIGKILL at each step, and again during the recovery: nothing is lost, and nothing doubled but in the one window.

A usual run takes a sample; see campaign.py for the switches of the long one, and docs/faults.md for its last result.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults import campaign
from tests.faults.campaign import Point, Tally
from tests.faults.failpoints import Fault
from tests.faults.scene import NewScene, Scene

# Parts of a campaign, which may run side by side.
PARTS = 8
LONG_SECONDS = 4 * 3600
pytestmark = pytest.mark.timeout(LONG_SECONDS if campaign.ALL or campaign.PAIRS > 50 else 600)


async def dry_run(new_scene: NewScene, folder: Path) -> list[Point]:
    """Every point of a pass in which nothing goes wrong."""
    trace = folder / "trace"
    async with new_scene() as here:
        assert await here.once(trace=trace) == 0, here.log()
        assert not here.wrong()
    points = campaign.points_of(trace)
    # A step that is called otherwise by now would drop out of every sample.
    assert set(campaign.CRITICAL) <= {point.name for point in points}
    return points


async def survives(here: Scene, faults: Sequence[Fault], tally: Tally) -> None:
    """One life after the other ends at its fault; then the service comes to rest, and all is as it should be."""
    for fault in faults:
        status = await here.once(fault)
        assert status in (-signal.SIGKILL, 0), here.log()
        tally.deaths += status != 0
        tally.not_reached += status == 0
        assert not here.wrong_now(), (faults, campaign.SEED)
    await here.until_quiet()
    assert not here.wrong(), (faults, campaign.SEED)
    tally.repeated += len(here.history.accepted) - len({one.message_id for one in here.history.accepted})


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_death_at_any_step_loses_nothing_and_doubles_nothing(
    part: int, kind: str, new_scene: NewScene, tmp_path: Path
) -> None:
    points = campaign.chosen(await dry_run(new_scene, tmp_path))
    tally = Tally()
    for point in points[part::PARTS]:
        async with new_scene() as here:
            await survives(here, [point.fault("kill")], tally)
    tally.report(f"single deaths, {kind}, part {part + 1} of {PARTS}")
    assert tally.deaths > tally.not_reached


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_second_death_during_the_recovery_changes_nothing(
    part: int, kind: str, new_scene: NewScene, tmp_path: Path
) -> None:
    pairs = campaign.pairs(await dry_run(new_scene, tmp_path), campaign.PAIRS, campaign.SEED)
    tally = Tally()
    for faults in pairs[part::PARTS]:
        async with new_scene() as here:
            await survives(here, faults, tally)
    tally.report(f"pairs of deaths, {kind}, part {part + 1} of {PARTS}")
    assert tally.deaths >= tally.not_reached


async def test_a_pass_that_finds_nothing_new_changes_nothing(new_scene: NewScene) -> None:
    async with new_scene() as here:
        for _ in range(3):
            assert await here.once() == 0, here.log()
        assert not here.wrong()


async def test_a_daemon_told_to_stop_at_any_step_ends_in_order(kind: str, new_scene: NewScene, tmp_path: Path) -> None:
    """SIGTERM cancels every task where it stands: a reply that came is recorded, one that did not is unknown."""
    points = await dry_run(new_scene, tmp_path)
    tally = Tally()
    few = campaign.sample(points, campaign.POINTS, campaign.SEED)[::8]
    for point in points if campaign.ALL else few:
        async with new_scene() as here:
            await here.told_to_stop(point.fault("term"))
            assert not here.wrong_now(), (point, campaign.SEED)
            await here.until_quiet()
            assert not here.wrong(), (point, campaign.SEED)
            tally.deaths += 1
    tally.report(f"SIGTERM, {kind}")
