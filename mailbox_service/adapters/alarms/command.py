"""An operator's command, run once for each change of an alarm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence

from mailbox_service.adapters.alarms.facts import facts
from mailbox_service.core.display import harmless, shorten
from mailbox_service.errors import TemporaryError
from mailbox_service.services.alarms import AlarmNotice

VARIABLE = "MAILBOX_SERVICE_ALARM_"
# Nothing else of the daemon's environment goes along: passwords may be in it (password_env).
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
# Of what the command writes to standard error; the rest is read and thrown away, so that it never blocks.
KEPT_BYTES = 4096
READ_BYTES = 65536
LAST_WORDS_SECONDS = 1.0
REASON_CHARS = 120


class CommandChannel:
    """Runs `argv` without a shell: the facts as JSON on standard input and as variables of the environment."""

    name = "command"

    def __init__(self, argv: Sequence[str], deadline_seconds: float) -> None:
        self._argv, self._deadline_seconds = tuple(argv), deadline_seconds

    async def tell(self, notice: AlarmNotice) -> None:
        """Returns when the command ended with 0.

        Raises: TemporaryError when it cannot be started, ends otherwise, or is not done within the deadline; then it
        and all it started are killed.
        """
        values = facts(notice)
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {f"{VARIABLE}{name.upper()}": value for name, value in values.items()}
        said = bytearray()
        async with _ear(said) as stderr:
            process = await self._start(environment, stderr)
            try:
                async with asyncio.timeout(self._deadline_seconds):
                    await _write(process, json.dumps(values).encode() + b"\n")
                    code = await process.wait()
            except TimeoutError as error:
                raise TemporaryError(f"the command was not done within {self._deadline_seconds:g} s") from error
            finally:
                # The group outlives its leader where that has started something and ended.
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if code != 0:
            words = shorten(harmless(said.decode("utf-8", "replace")).strip(), REASON_CHARS)
            raise TemporaryError(f"the command ended with {code}{f': {words}' if words else ''}")

    async def _start(self, environment: dict[str, str], stderr: int) -> Process:
        try:
            # A session of its own, so that what it starts can be killed with it.
            return await asyncio.create_subprocess_exec(
                *self._argv, stdin=PIPE, stdout=DEVNULL, stderr=stderr, env=environment, start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise TemporaryError(f"the command cannot be started: {reason}") from error
        finally:
            os.close(stderr)


async def _write(process: Process, data: bytes) -> None:
    if process.stdin is not None:
        # A command may well look at its environment alone, and end before it is told more.
        with contextlib.suppress(OSError):
            process.stdin.write(data)
            await process.stdin.drain()
        process.stdin.close()


@contextlib.asynccontextmanager
async def _ear(said: bytearray) -> AsyncIterator[int]:
    """The writing end of a pipe, for whoever closes it; the first of what is written there comes into `said`.

    A pipe of our own: asyncio's would make `wait` wait for everybody who has inherited it.
    """
    reading, writing = os.pipe()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", 0)
    )
    reader = asyncio.create_task(_read(stream, said))
    try:
        yield writing
        # All writers are dead by now, unless one has left the group.
        await asyncio.wait([reader], timeout=LAST_WORDS_SECONDS)
    finally:
        reader.cancel()
        await asyncio.wait([reader])
        transport.close()


async def _read(stream: asyncio.StreamReader, said: bytearray) -> None:
    while chunk := await stream.read(READ_BYTES):
        said += chunk[: KEPT_BYTES - len(said)]
