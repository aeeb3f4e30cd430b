"""An SMTP server that does what a test tells it to, at the verb and the byte it is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

# In place of a reply.
CLOSE = "close"  # an orderly end of the connection
RESET = "reset"  # its sudden end, with a RST
SILENCE = "silence"  # nothing at all, until the client hangs up

GREETING = "greeting"
CONTENT = "content"  # the reply to the final dot
DEFAULT_EHLO = ("scripted.example", "PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10485760", "AUTH PLAIN LOGIN")


@dataclass
class Script:
    """What to answer, by verb; a list is used up one by one and its last entry stays."""

    replies: dict[str, str | list[str]] = field(default_factory=dict)
    ehlo: tuple[str, ...] = DEFAULT_EHLO
    read_content_bytes: int | None = None  # read so much of the content, then do `then`
    then: str = CLOSE
    raw_final_reply: bytes | None = None  # written as it is in place of the reply to the final dot
    close_after_final_reply: bool = False

    def reply(self, verb: str) -> str:
        usual = {GREETING: "220 scripted", "DATA": "354 go ahead", "AUTH": "235 2.7.0 welcome", "QUIT": "221 bye"}
        planned = self.replies.get(verb, usual.get(verb, "250 2.0.0 ok"))
        if isinstance(planned, str):
            return planned
        return planned.pop(0) if len(planned) > 1 else planned[0]


class ScriptedSmtp:
    """What the server saw stays here for the tests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.connections = 0
        self.most_at_once = 0
        self.open_now = 0
        self.commands: list[str] = []
        self.dots_seen = 0
        self.accepted: list[bytes] = []  # contents, dot-stuffing undone, that were answered 250
        self.at: asyncio.Event = asyncio.Event()  # set when SILENCE begins
        self.release: asyncio.Event = asyncio.Event()  # lets SILENCE at CONTENT end in a late 250
        self.all_gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        self.most_at_once = max(self.most_at_once, self.open_now)
        self.all_gone.clear()
        try:
            await _Conversation(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()
            self.open_now -= 1
            if not self.open_now:
                self.all_gone.set()


class _Conversation:
    def __init__(self, server: ScriptedSmtp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    async def run(self) -> None:
        if not await self.answer(GREETING):
            return
        while line := await self.reader.readline():
            text = line.decode().rstrip("\r\n")
            self.server.commands.append(text)
            verb = text.partition(" ")[0].upper()
            if verb == "EHLO" and "EHLO" not in self.server.script.replies:
                lines = self.server.script.ehlo
                last = len(lines) - 1
                await self.write(
                    "".join(f"250{' ' if i == last else '-'}{w}\r\n" for i, w in enumerate(lines)).encode()
                )
            elif verb == "STARTTLS" or not await self.answer(verb):
                return
            elif verb == "DATA" and self.server.script.reply("DATA").startswith("3"):
                if not await self.content():
                    return
            elif verb == "QUIT":
                return

    async def answer(self, verb: str) -> bool:
        """Whether the conversation goes on."""
        return await self.act(self.server.script.reply(verb))

    async def act(self, reply: str) -> bool:
        if reply == CLOSE:
            return False
        if reply == RESET:
            self.writer.transport.abort()
            return False
        if reply == SILENCE:
            self.server.at.set()
            await self.reader.read()
            return False
        await self.write(reply.encode() + b"\r\n")
        return not reply.startswith("421")

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def content(self) -> bool:
        script = self.server.script
        if script.read_content_bytes is not None:
            if script.read_content_bytes:
                await self.reader.readexactly(script.read_content_bytes)
            if script.then == SILENCE:  # reads no further, so that the client's buffers fill up
                self.server.at.set()
                await self.server.release.wait()
                return False
            return await self.act(script.then) and False
        content = bytearray(b"\r\n")
        while not content.endswith(b"\r\n.\r\n"):
            piece = await self.reader.readline()
            if not piece:
                return False
            content += piece
        self.server.dots_seen += 1
        if script.raw_final_reply is not None:
            await self.write(script.raw_final_reply)
            return False
        reply = script.reply(CONTENT)
        if reply == SILENCE:
            self.server.at.set()
            await self.server.release.wait()
            reply = "250 2.0.0 late"
        if reply.startswith("250"):
            self.server.accepted.append(bytes(content[:-3]).replace(b"\r\n..", b"\r\n.")[2:])
        return await self.act(reply) and not script.close_after_final_reply


@asynccontextmanager
async def scripted_smtp(script: Script | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedSmtp]:
    """A server on a free loopback port, for as long as the block lasts."""
    peer = ScriptedSmtp(script or Script())
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await peer.serve(reader, writer)
        finally:
            tasks.discard(task)

    listener = socket.socket()
    # Small and fixed: else the kernel grows it to several MB, and a client never notices that nobody reads.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    listener.bind(("127.0.0.1", 0))
    peer.port = listener.getsockname()[1]
    server = await asyncio.start_server(serve, sock=listener, ssl=tls)
    try:
        yield peer
    finally:
        peer.release.set()
        server.close()
        for _ in range(10):  # whoever was just accepted gets as far as its first line, else nobody would close it
            await asyncio.sleep(0)
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
