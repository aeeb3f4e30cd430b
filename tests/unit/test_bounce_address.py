"""The keyed envelope sender: only we can make it, and it speaks of one row alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.core.bounce_address import LONGEST_TOKEN, bounce_address, bounce_tokens, is_of
from mailbox_service.core.composition import is_address
from mailbox_service.core.tokens import TokenKey

KEY = TokenKey(2, b"new" * 11, former=(b"old" * 11,))
OLD = TokenKey(1, b"old" * 11)
PATTERN = "security+{token}@example.org"
MAIL = "<1.abc@example.org>"


def made(key: TokenKey = KEY, row: int = 12, mailbox: str = "security", message_id: str = MAIL) -> str:
    return bounce_address(PATTERN, key, mailbox=mailbox, row=row, message_id=message_id)


def believed(address: str, key: TokenKey = KEY, mailbox: str = "security", message_id: str = MAIL) -> bool:
    return any(is_of(t, key, mailbox=mailbox, message_id=message_id) for t in bounce_tokens(PATTERN, [address]))


def test_what_we_made_is_recognised_however_it_is_written() -> None:
    address = made()
    for written in (address, address.upper(), f"<{address}>", f" {address} "):
        assert believed(written)


def test_what_an_older_secret_made_is_recognised_and_a_foreign_one_is_not() -> None:
    assert believed(made(OLD))
    assert not believed(made(KEY), OLD)
    assert not believed(made(TokenKey(2, b"foreign")))


def test_a_token_is_of_one_row_one_mail_and_one_mailbox() -> None:
    for other in (made(mailbox="other"), made(message_id="<1.abd@example.org>")):
        assert not believed(other)
    assert not believed(made().replace("+b12.", "+b13."))


@settings(deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=20, max_size=20))
def test_guesses_are_not_believed(mac: str) -> None:
    assert not believed(f"security+b12.{mac}@example.org") or mac in made()


def test_the_longest_address_fits_into_a_local_part() -> None:
    pattern = "security-team+{token}@example.org"
    address = bounce_address(pattern, KEY, mailbox="m", row=999_999_999_999, message_id=MAIL)
    assert is_address(address) and len(LONGEST_TOKEN) == 34


def test_a_plain_pattern_is_the_same_address_for_all_and_holds_no_token() -> None:
    assert bounce_address("security@example.org", KEY, mailbox="m", row=1, message_id=MAIL) == "security@example.org"
    assert bounce_tokens("security@example.org", ["security@example.org"]) == ()


@pytest.mark.parametrize("pattern", ["{token}@b.example", "b-{token}-x@b.example", "a.b+{token}@b.example"])
def test_the_placeholder_may_stand_anywhere_before_the_domain(pattern: str) -> None:
    address = bounce_address(pattern, KEY, mailbox="m", row=7, message_id=MAIL)
    (token,) = bounce_tokens(pattern, [address, address, "x@y.example"])
    assert token.row == 7
    assert bounce_tokens(pattern, [address.replace(".example", ".example.org"), f"x{address}"]) == ()


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_addresses_are_looked_at_and_few_are_tried(addresses: list[str]) -> None:
    assert bounce_tokens(PATTERN, addresses) == ()
    assert len(bounce_tokens(PATTERN, [made(row=n) for n in range(1, 40)])) == 5


def test_a_row_that_no_database_has_is_no_token() -> None:
    assert bounce_tokens(PATTERN, [made().replace("b12.", "b1234567890123."), made().replace("b12.", "b012.")]) == ()
