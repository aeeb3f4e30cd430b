"""What of a mail gpg may decrypt or verify: a few shapes of the whole mail, and for all others the reason why not.

Whoever decrypts a part of a mail shows the rest of it beside secrets, and whoever verifies a part shows the rest beside
a signature (threat model 2, 8 and 25). So a reading is of the whole mail, and what was decrypted or verified is read
as a message of its own: nothing around it is ever shown with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mailbox_service.core.message import charsets, decoding
from mailbox_service.core.message.encryption import holds_pgp_message, holds_signed_text
from mailbox_service.core.message.fields import HEADER_VALUE_CHARS, read_fields
from mailbox_service.core.message.html import html_to_text
from mailbox_service.core.message.reading import Reader, read_whole
from mailbox_service.core.message.structure import Entity, Structure, describe, direct_parts, message_start
from mailbox_service.core.message.view import Encryption
from mailbox_service.core.openpgp.armour import MESSAGE, SIGNATURE, dearmour
from mailbox_service.core.openpgp.packets import (
    MESSAGE_BYTES,
    DetachedSignature,
    EncryptedMessage,
    read_message,
    read_signature,
)
from mailbox_service.core.openpgp.refusal import Refusal

ARMOURED_BYTES = MESSAGE_BYTES // 3 * 4 + MESSAGE_BYTES // 16
SIGNATURE_BYTES = 64 * 1024  # a signature has some hundred bytes, with post-quantum algorithms up to 50 kB
CONTROL_BYTES = 1024  # "Version: 1"
INLINE_TEXT_CHARS = 4 * 1024 * 1024  # nobody pastes more into a mail program; files go as PGP/MIME

# What may be odd about a header without a doubt about the structure: neither hides a Content-Type from anybody.
_HARMLESS_DEFECTS = frozenset({"very long header field", "malformed header field name"})
_STRUCTURAL = ("content-type", "content-transfer-encoding")
_VERSION = re.compile(rb"[ \t\r\n]*Version[ \t]*:[ \t]*1[ \t\r\n]*", re.IGNORECASE)
_MICALG = re.compile(r"pgp-[a-z0-9-]{2,20}")
# A signature over text leaves line ends open, and GnuPG takes any run of these before a line feed for one.
_TRAILING_BLANK = re.compile(rb"[ \t\r]\r\n|[ \t\r]\Z")


class Form(StrEnum):
    """How the encrypted message stood in the mail."""

    PGP_MIME = "pgp/mime"  # RFC 3156 §4
    EXCHANGE = "pgp/mime broken up by Exchange"
    INLINE = "inline"  # the text of the mail is one block


class Layer(StrEnum):
    ENCRYPTED = "encrypted"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Encrypted:
    """gpg may decrypt `message.octets`; what comes out is read with `entity_of` and `read(…, within)`."""

    form: Form
    message: EncryptedMessage


@dataclass(frozen=True, slots=True)
class Signed:
    """gpg may verify `signature.octets` over `content`; what is shown or obeyed is `content`, read as a message."""

    content: bytes  # the first part with its header as it was transmitted, its lines ended by CRLF (RFC 3156 §5)
    signature: DetachedSignature
    micalg: str


@dataclass(frozen=True, slots=True)
class Refused:
    """gpg gets nothing of it. It is shown as what it is and grants nothing."""

    reason: Refusal


Reading = Encrypted | Signed | Refused


def read(raw: bytes, within: tuple[Layer, ...] = ()) -> Reading:
    """What gpg may do with `raw`: a mail, or the entity inside of one, then `within` says what was taken off of it.

    Total: returns for any bytes; time is linear, memory a few times their size. An entity is never decrypted twice, and
    a signature directly inside of a signature is not looked at, so there are at most three layers. A signature over
    something encrypted says nothing about what comes out of it.
    """
    try:
        return _read(raw, within)
    except Exception:
        # A fault of ours must cost a person's look, never the mail.
        return Refused(Refusal.UNREADABLE)


def entity_of(plaintext: bytes, form: Form) -> bytes:
    """What was decrypted, as an entity that `core.message.parse` and `read` can read.

    An inline block holds text: what looks like a header in it is text too (RFC 9580 §5.9 knows no header).
    """
    if form is not Form.INLINE:
        return plaintext
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + plaintext


def _read(raw: bytes, within: tuple[Layer, ...]) -> Reading:
    odd: set[str] = set()
    root = Entity(raw, message_start(raw, 0, len(raw), odd), len(raw))
    clear = _describe(root) and not odd
    kind, protocol = root.content_type, root.parameters.get("protocol", "").lower()
    encrypted = kind == "multipart/encrypted"
    signed = kind == "multipart/signed" and "pkcs7" not in protocol
    if encrypted or signed:
        if not clear or root.encoding:
            return Refused(Refusal.AMBIGUOUS)
        if within.count(Layer.ENCRYPTED if encrypted else Layer.SIGNED) and _repeats(within, encrypted):
            return Refused(Refusal.TWICE)
        return _encrypted(root, protocol) if encrypted else _signed(root, protocol)
    if not clear and _may_be_shaped(root):
        return Refused(Refusal.AMBIGUOUS)
    whole = read_whole(raw)
    reader = whole.reader
    if kind == "multipart/mixed" and reader.encryption is Encryption.PGP_MIME:
        broken_up = _exchange(root)
        if broken_up is not None:
            return _if_outermost(broken_up, clear, within)
    if reader.encryption is Encryption.PGP_INLINE:
        block = _inline(reader, whole.content_type)
        if block is not None:
            return _if_outermost(block, clear, within)
    return Refused(_why_not(reader))


def _may_be_shaped(root: Entity) -> bool:
    """Whether a program that takes another Content-Type than the first would see one of the shapes."""
    values = [value.lower() for name, value in root.fields.items if name == "content-type"]
    return any("multipart/encrypted" in value or "application/pgp-signature" in value for value in values)


def _repeats(within: tuple[Layer, ...], encrypted: bool) -> bool:
    """Signed, encrypted, signed is what some programs do; every other second layer of a kind is an attempt."""
    return encrypted or within[-1] is Layer.SIGNED


def _if_outermost(reading: Reading, clear: bool, within: tuple[Layer, ...]) -> Reading:
    """Forms that no standard knows are read only where they are the mail itself."""
    if isinstance(reading, Refused):
        return reading
    if Layer.ENCRYPTED in within:
        return Refused(Refusal.TWICE)
    if within:
        return Refused(Refusal.NOT_OUTERMOST)
    return reading if clear else Refused(Refusal.AMBIGUOUS)


def _describe(entity: Entity) -> bool:
    """Read the header of `entity`; whether all programs read the same structure out of it."""
    fields = read_fields(entity.buf, entity.start, entity.end)
    describe(entity, fields, "text/plain")
    return (
        fields.defects <= _HARMLESS_DEFECTS
        and all(fields.count(name) <= 1 for name in _STRUCTURAL)
        and len(fields.get("content-type")) < HEADER_VALUE_CHARS
    )


def _two_parts(root: Entity, shape: Refusal) -> tuple[Entity, Entity, bytes] | Refusal:
    """The two parts that `root` has, described, and the first as it was transmitted."""
    parts, found = direct_parts(root)
    if found.defects or found.truncated:
        return Refusal.AMBIGUOUS
    if len(parts) != 2:
        return shape
    if _behind(root, parts, found):
        return Refusal.AROUND
    first, second = parts
    transmitted = first.buf[first.start : first.end]
    # All are described, whatever the first one says.
    clear = [_describe(part) for part in parts]
    return (first, second, transmitted) if all(clear) else Refusal.AMBIGUOUS


def _behind(root: Entity, parts: list[Entity], found: Structure) -> bool:
    """Whether anything stands behind the closing boundary. Before the first one programs write what they are for."""
    end = parts[-1].end
    return any(buf[start:stop].strip() for buf, start, stop, _ in found.loose if start >= end)


def _encrypted(root: Entity, protocol: str) -> Encrypted | Refused:
    """RFC 3156 §4: exactly the control part and the encrypted data."""
    parts = _two_parts(root, Refusal.SHAPE_ENCRYPTED)
    if isinstance(parts, Refusal):
        return Refused(parts)
    control, data, _ = parts
    if protocol != "application/pgp-encrypted" or not _is_control(control) or not _is_octets(data):
        return Refused(Refusal.SHAPE_ENCRYPTED)
    return _message(data, Form.PGP_MIME)


def _exchange(root: Entity) -> Encrypted | Refused | None:
    """What Exchange makes of RFC 3156 §4: multipart/mixed, and often an empty text in front; None for anything else."""
    parts, found = direct_parts(root)
    if not 2 <= len(parts) <= 3:
        return None
    clear = [_describe(part) for part in parts]
    *empty, control, data = parts
    if not _is_control(control) or not _is_octets(data):
        return None
    if found.defects or found.truncated or root.encoding or not all(clear):
        return Refused(Refusal.AMBIGUOUS)
    if any(not _is_blank(part) for part in empty) or _behind(root, parts, found):
        return Refused(Refusal.AROUND)
    return _message(data, Form.EXCHANGE)


def _is_control(part: Entity) -> bool:
    content, cut = decoding.decoded(part.buf, part.start, part.end, part.encoding, CONTROL_BYTES)
    return part.content_type == "application/pgp-encrypted" and not cut and bool(_VERSION.fullmatch(content))


def _is_octets(part: Entity) -> bool:
    return part.content_type == "application/octet-stream"


def _is_blank(part: Entity) -> bool:
    if part.content_type not in ("text/plain", "text/html"):
        return False
    content, cut = decoding.decoded(part.buf, part.start, part.end, part.encoding, INLINE_TEXT_CHARS)
    text = charsets.decode(content, part.parameters.get("charset", ""))
    return not cut and not (html_to_text(text)[0] if part.content_type == "text/html" else text).strip()


def _message(part: Entity, form: Form) -> Encrypted | Refused:
    content, cut = decoding.decoded(part.buf, part.start, part.end, part.encoding, ARMOURED_BYTES)
    return Refused(Refusal.TOO_LARGE) if cut else _message_in(content, form)


def _message_in(armoured: bytes, form: Form) -> Encrypted | Refused:
    block = dearmour(armoured, MESSAGE)
    if isinstance(block, Refusal):
        return Refused(block)
    message = read_message(block.data)
    return Refused(message) if isinstance(message, Refusal) else Encrypted(form, message)


def _signed(root: Entity, protocol: str) -> Signed | Refused:
    """RFC 3156 §5: exactly the signed part, byte for byte, and one detached signature."""
    parts = _two_parts(root, Refusal.SHAPE_SIGNED)
    if isinstance(parts, Refusal):
        return Refused(parts)
    _, last, transmitted = parts
    micalg = root.parameters.get("micalg", "").lower()
    shaped = protocol == last.content_type == "application/pgp-signature" and _MICALG.fullmatch(micalg)
    if not shaped:
        return Refused(Refusal.SHAPE_SIGNED)
    armoured, cut = decoding.decoded(last.buf, last.start, last.end, last.encoding, SIGNATURE_BYTES)
    block = Refusal.TOO_LARGE if cut else dearmour(armoured, SIGNATURE)
    if isinstance(block, Refusal):
        return Refused(block)
    signature = read_signature(block.data)
    if isinstance(signature, Refusal):
        return Refused(signature)
    content = transmitted
    if content.count(b"\n") != content.count(b"\r\n"):
        content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if signature.over_text and _TRAILING_BLANK.search(content):
        # RFC 3156 §5 has senders encode such blanks. A signature that ignores them is not over the bytes shown.
        return Refused(Refusal.TRAILING_BLANKS)
    return Signed(content, signature, micalg)


def _inline(reader: Reader, root_type: str) -> Encrypted | Refused | None:
    """One block as the text of the mail; None where the text is something else.

    Webmail sends the block a second time as HTML. That is never shown, and must say the same.
    """
    if reader.structure.truncated or any(entity.nested for entity in reader.structure.entities):
        return None
    if any(kind not in ("multipart/mixed", "multipart/alternative") for kind, _ in reader.structure.containers):
        return None
    # A key that a program attached says nothing about the text.
    leaves = [leaf for leaf in reader.structure.entities if leaf.content_type != "application/pgp-keys"]
    if not leaves or any(leaf.filename or leaf.disposition == "attachment" for leaf in leaves):
        return None
    kinds = [leaf.content_type for leaf in leaves]
    beside = kinds == ["text/plain", "text/html"] and bool(leaves[0].alternative)
    if kinds != ["text/plain"] and not (beside and leaves[0].alternative == leaves[1].alternative):
        return None
    if root_type not in ("text/plain", "multipart/mixed", "multipart/alternative"):
        return None
    text = _text(leaves[0])
    if text is None:
        return Refused(Refusal.TOO_LARGE)
    if not holds_pgp_message(text):
        return None
    reading = _message_in(_ascii(text), Form.INLINE)
    if beside and isinstance(reading, Encrypted):
        again = _message_in(_ascii(html_to_text(_text(leaves[1]) or "")[0]), Form.INLINE)
        if again != reading:
            return Refused(Refusal.AROUND)
    return reading


def _text(leaf: Entity) -> str | None:
    content, cut = decoding.decoded(leaf.buf, leaf.start, leaf.end, leaf.encoding, INLINE_TEXT_CHARS)
    return None if cut else charsets.decode(content, leaf.parameters.get("charset", ""))


def _ascii(text: str) -> bytes:
    """What is not ASCII becomes a character that no armour has; the blank that editors put at line ends a blank."""
    return text.replace("\xa0", " ").removeprefix("\ufeff").encode("ascii", "replace")


def _why_not(reader: Reader) -> Refusal:
    """The reason for a mail that has none of the shapes."""
    containers = [kind for kind, _ in reader.structure.containers]
    leaves = [entity.content_type for entity in reader.structure.entities if not entity.message]
    parts = max(containers.count("multipart/encrypted"), leaves.count("application/pgp-encrypted"))
    blocks = [text.text for text in reader.texts if holds_pgp_message(text.text)]
    if parts + sum(text.count("-----BEGIN PGP MESSAGE") for text in blocks) > 1:
        return Refusal.SEVERAL
    if parts:
        return Refusal.NOT_OUTERMOST
    if reader.encryption is Encryption.PGP_INLINE and not blocks:
        return Refusal.ATTACHED
    if blocks:
        return Refusal.AROUND
    if reader.encryption is Encryption.SMIME:
        return Refusal.SMIME
    if any(holds_signed_text(text.text) for text in reader.texts):
        return Refusal.CLEARSIGNED
    if "multipart/signed" in containers or "application/pgp-signature" in leaves:
        return Refusal.SIGNED_INSIDE if "application/pgp-signature" in leaves else Refusal.SMIME
    return Refusal.SMIME if reader.signed else Refusal.NONE
