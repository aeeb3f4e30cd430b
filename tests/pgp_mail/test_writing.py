"""Our own PGP/MIME: what is signed stays as it is, what is hidden stays hidden, and our own reader agrees."""

from __future__ import annotations

import email
from dataclasses import replace
from datetime import UTC, datetime
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.composition import OutFile, Outgoing
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.core.openpgp import (
    Encrypted,
    Layer,
    Scheme,
    Signed,
    encrypted,
    header_field,
    offered_key,
    payload,
    protected_headers,
    read,
    signed,
)
from tests.pgp_mail import samples
from tests.pgp_mail.test_autocrypt import BINARY as KEY

MAIL = Outgoing(
    from_address="security@example.org",
    from_name="Example Security",
    to_address="rita@research.example",
    reply_to="security+t1@example.org",
    subject="[SEC-2026-0001] Überlauf in the CANARY parser",
    body="Hello,\n\nFrom here on the CANARY reads \t\n.\n-- \nThe team\n",
    message_id="<m1@example.org>",
    date=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    in_reply_to="<a1@research.example>",
    references=("<a0@research.example>",),
    auto_submitted="auto-replied",
    loop_marker="marker",
    attachment=b"From: a@b.example\r\n\r\nFrom me, with CANARY blanks \r\n",
    attachment_name="original.eml",
    files=(OutFile("CANARY.patch", b"--- a\n+++ b \n"),),
)
REFERENCE = "[SEC-2026-0001]"
CIPHERTEXT, SIGNATURE = samples.MESSAGE.encode(), samples.SIGNATURE.encode()
FIELD = header_field("security@example.org", KEY)


def check_survives(data: bytes) -> None:
    assert data.isascii() and b"\0" not in data
    assert data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n")
    for line in data.split(b"\r\n"):
        assert len(line) <= 998 and not line.endswith((b" ", b"\t")) and not line.startswith(b"From ")


def test_the_payload_has_the_whole_header_and_what_the_outside_will_say() -> None:
    head = payload(MAIL, REFERENCE).split(b"\r\n\r\n")[0].decode()
    lines = head.replace("\r\n ", " ").split("\r\n")
    assert lines[:3] == [
        'From: "Example Security" <security@example.org>',
        "To: rita@research.example",
        "Reply-To: security+t1@example.org",
    ]
    assert "HP-Outer: Subject: [SEC-2026-0001]" in lines
    outer = [line.removeprefix("HP-Outer: ") for line in lines if line.startswith("HP-Outer: ")]
    kept = [line for line in lines[:-1] if not line.startswith("HP-Outer: ")]
    assert [line for line in outer if not line.startswith("Subject: ")] == [
        line for line in kept if not line.startswith("Subject: ")
    ]
    assert lines[-1].endswith('hp="cipher"; protected-headers="v1"')


def test_a_signed_payload_hides_nothing() -> None:
    head = payload(MAIL).split(b"\r\n\r\n")[0]
    assert b"HP-Outer" not in head and b'hp="clear"' in head


def test_what_was_encrypted_reads_as_it_was_meant() -> None:
    inner = payload(MAIL, REFERENCE)
    check_survives(inner)
    raw = encrypted(MAIL, REFERENCE, CIPHERTEXT, FIELD)
    check_survives(raw)
    outside = parse(raw)
    assert outside.subject == REFERENCE and outside.message_id == MAIL.message_id
    seen = protected_headers(inner, outside, encrypted=True)
    assert (seen.scheme, seen.subject, seen.date) == (Scheme.HP, MAIL.subject, MAIL.date)
    assert seen.obscured == {"subject"} and seen.defects == ()
    assert seen.view.text == "Hello,\n\nFrom here on the CANARY reads\n.\n-- \nThe team\n"
    assert [file.data for file in attached_files(inner)] == [MAIL.attachment, MAIL.files[0].data]
    assert read(inner, (Layer.ENCRYPTED,)).__class__.__name__ == "Refused"


def test_nothing_that_is_hidden_is_outside() -> None:
    raw = encrypted(MAIL, REFERENCE, CIPHERTEXT, FIELD)
    assert b"CANARY" not in raw and b"berlauf" not in raw and b"original" not in raw
    found = read(raw)
    assert isinstance(found, Encrypted) and found.message.recipients == (samples.SUBKEY_ID,)


def test_what_was_signed_is_in_the_mail_byte_for_byte() -> None:
    inner = payload(MAIL)
    check_survives(inner)
    raw = signed(MAIL, inner, SIGNATURE, "pgp-sha512", FIELD)
    check_survives(raw)
    for transported in (raw, raw.replace(b"\r\n", b"\n")):
        found = read(transported)
        assert isinstance(found, Signed) and found.content == inner and found.micalg == "pgp-sha512"
    assert parse(raw).subject == MAIL.subject
    assert protected_headers(inner, parse(raw), encrypted=False).defects == ()
    offer = offered_key(parse(raw))
    assert offer is not None and offer.key.fingerprint == samples.FINGERPRINT


def test_the_same_input_gives_the_same_bytes() -> None:
    assert encrypted(MAIL, REFERENCE, CIPHERTEXT) == encrypted(MAIL, REFERENCE, CIPHERTEXT)
    assert signed(MAIL, payload(MAIL), SIGNATURE, "pgp-sha512") == signed(MAIL, payload(MAIL), SIGNATURE, "pgp-sha512")


def test_another_library_reads_the_same_structure() -> None:
    for raw, kinds in (
        (encrypted(MAIL, REFERENCE, CIPHERTEXT, FIELD), ["application/pgp-encrypted", "application/octet-stream"]),
        (signed(MAIL, payload(MAIL), SIGNATURE, "pgp-sha512", FIELD), ["multipart/mixed", "application/pgp-signature"]),
    ):
        message = email.message_from_bytes(raw, policy=policy.default)
        assert not message.defects
        assert [part.get_content_type() for part in message.iter_parts()] == kinds
        assert message["To"].addresses[0].addr_spec == MAIL.to_address


@pytest.mark.parametrize("reference", ["", "Overflow", "[a] Overflow", "[a]\r\nBcc: x@y", "[two words]", "[ü]", "[]"])
def test_only_a_reference_is_an_outer_subject(reference: str) -> None:
    with pytest.raises(ValueError, match="reference"):
        payload(MAIL, reference)
    with pytest.raises(ValueError, match="reference"):
        encrypted(MAIL, reference, CIPHERTEXT)
    assert payload(MAIL, "[...]")


@pytest.mark.parametrize(
    "ciphertext",
    [
        b"",
        b"Hello",
        samples.OPAQUE.encode(),
        samples.PASSPHRASE.encode(),
        CIPHERTEXT + CIPHERTEXT,
        b"Hello\n" + CIPHERTEXT,
        CIPHERTEXT.replace(b"\n\n", b"\r\r\n\n"),
        CIPHERTEXT.replace(b"\n\n", "\nComment: ü\n\n".encode()),
        CIPHERTEXT[:-40],
    ],
)
def test_what_we_would_not_decrypt_is_not_sent_as_encrypted(ciphertext: bytes) -> None:
    """Above all the plaintext itself."""
    for bad in (ciphertext, payload(MAIL, REFERENCE)):
        with pytest.raises(ValueError, match=r"read back|armoured"):
            encrypted(MAIL, REFERENCE, bad)


def test_a_signature_goes_only_with_the_payload_of_its_mail() -> None:
    with pytest.raises(ValueError, match="payload"):
        signed(replace(MAIL, body="Bye\n"), payload(MAIL), SIGNATURE, "pgp-sha512")
    with pytest.raises(ValueError, match="read back"):
        signed(MAIL, payload(MAIL), CIPHERTEXT, "pgp-sha512")
    with pytest.raises(ValueError, match="micalg"):
        signed(MAIL, payload(MAIL), SIGNATURE, 'sha512"; x="')


def test_an_address_beyond_ascii_is_written_in_utf8() -> None:
    inner = payload(replace(MAIL, to_address="zoë@bücher.example"), REFERENCE)
    assert "To: zoë@bücher.example\r\n".encode() in inner


@pytest.mark.parametrize("text", ["\r", "\n", "\r\n", "\0", "\x1b", "\u2028", "x\r\nBcc: y@example.org"])
def test_no_control_gets_into_a_header(text: str) -> None:
    for mail in (
        replace(MAIL, subject=text),
        replace(MAIL, from_name=text),
        replace(MAIL, to_address=f"a{text}@b.example"),
    ):
        with pytest.raises(ValueError, match=r"control|address"):
            payload(mail, REFERENCE)


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=120)
LINES = st.lists(
    st.sampled_from(["From x", "-- ", " ", "a \t", "", ".", "ü", "x" * 100, "x" * 1000, "--=_"]), max_size=9
)


@given(TEXT, TEXT, LINES, st.binary(max_size=200), st.booleans())
def test_whatever_is_written_is_signed_as_it_is_read(
    subject: str, name: str, lines: list[str], attachment: bytes, with_files: bool
) -> None:
    mail = replace(
        MAIL,
        subject=subject,
        from_name=name,
        body="\n".join(lines),
        attachment=attachment or None,
        files=MAIL.files if with_files else (),
    )
    inner = payload(mail)
    check_survives(inner)
    found = read(signed(mail, inner, SIGNATURE, "pgp-sha256"))
    assert isinstance(found, Signed) and found.content == inner
    hidden = payload(mail, REFERENCE)
    check_survives(hidden)
    seen = protected_headers(hidden, parse(encrypted(mail, REFERENCE, CIPHERTEXT)), encrypted=True)
    assert seen.entity == hidden and seen.defects == ()
    assert seen.from_ is not None and seen.from_.addr_spec == mail.from_address
