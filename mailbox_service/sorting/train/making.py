"""From what was learned to the model that is shipped."""

from __future__ import annotations

from array import array
from typing import Any, Final

import numpy as np

from mailbox_service.sorting.learned.features import RUN_BUCKETS, word_hash
from mailbox_service.sorting.learned.model import RUN_STEP, WORD_STEP, Model, Words
from mailbox_service.sorting.train import fit
from mailbox_service.sorting.train.kindred import Kindred
from mailbox_service.sorting.train.material import Material

# Weights of marks below this are left out.
_SMALL: Final = 0.01
_BYTE: Final = 127


def made(
    material: Material,
    kindred: Kindred,
    fits: tuple[fit.Fit, fit.Fit],
    verdict: dict[str, float],
    thresholds: dict[str, float],
) -> Model:
    """The model of the weights for a report and for spam."""
    report, spam = (_marks(material, one) for one in fits)
    return Model(report, spam, verdict, thresholds, _words(material, kindred, fits))


def _marks(material: Material, found: fit.Fit) -> dict[str, float]:
    table = {
        name[2:]: round(float(weight), 3)
        for name, weight in zip(material.names, found.weights, strict=True)
        if name.startswith("m:") and abs(weight) >= _SMALL
    }
    return table | {"bias": round(found.bias, 3)}


def _words(material: Material, kindred: Kindred, fits: tuple[fit.Fit, fit.Fit]) -> Words:
    """All kindred words and all that were learned by themselves, each with the sum of what its features weigh."""
    columns = material.columns
    words = sorted(kindred.of.keys() | {name[2:] for name in material.names if name.startswith("w:")})
    by_hash: dict[int, list[int]] = {}
    for word in words:
        by_hash.setdefault(word_hash(word), columns.of_word(word, own=True))
    hashes = sorted(by_hash)
    lists = [by_hash[number] for number in hashes]
    every = np.array([column for found in lists for column in found])
    starts = np.cumsum([0, *map(len, lists[:-1])])
    tables = [array("b", _bytes(np.add.reduceat(one.weights[every], starts), WORD_STEP)) for one in fits]
    runs = [array("b", _bytes(one.weights[columns.runs : columns.runs + RUN_BUCKETS], RUN_STEP)) for one in fits]
    return Words(array("I", hashes), tables[0], tables[1], (runs[0], runs[1]))


def _bytes(weights: Any, step: float) -> list[int]:
    rounded: list[int] = np.clip(np.round(weights / step), -_BYTE, _BYTE).astype(int).tolist()
    return rounded
