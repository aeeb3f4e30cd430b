"""The doors themselves: opened, shared, closed - and clients that go away or never end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailbox_service.adapters.lmtp import Listener, TcpDoor, UnixDoor, is_alive
from mailbox_service.adapters.lmtp.session import LARGE_AT_ONCE, LARGE_BYTES
from mailbox_service.errors import TemporaryError
from mailbox_service.services.ports import RawMessage
from tests.lmtp.setting import NOW, RECIPIENTS, Client, House, Shelf, open_house, until

MAIL = b"From: eve@example.com\r\nSubject: x\r\n\r\nHello\r\n"


@pytest.fixture(params=["lmtp", "smtp"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(request.param, tmp_path) as opened:
        yield opened


def listener_at(place: UnixDoor | TcpDoor) -> Listener:
    return Listener(place, Shelf(), RECIPIENTS, max_message_size_bytes=1000, clock=lambda: NOW)


# --- the socket --------------------------------------------------------------------------------------------


async def test_the_socket_has_the_mode_that_was_asked_for_and_is_gone_afterwards(tmp_path: Path) -> None:
    place = UnixDoor(tmp_path / "s", 0o620)
    listener = listener_at(place)
    serving = asyncio.create_task(listener.serve())
    await until(lambda: listener.status.listening)
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o620
    await listener.close()
    await serving
    assert not place.path.exists()
    assert not listener.status.listening


async def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "s"))
    dead.listen()
    dead.close()
    async with open_house("lmtp", tmp_path) as house, house.client() as client:
        assert (await client.send(MAIL))[:3] == "250"


async def test_the_socket_of_a_living_daemon_is_not_stolen(tmp_path: Path) -> None:
    async with open_house("lmtp", tmp_path) as first:
        second = listener_at(UnixDoor(tmp_path / "s", 0o660))
        with pytest.raises(TemporaryError, match="another program listens there"):
            await second.serve()
        assert "another program" in second.status.last_error
        await second.close()
        async with first.client() as client:
            assert (await client.send(MAIL))[:3] == "250"


async def test_a_full_queue_of_connections_counts_as_living(tmp_path: Path) -> None:
    busy = socket.socket(socket.AF_UNIX)
    busy.bind(str(tmp_path / "s"))
    busy.listen(0)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(str(tmp_path / "s"))
    assert is_alive(tmp_path / "s")
    for one in (busy, *clients):
        one.close()
    assert not is_alive(tmp_path / "s")


async def test_a_successor_keeps_its_socket_when_the_former_daemon_ends(tmp_path: Path) -> None:
    async with open_house("lmtp", tmp_path):
        (tmp_path / "s").unlink()
        successor = listener_at(UnixDoor(tmp_path / "s", 0o660))
        serving = asyncio.create_task(successor.serve())
        await until(lambda: successor.status.listening)
    assert is_alive(tmp_path / "s")
    await successor.close()
    await serving


@pytest.mark.parametrize("kind", ["file", "folder", "no folder", "too long"])
async def test_a_path_that_cannot_be_a_socket_is_told(kind: str, tmp_path: Path) -> None:
    path = {"no folder": tmp_path / "none" / "s", "too long": tmp_path / ("x" * 120)}.get(kind, tmp_path / "s")
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(TemporaryError, match=str(path)):
        await listener_at(UnixDoor(path, 0o660)).serve()
    assert kind != "file" or path.read_text() == "precious"


async def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    async with open_house("smtp", tmp_path) as house:
        with pytest.raises(TemporaryError, match=r"port \d+ cannot be opened: Address already in use"):
            await listener_at(TcpDoor("127.0.0.1", house.listener.port)).serve()


async def test_a_door_that_could_not_be_opened_opens_at_the_next_try(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    listener = listener_at(UnixDoor(tmp_path / "s", 0o660))
    with pytest.raises(TemporaryError):
        await listener.serve()
    (tmp_path / "s").rmdir()
    serving = asyncio.create_task(listener.serve())
    await until(lambda: listener.status.listening)
    assert listener.status.last_error == ""
    await listener.close()
    await serving


# --- clients that go away ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"Subject: half\r\n", MAIL, MAIL + b".", MAIL + b".\r", MAIL + b"\n.\n"])
async def test_a_message_that_breaks_off_is_not_stored(house: House, sent: bytes) -> None:
    async with house.client() as client:
        await client.begin()
        client.write(sent)
        await client.writer.drain()
        client.writer.write_eof()
        assert await client.closed()
    await until(lambda: house.listener.sessions == 0)
    assert house.shelf.kept == []


async def test_a_commit_goes_on_when_the_client_is_gone(house: House) -> None:
    # The listener hands over to services.deliveries, whose commit is a task of its own; here: what a cancelled
    # waiter leaves behind must not be a session that never ends.
    reached, gone = asyncio.Event(), asyncio.Event()

    async def slow(raw: RawMessage) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    house.shelf.store = slow
    async with house.client() as client:
        await client.begin()
        client.write(MAIL + b".\r\n")
        await reached.wait()
    await gone.wait()
    await until(lambda: house.listener.sessions == 0)


async def test_a_client_that_says_nothing_is_sent_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailbox_service.adapters.lmtp.session.IDLE_SECONDS", 0.05)
    client = await house.raw_client()
    assert (await client.reply())[:3] == "220"
    assert await client.reply() == "421 4.4.2 Timeout"
    assert await client.closed()
    client.writer.close()


async def test_a_message_that_stops_in_the_middle_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.client() as client:
        await client.begin()
        monkeypatch.setattr("mailbox_service.adapters.lmtp.session.DATA_SECONDS", 0.05)
        client.write(b"Subject: x\r\n")
        assert await client.reply() == "421 4.4.2 Timeout"
        assert await client.closed()
    assert house.shelf.kept == []


async def test_no_session_lasts_for_ever(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailbox_service.adapters.lmtp.session.SESSION_SECONDS", 0.1)
    async with house.client() as client:
        replies: list[str] = []
        with contextlib.suppress(ConnectionError):
            while not replies or replies[-1]:
                replies.append(await client.ask(b"NOOP"))
        assert "421 4.4.2 Timeout" in replies[-2:]


async def test_a_client_that_reads_nothing_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailbox_service.adapters.lmtp.session.IDLE_SECONDS", 0.1)
    monkeypatch.setattr("mailbox_service.adapters.lmtp.session.CLOSE_SECONDS", 0.1)
    async with house.client() as client:
        (session,) = house.listener._reception.sessions
        session._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.write(b"HELP\r\n" * 100_000)
        await until(lambda: house.listener.sessions == 0)


# --- many of them ------------------------------------------------------------------------------------------


async def test_one_session_too_many_is_told_to_come_back(tmp_path: Path) -> None:
    async with open_house("lmtp", tmp_path, max_sessions=2) as house:
        async with house.client() as first, house.client():
            third = await house.raw_client()
            assert await third.reply() == "421 4.3.2 Too busy; try again later"
            assert await third.closed()
            third.writer.close()
            assert (await first.send(MAIL))[:3] == "250"
        await until(lambda: house.listener.sessions == 0)
        async with house.client() as fourth:
            assert (await fourth.send(MAIL + b"x\r\n"))[:3] == "250"


async def test_few_large_messages_are_in_memory_at_once_and_small_ones_pass_them(tmp_path: Path) -> None:
    large = b"x" * (LARGE_BYTES + 100_000)
    async with open_house("lmtp", tmp_path, max_message_size_bytes=2 * LARGE_BYTES) as house:
        clients: list[Client] = []
        for _ in range(LARGE_AT_ONCE + 2):
            client = await house.raw_client()
            await client.reply()
            await client.ask(b"LHLO x")
            await client.begin()
            client.write(large)
            clients.append(client)
        reception = house.listener._reception
        await until(lambda: len(reception.large._waiters or ()) == 2)
        async with house.client() as small:
            assert (await small.send(MAIL))[:3] == "250"
        for client in clients:
            client.write(b"\r\n.\r\n")
        # Each waits until one before it is stored, and all are.
        assert {await client.reply() for client in clients} == {"250 2.0.0 Stored"}
        for client in clients:
            client.writer.close()
        assert not reception.large.locked()
    assert sorted(map(len, house.contents())) == [len(MAIL), *[len(large) + 2] * len(clients)]


async def test_a_large_message_that_finds_no_place_in_time_is_asked_for_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailbox_service.adapters.lmtp.session.LARGE_BYTES", 1000)
    monkeypatch.setattr("mailbox_service.adapters.lmtp.session.LARGE_WAIT_SECONDS", 0.05)
    for _ in range(LARGE_AT_ONCE):
        await house.listener._reception.large.acquire()
    async with house.client() as client:
        assert (await client.send(b"x" * 5000 + b"\r\n"))[:3] == "451"
        for _ in range(LARGE_AT_ONCE):
            house.listener._reception.large.release()
        assert (await client.send(b"x" * 5000 + b"\r\n"))[:3] == "250"


# --- being stopped -----------------------------------------------------------------------------------------


async def test_at_the_end_what_is_being_stored_is_answered_and_the_others_are_told_to_come_back(house: House) -> None:
    committed, reached = asyncio.Event(), asyncio.Event()

    async def slow(raw: RawMessage) -> None:
        reached.set()
        await committed.wait()

    house.shelf.store = slow
    async with house.client() as storing, house.client() as idle, house.client() as sending:
        await sending.begin()
        sending.write(b"Subject: half\r\n")
        await storing.begin()
        storing.write(MAIL + b".\r\n" + b"MAIL FROM:<second@example.com>\r\n")
        await reached.wait()
        closing = asyncio.create_task(house.listener.close())
        told = "421 4.3.2 Service is being stopped; try again later"
        for client in (idle, sending):
            assert await client.reply() == told
            assert await client.closed()
        with pytest.raises(OSError):
            await house.raw_client()
        committed.set()
        assert await storing.replies(2) == ["250 2.0.0 Stored", told]
        assert await storing.closed()
        await closing
    assert house.contents() == [MAIL]


async def test_a_commit_that_hangs_does_not_keep_the_service_from_stopping(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailbox_service.adapters.lmtp.listener.CLOSE_SECONDS", 0.05)
    reached = asyncio.Event()

    async def stuck(raw: RawMessage) -> None:
        reached.set()
        await asyncio.Event().wait()

    house.shelf.store = stuck
    async with house.client() as client:
        await client.begin()
        client.write(MAIL + b".\r\n")
        await reached.wait()
        await house.listener.close()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            if await client.closed():
                raise ConnectionResetError
    assert house.shelf.kept == []


# --- the library -------------------------------------------------------------------------------------------


def test_the_private_parts_of_aiosmtpd_that_we_build_on_are_there() -> None:
    import aiosmtpd
    from aiosmtpd.smtp import SMTP

    assert aiosmtpd.__version__ == "1.4.6"
    ours = ("_handle_client", "_cb_client_connected", "_reset_timeout", "_timeout_cb", "_set_post_data_state", "push")
    assert all(callable(getattr(SMTP, name)) for name in ours)
