"""Canaries: mails of a mailbox to itself, which show that mail still arrives.

A canary goes the way of every mail out (outbox, submission) and of every mail in (the server's delivery, a source, T1
to T3). Its token, an HMAC over the mailbox and the moment it was made, stands in the subject: headers may be
changed on the way. Only the newest one counts, and once; it opens no case, is answered by nobody and told to nobody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mailbox_service.core import tokens
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.elapsed import Elapsed
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import Transaction
from mailbox_service.services.understanding import Understood

CAME_BACK = "our own canary came back"
_STAMP = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True, slots=True)
class Canary:
    """The newest canary of a mailbox. A mailbox that has made none yet counts as if one had just come back."""

    made_at: datetime
    back_at: datetime | None  # None: under way, or lost
    lost: bool = False  # those before it since the last that came back were late
    junk: bool = False  # the last that came back was found in Junk
    latency_seconds: float | None = None  # of the last that came back

    def dump(self) -> str:
        values = {"lost": self.lost, "junk": self.junk, "latency_seconds": self.latency_seconds}
        moments = {"made_at": self.made_at.isoformat(), "back_at": self.back_at and self.back_at.isoformat()}
        return json.dumps(values | moments)


def newest(tx: Transaction, mailbox: str) -> Canary | None:
    """What is on file about the mailbox's canaries; None before the first look."""
    try:
        values = json.loads(tx.setting(_key(mailbox)) or "")
        back_at = values["back_at"]
        return Canary(
            datetime.fromisoformat(values["made_at"]),
            datetime.fromisoformat(back_at) if back_at else None,
            bool(values["lost"]),
            bool(values["junk"]),
            values["latency_seconds"],
        )
    except (ValueError, KeyError, TypeError):
        # Nothing yet, or what another version wrote: no reason to keep a message from being worked.
        return None


def late(mailbox: Mailbox, canary: Canary, elapsed: Elapsed) -> bool:
    """Whether the newest canary is under way for longer than it may be."""
    return canary.back_at is None and _deadline(mailbox) < elapsed.since(canary.made_at)


def send_due(
    tx: Transaction, mailbox: Mailbox, correspondence: Correspondence, elapsed: Elapsed, now: datetime
) -> Canary | None:
    """Put a canary into the outbox when it is time for one. Returns the newest canary; None where there shall be none.

    Of several daemons on one database one makes it. While one is under way there is no second.
    """
    if mailbox.canary is None or mailbox.shadow:
        return None
    canary = newest(tx, mailbox.name)
    if canary is not None and not _due(mailbox, canary, elapsed, now):
        return canary
    # Whoever else finds it due waits here, and then sees ours.
    tx.put_setting("canaries", mailbox.name)
    canary = newest(tx, mailbox.name)
    if canary is None:
        # The first one only after an interval: whoever sets up a mailbox has `check --send-test`.
        canary = Canary(now, now)
    elif _due(mailbox, canary, elapsed, now):
        stamp = _stamp(now)
        token = tokens.canary(correspondence.key, mailbox.address, stamp)
        tx.add_mails([correspondence.canary(mailbox, stamp, token)], now, now + mailbox.canary.interval)
        canary = replace(canary, made_at=now, back_at=None, lost=canary.back_at is None)
    else:
        return canary
    tx.put_setting(_key(mailbox.name), canary.dump())
    return canary


def _due(mailbox: Mailbox, canary: Canary, elapsed: Elapsed, now: datetime) -> bool:
    interval = mailbox.canary.interval if mailbox.canary is not None else timedelta.max
    # A clock that was set back must not silence them until it has caught up.
    due = not canary.made_at <= now < canary.made_at + interval
    return due and (canary.back_at is not None or late(mailbox, canary, elapsed))


def stamp_of(understood: Understood, mailbox: Mailbox, key: tokens.TokenKey) -> str | None:
    """The stamp of the canary of this mailbox that a message is; None when it is none."""
    if not understood.subject.from_ourselves:
        return None
    return tokens.canary_stamp(key, mailbox.address, understood.message.subject)


def came_back(
    tx: Transaction, mailbox: Mailbox, correspondence: Correspondence, stamp: str, *, junk: bool, now: datetime
) -> None:
    """Record that a canary has arrived. An older one, and a second copy, prove nothing."""
    canary = newest(tx, mailbox.name)
    if canary is None or canary.back_at is not None or _stamp(canary.made_at) != stamp:
        return
    expected = correspondence.canary(mailbox, stamp, "")
    on_file = tx.outbound_named([expected.message_id])
    if not any(mail.kind == expected.kind and mail.recipient == expected.recipient for mail in on_file):
        return
    took = max((now - canary.made_at).total_seconds(), 0.0)
    back = replace(canary, back_at=now, lost=False, junk=junk, latency_seconds=took)
    tx.put_setting(_key(mailbox.name), back.dump())


def _deadline(mailbox: Mailbox) -> timedelta:
    return mailbox.canary.deadline if mailbox.canary is not None else timedelta.max


def _key(mailbox: str) -> str:
    return f"canary/{mailbox}"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_STAMP)
