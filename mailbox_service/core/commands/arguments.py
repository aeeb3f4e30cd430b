"""What stands behind a command, read into an action on the case or into what the services look up."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo

from mailbox_service.core.case import (
    Action,
    Assign,
    Close,
    Event,
    Fact,
    Invite,
    Move,
    NotAFact,
    Note,
    Party,
    Record,
    Remove,
    Reply,
    Resolution,
    Withdraw,
    facts,
)
from mailbox_service.core.commands import written
from mailbox_service.core.commands.verbs import Takes, Verb
from mailbox_service.core.message.addresses import read_addresses

_REFERENCE = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,38}[A-Z0-9])?")
_MESSAGE = re.compile(r"M ?-? ?([1-9][0-9]{0,17})")
RESOLUTIONS = {resolution.value.replace("_", "-"): resolution for resolution in Resolution}
_RESOLUTION_ALIASES = {
    "fixed": Resolution.RESOLVED,
    "done": Resolution.RESOLVED,
    "unanswered": Resolution.NO_ANSWER,
    "invalid": Resolution.NOT_A_VULNERABILITY,
    "not-vulnerability": Resolution.NOT_A_VULNERABILITY,
    "not-security": Resolution.REDIRECTED,
    "cannot-reproduce": Resolution.NOT_REPRODUCIBLE,
}
_NOBODY = frozenset({"nobody", "none", "no-one", "noone"})


class Miswritten(ValueError):
    """The argument is wrong; `str()` says what belongs there."""


@dataclass(frozen=True, slots=True)
class Context:
    """Who wrote the mail, and what their words are measured by."""

    party: Party = Party.MAINTAINER
    name: str = ""  # of the maintainer
    roster: tuple[str, ...] = ()  # the names of all maintainers of the mailbox
    zone: tzinfo = UTC  # of the mailbox
    on_case: bool = True  # the mail answers one of a case; else a digest, or nothing


@dataclass(frozen=True, slots=True)
class Read:
    """What a line asks for: an `action` on the case, or an `argument` that the services look up first; and its text."""

    action: Action | None = None
    argument: str = ""
    text: str = ""


def read(verb: Verb, argument: str, context: Context) -> Read:
    """Raises: Miswritten."""
    try:
        return _READERS[verb.takes](verb, argument, context)
    except NotAFact as error:
        raise Miswritten(str(error)) from None


def takes_more(verb: Verb, argument: str, line: str) -> bool:
    """Whether the next line still belongs to the command: clients wrap long ones at the blank before the last word."""
    if (
        verb.takes in (Takes.VECTOR, Takes.URL, Takes.ADDRESS, Takes.CVE, Takes.RANGE, Takes.VERSIONS, Takes.MOMENT)
        and not argument
    ):
        return bool(line)
    return verb.takes is Takes.CREDIT and line.lower().startswith(("<http", "http")) and " " not in line


def _nothing(verb: Verb, argument: str, context: Context) -> Read:
    if argument:
        raise Miswritten("nothing stands behind it on its line")
    if verb.moves is Event.CLOSED:
        return Read(Close(Resolution.REDIRECTED))
    if verb.moves is not None:
        return Read(Move(verb.moves))
    if verb.name == "own":
        return Read(Assign(context.name))
    return Read(Withdraw() if verb.name == "withdraw" else None)


def _text(verb: Verb, argument: str, context: Context) -> Read:
    if verb.moves is not None:
        return Read(Move(verb.moves), text=argument)
    return Read(Note() if verb.name == "note" else Reply(), text=argument)


def _resolution(verb: Verb, argument: str, context: Context) -> Read:
    """The longest beginning of the line that is a resolution; what follows is text for the reporter."""
    words = argument.split()
    for count in range(min(3, len(words)), 0, -1):
        candidate = "-".join(written.name(word) for word in words[:count])
        resolution = RESOLUTIONS.get(candidate) or _RESOLUTION_ALIASES.get(candidate)
        if resolution is Resolution.DUPLICATE:
            raise Miswritten("a duplicate names what it repeats: write /duplicate REF")
        if resolution is not None:
            return Read(Close(resolution), text=argument.split(maxsplit=count)[count] if len(words) > count else "")
    names = [name for name in RESOLUTIONS if name != "duplicate"]
    raise Miswritten(f"say why: {', '.join(names)}")


def _original(verb: Verb, argument: str, context: Context) -> Read:
    what, _, text = argument.partition(" ")
    plain = written.unlinked(what)
    for reader in (facts.cve_id, facts.url, _reference):
        try:
            return Read(Close(Resolution.DUPLICATE, reader(plain)), text=text.strip())
        except NotAFact:
            continue
    raise Miswritten("name a case of ours (SEC-2026-0001), a CVE id or an address")


def _case(verb: Verb, argument: str, context: Context) -> Read:
    return Read(argument=_reference(argument))


def _reference(text: str) -> str:
    reference = written.plain(text).strip("[].").upper()
    if _REFERENCE.fullmatch(reference) is None or not any(c.isdigit() for c in reference):
        raise NotAFact("a case is named by its reference, as in SEC-2026-0001")
    return reference


def _person(verb: Verb, argument: str, context: Context) -> Read:
    wanted = written.plain(argument).casefold().lstrip("@")
    if written.name(wanted) in _NOBODY:
        return Read(Assign(None))
    if wanted == "me":
        return Read(Assign(context.name))
    whole = [name for name in context.roster if name.casefold() == wanted]
    found = whole or [name for name in context.roster if wanted and wanted in name.casefold().split()]
    if len(found) != 1:
        raise Miswritten(f"name one of {', '.join((*context.roster, 'nobody'))}")
    return Read(Assign(found[0]))


def _fact(fact: Fact) -> Callable[[Verb, str, Context], Read]:
    def reader(verb: Verb, argument: str, context: Context) -> Read:
        prose = fact in (Fact.AFFECTS, Fact.FIXED, Fact.CREDIT)
        return Read(Record(fact, facts.READERS[fact](argument if prose else written.plain(argument))))

    return reader


def _moment(verb: Verb, argument: str, context: Context) -> Read:
    plain = written.plain(argument)
    if written.name(plain) in ("none", "no", "over", "lifted"):
        return Read(Record(Fact.EMBARGO, None))
    return Read(Record(Fact.EMBARGO, facts.moment(plain, context.zone)))


def _version(verb: Verb, argument: str, context: Context) -> Read:
    known = ((Fact.FIXED, facts.version(written.plain(argument))),) if argument else ()
    return Read(Move(_event(verb), known))


def _url(verb: Verb, argument: str, context: Context) -> Read:
    if not argument and verb.takes is Takes.MAYBE_URL:
        return Read(Move(_event(verb)))
    fact = Fact.PATCH if verb.moves is Event.PATCHED else Fact.ADVISORY
    return Read(Move(_event(verb), ((fact, facts.url(written.unlinked(argument))),)))


def _event(verb: Verb) -> Event:
    if verb.moves is None:
        raise ValueError(f"/{verb.name} moves nothing")
    return verb.moves


def _address(verb: Verb, argument: str, context: Context) -> Read:
    listed = read_addresses(written.unlinked(argument).encode("utf-8").decode("latin-1"))
    if not listed.clean or len(listed.addresses) != 1:
        raise Miswritten("write one mail address, as in jane@example.org")
    address = listed.addresses[0].addr_spec
    if verb.name == "second-address":
        return Read(argument=address)  # added once both addresses confirmed
    return Read(Invite(address) if verb.name == "invite" else Remove(address), address)


def _message(verb: Verb, argument: str, context: Context) -> Read:
    if not argument and verb.takes is Takes.MAYBE_MESSAGE:
        if not context.on_case:
            raise Miswritten("name the message of the digest, as in /spam M-14")
        return Read(Close(Resolution.SPAM))
    found = _MESSAGE.fullmatch(written.plain(argument).upper())
    if found is None:
        raise Miswritten("a message is named as the digest names it, as in M-12")
    return Read(argument=found[1])


_READERS: dict[Takes, Callable[[Verb, str, Context], Read]] = {
    Takes.NOTHING: _nothing,
    Takes.TEXT: _text,
    Takes.RESOLUTION: _resolution,
    Takes.ORIGINAL: _original,
    Takes.CASE: _case,
    Takes.PERSON: _person,
    Takes.VECTOR: _fact(Fact.SEVERITY),
    Takes.CVE: _fact(Fact.CVE),
    Takes.RANGE: _fact(Fact.AFFECTS),
    Takes.VERSIONS: _fact(Fact.FIXED),
    Takes.MAYBE_VERSION: _version,
    Takes.URL: _url,
    Takes.MAYBE_URL: _url,
    Takes.CREDIT: _fact(Fact.CREDIT),
    Takes.MOMENT: _moment,
    Takes.ADDRESS: _address,
    Takes.MESSAGE: _message,
    Takes.MAYBE_MESSAGE: _message,
}
