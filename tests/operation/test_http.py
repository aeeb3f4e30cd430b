"""The door for monitoring, asked over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from mailbox_service.adapters import http
from mailbox_service.adapters.http import HttpDoor, Page
from mailbox_service.errors import PermanentError


async def well() -> Page:
    return Page(200, "text/plain", b"well\n")


async def broken() -> Page:
    raise ValueError("the subject of a report")


@pytest.fixture
async def door() -> AsyncIterator[HttpDoor]:
    opened = HttpDoor("127.0.0.1", 0, {"/well": well, "/broken": broken})
    async with serving(opened):
        yield opened


@contextlib.asynccontextmanager
async def serving(door: HttpDoor) -> AsyncIterator[None]:
    task = asyncio.create_task(door.serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def said(door: HttpDoor, request: str | bytes) -> bytes:
    """All that the door says to raw bytes, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(request.encode() if isinstance(request, str) else request)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    answer = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def asked(door: HttpDoor, path: str, *, method: str = "GET", host: str | None = "127.0.0.1") -> bytes:
    named = "" if host is None else f"Host: {host}\r\n"
    return await said(door, f"{method} {path} HTTP/1.1\r\n{named}\r\n")


async def test_a_page_is_served_and_the_connection_ends(door: HttpDoor) -> None:
    answer = await asked(door, "/well")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nwell\n")
    assert b"cache-control: no-store\r\n" in answer
    assert b"server:" not in answer.lower()


async def test_head_gets_everything_but_the_body(door: HttpDoor) -> None:
    answer = await asked(door, "/well", method="HEAD")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
async def test_nothing_but_get_and_head_is_done(door: HttpDoor, method: str) -> None:
    answer = await asked(door, "/well", method=method)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"allow: GET, HEAD\r\n" in answer


@pytest.mark.parametrize("path", ["/", "/well/", "/../well", "/%2e", "//well", "/well2"])
async def test_another_path_is_not_there(door: HttpDoor, path: str) -> None:
    answer = await asked(door, path)
    assert answer.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:8025", "[::1]:8025", "127.0.0.1:1"])
async def test_our_own_names_are_answered(door: HttpDoor, host: str) -> None:
    assert (await asked(door, "/well", host=host)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8025", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
async def test_a_name_that_was_rebound_to_us_is_refused(door: HttpDoor, host: str) -> None:
    answer = await asked(door, "/well", host=host)
    assert not answer.startswith(b"HTTP/1.1 200 ")
    assert b"well" not in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "request_", ["GET /well HTTP/1.1\r\n\r\n", "GET /well HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"]
)
async def test_no_host_and_two_hosts_are_refused(door: HttpDoor, request_: str) -> None:
    assert (await said(door, request_)).startswith(b"HTTP/1.1 4")


async def test_a_fault_of_a_page_is_no_health_and_tells_nothing(door: HttpDoor) -> None:
    answer = await asked(door, "/broken")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"subject" not in answer


async def test_a_request_head_without_an_end_is_cut_off(door: HttpDoor) -> None:
    head = b"GET /well HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (http.MAX_REQUEST_HEAD_BYTES * 4)
    assert not (await said(door, head)).startswith(b"HTTP/1.1 200 ")
    assert (await asked(door, "/well")).startswith(b"HTTP/1.1 200 ")


async def test_who_says_nothing_is_hung_up_on(door: HttpDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTION_SECONDS", 0.2)
    assert await said(door, "GET /well HT") == b""


async def test_connections_that_idle_do_not_pile_up(door: HttpDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTION_SECONDS", 0.5)
    silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(http.MAX_CONNECTIONS + 4)]
    assert (await asked(door, "/well")).startswith(b"HTTP/1.1 503 ")
    for reader, writer in silent:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    assert (await asked(door, "/well")).startswith(b"HTTP/1.1 200 ")


async def test_the_end_waits_for_nobody_and_frees_the_port() -> None:
    door = HttpDoor("127.0.0.1", 0, {"/well": well})
    async with serving(door):
        assert (await asked(door, "/well")).startswith(b"HTTP/1.1 200 ")
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"GET /well")
    writer.close()
    again = HttpDoor("127.0.0.1", door.port, {"/well": well})
    again.close()


async def test_a_port_of_somebody_else_is_said_so(door: HttpDoor) -> None:
    with pytest.raises(PermanentError, match=rf"health\.listen: cannot listen on port {door.port}"):
        HttpDoor("127.0.0.1", door.port, {})
