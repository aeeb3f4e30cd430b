"""The door for monitoring: a few fixed pages over HTTP on loopback, on uvicorn. GET and HEAD, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mailbox_service.errors import PermanentError

log = structlog.get_logger()

# A scrape and a person at a time; more is a mistake, or somebody who wants to keep us busy.
MAX_CONNECTIONS = 16
MAX_REQUEST_HEAD_BYTES = 8192
# From accept to the last byte: who is slower keeps a connection from others. A page is made within three seconds.
CONNECTION_SECONDS = 10.0

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    content_type: str
    body: bytes


Pages = Mapping[str, Callable[[], Awaitable[Page]]]


class HttpDoor:
    """Serves `pages` by their path. Listens from the moment it is made; answers while `serve` runs."""

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        """Raises: PermanentError when the port cannot be had."""
        self._pages, self._host = pages, host
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=MAX_CONNECTIONS
            )
        except OSError as error:
            raise PermanentError(f"health.listen: cannot listen on port {port}: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]

    async def serve(self) -> None:
        """Answer until cancelled; then the port is free again."""
        config = uvicorn.Config(
            self._answer,
            http=_Connection,
            interface="asgi3",
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_REQUEST_HEAD_BYTES,
        )
        server = _Server(config)
        running = asyncio.create_task(server.serve(sockets=[self._socket]), name="http")
        try:
            await asyncio.shield(running)
        finally:
            server.end()
            await asyncio.wait({running})
            self.close()

    def close(self) -> None:
        self._socket.close()

    async def _answer(self, scope: Scope, _receive: object, send: Send) -> None:
        page = await self._page(scope)
        headers = [
            (b"content-type", page.content_type.encode()),
            (b"content-length", str(len(page.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        if page.status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        await send({"type": "http.response.body", "body": page.body})

    async def _page(self, scope: Scope) -> Page:
        if not self._is_for_us(scope["headers"]):
            return _plain(421, "not the host of this service\n")
        if scope["method"] not in ("GET", "HEAD"):
            return _plain(405, "GET and HEAD only\n")
        page = self._pages.get(scope["path"])
        if page is None:
            return _plain(404, f"there are: {' '.join(self._pages)}\n")
        try:
            return await page()
        except Exception as error:  # a page that fails must not look like one that is well
            log.exception("health page failed", path=scope["path"], error_type=type(error).__name__)
            return _plain(500, "a fault of this program; its log says more\n")

    def _is_for_us(self, headers: list[tuple[bytes, bytes]]) -> bool:
        # A web page somewhere can make the browser of whoever works on this machine ask us under a name of its own
        # (DNS rebinding). Then that name stands in Host.
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        names = {"localhost", "127.0.0.1", "[::1]", f"[{self._host}]" if ":" in self._host else self._host.lower()}
        return len(hosts) == 1 and re.sub(r":\d{1,5}\Z", "", hosts[0]) in names


class _Connection(H11Protocol):
    """Ends after CONNECTION_SECONDS, whatever the peer does or does not send."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hanging_up = asyncio.get_running_loop().call_later(CONNECTION_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hanging_up.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """Runs as a task of ours: takes no signals, and wakes up only when there is something to do."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end = asyncio.Event()

    def end(self) -> None:
        self.should_exit = self.force_exit = True
        self._end.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # a peer that dawdles must not hold up our own end
        await super().shutdown(sockets)


def _plain(status: int, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", text.encode())
