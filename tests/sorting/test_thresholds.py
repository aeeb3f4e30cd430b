"""The thresholds behind the intents: no more reports are missed than promised, of either kind of writers or corpora."""

from __future__ import annotations

import numpy as np
import pytest

from mailbox_service.sorting import Sortable
from mailbox_service.sorting.evaluation.labelled import Labelled
from mailbox_service.sorting.train.crossing import Crossed, thresholds
from mailbox_service.sorting.train.material import Material

# By source: how many reports, and the chance of the least likely one. They are spread from there to 1.
# How much stricter than the promised one in N, by the first letter of the source.
STRICTER = {"t": 0.3, "r": 1.25, "h": 2.0}
HARD, REALISTIC, OLDER, CORPUS = ("t1", 400, 0.05), ("r1", 250, 0.3), ("tune", 100, 0.001), ("hackerone", 600, 0.4)


def made(*sources: tuple[str, int, float]) -> tuple[Material, Crossed]:
    mails, chances = [], []
    for source, count, lowest in sources:
        mails += [Labelled("", source, source, "security", "", "en", "email", Sortable("", ())) for _ in range(count)]
        chances.append(np.linspace(lowest, 1.0, count))
    chance = np.concatenate(chances)
    own = np.array([mail.source != CORPUS[0] for mail in mails])
    material = Material(mails, np.zeros(len(mails)), own)
    material.leniency = np.ones(len(mails))
    return material, Crossed(chance, chance * 0, chance > 2, chance, chance * 0)


def share_missed(material: Material, found: Crossed, source: str, at: float, spam: float, report: float) -> float:
    mine = np.array([mail.source == source for mail in material.mails])
    missed = (found.report_chance < at) | ((found.spam_chance >= spam) & (found.report_chance < report))
    return float(missed[mine].mean())


@pytest.mark.parametrize("sources", [(HARD, REALISTIC, CORPUS), (("t1", 400, 0.5), ("r1", 250, 0.1), CORPUS)])
def test_no_kind_of_source_loses_more_reports_than_it_may(sources: tuple[tuple[str, int, float], ...]) -> None:
    material, found = made(*sources)
    numbers = thresholds(material, found)
    for intent, step in (("open", 20), ("balanced", 100), ("strict", 500)):
        at = [numbers[f"{name} {intent}"] for name in ("not_security", "spam", "spam_report")]
        shares = [share_missed(material, found, name, *at) * STRICTER[name[0]] for name, *_ in sources]
        assert max(shares) <= 1 / step + 1e-9
        if step <= 100:
            assert max(shares) >= 0.7 / step  # and no fewer are redirected than may be


def test_the_older_set_sets_no_threshold_beside_the_others_but_does_alone() -> None:
    assert thresholds(*made(HARD, REALISTIC, OLDER, CORPUS)) == thresholds(*made(HARD, REALISTIC, CORPUS))
    alone = thresholds(*made(OLDER, CORPUS))
    assert alone["not_security balanced"] < thresholds(*made(CORPUS))["not_security balanced"]


def test_reports_that_look_like_spam_count_as_missed() -> None:
    material, found = made(HARD, REALISTIC, CORPUS)
    plain = thresholds(material, found)
    found.spam_chance[20:23] = 0.9
    numbers = thresholds(material, found)
    assert numbers["not_security balanced"] < plain["not_security balanced"]
    found_share = share_missed(
        material, found, "t1", *(numbers[f"{n} balanced"] for n in ("not_security", "spam", "spam_report"))
    )
    assert found_share == pytest.approx(0.01 / STRICTER["t"], abs=1 / 400)


def test_what_the_tables_keep_counts_as_missed_where_it_is_spam_in_plain_sight() -> None:
    numbers = []
    for spam in (0.9, 0.99):
        material, found = made(HARD, REALISTIC, CORPUS)
        material.leniency[20:23] = 0.0
        found.spam_chance[20:23] = spam
        numbers.append(thresholds(material, found))
    kept, lost = (one["not_security balanced"] for one in numbers)
    assert lost < kept
