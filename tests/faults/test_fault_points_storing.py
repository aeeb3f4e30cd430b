"""The fault points of the database and the machine: 5, 8 to 11 and 19 to 21 of docs/faults.md."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailbox_service.adapters.database.storage import Database
from tests.database.setting import NOW, SOON
from tests.database.setting import mail as new_mail
from tests.faults import power_cut
from tests.faults.campaign import Point, points_of
from tests.faults.failpoints import Fault
from tests.faults.judge import a_message_is_worked_once, every_action_is_complete, judge
from tests.faults.scene import MAILS, NewScene, mail
from tests.peers.postgres import PostgresServer

sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
postgres_only = pytest.mark.parametrize("kind", ["postgres"], indirect=True)
FOR_EVER = 1_000_000
DAYS_2 = 2 * 86400.0


@pytest.fixture
async def points(new_scene: NewScene, tmp_path: Path) -> list[Point]:
    """Every point of a pass in which nothing goes wrong."""
    async with new_scene() as here:
        assert await here.once(trace=tmp_path / "trace") == 0, here.log()
    return points_of(tmp_path / "trace")


def between(points: Sequence[Point], start: str, end: str) -> list[Point]:
    names = [point.name for point in points]
    last = names.index(end)
    first = last - names[last::-1].index(start)
    return list(points[first + 1 : last])


@pytest.mark.parametrize("when", ["before", "after"])
async def test_fault_05_a_death_around_the_commit_of_the_bytes(when: str, new_scene: NewScene) -> None:
    async with new_scene() as here:
        assert await here.once(Fault("kill", f"{when} commit T1")) == -signal.SIGKILL
        assert len(here.records().messages) == (len(MAILS) if when == "after" else 0)
        assert not here.wrong_now()
        await here.until_quiet()
        assert not here.wrong()


@sqlite
async def test_fault_05_what_was_committed_outlives_a_power_cut(new_scene: NewScene, tmp_path: Path) -> None:
    async with new_scene() as here:
        before, here.disk = here.database_files(), tmp_path / "disk"
        assert await here.once() == 0, here.log()
        events = power_cut.recorded(here.disk)
        assert sum(isinstance(event, str) for event in events) > 7
        assert power_cut.wrong(events, before, tmp_path / "image", seed=1) == []


@postgres_only
async def test_fault_05_what_was_committed_outlives_the_server(new_scene: NewScene, postgres: PostgresServer) -> None:
    async with new_scene() as here:
        life = await here.start(Fault("stop", "after commit T1"))
        await here.stopped(life)
        postgres.kill()
        postgres.start()
        assert len(here.records().messages) == len(MAILS)
        here.go_on(life)
        await here.ended(life)
        await here.until_quiet()
        assert not here.wrong()


@sqlite
async def test_fault_08_a_mail_that_kills_its_worker_is_held_and_the_others_are_worked(new_scene: NewScene) -> None:
    poison = mail(9, "poison", "SQL injection, proof of concept")
    async with new_scene(mails=[MAILS[0], poison, MAILS[1]]) as here:
        here.breakage = "poison_kills"
        lives = 0
        while await here.once() != 0 and lives < 9:
            lives += 1
            assert not here.wrong_now()
        assert 1 <= lives <= 5
        assert not here.wrong()
        held = [message for message in here.records().messages if message.state == "held"]
        assert [message.data for message in held] == [poison]
        assert {m.recipient for m in here.records().mails if m.about == held[0].id} == {
            "ada@example.org",
            "grace@example.org",
        }


async def test_fault_09_a_death_in_each_state_of_a_message(new_scene: NewScene) -> None:
    async with new_scene() as here:
        for step in ("T1", "T2", "T3"):
            assert await here.once(Fault("kill", f"after commit {step}")) == -signal.SIGKILL
            assert not here.wrong_now()
        await here.until_quiet()
        assert not here.wrong()


@sqlite
async def test_fault_10_a_death_after_each_statement_that_makes_a_case(
    points: list[Point], new_scene: NewScene
) -> None:
    written = [p for p in between(points, "after commit T1", "before commit T3") if p.name.startswith("after ")]
    assert len(written) > 5
    # Fewer than five in a row: then the messages would be held, as those that kill their worker.
    for start in range(0, len(written), 3):
        async with new_scene() as here:
            for point in written[start : start + 3]:
                assert await here.once(Fault("kill", point.name)) == -signal.SIGKILL, point
                # A case is there with all that belongs to it, or not at all.
                assert not judge(here.history, here.records(), [a_message_is_worked_once, every_action_is_complete])
            await here.until_quiet()
            assert not here.wrong()


def test_fault_11_the_same_cause_a_hundred_times_is_one_mail(database: Database) -> None:
    for _ in range(100):
        database.run(lambda tx: tx.add_mails([new_mail()], NOW, NOW + SOON))
    assert len(database.run(lambda tx: tx.list_outbound())) == 1


@postgres_only
@pytest.mark.parametrize(
    "moment", ["before commit T1", "before INSERT outbound", "after write smtp dot", "before write imap UID MOVE"]
)
async def test_fault_19_the_database_goes_and_comes_back(
    moment: str, new_scene: NewScene, postgres: PostgresServer
) -> None:
    async with new_scene() as here:
        life = await here.start(Fault("stop", moment))
        await here.stopped(life)
        here.note_commits()
        postgres.stop()
        here.go_on(life)
        try:
            await here.away(life, seconds=1.0)
        finally:
            postgres.start()
        await here.ended(life)
        assert not here.wrong_now()
        await here.until_quiet()
        assert not here.wrong()


@sqlite
@pytest.mark.parametrize("operation", ["write", "fsync"])
@pytest.mark.parametrize(("step", "times"), [("T1", FOR_EVER), ("T3", FOR_EVER), ("T6", 1)])
async def test_fault_20_a_full_disk_at_a_write_an_fsync_and_a_commit(
    step: str, times: int, operation: str, points: list[Point], new_scene: NewScene
) -> None:
    """SQLite writes and syncs at COMMIT, so that these three are one place. T6 comes soon again: it is insisted on."""
    committing = between(points, f"before commit {step}", f"after commit {step}")
    point = next(p for p in committing if p.name == f"before {operation} wal")
    async with new_scene() as here:
        await here.once(Fault("full", point.name, point.nth, times))
        assert not here.wrong_now()
        assert "database:" in here.log()
        await here.until_quiet()
        assert not here.wrong()


@sqlite
async def test_fault_20_a_log_that_cannot_be_written_stops_nothing(new_scene: NewScene) -> None:
    async with new_scene() as here:
        here.log_file = Path("/dev/full")
        assert await here.once() == 0
        assert not here.wrong()


@sqlite
@pytest.mark.parametrize("seconds", [DAYS_2, -DAYS_2])
@pytest.mark.parametrize("moment", ["after commit T1", "after commit T3", "after commit T4", "before write smtp DATA"])
async def test_fault_21_the_clock_jumps(moment: str, seconds: float, new_scene: NewScene) -> None:
    async with new_scene() as here:
        await here.once(Fault("jump", moment, seconds=seconds))
        here.clock = seconds
        assert not here.wrong_now()
        await here.once()
        here.clock = abs(seconds)  # what is due later than a clock that went back comes when that moment has come
        await here.until_quiet()
        assert not here.wrong()
