"""Logistic regression with a prior for each group of features, and the two parts of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import minimize

from mailbox_service.sorting.features import words_scale
from mailbox_service.sorting.train.material import Material

# How strongly a weight is drawn to nought, by the kind of its feature: concepts hold in every language, words do not.
_SEGMENT: Final = {"w": 4.0, "b": 6.0, "p": 8.0, "c": 0.3, "d": 0.6, "x": 1.5}
_SPAM: Final = {"w": 1.0, "c": 0.5}
# A mail of the mailbox sets counts as so many texts of the corpora, which are not what a mailbox receives.
OWN_WEIGHT: Final = 15.0
OWN_WEIGHT_SPAM: Final = 4.0
OWN_WEIGHT_MAIL: Final = 5.0
_MAIL: Final = {"w": 3.0, "c": 1.0}
_MAIL_RUNS: Final = 12.0
# From corpora: in at least so many texts, of at least so many sources, and not in mail alone.
_TEXTS, _SOURCES, _NOT_MAIL = 5, 2, 2
_OWN_MAILS: Final = 2
_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class Part:
    """The weights of one part, for all columns, and its bias."""

    weights: Any
    bias: float


def logistic(x: Any, y: Any, counts: Any, prior: Any, start: Any = None, least: float | None = None) -> Part:
    """Weights that are the likeliest; `prior` draws each to nought, `least` bounds all from below."""
    transposed = x.T.tocsr()
    sign = 2 * y - 1.0

    def loss(point: Any) -> Any:
        weights, bias = point[:-1], point[-1]
        margin = sign * (x @ weights + bias)
        share = 1 / (1 + np.exp(np.clip(margin, -35, 35)))
        gradient = -counts * sign * share
        value = (counts * np.logaddexp(0, -margin)).sum() + 0.5 * (prior * weights * weights).sum()
        return value, np.append(transposed @ gradient + prior * weights, gradient.sum())

    begin = np.zeros(x.shape[1] + 1) if start is None else start
    bounds = None if least is None else [(least, None)] * x.shape[1] + [(None, None)]
    options = {"maxiter": 150, "maxcor": 8, "ftol": 1e-6}
    point = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Part(point[:-1], float(point[-1]))


def usable(material: Material, chosen: Any) -> Any:
    """The columns that may be learned from the chosen mails."""
    own = chosen & material.own
    corpora = chosen & ~material.own
    sources = np.array([mail.source for mail in material.mails])
    forms = np.array([mail.form for mail in material.mails])
    met = sum(((corpora & (sources == source)) @ material.present > 0).astype(int) for source in sorted(set(sources)))
    enough = (corpora @ material.present >= _TEXTS) & (met >= _SOURCES) & ~material.unfit
    enough &= (corpora & (forms != "email")) @ material.present >= _NOT_MAIL
    lexicon = np.isin(material.kinds, ["c", "d", "x"])
    return enough | (own @ material.present >= _OWN_MAILS) | (lexicon & (chosen @ material.present >= _TEXTS))


def _spread(part: Part, columns: Any, total: int) -> Part:
    weights = np.zeros(total)
    weights[columns] = part.weights
    return Part(weights, part.bias)


def _priors(material: Material, columns: Any, table: dict[str, float]) -> Any:
    return np.array([table[kind] for kind in material.kinds[columns]])


def segments(material: Material, chosen: Any) -> Part:
    """Is this segment (of) a report? In a report one segment is enough: the loudest, found in rounds."""
    columns = np.flatnonzero(usable(material, chosen) & np.isin(material.kinds, list(_SEGMENT)))
    rows = np.flatnonzero(chosen[material.mail_of])
    x, mail_of = material.rows[rows][:, columns], material.mail_of[rows]
    y = report_labels(material)[mail_of]
    counts = np.where(material.own, OWN_WEIGHT, 1.0)[mail_of]
    number = np.bincount(material.mail_of, minlength=len(material.mails))[mail_of]
    weight = np.where(y == 1, counts / number, counts / np.sqrt(number))
    prior = _priors(material, columns, _SEGMENT)
    start = None
    for round_ in range(_ROUNDS + 1):
        part = logistic(x, y, weight, prior, start)
        start = np.append(part.weights, part.bias)
        if round_ < _ROUNDS:
            scores = x @ part.weights + part.bias
            loudest = np.full(len(material.mails), -np.inf)
            np.maximum.at(loudest, mail_of, scores)
            share = np.exp(1.5 * (scores - loudest[mail_of]))
            whole = np.bincount(mail_of, weights=share, minlength=len(material.mails))
            weight = np.where(y == 1, counts * share / whole[mail_of], weight)
    return _spread(part, columns, len(material.names))


def whole_mails(material: Material, columns: Any) -> Any:
    """Mails x columns: concepts are there or not, words weigh less the more there are."""
    scale = np.array([words_scale(int(count)) for count in material.distinct])
    chosen = material.present[:, columns].tocoo()
    is_word = material.kinds[columns][chosen.col] == "w"
    values = np.where(is_word, scale[chosen.row], 1.0)
    return sparse.csr_matrix((values, (chosen.row, chosen.col)), shape=chosen.shape)


def spam(material: Material, chosen: Any) -> Part:
    """Is this whole mail spam?"""
    columns = np.flatnonzero(usable(material, chosen) & np.isin(material.kinds, list(_SPAM)))
    x = whole_mails(material, columns)[np.flatnonzero(chosen)]
    y = np.array([float(found.label == "spam") for found in material.mails])[chosen]
    counts = np.where(material.own, OWN_WEIGHT_SPAM, 1.0)[chosen]
    return _spread(logistic(x, y, counts, _priors(material, columns, _SPAM)), columns, len(material.names))


def mails(material: Material, chosen: Any) -> tuple[Part, Any]:
    """Is this whole mail a report? Weights of words and concepts, and of the buckets of runs of letters."""
    columns = np.flatnonzero(usable(material, chosen) & np.isin(material.kinds, list(_MAIL)))
    rows = np.flatnonzero(chosen)
    x = sparse.hstack([whole_mails(material, columns)[rows], material.runs[rows]]).tocsr()
    prior = np.append(_priors(material, columns, _MAIL), np.full(material.runs.shape[1], _MAIL_RUNS))
    counts = np.where(material.own, OWN_WEIGHT_MAIL, 1.0)[rows]
    part = logistic(x, report_labels(material)[rows], counts, prior)
    return _spread(Part(part.weights[: len(columns)], part.bias), columns, len(material.names)), part.weights[
        len(columns) :
    ]


def report_labels(material: Material) -> Any:
    """1 for reports, by mail."""
    return np.array([float(found.label == "security") for found in material.mails])
