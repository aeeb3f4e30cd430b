"""Which parts are encrypted, and how, by their first bytes. Decides whether a case is sealed; decrypts nothing."""

from __future__ import annotations

import re

from mailbox_service.core.message.view import Encryption

_ARMOUR = re.compile(rb"(?:\A|\n)[ \t]*-----BEGIN PGP MESSAGE-----")
_ARMOUR_IN_TEXT = re.compile(r"(?:\A|\n)[ \t\xa0]*-----BEGIN PGP MESSAGE(?:, PART [0-9/]+)?-----")
_SIGNED_IN_TEXT = re.compile(r"(?:\A|\n)-----BEGIN PGP SIGNED MESSAGE-----")
_PGP_NAMES = (".asc", ".pgp", ".gpg")
# Packet tags that begin an encrypted OpenPGP message (RFC 9580 §5): PKESK, SKESK, SED, SEIPD, the AEAD of GnuPG;
# with the version each may have as its first content byte (none for SED).
_ENCRYPTED_PACKETS = {1: (2, 3, 6), 3: (4, 5, 6), 18: (1, 2), 20: (1,), 9: ()}
# Object identifiers of RFC 5652 and RFC 5083 in DER.
_ENVELOPED = bytes.fromhex("06092a864886f70d010703")
_AUTH_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
_SIGNED = bytes.fromhex("06092a864886f70d010702")
_SMIME_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_OID_WITHIN_BYTES = 64  # the content type is the first thing in a ContentInfo


def of_attachment(head: bytes, filename: str, content_type: str, smime_type: str) -> Encryption:
    """How the attachment with these first bytes is encrypted."""
    name = filename.lower()
    if content_type in _SMIME_TYPES or name.endswith(".p7m"):
        return Encryption.SMIME if _enveloped(head, smime_type.lower()) else Encryption.NONE
    pgp_type = content_type in ("application/pgp", "application/pgp-encrypted")
    if (name.endswith(_PGP_NAMES) or pgp_type) and (_ARMOUR.search(head) or _is_binary_openpgp(head)):
        return Encryption.PGP_INLINE
    return Encryption.NONE


def _enveloped(head: bytes, smime_type: str) -> bool:
    start = head[:_OID_WITHIN_BYTES]
    if _ENVELOPED in start or _AUTH_ENVELOPED in start:
        return True
    # What the bytes say goes before what the sender says; a part that says nothing is taken for the worse case.
    return _SIGNED not in start and smime_type in ("", "enveloped-data", "authenveloped-data")


def is_signed_cms(head: bytes) -> bool:
    """Opaque S/MIME signed-data (RFC 8551 §3.5.2)."""
    return _SIGNED in head[:_OID_WITHIN_BYTES]


def _is_binary_openpgp(head: bytes) -> bool:
    if len(head) < 8 or not head[0] & 0x80:
        return False
    if head[0] & 0x40:
        tag = head[0] & 0x3F
        width = 1 if head[1] < 192 else 2 if head[1] < 224 else 5 if head[1] == 255 else 1
    else:
        tag = head[0] >> 2 & 0x0F
        width = (1, 2, 4, 0)[head[0] & 3]
    versions = _ENCRYPTED_PACKETS.get(tag)
    return versions is not None and (not versions or head[1 + width] in versions)


def holds_pgp_message(text: str) -> bool:
    """A PGP MESSAGE armour at the beginning of a line; a quoted one does not count."""
    return "-----BEGIN PGP MESSAGE" in text and _ARMOUR_IN_TEXT.search(text) is not None


def holds_signed_text(text: str) -> bool:
    return "-----BEGIN PGP SIGNED MESSAGE-----" in text and _SIGNED_IN_TEXT.search(text) is not None
