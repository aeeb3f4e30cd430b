"""Time that really passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mailbox_service.services.elapsed import Elapsed

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clocks:
    def __init__(self) -> None:
        self.wall, self.steady = START, 50.0
        self.elapsed = Elapsed(lambda: self.wall, lambda: self.steady)

    def go_on(self, by: timedelta, jump: timedelta = timedelta()) -> timedelta | None:
        self.wall += by + jump
        self.steady += by.total_seconds()
        return self.elapsed.tick()


def test_without_a_jump_it_is_what_the_clock_says() -> None:
    clocks = Clocks()
    clocks.go_on(HOUR)
    made = clocks.wall
    assert clocks.go_on(HOUR) is None
    assert clocks.elapsed.since(made) == HOUR


def test_a_jump_is_found_and_taken_out() -> None:
    for jump in (timedelta(days=2), timedelta(days=-2)):
        clocks = Clocks()
        clocks.go_on(HOUR)
        before = clocks.wall
        assert clocks.go_on(HOUR, jump) == jump
        after = clocks.wall
        clocks.go_on(HOUR)
        assert clocks.elapsed.since(before) == 2 * HOUR
        if jump > timedelta():
            assert clocks.elapsed.since(after) == HOUR


def test_a_small_correction_is_no_jump() -> None:
    clocks = Clocks()
    assert clocks.go_on(HOUR, timedelta(seconds=30)) is None


def test_what_lay_about_while_the_service_was_stopped_is_not_old() -> None:
    clocks = Clocks()
    clocks.go_on(timedelta(minutes=5))
    assert clocks.elapsed.since(START - timedelta(days=3)) == timedelta(minutes=5)
    assert clocks.elapsed.since(clocks.wall + HOUR) == timedelta()
