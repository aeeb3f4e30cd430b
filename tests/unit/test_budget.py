"""How often senders are answered automatically."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mailbox_service.core.budget import (
    DOMAIN_LIMIT,
    HOUR_LIMIT,
    SENDER_LIMIT,
    SUBJECT_LIMIT,
    AnswerBudget,
    AnswerLimits,
    answer_keys,
    new_cases_key,
)
from mailbox_service.core.message import Address

NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)
LIMITS = AnswerLimits(sender_per_day=4, domain_per_day=6, per_hour=9, public_providers=frozenset({"gmail.com"}))
EVE = Address("Eve@Research.example")


def take(
    budget: AnswerBudget,
    sender: Address = EVE,
    authenticated: bool = True,
    now: datetime = NOW,
    subject: str = "a flaw",
) -> str:
    return budget.take("security", LIMITS, sender, subject, authenticated, now)


def test_a_sender_is_answered_up_to_the_cap_whatever_the_case_of_the_address() -> None:
    budget = AnswerBudget()
    assert [take(budget, Address(a)) for a in ("a@x.example", "A@x.example") * 2] == [""] * 4
    assert take(budget, Address("a@x.example")) == SENDER_LIMIT


def test_a_domain_has_a_cap_except_that_of_a_public_provider() -> None:
    budget = AnswerBudget()
    answers = [take(budget, Address(f"p{n}@corp.example")) for n in range(7)]
    assert answers == [""] * 6 + [DOMAIN_LIMIT]
    budget = AnswerBudget()
    assert [take(budget, Address(f"p{n}@gmail.com")) for n in range(9)] == [""] * 9


def test_the_hour_has_a_cap() -> None:
    budget = AnswerBudget()
    answers = [take(budget, Address(f"p@d{n}.example")) for n in range(10)]
    assert answers == [""] * 9 + [HOUR_LIMIT]
    assert take(budget, Address("p@next.example"), now=NOW + timedelta(hours=1)) == ""


def test_the_unauthenticated_have_half_and_a_budget_of_their_own() -> None:
    budget = AnswerBudget()
    assert [take(budget, authenticated=False) for _ in range(3)] == ["", "", SENDER_LIMIT]
    assert take(budget) == ""


def test_half_of_one_is_one() -> None:
    limits = AnswerLimits(sender_per_day=1, domain_per_day=1, per_hour=1)
    assert AnswerBudget().take("security", limits, EVE, "a flaw", False, NOW) == ""


def test_what_is_on_file_counts_and_a_refusal_spends_nothing() -> None:
    sender, domain, hour, subject = answer_keys("security", EVE, "a flaw", True, NOW)
    budget = AnswerBudget({sender: 3})
    assert take(budget) == "" and take(budget) == SENDER_LIMIT
    assert budget.spent == {sender: 1, domain: 1, hour: 1, subject: 1}


def test_mailboxes_and_days_do_not_share() -> None:
    assert not set(answer_keys("a", EVE, "x", True, NOW)) & set(answer_keys("b", EVE, "x", True, NOW))
    tomorrow = NOW + timedelta(days=1)
    assert not set(answer_keys("a", EVE, "x", True, NOW)[:3]) & set(answer_keys("a", EVE, "x", True, tomorrow))


def test_a_robot_that_repeats_its_subject_comes_to_rest() -> None:
    budget = AnswerBudget()
    days = [NOW + timedelta(days=n) for n in range(4)]  # of one week
    answers = [
        take(budget, now=day, subject=f"Re: [SEC-2026-{n:04d}] Your report")
        for day in days
        for n in range(LIMITS.sender_per_day)
    ]
    assert answers.count("") == LIMITS.sender_per_day
    assert answers[-1] == SUBJECT_LIMIT
    assert take(budget, now=days[-1], subject="Another flaw, a real one") == ""
    assert take(budget, now=NOW + timedelta(days=7), subject="Re: Your report") == ""


def test_a_counter_counts() -> None:
    key = new_cases_key("security", NOW)
    budget = AnswerBudget({key: 20})
    assert (budget.count(key), budget.count(key), budget.spent) == (21, 22, {key: 2})
