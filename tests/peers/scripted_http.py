"""An HTTP server that answers as it is told, connection by connection, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HANG = b"HANG"  # say nothing more, and keep the connection


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedHttp:
    """`answers` are used one after the other, the last one again and again; b"" closes at once."""

    answers: list[bytes]
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Request(head[0], headers, body))
            if answer.startswith(HANG):
                writer.write(answer.removeprefix(HANG))
                await reader.read()  # until the other side gives up
            else:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted_http(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedHttp]:
    peer = ScriptedHttp(list(answers))
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for writer in peer._writers:
            writer.close()
        await server.wait_closed()
