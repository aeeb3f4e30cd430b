"""Which subject, author and date are shown of a mail whose payload has a header of its own."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.message import ParsedMessage, parse
from mailbox_service.core.openpgp import ProtectedHeaders, Scheme, protected_headers
from tests.pgp_mail.samples import HEAD, crlf, multipart

OUTER = parse(crlf(HEAD))
INNER = (
    'From: "Rita inside" <Rita@research.example>\nTo: security@example.org\nSubject: Overflow in the parser\n'
    "Date: Tue, 24 Nov 2026 11:00:00 +0000\nMessage-ID: <a1@research.example>\n"
)
HP = 'Content-Type: text/plain; charset=utf-8; hp="cipher"\n'
V1 = 'Content-Type: text/plain; charset=utf-8; protected-headers="v1"\n'
BODY = "\nIt reads 8 bytes too many.\n"


def shown(payload: str, *, outer: ParsedMessage = OUTER, encrypted: bool = True) -> ProtectedHeaders:
    return protected_headers(crlf(payload), outer, encrypted=encrypted)


def test_without_protection_the_outer_header_is_shown() -> None:
    seen = shown(f"{INNER}Content-Type: text/plain\n{BODY}")
    assert (seen.scheme, seen.subject, seen.date) == (Scheme.NONE, "...", OUTER.date)
    assert seen.from_ == OUTER.from_
    assert seen.obscured == frozenset() and seen.defects == ()


def test_with_hp_the_inner_header_is_the_only_one() -> None:
    seen = shown(INNER + HP + BODY)
    assert (seen.scheme, seen.subject) == (Scheme.HP, "Overflow in the parser")
    assert seen.date == datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
    assert seen.from_ is not None and seen.from_.key == "rita@research.example"
    assert seen.from_display.startswith('"Rita inside"')
    assert seen.view.text.strip() == "It reads 8 bytes too many."


def test_what_hp_leaves_out_is_not_taken_from_the_outside() -> None:
    seen = shown("From: rita@research.example\n" + HP + BODY)
    assert (seen.subject, seen.date) == ("", None)


def test_the_draft_falls_back_to_the_outside_field_by_field() -> None:
    seen = shown("Subject: Overflow in the parser\n" + V1 + BODY)
    assert (seen.scheme, seen.subject, seen.date) == (Scheme.V1, "Overflow in the parser", OUTER.date)
    assert seen.from_ == OUTER.from_ and seen.defects == ()


def test_hp_goes_before_the_draft() -> None:
    assert shown("Subject: x\n" + HP.replace("hp=", 'protected-headers="v1"; hp=') + BODY).scheme is Scheme.HP


def test_an_inner_author_who_is_not_the_outer_one_proves_nothing() -> None:
    for kind in (HP, V1):
        seen = shown(INNER.replace("Rita@research", "ceo@big") + kind + BODY)
        assert seen.from_ == OUTER.from_ and "rita@research.example" in seen.from_display
        assert "another From inside" in seen.defects


def test_two_inner_authors_or_one_of_several_ways_to_read_are_none() -> None:
    for odd in ("From: rita@research.example\n", "From : ceo@big.example\n", " , ceo@big.example\n"):
        head, rest = INNER.split("\n", 1)
        seen = shown(f"{head}\n{odd}{rest}{HP}{BODY}")
        assert seen.from_ == OUTER.from_ and "another From inside" in seen.defects


def test_an_inner_author_does_not_mend_an_ambiguous_outer_one() -> None:
    outer = parse(b"From: rita@research.example\r\nFrom: ceo@big.example\r\n\r\n")
    assert shown(INNER + HP + BODY, outer=outer).from_ is None


def test_no_inner_author_is_told_where_there_must_be_one() -> None:
    seen = shown("Subject: x\n" + HP + BODY)
    assert seen.from_ == OUTER.from_ and seen.defects == ("no From inside",)


def test_hp_that_is_not_what_was_done_is_told() -> None:
    assert shown(INNER + HP + BODY).defects == ()
    assert shown(INNER + HP + BODY, encrypted=False).defects == ("hp is not what was done to the mail",)
    assert shown(INNER + HP.replace("cipher", "clear") + BODY, encrypted=False).defects == ()
    odd = shown(INNER + HP.replace("cipher", "maybe") + BODY)
    assert odd.scheme is Scheme.NONE and odd.defects == ("unknown hp",)


def test_what_the_sender_hid_is_what_hp_outer_says_and_not_what_the_transport_left() -> None:
    fields = (
        "HP-Outer: From: Rita <rita@research.example>\nHP-Outer: Subject: [...]\nHP-Outer: To:\n security@example.org\n"
    )
    seen = shown(INNER + fields + HP + BODY)
    assert seen.obscured == {"subject", "date", "message-id", "from"}
    # Whoever writes the inner subject to the outside does not make it public.
    told = parse(crlf(HEAD.replace("Subject: ...", "Subject: Overflow in the parser")))
    assert "subject" in shown(INNER + fields + HP + BODY, outer=told).obscured
    assert shown(INNER + HP + BODY, encrypted=False).obscured == frozenset()


def test_the_draft_hides_what_differs_outside() -> None:
    assert shown("Subject: Overflow\nTo: security@example.org\n" + V1 + BODY).obscured == {"subject"}
    assert shown("Subject: ...\n" + V1 + BODY).obscured == frozenset()


# --- what is repeated for old programs ----------------------------------------------------------------------

LEGACY = 'Content-Type: {}; protected-headers="v1"\nContent-Disposition: inline\n\nSubject: Overflow in the parser\n'
TEXT = "Content-Type: text/plain\n\nIt reads 8 bytes too many.\n"
V1_KIND = 'multipart/mixed; protected-headers="v1"'


def test_the_legacy_part_of_the_draft_is_neither_shown_nor_relayed() -> None:
    for kind in ("text/plain", "text/rfc822-headers"):
        for head in ("Subject: Overflow in the parser\n", ""):
            seen = shown(head + multipart(V1_KIND, LEGACY.format(kind), TEXT))
            assert seen.subject == "Overflow in the parser"
            assert b"Overflow" not in seen.entity.replace(b"Subject: Overflow in the parser\r\n", b"", bool(head))
            assert [text.text.strip() for text in seen.view.texts] == ["It reads 8 bytes too many."]


def test_the_authors_own_text_is_never_taken_for_the_legacy_part() -> None:
    payloads = (
        multipart(V1_KIND, LEGACY.format("text/plain") + "\nAnd more.\n", TEXT),
        multipart(V1_KIND, 'Content-Type: text/plain; protected-headers="v1"\n\nNote: this is a text\n', TEXT),
        multipart(V1_KIND, "Content-Type: text/plain\n\nSubject: a text\n", TEXT),
        multipart(V1_KIND, LEGACY.format("text/plain").replace("inline", "attachment"), TEXT),
        multipart(V1_KIND, LEGACY.format("text/html"), TEXT),
        multipart("multipart/mixed", LEGACY.format("text/plain"), TEXT),
        multipart(V1_KIND, LEGACY.format("text/plain")),
    )
    for payload in payloads:
        seen = shown(payload)
        assert seen.entity == crlf(payload)
        assert seen.subject == "..."


def test_legacy_display_is_taken_out_of_marked_texts() -> None:
    display = "Subject: Overflow=20in the parser\nKeywords: a\n\n"
    marked = 'Content-Type: text/plain; hp-legacy-display="1"{}\n'
    text = "It reads 8 bytes=20too many.\n\nSubject: no display\n\nRita"
    encoded = "Content-Transfer-Encoding: {}\n\n"
    plain = (marked + encoded).format("", "quoted-printable") + display + text + "\n"
    other = (marked + encoded).format("; name=x", "base64") + base64.encodebytes((display + text).encode()).decode()
    html = (
        'Content-Type: text/html; hp-legacy-display="1"\nContent-Transfer-Encoding: quoted-printable\n\n<html><body>'
        '<div class=3D"header-protection-legacy-=\ndisplay"><pre>Subject: Overflow</pre></div><p>It reads.</p></body>\n'
    )
    unmarked = f"Content-Type: text/plain\n\nSubject: stays\n\n{text}\n"
    seen = shown(INNER + multipart('multipart/mixed; hp="cipher"', plain, other, html, unmarked))
    texts = [piece.text.strip() for piece in seen.view.texts]
    assert texts[0] == "It reads 8 bytes too many.\n\nSubject: no display\n\nRita"
    assert texts[1] == text and texts[2] == "It reads."
    assert texts[3].startswith("Subject: stays")


def test_a_single_marked_text_loses_its_legacy_display() -> None:
    payload = INNER + HP.replace("; hp", "; hp-legacy-display=1; hp") + "\nSubject: Overflow in the parser\n" + BODY
    assert shown(payload).view.text.strip() == "It reads 8 bytes too many."
    # It exists in encrypted mail alone; elsewhere a mark would only hide text.
    assert "Subject" in shown(payload, encrypted=False).view.text


def test_a_mark_hides_nothing_where_there_is_no_display() -> None:
    payload = INNER + HP.replace("; hp", "; hp-legacy-display=1; hp") + "\nOne paragraph.\n"
    assert shown(payload).entity == crlf(payload)


@given(st.binary(max_size=300), st.booleans())
def test_any_payload_has_a_header_to_show(data: bytes, encrypted: bool) -> None:
    for head in (b"", b'Content-Type: text/plain; hp="cipher"; hp-legacy-display="1"\n', b"From: ", V1.encode()):
        seen = protected_headers(head + data, OUTER, encrypted=encrypted)
        assert seen.from_ in (OUTER.from_, parse(head + data).from_)
        assert seen.from_ is not None and OUTER.from_ is not None and seen.from_.key == OUTER.from_.key
        assert len(seen.entity) <= 3 * len(head + data) + 100
