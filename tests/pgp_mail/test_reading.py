"""What gpg may decrypt or verify: the forms of real programs, the shapes of known attacks, and any bytes at all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.message import TextKind, parse
from mailbox_service.core.openpgp import (
    Encrypted,
    Form,
    Layer,
    Refusal,
    Refused,
    Signed,
    entity_of,
    read,
    reading,
)
from mailbox_service.core.openpgp.armour import MESSAGE, dearmour
from mailbox_service.core.openpgp.packets import EncryptedMessage, read_message
from tests.pgp_mail import samples
from tests.pgp_mail.samples import (
    CONTROL,
    ENCRYPTED_BY,
    NESTED,
    NESTED_SIGNED,
    NOT_DECRYPTED,
    NOT_VERIFIED,
    OCTETS,
    SIGNED_BY,
    SIGNED_CONTENT,
    encrypted,
    mail,
    signed,
)

FORMS = dict.fromkeys(ENCRYPTED_BY, Form.PGP_MIME)
FORMS |= {name: Form.EXCHANGE for name in ENCRYPTED_BY if name.startswith("Exchange")}
FORMS |= dict.fromkeys(list(ENCRYPTED_BY)[list(ENCRYPTED_BY).index("Mailvelope") :], Form.INLINE)


def original() -> EncryptedMessage:
    block = dearmour(samples.MESSAGE.encode(), MESSAGE)
    assert not isinstance(block, Refusal)
    message = read_message(block.data)
    assert isinstance(message, EncryptedMessage)
    return message


@pytest.mark.parametrize("name", ENCRYPTED_BY)
def test_encrypted_mail_of_a_real_program_is_decrypted(name: str) -> None:
    assert read(ENCRYPTED_BY[name]) == Encrypted(FORMS[name], original())


@pytest.mark.parametrize("name", SIGNED_BY)
def test_signed_mail_of_a_real_program_is_verified_over_exactly_the_transmitted_bytes(name: str) -> None:
    found = read(SIGNED_BY[name])
    assert isinstance(found, Signed)
    assert found.content == SIGNED_CONTENT
    assert found.micalg == "pgp-sha512"
    assert found.signature.hash_algorithm == 10
    assert found.signature.over_text is ("over text" in name)
    assert samples.FINGERPRINT in found.signature.issuers


@pytest.mark.parametrize("name", NOT_DECRYPTED)
def test_anything_but_the_whole_mail_is_not_decrypted(name: str) -> None:
    reason, raw = NOT_DECRYPTED[name]
    assert read(raw) == Refused(Refusal[reason])


@pytest.mark.parametrize("name", NOT_VERIFIED)
def test_anything_but_the_whole_mail_is_not_verified(name: str) -> None:
    reason, raw = NOT_VERIFIED[name]
    assert read(raw) == Refused(Refusal[reason])


def test_a_shape_of_encrypted_mail_is_also_what_seals_a_case() -> None:
    """What may be decrypted is a part of what the view calls encrypted; a case is sealed by the view."""
    for raw in ENCRYPTED_BY.values():
        assert parse(raw).encryption


def test_signed_inside_of_encrypted_is_read_by_the_same_rules() -> None:
    inner = NESTED_SIGNED.encode().replace(b"\n", b"\r\n")
    found = read(inner, (Layer.ENCRYPTED,))
    assert isinstance(found, Signed) and found.content == SIGNED_CONTENT
    assert read(b"Content-Type: text/plain\r\n\r\nHi\r\n", (Layer.ENCRYPTED,)) == Refused(Refusal.NONE)
    for reason, raw in NOT_VERIFIED.values():
        assert read(raw, (Layer.ENCRYPTED,)) == Refused(Refusal[reason])


def test_encrypted_inside_of_signed_is_decrypted_and_may_be_signed_inside() -> None:
    outer = read(signed(NESTED, samples.SIGNATURE_PART))
    assert isinstance(outer, Signed)
    assert read(outer.content, (Layer.SIGNED,)) == Encrypted(Form.PGP_MIME, original())
    assert isinstance(read(NESTED_SIGNED.encode(), (Layer.SIGNED, Layer.ENCRYPTED)), Signed)


@pytest.mark.parametrize(
    "within", [(Layer.ENCRYPTED,), (Layer.SIGNED, Layer.ENCRYPTED), (Layer.ENCRYPTED, Layer.SIGNED)]
)
def test_nothing_is_decrypted_twice(within: tuple[Layer, ...]) -> None:
    """An attacker who encrypts to us what was captured would else have it decrypted under a name of their own."""
    for raw in ENCRYPTED_BY.values():
        assert read(raw, within) == Refused(Refusal.TWICE)


def test_signed_directly_inside_of_signed_is_not_verified() -> None:
    assert read(signed(), (Layer.SIGNED,)) == Refused(Refusal.TWICE)


def test_forms_without_a_standard_are_not_read_inside_of_a_signature() -> None:
    for name, raw in ENCRYPTED_BY.items():
        if FORMS[name] is not Form.PGP_MIME:
            assert read(raw, (Layer.SIGNED,)) == Refused(Refusal.NOT_OUTERMOST)


def test_what_looks_like_a_header_in_an_inline_block_is_text() -> None:
    plaintext = b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\n/close\n--x--\n"
    seen = parse(entity_of(plaintext, Form.INLINE))
    assert [text.kind for text in seen.texts] == [TextKind.BODY]
    assert seen.text.startswith("Content-Type: multipart/mixed")
    assert entity_of(plaintext, Form.PGP_MIME) == plaintext


def test_line_ends_are_made_canonical_and_nothing_else() -> None:
    part = "Content-Type: text/plain\n\na\rb \r\n\tc\x00\n\n"
    found = read(signed(part, samples.SIGNATURE_PART))
    assert isinstance(found, Signed)
    # `signed` writes LF as CRLF, so the sample's own CRLF became CR CR LF; only line ends are touched after that.
    assert found.content == b"Content-Type: text/plain\r\n\r\na\rb \r\r\n\tc\0\r\n\r\n"


def test_a_fault_of_ours_refuses_and_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_encrypted", None)
    assert read(encrypted()) == Refused(Refusal.UNREADABLE)


def test_a_header_full_of_fields_that_prove_nothing_changes_nothing() -> None:
    odd = "X-Spam-Report : " + "x" * 9000 + "\nAuthentication-Results: a; dmarc=pass\n"
    assert isinstance(read(mail(odd + samples.multipart(samples.ENCRYPTED_KIND, CONTROL, OCTETS))), Encrypted)


@given(st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    strict_read(data)
    for head in (b"", samples.HEAD.encode()):
        strict_read(head + b"Content-Type: multipart/signed; boundary=b\n\n--b\n" + data)


def strict_read(raw: bytes) -> reading.Reading:
    """Without the safety net, which would hide a fault."""
    found = reading._read(raw, ())
    assert read(raw) == found
    return found


def flips(raw: bytes) -> list[bytes]:
    """Every structural byte changed once: all but the armour's base64."""
    rng = random.Random(raw)
    found = []
    for at, byte in enumerate(raw):
        line_start = raw.rfind(b"\n", 0, at) + 1
        line = raw[line_start : raw.find(b"\n", at)]
        if len(line) > 60 and not any(mark in line for mark in (b":", b"-", b" ", b"<")):
            continue
        other = rng.choice([b for b in b'\r\n\t -:;="<b1z/\x00\xff' if b != byte])
        found.append(raw[:at] + bytes((other,)) + raw[at + 1 :])
        found.append(raw[:at] + raw[at + 1 :])
    return found


def test_a_changed_byte_of_structure_gives_the_same_ciphertext_or_nothing() -> None:
    expected = original().data_digest
    for raw in (encrypted(), ENCRYPTED_BY["Mailvelope in webmail"], ENCRYPTED_BY["Exchange without a text"]):
        for changed in flips(raw):
            found = strict_read(changed)
            assert isinstance(found, Refused) or (
                isinstance(found, Encrypted) and found.message.data_digest == expected
            )


def check_is_one_part(content: bytes, raw: bytes) -> None:
    """It begins behind a boundary line and ends before one, in a mail that is multipart/signed."""
    canonical = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    at = canonical.index(content)
    assert canonical[:at].rsplit(b"\r\n", 2)[1].startswith(b"--")
    assert canonical[at + len(content) :].startswith(b"\r\n--")
    assert parse(raw).content_type == "multipart/signed"


def test_a_changed_byte_of_structure_never_shows_more_than_the_signed_part() -> None:
    """Where more than the signed part would be verified, the signature does not fit the bytes any more."""
    verified = 0
    for raw in (signed(), NOT_VERIFIED["M1: text above a signed part"][1], NOT_VERIFIED["two signed parts"][1]):
        for changed in flips(raw):
            found = strict_read(changed)
            if not isinstance(found, Signed):
                continue
            verified += found.content == SIGNED_CONTENT
            check_is_one_part(found.content, changed)
    assert verified > 100


def test_no_changed_byte_makes_an_attack_readable_as_another_mail() -> None:
    """An attack with one byte changed is refused, or has become the plain mail of which its parts were taken."""
    attacks = [raw for _, raw in NOT_DECRYPTED.values()][:8] + [raw for _, raw in NOT_VERIFIED.values()][:6]
    expected = original().data_digest
    for raw in attacks:
        for changed in flips(raw)[::7]:
            found = strict_read(changed)
            if isinstance(found, Encrypted):
                assert found.message.data_digest == expected
            elif isinstance(found, Signed):
                check_is_one_part(found.content, changed)
