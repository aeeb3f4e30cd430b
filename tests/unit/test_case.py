"""The stages of a case: every pair of stage and event, and what comes of every action."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.case import (
    CLOSING_MAIL,
    COMMANDS,
    MOVES,
    TABLE,
    Action,
    Actor,
    AddAddress,
    Ask,
    Assign,
    Audience,
    CaseState,
    Close,
    Entry,
    Event,
    Fact,
    Facts,
    Invite,
    Mail,
    Merge,
    Milestone,
    Move,
    Note,
    Outcome,
    Party,
    Policy,
    Record,
    Refused,
    Remind,
    Remove,
    Reply,
    Resolution,
    Stage,
    Withdraw,
    apply,
    facts_from,
    journaled,
    legal_commands,
)

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOW = START + timedelta(days=3)
POLICY = Policy()
ANNA, BEN = Actor(Party.MAINTAINER, "Anna"), Actor(Party.MAINTAINER, "Ben")
REPORTER, SERVICE = Actor(Party.REPORTER), Actor(Party.SERVICE)
ACTORS = {Party.MAINTAINER: ANNA, Party.REPORTER: REPORTER, Party.SERVICE: SERVICE}
OPEN = [stage for stage in Stage if stage is not Stage.CLOSED]


def case(stage: Stage = Stage.RECEIVED, **changes: object) -> CaseState:
    state = CaseState("SEC-2026-0001", START, stage, version=7, reporters=("jane@reporter.example",))
    if stage is Stage.RELEASED:
        state = replace(state, released_at=START)
    if stage is Stage.PUBLISHED:
        state = replace(state, published_at=START)
    return replace(state, **changes)  # type: ignore[arg-type]


def move_of(event: Event) -> Action:
    return Close(Resolution.OUT_OF_SCOPE) if event is Event.CLOSED else Move(event)


def moved(state: CaseState, *events: Event, actor: Actor = ANNA) -> CaseState:
    for event in events:
        state = apply(state, move_of(event), NOW, POLICY, actor, with_text=True).state
    return state


def to_reporters(outcome: Outcome) -> list[Mail]:
    return [send.mail for send in outcome.mails if send.to is Audience.REPORTERS]


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_stage_has_a_row_and_every_move_an_entry() -> None:
    assert set(TABLE) == set(Stage)
    assert {event for row in TABLE.values() for event in row} == MOVES
    assert set(CLOSING_MAIL) == set(Resolution)


@pytest.mark.parametrize("event", sorted(MOVES))
@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("party", Party)
def test_every_pair_of_stage_and_event(stage: Stage, event: Event, party: Party) -> None:
    state = case(stage)
    transition = TABLE[stage].get(event)
    action = Close(Resolution.NO_ANSWER) if event is Event.CLOSED else move_of(event)
    if transition is None or party not in transition.by:
        with pytest.raises(Refused) as refused:
            apply(state, action, NOW, POLICY, ACTORS[party], with_text=True)
        assert refused.value.legal == legal_commands(state, party)
        assert all(command in str(refused.value) for command in refused.value.legal)
        return
    outcome = apply(state, action, NOW, POLICY, ACTORS[party], with_text=True)
    assert outcome.state.stage is transition.to
    assert [entry.event for entry in outcome.entries] == [event]
    assert outcome.entries[0].data["from"] == stage.value
    assert outcome.entries[0].data["to"] == transition.to.value
    assert (outcome.expected_version, outcome.state.version) == (7, 8)
    if transition.sets is not None:
        assert getattr(outcome.state, transition.sets.value) == NOW


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("party", Party)
def test_no_transition_is_without_a_mail_to_the_reporter_or_an_explicit_quiet(stage: Stage, party: Party) -> None:
    state, actor = case(stage), ACTORS[party]
    for event, transition in TABLE[stage].items():
        if party not in transition.by:
            continue
        action = Close(Resolution.NO_ANSWER) if event is Event.CLOSED else Move(event)
        outcome = apply(state, action, NOW, POLICY, actor, with_text=True)
        assert len(to_reporters(outcome)) == 1
        assert "quiet" not in outcome.entries[0].data
        if event is Event.INFO_REQUESTED:
            continue
        quiet = apply(state, action, NOW, POLICY, actor, quiet=True)
        assert to_reporters(quiet) == []
        assert quiet.entries[0].data["quiet"] is True
        assert quiet.state.told_at == state.told_at
        assert [send.to for send in quiet.mails] == [Audience.OTHER_MAINTAINERS]


@pytest.mark.parametrize("resolution", Resolution)
@pytest.mark.parametrize("stage", OPEN)
def test_closed_is_reached_from_everywhere_and_opens_again(stage: Stage, resolution: Resolution) -> None:
    state = case(stage, released_at=START, published_at=START)
    original = "SEC-2026-0009" if resolution is Resolution.DUPLICATE else None
    outcome = apply(state, Close(resolution, original), NOW, POLICY, ANNA)
    assert outcome.state.stage is Stage.CLOSED
    assert outcome.state.resolution is resolution
    # Spam alone is never answered.
    assert to_reporters(outcome) == ([] if resolution is Resolution.SPAM else [CLOSING_MAIL[resolution]])
    again = apply(outcome.state, Move(Event.REOPENED), NOW, POLICY, ANNA)
    assert again.state.stage is Stage.REVIEWING
    assert again.state.resolution is None
    assert again.state.duplicate_of is None
    assert to_reporters(again) == [Mail.REOPENED]


@given(st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.sampled_from(Party), st.booleans()), max_size=30))
def test_whatever_is_tried_in_whatever_order_a_case_can_be_closed(steps: list[tuple[Event, Party, bool]]) -> None:
    state = case()
    for event, party, quiet in steps:
        try:
            outcome = apply(state, move_of(event), NOW, POLICY, ACTORS[party], quiet=quiet, with_text=True)
        except Refused:
            continue
        assert outcome.state.version == state.version + len(outcome.entries)
        assert bool(to_reporters(outcome)) != quiet
        state = outcome.state
        # The dates and the stage tell the same story.
        assert state.stage is not Stage.RELEASED or state.released_at is not None
        assert state.stage is not Stage.PUBLISHED or state.published_at is not None
        assert (state.stage is Stage.CLOSED) == (state.resolution is not None)
    if state.stage is not Stage.CLOSED:
        state = moved(state, Event.CLOSED)
    assert moved(state, Event.REOPENED).stage is Stage.REVIEWING


@pytest.mark.parametrize("stage", [s for s in OPEN if s not in (Stage.RELEASED, Stage.PUBLISHED)])
def test_release_and_advisory_come_in_either_order(stage: Stage) -> None:
    orders = (Event.RELEASED, Event.PUBLISHED), (Event.PUBLISHED, Event.RELEASED)
    ends = [moved(case(stage), *order) for order in orders]
    for end in ends:
        assert end.stage is Stage.PUBLISHED
        assert end.released_at and end.published_at
        done = apply(end, Close(Resolution.RESOLVED), NOW, POLICY, ANNA)
        assert to_reporters(done) == [Mail.RESOLVED]
        later = moved(done.state, Event.DETAILS_PUBLISHED)
        assert later.stage is Stage.CLOSED
        with pytest.raises(Refused, match="/details-published is not possible"):
            moved(later, Event.DETAILS_PUBLISHED)


def test_a_release_is_told_of_once_but_a_fix_that_was_none_is_followed_by_another() -> None:
    published = moved(case(), Event.PUBLISHED, Event.RELEASED)
    assert "/released" not in legal_commands(published)
    back = moved(published, Event.FIX_FAILED)
    assert back.stage is Stage.REPRODUCED
    assert back.released_at is None
    assert moved(back, Event.RELEASED).done == {Milestone.RELEASED, Milestone.PUBLISHED}


@pytest.mark.parametrize(
    ("stage", "missing"), [(Stage.RECEIVED, "/released and /published"), (Stage.RELEASED, "/published")]
)
def test_resolved_means_fixed_and_published(stage: Stage, missing: str) -> None:
    with pytest.raises(Refused, match=f"{missing} first"):
        apply(case(stage), Close(Resolution.RESOLVED), NOW, POLICY, ANNA)


def test_the_whole_process_by_both_sides() -> None:
    state = moved(case(), Event.REVIEWING, Event.INFO_REQUESTED)
    state = moved(state, Event.INFO_GIVEN, actor=REPORTER)
    assert state.stage is Stage.REVIEWING
    state = moved(state, Event.REPRODUCED, Event.PATCHED)
    state = moved(state, Event.FIX_FAILED, actor=REPORTER)
    state = moved(state, Event.PATCHED)
    assert legal_commands(state, Party.REPORTER) == ("/fix-works", "/fix-fails")
    state = moved(state, Event.FIX_VERIFIED, actor=REPORTER)
    state = moved(state, Event.RELEASED, Event.PUBLISHED)
    assert apply(state, Close(Resolution.RESOLVED), NOW, POLICY, BEN).state.stage is Stage.CLOSED


# --- one action at a time -------------------------------------------------------------------------------------------


def test_questions_need_a_text_and_cannot_be_quiet() -> None:
    with pytest.raises(Refused, match="write the questions below"):
        apply(case(), Move(Event.INFO_REQUESTED), NOW, POLICY, ANNA)
    with pytest.raises(Refused, match="leave /quiet out"):
        apply(case(), Move(Event.INFO_REQUESTED), NOW, POLICY, ANNA, with_text=True, quiet=True)


def test_a_move_records_the_facts_that_come_with_it() -> None:
    outcome = apply(case(), Move(Event.RELEASED, ((Fact.FIXED, "4.38.1"),)), NOW, POLICY, ANNA)
    assert outcome.state.facts.fixed == "4.38.1"
    assert outcome.entries[0].data["fixed"] == "4.38.1"


def test_the_text_of_a_reporter_goes_to_the_maintainers_and_not_back() -> None:
    outcome = apply(case(Stage.PATCHED), Move(Event.FIX_VERIFIED), NOW, POLICY, REPORTER, with_text=True)
    texts = {send.to: send.with_text for send in outcome.mails}
    assert texts == {Audience.REPORTERS: False, Audience.OTHER_MAINTAINERS: True}
    assert outcome.entries[0].actor == "reporter"


def test_the_credit_wish_is_asked_once_and_not_where_it_is_known() -> None:
    asked = apply(case(), Move(Event.REPRODUCED), NOW, POLICY, ANNA)
    assert asked.mails[0].asks == (Ask.CREDIT,)
    again = apply(moved(asked.state, Event.REVIEWING), Move(Event.REPRODUCED), NOW, POLICY, ANNA)
    assert again.mails[0].asks == ()
    known = case(facts=Facts(credit=""))
    assert apply(known, Move(Event.REPRODUCED), NOW, POLICY, ANNA).mails[0].asks == ()
    # Nobody was asked in a mail that did not go out.
    quiet = apply(case(), Move(Event.REPRODUCED), NOW, POLICY, ANNA, quiet=True)
    assert quiet.state.asked == frozenset()


def test_what_the_policy_asks_comes_with_the_first_mail_that_fits() -> None:
    policy = Policy(asks=frozenset(Ask))
    outcome = apply(case(), Move(Event.REVIEWING), NOW, policy, ANNA)
    assert outcome.mails[0].asks == (Ask.SEVERITY, Ask.AI_DISCLOSURE)
    assert apply(outcome.state, Move(Event.REPRODUCED), NOW, policy, ANNA).mails[0].asks == (Ask.CREDIT,)


@pytest.mark.parametrize("original", [None, "SEC-2026-0001"])
def test_a_duplicate_names_another_case(original: str | None) -> None:
    with pytest.raises(Refused, match="duplicate"):
        apply(case(), Close(Resolution.DUPLICATE, original), NOW, POLICY, ANNA)


def test_the_service_closes_only_what_was_not_answered() -> None:
    state = case(Stage.NEEDS_INFO)
    assert to_reporters(apply(state, Close(Resolution.NO_ANSWER), NOW, POLICY, SERVICE)) == [Mail.UNANSWERED]
    for resolution in (Resolution.SPAM, Resolution.WITHDRAWN):
        with pytest.raises(Refused):
            apply(state, Close(resolution), NOW, POLICY, SERVICE)
    with pytest.raises(Refused):
        apply(case(Stage.PATCHED), Close(Resolution.NO_ANSWER), NOW, POLICY, SERVICE)


def test_a_changed_embargo_is_never_hidden_from_the_reporter() -> None:
    end = NOW + timedelta(days=30)
    outcome = apply(case(), Record(Fact.EMBARGO, end), NOW, POLICY, ANNA)
    assert to_reporters(outcome) == [Mail.EMBARGO]
    assert outcome.entries[0].data == {"fact": "embargo", "value": end.isoformat(), "before": None}
    assert to_reporters(apply(outcome.state, Record(Fact.EMBARGO, end), NOW, POLICY, ANNA)) == []
    assert to_reporters(apply(outcome.state, Record(Fact.EMBARGO, None), NOW, POLICY, ANNA)) == [Mail.EMBARGO]
    with pytest.raises(Refused, match="has passed"):
        apply(case(), Record(Fact.EMBARGO, NOW), NOW, POLICY, ANNA)
    with pytest.raises(Refused, match="nothing left to hold back"):
        apply(case(Stage.PUBLISHED), Record(Fact.EMBARGO, end), NOW, POLICY, ANNA)


def test_a_reporter_records_the_credit_and_nothing_else() -> None:
    outcome = apply(case(), Record(Fact.CREDIT, "Jane Doe"), NOW, POLICY, REPORTER)
    assert outcome.state.facts.credit == "Jane Doe"
    for fact in set(Fact) - {Fact.CREDIT, Fact.EMBARGO}:
        with pytest.raises(Refused):
            apply(case(), Record(fact, "x"), NOW, POLICY, REPORTER)


@pytest.mark.parametrize(
    "action",
    [Assign("Anna"), Note(), Reply(), Invite("x@y.example"), Remove("x@y.example"), Merge("SEC-2026-0002", ())],
)
@pytest.mark.parametrize("actor", [REPORTER, SERVICE])
def test_what_only_maintainers_do(action: Action, actor: Actor) -> None:
    with pytest.raises(Refused):
        apply(case(), action, NOW, POLICY, actor, with_text=True)


def test_a_withdrawal_is_for_the_maintainers_to_decide() -> None:
    outcome = apply(case(Stage.REPRODUCED), Withdraw(), NOW, POLICY, REPORTER)
    assert outcome.state.stage is Stage.REPRODUCED
    assert [(send.mail, send.to) for send in outcome.mails] == [(Mail.WITHDRAWAL, Audience.MAINTAINERS)]
    with pytest.raises(Refused, match="/close withdrawn"):
        apply(case(), Withdraw(), NOW, POLICY, ANNA)


def test_a_reply_starts_the_clocks_anew_and_may_promise() -> None:
    promise = NOW + timedelta(days=4)
    outcome = apply(case(), Reply(promise), NOW, POLICY, ANNA, with_text=True)
    assert to_reporters(outcome) == [Mail.REPLY]
    assert (outcome.state.answered_at, outcome.state.told_at, outcome.state.promised_at) == (NOW, NOW, promise)
    # A promise is kept by the next word.
    assert moved(outcome.state, Event.REPRODUCED).promised_at is None
    for refused in (Reply(), Note()):
        with pytest.raises(Refused, match="no text"):
            apply(case(), refused, NOW, POLICY, ANNA)
    with pytest.raises(Refused, match="contradict"):
        apply(case(), Reply(), NOW, POLICY, ANNA, with_text=True, quiet=True)
    with pytest.raises(Refused, match="has passed"):
        apply(case(), Reply(NOW), NOW, POLICY, ANNA, with_text=True)


def test_people_come_and_go() -> None:
    invited = apply(case(), Invite("dev@upstream.example"), NOW, POLICY, ANNA, with_text=True)
    assert invited.state.participants == ("dev@upstream.example",)
    assert (invited.mails[0].mail, invited.mails[0].address) == (Mail.INVITATION, "dev@upstream.example")
    for known in ("Dev@Upstream.example", "JANE@reporter.example"):
        with pytest.raises(Refused, match="already"):
            apply(invited.state, Invite(known), NOW, POLICY, ANNA)
    removed = apply(invited.state, Remove("DEV@upstream.example"), NOW, POLICY, ANNA)
    assert removed.state.participants == ()
    with pytest.raises(Refused, match="nobody"):
        apply(removed.state, Remove("dev@upstream.example"), NOW, POLICY, ANNA)


def test_a_merged_case_brings_its_reporters_and_a_reporter_a_second_address() -> None:
    merged = apply(case(), Merge("SEC-2026-0002", ("joe@x.example", "JANE@reporter.example")), NOW, POLICY, ANNA)
    assert merged.state.reporters == ("jane@reporter.example", "joe@x.example")
    with pytest.raises(Refused, match="itself"):
        apply(case(), Merge("SEC-2026-0001", ()), NOW, POLICY, ANNA)
    added = apply(case(), AddAddress("jane@work.example"), NOW, POLICY, REPORTER)
    assert added.state.reporters[-1] == "jane@work.example"
    with pytest.raises(Refused, match="already"):
        apply(added.state, AddAddress("jane@work.example"), NOW, POLICY, REPORTER)
    with pytest.raises(Refused, match="at most"):
        apply(case(), Merge("SEC-2026-0002", tuple(f"{n}@x.example" for n in range(50))), NOW, POLICY, ANNA)


def test_the_reporter_is_reminded_once_of_each_round_of_questions() -> None:
    asked = moved(case(), Event.INFO_REQUESTED)
    reminded = apply(asked, Remind(), NOW, POLICY, SERVICE)
    assert to_reporters(reminded) == [Mail.INFO_REMINDER]
    with pytest.raises(Refused):
        apply(reminded.state, Remind(), NOW, POLICY, SERVICE)
    assert not moved(reminded.state, Event.INFO_REQUESTED).reminded


def test_facts_survive_the_journal() -> None:
    facts = Facts(severity="CVSS:4.0/AV:N", credit="", embargo=NOW)
    stored = {fact.value: journaled(getattr(facts, fact.value)) for fact in Fact}
    assert facts_from(stored) == facts


# --- two maintainers at once ----------------------------------------------------------------------------------------


def entries(state: CaseState, action: Action, actor: Actor) -> tuple[CaseState, tuple[Entry, ...]]:
    outcome = apply(state, action, NOW, POLICY, actor)
    return outcome.state, outcome.entries


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (Move(Event.REPRODUCED), Move(Event.PATCHED), "Anna moved the case to reproduced at 2026-11-26 12:00 UTC"),
        (Close(Resolution.SPAM), Move(Event.REPRODUCED), "Anna closed the case as spam"),
        (Assign("Anna"), Assign("Ben"), "Anna gave the case to Anna"),
        (Assign(None), Assign("Ben"), "Anna left the case without an owner"),
        (Record(Fact.CVE, "CVE-2026-1000"), Record(Fact.CVE, "CVE-2026-2000"), "Anna set cve to CVE-2026-1000"),
        (Record(Fact.FIXED, "1.1"), Move(Event.RELEASED, ((Fact.FIXED, "1.2"),)), "Anna set fixed to 1.1"),
        (Move(Event.RELEASED, ((Fact.FIXED, "1.2"),)), Record(Fact.FIXED, "1.1"), "moved the case to released"),
    ],
)
def test_the_second_is_told_what_the_first_did(first: Action, second: Action, told: str) -> None:
    state, meanwhile = entries(case(), first, ANNA)
    with pytest.raises(Refused, match=told):
        apply(state, second, NOW, POLICY, BEN, meanwhile=meanwhile)
    # Who did it knows it.
    assert "meanwhile" not in str(refusal(state, second, ANNA, meanwhile))


def refusal(state: CaseState, action: Action, actor: Actor, meanwhile: tuple[Entry, ...]) -> Refused | None:
    try:
        apply(state, action, NOW, POLICY, actor, meanwhile=meanwhile)
    except Refused as error:
        return error
    return None


def test_what_does_not_meet_goes_through() -> None:
    state, meanwhile = entries(case(), Record(Fact.CVE, "CVE-2026-1000"), ANNA)
    assert apply(state, Move(Event.REPRODUCED), NOW, POLICY, BEN, meanwhile=meanwhile).state.facts.cve
    assert apply(state, Reply(), NOW, POLICY, BEN, with_text=True, meanwhile=meanwhile).mails


def test_a_close_is_no_move() -> None:
    with pytest.raises(ValueError, match="use the action"):
        apply(case(), Move(Event.CLOSED), NOW, POLICY, ANNA)


def test_commands_name_every_move_of_a_maintainer() -> None:
    by_maintainers = {e for row in TABLE.values() for e, t in row.items() if Party.MAINTAINER in t.by}
    assert by_maintainers == set(COMMANDS)
