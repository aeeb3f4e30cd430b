"""Backoff and deadlines, computed from times that the caller passes in."""

from __future__ import annotations

from datetime import datetime, timedelta

SATURDAY = 5
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


def add_working_days(start: datetime, days: int) -> datetime:
    """The same time of day, `days` working days (Monday to Friday) after `start`."""
    result = start
    while days > 0:
        result += timedelta(days=1)
        if result.weekday() < SATURDAY:
            days -= 1
    return result
