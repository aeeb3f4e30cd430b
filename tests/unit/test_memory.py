"""Threads allocate from one arena."""

from __future__ import annotations

import subprocess
import sys

# Four threads that each fill and free 40 MB beside something small that stays.
_PROGRAM = """
import sys, threading
from mailbox_service.app.memory import share_one_arena
if sys.argv[1] == "shared": share_one_arena()
def work(): return [bytes(1000) for _ in range(40_000)]
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
import ctypes; info = ctypes.CDLL(None).malloc_info; libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p); libc.fflush.argtypes = (ctypes.c_void_p,)
out = libc.fopen(b"/dev/stdout", b"w"); libc.malloc_info(0, out); libc.fflush(out)
"""


def arenas(how: str) -> int:
    told = subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True).stdout
    return told.count("<heap nr=")


def test_all_threads_share_one_arena() -> None:
    assert (arenas("shared"), arenas("apart") > 1) == (1, True)
