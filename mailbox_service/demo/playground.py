"""The demo's world: the mail servers, the real service beside them, and everybody's mailboxes.

Inside `Playground.open(folder)` the daemon runs in this event loop, with a configuration as an operator writes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosmtplib

from mailbox_service import app, config, logs
from mailbox_service.adapters.database.reading_sql import MessageFilter
from mailbox_service.core.case import CaseState
from mailbox_service.core.message import ParsedMessage, parse
from mailbox_service.demo import mails
from mailbox_service.demo.keyrings import OPENPGP, Keyrings
from mailbox_service.demo.servers import AUTHSERV_ID, DEMO_ACCOUNTS, HOST, DemoMailServer
from mailbox_service.services.ports import KnownOutbound, MessageId
from mailbox_service.services.ports.openpgp import Pin

T = TypeVar("T")
Row = dict[str, Any]

# Nothing here takes longer than some tenths of a second; a slow, busy machine gets this much.
STEP_SECONDS = 15.0
LOOK_SECONDS = 0.01
# The out-of-office program answers whatever comes, as bad ones do. Were the service to answer it in turn, this
# many rounds would show it.
MOST_AUTOMATIC_REPLIES = 5
MAILBOX = "security"
PASSWORD = "demo"

_CONFIG = """\
# The configuration of the demo; config.example.yaml explains every key.
database: {{url: "sqlite:///mailbox.db"}}
mailboxes:
  - name: {mailbox}
    address: {address}
    team_address: {team}
    project_name: Demo
    contacts: [{{label: Matrix, value: "#demo:demo.example"}}]
    imap:
      {{host: {host}, port: {imap_port}, security: none, username: security, password_file: password,
       marks: {{processed: {{folder: Processed}}, redirected: {{folder: Redirected}}}}}}
    smtp: {{host: {host}, port: {smtp_port}, security: none, username: security, password_file: password}}
    authserv_id: {authserv_id}
    maintainers:
      - {{name: {ada.name}, address: {ada.address}}}
      - {{name: {grace.name}, address: {grace.address}}}
"""
_WITH_KEYS = f"openpgp: {{folder: {OPENPGP}}}\n"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that came into a mailbox of the demo, at `at` (seconds of time.perf_counter)."""

    recipient: str
    data: bytes
    at: float
    mail: ParsedMessage

    @property
    def sender(self) -> str:
        return self.mail.from_.key if self.mail.from_ is not None else ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class Playground:
    """The running world. `news` holds every mail that arrived anywhere, in order; one reader takes them out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrivals: list[Arrival] = []
        self.news: asyncio.Queue[Arrival] = asyncio.Queue()
        self.server = DemoMailServer(clock=app.now, on_delivery=self._delivered)
        self.keys: Keyrings | None = None
        self.no_keys = ""  # why there are none
        self.service: app.Service
        self.daemon: asyncio.Task[None]
        self._replies: set[asyncio.Task[None]] = set()
        self._automatic_replies = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator[Self]:
        """The world with the daemon watching; its state and its log go into `folder`, which exists.

        Raises: MailboxServiceError when the service cannot be started; TimeoutError when it does not get ready.
        """
        ground = cls(folder)
        stop = asyncio.Event()
        with (folder / "log").open("a", encoding="utf-8") as log:
            logs.configure("console", "info", log)
            try:
                async with ground.server, Keyrings.made(folder) as keys:
                    ground.keys, ground.no_keys = (None, keys) if isinstance(keys, str) else (keys, "")
                    ground.service = app.Service.open(ground._configured())
                    ground.daemon = asyncio.create_task(ground.service.run(stop), name="daemon")
                    try:
                        await ground._ready()
                        yield ground
                    finally:
                        stop.set()
                        for reply in tuple(ground._replies):
                            reply.cancel()
                        await asyncio.wait([ground.daemon, *ground._replies])
            finally:
                logs.configure()
        if error := ground.daemon.exception():
            raise error

    def _configured(self) -> config.Config:
        password, file = self.folder / "password", self.folder / "config.yaml"
        password.touch(0o600)
        password.write_text(PASSWORD + "\n", encoding="utf-8")
        text = _CONFIG.format(
            mailbox=MAILBOX,
            address=mails.SECURITY,
            team=mails.TEAM,
            host=HOST,
            imap_port=self.server.imap_port,
            smtp_port=self.server.smtp_port,
            authserv_id=AUTHSERV_ID,
            ada=mails.ADA,
            grace=mails.GRACE,
        )
        file.write_text(text + (_WITH_KEYS if self.keys is not None else ""), encoding="utf-8")
        return config.load(file, os.environ)

    async def _ready(self) -> None:
        # Mail that lies there before the first look is old mail to the service, which it does not answer.
        watchers = self.service.sources[MAILBOX].watchers

        async def watching() -> bool:
            return self.daemon.done() or any(w.status.last_poll_at is not None for w in watchers)

        if not await until(watching):
            raise TimeoutError("the daemon does not get ready")

    # --- mail ---------------------------------------------------------------------------------------------

    def _delivered(self, address: str, data: bytes) -> None:
        arrival = Arrival(address, data, time.perf_counter(), parse(data))
        self.arrivals.append(arrival)
        self.news.put_nowait(arrival)
        wanted = address == mails.AWAY.address and self._automatic_replies < MOST_AUTOMATIC_REPLIES
        if wanted and self.server.has(arrival.sender):
            self._automatic_replies += 1
            task = asyncio.create_task(self._reply_automatically(arrival), name="out-of-office")
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)

    async def _reply_automatically(self, arrival: Arrival) -> None:
        mail = mails.out_of_office(arrival.sender, arrival.mail.subject, arrival.mail.message_id or "", app.now())
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await self.submit(mails.AWAY, mail, to=arrival.sender, return_path="")

    async def submit(
        self,
        author: mails.Person | None,
        mail: EmailMessage,
        *,
        to: str = mails.SECURITY,
        return_path: str | None = None,
    ) -> Arrival:
        """Hand a mail to the submission server, as the author's client would, and see it arrive.

        It is sent from the account of `author`, whatever its From says; None sends without any login.

        Raises: aiosmtplib.SMTPException, OSError.
        """
        client = aiosmtplib.SMTP(
            hostname=HOST,
            port=self.server.smtp_port,
            username=author.login if author is not None else None,
            password=PASSWORD if author is not None else None,
            start_tls=False,
            # Else this machine's name is looked up in the DNS.
            local_hostname=f"[{HOST}]",
            timeout=STEP_SECONDS,
        )
        async with client:
            sender = return_path or (author.address if author is not None and return_path is None else "")
            await client.sendmail(sender, [to], mail.as_bytes())
        name = str(mail["Message-ID"])
        return next(a for a in reversed(self.arrivals) if a.mail.message_id == name and a.recipient == to)

    async def pin(self, person: mails.Person) -> str:
        """Do as `mailbox-service key pin` does for the key of `person`, whose fingerprint is the result.

        Raises: KeyError for whoever has none.
        """
        if self.keys is None:
            raise KeyError(person.address)
        program = self.keys.of(person)
        pin = Pin(MAILBOX, person.address, program.public, None, "host", app.now(), program.expires_at)
        await self.service.database.transact(lambda tx: tx.pin(pin))
        return program.public.spoken

    async def arrival(self, wanted: Callable[[Arrival], bool]) -> Arrival | None:
        """The first mail that fits, when it has come; None when it does not come."""

        async def found() -> Arrival | None:
            return next((a for a in self.arrivals if wanted(a)), None)

        return await until(found)

    # --- what the service made of it ------------------------------------------------------------------------

    async def fate(self, arrival: Arrival) -> Row | None:
        """The row of the mail on file, once the service has decided; None when that does not happen."""

        def decided(tx: Any) -> Row | None:
            rows = tx.list_messages(MessageFilter(mailbox=MAILBOX))
            row = next((r for r in rows if r["sha256"] == arrival.sha256 and r["disposition"]), None)
            return None if row is None else dict(tx.message_row(MessageId(row["id"])))

        return await until(lambda: self.service.database.transact(decided))

    async def settled(self) -> bool:
        """Nothing waits to be worked or sent any more: what has not happened by now will not happen."""
        return await until(lambda: self._nothing_waits("messages", "mails"))

    async def at_rest(self) -> bool:
        """Settled, and the mail server is told what became of each message."""
        return await until(lambda: self._nothing_waits("messages", "mails", "marks"))

    async def _nothing_waits(self, *what: str) -> bool:
        left = await self.left()
        return not any(left[name] for name in what)

    async def left(self) -> dict[str, int]:
        return await self.service.database.transact(lambda tx: tx.waiting([MAILBOX]))

    async def outgoing(self, mail: ParsedMessage) -> KnownOutbound | None:
        """What the service knows of a mail that arrived somewhere; None when it is none of its mails."""
        name = mail.message_id
        if name is None:
            return None
        return next(iter(await self.service.database.transact(lambda tx: tx.outbound_named([name]))), None)

    async def caused_by(self, sent: KnownOutbound) -> Arrival | None:
        """The submission that a mail of the service followed from; None when it was no mail but the clock.

        It is the last one of whoever wrote what the mail is about: an answer to a redirect brings the first message
        into the case, and the maintainers a notice of that.
        """
        about = sent.about
        if about is None:
            return None
        row = await self.service.database.transact(lambda tx: tx.message_row(about))
        writer = str(row["sender"]).lower()
        mine = (a for a in reversed(self.arrivals) if a.recipient == mails.SECURITY and a.sender == writer)
        return next(mine, None)

    async def cases(self) -> list[Row]:
        return await self.service.database.transact(lambda tx: tx.list_cases(MAILBOX))

    async def case(self, ref: str) -> CaseState:
        """One case as it stands. Raises LookupError when there is none of this name."""

        def found(tx: Any) -> CaseState:
            number = tx.case_named(MAILBOX, ref)
            if number is None:
                raise LookupError(ref)
            state: CaseState = tx.case_for_update(number).state
            return state

        return await self.service.database.transact(found)

    async def journal(self, ref: str) -> list[Row]:
        """What happened in a case, oldest first. Raises LookupError when there is none of this name."""

        def found(tx: Any) -> list[Row]:
            number = tx.case_named(MAILBOX, ref)
            if number is None:
                raise LookupError(ref)
            entries: list[Row] = tx.journal_of(number)
            return entries

        return await self.service.database.transact(found)

    def arrivals_at(self, person: mails.Person) -> list[Arrival]:
        """What came into somebody's mailbox, oldest first."""
        return [a for a in self.arrivals if a.recipient == person.address]

    async def on_file(self) -> list[bytes]:
        """The stored bytes of all messages."""

        def stored(tx: Any) -> list[bytes]:
            return [tx.raw(MessageId(row["id"])) for row in tx.list_messages(MessageFilter(mailbox=MAILBOX))]

        return await self.service.database.transact(stored)

    async def in_mailbox(self, address: str) -> list[bytes]:
        """All that lies in somebody's mailbox, whatever the folder, oldest first in each."""
        folders = await self.server.folders(address)
        return [data for folder in folders for data in await self.server.messages(address, folder)]


def logins() -> list[tuple[str, str]]:
    """(login, address) of those whose mailboxes people may want to open."""
    wanted = ("reporter", "noor", "team", "maintainer", "grace", "security")
    known = {login: address for address, (login, _) in DEMO_ACCOUNTS.items()}
    return [(login, known[login]) for login in wanted]


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """What `look` gives as soon as that is something, or what it gave last after STEP_SECONDS."""
    deadline = time.monotonic() + STEP_SECONDS
    while True:
        found = await look()
        if found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(LOOK_SECONDS)
