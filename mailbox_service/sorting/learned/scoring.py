"""The model at work: sums over the distinct words and the marks of a mail and of its parts, in pure Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailbox_service.sorting.learned.features import Look, Part, scale
from mailbox_service.sorting.learned.model import Model, Words
from mailbox_service.sorting.tables import KNOWN, OTHER, lexicon

# Words remembered between mails: the common ones of some languages, and about 3 MB at most.
_MEMO_LIMIT: Final = 10_000
# Longer words are lines of base64 and the like: none is met twice, and each would cost as much as all other words.
_WORD_CHARS: Final = 40
# A part by itself must be so much louder than the whole mail to decide: many parts have many chances to sound like a
# report. Text that is added to a mail takes nothing from the parts that were there before, so that it sinks no report.
PART_DISCOUNT: Final = 3.0
# Scores beyond this are the same to everything that follows.
LIMIT: Final = 30.0
# Marks that are no terms: what plain sentences are made of.
_IDEAS: Final = ("idea: ", "ideas: ", "asked: ")
_COMMON: Final = (KNOWN, OTHER)
REPORT: Final = 0
SPAM: Final = 1


class _Weights:
    """What each word met counts, looked up when it is first met: for a report, and for spam."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self.of = (_Met(self, REPORT), _Met(self, SPAM))

    def meet(self, word: str) -> tuple[float, float]:
        """Its weights, from now on known. Forgets all when it is full."""
        if len(word) > _WORD_CHARS:
            return 0.0, 0.0
        if len(self.of[REPORT]) >= _MEMO_LIMIT:
            for met in self.of:
                met.clear()
        weights = self._words.weights(word)
        self.of[REPORT][word], self.of[SPAM][word] = weights
        return weights


class _Met(dict[str, float]):
    """The weights of the words met, one way."""

    def __init__(self, weights: _Weights, towards: int) -> None:
        super().__init__()
        self._meet, self._towards = weights.meet, towards

    def __missing__(self, word: str) -> float:
        return self._meet(word)[self._towards]


class _Known(dict[str, bool]):
    """Which of the words met are words of the model's languages."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words

    def __missing__(self, word: str) -> bool:
        if len(self) >= _MEMO_LIMIT:
            self.clear()
        known = self[word] = self._words.known(word)
        return known


class _Marks(dict[str, float]):
    """The weights of marks; one that the model does not know weighs nothing."""

    def __missing__(self, mark: str) -> float:
        return 0.0


_Weighed = list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of one mail before calibration: log-odds."""

    report: float
    spam: float
    loudest: Part  # which decided: the whole mail, or a part of it


class Scorer:
    """The weights of a model in the form that is summed up."""

    def __init__(self, model: Model) -> None:
        self._marks = (_Marks(model.report), _Marks(model.spam))
        self._words = model.words
        self._weights = _Weights(model.words).of
        self._look_up = lexicon().look_up
        self._known = _Known(model.words)

    def scores(self, look: Look) -> Scores:
        """Of a report: of the whole mail, of what is newly written in it, or of its loudest part, whichever is louder.
        Of spam: of the whole mail or of what is newly written, whichever is less."""
        loudest, best = look.whole, self.report(look.whole)
        spam = self._score(look.whole, SPAM)
        if look.written is not look.whole:
            spam = min(spam, self._score(look.written, SPAM))
            score = self.report(look.written)
            if score > best:
                loudest, best = look.written, score
        for part in look.parts:
            score = self.report(part) - PART_DISCOUNT
            if score > best:
                loudest, best = part, score
        return Scores(_bounded(best), _bounded(spam), loudest)

    def report(self, part: Part) -> float:
        """The log-odds that a mail of this part alone is a report."""
        return self._score(part, REPORT)

    def _score(self, part: Part, towards: int) -> float:
        marks, weights = self._marks[towards], self._weights[towards]
        words = scale(len(part.words)) * sum(map(weights.__getitem__, part.words))
        return marks["bias"] + words + sum(map(marks.__getitem__, part.marks))

    def share_known(self, words: set[str]) -> float:
        """How many of the words are words of the languages that the model was made with."""
        return sum(map(self._known.__getitem__, words)) / len(words) if words else 0.0

    def heaviest(self, part: Part, towards: int, least: float, count: int) -> tuple[_Weighed, _Weighed]:
        """What weighed most in a part, with our words for it: for it, and against it, from `least` on either way.

        Words that the model does not know are no reason: they may be names. Nor are the commonest words, which weigh by
        the company they keep. Half of the places are for terms of the tables: people can judge these.
        """
        share = scale(len(part.words))
        marks, weights = self._marks[towards], self._weights[towards]
        # A mark is no word: a third value tells them apart.
        found = [(weight, word, True) for word in part.words if not -least < (weight := weights[word] * share) < least]
        found += [(weight, mark, False) for mark in part.marks if not -least < (weight := marks[mark]) < least]
        found.sort()
        against = [one for one in found if one[0] < 0]
        return self._named(found[: len(against) - 1 if against else None : -1], count), self._named(against, count)

    def _named(self, found: list[tuple[float, str, bool]], count: int) -> _Weighed:
        terms = [(weight, name) for weight, name, is_word in found if not is_word and not name.startswith(_IDEAS)]
        named = terms[: count // 2]
        for weight, name, is_word in found:
            if len(named) >= count:
                break
            if not is_word:
                if (weight, name) not in named:
                    named.append((weight, name))
            elif self._known[name] and self._look_up(name) not in _COMMON:
                named.append((weight, f'word "{name}"'))
        return named


def _bounded(score: float) -> float:
    return max(-LIMIT, min(LIMIT, score))
