"""From the texts of a mail to its segments: what is scored one by one, so that a report may stand anywhere.

A segment is a paragraph, cut where it grows long; very short paragraphs (a greeting, a name) join the next one. A
paragraph that is added to a mail never changes the segments before it, short last lines apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from operator import concat
from typing import Final

from mailbox_service.sorting import Sortable
from mailbox_service.sorting.lexicon import (
    BEGINS_PHRASE,
    STEM_KEY,
    WORD,
    Lexicon,
    Phrase,
    Phrases,
    lexicon,
    normalise,
    signals,
)

# Of each text the head and the tail are looked at: a report sits at the top or in a postscript. The sum over all texts
# bounds the work for a mail (threat model, row 51).
TEXT_LIMIT_CHARS: Final = 100_000
MAIL_LIMIT_CHARS: Final = 200_000
SUBJECT_LIMIT_CHARS: Final = 1_000
# A sentence without an end is cut here, and a paragraph is weighed in pieces of at most so many words: support talk
# in the same long paragraph must not outweigh the one sentence that is a report.
SENTENCE_WORDS: Final = 28
UNSPACED_CHARS: Final = 60
SEGMENT_WORDS: Final = 60
# A paragraph below this joins the next one.
SEGMENT_WORDS_MIN: Final = 8
# More than a long mail has; all that follows goes into the last one.
SEGMENT_LIMIT: Final = 800
# Words remembered between mails: more than the languages of a mailbox have, and about 2 MB at most.
MEMO_LIMIT: Final = 12_000
# Longer words are lines of base64 and the like.
MEMO_WORD_CHARS: Final = 40

# Scripts that are searched for literals, and among them those whose words run together.
_SEARCHED: Final = re.compile(r"[\u0590-\u1cff\u2e80-\ud7ff\uf900-\ufaff\ufb50-\ufdff\ufe70-\ufefe]")
_RUNS_TOGETHER: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff]")
_SENTENCE_END: Final = re.compile(r"[.!?;:…]\s|[。！？；।]")
_BLANK_LINES: Final = re.compile(r"\n[ \t\r]*\n")


class Segment:
    """A stretch of one text: its words, and the concepts of each of its sentences."""

    __slots__ = ("mask", "masks", "quoted", "twice", "words")

    def __init__(self, quoted: bool) -> None:
        self.words: list[str] = []
        self.masks: list[int] = []  # by sentence
        self.mask = 0  # all concepts and signals in it
        self.twice = 0  # the concepts in more than one sentence
        self.quoted = quoted


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """The paragraphs of `text`, and whether each is quoted: cut at blank lines and where quoting begins or ends."""
    if not text.startswith(">") and "\n>" not in text and "\n " not in text:
        for paragraph in _BLANK_LINES.split(text):
            yield paragraph, False
        return
    lines: list[str] = []
    quoted = False
    for line in text.split("\n"):
        bare = line.lstrip("> \t\r")
        now_quoted = line.lstrip()[:1] == ">"
        if lines and (not bare or now_quoted != quoted):
            yield "\n".join(lines), quoted
            lines = []
        if bare:
            lines.append(bare)
            quoted = now_quoted
    if lines:
        yield "\n".join(lines), quoted


class _Masks(dict[str, int]):
    """The concepts of each word met, looked up when it is first met; forgets all when it is full."""

    def __init__(self, lexicon: Lexicon) -> None:
        super().__init__()
        self._look_up = lexicon.mask

    def __missing__(self, word: str) -> int:
        mask = self._look_up(word)
        if len(word) <= MEMO_WORD_CHARS:
            if len(self) >= MEMO_LIMIT:
                self.clear()
            self[word] = mask
        return mask


class Reader:
    """Reads mails into segments. One serves any number of mails and threads: it remembers nothing but words."""

    def __init__(self) -> None:
        self.lexicon = lexicon()
        # Signals are concepts, too: bits above those of the lexicon.
        self.bits = dict(self.lexicon.bits)
        for found in signals().values():
            for _, signal in found:
                self.bits.setdefault(f"signal {signal}", 2 << len(self.bits))
        self._signals = {
            word: tuple((literal, self.bits[f"signal {signal}"]) for literal, signal in found)
            for word, found in signals().items()
        }
        self._always = self._signals.pop("")
        self._masks = _Masks(self.lexicon)
        self._phrases: dict[str, Phrases] = {}

    def segments(self, mail: Sortable) -> list[Segment]:
        """The segments of the mail. A short subject is read with what follows it: alone it says nothing, which would
        count as doubt whatever the mail says."""
        subject = normalise(mail.subject[:SUBJECT_LIMIT_CHARS])
        texts = list(looked_at(mail)) or [""]
        segments = self.text(f"{subject}\n\n{texts[0]}")
        for text in texts[1:]:
            segments += self.text(text)
        return segments

    def text(self, text: str) -> list[Segment]:
        """The segments of a text that was normalised."""
        segments: list[Segment] = []
        current = None
        for paragraph, quoted in paragraphs(text):
            first = max(0, len(segments) - 1)
            before = len(current.words) if current is not None else 0
            if current is None or (
                (len(current.words) >= SEGMENT_WORDS_MIN or current.quoted != quoted) and len(segments) < SEGMENT_LIMIT
            ):
                current = Segment(quoted)
                segments.append(current)
                first, before = len(segments) - 1, 0
            if paragraph.isascii() or _SEARCHED.search(paragraph) is None:
                for sentence in _SENTENCE_END.split(paragraph):
                    words = WORD.findall(sentence)
                    for start in range(0, len(words), SENTENCE_WORDS):
                        if len(current.words) >= SEGMENT_WORDS and len(segments) < SEGMENT_LIMIT:
                            current = Segment(quoted)
                            segments.append(current)
                        self._sentence(words[start : start + SENTENCE_WORDS], 0, current)
            else:
                current = self._searched(paragraph, current, segments)
            met = segments[first].words[before:]
            for segment in segments[first + 1 :]:
                met += segment.words
            mask = self._signals_in(paragraph, set(met))
            if mask:
                for segment in segments[first:]:
                    segment.mask |= mask
        return [segment for segment in segments if segment.words or segment.mask]

    def _searched(self, paragraph: str, current: Segment, segments: list[Segment]) -> Segment:
        for whole in _SENTENCE_END.split(paragraph):
            for start in range(0, len(whole), UNSPACED_CHARS * 2):
                sentence = whole[start : start + UNSPACED_CHARS * 2]
                if len(current.words) >= SEGMENT_WORDS and len(segments) < SEGMENT_LIMIT:
                    current = Segment(current.quoted)
                    segments.append(current)
                words: list[str] = []
                for word in WORD.findall(sentence):
                    if len(word) > 2 and _RUNS_TOGETHER.match(word):
                        words.extend(first + second for first, second in pairwise(word))
                    else:
                        words.append(word)
                self._sentence(words, self._literals(sentence), current)
        return current

    def _sentence(self, words: list[str], mask: int, segment: Segment) -> None:
        masks = list(map(self._masks.__getitem__, words))
        for one in masks:
            mask |= one
        if mask & BEGINS_PHRASE:
            mask |= self._phrases_in(words, masks)
        segment.words += words
        if mask > 1:
            segment.masks.append(mask)
            segment.twice |= segment.mask & mask
            segment.mask |= mask

    def _phrases_in(self, words: list[str], masks: list[int]) -> int:
        mask = 0
        last = len(words) - 1
        for position, one in enumerate(masks):
            if one & BEGINS_PHRASE and position < last:
                word = words[position]
                table = self._phrases.get(word)
                if table is None:
                    table = self.lexicon.phrases(word)
                    if len(self._phrases) < MEMO_LIMIT and len(word) <= MEMO_WORD_CHARS:
                        self._phrases[word] = table
                for phrase in table.get(words[position + 1][:STEM_KEY], ()):
                    if _follows(words, position, phrase):
                        mask |= phrase.mask
        return mask

    def _literals(self, sentence: str) -> int:
        """The concepts in a sentence whose words run together. Tried are those whose first two letters occur."""
        table = self.lexicon.unspaced
        mask = 0
        for start in table.keys() & set(map(concat, sentence, sentence[1:])):
            for literal, bit in table[start]:
                if literal in sentence:
                    mask |= bit
        return mask

    def _signals_in(self, paragraph: str, words: set[str]) -> int:
        mask = 0
        for literal, bit in self._always:
            if literal in paragraph:
                mask |= bit
        for word in self._signals.keys() & words:
            for literal, bit in self._signals[word]:
                if literal in paragraph:
                    mask |= bit
        return mask


def _follows(words: list[str], position: int, phrase: Phrase) -> bool:
    if position + len(phrase.rest) >= len(words):
        return False
    for offset, (expected, stem) in enumerate(phrase.rest, position + 1):
        word = words[offset]
        if word != expected and not (stem and word.startswith(expected)):
            return False
    return True


def looked_at(mail: Sortable) -> Iterator[str]:
    """The texts of the mail, normalised and bounded: of a long one its head and its tail."""
    left = MAIL_LIMIT_CHARS
    for text in mail.texts:
        limit = min(TEXT_LIMIT_CHARS, left)
        if limit <= 0:
            return
        if len(text) > limit:
            text = text[: limit // 2] + "\n\n" + text[-(limit - limit // 2) :]
        left -= len(text)
        yield normalise(text)
