"""The commands of one mail, carried out on its case: all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mailbox_service.core.case import (
    Actor,
    Audience,
    CaseState,
    Close,
    Entry,
    Event,
    Invite,
    Merge,
    Move,
    Note,
    Outcome,
    Refused,
    Reply,
    Resolution,
    Send,
    Split,
    apply,
    next_due,
)
from mailbox_service.core.case.values import Action
from mailbox_service.core.commands import Command, TextFor
from mailbox_service.core.labels import Label, Said
from mailbox_service.services.conversation import contexts
from mailbox_service.services.conversation.requests import Request
from mailbox_service.services.conversation.speakers import Speaker
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import CaseRecord, JournalEntry, Transaction
from mailbox_service.services.ports.openpgp import usable_pin

# What a resolution says of the report: an example to measure the sorter by.
LABELS = {Resolution.SPAM: Label.SPAM, Resolution.REDIRECTED: Label.NOT_SECURITY}


@dataclass(frozen=True, slots=True)
class Posted:
    """A mail that follows. `about` is the case that was taken in, where it is the reporters of that one who hear."""

    send: Send
    about: CaseRecord | None = None


@dataclass(slots=True)
class Work:
    """A case while the commands of one mail change it. Nothing is written before `write`."""

    record: CaseRecord
    speaker: Speaker
    mailbox: Mailbox
    now: datetime
    meanwhile: Sequence[Entry] = ()  # the journal since the mail that the person saw
    posts: list[Posted] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    taken: list[Work] = field(default_factory=list)  # cases that are merged into this one
    left: list[Work] = field(default_factory=list)  # cases that this one was merged into, and is no longer
    first_version: int = field(init=False)

    def __post_init__(self) -> None:
        self.first_version = self.record.state.version

    @property
    def state(self) -> CaseState:
        return self.record.state

    def do(self, action: Action, *, quiet: bool = False, with_text: bool = False, actor: Actor | None = None) -> None:
        """Raises: Refused."""
        outcome: Outcome = apply(
            self.state,
            action,
            self.now,
            self.mailbox.policy,
            actor or self.speaker.actor,
            quiet=quiet,
            with_text=with_text,
            meanwhile=self.meanwhile,
        )
        self.record = replace(self.record, state=outcome.state)
        self.entries += outcome.entries
        self.posts += [Posted(send) for send in outcome.mails]

    def outward_posts(self) -> list[Posted]:
        """The mails that leave the house."""
        return [posted for posted in self.posts if posted.send.to in (Audience.REPORTERS, Audience.ADDRESS)]

    def write(self, tx: Transaction, data: dict[str, object]) -> None:
        """State and journal, with `data` (where it comes from, what proved it) in every entry."""
        for other in self.taken:
            other.write(tx, data | {"merged_into": self.state.ref})
        for other in self.left:
            other.write(tx, data)
        if not self.entries:
            return
        due_at = next_due(self.state, self.mailbox.policy, self.now)
        tx.save_case(self.record, self.first_version, due_at)
        tx.add_journal(
            [JournalEntry(self.record.id, e.event, e.actor, {**e.data, **data}) for e in self.entries], self.now
        )
        if self.state.resolution in LABELS and any(entry.event is Event.CLOSED for entry in self.entries):
            self._keep_as_example(tx, LABELS[self.state.resolution])
        # It adds to the journal, so nothing may change the case after it.
        for other in self.taken:
            self._bring_keys(tx, other)

    def _bring_keys(self, tx: Transaction, other: Work) -> None:
        """The reporters of a case that is taken in keep the keys that are theirs there: encrypted to, and proven by."""
        here = {pin.address.lower() for pin in tx.pins(self.record.mailbox, self.record.id)}
        theirs = {address.lower() for address in other.state.reporters}
        for pin in tx.pins(self.record.mailbox, other.record.id):
            address = pin.address.lower()
            if pin.case_id == other.record.id and address in theirs - here:
                tx.pin(replace(pin, case_id=self.record.id, pinned_at=self.now))
                data: dict[str, object] = {"fingerprint": pin.key.fingerprint, "how": pin.how, "from": other.state.ref}
                tx.add_journal([JournalEntry(self.record.id, Event.KEY_PINNED, address, data)], self.now)

    def _keep_as_example(self, tx: Transaction, label: Label) -> None:
        """What closed it says of the message that opened it; the sorter is measured by that."""
        first = tx.first_message(self.record.id)
        if first is not None:
            tx.add_examples([first], label, Said.CLOSED, self.speaker.actor.label, self.now)
        tx.correct_answers(self.record.id, label, self.speaker.actor.label, self.now)


def reporter_wrote(tx: Transaction, record: CaseRecord, since: datetime) -> bool:
    """Whether a reporter of the case has written after `since`, proven or not."""
    theirs = {address.lower() for address in record.state.reporters}
    entries = tx.journal_after(record.id, since)
    return any(entry.event is Event.MESSAGE_ADDED and entry.actor.lower() in theirs for entry in entries)


def carry_out(work: Work, request: Request, tx: Transaction) -> None:
    """Apply each command in the order of the mail; the text goes with the one that it is for.

    Commands that only look (/status, /help) are not for here. Raises: Refused; the case is as it was then.
    """
    commands, text = request.commands, bool(request.commands.text.strip())
    carrier = _carrier(commands.commands, commands.text_for)
    if work.record.sealed and text and commands.text_for is not TextFor.NOTE:
        _check_keys(work, request, carrier, tx)
    if len(commands.text) > contexts.TEXT_CHARS and commands.text_for is not TextFor.NOTE:
        raise Refused(f"the text has more than {contexts.TEXT_CHARS} characters; attach what is so long")
    if text and commands.text_for is not TextFor.NOTE:
        _check_outward(work, commands.text_for)
    before = work.record
    for command in commands.commands:
        if command.verb.name == "merge":
            _merge(work, command, tx)
        elif command.read.action is not None and not (
            isinstance(command.read.action, Reply) and carrier is not command
        ):
            with_text = text and command is carrier
            work.do(command.read.action, quiet=commands.quiet, with_text=with_text)
    if text and carrier is None:
        work.do(Reply() if commands.text_for is TextFor.REPORTER else Note(), with_text=True)
    if before.state.resolution is Resolution.DUPLICATE and work.state.duplicate_of is None:
        _leave(work, before, tx)


def _leave(work: Work, before: CaseRecord, tx: Transaction) -> None:
    """A merge is undone: its reporters hear no more of the cases that had taken theirs in, one after the other."""
    child, seen = before, {before.id}
    while child.state.resolution is Resolution.DUPLICATE:
        into = tx.case_named(before.mailbox, child.state.duplicate_of or "")
        if into is None or into in seen:
            return
        other = tx.case_for_update(into)
        merged = [e for e in tx.journal_after(into, other.state.opened_at) if e.event is Event.MERGED]
        added = next((e.data.get("added") for e in reversed(merged) if e.data.get("ref") == child.state.ref), None)
        came = {str(address).lower() for address in added} if isinstance(added, list) else set()
        gone = tuple(address for address in before.state.reporters if address.lower() in came)
        if not gone:
            return
        undone = Work(other, work.speaker, work.mailbox, work.now)
        undone.do(Split(before.state.ref, gone))
        work.left.append(undone)
        child = other
        seen.add(into)


def _check_keys(work: Work, request: Request, carrier: Command | None, tx: Transaction) -> None:
    """What is sealed leaves encrypted or not at all: somebody must be able to read the text. Raises: Refused."""
    if not work.mailbox.openpgp:
        raise Refused(
            "this case is sealed: its content leaves only encrypted, which this mailbox cannot do yet; nothing was sent"
        )
    if request.message is None and not request.kept:
        raise Refused(
            "this case is sealed, and the mailbox has no key of its own to keep the text under; nothing was sent. "
            "Make one: mailbox-service key generate"
        )
    pins = tx.pins(work.record.mailbox, work.record.id)
    people, whom = work.state.reporters, "the reporter"
    if carrier is not None and isinstance(carrier.read.action, Invite):
        people, whom = (carrier.read.action.address,), "the invited person"
    without = [address for address in people if usable_pin(pins, address, work.now) is None]
    if without and request.message is None:
        # Whoever sits at the host can do something about it, and sees who it is.
        raise Refused(
            f"this case is sealed, and no key that can be used is pinned to {' and '.join(without)}; nothing was sent "
            "to anybody. Ask for the key, then: mailbox-service key pin "
            f"{without[0]} FINGERPRINT --file FILE --case {work.state.ref}"
        )
    if len(without) == len(people):
        raise Refused(
            f"this case is sealed, and no key of {whom} is pinned that can be used; nothing was sent. "
            "Ask them for their key, or pin it on the host: mailbox-service key pin"
        )


def _check_outward(work: Work, text_for: TextFor) -> None:
    if text_for is TextFor.REPORTER and not work.state.reporters:
        raise Refused("nobody is known to write to: the report came without an author address; /note keeps the text")


def _carrier(commands: Sequence[Command], text_for: TextFor) -> Command | None:
    """The command whose mail holds the text; a move before /reply, so that the reporter gets one mail and not two."""
    if text_for is TextFor.NOTE:
        return next((c for c in commands if isinstance(c.read.action, Note)), None)
    if text_for is TextFor.INVITED:
        return next((c for c in commands if isinstance(c.read.action, Invite)), None)
    moving = [c for c in commands if isinstance(c.read.action, Move | Close)]
    replying = [c for c in commands if isinstance(c.read.action, Reply)]
    return next(iter([*moving, *replying]), None)


def _merge(work: Work, command: Command, tx: Transaction) -> None:
    reference = command.read.argument
    other_id = tx.case_named(work.record.mailbox, reference)
    if other_id is None:
        # Of a sealed case nothing that stood in a mail is kept, and be it a name that is wrong.
        named = "of this name" if work.record.sealed else reference
        raise Refused(f"there is no case {named} in this mailbox")
    if other_id == work.record.id:
        raise Refused("a case is not merged with itself")
    other = tx.case_for_update(other_id)
    if other.sealed != work.record.sealed:
        raise Refused("one of the two cases is sealed and the other is not; what is sealed must not get mixed")
    taken = Work(other, work.speaker, work.mailbox, work.now)
    taken.do(Close(Resolution.DUPLICATE, work.state.ref))
    work.do(Merge(reference, other.state.reporters))
    work.taken.append(taken)
    # Each of them hears in the thread of their own report, which is the case that was taken in.
    work.posts += [Posted(p.send, taken.record) for p in taken.posts if p.send.to is Audience.REPORTERS]
