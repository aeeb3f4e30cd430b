"""Tables and JSON, apart from any command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.cli.output import Column, plain, shown, table
from mailbox_service.core.display import harmless

COLUMNS = (Column("ID", "id"), Column("SUBJECT", "subject", shrinks=True), Column("CASE", "case"))


def test_columns_are_aligned() -> None:
    assert table([["1", "a", "-"], ["12", "abc", "SEC-1"]], COLUMNS, None) == [
        "ID  SUBJECT  CASE",
        "1   a        -",
        "12  abc      SEC-1",
    ]


def test_a_narrow_terminal_shortens_what_may_shrink_and_nothing_else() -> None:
    lines = table([["1", "a very long subject indeed", "SEC-2026-0001"]], COLUMNS, 40)
    assert lines[1] == "1   a very long subject …  SEC-2026-0001"
    assert len(lines[1]) == 40


def test_a_pipe_gets_everything() -> None:
    assert "x" * 500 in table([["1", "x" * 500, "-"]], COLUMNS, None)[1]


def test_wide_and_combining_characters_keep_the_columns_aligned() -> None:
    lines = table([["1", "漏洞", "A"], ["2", "e\u0301e\u0301", "B"]], COLUMNS, None)
    assert lines[1:] == ["1   漏洞     A", "2   e\u0301e\u0301       B"]


def test_a_wide_character_that_does_not_fit_is_left_out() -> None:
    (_, line) = table([["1", "漏洞" * 10, "A"]], COLUMNS, 20)
    assert line == "1   漏洞漏洞…   A"


def test_times_are_utc_in_json_and_for_people() -> None:
    moment = datetime(2026, 11, 23, 14, 30, 5, 123456, timezone(timedelta(hours=2)))
    assert plain(moment) == "2026-11-23T12:30:05.123Z"
    assert shown(moment) == "2026-11-23 12:30"
    assert datetime.fromisoformat(str(plain(moment))).tzinfo == UTC


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_every_text_in_json_is_harmless(value: object) -> None:
    def texts(of: object) -> list[str]:
        if isinstance(of, str):
            return [of]
        if isinstance(of, dict):
            return [*of, *(text for item in of.values() for text in texts(item))]
        return [text for item in of for text in texts(item)] if isinstance(of, list) else []

    assert all(text == harmless(text, keep_newlines=True) for text in texts(plain(value)))
