"""What falls due: the mails that tell of many things at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from mailbox_service.core.routing import Disposition
from mailbox_service.errors import TemporaryError
from mailbox_service.services.conversation import overdue
from mailbox_service.services.conversation.contexts import listed
from mailbox_service.services.correspondence import LISTED_LINES, Correspondence
from mailbox_service.services.intake import Timing
from mailbox_service.services.mailboxes import Mailbox, Mailboxes, clean, written_moment
from mailbox_service.services.ports import CollectedLine, NewMail, Storage, Transaction
from mailbox_service.services.signals import Bell, Pulse

log = structlog.get_logger()

TICK_SECONDS = 5.0
STUCK_SECONDS = 180.0  # a transaction that waits for a server that vanished ends within a minute
# A summary waits until the backlog has been quiet for so long: it is one mail, not one for each batch.
SUMMARY_SETTLES = timedelta(seconds=60)
# One collected mail tells of at most so many; the rest goes into the next one at once.
COLLECTED_AT_ONCE = 20_000
BUDGETS_KEPT = timedelta(days=10)  # the longest window is a week


class Clocks:
    """Looks at intervals for what is due, and puts it into the outbox."""

    def __init__(
        self,
        storage: Storage,
        mailboxes: Mailboxes,
        correspondence: Correspondence,
        timing: Timing,
        *,
        mails_waiting: Bell,
    ) -> None:
        self._storage, self._mailboxes, self._correspondence = storage, mailboxes, correspondence
        self._timing, self._mails_waiting = timing, mails_waiting
        self.pulse = Pulse(STUCK_SECONDS)

    async def run(self) -> None:
        while True:
            self.pulse.beat()
            try:
                await self.fall_due()
            except TemporaryError as error:
                log.warning("clocks unavailable", error_type=type(error).__name__, reason=error)
            await asyncio.sleep(TICK_SECONDS)

    async def fall_due(self, *, settled: bool = False) -> int:
        """Put what is due into the outbox; returns the number of mails. `settled`: the backlog is known to be over."""
        now = self._timing.clock()
        mails = await self._storage.transact(
            lambda tx: fall_due(tx, self._mailboxes, self._correspondence, now, settled=settled)
        )
        if mails:
            self._mails_waiting.ring()
        return mails


def fall_due(
    tx: Transaction, mailboxes: Mailboxes, correspondence: Correspondence, now: datetime, *, settled: bool
) -> int:
    if tx.frozen_since() is not None:
        # Lines that waited when the backup was made may have been sent since; a person decides about them first.
        return 0
    mails: list[NewMail] = []
    for name, channel, recipient, oldest, newest in tx.due_channels():
        mailbox = mailboxes.get(name)
        if mailbox is None or not _due(tx, mailbox, channel, oldest, newest, now, settled):
            continue
        cause, lines = tx.collect(name, channel, recipient, COLLECTED_AT_ONCE)
        if lines:
            open_cases = open_on_mondays(tx, mailbox, now) if channel == "digest" else []
            mails += _mails(mailbox, correspondence, channel, recipient, cause, lines, now, open_cases)
    for mailbox in mailboxes.values():
        if open_cases := open_on_mondays(tx, mailbox, now):
            context = _digest([]) | {"open": open_cases}
            mails += correspondence.collected(mailbox, "digest", f"monday:{now.date()}", context)
    mails += overdue.fall_due(tx, mailboxes, correspondence, now)
    tx.add_mails(mails, now, now + correspondence.lifetime)
    tx.forget_budgets(now - BUDGETS_KEPT)
    return len(mails)


def _due(
    tx: Transaction, mailbox: Mailbox, channel: str, oldest: datetime, newest: datetime, now: datetime, settled: bool
) -> bool:
    match channel:
        case "summary":
            return (settled or now - newest >= SUMMARY_SETTLES) and tx.backlog_settled(mailbox.name)
        case "cases":
            return now - oldest >= mailbox.notices.collect_every
        case "acknowledgements":
            return now.date() > oldest.date()
        case _:
            return now >= next_digest(oldest, mailbox)


def next_digest(after: datetime, mailbox: Mailbox) -> datetime:
    """The first digest time (UTC) after a moment."""
    today = datetime.combine(after.astimezone(UTC).date(), mailbox.notices.digest_at, UTC)
    return today if today > after else today + timedelta(days=1)


def open_on_mondays(tx: Transaction, mailbox: Mailbox, now: datetime) -> list[dict[str, object]]:
    """The open cases, once on a Monday from the time of the digest on, whether it has other news or not."""
    monday = now.weekday() == 0 and now.time() >= mailbox.notices.digest_at
    name = f"monday/{mailbox.name}"
    if not monday or tx.setting(name) == str(now.date()):
        return []
    since = datetime.combine(now.date(), mailbox.notices.digest_at, UTC)
    # What came after has just been told of.
    found = [one for one in tx.open_cases_of(mailbox.name) if not one.quiet and one.state.opened_at < since]
    if found:
        tx.put_setting(name, str(now.date()))
    return [listed(one, mailbox) for one in found[:LISTED_LINES]]


def _mails(
    mailbox: Mailbox,
    correspondence: Correspondence,
    channel: str,
    recipient: str,
    cause: str,
    lines: Sequence[CollectedLine],
    now: datetime,
    open_cases: list[dict[str, object]],
) -> list[NewMail]:
    match channel:
        case "acknowledgements":
            references = [line.case_ref for line in lines if line.case_ref]
            if not references:
                return []
            return [correspondence.acknowledgement_collected(mailbox, recipient, references, cause, now)]
        case "cases":
            context: dict[str, object] = {
                "cases": [_case_line(line) for line in lines[:LISTED_LINES]],
                "more": max(len(lines) - LISTED_LINES, 0),
            }
            return correspondence.collected(mailbox, "cases_collected", cause, context)
        case "summary":
            return correspondence.collected(mailbox, "summary", cause, _summary(lines))
        case _:
            return correspondence.collected(mailbox, "digest", cause, _digest(lines) | {"open": open_cases})


def _summary(lines: Sequence[CollectedLine]) -> dict[str, object]:
    counts = Counter(line.section for line in lines)
    opened = [_case_line(line) for line in lines if line.section == Disposition.CASE]
    return {
        "total": len(lines),
        "counts": {name: counts[name] for name in sorted(counts)},
        "cases": opened[:LISTED_LINES],
        "more": max(len(opened) - LISTED_LINES, 0),
    }


def _digest(lines: Sequence[CollectedLine]) -> dict[str, object]:
    of: dict[str, list[CollectedLine]] = {}
    for line in lines:
        of.setdefault(line.section, []).append(line)
    sections: dict[str, object] = {}
    for name in ("redirect", "hold", "unsure", "unanswered", "undelivered"):
        found = of.get(name, [])
        sections[name] = [_message_line(line) for line in found[:LISTED_LINES]]
        sections[f"{name}_more"] = max(len(found) - LISTED_LINES, 0)
    return sections | {"spam_count": len(of.get("spam", []))}


def _message_line(line: CollectedLine) -> dict[str, object]:
    return {
        "number": int(line.message_id or 0),
        "received_at": written_moment(line.received_at or line.at),
        "sender": clean(line.sender, 120),
        "subject": clean(line.subject, 120),
        "why": line.line,
        "reference": line.case_ref,
    }


def _case_line(line: CollectedLine) -> dict[str, object]:
    return {
        "reference": line.case_ref,
        "received_at": written_moment(line.received_at or line.at),
        "sender": clean(line.sender, 120),
        "unsure": line.unsure,
    }
