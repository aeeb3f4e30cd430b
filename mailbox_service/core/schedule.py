"""Backoff and deadlines, computed from times that the caller passes in."""

from __future__ import annotations

from datetime import datetime, timedelta

SATURDAY = 5


def backoff(attempt: int, first: timedelta, longest: timedelta, jitter: float) -> timedelta:
    """The pause after failed attempt number `attempt` (1, 2, …): doubling from `first` up to `longest`.

    `jitter` in [0, 1) takes away up to a quarter, so that many waiting rows do not come due together.
    """
    # 2**40 is far beyond any `longest`; the cap keeps the multiplication below timedelta's limit.
    pause = min(first * 2 ** min(attempt - 1, 40), longest) if attempt > 0 else first
    return pause * (1 - jitter / 4)


def add_working_days(start: datetime, days: int) -> datetime:
    """The same time of day, `days` working days (Monday to Friday) after `start`."""
    result = start
    while days > 0:
        result += timedelta(days=1)
        if result.weekday() < SATURDAY:
            days -= 1
    return result
