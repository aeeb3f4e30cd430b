from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.adapters.imap.answers import (
    Unreadable,
    code,
    fetched,
    from_uid_set,
    internal_date,
    items,
    listed,
    searched,
    uid_set,
)
from mailbox_service.adapters.imap.folders import candidates, junk_of


def test_a_body_is_the_literal_byte_for_byte() -> None:
    body = b"Subject: ** (urgent\r\n\r\n* 2 FETCH (UID 9)\r\n"
    response = [b"* 1 FETCH (FLAGS (\\Seen) UID 7 BODY[] {42}", body, b")"]
    assert fetched([response])[7][b"BODY[]"] == body


def test_a_quoted_body_is_unescaped_and_nil_is_none() -> None:
    assert fetched([[b'* 1 FETCH (UID 7 BODY[] "a \\"b\\" :(")']])[7][b"BODY[]"] == b'a "b" :('
    assert fetched([[b"* 1 FETCH (BODY[] NIL UID 7)"]])[7][b"BODY[]"] is None


@pytest.mark.parametrize(
    "line",
    [
        b"* 1 FETCH (FLAGS (\\Seen))",
        b"* 1 FETCH (UID 7 BODY[]",
        b"* 1 FETCH (UID 7 BODY[]))",
        b"* 1 FETCH (UID x BODY[] y)",
        b"* 1 FETCH (UID 7 BODY[] {5} z)",
        b'* 1 FETCH (UID 7 BODY[] "open)',
        b"* 1 FETCH " + b"(" * 5000,
        b"* 1 EXPUNGE",
    ],
)
def test_what_names_no_uid_or_breaks_the_grammar_is_left_out(line: bytes) -> None:
    assert fetched([[line]]) == {}


@given(st.lists(st.binary(), min_size=1))
def test_any_response_is_read_or_refused(fragments: list[bytes]) -> None:
    fetched([[b"* 1 FETCH " + fragments[0], *fragments[1:]]])
    listed([[b"* LIST " + fragments[0], *fragments[1:]]])
    searched([fragments])
    code(fragments[0])
    internal_date(fragments[0])


def test_items_tell_where_a_literal_cannot_be() -> None:
    with pytest.raises(Unreadable):
        items([b"({5}"], 0)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b" 1-Feb-2026 00:00:00 +0100", datetime(2026, 1, 31, 23, 0, tzinfo=UTC)),
        (b"31-Feb-2026 00:00:00 +0000", None),
        (b"01-Xxx-2026 00:00:00 +0000", None),
        (b"01-Jan-0001 00:00:00 +1400", None),
        (b"01-Jan-2026 00:00:00 +9900", None),
        (None, None),
    ],
)
def test_internal_dates_are_read_in_utc(text: bytes | None, when: datetime | None) -> None:
    assert internal_date(text) == when


def test_search_answers_may_come_in_pieces_and_with_a_modseq() -> None:
    assert searched([[b"* SEARCH 5 3"], [b"* SEARCH"], [b"* 2 EXISTS"], [b"* SEARCH 9 (MODSEQ 77)"]]) == [3, 5, 9]


@given(st.sets(st.integers(1, 4294967295)))
def test_uid_sets_name_exactly_the_uids(uids: set[int]) -> None:
    assert from_uid_set(uid_set(sorted(uids)), limit=len(uids)) == uids


def test_a_hostile_uid_range_is_cut_short() -> None:
    assert len(from_uid_set("1:4294967295", limit=100)) == 101


@pytest.mark.parametrize(
    ("lines", "junk"),
    [
        ([b'* LIST (\\HasNoChildren \\Junk) "/" "Unerw&APw-nscht"', b'* LIST () "/" Spam'], "Unerwünscht"),
        ([b'* LIST () "/" INBOX', b'* LIST () "/" "[Gmail]/Spam"'], "[Gmail]/Spam"),
        ([b'* LIST () "." "INBOX.Junk"', b'* LIST () "." INBOX.Spam'], "INBOX.Junk"),
        ([b'* LIST () "/" "Junk-E-Mail"'], "Junk-E-Mail"),
        ([b'* LIST () "/" "Archive/Spam"', b"* LIST () NIL INBOX"], None),
    ],
)
def test_junk_is_found_by_special_use_or_by_a_common_name(lines: list[bytes], junk: str | None) -> None:
    assert junk_of(listed([[line] for line in lines])) == junk


def test_a_folder_may_lie_below_the_personal_namespace_with_another_delimiter() -> None:
    assert candidates("Done", "", "/") == ["Done", "INBOX/Done"]
    assert candidates("A/B", "INBOX.", ".") == ["A/B", "A.B", "INBOX.A/B", "INBOX.A.B"]
    assert candidates("INBOX.Done", "INBOX.", ".") == ["INBOX.Done"]
