"""What falls due in a case, and when it stops."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.case import (
    Actor,
    Audience,
    CaseState,
    Clock,
    Close,
    Due,
    Event,
    Facts,
    Move,
    Party,
    Policy,
    Remind,
    Reply,
    Resolution,
    Stage,
    apply,
    clocks,
    due,
    next_due,
)

MONDAY = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = Policy()
ANNA, SERVICE = Actor(Party.MAINTAINER, "Anna"), Actor(Party.SERVICE)


def case(stage: Stage = Stage.RECEIVED, **changes: object) -> CaseState:
    return replace(CaseState("SEC-2026-0001", MONDAY, stage), **changes)  # type: ignore[arg-type]


def answered(stage: Stage = Stage.REVIEWING, at: datetime = MONDAY, **changes: object) -> CaseState:
    return case(stage, stage_since=at, answered_at=at, told_at=at, **changes)


def told(state: CaseState, now: datetime, policy: Policy = POLICY) -> list[tuple[Clock, Audience]]:
    return [(item.clock, item.to) for item in due(state, policy, now)]


def history(state: CaseState, until: datetime, policy: Policy = POLICY) -> list[Due]:
    """All that falls due until then, as a daemon sees it that sleeps until the next thing is due."""
    now = state.opened_at
    seen: dict[str, Due] = {}
    while True:
        for item in due(state, policy, now):
            seen.setdefault(item.key, item)
        following = next_due(state, policy, now)
        if following is None or following > until:
            return list(seen.values())
        assert following > now
        now = following


def test_nothing_is_due_when_a_case_was_just_opened() -> None:
    assert due(case(), POLICY, MONDAY) == []
    assert next_due(case(), POLICY, MONDAY) == MONDAY + DAY


def test_the_first_response_reminds_the_owner_then_everybody_again_and_again() -> None:
    end = MONDAY + 2 * DAY
    seen = [i for i in history(case(owner="Anna"), MONDAY + 7 * DAY) if i.clock is Clock.FIRST_RESPONSE]
    assert [(i.at - MONDAY, i.to) for i in seen] == [
        (1 * DAY, Audience.OWNER),
        (2 * DAY, Audience.MAINTAINERS),
        (4 * DAY, Audience.MAINTAINERS),
        (6 * DAY, Audience.MAINTAINERS),
    ]
    assert {i.end for i in seen} == {end}


@pytest.mark.parametrize(
    ("opened", "by"),
    [
        ("2026-11-27T12:00", "2026-12-01T12:00"),  # Friday: Tuesday
        ("2026-11-28T12:00", "2026-12-01T12:00"),  # Saturday: Tuesday
        ("2026-11-26T23:30", "2026-11-30T23:30"),  # Thursday in UTC is Friday in Berlin: there Tuesday
        ("2026-10-23T12:00", "2026-10-27T13:00"),  # the same time of day although the clocks changed
    ],
)
def test_working_days_are_those_of_the_mailbox(opened: str, by: str) -> None:
    policy = Policy(zone=ZoneInfo("Europe/Berlin"))
    state = case(opened_at=datetime.fromisoformat(opened).replace(tzinfo=UTC))
    assert clocks.first_response_by(state, policy) == datetime.fromisoformat(by).replace(tzinfo=UTC)


def test_another_week_has_other_working_days() -> None:
    policy = Policy(working_days=frozenset({6, 0, 1, 2, 3}))  # Sunday to Thursday
    thursday = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
    assert clocks.first_response_by(case(opened_at=thursday), policy) == thursday + 4 * DAY


def test_a_first_answer_stops_the_first_clock_and_starts_the_next() -> None:
    late = MONDAY + 6 * DAY
    assert told(case(), late) == [(Clock.FIRST_RESPONSE, Audience.MAINTAINERS)]
    replied = apply(case(), Reply(), late, POLICY, ANNA, with_text=True).state
    assert told(replied, late) == []
    assert told(replied, late + 6 * DAY) == [(Clock.UPDATE, Audience.OWNER)]
    assert told(replied, late + 7 * DAY) == [(Clock.UPDATE, Audience.MAINTAINERS)]
    quiet = apply(replied, Move(Event.REPRODUCED), late + 7 * DAY, POLICY, ANNA, quiet=True).state
    assert told(quiet, late + 7 * DAY) == [(Clock.UPDATE, Audience.MAINTAINERS)]
    loud = apply(replied, Move(Event.REPRODUCED), late + 7 * DAY, POLICY, ANNA).state
    assert told(loud, late + 7 * DAY) == []


def test_a_promise_is_due_before_the_usual_update() -> None:
    promised = answered(promised_at=MONDAY + 3 * DAY)
    assert told(promised, MONDAY + 2 * DAY) == [(Clock.PROMISE, Audience.OWNER)]
    assert told(promised, MONDAY + 3 * DAY) == [(Clock.PROMISE, Audience.MAINTAINERS)]
    # A short one reminds at half its time, not before it was made.
    short = answered(promised_at=MONDAY + timedelta(hours=4))
    assert told(short, MONDAY + timedelta(hours=1)) == []
    assert told(short, MONDAY + timedelta(hours=2)) == [(Clock.PROMISE, Audience.OWNER)]


def test_questions_remind_and_then_close() -> None:
    state = answered(Stage.NEEDS_INFO)
    assert told(state, MONDAY + 6 * DAY) == []
    (reminder,) = due(state, POLICY, MONDAY + 7 * DAY)
    assert (reminder.to, reminder.action) == (Audience.REPORTERS, Remind())
    state = apply(state, Remind(), MONDAY + 7 * DAY, POLICY, SERVICE).state
    assert told(state, MONDAY + 28 * DAY) == []
    assert told(state, MONDAY + 29 * DAY) == [(Clock.INFO_CLOSE, Audience.OWNER)]
    (close,) = due(state, POLICY, MONDAY + 30 * DAY)
    assert close.action == Close(Resolution.NO_ANSWER)
    assert close.action is not None
    closed = apply(state, close.action, MONDAY + 30 * DAY, POLICY, SERVICE).state
    assert due(closed, POLICY, MONDAY + 1000 * DAY) == []
    assert next_due(closed, POLICY, MONDAY) is None


def test_a_daemon_that_slept_closes_without_a_reminder_at_the_same_moment() -> None:
    items = due(answered(Stage.NEEDS_INFO), POLICY, MONDAY + 40 * DAY)
    assert [item.action for item in items] == [Close(Resolution.NO_ANSWER)]


def test_the_embargo_is_noted_two_weeks_a_week_and_a_day_before() -> None:
    state = answered(at=MONDAY + 80 * DAY)
    seen = [
        i for i in history(replace(state, told_at=MONDAY + 95 * DAY), MONDAY + 91 * DAY) if i.clock is Clock.EMBARGO
    ]
    assert [(i.at - MONDAY) // DAY for i in seen] == [76, 83, 89, 90]
    assert [i.to for i in seen][-1] is Audience.MAINTAINERS
    agreed = replace(state, facts=Facts(embargo=MONDAY + 120 * DAY))
    assert clocks.embargo_end(agreed, POLICY) == MONDAY + 120 * DAY
    published = replace(state, published_at=MONDAY + 81 * DAY, stage=Stage.PUBLISHED)
    assert due(published, POLICY, MONDAY + 200 * DAY) == []


def test_an_embargo_shorter_than_its_notices_is_not_noted_before_the_report() -> None:
    state = answered(facts=Facts(embargo=MONDAY + 3 * DAY))
    assert [i.at for i in history(state, MONDAY + 3 * DAY) if i.clock is Clock.EMBARGO] == [
        MONDAY + 2 * DAY,
        MONDAY + 3 * DAY,
    ]


def test_no_verdict_within_its_time_is_told_to_the_maintainers() -> None:
    state = answered(Stage.PATCHED)
    assert (Clock.VERDICT, Audience.MAINTAINERS) in told(state, MONDAY + 7 * DAY)
    verified = apply(state, Move(Event.FIX_VERIFIED), MONDAY + 6 * DAY, POLICY, ANNA).state
    assert told(verified, MONDAY + 7 * DAY) == []


def test_the_advisory_is_asked_for_when_its_delay_has_passed() -> None:
    state = answered(Stage.RELEASED, released_at=MONDAY)
    assert clocks.publication_by(state, POLICY) is None
    policy = Policy(publication_delay=3 * DAY)
    assert told(state, MONDAY + 3 * DAY, policy) == [(Clock.PUBLICATION, Audience.OWNER)]
    assert (Clock.PUBLICATION, Audience.MAINTAINERS) in told(state, MONDAY + 5 * DAY, policy)
    published = apply(state, Move(Event.PUBLISHED), MONDAY + 3 * DAY, policy, ANNA).state
    assert told(published, MONDAY + 5 * DAY, policy) == []


@given(
    st.sampled_from(Stage),
    st.integers(0, 400),
    st.integers(1, 90),
    st.booleans(),
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 200),
)
def test_what_is_due_has_a_key_and_stays_due_until_something_changes(
    stage: Stage, days: int, since: int, was_answered: bool, promise: int | None, embargo: int | None
) -> None:
    at = MONDAY + since * DAY
    state = case(
        stage,
        stage_since=at,
        answered_at=at if was_answered else None,
        told_at=at if was_answered else None,
        promised_at=at + promise * DAY if promise and was_answered else None,
        facts=Facts(embargo=MONDAY + embargo * DAY if embargo else None),
        released_at=at if stage is Stage.RELEASED else None,
        published_at=at if stage is Stage.PUBLISHED else None,
    )
    policy, now = Policy(publication_delay=DAY), MONDAY + days * DAY
    items = due(state, policy, now)
    assert all(item.at <= now for item in items)
    assert len({item.clock for item in items}) == len({item.key for item in items}) == len(items)
    assert due(state, policy, now) == items
    following = next_due(state, policy, now)
    assert following is None or following > now
    # Nothing comes due in between.
    if following is not None:
        assert due(state, policy, following - timedelta(seconds=1)) == items
    # Nothing is silent for ever but a case at its end, and one that waits for its reporter's answer.
    if stage not in (Stage.CLOSED, Stage.PUBLISHED):
        assert items or following is not None
