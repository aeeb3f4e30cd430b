"""Logistic regression with a prior for each kind of feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import minimize

from mailbox_service.sorting.train.material import Material

# How strongly a weight is drawn to nought, by what is told apart and the kind of its feature.
PRIOR: Final = {
    "security": {"w": 10.0, "r": 50.0, "k": 20.0, "K": 20.0, "m": 7.0},
    "spam": {"w": 6.0, "r": 25.0, "k": 5.5, "K": 5.5, "m": 6.0},
}
# Pairs of ideas are many and rare.
PRIOR_PAIRS: Final = 20.0
# How much of the weight that the tables give to a term is believed before anything is learned of it.
BY_HAND: Final = 0.2
# A text of the corpora counts as so much of a mail of the mailbox sets: it is not what a mailbox receives. Reports
# count more, so that none of their kind is missed, and mail more than issues.
CORPORA_REPORT: Final = 1.0
CORPORA_MAIL: Final = 0.3
CORPORA_OTHER: Final = 0.1
# The same where spam is told from all other mail; there a report counts as several, for spam is passed over in silence.
CORPORA_SPAM: Final = 0.2
NO_SPAM_REPORT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights for all columns, and the bias: log-odds."""

    weights: Any
    bias: float


def logistic(x: Any, y: Any, counts: Any, prior: Any, middle: Any = 0.0) -> Fit:
    """The likeliest weights, each drawn to its `middle` by its `prior`; each row counts as often as `counts` says."""
    transposed = x.T.tocsr()
    sign = 2 * y - 1.0

    def loss(point: Any) -> Any:
        weights, bias = point[:-1], point[-1]
        margin = sign * (x @ weights + bias)
        share = 1 / (1 + np.exp(np.clip(margin, -35, 35)))
        gradient = -counts * sign * share
        off = weights - middle
        value = (counts * np.logaddexp(0, -margin)).sum() + 0.5 * (prior * off * off).sum()
        return value, np.append(transposed @ gradient + prior * off, gradient.sum())

    options = {"maxiter": 250, "maxcor": 10, "ftol": 1e-7}
    begin = np.append(np.zeros(x.shape[1]) + middle, 0.0)
    point = minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x
    return Fit(point[:-1], float(point[-1]))


def fitted(material: Material, chosen: Any, label: str) -> Fit:
    """The weights that tell whole mails of `label` from all others, learned from the chosen mails."""
    rows = np.flatnonzero(chosen)
    x = material.learned[rows]
    columns = np.flatnonzero(np.diff(x.tocsc().indptr))
    y = material.labelled(label)[rows]
    counts = _counts(material, label)[rows]
    prior = np.array([prior_of(material.names[column], label) for column in columns])
    by_hand = _by_hand(material, label)
    found = logistic(x[:, columns].tocsr(), y, counts, prior, by_hand[columns])
    weights = by_hand.copy()  # a term that was never met keeps what the tables say
    weights[columns] = found.weights
    return Fit(weights, found.bias)


def _counts(material: Material, label: str) -> Any:
    """As how many mails each mail counts."""
    reports = material.labelled("security") == 1
    if label == "spam":
        return np.where(material.own, 1.0, CORPORA_SPAM) * np.where(reports, NO_SPAM_REPORT, 1.0)
    mail = np.array([mail.form == "email" for mail in material.mails])
    corpora = np.where(reports, CORPORA_REPORT, np.where(mail, CORPORA_MAIL, CORPORA_OTHER))
    return np.where(material.own, 1.0, corpora)


def prior_of(name: str, label: str) -> float:
    """How strongly the weight of the column with this name is drawn to nought."""
    return PRIOR_PAIRS if name.startswith("m:ideas: ") else PRIOR[label][name[0]]


def _by_hand(material: Material, label: str) -> Any:
    """What the hand-made tables say of each column, as far as it is trusted."""
    weights = np.zeros(len(material.names))
    for place, name in enumerate(material.names):
        hit = material.by_hand.get(name)
        if hit is not None and hit.towards == label:
            weights[place] = BY_HAND * hit.weight
        elif hit is not None and label == "security" and hit.towards == "not_security":
            weights[place] = -BY_HAND * hit.weight
    return weights
