"""From a mail to the text in it and back, with gpg in between: the parts of `core.openpgp` and the door together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.composition import OutFile, Outgoing
from mailbox_service.core.message import parse
from mailbox_service.core.openpgp import (
    Encrypted,
    Layer,
    Signed,
    encrypted,
    entity_of,
    payload,
    protected_headers,
    read,
    signed,
)
from mailbox_service.services.ports.openpgp import NotVerified, Opened, PublicKey, Verified
from tests.openpgp.keys import Person
from tests.openpgp.test_door import ours

__all__ = ["ours"]

REFERENCE = "[SEC-2026-0001]"
MAIL = Outgoing(
    from_address="security@demo.example",
    from_name="Demo security",
    to_address="bob@people.example",
    reply_to=None,
    subject="[SEC-2026-0001] Überlauf in the parser",
    body="Hello,\n\nFrom here on it reads too much. \n-- \nThe team\n",
    message_id="<m1@demo.example>",
    date=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    in_reply_to=None,
    references=(),
    auto_submitted="auto-replied",
    loop_marker="marker",
    attachment=None,
    attachment_name="original.eml",
    files=(OutFile("fix.patch", b"--- a\n+++ b \n"),),
)


def transported(raw: bytes) -> list[bytes]:
    return [raw, raw.replace(b"\r\n", b"\n")]


def test_a_mail_of_ours_is_decrypted_with_its_subject(door: GpgDoor, ours: PublicKey) -> None:
    inner = payload(MAIL, REFERENCE)
    raw = encrypted(MAIL, REFERENCE, door.encrypt(inner, [ours], sign=True))
    for came in transported(raw):
        found = read(came)
        assert isinstance(found, Encrypted)
        opened = door.open(found.message.octets, [ours])
        assert isinstance(opened, Opened) and opened.data == inner and isinstance(opened.signature, Verified)
        shown = protected_headers(entity_of(opened.data, found.form), parse(came), encrypted=True)
        assert shown.subject == MAIL.subject and shown.defects == ()


def test_a_mail_of_ours_is_verified(door: GpgDoor, ours: PublicKey) -> None:
    inner = payload(MAIL)
    raw = signed(MAIL, inner, door.sign_detached(inner), "pgp-sha512")
    for came in transported(raw):
        found = read(came)
        assert isinstance(found, Signed)
        judged = door.verify_detached(found.content, found.signature.octets, [ours])
        assert isinstance(judged, Verified) and judged.fingerprint == ours.fingerprint
    changed = read(raw.replace(b"fix.patch", b"fox.patch"))
    assert isinstance(changed, Signed)
    assert isinstance(door.verify_detached(changed.content, changed.signature.octets, [ours]), NotVerified)


def test_signed_inside_of_encrypted_is_verified_over_what_came_out(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    mail = replace(MAIL, from_address="bob@people.example", to_address="security@demo.example")
    text = payload(mail)
    inside = signed(mail, text, bob.sign(text, "--armor"), "pgp-sha512")
    found = read(encrypted(mail, REFERENCE, bob.seal(inside, ours, "--armor", sign=False)))
    assert isinstance(found, Encrypted)
    opened = door.open(found.message.octets)
    assert isinstance(opened, Opened) and isinstance(opened.signature, NotVerified)
    layer = read(entity_of(opened.data, found.form), (Layer.ENCRYPTED,))
    assert isinstance(layer, Signed) and layer.content == text
    assert isinstance(door.verify_detached(layer.content, layer.signature.octets, [bob.public]), Verified)


def test_the_same_ciphertext_for_other_recipients_is_recognised(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    both = door.encrypt(payload(MAIL, REFERENCE), [ours, bob.public], sign=False)
    raw = encrypted(MAIL, REFERENCE, both)
    found = read(raw)
    assert isinstance(found, Encrypted) and len(found.message.recipients) == 2
    inline = read(b"From: eve@evil.example\r\n\r\n \r\n" + both.replace(b"\n", b"\r\n\r\n"))
    assert isinstance(inline, Encrypted) and inline.message == found.message
