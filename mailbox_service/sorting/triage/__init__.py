"""Triage hints: what a maintainer may want to know of a new case before reading it. Hints, never verdicts.

They change nothing about what becomes of a message, and no reporter ever sees them. Of the mail's own words a hint
repeats none: it is made of our phrases, of names in our tables, and of severity vectors spelled anew. Where a language
is not known nothing is said about what a report lacks, since a wrong hint is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailbox_service.sorting import Sortable
from mailbox_service.sorting.triage.details import Details, look_into
from mailbox_service.sorting.triage.severity import severities
from mailbox_service.sorting.triage.sketches import sketch
from mailbox_service.sorting.triage.vocabulary import ASPECTS

# The beginning of a mail says what it is about; the work for a mail of any size ends here.
TEXT_LIMIT_CHARS: Final = 20_000
SEVERITIES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing to know. `kind`: lacks, bounty, scanner, severity, ai or duplicate."""

    kind: str
    text: str  # a clause of ours, one line


@dataclass(frozen=True, slots=True)
class Triage:
    """What a mail says by itself, and what it is compared by."""

    hints: tuple[Hint, ...] = ()
    sketch: bytes = b""  # of its text (triage/sketches.py); empty where there is none


NOTHING: Final = Triage()


def triage(mail: Sortable, *, asks_about_ai: bool = False) -> Triage:
    """The hints about `mail` and its sketch. Encrypted mail has neither. Total.

    `asks_about_ai`: the project's policy asks reporters to say whether they used AI.
    """
    if mail.encrypted:
        return NOTHING
    text = "\n".join((mail.subject, *mail.texts))[:TEXT_LIMIT_CHARS]
    details = look_into(
        text, has_files=bool(mail.filenames), unread=mail.opaque_attachments, asks_about_ai=asks_about_ai
    )
    hints = [*_lacking(details), *_bounty(details), *_scanner(details)]
    hints += [Hint("severity", found) for found in severities(text)[:SEVERITIES_SHOWN]]
    if asks_about_ai:
        hints += _ai(details)
    return Triage(tuple(hints), sketch(text))


def _lacking(details: Details) -> list[Hint]:
    named = [name for aspect, name in ASPECTS.items() if aspect in details.lacking]
    return [Hint("lacks", f"seems to lack {_listed(named)}")] if named else []


def _bounty(details: Details) -> list[Hint]:
    if not details.asks_for_money:
        return []
    empty = {"steps", "proof"} <= details.lacking
    return [Hint("bounty", "speaks of a reward" + (" and seems to give no details" if empty else ""))]


def _scanner(details: Details) -> list[Hint]:
    if details.scanners:
        return [Hint("scanner", f"names a scanner ({', '.join(details.scanners)})")]
    return [Hint("scanner", "reads like the findings of a scanner")] if details.like_a_scanner else []


def _ai(details: Details) -> list[Hint]:
    if details.ai_denied:
        return [Hint("ai", "says that no AI was used")]
    if details.ai_told:
        return [Hint("ai", "says something about the use of AI")]
    marks = "bears marks of a language model and " if details.ai_marks else ""
    return [Hint("ai", f"{marks}does not say whether AI was used, which the policy asks for")]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
