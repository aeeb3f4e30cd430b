"""The process's memory: what it has given up is there for all of its threads."""

from __future__ import annotations

import ctypes
import gc

# mallopt(3), glibc.
_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3
# Batches of mail come and go as buffers of some megabytes. Left to itself glibc moves its threshold up to their size,
# and the heap grows around the holes they leave; from here on they are mapped, and given back when they are freed.
_MAPPED_FROM_BYTES = 512 * 1024


def share_one_arena() -> None:
    """Let all threads allocate from one arena; glibc would keep one for each, with what it has freed. Call it early.

    Threads of Python hardly allocate at the same time, so nobody waits for it. Does nothing where there is no glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)


def keep_what_is_loaded() -> None:
    """Spare the garbage collector what is there to stay: modules, tables, statements. Call it once all is loaded."""
    gc.collect()
    gc.freeze()
