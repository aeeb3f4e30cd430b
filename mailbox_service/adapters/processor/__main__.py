"""The process behind a `ChildProcessor`: takes a `Processing`, then requests, until its input ends."""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import BinaryIO

from mailbox_service.adapters.processor.frames import DEADLINE_SECONDS, HEADER, PIPE_BYTES, packed, unpacked
from mailbox_service.lean import RareLogger
from mailbox_service.services.processing import Processing

# Far above what the largest message takes; a fault must not take the machine along.
MEMORY_LIMIT_BYTES = 4 << 30
# The parent ends a process that is late. Should the parent be gone, this does.
ALARM_SECONDS = int(DEADLINE_SECONDS) + 30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold mail
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides, also where a whole group is told to stop
    RareLogger.before_the_first = _configure_logs
    with suppress(OSError):  # a system may allow less
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    # Nothing that prints may get between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


def _configure_logs() -> None:
    from mailbox_service import logs

    logs.configure("auto", "warning")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    processing: Processing | None = None
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        signal.alarm(ALARM_SECONDS)
        request = unpacked(requests.read(HEADER.unpack(header)[0]))
        answer: object = None
        if processing is None:
            processing = request
            # Tables and templates stay for good: the collector need not look through them again and again.
            gc.freeze()
        else:
            what, batch = request
            answer = processing.understand(batch) if what == "understand" else processing.compose(batch)
        try:
            answers.write(packed(answer))
            answers.flush()
        except BrokenPipeError:
            return
        signal.alarm(0)


if __name__ == "__main__":
    main()
