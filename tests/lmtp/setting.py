"""A door between a client that writes raw bytes and a service that keeps what it is handed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from mailbox_service.adapters.lmtp import Listener, TcpDoor, UnixDoor
from mailbox_service.services.ports import RawMessage

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
RECIPIENTS = {"security@example.org": "security", "vuln@example.org": "security", "psirt@example.net": "psirt"}
LIMIT_BYTES = 200_000
SECONDS = 20.0
GREETINGS = {"lmtp": b"LHLO client\r\n", "smtp": b"EHLO client\r\n"}


class Shelf:
    """A DeliveryDoor. `store` is what it does before it keeps a message."""

    def __init__(self) -> None:
        self.kept: list[RawMessage] = []
        self.store: Callable[[RawMessage], Awaitable[None]] | None = None

    async def deliver(self, raw: RawMessage) -> None:
        if self.store is not None:
            await self.store(raw)
        self.kept.append(raw)


class Client:
    """One connection, greeted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self) -> str:
        """The next reply, its lines joined; "" when the connection is closed."""
        lines = []
        async with asyncio.timeout(SECONDS):
            while line := (await self.reader.readline()).decode("ascii"):
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    break
        return "\n".join(lines)

    async def ask(self, command: bytes) -> str:
        self.write(command + b"\r\n")
        return await self.reply()

    async def replies(self, count: int) -> list[str]:
        return [await self.reply() for _ in range(count)]

    async def closed(self) -> bool:
        """The other side has closed, and said nothing more."""
        return await self.reply() == ""

    async def begin(self, recipient: bytes = b"security@example.org", sender: bytes = b"eve@example.com") -> None:
        """As far as the 354."""
        self.write(b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\n" % (sender, recipient))
        assert [reply[:3] for reply in await self.replies(3)] == ["250", "250", "354"]

    async def send(self, data: bytes, recipient: bytes = b"security@example.org") -> str:
        """A whole transaction; `data` as it goes over the wire, without the end."""
        await self.begin(recipient)
        return await self.ask(data + b".")


class House:
    """A door that is open."""

    def __init__(self, listener: Listener, shelf: Shelf) -> None:
        self.listener, self.shelf = listener, shelf

    async def raw_client(self) -> Client:
        place = self.listener.place
        if isinstance(place, UnixDoor):
            return Client(*await asyncio.open_unix_connection(place.path, limit=2**20))
        return Client(*await asyncio.open_connection("127.0.0.1", self.listener.port, limit=2**20))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = await self.raw_client()
        try:
            assert (await client.reply()).startswith("220 ")
            client.write(GREETINGS[self.listener.kind])
            assert (await client.reply()).startswith("250")
            yield client
        finally:
            client.writer.close()

    def contents(self) -> list[bytes]:
        return [raw.data for raw in self.shelf.kept]


@asynccontextmanager
async def open_house(kind: str, folder: Path, **settings: int) -> AsyncIterator[House]:
    shelf = Shelf()
    place = UnixDoor(folder / "s", 0o660) if kind == "lmtp" else TcpDoor("127.0.0.1", 0)
    limit = settings.pop("max_message_size_bytes", LIMIT_BYTES)
    listener = Listener(place, shelf, RECIPIENTS, max_message_size_bytes=limit, clock=lambda: NOW, **settings)
    serving = asyncio.create_task(listener.serve())
    try:
        await until(lambda: listener.status.listening or serving.done())
        yield House(listener, shelf)
    finally:
        await listener.close()
        await serving


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
