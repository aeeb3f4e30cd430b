"""Text from mail made harmless: nothing that steers a terminal or reorders a line gets through."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.core.display import harmless, shorten

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
JOINERS = "\u200c\u200d"


@settings(deadline=None)
@given(st.text(), st.booleans())
def test_no_forbidden_character_is_left(text: str, keep: bool) -> None:
    allowed = JOINERS + "\n" if keep else JOINERS
    for char in harmless(text, keep_newlines=keep):
        assert char in allowed or unicodedata.category(char) not in FORBIDDEN


@settings(deadline=None)
@given(st.text(), st.booleans())
def test_it_is_idempotent(text: str, keep: bool) -> None:
    once = harmless(text, keep_newlines=keep)
    assert harmless(once, keep_newlines=keep) == once


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
def test_printable_ascii_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a[31mb"),
        ("a\x9b31mb", "a31mb"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u2066b\u2069", "ab"),
        ("a\u200bb\ufeffc", "abc"),
        ("a\u2028b\u2029c", "a b c"),
        ("a\x85b", "a b"),
        ("a\x0bb\x0cc", "a b c"),
        ("a\tb", "a    b"),
        ("a\r\nb\rc\nd", "a b c d"),
        ("\ud800x", "x"),
        ("a\U000e0041\U000e0042b", "ab"),  # tags
        ("a\ufe01\U000e0155b", "ab"),  # selectors of variants, which can carry any bytes
        ("a\u3164\u115f\uffa0\u034fb", "ab"),  # fillers
        ("☎\ufe0f 1\ufe0f\u20e3", "☎\ufe0f 1\ufe0f\u20e3"),
        ("a" + "\u0301" * 50 + "b", "a" + "\u0301" * 8 + "b"),
        ("Ệ e\u0323\u0302", "Ệ e\u0323\u0302"),
        ("نمی\u200cخواهم", "نمی\u200cخواهم"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("Grüße, 報告 – „Zitat“", "Grüße, 報告 – „Zitat“"),
    ],
)
def test_what_becomes_of_special_characters(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_line_breaks_stay_where_they_are_wanted() -> None:
    assert harmless("a\r\nb\rc\nd\u2028e", keep_newlines=True) == "a\nb\nc\nd\ne"


@settings(deadline=None)
@given(st.text(), st.integers(0, 50))
def test_shortened_text_fits(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= max(limit, 1)
    assert short == text if len(text) <= limit else short.endswith("…")
