"""Rebuilds the shipped model, and writes what it reaches into docs/model-card.md.

    python -m mailbox_service.sorting.train --corpora DIR --set FILE|DIR [--set ...] [--model FILE] [--card FILE]

The same input makes the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mailbox_service.sorting import model as models
from mailbox_service.sorting.train import card, crossing, fit, material

PACKAGE = Path(__file__).resolve().parents[1]


def built(gathered: material.Material, found: crossing.Crossed) -> models.Model:
    """The model of all mails, with the calibration and thresholds of `found`."""
    everything = np.ones(len(gathered.mails), dtype=bool)
    parts = crossing.train(gathered, everything)
    security, spam = crossing.calibration(gathered, found, everything)
    verdict = {
        "security segment": round(float(security.weights[0]), 3),
        "security bias": round(security.bias, 3),
        "spam mail": round(float(spam.weights[0]), 3),
        "spam bias": round(spam.bias, 3),
    }
    return models.Model(
        segment=_table(gathered, parts.segment),
        spam=_table(gathered, parts.spam),
        verdict=verdict,
        thresholds=crossing.thresholds(gathered, found),
    )


def _table(gathered: material.Material, part: fit.Part) -> dict[str, float]:
    weights: Any = part.weights
    table = {gathered.names[number]: float(weights[number]) for number in np.flatnonzero(weights)}
    return table | {"bias": round(part.bias, 3)}


def main(arguments: list[str]) -> None:
    """Trains, writes the model and the card, and says what was reached."""
    parser = argparse.ArgumentParser(prog="python -m mailbox_service.sorting.train", description=__doc__)
    parser.add_argument("--corpora", type=Path, help="folder with classify.jsonl")
    parser.add_argument("--set", type=Path, action="append", default=[], help="a mailbox set: JSON lines, or a folder")
    parser.add_argument("--model", type=Path, default=PACKAGE / "model.txt")
    parser.add_argument("--card", type=Path, default=PACKAGE.parents[1] / "docs" / "model-card.md")
    options = parser.parse_args(arguments)
    gathered = material.gather(options.corpora, options.set)
    material.build(gathered)
    found = crossing.cross(gathered)
    model = built(gathered, found)
    options.model.write_text(models.dumps(model), encoding="utf-8")
    text = card.written(gathered, found, model)
    options.card.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
