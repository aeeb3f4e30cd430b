"""Cross-validation by project and writer: the scores of mails the model has not seen, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse

from mailbox_service.sorting.features import discount
from mailbox_service.sorting.train import fit
from mailbox_service.sorting.train.material import Material

# Weights below this are left out of the model.
SMALL: Final = 0.02
# "Miss at most one report in N", and the intents by name.
STEPS: Final = (10, 20, 50, 100, 200, 500, 1000)
INTENTS: Final = {"open": 20, "balanced": 100, "strict": 500}
# The certainty from which something is called a report, and spam.
SECURITY_AT: Final = {"open": 0.8, "balanced": 0.7, "strict": 0.6}
_SPAM_PRECISION: Final = {"open": 50, "balanced": 200, "strict": 1000}
# Spam is not called spam where the chance of a report is at least so many times the threshold of a redirect.
_SPAM_REPORT: Final = {"open": 0.5, "balanced": 0.4, "strict": 0.3}
_CORPORA_STRICTER: Final = 1.5


@dataclass(slots=True)
class Crossed:
    """Scores of each mail by a model that was trained without its fold."""

    segment: Any  # log-odds of its loudest segment
    spam: Any  # log-odds of spam
    security: Any = None  # probability of a report, calibrated without the fold
    spam_probability: Any = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a model, small weights set to nought."""

    segment: fit.Part
    spam: fit.Part


def train(material: Material, chosen: Any) -> Parts:
    """The model of the chosen mails."""
    parts = (fit.segments(material, chosen), fit.spam(material, chosen))
    return Parts(*(fit.Part(np.where(abs(p.weights) < SMALL, 0.0, np.round(p.weights, 3)), p.bias) for p in parts))


def scored(material: Material, parts: Parts, wanted: Any) -> Crossed:
    """The scores of the wanted mails; of all others nought."""
    total = len(material.mails)
    rows = np.flatnonzero(wanted[material.mail_of])
    best = np.full(total, -30.0)
    scores = material.rows[rows] @ parts.segment.weights + parts.segment.bias
    places = rows - np.searchsorted(material.mail_of, material.mail_of[rows])
    np.maximum.at(best, material.mail_of[rows], scores - np.array([discount(int(place)) for place in places]))
    columns = np.flatnonzero(parts.spam.weights)
    spam = fit.whole_mails(material, columns) @ parts.spam.weights[columns] + parts.spam.bias
    return Crossed(np.where(wanted, best, 0.0), np.where(wanted, spam, 0.0))


def cross(material: Material) -> Crossed:
    """Every mail scored by a model that saw nothing of its project or writer, and calibrated in the same way."""
    folds = np.array(material.folds)
    total = len(material.mails)
    found = Crossed(np.zeros(total), np.zeros(total), np.zeros(total), np.zeros(total))
    for fold in sorted(set(material.folds)):
        left_out = folds == fold
        part = scored(material, train(material, ~left_out), left_out)
        found.segment += part.segment
        found.spam += part.spam
    for fold in sorted(set(material.folds)):
        left_out = folds == fold
        security, spam = calibration(material, found, ~left_out)
        found.security[left_out] = _share(found.segment[left_out] * security.weights[0] + security.bias)
        found.spam_probability[left_out] = _share(found.spam[left_out] * spam.weights[0] + spam.bias)
    return found


def _share(log_odds: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))


def calibration(material: Material, found: Crossed, chosen: Any) -> tuple[fit.Part, fit.Part]:
    """How scores become probabilities of a report and of spam."""
    return (
        _calibrated(material, found.segment, "security", fit.OWN_WEIGHT, chosen),
        _calibrated(material, found.spam, "spam", fit.OWN_WEIGHT_SPAM, chosen),
    )


def _calibrated(material: Material, scores: Any, label: str, weight: float, chosen: Any) -> fit.Part:
    y = np.array([float(mail.label == label) for mail in material.mails])[chosen]
    counts = np.where(material.own, weight, 1.0)[chosen]
    return fit.logistic(sparse.csr_matrix(scores[chosen].reshape(-1, 1)), y, counts, np.full(1, 0.1), least=0.0)


def thresholds(material: Material, found: Crossed) -> dict[str, float]:
    """The numbers behind the intents, from scores of mails not seen; no mail of a judging part is among them."""
    labels = np.array([mail.label for mail in material.mails])
    reports = (labels == "security") & np.array([mail.source != "sbrbench" for mail in material.mails])
    own = found.security[reports & material.own]
    other = found.security[reports & ~material.own]
    numbers: dict[str, float] = {}
    for step in STEPS:
        numbers[f"not_security 1/{step}"] = min(_lowest(own, step), _lowest(other, step * _CORPORA_STRICTER))
    chance = found.spam_probability[reports & material.own]
    for intent, step in INTENTS.items():
        numbers[f"not_security {intent}"] = numbers[f"not_security 1/{step}"]
        numbers[f"security {intent}"] = SECURITY_AT[intent]
        numbers[f"spam {intent}"] = max(0.5, 1 - _lowest(1 - chance, _SPAM_PRECISION[intent]))
        numbers[f"spam_report {intent}"] = _SPAM_REPORT[intent]
    return {name: float(f"{value:.4g}") for name, value in numbers.items()}


def _lowest(values: Any, step: float) -> float:
    """The value below which one in `step` lies; beyond the number of values, what lies below all of them."""
    ordered = np.sort(values)
    if not len(ordered):
        return 1.0
    missed = int(len(ordered) / step)
    if missed:
        return float(ordered[missed])
    # One in a thousand of a few hundred was never seen: the lowest, and the less the fewer there are.
    return float(ordered[0]) * max(0.1, len(ordered) / step)
