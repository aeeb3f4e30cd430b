"""What falls due in a case, computed from its state alone: who is reminded when, and what the service does by itself.

Nothing here remembers what was sent. Each thing due has a key that is the same whenever it is computed; the outbox
takes one (cause, kind, recipient) once, ever, so that a reminder goes out once and stops as soon as it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mailbox_service.core.case.stages import Resolution, Stage
from mailbox_service.core.case.values import Action, Audience, CaseState, Close, Policy, Remind

# So long before an end the owner is told, and from the end on everybody, again and again.
NOTICE = timedelta(days=1)
AGAIN = timedelta(days=2)
EMBARGO_NOTICES = (timedelta(days=14), timedelta(days=7), NOTICE)
REMINDERS = 60  # of one deadline; after four months of silence the digest says it every Monday anyway


class Clock(StrEnum):
    """The deadlines of a case."""

    FIRST_RESPONSE = "first_response"  # a person's first answer
    UPDATE = "update"  # the reporter hears something
    PROMISE = "promise"  # what a mail promised
    VERDICT = "verdict"  # the reporter did not answer on the fix: the maintainers decide
    INFO_REMINDER = "info_reminder"
    INFO_CLOSE = "info_close"
    EMBARGO = "embargo"
    PUBLICATION = "publication"  # the release is out, the advisory is not


@dataclass(frozen=True, slots=True)
class Due:
    """One thing that is due at `at`: a reminder to `to` that `clock` ends, or ended, at `end`; or an `action`.

    `key` is unique within the case. An `action` is the service's own, for `apply`.
    """

    clock: Clock
    at: datetime
    end: datetime
    to: Audience
    key: str
    action: Action | None = None


def due(state: CaseState, policy: Policy, now: datetime) -> list[Due]:
    """What is due at `now`, in the order in which it fell due; of the reminders of one clock only the newest."""
    newest: dict[Clock, Due] = {}
    for item in sorted(_all(state, policy, now), key=lambda item: item.at):
        if item.at <= now:
            newest[item.clock] = item
    if Clock.INFO_CLOSE in newest:
        newest.pop(Clock.INFO_REMINDER, None)  # a daemon that slept for a month does not remind and close at once
    return sorted(newest.values(), key=lambda item: item.at)


def next_due(state: CaseState, policy: Policy, now: datetime) -> datetime | None:
    """When something falls due next, after `now`; None while the case waits for nothing."""
    return min((item.at for item in _all(state, policy, now) if item.at > now), default=None)


def first_response_by(state: CaseState, policy: Policy) -> datetime:
    """By when a person answers, as the acknowledgement promises; UTC."""
    return policy.first_response_after(state.opened_at).astimezone(UTC)


def update_by(state: CaseState, policy: Policy) -> datetime | None:
    """By when the reporter hears from a person; None where it is the reporter's turn, or all is said."""
    if state.stage in (Stage.CLOSED, Stage.PUBLISHED):
        return None
    if state.answered_at is None:
        return first_response_by(state, policy)
    if state.stage is Stage.NEEDS_INFO:
        return state.promised_at
    latest = (state.told_at or state.answered_at) + policy.update_interval
    return min(latest, state.promised_at or latest)


def embargo_end(state: CaseState, policy: Policy) -> datetime | None:
    """When the embargo ends: the agreed moment, else the usual time after the report; None once it is published."""
    if state.published_at is not None or state.stage is Stage.CLOSED:
        return None
    return state.facts.embargo or state.opened_at + policy.embargo


def verdict_by(state: CaseState, policy: Policy) -> datetime | None:
    """By when the reporter is asked to try the fix."""
    return state.since + policy.verdict_within if state.stage is Stage.PATCHED else None


def publication_by(state: CaseState, policy: Policy) -> datetime | None:
    """When the advisory follows the release, where the mailbox has such a delay."""
    if state.released_at is None or state.published_at is not None or state.stage is Stage.CLOSED:
        return None
    return state.released_at + policy.publication_delay if policy.publication_delay is not None else None


def _all(state: CaseState, policy: Policy, now: datetime) -> Iterator[Due]:
    for clock in _CLOCKS:
        yield from clock(state, policy, now)


def _word_to_the_reporter(state: CaseState, policy: Policy, now: datetime) -> Iterator[Due]:
    end = update_by(state, policy)
    if end is None:
        return
    if state.answered_at is None:
        begun, clock = state.opened_at, Clock.FIRST_RESPONSE
    else:
        begun, clock = state.told_at or state.answered_at, Clock.UPDATE
        clock = Clock.PROMISE if end == state.promised_at else clock
    # Half of a short time, a day of a long one.
    yield from _reminders(clock, end, now, [min(NOTICE, (end - begun) / 2)])


def _verdict(state: CaseState, policy: Policy, now: datetime) -> Iterator[Due]:
    end = verdict_by(state, policy)
    if end is not None:
        yield from _reminders(Clock.VERDICT, end, now, [])


def _embargo(state: CaseState, policy: Policy, now: datetime) -> Iterator[Due]:
    end = embargo_end(state, policy)
    if end is not None:
        # A notice from before the date was agreed on would come at once, and late.
        notices = [notice for notice in EMBARGO_NOTICES if end - notice > state.opened_at]
        yield from _reminders(Clock.EMBARGO, end, now, notices)


def _publication(state: CaseState, policy: Policy, now: datetime) -> Iterator[Due]:
    end = publication_by(state, policy)
    if end is not None:
        yield from _reminders(Clock.PUBLICATION, end, now, [], first=Audience.OWNER)


def _needs_info(state: CaseState, policy: Policy, now: datetime) -> Iterator[Due]:
    if state.stage is not Stage.NEEDS_INFO:
        return
    end = state.since + policy.info_close
    remind = state.since + policy.info_reminder
    if not state.reminded:
        yield Due(Clock.INFO_REMINDER, remind, end, Audience.REPORTERS, _key(Clock.INFO_REMINDER, remind), Remind())
    # The maintainers see it coming: they may have the answer from elsewhere.
    yield from _reminders(Clock.INFO_CLOSE, end, now, [NOTICE], first=None)
    close = Close(Resolution.NO_ANSWER)
    yield Due(Clock.INFO_CLOSE, end, end, Audience.REPORTERS, _key(Clock.INFO_CLOSE, end), close)


_CLOCKS: tuple[Callable[[CaseState, Policy, datetime], Iterator[Due]], ...] = (
    _word_to_the_reporter,
    _verdict,
    _embargo,
    _publication,
    _needs_info,
)


def _reminders(
    clock: Clock,
    end: datetime,
    now: datetime,
    before: list[timedelta],
    first: Audience | None = Audience.MAINTAINERS,
) -> Iterator[Due]:
    """The owner beforehand, `first` at the end (None: nobody), and all maintainers every `AGAIN` from then on."""
    for notice in before:
        yield Due(clock, end - notice, end, Audience.OWNER, _key(clock, end, f"-{notice.total_seconds():.0f}"))
    if first is None:
        return
    yield Due(clock, end, end, first, _key(clock, end))
    for count in range(1, min(max(0, (now - end) // AGAIN) + 1, REMINDERS) + 1):
        yield Due(clock, end + count * AGAIN, end, Audience.MAINTAINERS, _key(clock, end, f"+{count}"))


def _key(clock: Clock, end: datetime, step: str = "") -> str:
    return f"{clock.value}/{end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}{step}"
