"""One process for heavy work, and what it is asked: requests are answered in their order."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Self, cast

from mailbox_service.adapters.processor.frames import HEADER, PIPE_BYTES, packed
from mailbox_service.services.processing import Processing

START_SECONDS = 30.0
PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])
MODULE = __name__.rpartition(".")[0]


class ChildLost(Exception):
    """The process ended over this request, or did not answer in time."""


class ChildGone(ChildLost):
    """The process ended over an earlier request, or before it was asked."""


class Child:
    """A running process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        # Popen.kill() asks for the exit status first, and so takes it away from the event loop.
        self._handle = os.pidfd_open(process.pid)
        self._to = cast(asyncio.StreamWriter, process.stdin)
        self._from = cast(asyncio.StreamReader, process.stdout)
        self._in_order = asyncio.Lock()  # one request after the other goes down the pipe
        self._asked: deque[asyncio.Future[bytes]] = deque()
        self.unanswered = 0  # requests, those included that wait for their turn to be sent
        self._gone = False
        self._reading = asyncio.create_task(self._read(), name="answers of the processor")

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, processing: Processing) -> Self:
        """Raises: ChildLost, OSError."""
        search_path = os.pathsep.join(filter(None, (PACKAGE_ROOT, os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=PIPE_BYTES,
            env={**os.environ, "PYTHONPATH": search_path, "MALLOC_ARENA_MAX": "1"},
        )
        child = cls(process)
        with suppress(OSError):  # a system may allow less
            fcntl.fcntl(child._to.get_extra_info("pipe"), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            async with asyncio.timeout(START_SECONDS):
                await child.ask(processing)
        except BaseException as error:
            await asyncio.shield(child.end())
            if isinstance(error, TimeoutError):
                raise ChildLost("it did not start in time") from error
            raise
        return child

    async def ask(self, request: object) -> bytes:
        """The packed answer. Whoever stops waiting has to end the process. Raises: ChildLost."""
        frame = packed(request)
        self.unanswered += 1
        try:
            return await (await self._sent(frame))
        finally:
            self.unanswered -= 1

    async def _sent(self, frame: bytes) -> asyncio.Future[bytes]:
        async with self._in_order:
            if self._gone:
                raise ChildGone("it had ended")
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._asked.append(answer)
            with suppress(OSError):  # whoever reads the answers says what became of it
                self._to.write(frame)
                await self._to.drain()
        return answer

    async def _read(self) -> None:
        try:
            while True:
                (size,) = HEADER.unpack(await self._from.readexactly(HEADER.size))
                answer = await self._from.readexactly(size)
                asker = self._asked.popleft()
                if not asker.done():
                    asker.set_result(answer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        self._gone = True
        # What it was at is to blame, and nothing that waited behind that.
        error: ChildLost = ChildLost("it ended")
        while self._asked:
            asker = self._asked.popleft()
            if not asker.done():
                asker.set_exception(error)
            error = ChildGone("it ended")

    async def end(self) -> None:
        """Kill it, and return when it is gone. Once for each child."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)
        self._to.close()
        await self._process.wait()
        await self._reading
