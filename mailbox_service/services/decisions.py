"""What a person decides on the host: sort a message anew, release what is held, stop and start the outbox.

A decision is recorded and the worker carries it out, so that it goes through the same T3 as everything else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mailbox_service.core.case import Event, Resolution, Stage
from mailbox_service.core.labels import Label, Said
from mailbox_service.core.routing import Disposition
from mailbox_service.errors import Refused
from mailbox_service.services.intake import EXHAUSTED
from mailbox_service.services.ports import CaseId, JournalEntry, MessageId, Transaction

DECISIONS = {"case": Disposition.CASE, "redirect": Disposition.REDIRECT, "spam": Disposition.SPAM}
LABELS = {"case": Label.SECURITY, "redirect": Label.NOT_SECURITY, "spam": Label.SPAM}


class Reading(Transaction, Protocol):
    """The listings and decisions of a transaction that only people need."""

    def message_row(self, message_id: MessageId) -> dict[str, object]: ...
    def decide(self, message_id: MessageId, disposition: str, by: str, now: datetime) -> None: ...
    def withdraw_mails(self, message_id: MessageId, now: datetime) -> None: ...
    def work_again(self, message_id: MessageId, now: datetime) -> None: ...
    def case_row(self, reference: str) -> dict[str, object]: ...
    def close_case(self, case_id: CaseId, resolution: Resolution, now: datetime) -> None: ...
    def correct_answers(self, case: CaseId, label: str, by: str, now: datetime) -> None: ...


def sort_message(tx: Reading, message: MessageId, decision: str, by: str, now: datetime) -> None:
    """The message becomes a case, a redirect or spam, whatever the sorter said.

    A case that only this message opened is closed when the message turns out to be none. The decision is kept as an
    example of what the message is.
    Raises: NotFound; Refused when the message is in a case already and shall become one.
    """
    row = tx.message_row(message)
    reference = row["case"]
    if decision == "case" and isinstance(reference, str):
        raise Refused(f"message {message} is in case {reference} already")
    if isinstance(reference, str):
        _leave_case(tx, row, reference, decision, by, now)
    tx.withdraw_mails(message, now)
    tx.add_examples([message], LABELS[decision], Said.CLOSED if reference else Said.SORTED, by, now)
    tx.decide(message, DECISIONS[decision].value, by, now)


def _leave_case(tx: Reading, row: dict[str, object], reference: str, decision: str, by: str, now: datetime) -> None:
    case = tx.case_row(reference)
    if row["disposition"] != Disposition.CASE:
        raise Refused(f"this message was added to case {reference}; it cannot be sorted away from it")
    if case["stage"] == Stage.CLOSED:
        raise Refused(f"case {reference} is closed already")
    case_id = CaseId(int(str(case["id"])))
    resolution = Resolution.SPAM if decision == "spam" else Resolution.REDIRECTED
    tx.close_case(case_id, resolution, now)
    tx.correct_answers(case_id, LABELS[decision], by, now)
    data: dict[str, object] = {"from": case["stage"], "to": Stage.CLOSED.value, "resolution": resolution.value}
    tx.add_journal([JournalEntry(case_id, Event.CLOSED, by, data)], now)


def release_message(tx: Reading, message: MessageId, by: str, now: datetime) -> None:
    """A held message goes on: one that could not be worked is tried again, any other becomes a case.

    Raises: NotFound; Refused when it is not held.
    """
    row = tx.message_row(message)
    if row["state"] != "held":
        raise Refused(f"message {message} is not held; it is {row['state']}")
    if row["why"] == EXHAUSTED:
        tx.work_again(message, now)
    else:
        tx.decide(message, Disposition.CASE.value, by, now)
