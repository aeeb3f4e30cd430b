"""Pauses, deadlines, and names that nobody guesses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core import tokens
from mailbox_service.core.case import Event, Stage
from mailbox_service.core.composition import is_message_id
from mailbox_service.core.schedule import add_working_days, backoff
from mailbox_service.core.tokens import TokenKey

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEY = TokenKey(3, b"s" * 32)


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [backoff(n, MINUTE, HOUR, 0.0) // MINUTE for n in range(1, 9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(-5, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_longer_than_the_longest_nor_shorter_than_three_quarters(attempt: int, jitter: float) -> None:
    full = backoff(attempt, MINUTE, HOUR, 0.0)
    assert MINUTE <= full <= HOUR
    assert full * 0.75 - timedelta(microseconds=1) <= backoff(attempt, MINUTE, HOUR, jitter) <= full


@pytest.mark.parametrize("first", [timedelta(seconds=1), timedelta(minutes=5), HOUR])
def test_no_number_of_attempts_is_too_large_for_any_first_pause(first: timedelta) -> None:
    assert {backoff(n, first, timedelta(days=1), 0.0) for n in (40, 10**3, 10**6)} == {timedelta(days=1)}


@pytest.mark.parametrize(
    ("start", "days", "expected"), [(23, 1, 24), (26, 2, 30), (27, 1, 30), (28, 1, 30), (29, 3, 32), (23, 0, 23)]
)
def test_working_days_leave_out_the_weekend(start: int, days: int, expected: int) -> None:
    first = datetime(2026, 11, 1, 15, 30, tzinfo=UTC)  # a Sunday
    assert add_working_days(first + timedelta(days=start - 1), days) == first + timedelta(days=expected - 1)


def identifier(**changes: str) -> str:
    values = {"cause": "message:1", "kind": "redirect", "recipient": "a@x.example", "domain": "example.org"} | changes
    return tokens.message_id(KEY, **values)


def test_a_message_id_is_the_same_for_the_same_row_and_valid() -> None:
    assert identifier() == identifier(recipient="A@X.example")
    assert identifier().startswith("<3.") and identifier().endswith("@example.org>")
    assert is_message_id(identifier()) and len(identifier()) < 78


def test_every_field_and_the_secret_change_the_message_id() -> None:
    others = [identifier(cause="message:2"), identifier(kind="digest"), identifier(recipient="b@x.example")]
    others.append(identifier(cause="message:1r", kind="edirect"))
    others.append(
        tokens.message_id(
            TokenKey(3, b"t" * 32), cause="message:1", kind="redirect", recipient="a@x.example", domain="d"
        )
    )
    assert len({identifier().partition("@")[0], *(other.partition("@")[0] for other in others)}) == 6


def test_a_loop_marker_belongs_to_one_address_and_is_no_message_id() -> None:
    assert tokens.loop_marker(KEY, "A@x.example") == tokens.loop_marker(KEY, "a@x.example")
    assert tokens.loop_marker(KEY, "a@x.example") != tokens.loop_marker(KEY, "b@x.example")


def test_what_former_secrets_made_is_still_known() -> None:
    new = TokenKey(4, b"n" * 32, (KEY.secret,))
    assert tokens.is_loop_marker(new, tokens.loop_marker(KEY, "a@x.example"), "a@x.example")
    assert not tokens.is_loop_marker(KEY, tokens.loop_marker(new, "a@x.example"), "a@x.example")
    bird = tokens.canary(KEY, "a@x.example", "20261125T120000000000")
    assert tokens.canary_stamp(new, "a@x.example", bird) == "20261125T120000000000"
    assert tokens.canary_stamp(TokenKey(4, b"n" * 32), "a@x.example", bird) is None


def test_stages_and_events_are_written_as_they_are_named() -> None:
    assert all(member.value == member.name.lower() for kind in (Stage, Event) for member in kind)
