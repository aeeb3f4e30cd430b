"""The transition table as a diagram and as lists, for docs/stages.md."""

from __future__ import annotations

from collections.abc import Iterator

from mailbox_service.core.case.stages import (
    CLOSING_MAIL,
    COMMANDS,
    MOVES,
    REPORTER_COMMANDS,
    TABLE,
    Event,
    Mail,
    Party,
    Resolution,
    Stage,
    spoken,
)

_MEANING = {
    Stage.RECEIVED: "on file, nobody has looked yet",
    Stage.REVIEWING: "somebody looks into it",
    Stage.NEEDS_INFO: "the reporter was asked something",
    Stage.REPRODUCED: "the report is true",
    Stage.PATCHED: "a fix is there, and the reporter can try it",
    Stage.FIX_VERIFIED: "the fix holds",
    Stage.RELEASED: "the fixed version is out",
    Stage.PUBLISHED: "the advisory is out",
    Stage.CLOSED: "done, with a resolution",
}
# The usual way; the diagram shows the rest with thin lines, so that it can be read.
_USUAL = (
    (Stage.RECEIVED, Event.REVIEWING),
    (Stage.REVIEWING, Event.INFO_REQUESTED),
    (Stage.NEEDS_INFO, Event.INFO_GIVEN),
    (Stage.REVIEWING, Event.REPRODUCED),
    (Stage.REPRODUCED, Event.PATCHED),
    (Stage.PATCHED, Event.FIX_VERIFIED),
    (Stage.PATCHED, Event.FIX_FAILED),
    (Stage.FIX_VERIFIED, Event.RELEASED),
    (Stage.RELEASED, Event.PUBLISHED),
    (Stage.PUBLISHED, Event.CLOSED),
    (Stage.CLOSED, Event.REOPENED),
)


def diagram() -> str:
    """The usual way through the stages, as Mermaid draws it."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Stage.RECEIVED}"]
    lines += [f"    {stage} --> {TABLE[stage][event].to}: {spoken(event)}" for stage, event in _USUAL]
    return "\n".join([*lines, "```"])


def matrix() -> str:
    """Every stage and every move: where it leads, or nothing where it is refused."""
    moves = [event for event in Event if event in MOVES]
    lines = [f"| in | {' | '.join(spoken(event) for event in moves)} |", f"|{' --- |' * (len(moves) + 1)}"]
    for stage, row in TABLE.items():
        cells = [spoken(row[event].to) if event in row else "" for event in moves]
        lines.append(f"| **{spoken(stage)}** | {' | '.join(cells)} |")
    return "\n".join(lines)


def stages() -> str:
    """What each stage means."""
    return _table(("stage", "means"), ((f"`{stage}`", meaning) for stage, meaning in _MEANING.items()))


def moves() -> str:
    """Who causes each move, with what, and which mail the reporter gets."""
    return _table(("move", "by", "the reporter gets"), _moves())


def resolutions() -> str:
    """Each resolution with its mail."""
    return _table(
        ("resolution", "the reporter gets"),
        ((f"`{name.value.replace('_', '-')}`", _mail(CLOSING_MAIL[name], "no mail")) for name in Resolution),
    )


def _moves() -> Iterator[tuple[str, ...]]:
    for event in (event for event in Event if event in MOVES):
        found = [row[event] for row in TABLE.values() if event in row]
        parties = frozenset[Party]().union(*(transition.by for transition in found))
        ways = {
            Party.MAINTAINER: f"a maintainer, `{COMMANDS.get(event)}`",
            Party.REPORTER: f"the reporter, {_written(event)}",
            Party.SERVICE: "the service, when questions stay unanswered",
        }
        by = "; ".join(ways[party] for party in Party if party in parties)
        yield spoken(event), by, _mail(found[0].mail, "what the resolution says, below")


def _written(event: Event) -> str:
    command = REPORTER_COMMANDS.get(event)
    return f"`{command}`" if command is not None else "who answers"


def _mail(mail: Mail | None, none: str) -> str:
    return none if mail is None else f"*{spoken(mail)}*"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
