"""What the person hears who wrote to us: what was done, why nothing was, or what they asked to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mailbox_service.core.case import Facts, Party, Refused
from mailbox_service.core.commands.pages import help_lines
from mailbox_service.services.conversation import contexts
from mailbox_service.services.conversation.casework import Work
from mailbox_service.services.conversation.letters import Letters
from mailbox_service.services.conversation.requests import Request
from mailbox_service.services.conversation.sealed import in_full
from mailbox_service.services.conversation.turn import Turn
from mailbox_service.services.mailboxes import clean
from mailbox_service.services.ports import CaseRecord

# Commands that change nothing and are answered with what they ask to see.
LOOKING = frozenset({"status", "list", "help"})
LISTED_CASES = 100


def done(turn: Turn, letters: Letters, work: Work, request: Request, sent: Sequence[str]) -> None:
    """One short confirmation: what changed, what went to whom, what is next."""
    record, misplaced = work.record, request.commands.misplaced
    shown = {"misplaced": contexts.command_lines(record, misplaced)}
    context = _what_was_done(turn, letters, work, record, sent) | shown
    whole = _what_was_done(turn, letters, work, replace(record, sealed=False), [*sent, *letters.unserved])
    context |= in_full(turn, letters.mailbox, whole, ["misplaced"] if misplaced else [])
    _to_speaker(turn, letters, record, "done", context)


def _what_was_done(
    turn: Turn, letters: Letters, work: Work, record: CaseRecord, sent: Sequence[str]
) -> dict[str, object]:
    context = contexts.for_maintainers(
        record,
        letters.mailbox,
        who=turn.speaker.name,
        what=[contexts.described(entry) for entry in work.entries],
        sent=sent,
    )
    if turn.speaker.party is not Party.MAINTAINER:
        context |= {"next": [], "due": [], "owner": "", "unsure": False}
    return context | {"party": _party(turn)}


def waits(turn: Turn, letters: Letters, names: Sequence[str]) -> None:
    """Whoever signed what cannot be undone hears who else has to."""
    what = [clean(f"asked {' or '.join(names)} to confirm it; nothing is changed before that", 600)]
    context = contexts.for_maintainers(turn.record, letters.mailbox, who=turn.speaker.name)
    # Nothing of the content is in it, so that it is said of a sealed case too.
    context |= {"what": what, "misplaced": [], "party": _party(turn)}
    _to_speaker(turn, letters, turn.record, "done", context)


def refused(turn: Turn, letters: Letters, lines: Sequence[str], why: Refused | str) -> None:
    """Nothing was changed, and why."""
    inside = turn.speaker.party is Party.MAINTAINER
    if isinstance(why, Refused):
        # A reporter hears nothing of who did what, and of a sealed case nobody does in clear.
        full, outer = (str(why) if inside else why.outside), why.outside
    else:
        full = outer = why
    shown = outer if turn.record.sealed else full
    _refusal(turn, letters, lines, [shown], {"errors": [clean(full, 600)]}, ["lines"] if lines else [])


def misread(turn: Turn, letters: Letters, errors: Sequence[str]) -> None:
    """Nothing was done, and how each line is written right."""
    # Each begins with the line that is wrong, and what stands in that of a sealed case is content.
    shown = [error.partition(": ")[2] or error for error in errors] if turn.record.sealed else errors
    _refusal(turn, letters, [], shown, {}, ["errors"])


def _refusal(
    turn: Turn,
    letters: Letters,
    lines: Sequence[str],
    errors: Sequence[str],
    whole: dict[str, object],
    read_again: Sequence[str],
) -> None:
    record = turn.record
    maintainer = turn.speaker.party is Party.MAINTAINER
    context = letters.mailbox.identity() | {
        "reference": record.state.ref,
        "unsure": record.unsure and maintainer,
        "party": _party(turn),
        "errors": [clean(error, 600) for error in errors],
        "lines": contexts.command_lines(record, lines),
        "next": contexts.next_lines(record.state) if maintainer else [],
    }
    context |= in_full(turn, letters.mailbox, whole, read_again)
    _to_speaker(turn, letters, record, "refused", context)


def kept_internal(turn: Turn, letters: Letters, record: CaseRecord, text: str) -> None:
    """The note stayed inside while the reporter waits; said once to each maintainer in the life of a case."""
    told = partial(contexts.for_maintainers, who=turn.speaker.name, text_for="the maintainers")
    context = told(record, letters.mailbox, text=text)
    whole = told(replace(record, sealed=False), letters.mailbox)
    context |= in_full(turn, letters.mailbox, whole, ["text"])
    _to_speaker(turn, letters, record, "kept_internal", context, cause=f"case:{record.state.ref}/kept_internal")


def looked(turn: Turn, letters: Letters, name: str) -> None:
    """/status, /list, /help: to the registered address, and nothing else happens."""
    match name:
        case "status":
            _status(turn, letters)
        case "list":
            _list(turn, letters)
        case _:
            _help(turn, letters)


def _status(turn: Turn, letters: Letters) -> None:
    record, mailbox = turn.record, letters.mailbox
    whole = _standing(turn, letters, record)
    if not record.sealed:
        _to_speaker(turn, letters, record, "case_status", whole)
        return
    within = in_full(turn, mailbox, whole)
    if turn.speaker.party is Party.MAINTAINER:
        bare = replace(record, state=replace(record.state, facts=Facts()))
        _to_speaker(turn, letters, record, "case_status", _standing(turn, letters, bare) | within)
        return
    within |= {"within_template": "case_status"} if within else {}
    _to_speaker(turn, letters, record, "sealed_news", mailbox.identity() | {"reference": record.state.ref} | within)


def _standing(turn: Turn, letters: Letters, record: CaseRecord) -> dict[str, object]:
    maintainer = turn.speaker.party is Party.MAINTAINER
    return contexts.for_reporter(record, letters.mailbox, letters.now) | {
        "party": _party(turn),
        "owner": (record.state.owner or "") if maintainer else "",
        "due": contexts.due_lines(record.state, letters.mailbox) if maintainer else [],
        "next": contexts.next_lines(record.state) if maintainer else [],
        "unsure": record.unsure and maintainer,
    }


def _list(turn: Turn, letters: Letters) -> None:
    """Own cases first, then those without an owner, then the rest."""
    cases = letters.tx.open_cases_of(letters.mailbox.name)
    order = {turn.speaker.name: 0, None: 1}
    cases.sort(key=lambda record: order.get(record.state.owner, 2))
    context = letters.mailbox.identity() | {
        "cases": [contexts.listed(record, letters.mailbox) for record in cases[:LISTED_CASES]]
    }
    _to_speaker(turn, letters, turn.record, "case_list", context)


def _help(turn: Turn, letters: Letters) -> None:
    party = turn.speaker.party or Party.REPORTER
    context = letters.mailbox.identity() | {
        "reference": turn.record.state.ref,
        "unsure": turn.record.unsure and party is Party.MAINTAINER,
        "party": _party(turn),
        "commands": [
            {"usage": usage, "summary": summary.replace("`", ""), "example": ""} for usage, summary in help_lines(party)
        ],
    }
    _to_speaker(turn, letters, turn.record, "help", context)


def _party(turn: Turn) -> str:
    return contexts.party_of(turn.speaker.role)


def _to_speaker(
    turn: Turn, letters: Letters, record: CaseRecord, kind: str, context: dict[str, object], *, cause: str | None = None
) -> None:
    letters.to_person(record, kind, turn.speaker.address, turn.speaker.role, context, cause=cause)
