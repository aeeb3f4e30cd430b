"""A whole house without network: intake, outbox, a SQLite file, a transport that keeps what it gets."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.templates import Templates
from mailbox_service.core.budget import AnswerLimits
from mailbox_service.core.tokens import TokenKey
from mailbox_service.services.clocks import Clocks
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.intake import Intake, Timing
from mailbox_service.services.mailboxes import Mailbox, Maintainer
from mailbox_service.services.outbox import Outbox, SendingPolicy
from mailbox_service.services.ports import (
    Delivery,
    DeliveryOutcome,
    Envelope,
    Origin,
    RawMessage,
    SourceKind,
)
from mailbox_service.services.processing import Processing
from mailbox_service.services.processor import ThreadProcessor
from mailbox_service.services.signals import Bell
from mailbox_service.sorting import Sorter
from mailbox_service.sorting.learned.sorter import TrainedSorter

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
US, TEAM, ADA = "security@demo.example", "team@demo.example", "ada@demo.example"
AUTHSERV = "mx.demo.example"

SECURITY = (
    "I found a SQL injection vulnerability in the login form of version 1.2. An unauthenticated attacker can read "
    "the whole database and execute code remotely. Steps to reproduce: send ' OR 1=1 -- as the user name.\r\n"
)
SUPPORT = "Hello, how do I configure LDAP with docker compose? I cannot find it in the documentation. Thanks!\r\n"

MAILBOX = Mailbox(
    name="security",
    address=US,
    project_name="Demo",
    team_address=TEAM,
    maintainers=(Maintainer("Ada", ADA),),
    authserv_id=AUTHSERV,
    limits=AnswerLimits(public_providers=frozenset({"gmail.com"})),
)


class Keeping:
    """A transport that delivers nothing and keeps everything."""

    def __init__(self) -> None:
        self.sent: list[tuple[Envelope, bytes]] = []
        self.known: frozenset[str] | None = None  # the recipients that the server accepts; None: everybody

    async def send(self, envelope: Envelope, data: bytes) -> Delivery:
        if self.known is not None and envelope.rcpt_to not in self.known:
            return Delivery(DeliveryOutcome.PERMANENT, "550 5.1.1 user unknown")
        self.sent.append((envelope, data))
        return Delivery(DeliveryOutcome.SENT, "250 kept")

    async def close(self) -> None:
        return None


class Sent:
    """One mail that went out."""

    def __init__(self, envelope: Envelope, data: bytes) -> None:
        self.to, self.raw = envelope.rcpt_to, data
        self.mail: EmailMessage = email.message_from_bytes(data, policy=email.policy.default)
        self.subject = str(self.mail["Subject"])
        self.message_id = str(self.mail["Message-ID"])
        self.kind = str(self.mail["X-Mailbox-Service-Loop"]).rpartition(".")[2]

    @property
    def body(self) -> str:
        part = self.mail.get_body(("plain",))
        return part.get_content() if part is not None else ""


def but_reminders(sent: list[Sent]) -> list[Sent]:
    """What went out, but for the reminders that a case without an answer causes after a day."""
    return [one for one in sent if one.kind not in ("reminder", "reminders")]


class House:
    """The service of one or more mailboxes over one database, with a clock that the test moves."""

    def __init__(
        self,
        database: Database,
        mailboxes: Sequence[Mailbox] = (MAILBOX,),
        secret: bytes = b"s" * 32,
        sorter: Sorter | None = None,
    ) -> None:
        self.now = START
        self.database = database
        self.mailboxes = {m.name: m for m in mailboxes}
        self.name = mailboxes[0].name
        self.key = TokenKey(1, secret)
        correspondence = Correspondence(self.key)
        timing = Timing(lambda: self.now, lambda: 0.0)
        bell = Bell()
        self.transport = Keeping()
        processor = ThreadProcessor(Processing(self.mailboxes, sorter or TrainedSorter(), Templates.load(), self.key))
        self.intake = Intake(database, self.mailboxes, processor, correspondence, timing, mails_waiting=bell)
        self.outbox = Outbox(
            database,
            self.mailboxes,
            processor,
            dict.fromkeys(self.mailboxes, self.transport),
            correspondence,
            timing,
            SendingPolicy(max_per_hour=100_000),
            mails_waiting=bell,
        )
        self.clocks = Clocks(database, self.mailboxes, correspondence, timing, mails_waiting=bell)
        self._read = 0

    async def receive(self, *mails: bytes, junk: bool = False, path: str | None = None) -> list[Sent]:
        """Store, work, deliver. Returns what went out because of it."""
        origin = Origin(SourceKind.IMAP, self.name, junk=junk)
        raws = [RawMessage(data, origin, self.now, envelope_from=path) for data in mails]
        for start in range(0, len(raws), 50):
            await self.intake.work(await self.intake.store(raws[start : start + 50]))
        return await self.settled()

    def raw(self, data: bytes) -> RawMessage:
        """The message as its source hands it over."""
        return RawMessage(data, Origin(SourceKind.IMAP, self.name), self.now)

    async def settled(self) -> list[Sent]:
        """Everything worked off and delivered. Returns what went out since the last look."""
        await self.intake.work_off()
        while await self.outbox.deliver_waiting():
            pass
        new = [Sent(e, d) for e, d in self.transport.sent[self._read :]]
        self._read = len(self.transport.sent)
        return new

    async def pass_time(self, delta: timedelta) -> list[Sent]:
        self.now += delta
        await self.clocks.fall_due()
        return await self.settled()

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return await self.database.transact(lambda tx: [tuple(r) for r in tx.connection.execute(sa.text(statement))])

    async def rows_changed(self, statement: str) -> None:
        await self.database.transact(lambda tx: tx.connection.execute(sa.text(statement)).close())

    async def dispositions(self) -> list[str]:
        """What became of every message, in the order of arrival."""
        return [str(r[0]) for r in await self.rows("select disposition from message order by id")]

    async def last(self) -> dict[str, object]:
        """Disposition, case, reason and refusal of the newest message."""
        row = (
            await self.rows("select disposition, case_id, why, no_answer, state from message order by id desc limit 1")
        )[0]
        return dict(zip(("disposition", "case", "why", "no_answer", "state"), row, strict=True))

    async def digest_numbers(self) -> list[int]:
        """The messages that the next digest names."""
        found = await self.rows("select message_id from collected where channel = 'digest' order by id")
        return [int(str(r[0])) for r in found]


def prose(sent: Sent) -> str:
    """Its text without line breaks, which stand wherever the words happen to wrap."""
    return " ".join(sent.body.split())


def mail(
    body: str = SECURITY,
    *,
    sender: str = "rita@research.example",
    subject: str = "SQL injection in the login form",
    id_: str | None = None,
    to: str = US,
    extra: str = "",
    answers: str | None = None,
    authenticated: str | None = None,
) -> bytes:
    """One message as it lies in the mailbox. `authenticated`: the dmarc result our own server wrote (pass, fail)."""
    lines = []
    if authenticated is not None:
        domain = sender.rpartition("@")[2].strip("> ")
        lines.append(f"Authentication-Results: {AUTHSERV}; dmarc={authenticated} header.from={domain}")
    lines += ["Received: from x by mx.demo.example; Mon, 23 Nov 2026 12:00:00 +0000"]
    lines += [f"From: {sender}", f"To: {to}", f"Subject: {subject}"]
    if id_ is not None:
        lines.append(f"Message-ID: {id_}")
    if answers is not None:
        lines += [f"In-Reply-To: {answers}", f"References: {answers}"]
    if extra:
        lines.append(extra.strip("\r\n").replace("\r\n", "\n").replace("\n", "\r\n"))
    lines += ["Date: Mon, 23 Nov 2026 12:00:00 +0000", "MIME-Version: 1.0"]
    if "content-type" not in extra.lower():
        lines.append("Content-Type: text/plain; charset=utf-8")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "surrogateescape")


def to_others(sent: Sequence[Sent]) -> list[Sent]:
    """What went to anybody but the maintainers."""
    return [s for s in sent if s.to not in (ADA,)]


def with_mailbox(**changes: Any) -> Mailbox:
    return replace(MAILBOX, **changes)
