"""What a person decides on the host: sort a message anew, release what is held, stop and start the outbox.

A decision is recorded and the worker carries it out, so that it goes through the same T3 as everything else.
"""

from __future__ import annotations

from datetime import datetime

from mailbox_service.core.case import Event, Resolution, Stage
from mailbox_service.core.labels import Label, Said
from mailbox_service.core.routing import EXHAUSTED, Disposition
from mailbox_service.errors import Refused
from mailbox_service.services.ports import CaseId, JournalEntry, MessageId, Transaction

DECISIONS = {"case": Disposition.CASE, "redirect": Disposition.REDIRECT, "spam": Disposition.SPAM}
LABELS = {"case": Label.SECURITY, "redirect": Label.NOT_SECURITY, "spam": Label.SPAM}


def sort_message(tx: Transaction, message: MessageId, decision: str, by: str, now: datetime) -> None:
    """The message becomes a case, a redirect or spam, whatever the sorter said.

    A case that only this message opened is closed when the message turns out to be none. The decision is kept as an
    example of what the message is.
    Raises: NotFound; Refused when the message is in a case already and shall become one.
    """
    reference = check_sort(tx, message, decision)
    if reference is not None:
        _leave_case(tx, reference, decision, by, now)
    tx.withdraw_mails(message, now)
    tx.add_examples([message], LABELS[decision], Said.CLOSED if reference else Said.SORTED, by, now)
    tx.decide(message, DECISIONS[decision].value, by, now)


def check_sort(tx: Transaction, message: MessageId, decision: str) -> str | None:
    """The case that the message would leave, if any. Raises: NotFound; Refused, as `sort_message` would."""
    row = tx.message_row(message)
    reference = row["case"]
    if not isinstance(reference, str):
        return None
    if decision == "case":
        raise Refused(f"message {message} is in case {reference} already")
    if row["disposition"] != Disposition.CASE:
        raise Refused(f"message {message} was added to case {reference}; it cannot be sorted away from it")
    if tx.case_row(reference)["stage"] == Stage.CLOSED:
        raise Refused(f"case {reference} is closed already")
    return reference


def _leave_case(tx: Transaction, reference: str, decision: str, by: str, now: datetime) -> None:
    case = tx.case_row(reference)
    case_id = CaseId(int(str(case["id"])))
    resolution = Resolution.SPAM if decision == "spam" else Resolution.REDIRECTED
    tx.close_case(case_id, resolution, now)
    tx.correct_answers(case_id, LABELS[decision], by, now)
    data: dict[str, object] = {"from": case["stage"], "to": Stage.CLOSED.value, "resolution": resolution.value}
    tx.add_journal([JournalEntry(case_id, Event.CLOSED, by, data)], now)


def release_message(tx: Transaction, message: MessageId, by: str, now: datetime) -> None:
    """A held message goes on: one that could not be worked is tried again, any other becomes a case.

    Raises: NotFound; Refused when it is not held.
    """
    if check_release(tx, message) == EXHAUSTED:
        tx.work_again(message, now)
    else:
        tx.decide(message, Disposition.CASE.value, by, now)


def check_release(tx: Transaction, message: MessageId) -> str:
    """Why the message is held. Raises: NotFound; Refused when it is not."""
    row = tx.message_row(message)
    if row["state"] != "held":
        raise Refused(f"message {message} is not held; it is {row['state']}")
    return str(row["why"])
