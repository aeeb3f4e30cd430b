"""The clock of the whole service; the only one."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


# Seconds that only grow, whatever happens to the wall clock.
monotonic = time.monotonic
