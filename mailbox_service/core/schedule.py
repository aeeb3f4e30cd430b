"""Backoff and deadlines, computed from times that the caller passes in."""

from __future__ import annotations

from datetime import datetime, timedelta

MONDAY_TO_FRIDAY = frozenset(range(5))  # as datetime.weekday() counts
# From 1 s that is 34 years; a float could not hold 2**1024.
MOST_DOUBLINGS = 30


def backoff(attempt: int, first: timedelta, longest: timedelta, jitter: float) -> timedelta:
    """The pause after failed attempt number `attempt` (1, 2, …): doubling from `first` up to `longest`.

    `jitter` in [0, 1) takes away up to a quarter, so that many waiting rows do not come due together.
    """
    # Compared before it is multiplied: hours that double for weeks of attempts are more than a timedelta holds.
    doubled = min(max(attempt - 1, 0), MOST_DOUBLINGS)
    pause = longest if first > longest / 2**doubled else first * 2**doubled
    return pause * (1 - jitter / 4)


def add_working_days(start: datetime, days: int, working: frozenset[int] = MONDAY_TO_FRIDAY) -> datetime:
    """The same time of day on the clocks of `start`'s zone, `days` days of `working` (not empty) after it."""
    result = start
    while days > 0:
        result += timedelta(days=1)
        if result.weekday() in working:
            days -= 1
    return result
