"""What a mail is once gpg has looked at it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.composition import Outgoing
from mailbox_service.core.gpg.status import DecryptionFlaw, SignatureFlaw
from mailbox_service.core.message import parse
from mailbox_service.core.openpgp import encrypted, header_field, payload, signed
from mailbox_service.services.opening import CAME_BEFORE, Content, Openness, ciphertext_of, look
from mailbox_service.services.ports import MessageId
from mailbox_service.services.ports.openpgp import NotVerified, PublicKey, Verified
from tests.openpgp.keys import People, Person

BOB = "bob@y.example"
SECRET = "The hole is in parse_header."


def mail(body: str = SECRET, subject: str = "A secret subject") -> Outgoing:
    return Outgoing(
        from_address=BOB,
        from_name="Bob",
        to_address="security@demo.example",
        reply_to=None,
        subject=subject,
        body=body + "\n",
        message_id="<m1@y.example>",
        date=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
        in_reply_to=None,
        references=(),
        auto_submitted="auto-replied",
        loop_marker="marker",
        attachment=None,
        attachment_name="",
    )


@pytest.fixture(scope="module")
def ours(door: GpgDoor) -> PublicKey:
    key = door.public_key()
    assert key is not None
    return key


def sealed(bob: Person, ours: PublicKey, *, sign: bool = False, inner: bytes = b"") -> bytes:
    return encrypted(mail(), "[...]", bob.seal(inner or payload(mail(), "[...]"), ours, sign=sign))


def signed_by(bob: Person, content: bytes) -> bytes:
    """RFC 3156 §5, written by hand: of a program that knows less than ours does."""
    return (
        b"From: bob@y.example\r\nSubject: Outside\r\nContent-Type: multipart/signed; boundary=s; micalg=pgp-sha512;\r\n"
        b' protocol="application/pgp-signature"\r\n\r\n--s\r\n' + content + b"\r\n--s\r\n"
        b"Content-Type: application/pgp-signature\r\n\r\n" + bob.sign(content) + b"\r\n--s--\r\n"
    )


def seen(raw: bytes, door: GpgDoor | None, *signers: PublicKey) -> Content:
    return look(raw, parse(raw), door, signers)


def test_an_encrypted_mail_is_read_from_inside(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    raw = sealed(bob, ours)
    content = seen(raw, door)
    assert content.openness is Openness.OPENED and SECRET in content.view.text
    assert content.subject == "A secret subject" and SECRET.encode() in content.entity
    assert content.signature == NotVerified(SignatureFlaw.NONE) and content.signed_digest == ""
    assert content.data_digest == ciphertext_of(raw) != ""
    assert SECRET not in repr(content) and "A secret" not in repr(content)


def test_a_signature_inside_counts_and_one_around_does_not(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    inside = seen(sealed(bob, ours, sign=True), door, bob.public)
    assert isinstance(inside.signature, Verified) and inside.signature.fingerprint == bob.fingerprint
    inner = payload(mail())
    wrapped = encrypted(
        mail(), "[...]", bob.seal(signed(mail(), inner, bob.sign(inner), "pgp-sha256"), ours, sign=False)
    )
    mime = seen(wrapped, door, bob.public)
    assert isinstance(mime.signature, Verified) and SECRET in mime.view.text and mime.subject == "A secret subject"
    ciphertext = sealed(bob, ours)
    around = b"Content-Type: multipart/encrypted" + ciphertext.partition(b"Content-Type: multipart/encrypted")[2]
    around = around.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    outside = seen(signed_by(bob, around), door, bob.public)
    assert outside.openness is Openness.OPENED and SECRET in outside.view.text
    assert isinstance(outside.signature, NotVerified) and outside.signed_digest == ""
    assert outside.data_digest == ciphertext_of(ciphertext)


def test_a_signed_mail_is_verified_by_the_keys_that_are_known(door: GpgDoor, bob: Person, people: People) -> None:
    inner = payload(mail())
    raw = signed_by(bob, inner)
    good = seen(raw, door, bob.public)
    assert good.openness is Openness.CLEAR and isinstance(good.signature, Verified)
    assert good.subject == "A secret subject" and SECRET.encode() in good.entity
    for unknown in (seen(raw, door), seen(raw, door, people.join("Eve <eve@evil.example>").public)):
        assert unknown.signature == NotVerified(SignatureFlaw.UNKNOWN_KEY)
        assert unknown.view == parse(raw) and unknown.entity == b"" and unknown.subject == "Outside"
    changed = seen(raw.replace(b"parse_header", b"read_headers"), door, bob.public)
    assert changed.signature == NotVerified(SignatureFlaw.BAD) and changed.signed_digest == ""


def test_a_signature_is_known_by_its_bytes_and_its_moment(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    inner = payload(mail())
    one = bob.sign(inner)
    time.sleep(1.1)  # the moment has whole seconds
    again = bob.sign(inner)

    def digest(signature: bytes) -> str:
        content = seen(signed(mail(), inner, signature, "pgp-sha256"), door, bob.public)
        assert isinstance(content.signature, Verified), content.signature
        return content.signed_digest

    assert digest(one) == digest(one) != digest(again)
    inside = seen(
        encrypted(mail(), "[...]", bob.seal(signed(mail(), inner, one, "pgp-sha256"), ours, sign=False)),
        door,
        bob.public,
    )
    assert inside.signed_digest == digest(one)


def test_what_cannot_be_opened_says_why_and_shows_the_outside(door: GpgDoor, bob: Person, people: People) -> None:
    other = people.join("Carol <carol@x.example>")
    closed = seen(sealed(bob, other.public), door)
    assert (closed.openness, closed.why) == (Openness.CLOSED, DecryptionFlaw.NO_KEY.value)
    assert closed.unread and closed.data_digest and closed.entity == b""
    around = seen(sealed(bob, other.public).replace(b"--", b"--", 1) + b"\r\nmore below\r\n", door)
    assert around.openness is Openness.CLOSED and around.why and not around.data_digest


def test_the_same_ciphertext_is_not_opened_twice(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    raw = sealed(bob, ours)
    again = look(raw, parse(raw), door, [], seen={ciphertext_of(raw): MessageId(7)})
    assert (again.openness, again.why, again.first) == (Openness.REPEATED, CAME_BEFORE, 7)
    assert again.view.text == "" and again.entity == b"" and "message 7" in again.remarks[0]


def test_without_a_door_a_mail_is_what_it_is_outside(ours: PublicKey, bob: Person) -> None:
    assert seen(sealed(bob, ours), None).openness is Openness.CLOSED
    assert seen(b"From: bob@y.example\r\n\r\nHello\r\n", None).openness is Openness.CLEAR


def test_a_key_that_came_inside_is_told_from_one_outside(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    field = ": ".join(header_field(BOB, bob.public.data)).encode()
    raw = sealed(bob, ours)
    outside = seen(field + b"\r\n" + raw, door)
    assert outside.offered == () and [k.key.fingerprint for k in outside.offered_outside] == [bob.fingerprint]
    attached = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\n"
        b"Content-Type: application/pgp-keys; name=key.asc\r\nContent-Disposition: attachment; filename=key.asc\r\n\r\n"
        + bob.gpg("--armor", "--export", bob.fingerprint)
        + b"\r\n--b--\r\n"
    )
    content = seen(field + b"\r\n" + sealed(bob, ours, inner=attached), door)
    assert content.offered_outside == ()
    offered = content.offered
    assert [key.facts.fingerprint for key in offered] == [bob.fingerprint]
    assert offered[0].facts.can("e") and BOB in offered[0].facts.addresses
    clear = field + b"\r\nFrom: bob@y.example\r\n\r\nHello\r\n"
    assert seen(clear, door).offered == ()
    assert [key.key.fingerprint for key in seen(clear, door).offered_outside] == [bob.fingerprint]
