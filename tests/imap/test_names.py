import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.adapters.imap.names import decode_mailbox, encode_mailbox, quote, wire_name


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("Processed Mail", "Processed Mail"),
        ("Größe", "Gr&APYA3w-e"),
        ("A & B", "A &- B"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 §5.1.3
        ("inbox", "INBOX"),
        ("a\r\nb", "a&AA0ACg-b"),
    ],
)
def test_a_name_is_written_in_modified_utf_7(name: str, wire: str) -> None:
    assert encode_mailbox(name) == wire


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_name_comes_back_as_it_was(name: str) -> None:
    expected = "INBOX" if name.upper() == "INBOX" else name
    assert decode_mailbox(encode_mailbox(name)) == expected


@given(st.text())
def test_only_printable_ascii_reaches_the_wire(name: str) -> None:
    wire = wire_name(name)
    assert wire.isascii()
    assert wire.isprintable()


@given(st.text())
def test_whatever_a_server_calls_a_folder_has_a_readable_name(wire: str) -> None:
    assert isinstance(decode_mailbox(wire), str)


def test_quotes_and_backslashes_are_escaped() -> None:
    assert quote('a"b\\c') == '"a\\"b\\\\c"'
