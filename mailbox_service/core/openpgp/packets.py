"""The framing of OpenPGP packets (RFC 9580 §4): what a message, a signature or a key consists of, before gpg sees it.

No cryptography and no decompression: a compressed packet outside of the encryption is refused, and what is inside is
bounded where gpg writes it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mailbox_service.core.openpgp.refusal import Refusal

MESSAGE_BYTES = 64 * 1024 * 1024  # a mail of 50 MB, the largest usually accepted, decoded
PACKETS = 1_000  # a mail to two hundred people has two hundred; a key with many certifications some hundreds
# GnuPG writes chunks of 8 kB, the smallest allowed as first is 512 bytes: a mail of 50 MB in those. Later ones may be
# of one byte, of which nobody makes use.
CHUNKS = 120_000
RECIPIENTS = 250  # a mailing list of maintainers; each hidden one costs gpg an attempt with each secret key
KEYS = 10  # in one file; a team that sends all of its keys has fewer

PKESK, SIGNATURE, SKESK, ONE_PASS, SECRET_KEY, PUBLIC_KEY, SECRET_SUBKEY = 1, 2, 3, 4, 5, 6, 7
COMPRESSED, SED, MARKER, LITERAL, TRUST, USER_ID, PUBLIC_SUBKEY = 8, 9, 10, 11, 12, 13, 14
USER_ATTRIBUTE, SEIPD, MDC, OCB, PADDING = 17, 18, 19, 20, 21
_MAY_BE_PARTIAL = frozenset({COMPRESSED, SED, LITERAL, SEIPD, OCB})  # RFC 9580 §4.2.1.4
_IGNORED = frozenset({MARKER, PADDING})  # RFC 9580 §5.8, §5.14
_OF_PUBLIC_KEYS = frozenset({PUBLIC_KEY, SIGNATURE, USER_ID, USER_ATTRIBUTE, PUBLIC_SUBKEY, TRUST})
# RFC 9580 §5.13, and version 1 of the packet that GnuPG 2.3 and later write where a key says so.
_SEALED_VERSIONS = {SEIPD: (1, 2), OCB: (1,)}
_DOCUMENT_TYPES = (0, 1)  # RFC 9580 §5.2.1: binary document, canonical text document
_SUBPACKETS = 200
_ISSUER, _ISSUER_FINGERPRINT, _INTENDED_RECIPIENT = 16, 33, 35


@dataclass(frozen=True, slots=True)
class Packet:
    tag: int
    body: bytes  # partial pieces joined

    @property
    def framed(self) -> bytes:
        """In the one form in which we hand packets on: new format, one length of five octets."""
        return bytes((0xC0 | self.tag, 0xFF)) + len(self.body).to_bytes(4) + self.body


@dataclass(frozen=True, slots=True)
class EncryptedMessage:
    """One encrypted message.

    `data_digest` stays the same in another armour, another framing, and with recipients taken away or added;
    `digest` covers the recipients too, in whatever order. Neither survives encrypting anew with the session key known.
    """

    octets: bytes  # what gpg gets: only the packets that were counted here, in a framing of ours
    recipients: tuple[str, ...]  # key ids or fingerprints, upper-case hex; "" for a hidden one (RFC 9580 §5.1)
    passphrases: int
    data_digest: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class DetachedSignature:
    """One signature over a document. What it claims of its maker and its addressees is worth what gpg says of it."""

    octets: bytes
    over_text: bool  # type 0x01: line ends, and for some programs blanks before them, are not signed
    hash_algorithm: int  # RFC 9580 §9.5: 8 is SHA-256, 2 SHA-1, 1 MD5
    issuers: tuple[str, ...]  # key ids and fingerprints, upper-case hex
    intended_recipients: tuple[str, ...]  # fingerprints (RFC 9580 §5.2.3.36), empty when it names none


@dataclass(frozen=True, slots=True)
class CandidateKey:
    """One transferable public key, which nobody has looked into."""

    octets: bytes
    fingerprint: str  # of the primary key, upper-case hex


def split(data: bytes) -> tuple[Packet, ...] | Refusal:
    """The packets that `data` consists of, to its last byte."""
    if len(data) > MESSAGE_BYTES:
        return Refusal.TOO_LARGE
    found: list[Packet] = []
    position, chunks = 0, CHUNKS
    while position < len(data):
        if len(found) == PACKETS:
            return Refusal.TOO_LARGE
        first = data[position]
        if not first & 0x80:
            return Refusal.PACKETS
        if first & 0x40:
            tag = first & 0x3F
            taken = _new_format(data, position + 1, tag, chunks)
        else:
            tag = first >> 2 & 0x0F
            taken = _old_format(data, position + 1, tag, first & 3)
        if isinstance(taken, Refusal):
            return taken
        body, position, used = taken
        chunks -= used
        if tag == 0:
            return Refusal.PACKETS
        found.append(Packet(tag, body))
    return tuple(found)


def _old_format(data: bytes, at: int, tag: int, length_type: int) -> tuple[bytes, int, int] | Refusal:
    if length_type == 3:  # to the end of the file; RFC 9580 §4.2.2 lets nobody write it any more
        return (data[at:], len(data), 0) if tag in _MAY_BE_PARTIAL else Refusal.PACKETS
    width = (1, 2, 4)[length_type]
    start = at + width
    end = start + int.from_bytes(data[at:start])
    if start > len(data) or end > len(data):
        return Refusal.PACKETS
    return data[start:end], end, 0


def _new_format(data: bytes, at: int, tag: int, chunks: int) -> tuple[bytes, int, int] | Refusal:
    pieces: list[bytes] = []
    while True:
        if at >= len(data):
            return Refusal.PACKETS
        first = data[at]
        if first < 192:
            start, length = at + 1, first
        elif first < 224:
            start, length = at + 2, (first - 192 << 8) + int.from_bytes(data[at + 1 : at + 2]) + 192
        elif first == 255:
            start, length = at + 5, int.from_bytes(data[at + 1 : at + 5])
        else:
            start, length = at + 1, 1 << (first & 0x1F)
        partial = 224 <= first < 255
        end = start + length
        if end > len(data) or (partial and (tag not in _MAY_BE_PARTIAL or (not pieces and length < 512))):
            return Refusal.PACKETS
        pieces.append(data[start:end])
        if not partial:
            return b"".join(pieces), end, len(pieces)
        if len(pieces) >= chunks:
            return Refusal.TOO_LARGE
        at = end


def read_message(data: bytes) -> EncryptedMessage | Refusal:
    """The message that `data` is: keys to it, then one packet that is encrypted and protected against changes."""
    packets = split(data)
    if isinstance(packets, Refusal):
        return packets
    packets = tuple(packet for packet in packets if packet.tag not in _IGNORED)
    keys = [packet for packet in packets if packet.tag in (PKESK, SKESK)]
    rest = [packet for packet in packets if packet.tag not in (PKESK, SKESK)]
    wrong = _wrong_message(packets, keys, rest)
    if wrong is not None:
        return wrong
    sealed = rest[0]
    recipients = [_recipient(packet.body) for packet in keys if packet.tag == PKESK]
    named = tuple(name for name in recipients if name is not None)
    if len(named) < len(recipients):
        return Refusal.PACKETS
    if not named:
        return Refusal.NO_RECIPIENT
    whole = hashlib.sha256()
    for framed in sorted(packet.framed for packet in keys):
        whole.update(framed)
    whole.update(sealed.framed)
    return EncryptedMessage(
        octets=b"".join(packet.framed for packet in packets),
        recipients=named,
        passphrases=len(keys) - len(named),
        data_digest=hashlib.sha256(bytes((sealed.tag,)) + sealed.body).digest(),
        digest=whole.digest(),
    )


def _wrong_message(packets: tuple[Packet, ...], keys: list[Packet], rest: list[Packet]) -> Refusal | None:
    if any(packet.tag == SED for packet in rest):
        return Refusal.NO_INTEGRITY
    if not any(packet.tag in _SEALED_VERSIONS for packet in rest):
        return Refusal.NOT_ENCRYPTED if rest else Refusal.PACKETS
    if len(rest) > 1 or packets[-1] is not rest[0]:
        return Refusal.SEVERAL_MESSAGES
    if len(keys) > RECIPIENTS:
        return Refusal.TOO_LARGE
    sealed = rest[0]
    return None if sealed.body[:1] and sealed.body[0] in _SEALED_VERSIONS[sealed.tag] else Refusal.PACKETS


def _recipient(body: bytes) -> str | None:
    """For whom a session key is, "" when that is hidden; None for what is none (RFC 9580 §5.1)."""
    if len(body) < 10:
        return None
    if body[0] in (2, 3):
        key_id = body[1:9]
        return key_id.hex().upper() if any(key_id) else ""
    if body[0] == 6:
        length = body[1]
        if length == 0:
            return ""
        return body[3 : 2 + length].hex().upper() if length in (21, 33) and len(body) > 2 + length else None
    return None


def read_signature(data: bytes) -> DetachedSignature | Refusal:
    """The one signature that `data` is. Several are refused: which of them a person would see is anybody's guess."""
    packets = split(data)
    if isinstance(packets, Refusal):
        return packets
    packets = tuple(packet for packet in packets if packet.tag not in _IGNORED)
    if not packets or any(packet.tag != SIGNATURE for packet in packets):
        return Refusal.NO_SIGNATURE
    if len(packets) > 1:
        return Refusal.SEVERAL_SIGNATURES
    body = packets[0].body
    # Version 3 is of 1998 and has no fingerprint in it; 4 and 6 have type, key algorithm and hash in the same places.
    if len(body) < 12 or body[0] not in (4, 6):
        return Refusal.PACKETS
    if body[1] not in _DOCUMENT_TYPES:
        return Refusal.SIGNATURE_TYPE
    width = 2 if body[0] == 4 else 4
    hashed_end = 4 + width + int.from_bytes(body[4 : 4 + width])
    free_end = hashed_end + width + int.from_bytes(body[hashed_end : hashed_end + width])
    if free_end > len(body):
        return Refusal.PACKETS
    hashed = _subpackets(body[4 + width : hashed_end])
    free = _subpackets(body[hashed_end + width : free_end])
    if hashed is None or free is None:
        return Refusal.PACKETS
    issuers = [value.hex().upper() for kind, value in hashed + free if kind == _ISSUER]
    issuers += [value[1:].hex().upper() for kind, value in hashed + free if kind == _ISSUER_FINGERPRINT]
    meant = tuple(value[1:].hex().upper() for kind, value in hashed if kind == _INTENDED_RECIPIENT)
    return DetachedSignature(packets[0].framed, body[1] == 1, body[3], tuple(dict.fromkeys(issuers)), meant)


def _subpackets(area: bytes) -> list[tuple[int, bytes]] | None:
    """Type (without its critical bit) and value of each (RFC 9580 §5.2.3.7); None when they do not fill the area."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(area):
        first = area[at]
        if first < 192:
            start, length = at + 1, first
        elif first < 255:
            start, length = at + 2, (first - 192 << 8) + int.from_bytes(area[at + 1 : at + 2]) + 192
        else:
            start, length = at + 5, int.from_bytes(area[at + 1 : at + 5])
        at = start + length
        if not length or at > len(area) or len(found) == _SUBPACKETS:
            return None
        found.append((area[start] & 0x7F, area[start + 1 : at]))
    return found


def read_keys(data: bytes) -> tuple[CandidateKey, ...] | Refusal:
    """The public keys that `data` consists of. Anything secret among them, or of another kind, and there is none."""
    packets = split(data)
    if isinstance(packets, Refusal):
        return packets
    packets = tuple(packet for packet in packets if packet.tag not in _IGNORED)
    if not packets or packets[0].tag != PUBLIC_KEY or any(packet.tag not in _OF_PUBLIC_KEYS for packet in packets):
        return Refusal.NO_KEY
    keys: list[CandidateKey] = []
    starts = [i for i, packet in enumerate(packets) if packet.tag == PUBLIC_KEY]
    if len(starts) > KEYS:
        return Refusal.TOO_LARGE
    for start, end in zip(starts, [*starts[1:], len(packets)], strict=True):
        fingerprint = _fingerprint(packets[start].body)
        if fingerprint is None:
            return Refusal.NO_KEY
        # Trust packets are notes of the keyring they came from (RFC 9580 §5.10).
        octets = b"".join(packet.framed for packet in packets[start:end] if packet.tag != TRUST)
        keys.append(CandidateKey(octets, fingerprint))
    return tuple(keys)


def _fingerprint(body: bytes) -> str | None:
    """RFC 9580 §5.5.4; None for versions that gpg and we do not use (3 and older have forgeable key ids)."""
    if len(body) < 6 or len(body) > 0xFFFF:
        return None
    if body[0] == 4:
        # SHA-1 because the format says so; it names a key here and protects nothing.
        return hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False).hexdigest().upper()
    if body[0] == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4) + body).hexdigest().upper()
    return None
