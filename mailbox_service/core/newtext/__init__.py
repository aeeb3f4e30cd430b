"""The newly written text of a mail, apart from quotes, signatures and what programs write around them.

One pass over the lines, none looking further ahead than some lines, so the cost grows with the text and no faster.
What cannot be told for sure is kept and named in `doubts`: a reply with doubts is shown to its writer first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailbox_service.core.newtext import lines as rules
from mailbox_service.core.newtext.lines import Kind

LINES = 50_000  # of a body; 1 MiB of prose has half as many
_SIGNATURE_LINES = 12  # longer than any signature: perhaps the delimiter was part of the text
_ECHO_CHARS = 25  # shorter lines repeat by chance
_ECHO_WORDS = 8  # so many in a row do not, wherever a client has wrapped them


class Doubt(StrEnum):
    """Why the division may be wrong."""

    UNMARKED_QUOTE = "unmarked_quote"  # the mail begins with an attribution, and nothing below is marked as a quote
    WRAPPED_QUOTE = "wrapped_quote"  # a line between quoted ones, perhaps the end of one of them
    LONG_SIGNATURE = "long_signature"  # much text stands below the delimiter
    FORWARDED = "forwarded"  # nothing but what somebody else wrote
    TOO_LONG = "too_long"  # only the first `LINES` were looked at, the rest is left out
    MARKER = "marker"  # text of ours stands in what seems new


@dataclass(frozen=True, slots=True)
class NewText:
    """What a person wrote newly. The full text stays with the caller.

    `text` has neither quotes nor signatures nor attributions. Its first `head_lines` lines stand at the very top, above
    the first quote, delimiter or header block: commands are read there and nowhere else.
    """

    text: str
    head_lines: int
    signature: str = ""
    doubts: frozenset[Doubt] = frozenset()


def newly_written(body: str, markers: Sequence[str] = ()) -> NewText:
    """The new text of a plain-text body.

    `markers` are lines that only our own mails have (their foot); what stands below one was not written now.
    """
    lines = rules.split(body)
    doubts: set[Doubt] = {Doubt.TOO_LONG} if len(lines) > LINES else set()
    del lines[LINES:]
    kinds = rules.kinds_of(lines)
    _cut_at_markers(lines, kinds, markers, doubts)
    if rules.begins_unmarked(lines, kinds):
        doubts.add(Doubt.UNMARKED_QUOTE)
    if _wrapped(lines, kinds):
        doubts.add(Doubt.WRAPPED_QUOTE)
    signature = [line for line, kind in zip(lines, kinds, strict=True) if kind is Kind.SIGNATURE]
    if sum(1 for line in signature if line.strip()) > _SIGNATURE_LINES:
        doubts.add(Doubt.LONG_SIGNATURE)
    kept, head_lines = _kept(lines, kinds)
    if not kept and Kind.FOREIGN in kinds:
        doubts.add(Doubt.FORWARDED)
    return NewText("\n".join(kept), head_lines, "\n".join(signature).strip("\n"), frozenset(doubts))


def _cut_at_markers(lines: list[str], kinds: list[Kind], markers: Sequence[str], doubts: set[Doubt]) -> None:
    wanted = tuple(marker.strip() for marker in markers if marker.strip())
    if not wanted:
        return
    for at, line in enumerate(lines):
        if any(marker in line for marker in wanted):
            if kinds[at] is Kind.NEW:
                doubts.add(Doubt.MARKER)
                kinds[at:] = [Kind.FOREIGN] * (len(lines) - at)
            return


def _wrapped(lines: list[str], kinds: list[Kind]) -> bool:
    return any(
        kind is Kind.NEW and line.strip() and before is after is Kind.QUOTE
        for before, kind, after, line in zip(kinds, kinds[1:], kinds[2:], lines[1:], strict=False)
    )


def _kept(lines: list[str], kinds: list[Kind]) -> tuple[list[str], int]:
    """The new lines without blank ones around them, and how many of them stand at the top."""
    kept: list[str] = []
    head_lines: int | None = None
    apart = False
    for line, kind in zip(lines, kinds, strict=True):
        if kind is not Kind.NEW:
            if head_lines is None:
                head_lines = max((at for at, text in enumerate(kept, 1) if text), default=0)
            apart = True
        elif line.strip() or (kept and not apart):
            # Two pieces stay two paragraphs.
            while apart and kept and not kept[-1]:
                kept.pop()
            if apart and kept:
                kept.append("")
            kept.append(line.rstrip())
            apart = False
    while kept and not kept[-1].strip():
        kept.pop()
    return kept, min(len(kept), len(kept) if head_lines is None else head_lines)


# --- what goes to a reporter ----------------------------------------------------------------------------------------


def anonymous(text: str, names: Iterable[str]) -> tuple[str, bool]:
    """`text` without the closing lines that name its writer, and whether it names them elsewhere all the same.

    `names` are the writer's name and address; "Best regards," goes with the name below it.
    """
    wanted = {name.casefold() for name in names if name.strip()}
    wanted |= {name.split()[0] for name in wanted if " " in name}
    kept = text.split("\n")
    for _ in range(4):  # a name, a role, an address, a greeting
        last = kept[-1].strip().casefold().strip("-–—/*_,.! ") if kept else ""
        if last in wanted:
            kept.pop()
            while kept and not kept[-1].strip():
                kept.pop()
            # "Thanks." alone above a name is the whole message.
            if any(line.strip() for line in kept[:-1]) and rules.is_closing(kept[-1]):
                kept.pop()
            while kept and not kept[-1].strip():
                kept.pop()
    left = "\n".join(kept)
    return left, names_any(left, wanted)


def names_any(text: str, names: Iterable[str]) -> bool:
    """Whether one of `names` stands in `text`, as whole words in any case."""
    folded = rules.words_of(text)
    return any(f" {' '.join(name.casefold().split())} " in folded for name in names if name.strip())


def echoes(text: str, sent: str) -> int:
    """How many lines of `text` stand word for word in `sent`: what a client quoted without a mark.

    Words in a row count as a line where the client wrapped them anew. For a reply to a reporter `sent` is the internal
    mail that it answers; a reply with any is shown to its writer.
    """
    known = {" ".join(line.split()).strip("> ") for line in sent.split("\n")}
    new = (" ".join(line.split()).strip("> ") for line in text.split("\n"))
    lines = sum(1 for line in new if len(line) >= _ECHO_CHARS and line in known)
    return lines or len(_rows_of(text) & _rows_of(sent))


def _rows_of(text: str) -> set[tuple[str, ...]]:
    words = rules.words_of(text).split()
    return {tuple(words[at : at + _ECHO_WORDS]) for at in range(len(words) - _ECHO_WORDS + 1)}
