"""The model at work: scores of segments and of the whole mail, in pure Python and in one pass.

What is known of a word is put together when it is first met and remembered, within a bound; the rest are sums over
sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, Generic, TypeVar

from mailbox_service.sorting.features import PREFIX_CHARS, pairable, words_scale
from mailbox_service.sorting.model import Model
from mailbox_service.sorting.reading import MEMO_LIMIT, MEMO_WORD_CHARS, Reader, Segment

_Key = TypeVar("_Key", str, int)
_Value = TypeVar("_Value")
NOTHING: Final[frozenset[int]] = frozenset()


class _Memo(dict[_Key, _Value], Generic[_Key, _Value]):
    """What was worked out for each key met; forgets all when it is full."""

    def __init__(self, work_out: Callable[[_Key], _Value]) -> None:
        super().__init__()
        self._work_out: Callable[[_Key], _Value] = work_out

    def __missing__(self, key: _Key) -> _Value:
        value: _Value = self._work_out(key)
        if isinstance(key, int) or len(key) <= MEMO_WORD_CHARS:
            if len(self) >= MEMO_LIMIT:
                self.clear()
            self[key] = value
        return value


class Scorer:
    """The weights of a model in the form that is summed up."""

    def __init__(self, model: Model, reader: Reader) -> None:
        self._model = model
        self._bits = reader.bits
        self._words = {name[2:]: value for name, value in model.segment.items() if name.startswith("w:")}
        self._prefixes = {name[2:]: value for name, value in model.segment.items() if name.startswith("p:")}
        self._bigrams = {_two(name): value for name, value in model.segment.items() if name.startswith("b:")}
        self._spam_words = {name[2:]: value for name, value in model.spam.items() if name.startswith("w:")}
        self._concepts = self._by_bit("c:")
        self._more_than_once = self._by_bit("d:")
        self._pairs = _pairs(model, dict(pairable(reader.lexicon)))
        self._pair_segment = [model.segment.get(name, 0.0) for name, _ in self._pairs]
        self._pair_masks = [mask for _, mask in self._pairs]
        self._word_memo = _Memo[str, float](self._word)
        self._pair_memo = _Memo[int, frozenset[int]](self._pairs_in)
        self._mask_memo = _Memo[int, float](lambda mask: _sum_bits(mask, self._concepts, 0))
        self._twice_memo = _Memo[int, float](lambda mask: _sum_bits(mask, self._more_than_once, 0))
        self._spam_memo = _Memo[int, float](lambda mask: _sum_bits(mask, self._concepts, 1))
        self._bias = model.segment["bias"]
        self._names = {bit: concept for concept, bit in reader.bits.items()}

    def _by_bit(self, kind: str) -> dict[int, tuple[float, float]]:
        tables = (self._model.segment, self._model.spam)
        found = {}
        for concept, bit in self._bits.items():
            weights = tuple(table.get(kind + concept, 0.0) for table in tables)
            if any(weights):
                found[bit] = (weights[0], weights[1])
        return found

    def _word(self, word: str) -> float:
        weight = self._words.get(word, 0.0)
        return weight + self._prefixes.get(word[:PREFIX_CHARS], 0.0) if len(word) > PREFIX_CHARS else weight

    def _pairs_in(self, mask: int) -> frozenset[int]:
        return frozenset(number for number, pair in enumerate(self._pair_masks) if mask & pair == pair)

    def segment(self, segment: Segment) -> tuple[float, set[str]]:
        """The log-odds that this segment is (of) a report, and its distinct words."""
        words = segment.words
        distinct = set(words)
        score = self._bias + sum(map(self._word_memo.__getitem__, distinct))
        for bigram in self._bigrams.keys() & set(pairwise(words)):
            score += self._bigrams[bigram]
        score += self._mask_memo[segment.mask] + self._twice_memo[segment.twice]
        if segment.masks:
            pairs = NOTHING.union(*map(self._pair_memo.__getitem__, segment.masks))
            score += sum(map(self._pair_segment.__getitem__, pairs))
        return score, distinct

    def spam(self, segments: Iterable[Segment], words: set[str]) -> float:
        """The log-odds that the mail of these segments, with these distinct words, is spam."""
        known = self._spam_words
        total = sum(known[word] for word in words & known.keys()) * words_scale(len(words))
        mask = 0
        for segment in segments:
            mask |= segment.mask
        return self._model.spam["bias"] + total + self._spam_memo[mask]

    def parts(self, segment: Segment) -> dict[str, float]:
        """What weighed for and against a report in a segment, by feature."""
        found: dict[str, float] = {}
        words = set(segment.words)
        for word in words:
            if self._word_memo[word]:
                found[f"w:{word}"] = self._word_memo[word]
        for bigram in self._bigrams.keys() & set(pairwise(segment.words)):
            found[f"b:{bigram[0]} {bigram[1]}"] = self._bigrams[bigram]
        for kind, table, on in (("c", self._concepts, segment.mask), ("d", self._more_than_once, segment.twice)):
            for bit, weights in table.items():
                if on & bit and weights[0]:
                    found[f"{kind}:{self._names[bit]}"] = weights[0]
        for pair in NOTHING.union(*map(self._pair_memo.__getitem__, segment.masks)):
            found[self._pairs[pair][0]] = self._pair_segment[pair]
        return found

    def spam_parts(self, segments: list[Segment], words: set[str]) -> dict[str, float]:
        """What weighed for and against spam in the whole mail, by feature."""
        scale = words_scale(len(words))
        found = {f"w:{word}": self._spam_words[word] * scale for word in words & self._spam_words.keys()}
        mask = 0
        for segment in segments:
            mask |= segment.mask
        found.update((f"c:{self._names[bit]}", weights[1]) for bit, weights in self._concepts.items() if mask & bit)
        return found


def _two(name: str) -> tuple[str, str]:
    first, _, second = name[2:].partition(" ")
    return first, second


def _pairs(model: Model, bits: dict[str, int]) -> list[tuple[str, int]]:
    names = sorted(name for name in model.segment if name.startswith("x:"))
    found = []
    for name in names:
        first, _, second = name[2:].partition("+")
        if first in bits and second in bits:
            found.append((name, bits[first] | bits[second]))
    return found


def _sum_bits(mask: int, table: dict[int, tuple[float, float]], part: int) -> float:
    return sum(weights[part] for bit, weights in table.items() if mask & bit)
