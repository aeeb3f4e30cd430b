"""From the texts of a mail to pieces: the words, terms and ideas of each stretch of a paragraph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import concat
from typing import Final

from mailbox_service.sorting import Sortable
from mailbox_service.sorting.tables import SECURITY, STEM_KEY, WORD, Hit, Lexicon, hit_of, normalise
from mailbox_service.sorting.terms import SIGNALS

# Of each text the head and the tail are looked at: a report sits at the top or in a postscript. The sum over all texts
# bounds the work for a mail (threat model, row 51); 200,000 characters take well below a tenth of a second.
TEXT_LIMIT_CHARS: Final = 100_000
MAIL_LIMIT_CHARS: Final = 200_000
SUBJECT_LIMIT_CHARS: Final = 1_000
# A sentence without an end is cut here, and a paragraph is weighed in pieces of at most so many words: support talk
# in the same long paragraph must not outweigh the one sentence that is a report.
SENTENCE_WORDS: Final = 28
PIECE_WORDS: Final = 60
# More than a long mail has (100 KB of prose make some 400): thousands of one-word paragraphs would only cost time.
PIECE_LIMIT: Final = 800


@dataclass(slots=True, eq=False)
class Piece:
    """A stretch of one paragraph: what was found in it, each thing once."""

    quoted: bool = False
    hits: set[Hit] = field(default_factory=set)
    masks: set[int] = field(default_factory=set)
    asked: set[int] = field(default_factory=set)  # the masks of its questions
    questions: int = 0
    bag: set[str] = field(default_factory=set)  # its words as they stand
    sentences: list[list[str]] = field(default_factory=list)
    words: int = 0
    ascii: bool = True

    def ask(self, mask: int) -> None:
        """A question, or its end, is in it."""
        self.questions += 1
        self.asked.add(mask)


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """The paragraphs of `text`, and whether each is quoted: cut at blank lines and where quoting begins or ends."""
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


_UNSPACED: Final = re.compile(r"[\u0590-\u1cff\u2e80-\ud7ff\uf900-\ufaff\ufb50-\ufdff\ufe70-\ufefe]")
_OTHER_SCRIPT: Final = re.compile(r"[\u0370-\u03ff\u0530-\u05ff\u0700-\u10ff\u1200-\u1cffپچژگ]")
_KNOWN_SCRIPT: Final = re.compile(r"[\u0620-\u06ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_SENTENCE_END: Final = re.compile(r"([.!?;:…。！？；।؟])(?:\s|(?<=[。！？；।؟]))")
# Beside a question mark; Greek writes a semicolon for it (after NFKC), Japanese and Chinese often a word.
_ASKING: Final = frozenset("?？؟")
_GREEK: Final = re.compile(r"[\u0370-\u03ff]")
_ASKING_WORDS: Final = ("か", "吗", "嗎")
_CLOSING: Final = " \t\r\n\"')»”]"
# What is no letter, digit or underscore, as a blank: the same words as `WORD` finds, in half of the time.
_BLANKS: Final = bytes(byte if chr(byte).isalnum() or chr(byte) == "_" else 32 for byte in range(128)) + bytes(128)


class Reading:
    """One pass over the texts of one mail: fills pieces. Each word is looked up once."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._memo = lexicon.memo
        # A paragraph that was read before is the same pieces again: most mail is there twice, as text and as HTML.
        self._read: dict[tuple[str, bool], list[Piece]] = {}
        self._not_ascii: list[str] = []
        self.pieces: list[Piece] = []
        self.texts: list[str] = []  # of the mail, normalised and bounded
        self.silent = 0  # the words of the longest sentence in which nothing was recognised

    def of(self, mail: Sortable) -> Reading:
        """This reading, of the mail's subject and texts."""
        self.texts = list(looked_at(mail))
        self.read(normalise(mail.subject[:SUBJECT_LIMIT_CHARS]))
        for text in self.texts:
            self.read(text)
        return self

    def read(self, text: str) -> None:
        """Adds the pieces of a normalised text."""
        for paragraph, quoted in paragraphs(text):
            if not paragraph.isascii():
                self._not_ascii.append(paragraph)
                self._other(paragraph, quoted)
                continue
            key = paragraph.replace("\n", " "), quoted
            known = self._read.get(key)
            # The last piece of all takes more and more in, and so is no other's.
            if known is not None and len(self.pieces) + len(known) < PIECE_LIMIT:
                self.pieces += known
                continue
            first = len(self.pieces)
            self._ascii(paragraph, quoted)
            self._read[key] = self.pieces[first:]

    def _ascii(self, paragraph: str, quoted: bool) -> None:
        piece = self._piece(quoted)
        for sentence, end in _sentences(paragraph):
            words = sentence.encode().translate(_BLANKS).decode().split()
            mask = 0
            for start in range(0, len(words), SENTENCE_WORDS):
                if piece.words >= PIECE_WORDS:
                    piece = self._piece(quoted)
                mask = self._words(words[start : start + SENTENCE_WORDS], piece)
                piece.masks.add(mask)
            if words and end in _ASKING:
                piece.ask(mask)

    def _other(self, paragraph: str, quoted: bool) -> None:
        piece = self._piece(quoted)
        unspaced = _UNSPACED.search(paragraph) is not None
        for sentence, end in _sentences(paragraph):
            words = WORD.findall(sentence)
            mask = 0
            for start in range(0, len(words), SENTENCE_WORDS):
                if piece.words >= PIECE_WORDS:
                    piece = self._piece(quoted)
                piece.ascii = False
                part = words[start : start + SENTENCE_WORDS]
                mask = self._words(part, piece)
                if unspaced and len(words) <= SENTENCE_WORDS:
                    mask |= self._unspaced(sentence, piece)
                elif unspaced:
                    mask |= self._unspaced(" ".join(part), piece)
                piece.masks.add(mask)
            if words and (end in _ASKING or _asks(sentence, end)):
                piece.ask(mask)

    def _piece(self, quoted: bool) -> Piece:
        """A new piece; beyond the limit all that follows goes into the last one."""
        if len(self.pieces) < PIECE_LIMIT:
            self.pieces.append(Piece(quoted=quoted))
        return self.pieces[-1]

    def _words(self, words: list[str], piece: Piece) -> int:
        mask = 0
        silent = True
        hits = piece.hits
        position = 0
        for position, entry in enumerate(map(self._memo.__getitem__, words), 1):  # the place of the next word
            if entry is None:
                continue
            mask |= entry.ideas
            if entry.hits:
                hits.update(entry.hits)
                silent = silent and not entry.loud
            if entry.phrases and position < len(words) and (key := words[position][:STEM_KEY]) in entry.phrases:
                for phrase in entry.phrases[key]:
                    if _follows(words, position, phrase.rest):
                        mask |= phrase.ideas
                        if phrase.hit:
                            hits.add(phrase.hit)
                            silent = False
        if silent and len(words) > self.silent and not piece.quoted:
            self.silent = len(words)
        piece.bag.update(words)
        piece.words += len(words)
        piece.sentences.append(words)
        return mask

    def _unspaced(self, sentence: str, piece: Piece) -> int:
        """The ideas in a sentence whose words run together. Only literals whose first two letters occur are tried."""
        table = self._lexicon.unspaced
        mask = 0
        if sentence.isascii():
            tried = [self._lexicon.unspaced_ascii]
        else:
            tried = [table[start] for start in table.keys() & set(map(concat, sentence, sentence[1:]))]
        for literal, ideas, hit in chain.from_iterable(tried):
            if literal in sentence:
                mask |= ideas
                if hit:
                    piece.hits.add(hit)
        return mask

    # --- what only a look at the language asks for ------------------------------------------------------------

    def common(self, piece: Piece) -> tuple[int, int]:
        """How many of its words are common ones of known languages, and how many of other languages only."""
        entries = [entry for words in piece.sentences for word in words if (entry := self._memo[word]) is not None]
        return sum(entry.known for entry in entries), sum(entry.other for entry in entries)

    @property
    def known_script(self) -> int:
        """Letters of scripts whose languages are known."""
        return sum(len(_KNOWN_SCRIPT.findall(paragraph)) for paragraph in self._not_ascii)

    @property
    def other_script(self) -> int:
        """Letters of scripts whose languages are not known."""
        return sum(len(_OTHER_SCRIPT.findall(paragraph)) for paragraph in self._not_ascii)


def _sentences(paragraph: str) -> Iterator[tuple[str, str]]:
    """The sentences of a paragraph, and the character at the end of each."""
    found = _SENTENCE_END.split(paragraph)
    yield from zip(found[:-1:2], found[1::2], strict=True)
    last = found[-1].rstrip(_CLOSING)
    yield found[-1], last[-1:]


def _asks(sentence: str, end: str) -> bool:
    """Is a sentence a question that has no question mark of ours?"""
    return sentence.rstrip("。 ").endswith(_ASKING_WORDS) or (end == ";" and _GREEK.search(sentence) is not None)


def _follows(words: list[str], position: int, rest: tuple[tuple[str, bool], ...]) -> bool:
    """Do the words from `position` on begin with `rest`?"""
    if position + len(rest) > len(words):
        return False
    for offset, (expected, stem) in enumerate(rest, position):
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


_FILENAMES: Final = 50
_FILENAME_CHARS: Final = 200


def _by_rare_character() -> tuple[tuple[str, tuple[tuple[str, Hit], ...]], ...]:
    """The signals by the rarest character in each: looking for one character costs a tenth of looking for more."""
    signals: dict[str, list[tuple[str, Hit]]] = {}
    for literal, weight, label in SIGNALS:
        rarest = min(literal, key=_FREQUENT.find)
        signals.setdefault(rarest, []).append((literal, hit_of(f"signal: {label}", SECURITY, weight)))
    return tuple((character, tuple(found)) for character, found in signals.items())


# The characters of signals in mail, the rarest first.
_FREQUENT: Final = "$%\\<'\"!&=({:+/z-x9jq_53412680.vkbwyghfpdmulcsinroat e\n"
_SIGNALS: Final = _by_rare_character()


def filename_hits(mail: Sortable, lexicon: Lexicon) -> set[Hit]:
    """File names such as `xss-poc.html` speak like words do."""
    hits: set[Hit] = set()
    for name in mail.filenames[:_FILENAMES]:
        for word in WORD.findall(normalise(name[:_FILENAME_CHARS]).replace("_", " ")):
            entry = lexicon.look_up(word)
            if entry is not None:
                hits.update(hit for hit in entry.hits if hit.towards == SECURITY)
    return hits


def signals_in(text: str) -> set[Hit]:
    """The signals (payloads, ids, vectors) that stand in a normalised text."""
    return {hit for rarest, signals in _SIGNALS if rarest in text for literal, hit in signals if literal in text}
