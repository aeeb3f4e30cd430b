"""What the model weighs in a mail: its distinct words, and marks - all that the hand-made tables find in it.

A mark's name is our own text: `security: phrase "path traversal"` (a term of the tables), `idea: see` and `ideas: other
+ see` (in one sentence). Training and use read mails through here, so that both see the same.
"""

from __future__ import annotations

import re
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Final, NamedTuple

from mailbox_service.sorting import Sortable
from mailbox_service.sorting.reading import Reading, filename_hits, signals_in
from mailbox_service.sorting.tables import Hit, Lexicon, lexicon

# Runs of letters: what inflected forms of a word, and its relatives in other languages, have in common.
RUN_CHARS: Final = (3, 4, 5)
RUN_WORD_CHARS: Final = 30
RUN_BUCKETS: Final = 1 << 15
# A word counts less the more words there are, so that length alone says nothing.
_WORDS_SCALE: Final = 5.0
_WORDS_LEAST: Final = 10
# A part of a mail is weighed by itself if it has as many words as this.
PART_WORDS: Final = 8
_MEMO_LIMIT: Final = 4096
_RUN_PLACES: Final = [
    [(size, start) for size in RUN_CHARS for start in range(length - size + 1)] for length in range(RUN_WORD_CHARS + 3)
]
# The words that hold English sentences together, and hardly those of another language.
_ENGLISH_WORDS: Final = """
    the and to of in is it that for on with this i you we my be are have not but from was can at when if or your me so
    as do they an there after our no by any all just still which what how does would could has will only
"""
_ENGLISH: Final = frozenset(_ENGLISH_WORDS.split())
# Measured: 997 of 1,000 English mails have as many of them, and 5 of 1,000 others.
_ENGLISH_SHARE: Final = 0.1
# Who asks for help asks; who reports says. Marks of a part, and of the whole mail; what is quoted was asked by others.
ASKS: Final = "form: a question"
ASKS_TWICE: Final = "form: several questions"
ASKS_MUCH: Final = "form: many questions"
ASKS_AT_END: Final = "form: a question at the end"
MANY_QUESTIONS: Final = 3
END_PIECES: Final = 3  # a greeting and a signature follow the last question
_RUNS_TOGETHER: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff]")


class Part(NamedTuple):
    """A stretch of a mail, or all of it."""

    words: set[str]  # distinct; two letters each where words run together
    marks: set[str]


@dataclass(frozen=True, slots=True)
class Look:
    """A mail as the model sees it."""

    whole: Part
    parts: list[Part]  # paragraphs, long ones cut, each once; none where there is only one
    reading: Reading
    written: Part  # the whole without what is quoted; the very same where nothing is, or hardly anything else


def scale(words: int) -> float:
    """What one of so many distinct words counts."""
    return _WORDS_SCALE / sqrt(max(words, _WORDS_LEAST))


def runs(word: str) -> list[int]:
    """The buckets of the runs of three to five letters in a word whose beginning and end are marked."""
    marked = f"<{word[:RUN_WORD_CHARS]}>"
    if marked.isascii():
        # The same, for the many words that are: lines of base64 are never met twice, and cost the most.
        data = marked.encode()
        return [crc32(data[start : start + size]) % RUN_BUCKETS for size, start in _RUN_PLACES[len(data)]]
    found = [marked[start : start + size] for size in RUN_CHARS for start in range(len(marked) - size + 1)]
    return [crc32(run.encode("utf-8", "replace")) % RUN_BUCKETS for run in found]


def english(words: set[str]) -> bool:
    """Whether a text of these words is in English."""
    return len(words & _ENGLISH) >= _ENGLISH_SHARE * len(words)


def word_hash(word: str) -> int:
    """By which a word is found in the model."""
    return crc32(word.encode("utf-8", "replace"))


def apart(words: set[str]) -> set[str]:
    """`words` with those of scripts that write no blanks cut into two letters each."""
    if "".join(words).isascii():
        return words
    together = {word for word in words if len(word) > 2 and not word.isascii() and _RUNS_TOGETHER.match(word)}
    if not together:
        return words
    return (words - together).union(*([a + b for a, b in pairwise(word)] for word in together))


class FeatureReader:
    """Reads mails. One serves any number of mails and threads."""

    def __init__(self) -> None:
        self._lexicon = lexicon()
        self.names = _Names()  # of the hits met so far
        self._marks = _Marks(self._lexicon, self.names)
        self._asked = _Asked(self._lexicon)

    def look(self, mail: Sortable) -> Look:
        """The words and marks of the mail and of its parts."""
        reading = Reading(self._lexicon).of(mail)
        found, written = [], []
        for piece in dict.fromkeys(reading.pieces):
            in_piece = set(map(self.names.__getitem__, piece.hits))
            in_piece.update(*map(self._marks.__getitem__, piece.masks))
            if piece.questions and not piece.quoted:
                in_piece.add(ASKS)
                in_piece.update(*map(self._asked.__getitem__, piece.asked))
            found.append(Part(piece.bag if piece.ascii else apart(piece.bag), in_piece))
            if not piece.quoted:
                written.append(found[-1])
        marks = {self.names[hit] for text in reading.texts for hit in signals_in(text)}
        marks.update(_form(reading))
        marks.update(map(self.names.__getitem__, filename_hits(mail, self._lexicon)))
        whole = _together(found, marks)
        newly = _together(written, marks) if len(written) < len(found) else whole
        parts = [part for part in found if len(part.words) >= PART_WORDS]
        said = newly if len(newly.words) >= PART_WORDS else whole
        return Look(whole, parts if len(reading.pieces) > 1 else [], reading, said)


def _together(parts: list[Part], marks: set[str]) -> Part:
    """One part of several, with further marks."""
    return Part(set().union(*(part.words for part in parts)), marks.union(*(part.marks for part in parts)))


def _form(reading: Reading) -> Iterator[str]:
    """What kind of questions the whole mail asks: how many, and whether at its end."""
    written = [piece for piece in reading.pieces if not piece.quoted]
    count = sum(piece.questions for piece in dict.fromkeys(written))
    if count > 1:
        yield ASKS_TWICE
    if count > MANY_QUESTIONS:
        yield ASKS_MUCH
    if any(piece.questions for piece in written[-END_PIECES:]):
        yield ASKS_AT_END


class _Names(dict[Hit, str]):
    """The names of hits: as many as the tables have entries."""

    def __missing__(self, hit: Hit) -> str:
        name = self[hit] = f"{hit.towards}: {hit.label}"
        return name


class _Asked(dict[int, frozenset[str]]):
    """The marks of a question, by the ideas that met in it."""

    def __init__(self, lexicon: Lexicon) -> None:
        super().__init__()
        self._ideas = {bit: f"asked: {idea.replace('_', ' ')}" for idea, bit in lexicon.idea_bits.items()}

    def __missing__(self, mask: int) -> frozenset[str]:
        met = frozenset(mark for bit, mark in self._ideas.items() if mask & bit)
        if len(self) < _MEMO_LIMIT:
            self[mask] = met
        return met


class _Marks(dict[int, frozenset[str]]):
    """The marks of a sentence, by the ideas that met in it."""

    def __init__(self, lexicon: Lexicon, names: _Names) -> None:
        super().__init__()
        self._ideas = {bit: idea.replace("_", " ") for idea, bit in lexicon.idea_bits.items()}
        self._ideas_met = lexicon.ideas_met
        self._names = names

    def __missing__(self, mask: int) -> frozenset[str]:
        ideas = [name for bit, name in self._ideas.items() if mask & bit]
        names = [f"idea: {idea}" for idea in ideas]
        names += [f"ideas: {a} + {b}" for i, a in enumerate(ideas) for b in ideas[i + 1 :]]
        names += map(self._names.__getitem__, self._ideas_met(mask))
        met = frozenset(names)
        if len(self) < _MEMO_LIMIT:
            self[mask] = met
        return met
