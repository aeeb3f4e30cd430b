"""The features of a segment by name, and what is common to learning their weights and to using them.

Names: `w:` a word, `p:` the first letters of a longer word, `b:` two adjacent words, `c:` a concept or signal, `d:` a
concept in more than one sentence, `x:` two concepts met in one sentence, `g:` the number of a bucket of runs of
letters.
"""

from __future__ import annotations

from itertools import pairwise
from math import log, sqrt
from typing import Final
from zlib import crc32

from mailbox_service.sorting.lexicon import Lexicon
from mailbox_service.sorting.reading import Segment

PREFIX_CHARS: Final = 5
RUN_CHARS: Final = (3, 4, 5)
RUN_WORD_CHARS: Final = 30
RUN_BUCKETS: Final = 1 << 15
# In the weights of a whole mail a word counts less the more words there are, so that length alone says nothing.
_MAIL_WORDS_SCALE: Final = 5.0
_MAIL_WORDS_LEAST: Final = 10
# Classes of terms whose company says nothing; they count alone.
_NOT_IN_PAIRS: Final = ("polite", "trade", "spam_", "shape_")


# Many segments have many chances to sound like a report by accident: the later one stands, the louder it must be. So
# what follows never weakens what was found. Beyond this place it no longer grows.
_LAST_PLACE: Final = 12


def discount(place: int) -> float:
    """What is taken off the score of the segment at this place, counted from 0."""
    return log(min(place + 1, _LAST_PLACE) + 1)


def words_scale(distinct: int) -> float:
    """What one word counts in the weights of a whole mail with so many distinct words."""
    return _MAIL_WORDS_SCALE / sqrt(max(distinct, _MAIL_WORDS_LEAST))


def pairable(lexicon: Lexicon) -> list[tuple[str, int]]:
    """The concepts that are met in pairs, with their bits."""
    return [(concept, bit) for concept, bit in lexicon.bits.items() if not concept.startswith(_NOT_IN_PAIRS)]


def runs(word: str) -> list[int]:
    """The buckets of the runs of three to five letters of a word, its beginning and end marked: what inflected forms
    and relatives in other languages share."""
    marked = f"<{word[:RUN_WORD_CHARS]}>"
    data = [marked[i : i + size] for size in RUN_CHARS for i in range(len(marked) - size + 1)]
    return [crc32(run.encode()) % RUN_BUCKETS for run in data]


class Namer:
    """Names the features of segments: for training, and to say what weighed."""

    def __init__(self, lexicon: Lexicon, bits: dict[str, int]) -> None:
        self._bits = bits
        self._pairable = pairable(lexicon)
        self._pairs: dict[int, list[str]] = {}

    def pairs(self, mask: int) -> list[str]:
        """The pairs of concepts in the mask of a sentence."""
        found = self._pairs.get(mask)
        if found is None:
            on = [concept for concept, bit in self._pairable if mask & bit]
            found = [f"x:{a}+{b}" for i, a in enumerate(on) for b in on[i + 1 :]]
            self._pairs[mask] = found
        return found

    def concepts(self, segment: Segment) -> set[str]:
        """Concepts, signals and pairs of a segment."""
        found = {f"c:{concept}" for concept, bit in self._bits.items() if segment.mask & bit}
        found |= {f"d:{concept}" for concept, bit in self._bits.items() if segment.twice & bit}
        for mask in segment.masks:
            found.update(self.pairs(mask))
        return found

    def all(self, segment: Segment) -> dict[str, int]:
        """All features with their values: 1, or how many words begin with the letters of a `p:`."""
        words = set(segment.words)
        found = dict.fromkeys(self.concepts(segment), 1)
        found.update((f"w:{word}", 1) for word in words)
        found.update((f"b:{a} {b}", 1) for a, b in pairwise(segment.words))
        for word in words:
            if len(word) > PREFIX_CHARS:
                prefix = f"p:{word[:PREFIX_CHARS]}"
                found[prefix] = found.get(prefix, 0) + 1
        return found
