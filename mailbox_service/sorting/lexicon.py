"""The lexicon: which concepts a word, a phrase or a stretch of unspaced script stands for. Its tables are in `words/`.

A *concept* is what a plain sentence is made of in any language ("somebody else", "see", "without"), a class of terms
("term_strong", "purpose"), or the shape of a word. Concepts are bits of an integer, so that those of a sentence are
put together by `|`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

# Characters that are not seen but split words: soft hyphen, zero-width, bidirectional controls, variation selectors.
_UNSEEN: Final = re.compile(r"[\u00ad\u034f\u061c\u180e\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f]+")
WORD: Final = re.compile(r"\w+")
# A stem is found by its first letters; every stem of the tables is at least this long.
STEM_KEY: Final = 3
# The lowest bit says that the word may begin a phrase; concepts begin above it.
BEGINS_PHRASE: Final = 1
# A hash, a key, a token: so long that no language has such a word of letters and digits.
_HASH_CHARS: Final = 20
_SHAPES: Final = ("shape_address", "shape_identifier", "shape_hash")


class Phrase(NamedTuple):
    """Words that must follow the first one; a word with True matches every word that begins with it."""

    rest: tuple[tuple[str, bool], ...]
    mask: int


Phrases = dict[str, tuple[Phrase, ...]]  # by the first letters of the second word


def normalise(text: str) -> str:
    """`text` as it is compared: compatibility forms unified, invisible characters gone, case folded (Unicode NFKC)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()


def sections(name: str) -> Iterator[tuple[str, str]]:
    """The sections `[name]` of a table in `words/`, each with its text."""
    text = (files("mailbox_service.sorting") / "words" / f"{name}.txt").read_text("utf-8")
    for section in text.split("\n[")[1:]:
        title, _, content = section.partition("]\n")
        yield title, content.rstrip("\n")


class _Entry:
    __slots__ = ("mask", "phrases")

    def __init__(self) -> None:
        self.mask = 0
        self.phrases: Phrases = {}


class Lexicon:
    """The tables in the form that is walked: dictionaries from a word, or from the first letters of a stem."""

    def __init__(self) -> None:
        self._words: dict[str, _Entry] = {}
        self._stems: dict[str, list[tuple[str, _Entry]]] = {}
        self.unspaced: dict[str, list[tuple[str, int]]] = {}  # by their first two letters
        self.bits: dict[str, int] = {}
        for table, separator in (("ideas", None), ("terms", "|")):
            for concept, content in sections(table):
                bit = self._bit(concept)
                for entry in content.replace("\n", separator or " ").split(separator):
                    self._add(normalise(entry.replace("_", " ")), bit)
        for concept, content in sections("unspaced"):
            bit = self._bit(concept)
            for literal in map(normalise, content.replace("\n", "|").split("|")):
                self.unspaced.setdefault(literal[:2], []).append((literal, bit))
        for shape in _SHAPES:
            self._bit(shape)
        self.concepts: tuple[str, ...] = tuple(self.bits)

    def _bit(self, concept: str) -> int:
        return self.bits.setdefault(concept, 2 << len(self.bits))

    def names(self, mask: int) -> list[str]:
        """The concepts in `mask`, in the order of the tables."""
        return [concept for concept, bit in self.bits.items() if mask & bit]

    def _add(self, entry: str, bit: int) -> None:
        parts = [(part, word.endswith("*")) for word in entry.split() for part in WORD.findall(word)]
        if not parts:
            return
        (first, stem), rest = parts[0], tuple(parts[1:])
        target = self._stem(first) if stem else self._words.setdefault(first, _Entry())
        if rest:
            key = rest[0][0][:STEM_KEY]
            target.phrases[key] = (*target.phrases.get(key, ()), Phrase(rest, bit))
            target.mask |= BEGINS_PHRASE
        else:
            target.mask |= bit

    def _stem(self, stem: str) -> _Entry:
        if len(stem) < STEM_KEY:
            raise ValueError(f"stem {stem!r} is too short")
        known = self._stems.setdefault(stem[:STEM_KEY], [])
        for other, entry in known:
            if other == stem:
                return entry
        known.append((stem, _Entry()))
        return known[-1][1]

    def _entries(self, word: str) -> Iterator[_Entry]:
        entry = self._words.get(word)
        if entry is not None:
            yield entry
        for stem, entry in self._stems.get(word[:STEM_KEY], ()):
            if word.startswith(stem):
                yield entry

    def mask(self, word: str) -> int:
        """The concepts of `word` as it stands, by every stem it begins with, and by its shape."""
        mask = 0
        for entry in self._entries(word):
            mask |= entry.mask
        if not mask and not word.isalpha():
            mask = self._shape(word)
        return mask

    def _shape(self, word: str) -> int:
        if word.startswith("0x"):
            return self.bits["shape_address"]
        if len(word) >= _HASH_CHARS and not word.isdecimal():
            return self.bits["shape_hash"]
        if "_" in word.strip("_") and any(map(str.isalpha, word)):
            return self.bits["shape_identifier"]
        return 0

    def phrases(self, word: str) -> Phrases:
        """The phrases that may begin with `word`."""
        found: Phrases = {}
        for entry in self._entries(word):
            for key, phrases in entry.phrases.items():
                found[key] = found.get(key, ()) + phrases
        return found


@cache
def lexicon() -> Lexicon:
    """The tables, read when they are first wanted."""
    return Lexicon()


@cache
def signals() -> dict[str, tuple[tuple[str, str], ...]]:
    """Literals and the signals they are, by a word that the text then holds; by "" where there is none."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for signal, content in sections("signals"):
        for line in filter(None, content.split("\n")):
            word, _, literal = line.partition("\t")
            word = "" if word == "*" else word
            found[word] = (*found.get(word, ()), (literal.replace("\\n", "\n"), signal))
    return found


@cache
def languages() -> tuple[frozenset[str], frozenset[str]]:
    """The commonest short words: of the languages the lexicon knows, and of those it knows little of."""
    tables = dict(sections("languages"))
    known = {normalise(word) for name, text in tables.items() if name != "other" for word in text.split()}
    return frozenset(known), frozenset({normalise(word) for word in tables["other"].split()} - known)
