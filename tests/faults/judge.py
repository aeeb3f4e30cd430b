"""The oracles: what must be true of any history, whatever broke in it. Pure functions with a name each.

An oracle yields one line for each thing that is not as it should be. Those of EVER hold at any moment, also right
after a death; those of QUIET hold when the faults are over and the service has come to rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from tests.faults.observer import History
from tests.faults.records import MessageRow, Records

Oracle = Callable[[History, Records], Iterator[str]]


def _digest(data: bytes | None) -> str:
    return sha256(data).hexdigest() if data is not None else ""


def _intact(records: Records) -> set[str]:
    """Digests of the messages that are on file byte for byte."""
    return {m.sha256 for m in records.messages if _digest(m.data) == m.sha256}


# --- at any moment -------------------------------------------------------------------------------------------


def what_is_on_file_is_whole(history: History, records: Records) -> Iterator[str]:
    """No row without its bytes, and no bytes but those that were given."""
    known = {_digest(data) for data in (*history.given, *history.offered)}
    for message in records.messages:
        if _digest(message.data) != message.sha256 or message.sha256 not in known:
            yield f"message {message.id} is not what was given"


def what_was_promised_is_on_file(history: History, records: Records) -> Iterator[str]:
    """A 250 means: it is here, whatever happens next (RFC 5321 §4.2.5)."""
    intact = _intact(records)
    for data in history.promised:
        if _digest(data) not in intact:
            yield f"{_digest(data)[:8]} was answered 250 and is not on file"


def the_server_is_told_after_the_commit(history: History, records: Records) -> Iterator[str]:
    """No flag, MOVE or EXPUNGE before the bytes and the fate of a message are committed."""
    for told in history.told:
        if told.committed is None:
            yield f"{told.verb} of {told.place} came before its commit"
        elif told.committed != history.fetched.get(told.place, told.committed):
            yield f"{told.verb} of {told.place} spoke of another message"


def a_message_is_worked_once(history: History, records: Records) -> Iterator[str]:
    """One row for each message, one answer for each row, one opening for each case, one case for each report."""
    for digest, count in Counter(m.sha256 for m in records.messages).items():
        if count > 1:
            yield f"{digest[:8]} is on file {count} times"
    for (about, kind, recipient), count in Counter((m.about, m.kind, m.recipient) for m in records.mails).items():
        if count > 1 and about is not None:
            yield f"message {about} caused {count} mails {kind} to {recipient}"
    opening = sum(m.disposition == "case" for m in records.messages)
    if len(records.cases) > opening or sorted(records.opened) != sorted(records.cases):
        yield f"{len(records.cases)} cases were opened {len(records.opened)} times by {opening} messages"


def a_mail_is_repeated_only_where_nobody_can_know(history: History, records: Records) -> Iterator[str]:
    """More copies than one: only after an outcome recorded as unknown, or a death between the dot and the record."""
    unknown = {mail.message_id: mail.unknown_outcomes for mail in records.mails}
    for message_id, copies in Counter(a.message_id for a in history.accepted).items():
        deaths = sum(message_id in death.unrecorded for death in history.deaths)
        if copies > 1 + unknown.get(message_id, 0) + deaths:
            yield f"{message_id} went out {copies} times, for {deaths} deaths and {unknown.get(message_id, 0)} unknown"


def every_copy_is_the_frozen_mail(history: History, records: Records) -> Iterator[str]:
    """Whatever went out is on file with the same Message-ID, recipient and bytes."""
    frozen = {(mail.recipient, mail.message_id): mail.frozen for mail in records.mails}
    for one in history.accepted:
        if frozen.get((one.recipient, one.message_id)) != one.data:
            yield f"{one.message_id} to {one.recipient} is not what is frozen"


# --- when all is over ----------------------------------------------------------------------------------------


def every_message_is_on_file(history: History, records: Records) -> Iterator[str]:
    """What lay in the mailbox, what was fetched whole."""
    intact = _intact(records)
    for digest in {_digest(data) for data in history.given} | set(history.fetched.values()):
        if digest not in intact:
            yield f"{digest[:8]} is not on file"


def every_message_is_worked_or_held(history: History, records: Records) -> Iterator[str]:
    """Nothing waits any more, and what is held says why."""
    for message in records.messages:
        if message.state not in ("done", "held") or message.disposition is None:
            yield f"message {message.id} is {message.state}"
        if message.state == "held" and not message.why:
            yield f"message {message.id} is held for no reason"


def every_action_is_complete(history: History, records: Records) -> Iterator[str]:
    """A case has its notices, and its acknowledgement unless there is a reason against it; a redirect has its mail."""
    kinds: dict[int, set[str]] = {}
    for mail in records.mails:
        if mail.about is not None:
            kinds.setdefault(mail.about, set()).add(mail.kind)
    for message in records.messages:
        for kind in _wanted(message) - kinds.get(message.id, set()):
            yield f"message {message.id} ({message.disposition}) has no {kind}"


def _wanted(message: MessageRow) -> set[str]:
    if message.disposition == "case":
        return {"notice_case"} if message.no_answer else {"notice_case", "acknowledgement"}
    return {"redirect"} if message.disposition == "redirect" and not message.no_answer else set()


def every_mail_is_delivered(history: History, records: Records) -> Iterator[str]:
    delivered = {a.message_id for a in history.accepted}
    for mail in records.mails:
        if mail.state != "sent" or mail.message_id not in delivered:
            yield f"{mail.kind} to {mail.recipient} is {mail.state}, delivered: {mail.message_id in delivered}"


EVER: tuple[Oracle, ...] = (
    what_is_on_file_is_whole,
    what_was_promised_is_on_file,
    the_server_is_told_after_the_commit,
    a_message_is_worked_once,
    a_mail_is_repeated_only_where_nobody_can_know,
    every_copy_is_the_frozen_mail,
)
QUIET: tuple[Oracle, ...] = (
    *EVER,
    every_message_is_on_file,
    every_message_is_worked_or_held,
    every_action_is_complete,
    every_mail_is_delivered,
)


def judge(history: History, records: Records, oracles: Iterable[Oracle] = QUIET) -> list[str]:
    """What is wrong, each line with the name of the oracle that says so."""
    return [f"{oracle.__name__}: {line}" for oracle in oracles for line in oracle(history, records)]


def judge_mailbox(given: Sequence[bytes], kept: Mapping[str, Sequence[bytes]]) -> list[str]:
    """The server still holds each message once, in whatever folder: nothing is ever deleted or doubled there."""
    now = Counter(data for folder in kept.values() for data in folder)
    return [
        f"the_server_keeps_every_message_once: {_digest(data)[:8]} is there {now[data]} times"
        for data in {*given, *now}
        if now[data] != 1
    ]
