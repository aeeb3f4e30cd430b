"""Text from mail made harmless for a terminal, a notice or a log of people."""

from __future__ import annotations

import re
import unicodedata

# Cc: control; Cf: format (bidi overrides and isolates, zero-width characters); Cs: surrogates; Co/Cn: unassigned.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What any terminal or editor takes for the end of a line (str.splitlines), so that words on both sides stay apart.
_LINE_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def harmless(text: str, *, keep_newlines: bool = False) -> str:
    """`text` without control, escape, bidi, surrogate and unassigned characters; tabs become blanks.

    With `keep_newlines` LF stays (CRLF and CR become LF), else every line break becomes one blank. Idempotent.
    """
    text = _LINE_BREAKS.sub("\n", text).replace("\t", "    ")
    if not keep_newlines:
        text = text.replace("\n", " ")
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    # U+200D and U+200C join letters in several scripts and emoji; they cannot reorder text, so they stay.
    return "".join(c for c in text if c == "\n" or c in "\u200c\u200d" or unicodedata.category(c) not in _FORBIDDEN)


def shorten(text: str, limit_chars: int) -> str:
    """`text` cut to at most `limit_chars` characters, an ellipsis at the end where something was cut."""
    return text if len(text) <= limit_chars else text[: max(limit_chars - 1, 0)] + "…"
