"""What is trained on: labelled mails with their folds, and their features as a matrix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse

from mailbox_service.sorting import Sortable
from mailbox_service.sorting.features import RUN_BUCKETS, Namer, runs, words_scale
from mailbox_service.sorting.labelled import Labelled, read
from mailbox_service.sorting.reading import Reader

FOLDS: Final = 6
# CC BY-NC: evaluation only.
NOT_TRAINED: Final = ("phishing_pot",)
_WORD: Final = re.compile(r"\w+")
_ADDRESS: Final = re.compile(
    r"\S*(?:://|@|www\.)\S*|\b(?:[\w-]+\.)+(?:com|org|net|io|de|edu|gov|info|co|uk|fr|eu|us)\b"
)
_NAME: Final = re.compile(r"(?<=[a-z,] )([A-Z][a-z]+)\b")
# Words of the form of a mail: in the corpora no report is a mail, so they would say "mail" and not "no report".
_FORM: Final = """
    wrote writes subject from sent cc bcc fw fwd re aw regards cheers hi hello hey dear sincerely thanks thank thx bye
    list lists mailing unsubscribe subscribe forwarded original message mon tue wed thu fri sat sun monday tuesday
    wednesday thursday friday saturday sunday jan feb mar apr jun jul aug sep oct nov dec am pm phone fax tel mailto
    http https www com org net html htm email mail date reply best kind yours sir madam guys folks all everyone
"""
FORM_WORDS: Final = frozenset(_FORM.split())


@dataclass(slots=True)
class Material:
    """Labelled mails, the segments of each as rows of features."""

    mails: list[Labelled]
    folds: list[str]
    own: Any  # is it of the mailbox sets (true) or of the corpora (false), by mail
    names: list[str] = field(default_factory=list)  # of the columns
    rows: Any = None  # segments x features
    mail_of: Any = None  # by row
    present: Any = None  # mails x features, 0 or 1
    kinds: Any = None  # the first letter of each column's name
    distinct: Any = None  # distinct words by mail
    runs: Any = None  # mails x buckets of runs of letters, scaled
    unfit: Any = None  # columns that may not be learned from corpora: names, addresses, numbers


def gather(corpora: Path | None, sets: Iterable[Path]) -> Material:
    """The mails of the corpora and of the sets, with folds: by project, by writer; near-duplicates in one fold."""
    found = read(corpora / "classify.jsonl") if corpora else []
    found = [mail for mail in found if mail.source not in NOT_TRAINED]
    own = [False] * len(found)
    folds = _project_folds(found)
    for path in sets:
        for mail in read(path):
            if mail.label in ("security", "not_security", "spam"):
                found.append(mail)
                own.append(True)
                folds.append(_writer(mail.source))
    # Every fold leaves out some projects of the corpora and some writers as a whole.
    writers = sorted(set(folds[sum(not mine for mine in own) :]))
    numbers = {writer: f"corpora-{number % FOLDS}" for number, writer in enumerate(writers)}
    folds = [numbers.get(fold, fold) for fold in folds]
    first: dict[str, str] = {}
    folds = [first.setdefault(fingerprint(mail.mail), fold) for mail, fold in zip(found, folds, strict=True)]
    return Material(found, folds, np.array(own, dtype=bool))


def _writer(source: str) -> str:
    """Who wrote it: the rounds of the first set are of two writers."""
    if source in ("tune", "judge", "blind"):
        return "first writer"
    return "second writer" if source.startswith("round-") else source


def fingerprint(mail: Sortable) -> str:
    """The same for near-duplicates: the first words of the text, without numbers."""
    words = [word for word in _WORD.findall(" ".join(mail.texts)[:3000].lower()) if word.isalpha()]
    return " ".join(words[5:45] if len(words) > 25 else [*words, mail.subject.lower()])


def _project_folds(mails: list[Labelled]) -> list[str]:
    """A fold for each project, so that each source and label is spread over as many folds as it has projects."""
    sizes = Counter((mail.source, mail.label, mail.project) for mail in mails)
    fold: dict[str, int] = {}
    load: Counter[tuple[str, ...]] = Counter()
    for (source, label, project), size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        if project not in fold:
            fold[project] = min(range(FOLDS), key=lambda n: (load[source, label, str(n)], load[label, str(n)], n))
        load[source, label, str(fold[project])] += size
        load[label, str(fold[project])] += size
    return [f"corpora-{fold[mail.project]}" for mail in mails]


def build(material: Material, least: int = 2) -> None:
    """Fills in the features: those in at least `least` mails."""
    reader = Reader()
    namer = Namer(reader.lexicon, reader.bits)
    rows: list[dict[str, int]] = []
    mail_of: list[int] = []
    distinct: list[int] = []
    words_of: list[list[str]] = []
    counts: Counter[str] = Counter()
    for number, mail in enumerate(material.mails):
        features = [namer.all(segment) for segment in reader.segments(mail.mail)]
        met: set[str] = set().union(*features)
        distinct.append(sum(name.startswith("w:") for name in met))
        words_of.append([name[2:] for name in met if name.startswith("w:")])
        counts.update(met)
        rows += features
        mail_of += [number] * len(features)
    material.names = sorted(name for name, count in counts.items() if count >= least)
    column = {name: number for number, name in enumerate(material.names)}
    indices: list[int] = []
    values: list[float] = []
    starts = [0]
    for row in rows:
        kept = sorted((column[name], value) for name, value in row.items() if name in column)
        indices += [number for number, _ in kept]
        values += [value for _, value in kept]
        starts.append(len(indices))
    shape = (len(rows), len(material.names))
    material.rows = sparse.csr_matrix((np.array(values, dtype=float), np.array(indices), np.array(starts)), shape=shape)
    material.mail_of = np.array(mail_of)
    ones = np.ones(len(rows))
    spread = sparse.csr_matrix((ones, (material.mail_of, np.arange(len(rows)))), shape=(len(material.mails), len(rows)))
    present = (spread @ material.rows).tocsc()
    present.data = np.ones_like(present.data)
    material.present = present
    material.distinct = np.array(distinct)
    material.kinds = np.array([name[0] for name in material.names])
    bad = _unfit_words(material)
    material.unfit = np.array([_unfit(name, bad) for name in material.names])
    material.runs = _runs(material, words_of, bad)


def _runs(material: Material, words_of: list[list[str]], bad: set[str]) -> Any:
    """The runs of letters of each mail's distinct words; of the corpora without names and addresses."""
    known: dict[str, list[int]] = {}
    indices: list[int] = []
    starts = [0]
    scales: list[float] = []
    for words, own in zip(words_of, material.own, strict=True):
        for word in words:
            if own or word not in bad:
                if word not in known:
                    known[word] = runs(word)
                indices += known[word]
        scales += [words_scale(len(words))] * (len(indices) - starts[-1])
        starts.append(len(indices))
    shape = (len(words_of), RUN_BUCKETS)
    found = sparse.csr_matrix((np.array(scales), np.array(indices), np.array(starts)), shape=shape)
    found.sum_duplicates()
    return found


def _unfit_words(material: Material) -> set[str]:
    """Words of the corpora that are names, or stand in addresses."""
    total: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for mail, own in zip(material.mails, material.own, strict=True):
        if own:
            continue
        for text in mail.mail.texts:
            total.update(word.lower() for word in _WORD.findall(text))
            bad.update(word.lower() for address in _ADDRESS.findall(text) for word in _WORD.findall(address))
            bad.update(name.lower() for name in _NAME.findall(text))
    return {word for word, count in bad.items() if count > 0.4 * total[word]} | FORM_WORDS


def _unfit(name: str, bad: set[str]) -> bool:
    if name[0] == "p":
        return True  # the first letters of words show too little of what they are
    words = name[2:].split(" ") if name[0] in "wb" else []
    return any(word in bad or not word.replace("_", "").isalpha() or len(word) > 25 for word in words)
