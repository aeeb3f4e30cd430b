"""Rebuilds the shipped model, and writes what it reaches into docs/model-card.md.

    python -m mailbox_service.sorting.train --corpora DIR --set FILE|DIR [--set ...] [--kindred FILE] [--out DIR]
        [--card FILE]

The same input makes the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from mailbox_service.sorting.evaluation import Judged, judge
from mailbox_service.sorting.learned import model as models
from mailbox_service.sorting.learned.sorter import INTENTS, TrainedSorter
from mailbox_service.sorting.train import card, crossing, fit, kindred, making, material

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]


def main(arguments: list[str]) -> None:
    """Trains, writes the model and the card, and says what was reached."""
    parser = argparse.ArgumentParser(prog="python -m mailbox_service.sorting.train", description=__doc__)
    parser.add_argument("--corpora", type=Path, help="folder with classify.jsonl")
    parser.add_argument("--set", type=Path, action="append", default=[], help="a mailbox set: JSON lines, or a folder")
    parser.add_argument("--kindred", type=Path, default=ROOT / "training" / "kindred.txt")
    parser.add_argument("--out", type=Path, default=PACKAGE / "learned")
    parser.add_argument("--card", type=Path, default=ROOT / "docs" / "model-card.md")
    options = parser.parse_args(arguments)
    kin = kindred.read(options.kindred)
    gathered = material.gather(options.corpora, options.set)
    material.build(gathered, kin)
    found, pairs = crossing.cross(gathered)
    at = crossing.thresholds(gathered, found)
    everything = np.ones(len(gathered.mails), dtype=bool)
    fits = fit.fitted(gathered, everything, "security"), fit.fitted(gathered, everything, "spam")
    model = making.made(gathered, kin, fits, crossing.verdict(gathered, found, everything), at)
    text, words = models.dumps(model)
    (options.out / "model.txt").write_text(text, encoding="utf-8")
    (options.out / "words.bin").write_bytes(words)
    judged = {intent: left_out(gathered, kin, found, pairs, at, intent) for intent in INTENTS}
    written = card.written(gathered, judged, model, len(words))
    options.card.write_text(written, encoding="utf-8")
    sys.stdout.write(written)


def left_out(
    gathered: material.Material,
    kin: kindred.Kindred,
    found: crossing.Crossed,
    pairs: list[tuple[fit.Fit, fit.Fit]],
    at: dict[str, float],
    intent: str,
) -> list[Judged]:
    """Every mail sorted by the sorter of a model that was trained, and calibrated, without the mail's fold."""
    judged = []
    for fold, fits in enumerate(pairs):
        out = gathered.folds == fold
        model = making.made(gathered, kin, fits, crossing.verdict(gathered, found, ~out), at)
        mails = [mail for mail, left in zip(gathered.mails, out, strict=True) if left]
        judged += judge(mails, TrainedSorter(intent, model))
    return judged


if __name__ == "__main__":
    main(sys.argv[1:])
