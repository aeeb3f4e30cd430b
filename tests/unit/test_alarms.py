"""When people are told of an alarm, and what the operators' page says of each."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailbox_service.core.alarms import ALARMS, AlarmState, Change, advance, quiet_after

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


class History:
    """One alarm, observed minute after minute."""

    def __init__(self) -> None:
        self.now, self.state = START, None
        self.told: list[tuple[float, Change]] = []  # hours after START, and what

    state: AlarmState | None

    def watch(self, minutes: float, *, on: bool, by: str = "worker-0", every: float = 1) -> None:
        end = self.now + timedelta(minutes=minutes)
        while self.now < end:
            self.state, change = advance(self.state, found_on=on, what="broken", by=by, now=self.now)
            # What is on file is what is read next time.
            self.state = AlarmState.load(self.state.dump()) if self.state is not None else None
            if change is not None:
                self.told.append((round((self.now - START) / timedelta(hours=1), 1), change))
            self.now += timedelta(minutes=every)


def test_what_stays_on_is_told_once_and_then_once_a_day() -> None:
    history = History()
    history.watch(3 * 24 * 60, on=True, every=10)
    assert history.told == [(0.0, Change.RAISED), (24.0, Change.REMINDER), (48.0, Change.REMINDER)]


def test_what_is_over_is_told_once() -> None:
    history = History()
    history.watch(10, on=False)
    history.watch(30, on=True)
    history.watch(24 * 60, on=False)
    assert [change for _, change in history.told] == [Change.RAISED, Change.OVER]


def test_what_comes_and_goes_does_not_become_a_storm() -> None:
    history = History()
    for _ in range(12 * 24):
        history.watch(3, on=True)
        history.watch(2, on=False)
    assert len(history.told) < 10
    history.watch(24 * 60, on=False, every=10)
    assert history.told[-1][1] is Change.OVER


def test_only_the_worker_that_found_it_ends_it_unless_that_one_is_gone() -> None:
    history = History()
    history.watch(1, on=True, by="worker-0")
    for _ in range(60):
        history.watch(1, on=False, by="worker-1")
        history.watch(1, on=True, by="worker-0")
    assert len(history.told) == 1
    history.watch(20, on=False, by="worker-1")
    assert [change for _, change in history.told] == [Change.RAISED, Change.OVER]


def test_a_clock_that_goes_back_neither_silences_nor_repeats_an_alarm() -> None:
    history = History()
    history.watch(10, on=True)
    history.now -= timedelta(hours=6)
    history.watch(10, on=True)
    history.watch(30, on=False)
    assert [change for _, change in history.told] == [Change.RAISED, Change.OVER]


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"on": true}', "not json", '{"since": 3}'])
def test_a_record_of_another_version_counts_as_none(text: str | None) -> None:
    assert AlarmState.load(text) is None


def test_the_pause_before_an_end_never_grows_beyond_half_a_day() -> None:
    assert [quiet_after(n) // timedelta(minutes=15) for n in (2, 3, 4, 5)] == [1, 2, 4, 8]
    assert quiet_after(10**6) == timedelta(hours=12)


def test_the_page_for_operators_names_each_alarm_with_meaning_and_remedy() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    expected = [(a.name, a.meaning, a.remedy, "yes" if a.by_mail else "no") for a in ALARMS.values()]
    assert rows == expected
