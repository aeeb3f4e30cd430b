"""The mail servers of the demo: IMAP (pymap) and SMTP submission (aiosmtpd) in this process, on loopback.

Together they play the provider of everybody in the cast. What is submitted arrives in the mailbox of the
recipient at once, with the header fields a provider adds. All is kept in memory. For the demo and for quick
tests; never a server for real mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from email import message_from_bytes
from email.utils import format_datetime, getaddresses
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from proxyprotocol.sock import SocketInfoLocal
from pymap.backend.dict import Config, DictBackend, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet
from pymap.concurrent import Event, Subsystem
from pymap.context import subsystem
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import ObjectId
from pymap.selected import SelectedMailbox
from pymap.user import UserMetadata
from pysasl import SASLAuth
from pysasl.hashing import Cleartext

from mailbox_service.services.ports import Clock

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
AUTHSERV_ID = "mx.demo.example"

# Mail as large as the usual providers take it (Gmail: 25 MB before, about 35 MB after base64).
MAX_MESSAGE_BYTES = 40 << 20

# A line longer than RFC 5321 allows is no reason to refuse a report; real servers take or fold them.
MAX_LINE_BYTES = 1 << 20

# How long open connections get to end by themselves at shutdown, before their tasks are cancelled.
GRACE_SECONDS = 2.0

# address -> (login, password). The passwords keep nobody out: whoever reaches loopback may play along.
DEMO_ACCOUNTS: Mapping[str, tuple[str, str]] = {
    "security@demo.example": ("security", "demo"),
    "team@demo.example": ("team", "demo"),
    "maintainer@demo.example": ("maintainer", "demo"),
    "grace@demo.example": ("grace", "demo"),
    "reporter@research.example": ("reporter", "demo"),
    "noor@audits.example": ("noor", "demo"),
    "customer@company.example": ("customer", "demo"),
    "away@company.example": ("away", "demo"),
    "spammer@offers.example": ("spammer", "demo"),
}


class DemoMailServer:
    """An IMAP and an SMTP submission server with their accounts, running inside `async with`.

    `imap_port` and `smtp_port` are free ports on 127.0.0.1, known once entered; both speak plaintext, which
    the service allows to loopback only. An account opens to its login name and to its whole address. Mail to
    `local+anything@domain` arrives at `local@domain`.
    """

    imap_port: int
    smtp_port: int

    def __init__(
        self,
        *,
        clock: Clock,
        listen: tuple[str, int, int] = (HOST, 0, 0),
        accounts: Mapping[str, tuple[str, str]] = DEMO_ACCOUNTS,
        folders: Sequence[str] = (),
        on_delivery: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """`listen` is the address and the ports for IMAP and SMTP; 0 takes a free one.

        `folders` are made in every account, beside INBOX; addresses are compared in lower case. `on_delivery` is told
        the account's address and the bytes of each mail, as soon as that is in the mailbox.
        """
        self.accounts: dict[str, tuple[str, str]] = {a.lower(): login for a, login in accounts.items()}
        self._clock, self._listen = clock, listen
        self._folders = folders
        self._on_delivery = on_delivery
        self._mailboxes: dict[str, MailboxSet] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        # Both log each connection and, at DEBUG, what is said in it, passwords included.
        logging.getLogger("pymap").setLevel(logging.WARNING)
        # At WARNING aiosmtpd complains about an attribute of its own at every login.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        async with contextlib.AsyncExitStack() as stack:
            backend = await self._open_mailboxes()
            host, imap_port, smtp_port = self._listen
            self.imap_port = await stack.enter_async_context(_imap_server(backend, host, imap_port))
            provider = _Provider(self, self._clock)
            self.smtp_port = await stack.enter_async_context(_smtp_server(provider, host, smtp_port))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def deliver(self, address: str, data: bytes, folder: str = "INBOX") -> int:
        """Put `data`, unchanged, into a folder (made when missing), as new mail; the result is its UID.

        Clients in IDLE are told at once. Raises KeyError when nobody has this address.
        """
        account = self._account_of(address)
        mailbox = await self._folder(self._mailboxes[account], folder)
        message = await mailbox.append(AppendMessage(data, self._clock(), frozenset()), recent=True)
        if self._on_delivery is not None:
            self._on_delivery(account, data)
        return message.uid

    async def messages(self, address: str, folder: str = "INBOX") -> list[bytes]:
        """The messages in a folder, oldest first; none when there is no such folder.

        Raises KeyError when nobody has this address.
        """
        mailboxes = self._mailboxes[self._account_of(address)]
        try:
            mailbox = await mailboxes.get_mailbox(folder)
        except KeyError:
            return []
        return [bytes(message._content) async for message in mailbox.messages() if message._content]

    async def folders(self, address: str) -> list[str]:
        """The names of the account's folders."""
        tree = await self._mailboxes[self._account_of(address)].list_mailboxes()
        return [entry.name for entry in tree.list()]

    def has(self, address: str) -> bool:
        """Whether mail to this address arrives somewhere here."""
        return self._account_of(address) in self.accounts

    def address_of(self, login: str, password: str) -> str | None:
        """The address of the account these credentials open."""
        for address, (name, secret) in self.accounts.items():
            if login.lower() in (name, address) and password == secret:
                return address
        return None

    def _account_of(self, address: str) -> str:
        local, _, domain = address.lower().rpartition("@")
        return f"{local.partition('+')[0]}@{domain}"

    async def _folder(self, mailboxes: MailboxSet, name: str) -> MailboxData:
        with contextlib.suppress(ValueError):  # it is there already
            if name.upper() != "INBOX":
                await mailboxes.add_mailbox(name)
        return await mailboxes.get_mailbox(name)

    async def _open_mailboxes(self) -> DictBackend:
        config = _Config()
        login = Login(config)
        for address, (name, password) in self.accounts.items():
            self._mailboxes[address] = mailboxes = _MailboxSet()
            for folder in self._folders:
                await self._folder(mailboxes, folder)
            for known_as in (name, address):
                config.set_cache[known_as] = (mailboxes, FilterSet())
                login.users_dict[known_as] = UserMetadata(config, known_as, password=password)
        return DictBackend(login, config)


# --- IMAP --------------------------------------------------------------------------------------------------


class _Config(Config):
    """pymap without its command line, its threads and its look-up of this machine's name at each greeting."""

    def __init__(self) -> None:
        asyncio_only = Subsystem.for_asyncio()
        super().__init__(
            Namespace(passlib_cfg=None, proxy_protocol=None),
            host=HOST,
            port=0,
            tls_enabled=False,
            subsystem=asyncio_only,
            cpu_subsystem=asyncio_only,
            hash_context=Cleartext(),
            invalid_user_sleep=0.0,
            max_append_len=MAX_MESSAGE_BYTES,
            demo_data=False,
            demo_user="",
            demo_password="",
        )

    @property
    def greeting(self) -> bytes:
        return b"Demo server ready"

    @property
    def insecure_auth(self) -> SASLAuth:
        # Also from another container: this server keeps no secrets.
        return self.tls_auth


class _Mailbox(MailboxData):
    """Loses no wake-up: pymap waits for the next change even when one came since the client was last told."""

    async def update_selected(self, selected: SelectedMailbox, *, wait_on: Event | None = None) -> SelectedMailbox:
        told = selected.mod_sequence
        if told is not None and told < self._mod_sequences.highest:
            wait_on = None
        return await super().update_selected(selected, wait_on=wait_on)


class _MailboxSet(MailboxSet):
    def __init__(self) -> None:
        super().__init__()
        self._inbox = _Mailbox(self._content_cache, self._thread_cache)

    async def add_mailbox(self, name: str) -> ObjectId:
        await super().add_mailbox(name)
        self._set[name] = mailbox = _Mailbox(self._content_cache, self._thread_cache)
        return mailbox.mailbox_id


@contextlib.asynccontextmanager
async def _imap_server(backend: DictBackend, host: str, port: int) -> AsyncIterator[int]:
    """Run the IMAP server; its port is the value; nothing of it is left at the end."""
    connections: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}
    imap = IMAPServer(backend.login, backend.config)
    in_asyncio = Subsystem.for_asyncio()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subsystem.set(in_asyncio)
        connections[writer] = asyncio.current_task()
        try:
            await imap(reader, writer, SocketInfoLocal(writer, unique_id=uuid.uuid4().bytes))
        finally:
            del connections[writer]

    server = await asyncio.start_server(serve, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # An aborted connection reads as ended, which pymap leaves in good order, from IDLE too; a cancelled
        # one would leave the task behind that watches for news.
        open_now = dict(connections)
        for writer in open_now:
            writer.transport.abort()
        await _end(open_now.values())
        for writer in open_now:
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await server.wait_closed()


async def _end(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    ending = {task for task in tasks if task is not None}
    if not ending:
        return
    _, late = await asyncio.wait(ending, timeout=GRACE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


# --- SMTP --------------------------------------------------------------------------------------------------


class _Submission(SMTP):
    line_length_limit = MAX_LINE_BYTES

    def __init__(self, provider: _Provider, connections: set[_Submission]) -> None:
        super().__init__(
            provider,
            hostname=AUTHSERV_ID,
            ident="Demo submission",
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=provider.authenticate,
            loop=asyncio.get_running_loop(),
        )
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        super().connection_lost(error)

    async def ended(self) -> None:
        """Cut the connection and wait until its task is over."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]  # every transport of a socket has it
        await _end([self._handler_coroutine])


class _Provider:
    """What happens to submitted mail: checks, header fields, delivery (RFC 6409, RFC 5321 §4.4)."""

    def __init__(self, server: DemoMailServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock

    def authenticate(
        self, _smtp: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        if isinstance(data, LoginPassword):
            login, password = (part.decode("utf-8", "replace") for part in data)
            address = self._server.address_of(login, password)
            if address is not None:
                return AuthResult(success=True, auth_data=address)
        return AuthResult(success=False, handled=False)

    async def handle_RCPT(  # noqa: N802  # the name is aiosmtpd's
        self, _smtp: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if not self._server.has(address):
            return "550 5.1.1 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(  # noqa: N802
        self, _smtp: SMTP, session: Session, envelope: Envelope
    ) -> str:
        # aiosmtpd answers an exception with a permanent failure that quotes it, and keeps the envelope.
        try:
            await self._deliver(session, envelope)
        except Exception:
            log.exception("demo mail server: delivery failed")
            return "451 4.3.0 try again later"
        return "250 2.0.0 delivered"

    async def _deliver(self, session: Session, envelope: Envelope) -> None:
        content = envelope.original_content or b""
        submitter = session.auth_data if session.authenticated else None
        body = without_results(content)
        for recipient in envelope.rcpt_tos:
            trace = trace_fields(
                sender=(envelope.mail_from or "").strip("<>"),  # the null reverse-path comes with its brackets
                recipient=recipient,
                helo=session.host_name or "unknown",
                dmarc=self._dmarc(content, submitter),
                authenticated=submitter is not None,
                now=self._clock(),
            )
            await self._server.deliver(recipient, trace + body)

    def _dmarc(self, content: bytes, submitter: str | None) -> str:
        """The result and its property, as after a DMARC check at the border (RFC 8601, RFC 7489 §11.2)."""
        author = only_author(content)
        if author is None:
            return "dmarc=none"
        domain = author.rpartition("@")[2]
        if submitter is not None:
            result = "pass" if author == submitter else "fail"
        else:
            result = "fail" if self._server.has(author) else "none"
        return f"dmarc={result} header.from={domain}"


def only_author(content: bytes) -> str | None:
    """The address in From, in lower case, if there is exactly one and it is plain ASCII."""
    header = message_from_bytes(content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    fields = header.get_all("From", [])
    if len(fields) != 1:
        return None
    addresses = [address.lower() for _, address in getaddresses([str(fields[0])])]
    if len(addresses) != 1 or "@" not in addresses[0]:
        return None
    # What comes out of a quoted local part could break out of the field it is written into.
    return addresses[0] if all("!" <= char <= "~" and char not in '"();\\' for char in addresses[0]) else None


def without_results(content: bytes) -> bytes:
    """The message without any Authentication-Results: what was there before us could claim to be ours.

    RFC 8601 §5 asks for the removal of those that carry our name, and allows that of all.
    """
    header, separator, body = content.partition(b"\r\n\r\n")
    kept: list[bytes] = []
    dropping = False
    for line in header.split(b"\r\n"):
        if not line.startswith((b" ", b"\t")):
            name = line.partition(b":")[0].strip().lower()
            dropping = name == b"authentication-results"
        if not dropping:
            kept.append(line)
    return b"\r\n".join(kept) + separator + body


def trace_fields(*, sender: str, recipient: str, helo: str, dmarc: str, authenticated: bool, now: datetime) -> bytes:
    """Return-Path, Authentication-Results and Received, as the last server before the mailbox writes them."""
    protocol = "ESMTPA" if authenticated else "ESMTP"  # RFC 3848
    return (
        f"Return-Path: <{sender}>\r\n"
        f"Authentication-Results: {AUTHSERV_ID}; {dmarc}\r\n"
        f"Received: from {helo} ([{HOST}])\r\n"
        f"\tby {AUTHSERV_ID} with {protocol} id {uuid.uuid4().hex[:12]}\r\n"
        f"\tfor <{recipient}>; {format_datetime(now)}\r\n"
    ).encode("utf-8", "replace")


@contextlib.asynccontextmanager
async def _smtp_server(provider: _Provider, host: str, port: int) -> AsyncIterator[int]:
    """Run the submission server; its port is the value; nothing of it is left at the end."""
    connections: set[_Submission] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Submission(provider, connections), host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in tuple(connections):
            await connection.ended()
        await server.wait_closed()
