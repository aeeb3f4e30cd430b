"""One connection of a mail server that pushes, on aiosmtpd: its loop of commands, with verbs of our own.

What aiosmtpd does otherwise: a bare LF ends a command; lines of a message have a limit; a failed DATA leaves its
envelope behind; an exception is answered with a permanent failure that quotes it.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from aiosmtpd.smtp import SMTP

from mailbox_service.adapters.lmtp.paths import Malformed, Path, mailbox_of, read_path
from mailbox_service.adapters.lmtp.wire import COMMAND_BYTES, READ_BYTES, Wire
from mailbox_service.errors import StorageFull
from mailbox_service.services.ports import DeliveryDoor, Origin, RawMessage, SourceKind

log = structlog.get_logger()

HOSTNAME = "mailbox-service"  # a fixed name: the greeting tells nobody where it runs, and is no name of an MTA
# RFC 5321 §4.5.3.2.7: a server waits at least five minutes for the next command.
IDLE_SECONDS = 300.0
# Between two pieces of a message; a sender gives up after three minutes as well (§4.5.3.2.5).
DATA_SECONDS = 180.0
SESSION_SECONDS = 3600.0
# How long the final dot may wait for its answer; senders wait ten minutes (§4.5.3.2.6).
COMMIT_SECONDS = 60.0
# After a last reply: how long the client may take to read it.
CLOSE_SECONDS = 2.0
# Refused commands until we hang up, as Postfix has it (smtpd_hard_error_limit).
MAX_ERRORS = 20
# Larger messages are in memory two at a time, however many sessions there are; a small one never waits for them.
LARGE_BYTES = 1_000_000
LARGE_AT_ONCE = 2
LARGE_WAIT_SECONDS = 120.0

STORED = "250 2.0.0 Stored"
TRY_LATER = "451 4.3.0 Not stored; try again later"
FULL = "452 4.3.1 No room to store it; try again later"
TOO_LARGE = "552 5.3.4 Message larger than the limit"
BAD_PARAMETERS = "501 5.5.4 Syntax error in the parameters"
UNKNOWN_PARAMETER = "555 5.5.4 Parameter not supported"
BAD_SEQUENCE = "503 5.5.1 Bad sequence of commands"

# aiosmtpd's own replies, in our words: it gives no codes of RFC 2034, and repeats what a client sent.
_PLAIN = {
    "221": "221 2.0.0 Bye",
    "250": "250 2.0.0 OK",
    "500": "500 5.5.2 Command not recognized",
    "501": BAD_PARAMETERS,
    "502": "502 5.5.1 Command not implemented",
    "503": BAD_SEQUENCE,
}
_EXTENDED = re.compile(r"[245]\d\d [245]\.\d+\.\d+ [\x20-\x7e]*")


@dataclass(slots=True)
class DoorStatus:
    """How a door is doing, for whoever watches the service; changes all the time."""

    listening: bool = False
    last_error: str = ""  # why it is not open; harmless text
    stored: int = 0  # messages answered with 250
    failed: int = 0  # messages answered with a temporary failure of ours
    refused: int = 0  # commands and messages answered with a permanent failure
    last_stored_at: datetime | None = None


@dataclass(slots=True)
class Reception:
    """What the sessions of one door share."""

    kind: str  # "lmtp", "smtp"
    door: DeliveryDoor
    recipients: Mapping[str, str]  # mailboxes by their addresses in lower case
    max_message_size_bytes: int
    max_sessions: int
    clock: Callable[[], datetime]
    status: DoorStatus = field(default_factory=DoorStatus)
    sessions: set[Session] = field(default_factory=set)
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))
    closing: bool = False


class Session(SMTP):
    """What LMTP (RFC 2033) and SMTP (RFC 5321) have in common."""

    line_length_limit = READ_BYTES  # here: how far asyncio reads ahead
    greeting = ""

    def __init__(self, reception: Reception) -> None:
        # aiosmtpd shares these among all its sessions, and each EHLO of any of them lets them grow.
        self.command_size_limits = defaultdict(lambda: COMMAND_BYTES)
        self.command_size_limit = COMMAND_BYTES
        self._reception = reception
        self._errors = 0
        self._greeted = False
        self._delivering = False
        self._reverse_path: str | None = None
        self._forward_path: tuple[str, str] | None = None  # mailbox, address
        loop = asyncio.get_running_loop()
        self._ends_at = loop.time() + SESSION_SECONDS
        super().__init__(
            None,
            data_size_limit=reception.max_message_size_bytes,
            enable_SMTPUTF8=True,
            hostname=HOSTNAME,
            ident=self.greeting,
            timeout=IDLE_SECONDS,
            loop=loop,
        )
        for verb in ("AUTH", "STARTTLS"):
            del self._smtp_methods[verb]

    # --- the connection ---------------------------------------------------------------------------------------

    def _cb_client_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._wire = Wire(reader)
        self._reader = self._wire  # type: ignore[assignment]  # all that aiosmtpd calls of it is readuntil
        self._writer = writer

    async def _handle_client(self) -> None:
        reception = self._reception
        if reception.closing or len(reception.sessions) >= reception.max_sessions:
            self.hang_up("421 4.3.2 Too busy; try again later")
            return
        reception.sessions.add(self)
        try:
            await super()._handle_client()
        except ConnectionError:
            log.debug("client gone", kind=reception.kind)
        finally:
            reception.sessions.discard(self)
            self._writer.close()

    def hang_up(self, reply: str) -> None:
        """Say `reply`, read nothing more, and close."""
        if self.transport is None or self.transport.is_closing():
            return
        self._wire.close()
        self._writer.write(f"{reply}\r\n".encode("ascii"))
        self.transport.close()
        # Closing waits until the client has read everything; not for ever.
        self.loop.call_later(CLOSE_SECONDS, self._writer.transport.abort)

    def stop(self) -> None:
        """The service is being stopped: a message whose last dot was read gets its answer, nothing else begins."""
        if not self._delivering:
            self.hang_up("421 4.3.2 Service is being stopped; try again later")

    def abandon(self) -> None:
        """End the connection at once."""
        self._wire.close()
        self._writer.transport.abort()

    def _reset_timeout(self, duration: float | None = None) -> None:
        super()._reset_timeout(max(0.001, min(duration or IDLE_SECONDS, self._ends_at - self.loop.time())))

    def _timeout_cb(self) -> None:
        self.hang_up("421 4.4.2 Timeout")

    async def push(self, status: str | bytes) -> None:
        """Send one reply. Too many refusals end the session."""
        text = status if isinstance(status, str) else status.decode("ascii", "replace")
        if text[:1] in "245" and text[:3] != "220" and _EXTENDED.fullmatch(text) is None:
            text = _PLAIN.get(text[:3], TRY_LATER)
        await self._say(text)
        if text.startswith("5"):
            self._reception.status.refused += 1
            self._errors += 1
            if self._errors >= MAX_ERRORS:
                self.hang_up("421 4.7.0 Too many errors")

    async def _say(self, line: str) -> None:
        await super().push(line)

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours never costs the sender a 5xx, and tells nothing."""
        self._set_post_data_state()
        log.error("session fault", kind=self._reception.kind, error_type=type(error).__name__)
        return TRY_LATER

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]
        self._reverse_path, self._forward_path = None, None

    # --- verbs ------------------------------------------------------------------------------------------------

    async def _greet(self, name: str | None) -> None:
        if not name:
            await self.push(BAD_PARAMETERS)
            return
        self._set_post_data_state()
        self._greeted = True
        size = f"SIZE {self._reception.max_message_size_bytes}"
        lines = [HOSTNAME, "PIPELINING", size, "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        for line in lines[:-1]:
            await self._say(f"250-{line}")
        await self._say(f"250 {lines[-1]}")

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - the names of verbs are aiosmtpd's
        if not self._greeted or self._reverse_path is not None:
            await self.push(BAD_SEQUENCE)
            return
        try:
            path = read_path("FROM:", arg)
        except Malformed:
            await self.push(BAD_PARAMETERS)
            return
        refusal = self._refusal(path)
        if not refusal:
            self._reverse_path = path.address
        await self.push(refusal or "250 2.1.0 OK")

    def _refusal(self, path: Path) -> str:
        """What is wrong with the parameters of MAIL; "" for nothing."""
        unknown = set(path.parameters) - {"SIZE", "BODY", "SMTPUTF8"}
        if unknown or path.parameters.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME"):
            return UNKNOWN_PARAMETER
        size = path.parameters.get("SIZE", "0")
        if not re.fullmatch(r"[0-9]{1,20}", size) or path.parameters.get("SMTPUTF8"):
            return BAD_PARAMETERS
        return TOO_LARGE if int(size) > self._reception.max_message_size_bytes else ""

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if self._reverse_path is None:
            await self.push(BAD_SEQUENCE)
            return
        try:
            path = read_path("TO:", arg)
        except Malformed:
            await self.push(BAD_PARAMETERS)
            return
        mailbox = mailbox_of(self._reception.recipients, path.address)
        if path.parameters:
            await self.push(UNKNOWN_PARAMETER)
        elif mailbox is None:
            await self.push("550 5.1.1 No such recipient here")
        elif self._forward_path is not None:
            # One recipient, one answer: LMTP would want one for each, and each could fail by itself.
            await self.push("452 4.5.3 One recipient per transaction")
        else:
            self._forward_path = mailbox, path.address
            await self.push("250 2.1.5 OK")

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        if arg:
            await self.push(BAD_PARAMETERS)
            return
        if self._forward_path is None:
            await self.push(BAD_SEQUENCE)
            return
        await self._say("354 End data with <CR><LF>.<CR><LF>")
        try:
            reply = await self._take_message(self._forward_path)
        finally:
            # Whatever happened, the next transaction begins with nothing.
            self._set_post_data_state()
            self._reset_timeout()
        await self.push(reply)
        if self._reception.closing:
            self.stop()

    async def smtp_VRFY(self, arg: str | None) -> None:  # noqa: N802
        await self.push("252 2.0.0 Send a message and see")

    async def smtp_HELP(self, arg: str | None) -> None:  # noqa: N802
        await self.push("214 2.0.0 See RFC 5321 and RFC 2033")

    async def smtp_POST(self, arg: str | None) -> None:  # noqa: N802
        """A web browser that was talked into writing to this port."""
        self.hang_up("421 4.7.0 This is no web server")

    smtp_GET = smtp_PUT = smtp_HEAD = smtp_CONNECT = smtp_OPTIONS = smtp_POST  # noqa: N815

    # --- a message --------------------------------------------------------------------------------------------

    async def _take_message(self, recipient: tuple[str, str]) -> str:
        """Read it and store it. Returns the reply."""
        pieces: list[bytes] = []
        lane = _Lane(self._reception.large)
        try:
            refusal = await self._receive(pieces, lane)
            if refusal:
                return refusal
            self._delivering = True
            return await self._deliver(*recipient, pieces)
        finally:
            self._delivering = False
            lane.leave()

    async def _receive(self, pieces: list[bytes], lane: _Lane) -> str:
        """Read to the end of the message, which comes to lie in `pieces`; or returns the reply that it gets instead.

        What is refused is read too, so that the reply comes in its place, but not kept.
        """
        size_bytes, refusal = 0, ""
        async for piece in self._wire.message():
            self._reset_timeout(DATA_SECONDS)
            size_bytes += len(piece)
            if refusal:
                continue
            pieces.append(piece)
            if size_bytes > self._reception.max_message_size_bytes:
                refusal = TOO_LARGE
            elif size_bytes > LARGE_BYTES and not await lane.enter():
                refusal = TRY_LATER
            if refusal:
                pieces.clear()
        return refusal or ("" if size_bytes else "554 5.6.0 Message is empty")

    async def _deliver(self, mailbox: str, address: str, pieces: list[bytes]) -> str:
        status, kind = self._reception.status, self._reception.kind
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                small = sum(map(len, pieces)) <= LARGE_BYTES
                data = b"".join(pieces) if small else await asyncio.to_thread(b"".join, pieces)
                pieces.clear()
                origin = Origin(SourceKind.LMTP, mailbox, note="" if kind == "lmtp" else "(by SMTP)")
                await self._reception.door.deliver(
                    RawMessage(data, origin, self._reception.clock(), self._reverse_path, address)
                )
        except StorageFull as error:
            log.error("message not stored", kind=kind, mailbox=mailbox, reason=error)
            status.failed += 1
            return FULL
        except Exception as error:
            # Known or not: a fault of ours is temporary, and its text is for the log alone.
            log.error("message not stored", kind=kind, mailbox=mailbox, error_type=type(error).__name__, reason=error)
            status.failed += 1
            return TRY_LATER
        status.stored += 1
        status.last_stored_at = self._reception.clock()
        return STORED


class LmtpSession(Session):
    """RFC 2033. HELO and EHLO are no commands of it."""

    greeting = "LMTP"

    def __init__(self, reception: Reception) -> None:
        super().__init__(reception)
        for verb in ("HELO", "EHLO"):
            del self._smtp_methods[verb]

    async def smtp_LHLO(self, arg: str | None) -> None:  # noqa: N802
        await self._greet(arg)


class SmtpSession(Session):
    greeting = "ESMTP"

    async def smtp_EHLO(self, arg: str | None) -> None:  # noqa: N802
        await self._greet(arg)

    async def smtp_HELO(self, arg: str | None) -> None:  # noqa: N802
        if not arg:
            await self.push(BAD_PARAMETERS)
            return
        self._set_post_data_state()
        self._greeted = True
        await self._say(f"250 {HOSTNAME}")


class _Lane:
    """The right to hold a large message in memory: taken once for a message, given back in any case."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._entered = False

    async def enter(self) -> bool:
        """Whether there is a place; waits for one."""
        if not self._entered:
            try:
                async with asyncio.timeout(LARGE_WAIT_SECONDS):
                    await self._places.acquire()
            except TimeoutError:
                return False
            self._entered = True
        return True

    def leave(self) -> None:
        if self._entered:
            self._entered = False
            self._places.release()
