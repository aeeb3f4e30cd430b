"""The header inside of what was encrypted or signed: RFC 9788, and the draft before it that most programs still write.

Outside of the cryptography anybody may have written the subject. What stands inside goes before it, except where that
would show an author whom the outside does not name: then the outer one is shown, and the inner one proves nothing.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mailbox_service.core.message import Address, ParsedMessage, decoding, parse
from mailbox_service.core.message.fields import Fields, decode_words, read_fields
from mailbox_service.core.message.structure import Entity, describe, direct_parts, walk

LEGACY_BYTES = 64 * 1024  # of a part that repeats the header for old programs; it has a subject and a few names
_OBSCURING = ("subject", "from", "to", "cc", "date", "reply-to", "message-id", "in-reply-to", "references")
_LEGACY_TYPES = ("text/plain", "text/rfc822-headers")
_DISPLAY_TYPES = ("text/plain", "text/html")
_BLANK_LINE = re.compile(rb"(?:\A|\n)[ \t]*\r?\n")
_DIV = re.compile(rb"<div[^<>]{0,200}header-protection-legacy-display[^<>]{0,200}>", re.IGNORECASE)
_DIV_END = b"</div>"


class Scheme(StrEnum):
    NONE = ""
    HP = "hp"  # RFC 9788: the fields inside are all there are
    V1 = "protected-headers=v1"  # the draft: a field inside goes before the same one outside


@dataclass(frozen=True, slots=True)
class ProtectedHeaders:
    """What to show of a mail whose payload was decrypted or verified."""

    scheme: Scheme
    subject: str
    from_: Address | None
    from_display: str
    date: datetime | None
    obscured: frozenset[str]  # fields whose inner value the outside hides: answers must hide them too (RFC 9788 §6)
    entity: bytes  # the payload without what it repeats for old programs: to be shown and relayed, not verified
    view: ParsedMessage  # of `entity`; its own author is what was claimed inside
    defects: tuple[str, ...]  # one short constant each, sorted


def protected_headers(payload: bytes, outer: ParsedMessage, *, encrypted: bool) -> ProtectedHeaders:
    """The header that counts for `payload`, the entity that was decrypted or verified in the mail `outer`.

    Total: returns for any bytes, in linear time. `encrypted`: whether `payload` came out of encryption.
    """
    defects: set[str] = set()
    root = Entity(payload, 0, len(payload))
    describe(root, read_fields(payload, 0, len(payload)), "text/plain")
    scheme = _scheme(root, encrypted, defects)
    inner, entity = root.fields, payload
    if scheme is Scheme.HP and encrypted:
        entity = _without_marked_parts(payload)
    elif scheme is Scheme.V1:
        inner, entity = _without_first_part(root)
    view = parse(entity)
    shown = parse(_header_only(inner)) if scheme is not Scheme.NONE else outer
    exclusive = scheme is Scheme.HP

    def inside(name: str) -> bool:
        return exclusive or inner.count(name) > 0

    from_, from_display = _author(inner, shown, outer, scheme, defects)
    return ProtectedHeaders(
        scheme=scheme,
        subject=(shown if inside("subject") else outer).subject,
        from_=from_,
        from_display=from_display,
        date=(shown if inside("date") else outer).date,
        obscured=_obscured(inner, outer, scheme, encrypted),
        entity=entity,
        view=view,
        defects=tuple(sorted(defects)),
    )


def _scheme(root: Entity, encrypted: bool, defects: set[str]) -> Scheme:
    hp = root.parameters.get("hp", "").lower()
    if hp in ("clear", "cipher"):
        if (hp == "cipher") is not encrypted:
            # Somebody may have taken the encryption off, or put it on; some programs are just wrong. People are told.
            defects.add("hp is not what was done to the mail")
        return Scheme.HP
    if hp:
        defects.add("unknown hp")
    return Scheme.V1 if root.parameters.get("protected-headers", "").lower() == "v1" else Scheme.NONE


def _header_only(fields: Fields) -> bytes:
    lines = (f"{name}: {value}\n" for name, value in fields.items if name in _OBSCURING)
    return "".join(lines).encode("latin-1", "replace") + b"\n"


def _author(
    inner: Fields, shown: ParsedMessage, outer: ParsedMessage, scheme: Scheme, defects: set[str]
) -> tuple[Address | None, str]:
    """RFC 9788 §4.4: by an inner From that is not the outer one, anybody who can encrypt would choose who is shown."""
    if scheme is Scheme.NONE:
        return outer.from_, outer.from_display
    if not inner.authors:
        if scheme is Scheme.HP:
            defects.add("no From inside")
        return outer.from_, outer.from_display
    if shown.from_ is None or outer.from_ is None or shown.from_.key != outer.from_.key:
        defects.add("another From inside")
        return outer.from_, outer.from_display
    return shown.from_, shown.from_display


def _obscured(inner: Fields, outer: ParsedMessage, scheme: Scheme, encrypted: bool) -> frozenset[str]:
    """Fields inside that the sender kept from the outside (RFC 9788 §6.1: by HP-Outer, not by what transport left)."""
    if scheme is Scheme.NONE or not encrypted:
        return frozenset()
    if scheme is Scheme.V1:
        pairs = outer.headers
    else:
        named = [value.partition(":") for name, value in inner.items if name == "hp-outer"]
        pairs = tuple((name.strip().lower(), value.strip()) for name, _, value in named)
    seen = {name: _same_blanks(value) for name, value in reversed(pairs)}
    return frozenset(
        name for name in _OBSCURING if inner.count(name) and seen.get(name) != _same_blanks(inner.get(name))
    )


def _same_blanks(value: str) -> str:
    return " ".join(decode_words(value).split())


# --- what programs write for those that cannot read protected headers ---------------------------------------


def _without_first_part(root: Entity) -> tuple[Fields, bytes]:
    """The draft's legacy part taken out; its fields count where the payload itself has no subject (old Enigmail)."""
    if root.content_type != "multipart/mixed" or root.encoding:
        return root.fields, root.buf
    parts, found = direct_parts(root)
    if len(parts) < 2 or found.defects or found.truncated:
        return root.fields, root.buf
    first, second = parts[:2]
    start, after = first.start, second.start
    describe(first, read_fields(first.buf, first.start, first.end), "text/plain")
    marked = first.parameters.get("protected-headers", "").lower() == "v1"
    if not marked or first.content_type not in _LEGACY_TYPES or first.disposition == "attachment":
        return root.fields, root.buf
    # Some programs mark the body itself in this way; the draft's part is nothing but header lines.
    content, cut = decoding.decoded(first.buf, first.start, first.end, first.encoding, LEGACY_BYTES)
    listed = read_fields(content.strip() + b"\n\n", 0, len(content.strip()) + 2)
    if cut or not listed.count("subject") or listed.defects or not _one_paragraph(content):
        return root.fields, root.buf
    fields = root.fields
    if not fields.count("subject"):
        known = {name for name, _ in fields.items}
        added = [(name, value) for name, value in listed.items if name in _OBSCURING and name not in known]
        fields = Fields([*fields.items, *added], authors=fields.authors + sum(name == "from" for name, _ in added))
    return fields, root.buf[:start] + root.buf[after:]


def _one_paragraph(content: bytes) -> bool:
    """Whether nothing stands behind the header lines."""
    return _BLANK_LINE.search(content.strip()) is None


def _without_marked_parts(payload: bytes) -> bytes:
    """RFC 9788 §4.5.3: text parts marked `hp-legacy-display=1` lose what repeats the header at their beginning."""
    root = Entity(payload, 0, len(payload))
    describe(root, read_fields(payload, 0, len(payload)), "text/plain")
    pieces: list[bytes] = []
    position = 0
    for leaf in walk(root).entities:
        marked = leaf.parameters.get("hp-legacy-display", "") == "1" and leaf.content_type in _DISPLAY_TYPES
        if not marked or leaf.nested or leaf.buf is not payload or leaf.disposition == "attachment":
            continue
        pieces += [payload[position : leaf.start], _without_display(leaf)]
        position = leaf.end
    return b"".join([*pieces, payload[position:]])


def _without_display(leaf: Entity) -> bytes:
    """The content of the part, transfer-encoded as before, without its legacy display; as it is where none is found."""
    content = leaf.buf[leaf.start : leaf.end]
    data, _ = decoding.decoded(content, 0, len(content), leaf.encoding, len(content))
    kept = _cut(data, leaf.content_type)
    if kept == data:
        return content
    if leaf.encoding == "base64":
        encoded = binascii.b2a_base64(kept, newline=False)
        return b"\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
    return binascii.b2a_qp(kept) if leaf.encoding == "quoted-printable" else kept


def _cut(content: bytes, content_type: str) -> bytes:
    if content_type == "text/plain":
        blank = _BLANK_LINE.search(content)
        return content[blank.end() :] if blank else content
    element = _DIV.search(content)
    end = content.find(_DIV_END, element.end()) if element else -1
    return content[: element.start()] + content[end + len(_DIV_END) :] if element and end >= 0 else content
