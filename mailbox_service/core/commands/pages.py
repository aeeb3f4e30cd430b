"""The grammar as tables, for docs/maintainers.md and docs/reporters.md and for the answer to /help."""

from __future__ import annotations

from mailbox_service.core.case import Party
from mailbox_service.core.commands.arguments import RESOLUTIONS
from mailbox_service.core.commands.verbs import VERBS, Place, TextFor, Verb, Weight

_PROOF = {Weight.READ: "read", Weight.NOTE: "note", Weight.REVERSIBLE: "change", Weight.IRREVERSIBLE: "**final**"}


def table(party: Party) -> str:
    """The commands of maintainers or of reporters, as Markdown."""
    wide = party is Party.MAINTAINER
    head = ("write", "what it does", "text below it goes to", "kind") if wide else ("write", "what it does")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for verb in _of(party):
        cells = [f"`{verb.usage}`", _summary(verb)]
        if wide:
            cells += [_text(verb), _PROOF[verb.weight]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def resolutions() -> str:
    """The words that `/close` takes, as one line of Markdown."""
    return ", ".join(f"`{name}`" for name in RESOLUTIONS if name != "duplicate")


def help_lines(party: Party, *, on_case: bool = True) -> tuple[tuple[str, str], ...]:
    """What `/help` answers: how each command is written, and what it does."""
    places = {Place.ANY, Place.CASE if on_case else Place.DIGEST}
    return tuple((verb.usage, verb.summary) for verb in _of(party) if verb.place in places)


def _of(party: Party) -> list[Verb]:
    return [verb for verb in VERBS if party in verb.who]


def _summary(verb: Verb) -> str:
    return f"{verb.summary} (in an answer to a digest)" if verb.place is Place.DIGEST else verb.summary


def _text(verb: Verb) -> str:
    if verb.text_for is None:
        return ""
    return verb.text_for.value + (" (required)" if verb.text_required and verb.text_for is TextFor.REPORTER else "")
