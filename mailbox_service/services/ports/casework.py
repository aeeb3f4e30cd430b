"""What working a case asks of the database: the case whole, its thread with one person, questions that wait.

Part of `Transaction`; like there, no method commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailbox_service.core.case import CaseState, Entry
from mailbox_service.services.ports.ids import CaseId, MessageId, OutboundId

# What a person is asked to confirm: that the commands in a mail of theirs count, that a second address is theirs, or
# that what another maintainer has signed shall be done.
COMMANDS, SECOND_ADDRESS, SECONDED = "commands", "second_address", "seconded"
CONFIRMED = (COMMANDS, SECOND_ADDRESS, SECONDED)


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One case as the services work on it."""

    id: CaseId
    mailbox: str
    subject: str
    sealed: bool
    unsure: bool
    quiet: bool
    state: CaseState


@dataclass(frozen=True, slots=True)
class ThreadIds:
    """What a mail to one person answers, so that their program shows one thread."""

    in_reply_to: str | None
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question to a person: shall what a mail of theirs asks for be done?"""

    message: MessageId  # the inbound message whose commands wait
    case_id: CaseId
    case_version: int  # void when the case has moved on
    mail_id: str  # Message-ID of the mail that asks (core/tokens.message_id); unique
    recipient: str  # who must answer
    purpose: str  # one of `CONFIRMED`
    # The second address; for commands what proved the author of their mail, "" for nothing; for what is seconded the
    # address of who asked for it, a blank, and the fingerprint of the key that signed it.
    argument: str
    expires_at: datetime
    used_at: datetime | None = None


class Casework(Protocol):
    """What the conversation about a case, and its clocks, ask of the database."""

    def case_for_update(self, case: CaseId) -> CaseRecord:
        """The case as it is now. Its row stays locked until the transaction ends. Raises: NotFound."""
        ...

    def case_named(self, mailbox: str, ref: str) -> CaseId | None:
        """The case of `mailbox` with this reference, however it is written in capitals; None where there is none."""
        ...

    def save_case(self, record: CaseRecord, expected_version: int, next_due_at: datetime | None) -> None:
        """Store everything of `record.state` but `version`, which `add_journal` counts: call this before it.

        A closed case is closed since it came to its stage; one that is not has no such date. `next_due_at` as in
        `set_next_due`. What is not part of the state (subject, sealed, unsure, quiet) stays as it is.
        Raises: CaseChanged when the version of the row is not `expected_version`; nothing was stored then.
        """
        ...

    def journal_after(self, case: CaseId, moment: datetime) -> list[Entry]:
        """What was entered later than `moment`, oldest first."""
        ...

    def thread_with(self, case: CaseId, recipient: str) -> ThreadIds:
        """What a mail to `recipient` answers: the newest message of theirs in the case, else our newest mail to them.

        The references are the first of what went to and fro between them and us in this case, then the newest ten,
        oldest first. Only messages of this case from and to this very address count, so that nobody sees an id out of
        somebody else's thread; a message that is worked in this transaction counts once it is finished. Mails that
        never leave (failed, withdrawn, shadow) do not count. Nothing and () where nothing was exchanged.
        """
        ...

    def last_note(self, case: CaseId, actor: str) -> MessageId | None:
        """The message of the newest NOTED entry of `actor`; None when it was sent since.

        The entry names it as `data["message"]`, a later REPLIED entry too; one of a move that took it along as
        `data["sent_note"]`. None also where the entry names none.
        """
        ...

    def sent_words(self, mail: OutboundId) -> str | MessageId:
        """The `text` in the context of a mail of ours; in a sealed case the message that it was read from. "" where it
        has none, or there is no such mail."""
        ...

    def add_confirmation(self, confirmation: Confirmation) -> None:
        """Store the question; one whose `mail_id` is there already changes nothing."""
        ...

    def confirmation(self, mail_id: str) -> Confirmation | None:
        """The question that the mail `mail_id` asks, its row locked; None where it asks none."""
        ...

    def confirmations_of(self, message: MessageId) -> list[Confirmation]:
        """All questions that were asked because of a message."""
        ...

    def open_confirmations(self, recipient: str, now: datetime) -> int:
        """How many questions `recipient` has, in all cases, that are neither answered nor expired."""
        ...

    def use_confirmation(self, mail_id: str, now: datetime) -> bool:
        """Mark the question as answered. False when it was before, or there is none; of two at once one gets True.

        Whether it has expired, or the case has moved on, is for the caller to look at.
        """
        ...

    def cases_to_look_at(self, now: datetime, mailboxes: Sequence[str], limit: int) -> list[CaseId]:
        """Cases of `mailboxes` for which something may be due by `now`, those never looked at first, then by date.

        Quiet ones are left out. The rows stay locked until the transaction ends; those that another worker holds are
        left out too.
        """
        ...

    def set_next_due(self, case: CaseId, at: datetime | None) -> None:
        """When to look at the case again; None: nothing falls due until something happens to it."""
        ...

    def open_cases_of(self, mailbox: str) -> list[CaseRecord]:
        """Its cases that are not closed, oldest first, at most 500."""
        ...

    def first_message(self, case: CaseId) -> MessageId | None:
        """The message that opened the case; where none did, its oldest one."""
        ...

    def messages_of(self, case: CaseId) -> list[MessageId]:
        """The messages of the case in the order in which they were stored."""
        ...
