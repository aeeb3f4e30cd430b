"""Text from mail made harmless for a terminal, a notice or a log of people."""

from __future__ import annotations

import re
import unicodedata

# Cc: control; Cf: format (bidi overrides and isolates, zero-width characters); Cs: surrogates; Co/Cn: unassigned.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Characters of other categories that show nothing and can carry hidden text: fillers, selectors of variants (but not
# the two of emoji, U+FE0E and U+FE0F).
_INVISIBLE = frozenset(
    map(
        chr,
        [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE0E)],
    )
) | frozenset(map(chr, range(0xE0100, 0xE01F0)))
# Marks above and below one letter: no language needs more than four, and a heap of them covers the lines around it.
_MARKS = frozenset({"Mn", "Me"})
_MARKS_IN_A_ROW = 8
# What mail programs leave in a text without showing it, for `str.translate`: zero-width characters, marks of direction,
# the byte order mark, the soft hyphen.
UNSHOWN = dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF, 0xAD])
# What any terminal or editor takes for the end of a line (str.splitlines), so that words on both sides stay apart.
_LINE_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def harmless(text: str, *, keep_newlines: bool = False) -> str:
    """`text` without control, escape, bidi, invisible, surrogate and unassigned characters; tabs become blanks.

    With `keep_newlines` LF stays (CRLF and CR become LF), else every line break becomes one blank. Idempotent.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_BREAKS.sub("\n", text).replace("\t", "    ")
    if not keep_newlines:
        text = text.replace("\n", " ")
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        # U+200D and U+200C join letters in several scripts and emoji; they cannot reorder text, so they stay.
        if character in "\n\u200c\u200d":
            marks = 0
        elif category in _FORBIDDEN or character in _INVISIBLE:
            continue
        else:
            marks = marks + 1 if category in _MARKS else 0
        if marks <= _MARKS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)


def shorten(text: str, limit_chars: int) -> str:
    """`text` cut to at most `limit_chars` characters, an ellipsis at the end where something was cut."""
    return text if len(text) <= limit_chars else text[: max(limit_chars - 1, 0)] + "…"
