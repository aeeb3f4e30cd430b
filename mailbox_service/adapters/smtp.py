"""Submission of outgoing mail to the project's own mail server, on aiosmtplib (RFC 5321, RFC 6409).

One call of `SmtpTransport.send` is one mail to one recipient. What the outbox needs to know afterwards is exactly one
thing: may the server have taken the mail? So the DATA step is our own: the final dot is held back until everything
before it has left, and whatever goes wrong from that moment on is UNKNOWN, whatever went wrong earlier is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import aiosmtplib
import structlog
from aiosmtplib import SMTPResponse
from aiosmtplib.protocol import SMTPProtocol

from mailbox_service.core.composition import is_address
from mailbox_service.core.display import harmless, shorten
from mailbox_service.errors import ConfigurationError, MailboxServiceError
from mailbox_service.services.metering import LOGINS_REFUSED, NO_METER, Meter
from mailbox_service.services.ports import Delivery, DeliveryOutcome, Envelope

log = structlog.get_logger(__name__)

Security = Literal["tls", "starttls", "none"]

# What stands at the head of `Delivery.reply` when no session could be had: our configuration or the network, never
# the mail. The outbox and the doctor tell them apart by these words.
CANNOT_CONNECT = "cannot connect"
TLS_FAILED = "TLS failed"
LOGIN_REFUSED = "login refused"
LOGIN_FAILED = "login failed"

# Some providers end a session after 100 mails or count long sessions as abuse; a new login each 50 mails costs little.
MAILS_PER_CONNECTION = 50
# Servers hang up on idle clients after a minute or more (Postfix: 5 min, under load 10 s).
IDLE_LIMIT_SECONDS = 55.0
# A shorter pause needs no question: a connection that died meanwhile is noticed at MAIL and replaced.
IDLE_CHECK_SECONDS = 10.0
# The answer to RSET comes from memory; a server that needs longer is as good as gone.
CHECK_TIMEOUT_SECONDS = 10.0
# Repeated failures lock accounts; until the password changes, one attempt in five minutes.
LOGIN_PAUSE_SECONDS = 300.0
# Large enough to keep a fast line busy, small enough that an early refusal is noticed before much is sent in vain.
CHUNK_BYTES = 65536
REPLY_LIMIT_CHARS = 400
# RFC 5321 §4.1.3: a client without a name of its own gives an address literal; every submission server takes it.
DEFAULT_LOCAL_HOSTNAME = "[127.0.0.1]"

# 530 authentication or STARTTLS required, 534/535/538 mechanism or credentials refused (RFC 4954 §6).
_LOGIN_CODES = frozenset({530, 534, 535, 538})
_ENHANCED = re.compile(r"\A\s*[245]\.(\d{1,3})\.(\d{1,3})\b")
_TOO_LARGE_STATUS = frozenset({(2, 3), (3, 4)})  # RFC 3463: longer than the recipient's or the system's limit
_MAILBOX_FULL = (2, 2)
# RFC 3463 subjects that a reply to the final dot may carry and that speak of the content: media, security or policy.
_CONTENT_SUBJECTS = frozenset({0, 6, 7})
# RFC 7372 and RFC 8689: failed DKIM, SPF, DMARC, reverse DNS. They speak of us as a sender, not of this content.
_SENDER_AUTHENTICATION_DETAILS = range(20, 31)


@dataclass(frozen=True, slots=True)
class SmtpAccount:
    """How to reach and log in to the submission server. `password` is called anew for each login."""

    host: str
    port: int
    security: Security = "tls"
    username: str | None = None
    password: Callable[[], str] | None = None
    ca_file: Path | None = None  # trusted instead of the system's authorities
    allow_plaintext: bool = False
    connections: int = 4
    timeout_seconds: float = 60  # for the answer to each command, and for each piece of a mail to leave
    local_hostname: str = DEFAULT_LOCAL_HOSTNAME
    # For one send() as a whole, the wait for a free connection included. Less than the outbox waits, which does not
    # know how far a mail has got and has to call everything unknown.
    deadline_seconds: float = 200


@dataclass(frozen=True, slots=True)
class SmtpReport:
    """What a trial connection found, for the doctor. `problem` is empty when a mail could have been handed over."""

    problem: str
    tls: str | None = None  # e.g. "TLSv1.3"; None in clear
    logged_in: bool = False
    extensions: tuple[str, ...] = ()  # EHLO keywords in lower case, sorted
    size_limit_bytes: int | None = None  # RFC 1870; None when the server names no limit


class _NotReadyError(Exception):
    """There is no session to send on; the mail itself is not to blame."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class _Progress:
    """How far one mail has got; read after a failure."""

    def __init__(self) -> None:
        self.verb = "connecting"
        self.dot_written = False


class SmtpTransport:
    """`ports.Transport` on a small pool of kept connections.

    `send` never raises for what a server or network does and returns within `deadline_seconds`; it raises
    CancelledError when it is cancelled, and then nobody knows whether the mail was taken. Concurrent calls use
    different connections, at most `connections`. A connection is closed at any exception, timeout or cancellation,
    so a late reply can never be taken for the reply to another mail.
    """

    def __init__(
        self,
        account: SmtpAccount,
        *,
        mails_per_connection: int = MAILS_PER_CONNECTION,
        idle_check_seconds: float = IDLE_CHECK_SECONDS,
        idle_limit_seconds: float = IDLE_LIMIT_SECONDS,
        mailbox: str = "",
        meter: Meter = NO_METER,
    ) -> None:
        """Raises: ConfigurationError for settings that would send mail or a password over a network in clear."""
        _check(account)
        self._account = account
        self._mailbox, self._meter = mailbox, meter
        self._mails_per_connection = mails_per_connection
        self._idle_check_seconds = idle_check_seconds
        self._idle_limit_seconds = idle_limit_seconds
        self._slots = asyncio.Semaphore(account.connections)
        self._idle: list[_Session] = []
        self._context: ssl.SSLContext | None = None
        self._refused_login: tuple[bytes, float, str] | None = None  # digest of the password, until when, reply
        self._closed = False

    @property
    def login_refused(self) -> bool:
        """Whether the server refused the last login that was tried."""
        return self._refused_login is not None

    async def send(self, envelope: Envelope, data: bytes) -> Delivery:
        refusal = _refused_here(envelope, data)
        if refusal is not None:
            return refusal
        progress = _Progress()
        try:
            async with asyncio.timeout(self._account.deadline_seconds), self._slots:
                return await self._submit(envelope, data, progress)
        except TimeoutError:
            return _lost(progress, f"no end within {self._account.deadline_seconds:g} s")

    async def close(self) -> None:
        """Says goodbye on all idle connections; those in use are closed when their mail is through."""
        self._closed = True
        while self._idle:
            self._idle.pop().leave()
        await asyncio.sleep(0)  # lets the loop run the transports' last callbacks before it may be closed

    async def probe(self) -> SmtpReport:
        """Connects, encrypts and logs in on a connection of its own, sends nothing. Never raises for a server."""
        try:
            async with asyncio.timeout(self._account.deadline_seconds):
                session = await self._open()
        except _NotReadyError as problem:
            return SmtpReport(_reply(str(problem)))
        except TimeoutError:
            return SmtpReport(f"{CANNOT_CONNECT}: no end within {self._account.deadline_seconds:g} s")
        report = SmtpReport(
            problem="",
            tls=session.tls_version(),
            logged_in=self._account.username is not None,
            extensions=tuple(sorted(session.smtp.esmtp_extensions)),
            size_limit_bytes=session.size_limit_bytes(),
        )
        session.leave()
        await asyncio.sleep(0)
        return report

    async def _submit(self, envelope: Envelope, data: bytes, progress: _Progress) -> Delivery:
        while True:
            try:
                session = await self._take()
            except _NotReadyError as problem:
                log.warning("no smtp session", kind=problem.kind)
                return Delivery(DeliveryOutcome.TEMPORARY, _reply(str(problem)))
            try:
                delivery = await session.submit(envelope, data, progress, self._account.timeout_seconds)
            except (aiosmtplib.SMTPException, OSError) as error:
                session.abort()
                if session.mails and progress.verb == "MAIL":
                    # The server hung up on a kept connection while it was idle. Nothing of this mail was sent, and
                    # the next turn ends at the latest with a new connection, for which `mails` is 0.
                    continue
                return _lost(progress, _text(error))
            except BaseException:  # cancelled, or the deadline: whatever the server still says is not for us
                session.abort()
                raise
            self._give_back(session)
            return delivery

    async def _take(self) -> _Session:
        """A session that is ready for MAIL. Raises: _NotReadyError."""
        loop = asyncio.get_running_loop()
        while self._idle:
            session = self._idle.pop()
            session.cancel_timer()
            if session.dirty or loop.time() - session.idle_since > self._idle_check_seconds:
                await session.reset()
            if session.alive:
                return session
        return await self._open()

    def _give_back(self, session: _Session) -> None:
        if self._closed or session.mails >= self._mails_per_connection or not session.alive:
            session.leave()
            return

        def expire() -> None:
            self._idle.remove(session)
            session.leave()

        loop = asyncio.get_running_loop()
        session.idle_since = loop.time()
        session.timer = loop.call_later(self._idle_limit_seconds, expire)
        self._idle.append(session)

    async def _open(self) -> _Session:
        """A new connection, encrypted and logged in as the account demands. Raises: _NotReadyError."""
        account = self._account
        step = TLS_FAILED
        smtp: aiosmtplib.SMTP | None = None
        try:
            smtp = aiosmtplib.SMTP(
                hostname=account.host,
                port=account.port,
                use_tls=account.security == "tls",
                start_tls=False,
                tls_context=await self._tls_context(),
                timeout=account.timeout_seconds,
                local_hostname=account.local_hostname,
            )
            step = CANNOT_CONNECT
            await smtp.connect()
            self._check_peer(smtp)
            await smtp.ehlo()
            if account.security == "starttls":
                step = TLS_FAILED
                await smtp.starttls()
                await smtp.ehlo()
            if account.username is not None:
                step = LOGIN_FAILED
                await self._login(smtp, account.username)
            return _Session(smtp)
        except BaseException as error:
            if smtp is not None and smtp.transport is not None:
                cast(asyncio.WriteTransport, smtp.transport).abort()
            if not isinstance(error, aiosmtplib.SMTPException | OSError | ValueError | MailboxServiceError):
                raise
            refused_certificate = isinstance(error.__cause__ or error, ssl.SSLError)
            raise _NotReadyError(TLS_FAILED if refused_certificate else step, _text(error)) from error

    async def _tls_context(self) -> ssl.SSLContext | None:
        if self._account.security != "none" and self._context is None:
            # Reading a bundle of authorities takes some 20 ms; made on first use, so that a missing file is a
            # problem of the day and not a crash at start.
            cafile = str(self._account.ca_file) if self._account.ca_file else None
            self._context = await asyncio.to_thread(ssl.create_default_context, cafile=cafile)
        return self._context

    def _check_peer(self, smtp: aiosmtplib.SMTP) -> None:
        """Holds "plaintext only to loopback" against the address really reached: a name may point anywhere."""
        if self._account.security != "none" or self._account.allow_plaintext:
            return
        if not ipaddress.ip_address(smtp.get_transport_info("peername")[0]).is_loopback:
            raise ValueError("the host name leads off this machine, and the connection is not encrypted")

    async def _login(self, smtp: aiosmtplib.SMTP, username: str) -> None:
        password = self._account.password() if self._account.password else ""
        digest = hashlib.sha256(password.encode()).digest()
        now = asyncio.get_running_loop().time()
        if self._refused_login and self._refused_login[0] == digest and now < self._refused_login[1]:
            raise _NotReadyError(LOGIN_REFUSED, f"not tried again yet; the server said: {self._refused_login[2]}")
        # One mechanism, one attempt: aiosmtplib's login() tries them all, which counts as three wrong passwords.
        methods = {"plain": smtp.auth_plain, "login": smtp.auth_login, "cram-md5": smtp.auth_crammd5}
        method = next((methods[name] for name in methods if name in smtp.server_auth_methods), None)
        if method is None:
            raise _NotReadyError(LOGIN_FAILED, "the server offers none of AUTH PLAIN, LOGIN, CRAM-MD5")
        try:
            await method(username, password)
        except aiosmtplib.SMTPAuthenticationError as error:
            if error.code < 500:
                raise
            self._meter.count(LOGINS_REFUSED, self._mailbox, "smtp")
            self._refused_login = (digest, now + LOGIN_PAUSE_SECONDS, _text(error))
            raise _NotReadyError(LOGIN_REFUSED, _text(error)) from error
        self._refused_login = None


class _Session:
    """One connection on which MAIL may be said, and its place in the pool."""

    def __init__(self, smtp: aiosmtplib.SMTP) -> None:
        self.smtp = smtp
        # Kept apart from aiosmtplib, which forgets its transport when it closes it, and closes it gently: what still
        # lies in the buffer would go out afterwards.
        self.transport = cast(asyncio.WriteTransport, smtp.transport)
        # The least value that TLS transports of Python 3.11 honour; it makes "drained" mean that all has left.
        self.transport.set_write_buffer_limits(high=1)
        self.mails = 0
        self.dirty = False  # a transaction was begun and not brought to its end
        self.idle_since = 0.0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        return self.smtp.is_connected

    def cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def abort(self) -> None:
        """Drops the connection and whatever still lies in its buffer."""
        self.cancel_timer()
        self.transport.abort()

    def leave(self) -> None:
        """QUIT without waiting for the answer: it would change nothing (RFC 5321 §4.1.1.10)."""
        if self.alive and self.smtp.protocol is not None:
            with suppress(aiosmtplib.SMTPException, OSError):
                self.smtp.protocol.write(b"QUIT\r\n")
        self.abort()

    async def reset(self) -> None:
        """Brings the session back to its state after EHLO, or drops it."""
        try:
            await self.smtp.rset(timeout=CHECK_TIMEOUT_SECONDS)
            self.dirty = False
        except (aiosmtplib.SMTPException, OSError):
            self.abort()
            self.smtp.close()  # so that `alive` is false at once
        except BaseException:
            self.abort()
            raise

    def tls_version(self) -> str | None:
        tls = self.smtp.get_transport_info("ssl_object")
        return tls.version() if tls is not None else None

    def size_limit_bytes(self) -> int | None:
        """RFC 1870 §3: no number, or 0, means that the server names no fixed limit."""
        text = self.smtp.esmtp_extensions.get("size", "").strip()
        return int(text) or None if text.isdecimal() and text.isascii() else None

    async def submit(self, envelope: Envelope, data: bytes, progress: _Progress, timeout_seconds: float) -> Delivery:
        """One transaction. Raises: SMTPException, OSError when the connection is of no further use."""
        refusal = self._beyond_the_server(envelope, data)
        if refusal is not None:
            return refusal
        self.dirty = True
        commands = (
            (b"MAIL", b"FROM:<" + envelope.mail_from.encode() + b">", *self._options(envelope, data)),
            (b"RCPT", b"TO:<" + envelope.rcpt_to.encode() + b">"),
            (b"DATA",),
        )
        for command in commands:
            progress.verb = command[0].decode()
            response = await self.smtp.execute_command(*command)
            if progress.verb == "MAIL" and response.code == aiosmtplib.SMTPStatus.domain_unavailable and self.mails:
                raise aiosmtplib.SMTPServerDisconnected("the server ended a kept session")
            if response.code // 100 != (3 if progress.verb == "DATA" else 2):
                return _refused(response, content_seen=False)
        response = await self._transfer(data, progress, timeout_seconds)
        if response.code // 100 != 2 or not progress.dot_written:
            return _refused(response, content_seen=True)
        self.mails += 1
        self.dirty = False
        return Delivery(DeliveryOutcome.SENT, _reply(f"{response.code} {response.message}"))

    def _beyond_the_server(self, envelope: Envelope, data: bytes) -> Delivery | None:
        """What the server's EHLO already rules out, said without troubling it."""
        limit = self.size_limit_bytes()
        if limit is not None and len(data) > limit:
            return Delivery(
                DeliveryOutcome.TOO_LARGE, f"not sent: {len(data)} bytes, and the server takes at most {limit}"
            )
        if not (envelope.mail_from + envelope.rcpt_to).isascii() and not self.smtp.supports_extension("smtputf8"):
            return Delivery(DeliveryOutcome.PERMANENT, "not sent: the address needs SMTPUTF8, which is not offered")
        if not data.isascii() and not self.smtp.supports_extension("8bitmime"):
            return Delivery(DeliveryOutcome.PERMANENT, "not sent: the mail needs 8BITMIME, which is not offered")
        return None

    def _options(self, envelope: Envelope, data: bytes) -> list[bytes]:
        options = []
        if self.smtp.supports_extension("size"):
            options.append(b"SIZE=%d" % len(data))
        if not data.isascii():
            options.append(b"BODY=8BITMIME")
        if not (envelope.mail_from + envelope.rcpt_to).isascii():
            options.append(b"SMTPUTF8")
        return options

    async def _transfer(self, data: bytes, progress: _Progress, timeout_seconds: float) -> SMTPResponse:
        """The content after 354. The reply to it, or to a part of it when `dot_written` is still false."""
        protocol = self.smtp.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        progress.verb = "content"
        wire = memoryview(_dot_stuffed(data))
        # A server may refuse in the midst of the content; without a reader its words would be thrown away.
        reply = asyncio.create_task(protocol.read_response(), name="smtp reply")
        try:
            for start in range(0, len(wire), CHUNK_BYTES):
                protocol.write(bytes(wire[start : start + CHUNK_BYTES]))
                await _drained(protocol, reply, timeout_seconds)
                if reply.done():
                    response = reply.result()
                    self.smtp.close()
                    self.abort()
                    return response
            progress.verb = "final dot"
            progress.dot_written = True
            protocol.write(b".\r\n")
            response = await reply
            if response.code == aiosmtplib.SMTPStatus.domain_unavailable:
                self.smtp.close()
            return response
        finally:
            await _put_away(reply)


async def _drained(protocol: SMTPProtocol, reply: asyncio.Task[SMTPResponse], timeout_seconds: float) -> None:
    """Returns when all that was written has left, or when the server says something before its turn."""
    if not protocol._paused and not protocol._connection_lost:
        # All of it has left already. One turn of the loop, in which the server's words may arrive.
        await asyncio.sleep(0)
        return
    # The method that asyncio's own StreamWriter.drain() calls on a protocol. StreamWriter itself is of no use here:
    # since Python 3.13 it closes the transport when it is collected.
    drain = asyncio.create_task(protocol._drain_helper(), name="smtp drain")
    try:
        done, _ = await asyncio.wait({drain, reply}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise aiosmtplib.SMTPTimeoutError("the server stopped reading")
        if drain.done() and not reply.done():
            drain.result()
    finally:
        await _put_away(drain)


async def _put_away(task: asyncio.Task[Any]) -> None:
    """Ends a task of ours. `wait` and not `await task`, which could not tell its cancellation from our own."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # marks it as seen; whoever needed it has already had it


def _check(account: SmtpAccount) -> None:
    problems = []
    if account.security == "none" and not _is_loopback(account.host):
        if not account.allow_plaintext:
            problems.append(
                "smtp.security: 'none' is allowed to this machine only; use tls or starttls, or set allow_plaintext"
            )
        if account.username is not None:
            problems.append(
                "smtp.username: a password never crosses a network in clear; use tls or starttls, or log in nowhere"
            )
    if account.connections < 1:
        problems.append("smtp.connections: at least 1")
    if problems:
        raise ConfigurationError(problems)


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refused_here(envelope: Envelope, data: bytes) -> Delivery | None:
    """What must not reach a command line at all, whatever the server (threat rows 34 and 35)."""
    if not is_address(envelope.rcpt_to):
        return Delivery(DeliveryOutcome.PERMANENT, "not sent: the recipient is not exactly one mail address")
    if envelope.mail_from and not is_address(envelope.mail_from):  # "" is the null reverse-path
        return Delivery(DeliveryOutcome.PERMANENT, "not sent: the sender is not exactly one mail address")
    # A lone CR or LF is where one server sees the end of a mail and the next does not ("SMTP smuggling").
    if not data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n") or not data.endswith(b"\r\n"):
        return Delivery(DeliveryOutcome.PERMANENT, "not sent: the mail does not consist of lines that end in CRLF")
    return None


def _dot_stuffed(data: bytes) -> bytes:
    """RFC 5321 §4.5.2. `replace` instead of a regular expression: 30 MB take 15 ms instead of a second."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if data.startswith(b".") else stuffed


def _lost(progress: _Progress, why: str) -> Delivery:
    if progress.dot_written:
        return Delivery(DeliveryOutcome.UNKNOWN, _reply(f"lost after the final dot, before the reply: {why}"))
    return Delivery(DeliveryOutcome.TEMPORARY, _reply(f"lost at {progress.verb}: {why}"))


def _refused(response: SMTPResponse, *, content_seen: bool) -> Delivery:
    """What a definite reply other than success means. Raises: SMTPException when it is none."""
    reply = _reply(f"{response.code} {response.message}")
    if not 400 <= response.code <= 599:
        raise aiosmtplib.SMTPException(f"a reply out of place: {reply}")
    if response.code in _LOGIN_CODES:
        return Delivery(DeliveryOutcome.TEMPORARY, _reply(f"{LOGIN_REFUSED}: {reply}"))
    if response.code < 500:
        return Delivery(DeliveryOutcome.TEMPORARY, reply)
    outcome = DeliveryOutcome.PERMANENT
    if _is_about_the_content(response, content_seen=content_seen):
        outcome = DeliveryOutcome.TOO_LARGE
    return Delivery(outcome, reply)


def _is_about_the_content(response: SMTPResponse, *, content_seen: bool) -> bool:
    """Whether a 5xx reply refuses this mail for its size or content, so that a smaller one may pass.

    After the content the server has learned nothing new but the content: its refusal is about that, unless its
    enhanced status (RFC 3463) says otherwise. Erring this way costs one further mail without the attachment.
    """
    found = _ENHANCED.match(response.message)
    status = (int(found[1]), int(found[2])) if found else None
    if status in _TOO_LARGE_STATUS:
        return True
    if response.code == 552:  # RFC 5321 §4.2.3: exceeded storage allocation; Gmail's code for a refused attachment
        return status != _MAILBOX_FULL
    if not content_seen:
        return False
    if status is None:
        return True
    subject, detail = status
    return subject in _CONTENT_SUBJECTS and not (subject == 7 and detail in _SENDER_AUTHENTICATION_DETAILS)


def _text(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__


def _reply(text: str) -> str:
    return shorten(harmless(text), REPLY_LIMIT_CHARS)
