"""`apply`: one action on one case. Nothing is stored or sent here; what comes of it is returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from mailbox_service.core.case import values
from mailbox_service.core.case.facts import Fact, journaled, recorded
from mailbox_service.core.case.stages import (
    CLOSING_MAIL,
    COMMANDS,
    MOVES,
    REPORTER_COMMANDS,
    Event,
    Mail,
    Milestone,
    Party,
    Resolution,
    Stage,
    Transition,
    moves_from,
    spoken,
)
from mailbox_service.core.case.values import (
    ASKED_WITH,
    Action,
    Actor,
    Ask,
    Audience,
    CaseState,
    Entry,
    Outcome,
    Policy,
    Refused,
    Send,
)

PEOPLE = 50  # of one case: reporters, and invited ones


def apply(
    state: CaseState,
    action: Action,
    now: datetime,
    policy: Policy,
    actor: Actor,
    *,
    quiet: bool = False,
    with_text: bool = False,
    meanwhile: Sequence[Entry] = (),
) -> Outcome:
    """The case after `action`, its journal entries and the mails to send.

    `quiet` spares the reporters this transition's mail. `with_text`: the person wrote something along with it.
    `meanwhile` is the journal since the state that the person saw: where somebody else changed the same thing, the
    action is refused and says so, so that nothing is overwritten.
    Raises: Refused, with the legal moves; nothing has changed then.
    """
    step = _Step(state, now, policy, actor, quiet, with_text)
    _check_meanwhile(action, actor, meanwhile, step)
    made = _made(step, action)
    return replace(made, state=replace(made.state, version=state.version + len(made.entries)))


@dataclass(frozen=True, slots=True)
class _Step:
    """What every rule needs to know."""

    state: CaseState
    now: datetime
    policy: Policy
    actor: Actor
    quiet: bool
    with_text: bool

    def entry(self, event: Event, **data: object) -> Entry:
        if self.quiet:
            data["quiet"] = True
        return Entry(event, self.actor.label, self.now, data)

    def outcome(self, state: CaseState, entry: Entry | Sequence[Entry], *mails: Send) -> Outcome:
        entries = (entry,) if isinstance(entry, Entry) else tuple(entry)
        return Outcome(state, self.state.version, entries, mails)

    def told(self, state: CaseState) -> CaseState:
        """The reporters hear of it: their clocks begin anew, where a person caused it."""
        if self.actor.party is not Party.MAINTAINER:
            return replace(state, told_at=self.now)
        return replace(state, answered_at=state.answered_at or self.now, told_at=self.now, promised_at=None)

    def legal(self) -> tuple[str, ...]:
        return legal_commands(self.state, self.actor.party)


def legal_commands(state: CaseState, party: Party = Party.MAINTAINER) -> tuple[str, ...]:
    """The commands that move this case, as `party` writes them; for "what can be done next"."""
    names = {**COMMANDS, **REPORTER_COMMANDS} if party is Party.REPORTER else COMMANDS
    return tuple(names[event] for event in moves_from(state.stage, party, state.done) if event in names)


def _made(step: _Step, action: Action) -> Outcome:
    match action:
        case values.Move():
            return _move(step, action)
        case values.Close():
            return _close(step, action)
        case values.Record():
            return _record(step, action)
        case values.Withdraw():
            return _withdraw(step)
        case values.Split():
            return _split(step, action)
        case values.AddAddress() | values.Merge():
            return _more_reporters(step, action)
        case values.Invite() | values.Remove():
            return _participant(step, action)
        case values.Assign() | values.Note() | values.Reply() | values.Remind():
            return _small(step, action)
    assert_never(action)


# --- moves --------------------------------------------------------------------------------------------------------


def _transition(step: _Step, event: Event) -> Transition:
    state, party = step.state, step.actor.party
    found = moves_from(state.stage, party, state.done).get(event)
    if found is not None:
        return found
    legal = step.legal()
    wanted = COMMANDS.get(event, event.value)
    ways = f"; possible now: {', '.join(legal)}" if legal else ""
    if event.value == state.stage.value:
        raise Refused(f"{state.ref} is {spoken(state.stage)} already{ways}", legal)
    raise Refused(f"{wanted} is not possible while {state.ref} is {spoken(state.stage)}{ways}", legal)


def _move(step: _Step, action: values.Move) -> Outcome:
    if action.event is Event.CLOSED or action.event not in MOVES:
        raise ValueError(f"{action.event} is no move; use the action for it")
    transition = _transition(step, action.event)
    if step.quiet and action.event is Event.INFO_REQUESTED:
        raise Refused("questions that nobody gets are no questions: leave /quiet out, or use /note")
    if action.event is Event.INFO_REQUESTED and not step.with_text:
        raise Refused("write the questions below /needs-info; they go to the reporter")
    state = _at(step, transition)
    for fact, value in action.facts:
        state = replace(state, facts=recorded(state.facts, fact, value))
    if action.event is Event.FIX_FAILED:
        state = replace(state, released_at=None)  # what was released is no fix; another release follows
    if action.event is Event.REOPENED:
        state = replace(state, resolution=None, duplicate_of=None)
    entry = step.entry(
        action.event,
        **{"from": step.state.stage.value, "to": transition.to.value},
        **{fact.value: journaled(value) for fact, value in action.facts},
    )
    return _announced(step, state, entry, transition.mail)


def _at(step: _Step, transition: Transition) -> CaseState:
    """The state at the end of a transition, before anybody heard of it."""
    state = replace(step.state, stage=transition.to, stage_since=step.now, reminded=False)
    match transition.sets:
        case Milestone.RELEASED:
            return replace(state, released_at=step.now)
        case Milestone.PUBLISHED:
            return replace(state, published_at=step.now)
        case Milestone.DETAILS:
            # An afterword: the stage it is in has not begun anew.
            return replace(state, details_at=step.now, stage_since=step.state.stage_since)
        case None:
            return state
    assert_never(transition.sets)


def _announced(step: _Step, state: CaseState, entry: Entry, mail: Mail | None) -> Outcome:
    """The mails of a transition: one to each reporter unless it is quiet, and a word to the other maintainers."""
    mails = [Send(Mail.CHANGED, Audience.OTHER_MAINTAINERS, with_text=step.with_text)]
    if mail is not None and not step.quiet:
        asks = _asks(step, mail)
        with_text = step.with_text and step.actor.party is Party.MAINTAINER
        mails.insert(0, Send(mail, Audience.REPORTERS, with_text=with_text, asks=asks))
        state = replace(step.told(state), asked=state.asked | set(asks))
    return step.outcome(state, entry, *mails)


def _asks(step: _Step, mail: Mail) -> tuple[Ask, ...]:
    known = {Ask.CREDIT} if step.state.facts.credit is not None else set()
    if step.state.facts.severity is not None:
        known.add(Ask.SEVERITY)
    wanted = step.policy.asks - step.state.asked - known
    return tuple(ask for ask in Ask if ask in wanted and mail in ASKED_WITH[ask])


def _close(step: _Step, action: values.Close) -> Outcome:
    transition = _transition(step, Event.CLOSED)
    resolution = action.resolution
    if step.actor.party is Party.SERVICE and resolution is not Resolution.NO_ANSWER:
        raise Refused("the service itself closes only what was not answered")
    if resolution is Resolution.RESOLVED:
        missing = [
            command
            for milestone, command in ((Milestone.RELEASED, "/released"), (Milestone.PUBLISHED, "/published"))
            if milestone not in step.state.done
        ]
        if missing:
            raise Refused(f"resolved means fixed and published: {' and '.join(missing)} first, or another resolution")
    if (resolution is Resolution.DUPLICATE) != (action.duplicate_of is not None):
        raise Refused("a duplicate names what it repeats: /duplicate SEC-2026-0001, or a CVE id or an address")
    if action.duplicate_of == step.state.ref:
        raise Refused("a case is no duplicate of itself")
    state = replace(_at(step, transition), resolution=resolution, duplicate_of=action.duplicate_of)
    data: dict[str, object] = {"from": step.state.stage.value, "to": Stage.CLOSED.value, "resolution": resolution.value}
    if action.duplicate_of is not None:
        data["duplicate_of"] = action.duplicate_of
    return _announced(step, state, step.entry(Event.CLOSED, **data), CLOSING_MAIL[resolution])


# --- what does not move the case ------------------------------------------------------------------------------------


def _record(step: _Step, action: values.Record) -> Outcome:
    state, fact = step.state, action.fact
    if step.actor.party is Party.REPORTER and fact is not Fact.CREDIT:
        raise Refused("a reporter says how to be credited; what else is known, the maintainers record")
    if fact is Fact.EMBARGO and isinstance(action.value, datetime):
        if action.value <= step.now:
            raise Refused("this date has passed; name one to come, or /embargo none")
        if state.published_at is not None:
            raise Refused(f"{state.ref} is published; there is nothing left to hold back")
    before = getattr(state.facts, fact.value)
    state = replace(state, facts=recorded(state.facts, fact, action.value))
    data = {"fact": fact.value, "value": journaled(action.value), "before": journaled(before)}
    mails = [Send(Mail.CHANGED, Audience.OTHER_MAINTAINERS, with_text=step.with_text)]
    if fact is Fact.EMBARGO and before != action.value and not step.quiet:
        # The reporter keeps silent for this date: it never changes behind their back.
        mails.insert(0, Send(Mail.EMBARGO, Audience.REPORTERS))
        state = step.told(state)
    return step.outcome(state, step.entry(Event.FACT_RECORDED, **data), *mails)


def _withdraw(step: _Step) -> Outcome:
    if step.actor.party is not Party.REPORTER:
        raise Refused("only the reporter withdraws a report; you close it: /close withdrawn", step.legal())
    return step.outcome(
        step.state,
        step.entry(Event.WITHDRAWAL_ASKED),
        Send(Mail.WITHDRAWAL, Audience.MAINTAINERS, with_text=step.with_text),
    )


def _more_reporters(step: _Step, action: values.AddAddress | values.Merge) -> Outcome:
    state = step.state
    if isinstance(action, values.Merge):
        _only_maintainers(step)
        if state.stage is Stage.CLOSED:
            raise Refused(f"{state.ref} is closed; /duplicate {state.ref} closes the other one", step.legal())
        if action.ref == state.ref:
            raise Refused("a case is not merged with itself")
        new = action.reporters
    else:
        new = (action.address,)
    known = {address.lower() for address in state.reporters}
    added = tuple(address for address in new if address.lower() not in known)
    if isinstance(action, values.Merge):
        entry = step.entry(Event.MERGED, ref=action.ref, added=list(added))
    else:
        entry = step.entry(Event.ADDRESS_ADDED, address=action.address)
    if isinstance(action, values.AddAddress) and not added:
        raise Refused("this address is in the case already")
    _limit(len(state.reporters) + len(added))
    state = replace(state, reporters=(*state.reporters, *added))
    return step.outcome(state, entry, Send(Mail.CHANGED, Audience.OTHER_MAINTAINERS))


def _split(step: _Step, action: values.Split) -> Outcome:
    _only_maintainers(step)
    gone = {address.lower() for address in action.reporters}
    left = tuple(address for address in step.state.reporters if address.lower() not in gone)
    entry = step.entry(Event.SPLIT, ref=action.ref)
    return step.outcome(replace(step.state, reporters=left), entry)


def _participant(step: _Step, action: values.Invite | values.Remove) -> Outcome:
    _only_maintainers(step)
    state, address = step.state, action.address
    inside = {person.lower() for person in state.participants}
    if isinstance(action, values.Invite):
        if address.lower() in inside and step.with_text:
            # Invited already: these are further words to them.
            return step.outcome(
                state,
                step.entry(Event.REPLIED, address=address),
                Send(Mail.REPLY, Audience.ADDRESS, address, with_text=True),
                Send(Mail.CHANGED, Audience.OTHER_MAINTAINERS),
            )
        if address.lower() in inside | {person.lower() for person in state.reporters}:
            raise Refused("this address is in the case already")
        _limit(len(state.participants) + 1)
        state = replace(state, participants=(*state.participants, address))
        event, mail = Event.PARTICIPANT_INVITED, Mail.INVITATION
    else:
        if address.lower() not in inside:
            raise Refused("nobody with this address was invited to the case")
        left = tuple(person for person in state.participants if person.lower() != address.lower())
        state = replace(state, participants=left)
        event, mail = Event.PARTICIPANT_REMOVED, Mail.GOODBYE
    return step.outcome(
        state,
        step.entry(event, address=address),
        Send(mail, Audience.ADDRESS, address, with_text=step.with_text and mail is Mail.INVITATION),
        Send(Mail.CHANGED, Audience.OTHER_MAINTAINERS),
    )


def _limit(people: int) -> None:
    if people > PEOPLE:
        raise Refused(f"a case has at most {PEOPLE} people on each side")


def _only_maintainers(step: _Step) -> None:
    if step.actor.party is not Party.MAINTAINER:
        raise Refused("only a maintainer can do this", step.legal())


def _small(step: _Step, action: values.Assign | values.Note | values.Reply | values.Remind) -> Outcome:
    state = step.state
    if isinstance(action, values.Remind):
        if state.stage is not Stage.NEEDS_INFO or state.reminded:
            raise Refused(f"there is nothing to remind the reporter of in {state.ref}")
        state = replace(state, reminded=True, told_at=step.now)
        return step.outcome(state, step.entry(Event.REMINDED), Send(Mail.INFO_REMINDER, Audience.REPORTERS))
    _only_maintainers(step)
    changed = Send(Mail.CHANGED, Audience.OTHER_MAINTAINERS, with_text=step.with_text)
    if isinstance(action, values.Assign):
        entry = step.entry(Event.ASSIGNED, owner=action.owner, before=state.owner)
        return step.outcome(replace(state, owner=action.owner), entry, changed)
    if not step.with_text:
        raise Refused("there is no text to keep or to send")
    if isinstance(action, values.Note):
        return step.outcome(state, step.entry(Event.NOTED), changed)
    if step.quiet:
        raise Refused("/quiet and /reply contradict each other")
    if action.promised_at is not None and action.promised_at <= step.now:
        raise Refused("what is promised lies ahead; this date has passed")
    state = replace(step.told(state), promised_at=action.promised_at)
    reply = Send(Mail.REPLY, Audience.REPORTERS, with_text=True)
    return step.outcome(state, step.entry(Event.REPLIED), reply, changed)


# --- two at once ----------------------------------------------------------------------------------------------------

_OVERTAKEN = "meanwhile the case has moved on; nothing was changed - answer the newest mail"


def _touches(action: Action) -> frozenset[str]:
    """The things that an action sets; none for what only adds."""
    match action:
        case values.Move(facts=facts):
            return frozenset({"stage", *(fact.value for fact, _ in facts)})
        case values.Close():
            return frozenset({"stage"})
        case values.Assign():
            return frozenset({"owner"})
        case values.Record(fact=fact):
            return frozenset({fact.value})
        case values.Withdraw() | values.Note() | values.Reply() | values.Invite() | values.Remove():
            return frozenset()
        case values.AddAddress() | values.Merge() | values.Split() | values.Remind():
            return frozenset()
    assert_never(action)


def touched(entry: Entry) -> frozenset[str]:
    """The things that an entry of the journal set; none for what only added."""
    if entry.event in MOVES:
        return frozenset({"stage", *(fact.value for fact in Fact if fact.value in entry.data)})
    if entry.event is Event.ASSIGNED:
        return frozenset({"owner"})
    return frozenset({str(entry.data["fact"])}) if entry.event is Event.FACT_RECORDED else frozenset()


def _check_meanwhile(action: Action, actor: Actor, meanwhile: Sequence[Entry], step: _Step) -> None:
    mine = _touches(action)
    others = [entry for entry in meanwhile if entry.actor != actor.label and mine & touched(entry)]
    if others:
        text = f"meanwhile {described(others[-1])}; nothing was changed - answer the newest mail"
        raise Refused(text, step.legal(), outside=_OVERTAKEN)


def check_outdated(action: Action, meanwhile: Sequence[Entry]) -> None:
    """Raises: Refused where anybody has set since what a question to a person was about: its answer is void."""
    others = [entry for entry in meanwhile if _touches(action) & touched(entry)]
    if others:
        raise Refused(f"meanwhile {described(others[-1])}; nothing was changed", outside=_OVERTAKEN)


def described(entry: Entry) -> str:
    """What an entry says, as a sentence for the person who comes second."""
    when = f"{entry.at:%Y-%m-%d %H:%M} UTC"
    if entry.event in MOVES:
        to = spoken(str(entry.data.get("resolution") or entry.data.get("to") or entry.event))
        done = f"closed the case as {to}" if entry.event is Event.CLOSED else f"moved the case to {to}"
    elif entry.event is Event.ASSIGNED:
        owner = entry.data.get("owner")
        done = f"gave the case to {owner}" if owner else "left the case without an owner"
    elif entry.event is Event.FACT_RECORDED:
        done = f"set {entry.data.get('fact')} to {entry.data.get('value') or 'nothing'}"
    else:
        done = f"did: {spoken(entry.event)}"
    return f"{entry.actor} {done} at {when}"
