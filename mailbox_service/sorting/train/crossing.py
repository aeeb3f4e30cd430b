"""Cross-validation by project and writer: the scores of mails the model has not seen, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse

from mailbox_service.sorting.learned.scoring import LIMIT, PART_DISCOUNT
from mailbox_service.sorting.learned.sorter import PLAIN_SPAM, PLAIN_SPAM_REPORT
from mailbox_service.sorting.train import fit
from mailbox_service.sorting.train.material import FOLDS, Material, numbered

# "Miss at most one report in N", and the intents by name.
STEPS: Final = (10, 20, 50, 100, 200, 500, 1000)
INTENTS: Final = {"open": 20, "balanced": 100, "strict": 500}
# The certainty from which something is called a report.
SECURITY_AT: Final = {"open": 0.8, "balanced": 0.7, "strict": 0.6}
# Of so many reports one may look like spam. Beside that chance, spam is not called spam where a report is this likely.
_SPAM_REPORTS: Final = {"open": 100, "balanced": 300, "strict": 1000}
_SPAM_REPORT: Final = {"open": 0.5, "balanced": 0.35, "strict": 0.25}
# The writers on whose reports the thresholds are measured, by the first letter of their names, and how much stricter
# than the promised one in N: for all that is missed, and for what is called spam. `r` wrote what a mailbox gets, which
# is what is promised, with a reserve; `t` wrote pairs of mails that are hard to tell apart, where people err, too. The
# older set is not among them: the hand-made tables were tuned on its mails.
_KINDS: Final = {"r": (1.25, 2.0), "t": (0.3, 0.4)}
# The corpora flatter.
_CORPORA_STRICTER: Final = (2.0, 2.0)
# Labels full of errors.
_NOISY: Final = ("sbrbench",)


@dataclass(slots=True)
class Crossed:
    """Scores of each mail by a model that was trained without its fold; probabilities calibrated without it, too."""

    report: Any
    spam: Any
    english: Any  # whether what decided on the report is in English
    report_chance: Any
    spam_chance: Any


def scored(material: Material, report: fit.Fit, spam: fit.Fit, wanted: Any) -> tuple[Any, Any, Any]:
    """The scores of the wanted mails, as the sorter makes them, and what language decided; of all others nought."""
    rows = np.flatnonzero(wanted)
    total = len(material.mails)
    best, spams, english = np.zeros(total), np.zeros(total), wanted & material.english
    whole, written = (mails[rows] @ report.weights + report.bias for mails in (material.whole, material.written))
    best[rows] = np.maximum(whole, written)
    newer = rows[written > whole]
    english[newer] = material.english_written[newer]
    spams[rows] = np.minimum(*(mails[rows] @ spam.weights for mails in (material.whole, material.written))) + spam.bias
    parts = np.flatnonzero(wanted[material.mail_of])
    loud = material.parts[parts] @ report.weights + report.bias - PART_DISCOUNT
    order = np.argsort(loud, kind="stable")  # the loudest of a mail last
    louder = order[loud[order] > best[material.mail_of[parts[order]]]]
    best[material.mail_of[parts[louder]]] = loud[louder]
    english[material.mail_of[parts[louder]]] = material.english_parts[parts[louder]]
    return np.clip(best, -LIMIT, LIMIT), np.clip(spams, -LIMIT, LIMIT), english


def cross(material: Material) -> tuple[Crossed, list[tuple[fit.Fit, fit.Fit]]]:
    """Every mail scored by a model that saw nothing of its project or writer, and calibrated in the same way; and
    these models, by fold."""
    total = len(material.mails)
    nought = np.zeros(total)
    found = Crossed(nought.copy(), nought.copy(), np.zeros(total, dtype=bool), nought.copy(), nought.copy())
    pairs = []
    for fold in range(FOLDS):
        out = material.folds == fold
        pairs.append((fit.fitted(material, ~out, "security"), fit.fitted(material, ~out, "spam")))
        report, spam, english = scored(material, *pairs[-1], out)
        found.report += report
        found.spam += spam
        found.english |= english
    for fold in range(FOLDS):
        out = material.folds == fold
        numbers = verdict(material, found, ~out)
        for language, which in (("english", found.english & out), ("other", ~found.english & out)):
            share, bias = numbers[f"report share {language}"], numbers[f"report bias {language}"]
            found.report_chance[which] = _chance(found.report[which] * share + bias)
        found.spam_chance[out] = _chance(found.spam[out] * numbers["spam share"] + numbers["spam bias"])
    return found, pairs


def _chance(log_odds: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(log_odds, -LIMIT, LIMIT)))


def verdict(material: Material, found: Crossed, chosen: Any) -> dict[str, float]:
    """How scores become probabilities of a report, for English and for other languages, and of spam: learned from the
    mailbox sets. In English the model knows more, and other mail is further below the reports."""
    own = chosen & material.own
    numbers: dict[str, float] = {}
    for part, scores, label, rows in (
        ("report {} english", found.report, "security", own & found.english),
        ("report {} other", found.report, "security", own & ~found.english),
        ("spam {}", found.spam, "spam", own),
    ):
        x = sparse.csr_matrix(scores[rows].reshape(-1, 1))
        one = fit.logistic(x, material.labelled(label)[rows], np.ones(int(rows.sum())), np.full(1, 0.01))
        numbers[part.format("share")] = round(float(one.weights[0]), 3)
        numbers[part.format("bias")] = round(one.bias, 3)
    return numbers


def thresholds(material: Material, found: Crossed) -> dict[str, float]:
    """The numbers behind the intents, from scores of mails not seen; no mail of a judging part is among them."""
    sources = np.array([mail.source for mail in material.mails])
    reports = material.labelled("security") == 1
    own = reports & material.own
    kinds = [(own & np.array([numbered(source, kind) for source in sources]), *more) for kind, more in _KINDS.items()]
    groups = [group for group in kinds if group[0].any()] or [(own, 1.0, 1.0)]
    groups.append((reports & ~material.own & ~np.isin(sources, _NOISY), *_CORPORA_STRICTER))
    # What the tables see as a report is kept, and called spam only in plain sight.
    unseen = material.leniency > 0
    numbers: dict[str, float] = {}
    for intent, share in _SPAM_REPORTS.items():
        doubtful = unseen & (found.report_chance < _SPAM_REPORT[intent])
        at = [_spam_from(found, group, group & doubtful, share * more) for group, _, more in groups]
        numbers[f"spam {intent}"] = max(0.5, *at)
        numbers[f"spam_report {intent}"] = _SPAM_REPORT[intent]
        numbers[f"security {intent}"] = SECURITY_AT[intent]
    # The chance at which a mail's own threshold, be it stricter or more lenient, would be this one.
    lenient = np.maximum(material.leniency, 1e-9)
    chance = np.where(unseen, found.report_chance / lenient, 1.0)
    for name, step, intent in [*((f"1/{step}", step, "balanced") for step in STEPS), *_named_steps()]:
        spam = found.spam_chance >= numbers[f"spam {intent}"]
        plain = (found.spam_chance >= PLAIN_SPAM) & (found.report_chance < PLAIN_SPAM_REPORT[intent])
        lost = spam & (unseen | plain) & (found.report_chance < numbers[f"spam_report {intent}"])
        found_at = [_lowest(chance[group & ~lost], step * more, int((group & lost).sum())) for group, more, _ in groups]
        numbers[f"not_security {name}"] = min(found_at) * 0.9995  # rounded, it is not above a report that is kept
    return {name: float(f"{value:.4g}") for name, value in sorted(numbers.items())}


def _spam_from(found: Crossed, group: Any, doubtful: Any, share: float) -> float:
    """The chance of spam that one in `share` reports of a group reaches, all of them among the doubtful ones."""
    spare = max(1.0, share * doubtful.sum() / max(1, group.sum()))
    return 1 - _lowest(1 - found.spam_chance[doubtful], spare)


def _named_steps() -> list[tuple[str, int, str]]:
    return [(intent, step, intent) for intent, step in INTENTS.items()]


def _lowest(values: Any, step: float, lost: int = 0) -> float:
    """The value below which one in `step` lies, `lost` ones that are no values counted among these; beyond their
    number, what lies below all of them."""
    ordered = np.sort(values)
    if not len(ordered):
        return 1.0
    total = len(ordered) + lost
    missed = int(total / step) - lost
    if missed > 0:
        return float(ordered[missed])
    # One in a thousand of a few hundred was never seen: the lowest, and the less the fewer there are.
    return float(ordered[0]) * min(1.0, max(0.1, total / step))
