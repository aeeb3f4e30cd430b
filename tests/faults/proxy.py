"""A TCP proxy in front of a real server: it hears every byte both ways, and spoils the connection when told to.

async with Proxy(dovecot.port) as proxy:
    proxy.spoil(Spoiling(Harm.CUT, Way.TO_CLIENT, after_bytes=100))
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


class Way(enum.Enum):
    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class Harm(enum.Enum):
    CUT = "both ends see the connection end"
    STALL = "nothing more goes this way; the connection stays open"
    HALF_OPEN = "nothing more goes either way, and nobody is told: as when a cable is pulled"
    DRIBBLE = "one byte at a time"
    HOLD = "nothing more goes this way until `release`"


@dataclass(frozen=True, slots=True)
class Spoiling:
    """What happens to the connection number `connection` (any if None), from a place in its bytes on.

    The place is behind the first `marker` (if any) and then `after_bytes` further bytes.
    """

    harm: Harm
    way: Way
    after_bytes: int = 0
    marker: bytes = b""
    connection: int | None = None


class Listener(Protocol):
    """Hears what passes. `connection` counts from 1."""

    def passes(self, connection: int, way: Way, data: bytes) -> None:
        """`data` is about to be handed on."""

    def passed(self, connection: int, way: Way, data: bytes) -> None:
        """`data` has been handed on."""


class Proxy:
    """Listens on a free port of loopback, `port`, and talks to `target`."""

    def __init__(self, target: int, listener: Listener | None = None) -> None:
        self.target, self.port = target, 0
        self._listener = listener
        self._spoilings: list[Spoiling] = []
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.released = asyncio.Event()
        self.spoiled = asyncio.Event()  # a harm was done

    @property
    def open_now(self) -> int:
        """Connections of clients that have not ended."""
        return len(self._tasks)

    @property
    def undone(self) -> tuple[Spoiling, ...]:
        """What was ordered and has not come to pass."""
        return tuple(self._spoilings)

    def spoil(self, *spoilings: Spoiling) -> None:
        """Each of these is done once, to connections that are made from now on."""
        self._spoilings += spoilings

    def release(self) -> None:
        self.released.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for _ in range(10):  # whoever was just accepted comes in, else nobody would close it
            await asyncio.sleep(0)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the last callbacks of what was ended

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine: one that is cancelled before its first step would leave its connection open.
        task = asyncio.create_task(self._connect(next(self._numbers), reader, writer))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            writer.transport.abort()
            if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, OSError):
                raise error

        task.add_done_callback(ended)

    async def _connect(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, server = await asyncio.open_connection("127.0.0.1", self.target)
        link = _Link(self, number)
        lanes = [
            asyncio.create_task(link.carry(Way.TO_SERVER, reader, server)),
            asyncio.create_task(link.carry(Way.TO_CLIENT, beyond, writer)),
        ]
        try:
            # An end of one side is the end of both: nobody here speaks on after a FIN.
            await asyncio.wait(lanes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            for end in (writer, server):
                end.transport.abort() if link.cut else end.close()
            for end in (writer, server):
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    def due(self, link: _Link, way: Way) -> Spoiling | None:
        return next(
            (s for s in self._spoilings if s.way is way and s.connection in (None, link.number)),
            None,
        )

    def done(self, spoiling: Spoiling) -> None:
        self._spoilings.remove(spoiling)
        self.spoiled.set()

    def passes(self, number: int, way: Way, data: bytes) -> None:
        if self._listener is not None:
            self._listener.passes(number, way, data)

    def passed(self, number: int, way: Way, data: bytes) -> None:
        if self._listener is not None:
            self._listener.passed(number, way, data)


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, number: int) -> None:
        self.proxy, self.number = proxy, number
        self.cut = False
        self._seen: dict[Way, bytes] = {Way.TO_SERVER: b"", Way.TO_CLIENT: b""}
        self._silent = asyncio.Event()  # set for ever once the cable is pulled

    async def carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._silent.is_set():
                continue
            spoiling = self.proxy.due(self, way)
            place = self._place(spoiling, way, data) if spoiling is not None else None
            if spoiling is None or place is None:
                await self._hand_on(way, writer, data)
                continue
            await self._hand_on(way, writer, data[:place])
            self.proxy.done(spoiling)
            await self._harm(spoiling.harm, way, reader, writer, data[place:])
            if self.cut:
                return

    def _place(self, spoiling: Spoiling, way: Way, data: bytes) -> int | None:
        """How much of `data` still passes; None when the place is not reached in it."""
        before = len(self._seen[way])
        seen = self._seen[way] = self._seen[way] + data
        at = seen.find(spoiling.marker)
        end = at + len(spoiling.marker) + spoiling.after_bytes
        return max(end - before, 0) if at >= 0 and end <= len(seen) else None

    async def _harm(
        self, harm: Harm, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes
    ) -> None:
        if harm is Harm.CUT:
            self.cut = True
        elif harm is Harm.HALF_OPEN:
            self._silent.set()
        elif harm is Harm.STALL:
            await asyncio.Event().wait()
        elif harm is Harm.HOLD:
            await self.proxy.released.wait()
            await self._hand_on(way, writer, rest)
        else:
            while rest:
                for n in range(len(rest)):
                    await self._hand_on(way, writer, rest[n : n + 1])
                rest = await reader.read(65536)

    async def _hand_on(self, way: Way, writer: asyncio.StreamWriter, data: bytes) -> None:
        if data:
            self.proxy.passes(self.number, way, data)
            writer.write(data)
            await writer.drain()
            self.proxy.passed(self.number, way, data)
