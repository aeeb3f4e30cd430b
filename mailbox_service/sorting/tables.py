"""The sorter's tables in the form that is walked: dictionaries from a word, or from the first letters of a stem."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from mailbox_service.sorting.hints import (
    HINT_IDEAS,
    HINT_IDEAS_UNSPACED,
    HINT_RULES,
    HINT_TERMS,
    HINT_UNSPACED,
)
from mailbox_service.sorting.lexicon import (
    IDEAS,
    IDEAS_UNSPACED,
    KNOWN_LANGUAGES,
    OTHER_LANGUAGES,
    RULES_IN_USE,
)
from mailbox_service.sorting.terms import (
    NEUTRAL_TERMS,
    NOT_UNSPACED,
    ORDINARY_TERMS,
    OTHER_TERMS,
    PURPOSE_TERMS,
    SECURITY_TERMS,
    SPAM_TERMS,
    SPAM_UNSPACED,
)

# What a hit speaks for. A hint and an ordinary subject decide only whether a mail may be called "not security".
SECURITY: Final = "security"
NOT_SECURITY: Final = "not_security"
SPAM: Final = "spam"
HINT: Final = "hint"
ORDINARY_SUBJECT: Final = "ordinary"
# A hit of this weight or less says nothing of what a sentence is about.
NEUTRAL: Final = 0.1
# What a hint weighs in the reasons; it is not added to the score.
HINT_WEIGHT: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A term of the tables: our label, what it speaks for, and its log-odds.

    Made by `hit_of`, so that equal ones are the same one: sets of them are what the sorter's time goes into.
    """

    label: str
    towards: str
    weight: float


@cache
def hit_of(label: str, towards: str, weight: float) -> Hit:
    """The hit of these values."""
    return Hit(label, towards, weight)


class Phrase(NamedTuple):
    """Words that must follow the first one; a word with `stem` set matches every word that begins with it."""

    rest: tuple[tuple[str, bool], ...]
    ideas: int
    hit: Hit | None


@dataclass(slots=True, eq=False)
class Entry:
    """All that the tables know of one word."""

    ideas: int = 0
    hits: tuple[Hit, ...] = ()
    phrases: dict[str, tuple[Phrase, ...]] = field(default_factory=dict)  # by the first letters of the second word
    known: int = 0  # 1 when it is a common word of a known language
    other: int = 0  # 1 when it is a common word of other languages only
    loud: bool = False  # says what a sentence is about


# Common words of which nothing else is known.
KNOWN: Final = Entry(known=1)
OTHER: Final = Entry(other=1)

# Characters that are not seen but split words: soft hyphen, zero-width, bidirectional controls, variation selectors.
_UNSEEN: Final = re.compile(r"[\u00ad\u034f\u061c\u180e\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f]+")
WORD: Final = re.compile(r"\w+")
# A stem is found by its first letters; every stem of the tables is at least this long.
STEM_KEY: Final = 3
# Forms of the tables' stems remembered between mails: more than the languages have, and about 2 MB at most.
_MET_LIMIT: Final = 10_000
# Words remembered between mails, known or not: more than the languages of a mailbox have, and about 3 MB at most.
_MEMO_LIMIT: Final = 30_000
# Longer words are lines of base64 and the like.
_MEMO_WORD_CHARS: Final = 40


def normalise(text: str) -> str:
    """`text` as it is compared: compatibility forms unified, invisible characters gone, case folded (Unicode NFKC)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()


def _entries(table: str) -> Iterator[tuple[float, str]]:
    for line in table.strip().splitlines():
        weight, _, entries = line.partition(":")
        for entry in entries.split("|"):
            yield float(weight), entry.strip()


_TERMS: Final = (
    (SECURITY, SECURITY_TERMS),
    (NOT_SECURITY, OTHER_TERMS),
    (NOT_SECURITY, ORDINARY_TERMS),
    (ORDINARY_SUBJECT, NEUTRAL_TERMS),
    (ORDINARY_SUBJECT, PURPOSE_TERMS),
    (SPAM, SPAM_TERMS),
)


class Lexicon:
    """The tables in the form the sorter walks: dictionaries from a word, or from the first letters of a stem."""

    def __init__(self) -> None:
        self.words: dict[str, Entry] = {}
        self._met: dict[str, Entry] = {}  # forms of our own stems met so far, so that each is put together once
        self._rules_met: dict[int, frozenset[Hit]] = {}  # by the ideas of a sentence
        self.memo = Memo(self)
        self.stems: dict[str, list[tuple[str, Entry]]] = {}
        self.unspaced: dict[str, list[tuple[str, int, Hit | None]]] = {}
        self.idea_bits = {idea: 1 << n for n, idea in enumerate((*IDEAS, *HINT_IDEAS))}
        self._add_ideas()
        self._add_terms()
        self._add_hints()
        # The few that can stand in a sentence of ASCII.
        self.unspaced_ascii = [
            one for key, known in self.unspaced.items() if len(key) > 1 for one in known if one[0].isascii()
        ]
        known = {normalise(word) for table in KNOWN_LANGUAGES.values() for word in table.split()}
        for word in known:
            self._word(word).known = 1
        for word in {normalise(word) for word in OTHER_LANGUAGES.split()} - known:
            self._word(word).other = 1
        for word, entry in self.words.items():
            if not (entry.ideas or entry.hits or entry.phrases):
                self.words[word] = KNOWN if entry.known else OTHER
        self.rules = tuple(
            (self._mask(wanted), self._mask(unwanted), hit_of(f'says "{label}"', SECURITY, weight))
            for wanted, unwanted, weight, label in RULES_IN_USE
        ) + tuple((self._mask(wanted), 0, hit_of(f'hint "{label}"', HINT, HINT_WEIGHT)) for wanted, label in HINT_RULES)

    def _add_ideas(self) -> None:
        for idea, table in (*IDEAS.items(), *HINT_IDEAS.items()):
            for entry in table.split():
                self._add(entry.replace("_", " "), self.idea_bits[idea], None)
        for idea, table in (*IDEAS_UNSPACED.items(), *HINT_IDEAS_UNSPACED.items()):
            for literal in table.strip().replace("\n", "|").split("|"):
                if literal.strip():
                    self._add_unspaced(literal.strip(), self.idea_bits[idea], None)

    def _add_terms(self) -> None:
        for towards, table in _TERMS:
            for weight, entry in _entries(table):
                kind = "phrase" if " " in entry else "word"
                self._add(entry, 0, hit_of(f'{kind} "{entry.rstrip("*")}"', towards, weight))
        for towards, table in ((NOT_SECURITY, NOT_UNSPACED), (SPAM, SPAM_UNSPACED)):
            for weight, entry in _entries(table):
                self._add_unspaced(entry, 0, hit_of(f'word "{entry}"', towards, weight))

    def _add_hints(self) -> None:
        for line in HINT_TERMS.strip().splitlines():
            for entry in line.split("|"):
                self._add(entry.strip(), 0, hit_of(f'hint "{entry.strip().rstrip("*")}"', HINT, HINT_WEIGHT))
        for literal in HINT_UNSPACED.strip().replace("\n", "|").split("|"):
            self._add_unspaced(literal, 0, hit_of(f'hint "{literal}"', HINT, HINT_WEIGHT))

    def _mask(self, ideas: str) -> int:
        return sum(self.idea_bits[idea] for idea in ideas.split())

    def _word(self, word: str) -> Entry:
        return self.words.setdefault(word, Entry())

    def _add(self, entry: str, ideas: int, found: Hit | None) -> None:
        words = [(w.rstrip("*"), w.endswith("*")) for w in normalise(entry).replace("-", " ").split()]
        words = [(part, stem) for w, stem in words for part in WORD.findall(w)]
        (first, stem), rest = words[0], tuple(words[1:])
        target = self._stem(first) if stem else self._word(first)
        if rest:
            key = rest[0][0][:STEM_KEY]
            target.phrases[key] = (*target.phrases.get(key, ()), Phrase(rest, ideas, found))
        else:
            target.ideas |= ideas
            if found:
                target.hits += (found,)
                target.loud = target.loud or found.weight > NEUTRAL

    def _stem(self, stem: str) -> Entry:
        if len(stem) < STEM_KEY:
            raise ValueError(f"stem {stem!r} is too short")
        known = self.stems.setdefault(stem[:STEM_KEY], [])
        for other, entry in known:
            if other == stem:
                return entry
        known.append((stem, Entry()))
        return known[-1][1]

    def _add_unspaced(self, literal: str, ideas: int, found: Hit | None) -> None:
        literal = normalise(literal)
        self.unspaced.setdefault(literal[:2], []).append((literal, ideas, found))

    def ideas_met(self, mask: int) -> frozenset[Hit]:
        """What the ideas in `mask`, met in one sentence, say."""
        met = self._rules_met.get(mask)
        if met is None:
            met = frozenset(
                found for want, unwanted, found in self.rules if mask & want == want and not mask & unwanted
            )
            if len(self._rules_met) < _MET_LIMIT:
                self._rules_met[mask] = met
        return met

    def look_up(self, word: str) -> Entry | None:
        """What is known of `word`: as it stands and by every stem it begins with."""
        stems = self.stems.get(word[:STEM_KEY])
        if stems is None:
            return self.words.get(word)
        found = self._met.get(word)
        if found is not None:
            return found
        found = self.words.get(word)
        for stem, entry in stems:
            if word.startswith(stem):
                found = entry if found is None else _joined(found, entry)
        if found is not None and len(self._met) < _MET_LIMIT:
            self._met[word] = found
        return found


def _joined(a: Entry, b: Entry) -> Entry:
    phrases = dict(a.phrases)
    for key, more in b.phrases.items():
        phrases[key] = phrases.get(key, ()) + more
    return Entry(a.ideas | b.ideas, a.hits + b.hits, phrases, a.known or b.known, a.other or b.other, a.loud or b.loud)


class Memo(dict[str, "Entry | None"]):
    """What is known of each word met, looked up when it is first met; forgets all when it is full."""

    def __init__(self, lexicon: Lexicon) -> None:
        super().__init__()
        self._look_up = lexicon.look_up

    def __missing__(self, word: str) -> Entry | None:
        entry = self._look_up(word)
        if len(word) <= _MEMO_WORD_CHARS:
            if len(self) >= _MEMO_LIMIT:
                self.clear()
            self[word] = entry
        return entry


_LEXICON: list[Lexicon] = []


def lexicon() -> Lexicon:
    """The compiled tables: made once, when the first sorter is."""
    if not _LEXICON:
        _LEXICON.append(Lexicon())
    return _LEXICON[0]
