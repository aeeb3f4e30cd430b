"""Searches over large bytes in steps.

One call into C code holds the interpreter's lock until it returns, and with it the event loop, whatever thread it is
made in: a search through 50 MB stops all connections for up to 0.4 s. Between two steps others may run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

STEP_BYTES = 1024 * 1024  # at most some 10 ms of the costliest pattern


def find(buf: bytes, needle: bytes, start: int, end: int) -> int:
    """As `buf.find`."""
    for at, stop in _steps(start, end, len(needle) - 1):
        found = buf.find(needle, at, stop)
        if found >= 0:
            return found
    return -1


def count(buf: bytes, needle: bytes, start: int, end: int) -> int:
    """As `buf.count`, of a needle that cannot overlap itself."""
    return sum(buf.count(needle, at, stop) for at, stop in _steps(start, end, len(needle) - 1))


def replaced(buf: bytes, byte: bytes, by: bytes) -> bytes:
    """As `buf.replace`, of one byte."""
    return b"".join(buf[at:stop].replace(byte, by) for at, stop in _steps(0, len(buf), 0))


def search(pattern: re.Pattern[bytes], longest: int, buf: bytes, start: int, end: int) -> re.Match[bytes] | None:
    """As `pattern.search`, for a pattern that matches at most `longest` bytes and looks at none beyond them."""
    for at, stop in _steps(start, end, longest - 1):
        found = pattern.search(buf, at, stop)
        if found is not None:
            return found
    return None


def _steps(start: int, end: int, overlap: int) -> Iterator[tuple[int, int]]:
    for at in range(start, end, STEP_BYTES):
        yield at, min(end, at + STEP_BYTES + overlap)
