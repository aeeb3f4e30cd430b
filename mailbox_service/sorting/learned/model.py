"""The shipped model: `model.txt` (marks, calibration, thresholds) and `words.bin` (words and runs of letters).

`model.txt` can be read: a first line with the format's version, sections in brackets, a line for each name with its
numbers, and a last line with the digest of all above and of `words.bin`. Words are known by their CRC-32, so that a
quarter of a million of them take 1.5 MB, and no list of them is in the package.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from mailbox_service.errors import MailboxServiceError
from mailbox_service.sorting.learned.features import RUN_BUCKETS, runs, word_hash

_FIRST: Final = "mailbox-service sorter model"
VERSION: Final = 3
_SECTIONS: Final = ("report", "spam", "verdict", "thresholds")
# Weights of words and runs are kept in a byte each, in steps of this much.
WORD_STEP: Final = 0.01
RUN_STEP: Final = 0.002
# More than the runs of a word can weigh, in steps.
_HALF: Final = 1 << 15


class ModelError(MailboxServiceError):
    """The files are no model, were cut short or changed, or are of another version."""


class Words:
    """Weights by word: of those known as they were learned, of all others by their runs of letters."""

    def __init__(self, hashes: array[int], report: array[int], spam: array[int], runs: tuple[array[int], ...]) -> None:
        self._hashes = hashes  # sorted
        self._weights = (report, spam)
        self._runs = runs  # of a report, of spam: by bucket
        # Both in one number, so that one sum gives both.
        self._both = array("i", (report + 2 * _HALF * spam for report, spam in zip(*runs, strict=True)))

    def known(self, word: str) -> bool:
        """Is it one of the words of the model's languages?"""
        return self._place(word) is not None

    def _place(self, word: str) -> int | None:
        wanted = word_hash(word)
        place = bisect_left(self._hashes, wanted)
        return place if place < len(self._hashes) and self._hashes[place] == wanted else None

    def weights(self, word: str) -> tuple[float, float]:
        """What the word counts for a report and for spam, in log-odds before scaling."""
        place = self._place(word)
        if place is not None:
            return self._weights[0][place] * WORD_STEP, self._weights[1][place] * WORD_STEP
        both = sum(map(self._both.__getitem__, runs(word)))
        report = (both + _HALF) % (2 * _HALF) - _HALF
        return report * RUN_STEP, (both - report) // (2 * _HALF) * RUN_STEP

    def dumps(self) -> bytes:
        """As `words.bin` holds it: the same in every machine."""
        hashes = array("I", self._hashes)
        if sys.byteorder == "big":
            hashes.byteswap()
        parts = [len(hashes).to_bytes(4, "little"), hashes.tobytes()]
        return b"".join([*parts, *(table.tobytes() for table in (*self._weights, *self._runs))])


def words_from(data: bytes) -> Words:
    """The words in the content of `words.bin`; `ModelError` where it is too short or too long."""
    count = int.from_bytes(data[:4], "little")
    if len(data) != 4 + 6 * count + 2 * RUN_BUCKETS:
        raise ModelError("the words of the model were cut short")
    hashes = array("I", data[4 : 4 + 4 * count])
    if sys.byteorder == "big":
        hashes.byteswap()
    start = 4 + 4 * count
    sizes = (count, count, RUN_BUCKETS, RUN_BUCKETS)
    tables = []
    for size in sizes:
        tables.append(array("b", data[start : start + size]))
        start += size
    return Words(hashes, tables[0], tables[1], (tables[2], tables[3]))


@dataclass(frozen=True, slots=True)
class Model:
    """Weights are log-odds. The bias of `report` and of `spam` stands under the name `bias`."""

    report: dict[str, float]  # by mark
    spam: dict[str, float]  # by mark
    verdict: Mapping[str, float]  # how scores become probabilities
    thresholds: Mapping[str, float]  # `not_security 1/200` and the like: the probabilities that part the outcomes
    words: Words
    digest: str = ""  # of the files it was read from


def dumps(model: Model) -> tuple[str, bytes]:
    """The contents of `model.txt` and `words.bin`: sorted, so that the same model is the same bytes."""
    lines = [f"{_FIRST} {VERSION}"]
    for section in _SECTIONS:
        lines.append(f"[{section}]")
        values: Mapping[str, float] = getattr(model, section)
        lines += [f"{name}\t{value:.6g}" for name, value in sorted(values.items())]
    text = "\n".join(lines) + "\n"
    words = model.words.dumps()
    return f"{text}end {_digest(text, words)}\n", words


def _digest(text: str, words: bytes) -> str:
    return hashlib.sha256(text.encode() + words).hexdigest()


def loads(text: str, words: bytes) -> Model:
    """The model in `text` and `words`; `ModelError` says what is wrong with it."""
    first = text.partition("\n")[0]
    if not first.startswith(_FIRST):
        raise ModelError("this is no model of the sorter")
    if first != f"{_FIRST} {VERSION}":
        raise ModelError(f"the model is of another version: {first.removeprefix(_FIRST).strip()[:20]!r}, not {VERSION}")
    body, end, last = text.rpartition("\nend ")
    body += "\n"
    if not end or last.strip() != _digest(body, words):
        raise ModelError("the model was cut short or changed: its last line does not match")
    parts: dict[str, dict[str, float]] = {}
    current: dict[str, float] = {}
    try:
        for line in body.split("\n")[1:-1]:
            name, tab, value = line.partition("\t")
            if tab:
                current[name] = float(value)
            else:
                current = parts[line.strip("[]")] = {}
        return Model(**{section: parts[section] for section in _SECTIONS}, words=words_from(words), digest=last.strip())
    except (KeyError, ValueError) as error:
        raise ModelError(f"the model cannot be read: {error}") from None


def shipped() -> Model:
    """The model in the package."""
    folder = files("mailbox_service.sorting.learned")
    return loads((folder / "model.txt").read_text("utf-8"), (folder / "words.bin").read_bytes())
