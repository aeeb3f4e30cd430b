"""Kindred words: which words of many languages mean about the same, so that what is learned of one holds for all.

A file of text, `training/kindred.txt`: a line for each narrow group of words, `NUMBER OF THE WIDE GROUP<TAB>word word`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

_ROUNDS: Final = 12
_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True)
class Kindred:
    """The groups, numbered from 0."""

    of: dict[str, tuple[int, int]]  # the narrow and the wide group of a word
    narrow: int
    wide: int


def read(path: Path) -> Kindred:
    """The groups in a file."""
    of: dict[str, tuple[int, int]] = {}
    narrow = wide = 0
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        number, _, words = line.partition("\t")
        of.update((word, (narrow, int(number))) for word in words.split(" "))
        narrow, wide = narrow + 1, max(wide, int(number) + 1)
    return Kindred(of, narrow, wide)


def grouped(words: list[str], vectors: Any, narrow: int, wide: int) -> str:
    """The file for `words`, the commonest first, each with the vector that a language model of many languages gives it.

    Narrow groups are made of vectors, wide ones of the narrow ones' centres (k-means on the unit sphere).
    """
    vectors = vectors - vectors.mean(axis=0)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    group, centres = _means(vectors, narrow)
    of_group, _ = _means(centres, wide)
    lines = []
    for number in sorted(range(len(centres)), key=lambda n: (of_group[n], n)):
        members = [words[place] for place in np.flatnonzero(group == number)]
        if members:
            lines.append(f"{of_group[number]}\t{' '.join(sorted(members))}")
    return "\n".join(lines) + "\n"


def _means(vectors: Any, count: int) -> tuple[Any, Any]:
    """The group of each vector, and the groups' centres. Begins with vectors spread evenly over the list."""
    centres = vectors[np.linspace(0, len(vectors) - 1, count).astype(int)]
    group = np.zeros(len(vectors), dtype=int)
    for _ in range(_ROUNDS):
        for start in range(0, len(vectors), _CHUNK):
            group[start : start + _CHUNK] = (vectors[start : start + _CHUNK] @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, group, vectors)
        size = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(size > 0, sums / np.maximum(size, 1e-9), centres)
    return group, centres
