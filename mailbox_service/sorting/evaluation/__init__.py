"""How good is the sorter on labelled mails? The figures; `page` draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from mailbox_service.sorting import Outcome, Sorter, Verdict
from mailbox_service.sorting.evaluation.labelled import Labelled

_MISSED: Final = (Outcome.NOT_SECURITY, Outcome.SPAM)
_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled mail, and what the sorter said."""

    mail: Labelled
    verdict: Verdict
    seconds: float

    @property
    def mistake(self) -> float:
        """How wrong it is: 0 is right or unsure, more is worse."""
        label, outcome = self.mail.label, self.verdict.outcome
        if label == "security":
            return 2.0 - self.verdict.security if outcome in _MISSED else 0.0
        if label in ("not_security", "spam", "either"):
            wrong = outcome is Outcome.SECURITY if label != "either" else outcome in _MISSED
            return self.verdict.security if wrong else 0.0
        return 0.0


def judge(mails: Iterable[Labelled], sorter: Sorter) -> list[Judged]:
    """Every mail sorted, with the time it took."""
    found = []
    for mail in mails:
        begun = perf_counter()
        verdict = sorter.sort(mail.mail)
        found.append(Judged(mail, verdict, perf_counter() - begun))
    return found


def report(judged: list[Judged]) -> dict[str, Any]:
    """All figures: in all, per source, per kind and per language."""
    return {
        "all": figures(judged),
        "source": _grouped(judged, lambda mail: mail.source),
        "kind": _grouped(judged, lambda mail: f"{mail.label}: {mail.kind}"),
        "language": _grouped(judged, lambda mail: mail.language),
        "calibration": calibration(judged),
        "trade_off": trade_off(judged),
    }


def _grouped(judged: list[Judged], key: Callable[[Labelled], str]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        groups.setdefault(key(one.mail), []).append(one)
    return {name: figures(group) for name, group in sorted(groups.items())}


def figures(judged: list[Judged]) -> dict[str, Any]:
    """The figures of some mails; a share of nothing is None."""
    by_label: dict[str, list[Outcome]] = {}
    for one in judged:
        by_label.setdefault(one.mail.label, []).append(one.verdict.outcome)
    reports, others = by_label.get("security", []), by_label.get("not_security", [])
    spam, either = by_label.get("spam", []), by_label.get("either", [])
    called = [one for one in judged if one.verdict.outcome is Outcome.SECURITY and one.mail.label in _COUNTED]
    counted = [one for one in judged if one.mail.label in _COUNTED]
    return {
        "mails": len(judged),
        "reports": len(reports),
        "missed": share(reports, *_MISSED),
        "missed_count": sum(outcome in _MISSED for outcome in reports),
        "redirected": share(others, Outcome.NOT_SECURITY),
        "others": len(others),
        "others_called_security": share(others, Outcome.SECURITY),
        "spam": len(spam),
        "spam_caught": share(spam, Outcome.SPAM),
        "spam_acknowledged": share(spam, Outcome.SECURITY),
        "either_right": share(either, Outcome.UNSURE, Outcome.SECURITY),
        "unsure": share([one.verdict.outcome for one in counted], Outcome.UNSURE),
        "precision": sum(one.mail.label == "security" for one in called) / len(called) if called else None,
        "auc": auc([(one.verdict.security, one.mail.label == "security") for one in counted]),
        "automatic": len(by_label.get("automatic", [])),
        "milliseconds": 1000 * sum(one.seconds for one in judged) / max(1, len(judged)),
    }


_COUNTED: Final = ("security", "not_security", "spam")


def share(outcomes: list[Outcome], *wanted: Outcome) -> float | None:
    """How many of `outcomes` are among `wanted`, as a share; None of none."""
    return sum(outcome in wanted for outcome in outcomes) / len(outcomes) if outcomes else None


def auc(scores: list[tuple[float, bool]]) -> float | None:
    """The chance that a report scores above another mail; None where there are not both."""
    positive = sum(is_report for _, is_report in scores)
    negative = len(scores) - positive
    if not positive or not negative:
        return None
    ordered = sorted(scores, key=lambda pair: pair[0])
    ranks, start = 0.0, 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end][0] == ordered[start][0]:
            end += 1
        rank = (start + 1 + end) / 2
        ranks += rank * sum(is_report for _, is_report in ordered[start:end])
        start = end
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def calibration(judged: list[Judged]) -> list[dict[str, Any]]:
    """The reliability table: of mails to which a chance was given, how many are reports."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for one in judged:
        if one.mail.label in _COUNTED:
            place = min(_BINS - 1, int(one.verdict.security * _BINS))
            bins[place].append((one.verdict.security, one.mail.label == "security"))
    return [
        {
            "from": number / _BINS,
            "mails": len(found),
            "said": sum(chance for chance, _ in found) / len(found),
            "reports": sum(is_report for _, is_report in found) / len(found),
        }
        for number, found in enumerate(bins)
        if found
    ]


def trade_off(judged: list[Judged]) -> list[dict[str, float]]:
    """What other thresholds would have brought: reports missed against other mail redirected, by threshold."""
    reports = [one.verdict.security for one in judged if one.mail.label == "security"]
    others = [one.verdict.security for one in judged if one.mail.label == "not_security"]
    if not reports or not others:
        return []
    steps = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    return [
        {
            "threshold": at,
            "missed": sum(chance < at for chance in reports) / len(reports),
            "redirected": sum(chance < at for chance in others) / len(others),
        }
        for at in steps
    ]


def worst(judged: list[Judged], limit: int = 25) -> list[Judged]:
    """The worst mistakes, missed reports first."""
    return sorted((one for one in judged if one.mistake > 0), key=lambda one: -one.mistake)[:limit]
