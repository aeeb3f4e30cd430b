"""The model card: what the model was made of and what it reaches on mails it has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from mailbox_service.sorting.evaluation import Judged, calibration, figures
from mailbox_service.sorting.learned.model import Model
from mailbox_service.sorting.train.crossing import INTENTS
from mailbox_service.sorting.train.material import Material, numbered

_LICENCES: Final = {
    "hackerone": "disclosed reports, the reporters' own words; no text is copied",
    "mrtuxracer": "advisories, no licence given; no text is copied",
    "pedrib": "GPL-3.0",
    "rustsec": "CC0",
    "nodejs_wg": "MIT",
    "sbrbench": "issues, no licence given; no text is copied",
    "nlbse2024": "issues, no licence given; no text is copied",
    "gitbugs": "CC BY 4.0",
    "r_lists": "public archive, personal data; no text is copied",
    "enron": "public archive, personal data; no text is copied",
    "spamassassin": "public archive, personal data; no text is copied",
    "grase": "public archive, personal data; no text is copied",
}
_HEAD: Final = """# Model card of the sorter

Written by `python -m mailbox_service.sorting.train --corpora DIR --set training/mailbox_set/train --set
tests/data/sorting/mailbox.jsonl` (install the extra `train`); `DIR` holds `classify.jsonl`. The same input makes the
same bytes. How the sorter works, and what it reached on the judging part of the mailbox set, is in
[sorting.md](sorting.md).

A linear model over distinct words, runs of three to five letters (of the corpora's texts those of the words that are
learned themselves), groups of kindred words of 37 languages
(`training/kindred.txt`), and the marks of the hand-made tables. Words from the corpora are in at least five texts of at
least two sources, never in mail alone, and no names and no parts of addresses; words of the project's own mailbox sets
are in at least two mails. Groups and marks are tables that are not learned from the texts; a term of the hand-made
tables begins with a fifth of its hand-set weight. `phishing_pot` (CC BY-NC) is not trained on.

## Made of
"""
_REACHED: Final = """
## What it reaches on mails not seen

Six folds; each mail was sorted, with all rules, by a model trained without any mail of its project (corpora) or writer
(sets). The writers called t wrote to be hard, those called r as a mailbox receives it. The thresholds come from the
scores of these same mails: at most one report in 1.25 N is missed of the r's, one in 0.3 N of the t's, and one in 2 N
of the corpora without sbrbench. So the share missed is what they were set to, and only the share redirected is a
finding. No threshold comes from the sources tune, judge, blind and round-4 to round-7: the tables behind the marks were
tuned on their mails, and their rows flatter. `missed`: reports called *not security* or *spam*; `redirected`: mail that
is no security matter, and called so.
"""
_TAIL: Final = """
## Blind spots

- Meaning beyond words: a support question that speaks of attacks and a report that speaks of none look alike to it. A
  sentence encoder of 118 million weights, tried on the same folds, hardly did better (docs/sorting.md).
- The corpora hold no report that is a mail, and hardly a word that is not English.
- Languages outside these, and mails most of whose words are unknown: always *unsure*.
- What is in PDFs, archives and pictures is not read; such mail is *unsure*.
- The counts of the mailbox sets are small: one report in a hundred is a handful of mails, and its error is as large.
"""


def written(material: Material, judged: Mapping[str, list[Judged]], model: Model, size: int) -> str:
    """The card as Markdown; `judged` has the mails by intent."""
    lines = [_HEAD, "| source | security | not security | spam | licence |", "| --- | --- | --- | --- | --- |"]
    sources = sorted({mail.source for mail in material.mails}, key=_in_order)
    counts = Counter((mail.source, mail.label) for mail in material.mails)
    for source in sources:
        numbers = " | ".join(str(counts[source, label]) for label in ("security", "not_security", "spam"))
        lines.append(f"| {source} | {numbers} | {_LICENCES.get(source, 'CC0, written for this project')} |")
    lines.append(f"\n{len(model.report) - 1} marks; words and runs of letters in {size:,} bytes.")
    lines.append(_REACHED)
    ours = {mail.source for mail, own in zip(material.mails, material.own, strict=True) if own}
    for intent, mails in judged.items():
        lines.append(f"### Intent `{intent}`: at most one report in {INTENTS[intent]} missed\n")
        lines.append("| source | reports missed | redirected | spam caught |\n| --- | --- | --- | --- |")
        lines += [_row(source, mails, {source}) for source in sources]
        lines.append(_row("**all of t**", mails, {source for source in sources if numbered(source, "t")}))
        lines.append(_row("**all of r**", mails, {source for source in sources if numbered(source, "r")}))
        lines.append(_row("**all sets**", mails, ours))
        lines.append(_row("**all corpora**", mails, set(sources) - ours))
        lines.append("")
    lines.append("## Calibration\n\nOf the mailbox sets' mails, by the chance of a report that they were given:\n")
    lines.append("| chance said, on average | mails | reports among them |\n| --- | --- | --- |")
    for row in calibration([one for one in judged["balanced"] if one.mail.source in ours]):
        lines.append(f"| {row['said']:.2f} | {row['mails']} | {row['reports']:.2f} |")
    return "\n".join(lines) + "\n" + _TAIL


def _in_order(source: str) -> tuple[str, int, str]:
    return (source[0], int(source[1:]), "") if numbered(source, "tr") else ("", 0, source)


def _row(name: str, judged: list[Judged], sources: set[str]) -> str:
    found = figures([one for one in judged if one.mail.source in sources])
    cells = [_share(found["missed"], found["reports"]), _share(found["redirected"], found["others"])]
    return f"| {name} | {' | '.join([*cells, _share(found['spam_caught'], found['spam'])])} |"


def _share(share: Any, total: int) -> str:
    return "" if share is None else f"{100 * share:.1f} % ({round(share * total)} of {total})"
