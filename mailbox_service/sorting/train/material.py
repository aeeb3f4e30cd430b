"""What is trained on: labelled mails with their folds, and what the model sees of them as matrices."""

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
from mailbox_service.sorting.evaluation.labelled import Labelled, read
from mailbox_service.sorting.learned.features import RUN_BUCKETS, FeatureReader, Part, english, runs, scale
from mailbox_service.sorting.learned.sorter import TABLES
from mailbox_service.sorting.lexical import LexicalSorter
from mailbox_service.sorting.tables import Hit
from mailbox_service.sorting.train.kindred import Kindred

FOLDS: Final = 6
# CC BY-NC: evaluation only.
NOT_TRAINED: Final = ("phishing_pot",)
# Of the corpora: words in at least so many texts, of at least so many sources, and not in mail alone.
_TEXTS, _SOURCES, _NOT_MAIL = 5, 2, 2
# Of the mailbox sets, which are ours, and marks, which are our own tables: in at least so many mails.
_OWN_MAILS: Final = 2
_WORD: Final = re.compile(r"\w+")
_WORD_CHARS: Final = 25
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
    """Labelled mails, and the features of each mail and of its parts as rows. A column's name begins with its kind:
    `w:` a word, `r:` a bucket of runs of letters, `k:` and `K:` kindred words (narrow and wide), `m:` a mark."""

    mails: list[Labelled]
    folds: Any  # by mail: what is left out together
    own: Any  # by mail: of the mailbox sets, not of the corpora
    names: list[str] = field(default_factory=list)
    columns: Columns = field(init=False)
    learned: Any = None  # mails x columns: what may be learned of them
    whole: Any = None  # mails x columns: as the sorter reads them
    written: Any = None  # the same, without what is quoted
    parts: Any = None  # parts x columns, in the same way
    mail_of: Any = None  # by part
    english: Any = None  # by mail: is it in English?
    english_written: Any = None  # by mail
    english_parts: Any = None  # by part
    leniency: Any = None  # by mail: what the hand-made tables make of a threshold
    by_hand: dict[str, Hit] = field(default_factory=dict)  # by the name of a mark: what the tables say of it

    @property
    def kinds(self) -> Any:
        """The first letter of each column's name."""
        return np.array([name[0] for name in self.names])

    def labelled(self, label: str) -> Any:
        """1 for the mails with this label, by mail."""
        return np.array([float(mail.label == label) for mail in self.mails])


def gather(corpora: Path | None, sets: Iterable[Path]) -> Material:
    """The mails of the corpora and of the sets, with folds: by project and by writer; near-duplicates in one fold."""
    found = read(corpora / "classify.jsonl") if corpora else []
    found = [mail for mail in found if mail.source not in NOT_TRAINED]
    own = [False] * len(found)
    folds = _project_folds(found)
    for path in sets:
        mails = [mail for mail in read(path) if mail.label in ("security", "not_security", "spam")]
        found += mails
        own += [True] * len(mails)
    writers = sorted({_writer(mail.source) for mail, mine in zip(found, own, strict=True) if mine})
    numbers = {writer: number % FOLDS for number, writer in enumerate(writers)}
    folds += [numbers[_writer(mail.source)] for mail in found[len(folds) :]]
    first: dict[str, int] = {}
    folds = [first.setdefault(fingerprint(mail.mail), fold) for mail, fold in zip(found, folds, strict=True)]
    return Material(found, np.array(folds), np.array(own, dtype=bool))


def numbered(source: str, letters: str) -> bool:
    """Is it a writer's name as the sets have them: one of `letters`, and a number?"""
    return source[:1] != "" and source[0] in letters and source[1:].isdigit()


def _writer(source: str) -> str:
    """Who wrote it: the rounds of the first set are of two writers."""
    if source in ("tune", "judge", "blind"):
        return "first writer"
    return "second writer" if source.startswith("round-") else source


def fingerprint(mail: Sortable) -> str:
    """The same for near-duplicates: the first words of the text, without numbers."""
    words = [word for word in _WORD.findall(" ".join(mail.texts)[:3000].lower()) if word.isalpha()]
    return " ".join(words[5:45] if len(words) > 25 else [*words, mail.subject.lower()])


def _project_folds(mails: list[Labelled]) -> list[int]:
    """A fold for each project, so that each source and label is spread over as many folds as it has projects."""
    sizes = Counter((mail.source, mail.label, mail.project) for mail in mails)
    fold: dict[str, int] = {}
    load: Counter[tuple[str, ...]] = Counter()
    for (source, label, project), size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        if project not in fold:
            fold[project] = min(range(FOLDS), key=lambda n: (load[source, label, str(n)], load[label, str(n)], n))
        load[source, label, str(fold[project])] += size
        load[label, str(fold[project])] += size
    return [fold[mail.project] for mail in mails]


def build(material: Material, kindred: Kindred) -> None:
    """Fills in names and rows: of what may be learned from."""
    reader, tables = FeatureReader(), LexicalSorter()
    material.leniency = np.array([TABLES[tables.sort(mail.mail).outcome] for mail in material.mails])
    looks = [reader.look(mail.mail) for mail in material.mails]
    # Signals of one name weigh differently; the heaviest speaks for all, whichever was met first.
    by_weight = sorted(reader.names.items(), key=lambda met: met[0].weight)
    material.by_hand = {f"m:{name}": hit for hit, name in by_weight}
    usable = _usable_words(material, [look.whole.words for look in looks])
    marks = Counter(mark for look in looks for mark in look.whole.marks)
    columns = Columns(kindred, usable, {mark for mark, count in marks.items() if count >= _OWN_MAILS})
    material.names, material.columns = columns.names, columns
    own = [bool(mine) for mine in material.own]
    material.learned = columns.rows([look.whole for look in looks], own)
    material.whole = columns.rows([look.whole for look in looks], [True] * len(looks))
    material.written = columns.rows([look.written for look in looks], [True] * len(looks))
    parts = [(number, part) for number, look in enumerate(looks) for part in look.parts]
    material.mail_of = np.array([number for number, _ in parts])
    material.english = np.array([english(look.whole.words) for look in looks])
    material.english_written = np.array([english(look.written.words) for look in looks])
    material.english_parts = np.array([english(part.words) for _, part in parts])
    material.parts = columns.rows([part for _, part in parts], [True] * len(parts))


class Columns:
    """The columns, and how a part of a mail fills them."""

    def __init__(self, kindred: Kindred, words: set[str], marks: set[str]) -> None:
        self._kindred = kindred
        self.names = [f"w:{word}" for word in sorted(words)] + [f"m:{mark}" for mark in sorted(marks)]
        self.names += [f"k:{number}" for number in range(kindred.narrow)]
        self.names += [f"K:{number}" for number in range(kindred.wide)]
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self.runs = len(self.names)  # where the buckets of runs begin
        self.names += [f"r:{number}" for number in range(RUN_BUCKETS)]
        self._word: dict[tuple[str, bool], list[int]] = {}

    def of_word(self, word: str, own: bool) -> list[int]:
        """The columns of a word; runs of letters are learned from our `own` mails, and of the corpora from the words
        that may be learned themselves."""
        found = self._word.get((word, own))
        if found is None:
            found = [self._numbers[name] for name in (f"w:{word}",) if name in self._numbers]
            kin = self._kindred.of.get(word)
            if kin is not None:
                found += [self._numbers[f"k:{kin[0]}"], self._numbers[f"K:{kin[1]}"]]
            if own or f"w:{word}" in self._numbers:
                found += [self.runs + bucket for bucket in runs(word)]
            self._word[word, own] = found
        return found

    def rows(self, parts: list[Part], own: list[bool]) -> Any:
        """A row for each part."""
        indices: list[int] = []
        values: list[float] = []
        starts = [0]
        for part, mine in zip(parts, own, strict=True):
            words = [number for word in part.words for number in self.of_word(word, mine)]
            marks = [self._numbers[name] for mark in part.marks if (name := f"m:{mark}") in self._numbers]
            indices += words + marks
            values += [scale(len(part.words))] * len(words) + [1.0] * len(marks)
            starts.append(len(indices))
        shape = (len(parts), len(self.names))
        matrix = sparse.csr_matrix((np.array(values), np.array(indices, dtype=np.int64), np.array(starts)), shape=shape)
        matrix.sum_duplicates()
        return matrix


def _usable_words(material: Material, words_of: list[set[str]]) -> set[str]:
    """The words that may be learned: enough of our own mails, or of the corpora's texts and sources, and no names."""
    own: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    not_mail: Counter[str] = Counter()
    sources: dict[str, set[str]] = {}
    for mail, mine, words in zip(material.mails, material.own, words_of, strict=True):
        if mine:
            own.update(words)
            continue
        texts.update(words)
        if mail.form != "email":
            not_mail.update(words)
        for word in words:
            sources.setdefault(word, set()).add(mail.source)
    bad = _unfit_words(material)
    usable = {word for word, count in own.items() if count >= _OWN_MAILS}
    for word, count in texts.items():
        enough = count >= _TEXTS and len(sources[word]) >= _SOURCES and not_mail[word] >= _NOT_MAIL
        if enough and word not in bad and word.isalpha() and len(word) <= _WORD_CHARS:
            usable.add(word)
    return usable


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
