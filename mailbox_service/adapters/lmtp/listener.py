"""The sockets of the doors: opened, kept open, closed in good order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from mailbox_service.adapters.lmtp.session import DoorStatus, LmtpSession, Reception, SmtpSession
from mailbox_service.errors import TemporaryError
from mailbox_service.services.ports import DeliveryDoor

log = structlog.get_logger()

# Postfix opens twenty to one destination; each of ours costs up to a megabyte.
MAX_SESSIONS = 50
BACKLOG = 100
# The clients whose message is being stored get their answer in this time, when the service is stopped.
CLOSE_SECONDS = 3.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class UnixDoor:
    """LMTP on a unix socket: whoever may write to `path` may push mail."""

    path: Path
    mode: int

    kind = "lmtp"


@dataclass(frozen=True, slots=True)
class TcpDoor:
    """SMTP on a TCP port: whoever can reach it may push mail."""

    host: str
    port: int  # 0 takes a free one

    kind = "smtp"


class Listener:
    """One door for pushed mail. `recipients`: mailboxes by their addresses in lower case."""

    def __init__(
        self,
        place: UnixDoor | TcpDoor,
        door: DeliveryDoor,
        recipients: Mapping[str, str],
        *,
        max_message_size_bytes: int,
        clock: Callable[[], datetime],
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        self.place = place
        self._reception = Reception(place.kind, door, recipients, max_message_size_bytes, max_sessions, clock)
        self._closed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._inode = 0  # of our unix socket

    @property
    def kind(self) -> str:
        return self.place.kind

    @property
    def status(self) -> DoorStatus:
        return self._reception.status

    @property
    def sessions(self) -> int:
        return len(self._reception.sessions)

    @property
    def port(self) -> int:
        """The TCP port while it is open, else 0."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    async def serve(self) -> None:
        """Open the door, and keep it open until `close` or a cancellation. Raises: TemporaryError when it cannot be."""
        try:
            self._server = await self._open()
        except TemporaryError as error:
            self.status.last_error = str(error)
            raise
        self.status.listening, self.status.last_error = True, ""
        log.info("door open", kind=self.kind)
        try:
            await self._closed.wait()
        finally:
            self._shut()

    async def close(self) -> None:
        """Let nobody in any more; messages that were read to their end get their answer, the other sessions a 421."""
        self._reception.closing = True
        self._shut()
        for session in list(self._reception.sessions):
            session.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._reception.sessions:  # noqa: ASYNC110 - sessions end one by one
                    await asyncio.sleep(LOOK_SECONDS)
        for session in list(self._reception.sessions):
            session.abandon()
        self._closed.set()

    def _shut(self) -> None:
        self.status.listening = False
        if self._server is not None:
            self._server.close()
            if isinstance(self.place, UnixDoor):
                _remove(self.place.path, self._inode)
            self._server = None

    async def _open(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if isinstance(self.place, TcpDoor):
            try:
                return await loop.create_server(
                    lambda: SmtpSession(self._reception), self.place.host, self.place.port, backlog=BACKLOG
                )
            except OSError as error:
                raise TemporaryError(f"port {self.place.port} cannot be opened: {_reason(error)}") from error
        bound = listening(self.place)
        self._inode = self.place.path.stat().st_ino
        return await loop.create_unix_server(lambda: LmtpSession(self._reception), sock=bound, backlog=BACKLOG)


def listening(place: UnixDoor) -> socket.socket:
    """The socket, listening. One whose daemon is dead is replaced, one of the living is not.

    asyncio by itself would replace either. Raises: TemporaryError.
    """
    bound = socket.socket(socket.AF_UNIX)
    try:
        with _only_one_at_a_time(place.path.parent):
            if is_alive(place.path):
                raise TemporaryError(f"{place.path}: another program listens there")
            if place.path.exists() and not place.path.is_socket():
                raise TemporaryError(f"{place.path}: is there, and is no socket")
            place.path.unlink(missing_ok=True)
            bound.bind(str(place.path))
            # Nobody can connect before somebody listens, so that there is no moment with another mode.
            place.path.chmod(place.mode)
            bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise TemporaryError(f"{place.path}: {_reason(error)}") from error
    except TemporaryError:
        bound.close()
        raise
    return bound


@contextlib.contextmanager
def _only_one_at_a_time(folder: Path) -> Iterator[None]:
    """Two daemons that start together must not both take the other's new socket for a dead one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_alive(path: Path) -> bool:
    """Whether somebody listens on the unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        # EAGAIN: it listens, and its queue is full.
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN)


def _remove(path: Path, inode: int) -> None:
    """Remove our own socket, not that of a successor."""
    with contextlib.suppress(OSError):
        if path.stat().st_ino == inode:
            path.unlink()


def _reason(error: OSError) -> str:
    # create_server puts the address into its text, and the kernel's words into the code.
    return os.strerror(error.errno) if error.errno else "unknown host"
