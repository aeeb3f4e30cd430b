"""The mails that follow from a case's changes, as rows for the outbox: each person alone, in their own thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mailbox_service import errors
from mailbox_service.core.case import Ask, Audience, Facts, Mail, Party, Refused, Send, spoken
from mailbox_service.core.message.extraction import File, attached_files
from mailbox_service.services.conversation import contexts
from mailbox_service.services.conversation.casework import Work
from mailbox_service.services.conversation.sealed import why_unread
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.kept import reread
from mailbox_service.services.key_news import FIRST_USE, OLD, KeyChange, to_person
from mailbox_service.services.mailboxes import Mailbox, clean
from mailbox_service.services.opener import Reopened, reopened
from mailbox_service.services.ports import CaseRecord, MessageId, NewMail, OutboundId, ThreadIds, Transaction
from mailbox_service.services.ports.openpgp import OpenPgp

# Nothing of these can go out for a sealed case; what they would say is replaced by "there is news".
_FOR_REPORTERS = frozenset(Mail) - {Mail.CHANGED, Mail.WITHDRAWAL, Mail.REMINDER}
# But for these: without a maintainer's words nothing of the case is in them.
_SAY_NOTHING = frozenset({Mail.INVITATION, Mail.GOODBYE})

NO_THREAD = ThreadIds(None, ())


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Files of an inbound message that travel along, and nothing else of it."""

    message: MessageId
    files: tuple[File, ...]

    @property
    def names(self) -> list[str]:
        return [file.filename for file in self.files]


def enclosure_of(letters: Letters, message: MessageId) -> tuple[Enclosure | None, tuple[str, ...]]:
    """What a person attached to the message on purpose, and the names of mails among it: they are nobody else's.

    Raises: Refused where the message cannot be opened.
    """
    meant, mails = meant_files(letters.open(message).data)
    return Enclosure(message, meant) if meant else None, mails


def meant_files(raw: bytes) -> tuple[tuple[File, ...], tuple[str, ...]]:
    """The same of a mail's bytes."""
    files = attached_files(raw)
    mails = {file.filename for file in files if _is_mail(file)}
    by_the_way = mails | {file.filename for file in files if file.incidental}
    return tuple(file for file in files if file.filename not in by_the_way), tuple(sorted(mails))


def _is_mail(file: File) -> bool:
    return file.content_type.startswith("message/") or file.filename.lower().endswith((".eml", ".msg"))


@dataclass(frozen=True, slots=True)
class Words:
    """What a person wrote along with what they did; `source` is the mail it stood in, which maintainers get whole."""

    text: str = ""
    text_for: str = ""
    outward: str = ""  # the text as the reporter gets it
    enclosure: Enclosure | None = None
    source: MessageId | None = None
    source_attached: bool = False
    # Of a sealed case, in place of the text: where it stands, and how it is read again when a mail is composed.
    sealed_source: dict[str, object] | None = None


@dataclass(slots=True)
class Letters:
    """Writes the mails of one case. `cause` makes each unique: the same cause never mails a person twice."""

    tx: Transaction
    correspondence: Correspondence
    mailbox: Mailbox
    cause: str
    now: datetime
    door: OpenPgp | None = None  # of the mailbox, where it has one
    mails: list[NewMail] = field(default_factory=list)
    unserved: list[str] = field(default_factory=list)  # who cannot read what was told in a sealed case, and why

    def open(self, message: MessageId) -> Reopened:
        """A message of this mailbox, read once more. Blocks while gpg runs.

        Raises: Refused when it is encrypted and cannot be opened; TemporaryError when gpg cannot be run.
        """
        try:
            return reopened(self.tx, self.mailbox, message, self.door)
        except errors.Refused as refused:
            raise Refused(str(refused)) from refused  # a refusal of the case, which its writer is told

    def words_of(self, mail: OutboundId) -> str:
        """The words that a mail of ours told of; of a sealed case they are read anew. "" for none, or where nobody can
        read them any more. Raises: TemporaryError when gpg cannot be run."""
        words = self.tx.sent_words(mail)
        if isinstance(words, str):
            again = reread(words, self.door) if self.door is not None else None
            return words if again is None else again
        try:
            return self.open(words).said.text
        except Refused:
            return ""

    # --- what follows from work ----------------------------------------------------------------------------------

    def tell(self, work: Work, words: Words, who: str) -> list[str]:
        """All mails of the work. Returns what went to the reporters, a line each."""
        sent: list[str] = []
        for posted in work.posts:
            record = posted.about or work.record
            if posted.send.to is Audience.REPORTERS:
                people = [(address, "reporter") for address in record.state.reporters]
            elif posted.send.to is Audience.ADDRESS:
                people = [(posted.send.address, "participant")]
            else:
                continue
            for address, role in people:
                self._outward(record, posted.send, address, role, words)
                self._tell_of_key(record, address)
            if people:
                addresses = [address for address, _ in people]
                sent.append(_sent_line(posted.send, addresses, sealed=record.sealed))
                sent += self._unread(record, posted.send, addresses)
        self._inward(work, words, who, sent)
        return sent

    def _tell_of_key(self, record: CaseRecord, address: str) -> None:
        """Whose key came with their report hears of it now, by the way that it took the place of: once."""
        if not self.mailbox.openpgp:
            return
        pins = self.tx.pins(self.mailbox.name, record.id)
        pin = next((p for p in pins if p.address == address.lower() and p.how == FIRST_USE), None)
        if pin is not None:
            change = KeyChange(pin.address, None, pin.key, pin.how, pin.pinned_at, record)
            self.mails += to_person(self.tx, self.mailbox, self.correspondence, change, [OLD])

    def _outward(self, record: CaseRecord, send: Send, address: str, role: str, words: Words) -> None:
        kind = send.mail.value
        if record.sealed:
            self._sealed_outward(record, send, address, role, words)
            return
        enclosure = words.enclosure if send.with_text or send.mail is Mail.FIX_TO_VERIFY else None
        context = contexts.for_reporter(
            record,
            self.mailbox,
            self.now,
            text=words.outward if send.with_text else "",
            asks=[ask.value for ask in Ask if ask in send.asks],
            files=[described_file(file) for file in enclosure.files] if enclosure is not None else (),
        )
        if enclosure is not None:
            context["pass_on"] = enclosure.names
        self.to_person(record, kind, address, role, context, attached=enclosure.message if enclosure else None)

    def _sealed_outward(self, record: CaseRecord, send: Send, address: str, role: str, words: Words) -> None:
        """That there is news; and for whoever has a key by then, which."""
        kind, template = send.mail.value, "sealed_news"
        context = self._sealed(record)
        if send.mail in _SAY_NOTHING:
            bare = replace(record, state=replace(record.state, facts=Facts()))
            context, template = contexts.for_reporter(bare, self.mailbox, self.now) | {"sealed": True}, kind
        with_files = send.with_text or send.mail is Mail.FIX_TO_VERIFY
        if self.mailbox.openpgp:
            asks = [ask.value for ask in Ask if ask in send.asks]
            context["within"] = contexts.for_reporter(record, self.mailbox, self.now, asks=asks)
            context["within_template"] = kind
        if self.mailbox.openpgp and words.sealed_source is not None and with_files:
            context["source"] = words.sealed_source | {
                "as": "outward",
                "with_text": send.with_text and bool(words.outward),
                "with_files": words.enclosure is not None,
                "described": True,
                "enclosed": True,
            }
        self.to_person(record, template, address, role, context, cause=f"{self.cause}/{kind}")

    def _unread(self, record: CaseRecord, send: Send, addresses: Sequence[str]) -> list[str]:
        """A line where some of the people can only be told that there is news; `unserved` says who, for those whose
        key we have."""
        if not record.sealed or not self.mailbox.openpgp or (send.mail in _SAY_NOTHING and not send.with_text):
            return []
        pins = self.tx.pins(self.mailbox.name, record.id)
        found = {address: why for address in addresses if (why := why_unread(pins, address, self.now))}
        self.unserved += [f"{clean(address)} cannot read it: {why}" for address, why in found.items()]
        return [contexts.cannot_read(len(found), len(addresses))] if found else []

    def _sealed(self, record: CaseRecord) -> dict[str, object]:
        return self.mailbox.identity() | {"reference": record.state.ref}

    def _inward(self, work: Work, words: Words, who: str, sent: Sequence[str]) -> None:
        wanted = [p.send for p in work.posts if p.send.mail not in _FOR_REPORTERS]
        if not wanted:
            return
        withdrawn = any(send.mail is Mail.WITHDRAWAL for send in wanted)
        everybody = any(send.to is Audience.MAINTAINERS for send in wanted)
        context = contexts.for_maintainers(
            work.record,
            self.mailbox,
            who=who,
            what=[contexts.described(entry) for entry in work.entries],
            # Of what went out they see what went out, without the signature.
            text=words.outward or words.text,
            text_for=words.text_for,
            sent=sent,
            message=int(words.source or 0),
            attached=words.source_attached and not work.record.sealed,
        )
        if work.record.sealed and self.mailbox.openpgp:
            shown = contexts.for_maintainers(
                replace(work.record, sealed=False),
                self.mailbox,
                who=who,
                what=[contexts.described(entry) for entry in work.entries],
                text_for=words.text_for,
                sent=[*sent, *self.unserved],
                message=int(words.source or 0),
            )
            context["within"] = shown
            if words.sealed_source is not None:
                context["source"] = words.sealed_source | {"as": "words"}
        kind = Mail.WITHDRAWAL.value if withdrawn else Mail.CHANGED.value
        skipped = "" if everybody and withdrawn else work.speaker.address
        self.to_maintainers(work.record, kind, context, but=skipped, attached=self._source(words, work.record))

    def _source(self, words: Words, record: CaseRecord) -> MessageId | None:
        return words.source if words.source_attached and not record.sealed else None

    # --- to whom ---------------------------------------------------------------------------------------------------

    def to_maintainers(
        self,
        record: CaseRecord,
        kind: str,
        context: dict[str, object],
        *,
        but: str = "",
        only: str = "",
        attached: MessageId | None = None,
        cause: str | None = None,
    ) -> None:
        """One mail to each maintainer, `but` one, or `only` to one (addresses)."""
        for maintainer in self.mailbox.maintainers:
            address = maintainer.address.lower()
            if address == but.lower() or (only and address != only.lower()):
                continue
            self.mails.append(
                self.correspondence.in_case(
                    self.mailbox,
                    cause or self.cause,
                    kind,
                    maintainer.address,
                    Party.MAINTAINER.value,
                    context,
                    case=record.id,
                    thread=self._maintainers_thread(record),
                    attached=attached,
                )
            )

    def outside(
        self,
        cause: str,
        kind: str,
        address: str,
        context: dict[str, object],
        thread: ThreadIds = NO_THREAD,
    ) -> None:
        """One mail to a maintainer that belongs to no single case."""
        self.mails.append(
            self.correspondence.in_case(
                self.mailbox,
                cause,
                kind,
                address,
                Party.MAINTAINER.value,
                context,
                case=None,
                thread=thread,
            )
        )

    def to_person(
        self,
        record: CaseRecord,
        kind: str,
        address: str,
        role: str,
        context: dict[str, object],
        *,
        attached: MessageId | None = None,
        cause: str | None = None,
    ) -> None:
        """One mail to one person of the case, in their thread."""
        if role == Party.MAINTAINER:
            thread = self._maintainers_thread(record)
        else:
            thread = self.tx.thread_with(record.id, address)
        self.mails.append(
            self.correspondence.in_case(
                self.mailbox,
                cause or self.cause,
                kind,
                address,
                role,
                context,
                case=record.id,
                thread=thread,
                attached=attached,
            )
        )

    def _maintainers_thread(self, record: CaseRecord) -> ThreadIds:
        root = self.correspondence.thread_root(self.mailbox, record.state.ref)
        return ThreadIds(root, (root,))

    def owner_of(self, record: CaseRecord) -> str:
        """The address of the owner, if the case has one who is still a maintainer; else empty: all of them."""
        names: Iterator[str] = (m.address for m in self.mailbox.maintainers if m.name == record.state.owner)
        return next(names, "")


def _sent_line(send: Send, addresses: Sequence[str], *, sealed: bool) -> str:
    if send.to is Audience.ADDRESS:
        return f"{'an invited person' if sealed else send.address} was sent: {spoken(send.mail)}"
    return contexts.sent_to(send.mail, len(addresses))


def described_file(file: File) -> dict[str, object]:
    digest = hashlib.sha256(file.data).hexdigest()
    return {"filename": clean(file.filename, 120), "size": len(file.data), "sha256": digest}
