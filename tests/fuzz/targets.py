"""What the fuzzer calls with any bytes: each target checks what holds whatever comes, and raises where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from mailbox_service.core import message as module
from mailbox_service.core.automatic import recognise
from mailbox_service.core.composition import is_message_id
from mailbox_service.core.delivery_report import read_report
from mailbox_service.core.display import harmless
from mailbox_service.core.dkim import candidates
from mailbox_service.core.dkim.header import split
from mailbox_service.core.dkim.tags import read_tags
from mailbox_service.core.evidence import parse_results
from mailbox_service.core.message import ADDRESSES, PARTS, TEXT_LIMIT_CHARS
from mailbox_service.core.message.addresses import ADDR_SPEC_CHARS, DISPLAY_NAME_CHARS, read_addresses
from mailbox_service.core.message.attachments import FILENAME_CHARS, safe_filename
from mailbox_service.core.message.charsets import decode
from mailbox_service.core.message.fields import (
    HEADER_FIELDS,
    HEADER_LIST_CHARS,
    decode_words,
    media_type,
    message_ids,
    one_message_id,
    parameters,
    parse_date,
    read_fields,
)
from mailbox_service.core.message.html import TAGS, html_to_text
from mailbox_service.core.message.reading import TEXTS_LIMIT_CHARS
from mailbox_service.core.message.structure import message_start
from mailbox_service.core.openpgp import (
    Encrypted,
    Layer,
    Signed,
    attached_keys,
    offered_key,
    packets,
    protected_headers,
)
from mailbox_service.core.openpgp import read as read_openpgp
from mailbox_service.core.openpgp import reading as openpgp_reading
from mailbox_service.core.openpgp.armour import MESSAGE, dearmour
from mailbox_service.core.openpgp.refusal import Refusal

Target = Callable[[bytes], None]

OPENPGP = Path(__file__).resolve().parents[1] / "data" / "openpgp"
MAIL = Path(__file__).resolve().parents[1] / "data" / "mail"
_NOW = datetime(2026, 11, 25, tzinfo=UTC)
# Without the safety net of `parse`, which would hide a fault.
strict = module._parse


def message(data: bytes) -> None:
    """The whole parser; the rules for automatic mail and the reader of delivery reports over what it found."""
    parsed = strict(data)
    assert len(parsed.texts) + len(parsed.attachments) <= 2 * PARTS + 2
    assert sum(len(t.text) for t in parsed.texts) <= TEXTS_LIMIT_CHARS + TEXT_LIMIT_CHARS
    assert all("\0" not in t.text and "\r" not in t.text for t in parsed.texts)
    assert harmless(parsed.subject) == parsed.subject and harmless(parsed.from_display) == parsed.from_display
    for attachment in parsed.attachments:
        assert harmless(attachment.filename) == attachment.filename and "/" not in attachment.filename
        assert attachment.size_bytes >= 0
    kind = recognise(parsed)
    assert kind.suppress_answer or not kind.reasons
    read_report(parsed)


def addresses(data: bytes) -> None:
    """An address field; a clean one means what it says."""
    listed = read_addresses(data.decode("latin-1")[:HEADER_LIST_CHARS])
    assert len(listed.addresses) <= ADDRESSES
    for address in listed.addresses:
        assert address.addr_spec.count("@") == 1 and len(address.addr_spec) <= ADDR_SPEC_CHARS
        assert harmless(address.addr_spec) == address.addr_spec
        assert harmless(address.display_name) == address.display_name
        assert len(address.display_name) <= DISPLAY_NAME_CHARS
        raw = address.addr_spec.encode().decode("latin-1")
        again = read_addresses(raw)
        assert again.clean and [a.addr_spec for a in again.addresses] == [address.addr_spec]


def fields(data: bytes) -> None:
    """A header block, and the values in it as everything that a value can be."""
    found = read_fields(data, 0, len(data))
    assert len(found.items) <= HEADER_FIELDS + 1 and 0 <= found.body_start <= len(data)
    assert found.authors >= sum(name == "from" for name, _ in found.items[:HEADER_FIELDS])
    for name, value in found.items:
        assert name == name.lower() and len(value) <= HEADER_LIST_CHARS and "\n" not in value
        ids, _ = message_ids(value)
        assert all(i.isprintable() and " " not in i for i in ids)
        single = one_message_id(value)
        assert single is None or single == value
        assert not is_message_id(value) or len(value.split()) == 1
        parse_date(value)
        kind, rest = media_type(value)
        assert kind == kind.lower()
        for parameter in parameters(rest).values():
            name = safe_filename(parameter, 1, kind)
            assert 0 < len(name) <= FILENAME_CHARS and harmless(name) == name and "/" not in name


def words(data: bytes) -> None:
    """Encoded words."""
    shown = decode_words(data.decode("latin-1"))
    assert len(shown) <= 4 * len(data) + 4
    assert data.isascii() is False or b"=?" in data or shown == data.decode()


def html(data: bytes) -> None:
    """HTML to text."""
    source = decode(data)
    text, left = html_to_text(source)
    assert 0 <= left <= TAGS
    # A tag may add a bullet, a rule, a link's marks or the marks of up to twenty quotes before a line.
    assert len(text) <= 60 * len(source) + 60
    few, _ = html_to_text(source, 3)
    assert len(few) <= 60 * len(source) + 60


def results(data: bytes) -> None:
    """Authentication-Results (RFC 8601)."""
    read = parse_results(data.decode("latin-1"))
    if read is not None:
        server, methods = read
        assert server and data.isascii()
        assert all(m.method and m.result for m in methods)


def signed(data: bytes) -> None:
    """DKIM: what is verified is what is shown, field by field, and the body begins in the same place."""
    assert candidates(data, "research.example", _NOW)
    read_tags(data)
    seen = split(data)
    if seen is None:
        return
    odd: set[str] = set()
    assert message_start(data, 0, len(data), odd) == 0 and not odd
    shown = read_fields(data, 0, len(data))
    assert seen.body_start == shown.body_start
    for verified, (name, value) in zip(seen.fields, shown.items, strict=True):
        assert verified.name == name
        whole = verified.value.replace(b"\r\n", b"").decode("latin-1")
        assert shown.truncated or whole.strip(" \t") == value


def openpgp(data: bytes) -> None:
    """A mail or what was inside of one: what gpg would get is a piece of it, and means the same read again."""
    found = openpgp_reading._read(data, ())
    if isinstance(found, Encrypted):
        assert packets.read_message(found.message.octets) == found.message and found.message.recipients
    elif isinstance(found, Signed):
        assert found.content in data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert packets.read_signature(found.signature.octets) == found.signature
    assert not isinstance(read_openpgp(data, (Layer.ENCRYPTED,)), Encrypted)
    outer = strict(data)
    for encrypted in (True, False):
        shown = protected_headers(data, outer, encrypted=encrypted)
        assert shown.from_ == outer.from_ or (shown.from_ and outer.from_ and shown.from_.key == outer.from_.key)
    offered_key(outer)
    assert len(attached_keys(data)) <= packets.KEYS


def armoured(data: bytes) -> None:
    """A block of armour, and its packets as a message, a signature and a key."""
    block = dearmour(data, MESSAGE)
    for octets in (data, b"" if isinstance(block, Refusal) else block.data):
        found = packets.split(octets)
        assert isinstance(found, Refusal) or packets.split(b"".join(one.framed for one in found)) == found
        message = packets.read_message(octets)
        assert isinstance(message, Refusal) or packets.read_message(message.octets) == message
        packets.read_signature(octets)
        packets.read_keys(octets)


TARGETS: dict[str, Target] = {
    "message": message,
    "addresses": addresses,
    "fields": fields,
    "words": words,
    "html": html,
    "results": results,
    "signed": signed,
    "openpgp": openpgp,
    "armoured": armoured,
}

_ADDRESSES = (
    b"Rita <rita@research.example>",
    b'"R. \\"x" (c (d)) <"a b"@[127.0.0.1]>, g: a@b.example, c@d.example;',
    "Zoë <zoë@bücher.example>".encode(),
)
_SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed; d=research.example;\r\n\ts=s1; t=1; h=from:subject;\r\n"
    b"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\nFrom: rita@research.example\r\n"
    b"Subject: a\r\n  b\r\n\r\n",
    b"DKIM-Signature: v=1; a=ed25519-sha256; d=research.example; i=@x.research.example; s=s1; q=dns/txt;\n"
    b" x=9999999999; h=from:from:dkim-signature; bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=;\n b=AA==\n"
    b"From: r@research.example\n\n",
)
_RESULTS = (
    b"mx.example; dmarc=pass header.from=a.example; dkim=pass (2048-bit) header.d=a.example header.b=ab/c+=",
    b'mx.example 1; spf=fail reason="no (really)" smtp.mailfrom=a=b@c.example; none',
    b"mx.example; none",
)


def seeds(name: str) -> Iterator[bytes]:
    """Inputs to begin with: the free mails of the tests (their notices stand beside them) and pieces of them."""
    mails = [path.read_bytes()[:4096] for path in sorted(MAIL.glob("*.eml"))]
    match name:
        case "addresses":
            yield from _ADDRESSES
            yield from (value.encode("latin-1") for n, value in _fields(mails) if n in ("from", "to", "cc"))
        case "words":
            yield from (value.encode("latin-1") for _, value in _fields(mails) if "=?" in value)
        case "fields":
            yield from (data.partition(b"\n\n")[0][:2048] for data in mails)
        case "html":
            yield from (data[data.lower().find(b"<html") :][:2048] for data in mails if b"<html" in data.lower())
        case "results":
            yield from _RESULTS
        case "signed":
            yield from (*_SIGNED, *mails)
        case "openpgp":
            yield from _openpgp()
        case "armoured":
            yield from _blocks().values()
        case _:
            yield from mails


def _blocks() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(OPENPGP.glob("*.asc"))}


def _openpgp() -> Iterator[bytes]:
    """The shapes, small; and texts and keys in them."""
    blocks, head = _blocks(), b"From: a@b.example\nContent-Type: "
    yield head + b"text/plain\n\n" + blocks["message"]
    yield head + b"text/plain\n\n" + blocks["clearsigned"]
    parts = b'; boundary="b"\n\n--b\n%s\n--b\nContent-Type: application/%s\n\n%s\n--b--\n'
    control = b"Content-Type: application/pgp-encrypted\n\nVersion: 1"
    data = (control, b"octet-stream", blocks["message"])
    yield head + b'multipart/encrypted; protocol="application/pgp-encrypted"' + parts % data
    yield head + b"multipart/mixed" + parts % data
    text = (OPENPGP / "signed.txt").read_bytes()
    yield (
        head
        + b'multipart/signed; micalg=pgp-sha512; protocol="application/pgp-signature"'
        + parts % (text, b"pgp-signature", blocks["signature"])
    )
    yield head + b'multipart/mixed; hp="cipher"' + parts % (text, b"pgp-keys", blocks["key"])
    yield head + b"text/plain; hp=cipher; hp-legacy-display=1\nHP-Outer: Subject: x\n\nSubject: y\n\nHi\n"
    legacy = b'Content-Type: text/plain; protected-headers="v1"\n\nSubject: y\n'
    yield head + b'multipart/mixed; protected-headers="v1"' + parts % (legacy, b"x", b"y")
    yield (
        b"Autocrypt: addr=a@b.example; keydata="
        + b"".join(blocks["key"].split(b"\n")[2:-3])
        + b"\n"
        + head
        + b"x/y\n\n"
    )


def _fields(mails: list[bytes]) -> Iterator[tuple[str, str]]:
    for data in mails:
        yield from read_fields(data, 0, len(data)).items
