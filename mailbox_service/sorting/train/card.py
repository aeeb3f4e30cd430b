"""The model card: what the model was made of and what it reaches on mails it has not seen."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np

from mailbox_service.sorting.model import Model
from mailbox_service.sorting.train.crossing import INTENTS, Crossed
from mailbox_service.sorting.train.material import Material

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

Written by `python -m mailbox_service.sorting.train --corpora DIR --set tests/data/sorting/mailbox.jsonl --set
tests/data/mailbox_set/train` (install the extra `train`); `DIR` holds `classify.jsonl`. The same input makes the same
bytes.

A linear model over words, pairs of words and the concepts of the lexicon (`mailbox_service/sorting/words/`). Weights
from the corpora are of n-grams in at least five texts of at least two sources, never in mail alone, and of no names,
addresses or hosts; n-grams of the project's own mailbox sets need two mails. `phishing_pot` (CC BY-NC) is not trained
on.

## Made of
"""
_REACHED: Final = """
## What it reaches on mails not seen

Every mail was scored by a model trained without its project (corpora) or writer (sets). The thresholds come from these
same scores. `missed`: reports called *not security* or *spam*; `redirected`: mail that is no security matter, and
called so. The rules for unread mail (languages, attachments), which make more mail unsure, are not counted here.
"""
_TAIL: Final = """
## Blind spots

- Meaning beyond words: a support question that speaks of attacks and a report that speaks of none look alike to it. The
  figures of the mailbox sets above show how much that is; such mail is *unsure*.
- Languages with few mails in the sets: the lexicon alone knows them. Others are *unsure* always.
- The corpora hold no report that is a mail, and hardly a word that is not English.
- The weights of what is known of the sender (a known reporter, a CERT) are set by hand: no corpus holds them.
- What is in PDFs, archives and pictures is not read; such mail is *unsure*.
"""


def written(material: Material, found: Crossed, model: Model) -> str:
    """The card as Markdown."""
    lines = [_HEAD, "| source | security | not security | spam | licence |", "| --- | --- | --- | --- | --- |"]
    sources = sorted({mail.source for mail in material.mails})
    counts = Counter((mail.source, mail.label) for mail in material.mails)
    for source in sources:
        numbers = " | ".join(str(counts[source, label]) for label in ("security", "not_security", "spam"))
        lines.append(f"| {source} | {numbers} | {_LICENCES.get(source, 'CC0, written for this project')} |")
    names = {name for table in (model.segment, model.spam) for name in table if name[0] in "wbp"}
    lines.append(f"\n{len(names)} words and pairs of words, {len(model.segment)} weights for a report.")
    lines.append(_REACHED)
    for intent, step in INTENTS.items():
        lines.append(f"### Intent `{intent}`: at most one report in {step} missed\n")
        lines.append("| source | reports missed | redirected | spam caught |\n| --- | --- | --- | --- |")
        for source in [*sources, "all sets", "all corpora"]:
            lines.append(_row(material, found, model, intent, source))
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n" + _TAIL


def _row(material: Material, found: Crossed, model: Model, intent: str, source: str) -> str:
    labels = np.array([mail.label for mail in material.mails])
    chosen = {"all sets": material.own, "all corpora": ~material.own}.get(
        source, np.array([mail.source == source for mail in material.mails])
    )
    at = {name: model.thresholds[f"{name} {intent}"] for name in ("not_security", "spam", "spam_report")}
    spam = (found.spam_probability >= at["spam"]) & (found.security < at["spam_report"])
    redirect = ~spam & (found.security < at["not_security"])
    missed = _share((spam | redirect)[chosen & (labels == "security")])
    redirected = _share(redirect[chosen & (labels == "not_security")])
    return f"| {source} | {missed} | {redirected} | {_share(spam[chosen & (labels == 'spam')])} |"


def _share(values: Any) -> str:
    return f"{100 * values.mean():.1f} % ({int(values.sum())} of {len(values)})" if len(values) else ""
