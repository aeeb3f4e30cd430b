"""How often senders are answered automatically."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mailbox_service.core.budget import (
    DOMAIN_LIMIT,
    HOUR_LIMIT,
    SENDER_LIMIT,
    AnswerBudget,
    AnswerLimits,
    answer_keys,
    new_cases_key,
)
from mailbox_service.core.message import Address

NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)
LIMITS = AnswerLimits(sender_per_day=4, domain_per_day=6, per_hour=9, public_providers=frozenset({"gmail.com"}))
EVE = Address("Eve@Research.example")


def take(budget: AnswerBudget, sender: Address = EVE, authenticated: bool = True, now: datetime = NOW) -> str:
    return budget.take("security", LIMITS, sender, authenticated, now)


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
    assert AnswerBudget().take("security", limits, EVE, False, NOW) == ""


def test_what_is_on_file_counts_and_a_refusal_spends_nothing() -> None:
    sender, domain, hour = answer_keys("security", EVE, True, NOW)
    budget = AnswerBudget({sender: 3})
    assert take(budget) == "" and take(budget) == SENDER_LIMIT
    assert budget.spent == {sender: 1, domain: 1, hour: 1}


def test_mailboxes_and_days_do_not_share() -> None:
    assert not set(answer_keys("a", EVE, True, NOW)) & set(answer_keys("b", EVE, True, NOW))
    tomorrow = NOW + timedelta(days=1)
    assert not set(answer_keys("a", EVE, True, NOW)) & set(answer_keys("a", EVE, True, tomorrow))


def test_a_counter_counts() -> None:
    key = new_cases_key("security", NOW)
    budget = AnswerBudget({key: 20})
    assert (budget.count(key), budget.count(key), budget.spent) == (21, 22, {key: 2})
