"""The services over a real database, with a clock that a test turns and a post office in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from mailbox_service.adapters.database.reading_sql import MessageFilter
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.templates import Templates
from mailbox_service.core.budget import AnswerLimits
from mailbox_service.core.routing import Outcome
from mailbox_service.core.tokens import TokenKey
from mailbox_service.services.clocks import Clocks
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.intake import Intake, Timing
from mailbox_service.services.mailboxes import Mailbox, Maintainer, Notices
from mailbox_service.services.metering import NO_METER, Meter
from mailbox_service.services.outbox import Outbox, SendingPolicy
from mailbox_service.services.ports import (
    Delivery,
    DeliveryOutcome,
    Envelope,
    FolderId,
    Origin,
    RawMessage,
    SourceKind,
)
from mailbox_service.services.ports.openpgp import OpenPgp
from mailbox_service.services.processing import Processing
from mailbox_service.services.processor import Processor, ThreadProcessor
from mailbox_service.services.sealing import Sealing
from mailbox_service.services.signals import Bell
from mailbox_service.sorting import Sortable, Verdict
from tests.database.setting import NOW

KEY = TokenKey(1, b"k" * 32)
TRUSTED = "mx.example.org"
SENT = Delivery(DeliveryOutcome.SENT, "250 ok")
BOX = Mailbox(
    name="security",
    address="security@example.org",
    project_name="Example",
    team_address="team@example.org",
    maintainers=(Maintainer("Ada", "ada@example.org"), Maintainer("Grace", "grace@example.org")),
    authserv_id=TRUSTED,
    limits=AnswerLimits(public_providers=frozenset({"gmail.com"})),
    notices=Notices(),
)
TEMPLATES = Templates.load(None)


class WordSorter:
    """The outcome is the first word of the subject (after any Re:), so that a test says what it means."""

    version = "WordSorter"

    def sort(self, mail: Sortable) -> Verdict:
        words = mail.subject.lower().replace("re:", " ").split() or ["unsure"]
        if words[0] == "crash":
            raise RuntimeError("the sorter fell over")
        outcome = {"support": Outcome.NOT_SECURITY, "spam": Outcome.SPAM, "report": Outcome.SECURITY}.get(
            words[0], Outcome.UNSURE
        )
        return Verdict(outcome, 0.5, 0.1, ())


@dataclass
class PostOffice:
    """A transport that keeps what it is given. `replies` is asked for the outcome of each mail."""

    replies: Callable[[Envelope, bytes], Delivery] = lambda envelope, data: SENT
    handed: list[tuple[str, bytes]] = field(default_factory=list)  # every attempt
    taken: list[tuple[str, bytes]] = field(default_factory=list)  # what was answered with 250
    paths: list[tuple[str, str]] = field(default_factory=list)  # the envelope of every attempt

    async def send(self, envelope: Envelope, data: bytes) -> Delivery:
        self.handed.append((envelope.rcpt_to, data))
        self.paths.append((envelope.mail_from, envelope.rcpt_to))
        delivery = self.replies(envelope, data)
        if delivery.outcome is DeliveryOutcome.SENT:
            self.taken.append((envelope.rcpt_to, data))
        return delivery

    async def close(self) -> None: ...


def read(data: bytes) -> EmailMessage:
    parsed = message_from_bytes(data, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def letter(
    subject: str,
    sender: str = "eve@research.example",
    *,
    message_id: str = "",
    to: str = "security@example.org",
    references: str = "",
    authenticated: bool = True,
    headers: str = "",
    body: str = "Hello",
) -> bytes:
    """One mail; with `authenticated` the trusted server vouches for its From."""
    lines = []
    if authenticated:
        lines.append(f"Authentication-Results: {TRUSTED}; dmarc=pass header.from={sender.rpartition('@')[2]}")
    lines += [f"From: {sender}", f"To: {to}", f"Subject: {subject}"]
    if message_id:
        lines.append(f"Message-ID: {message_id}")
    if references:
        lines += [f"In-Reply-To: {references.split()[-1]}", f"References: {references}"]
    head = "\r\n".join(lines) + "\r\n" + headers
    return f"{head}\r\n{body}\r\n".encode()


class Bench:
    """One daemon's services. Several over one database are several daemons."""

    def __init__(
        self,
        database: Database,
        *,
        mailbox: Mailbox = BOX,
        others: Mapping[str, Mailbox] | None = None,
        policy: SendingPolicy | None = None,
        lifetime: timedelta = timedelta(days=5),
        processor: Processor | None = None,
        meter: Meter = NO_METER,
        key: TokenKey = KEY,
        doors: Mapping[str, OpenPgp] | None = None,
    ) -> None:
        self.now = NOW
        self.database, self.mailbox = database, mailbox
        self.office = PostOffice()
        mailboxes = {mailbox.name: mailbox, **(others or {})}
        bell = Bell()
        correspondence = Correspondence(key, lifetime)
        timing = Timing(self.clock, lambda: 0.0)
        processing = Processing(mailboxes, WordSorter(), TEMPLATES, KEY)
        processor = processor or ThreadProcessor(processing)
        self.outbox = Outbox(
            database,
            mailboxes,
            processor,
            dict.fromkeys(mailboxes, self.office),
            correspondence,
            timing,
            policy or SendingPolicy(),
            mails_waiting=bell,
            meter=meter,
            sealing=Sealing(processing, doors, database) if doors else None,
        )
        self.intake = Intake(
            database,
            mailboxes,
            processor,
            correspondence,
            timing,
            mails_waiting=bell,
            send_along=self.outbox.send_along,
            meter=meter,
            doors=doors,
        )
        self.clocks = Clocks(database, mailboxes, correspondence, timing, mails_waiting=bell)
        self._uid = 0

    def clock(self) -> datetime:
        return self.now

    def raw(self, data: bytes, *, junk: bool = False, quiet: bool = False, mailbox: str = "") -> RawMessage:
        # Each message a moment later: the order of arrival is part of what is tested.
        self._uid += 1
        origin = Origin(SourceKind.IMPORT, mailbox or self.mailbox.name, junk=junk, quiet=quiet)
        return RawMessage(data, origin, self.now + timedelta(microseconds=self._uid))

    async def post(self, *letters: bytes, junk: bool = False, quiet: bool = False, mailbox: str = "") -> None:
        """One batch comes in and is worked."""
        batch = [self.raw(data, junk=junk, quiet=quiet, mailbox=mailbox) for data in letters]
        await self.intake.work(await self.intake.store(batch))
        await self.intake.work_off()

    async def post_each(self, *letters: bytes) -> None:
        for each in letters:
            await self.post(each)

    async def post_to(self, folder: FolderId, uid: int, data: bytes, *, junk: bool, quiet: bool = False) -> None:
        origin = Origin(SourceKind.IMAP, self.mailbox.name, folder_id=folder, uid=uid, junk=junk, quiet=quiet)
        await self.intake.work(await self.intake.store([RawMessage(data, origin, self.now)]))
        await self.intake.work_off()

    async def deliver(self) -> list[tuple[str, EmailMessage]]:
        """Send all that is due; what the post office took meanwhile."""
        before = len(self.office.taken)
        while await self.outbox.deliver_waiting():
            pass
        return [(recipient, read(data)) for recipient, data in self.office.taken[before:]]

    async def later(self, **by: float) -> int:
        """Turn the clock, and let fall due what does. Returns the number of mails, reminders of cases apart."""
        self.now += timedelta(**by)
        before = self._reminders()
        return await self.clocks.fall_due() - (self._reminders() - before)

    def _reminders(self) -> int:
        return sum(mail["kind"] == "reminder" for mail in self.mails())

    # --- what is on file ----------------------------------------------------------------------------------

    def messages(self) -> list[dict[str, Any]]:
        return self.database.run(lambda tx: tx.list_messages(MessageFilter()))

    def dispositions(self) -> list[str]:
        return [str(m["disposition"]) for m in self.messages()]

    def cases(self) -> list[dict[str, Any]]:
        return self.database.run(lambda tx: tx.list_cases())

    def mails(self, kind: str | None = None) -> list[dict[str, Any]]:
        return [m for m in self.database.run(lambda tx: tx.list_outbound()) if kind is None or m["kind"] == kind]

    def kinds(self) -> list[str]:
        """Kind and recipient of every mail, sorted."""
        return sorted(f"{m['kind']} {m['recipient']}" for m in self.mails())

    def to(self, recipient: str) -> list[dict[str, Any]]:
        return [m for m in self.mails() if m["recipient"] == recipient]

    def journal(self, ref: str) -> list[dict[str, Any]]:
        return self.database.run(lambda tx: tx.journal_of(tx.case_row(ref)["id"]))

    def events(self, ref: str) -> list[str]:
        return [entry["event"] for entry in self.journal(ref)]

    def row(self, number: int) -> dict[str, Any]:
        id_ = self.messages()[number]["id"]
        return self.database.run(lambda tx: tx.message_row(id_))

    def context(self, mail: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.database.run(lambda tx: tx.outbound_row(mail["id"]))["context"]
        return found


def changed(**values: Any) -> Mailbox:
    return replace(BOX, **values)
