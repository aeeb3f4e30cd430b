"""A program that wants a terminal gets one, and nobody sits before it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROWS, _COLUMNS = 24, 80


def in_terminal(command: Sequence[str], *, folder: Path, env: Mapping[str, str], seconds: float = 30.0) -> bytes:
    """All that the program wrote to the terminal until it ended, control sequences included.

    One that fails, or still runs after `seconds` (most likely it asks something), is an AssertionError with the screen.
    """
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (_ROWS, _COLUMNS))
        process = subprocess.Popen(
            command, cwd=folder, env=dict(env), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
    finally:
        os.close(theirs)
    screen, end = b"", time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            if not select.select([ours], [], [], left)[0]:
                break
            try:
                got = os.read(ours, 1 << 16)
            except OSError:  # EIO: nobody has the other side open any more
                got = b""
            if not got:
                break
            screen += got
        try:
            code = process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
    assert code == 0, f"{command[0]} {'waits' if code is None else f'ended with {code}'}: {screen[-3000:]!r}"
    return screen
