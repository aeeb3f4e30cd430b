"""Lines of commands as clients and phones mangle them, made plain again.

What is undone on purpose: blanks of all kinds before and within a line, invisible characters, the slash and the letters
of an East Asian keyboard, the marks that bold and code leave in plain text, capitals and full stops of autocorrection,
long dashes, curly quotes, the doubled target of a link. Nothing is guessed: what is still unknown then is an error.
"""

from __future__ import annotations

import re
import unicodedata

from mailbox_service.core.display import UNSHOWN

LINE_CHARS = 1_000  # a command with a whole CVSS vector or a long credit takes 300

# FULLWIDTH SOLIDUS, FRACTION SLASH, DIVISION SLASH, BIG SOLIDUS
_SLASHES = ("/", "／", "⁄", "∕", "⧸")
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣－"), "-")
_QUOTES = dict.fromkeys(map(ord, "‘’‚‛′"), "'") | dict.fromkeys(map(ord, "“”„‟″«»"), '"')
_MARKS = "*_`"
_BLANKS = re.compile(r"\s+")


def cleaned(line: str) -> str:
    """A line with plain blanks, without invisible characters, and a plain slash where it begins with one."""
    line = _BLANKS.sub(" ", line[: LINE_CHARS + 1].translate(UNSHOWN)).strip()
    bare = line.lstrip(_MARKS + " ")
    if bare.startswith(_SLASHES):
        if bare != line:
            bare = bare.rstrip(_MARKS + " ")
        return "/" + bare[1:].lstrip()
    return line


def plain(text: str) -> str:
    """An argument that is no prose, in plain characters: letters, digits, dashes and quotes of a keyboard."""
    return unicodedata.normalize("NFKC", text.translate(_DASHES).translate(_QUOTES)).strip(f"{_MARKS} ")


def name(word: str) -> str:
    """A word as a name of the grammar: `Needs_Info.` is `needs-info`."""
    return plain(word).casefold().strip(f"{_MARKS}.,;:!").replace("_", "-")


def unlinked(text: str) -> str:
    """An address that a client made a link of, once: `a@b.example<mailto:a@b.example>`, `https://x <https://x>`."""
    text = plain(text)
    shown, opened, target = text.partition("<")
    if not opened or not target.endswith(">"):
        return text
    shown, target = shown.strip(), target[:-1].removeprefix("mailto:")
    if not shown:
        return target
    return shown if shown.rstrip("/") == target.rstrip("/") else text
