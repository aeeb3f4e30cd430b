"""ASCII armour (RFC 9580 §6): one whole block, as strict as its bytes demand and as lenient as mail programs need.

What comes out is binary. gpg gets that and nothing else, so a second block, or a line that only gpg takes for armour,
cannot come into play.
"""

from __future__ import annotations

import binascii
import re
import string
from dataclasses import dataclass

from mailbox_service.core.openpgp.refusal import Refusal

MESSAGE = "PGP MESSAGE"
SIGNATURE = "PGP SIGNATURE"
PUBLIC_KEY = "PGP PUBLIC KEY BLOCK"

HEADER_LINES = 40  # Version, Comment, Charset, Hash; old programs repeat Comment, and some mail doubles every line
# The checksum is found in Python, at about 5 MB a second; it protects against nothing that the packets do not show.
CHECKSUM_WITHIN_BYTES = 256 * 1024

_BLANKS = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_NO_BREAK_SPACE = b"\xc2\xa0"
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
_BEGIN = b"-----BEGIN PGP "
_HEADER_LINE = re.compile(rb"[ \t]*[A-Za-z][A-Za-z0-9-]{0,40}:")
_CHECKSUM = re.compile(rb"(?:\A|[\r\n])[ \t]*=([A-Za-z0-9+/]{4})[ \t\r\n]*\Z")
_CHECKSUM_TAIL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Armoured:
    """The binary content of one block. `checksum`: whether it fits, None where there is none or it was not counted.

    RFC 9580 §6.1 forbids refusing for a wrong checksum; it tells people that the mail was damaged on its way.
    """

    data: bytes
    checksum: bool | None


def dearmour(text: bytes, kind: str) -> Armoured | Refusal:
    """The one block of that kind which is the whole of `text`, blanks around it apart.

    Blanks at both ends of its lines, empty lines anywhere and a missing empty line behind the headers are forgiven:
    mail programs break armour in these ways, and none of them changes what the block says.
    """
    if _NO_BREAK_SPACE in text:
        text = text.replace(_NO_BREAK_SPACE, b" ")
    text = text.removeprefix(_BOM).strip(_BLANKS)
    begin, end = f"-----BEGIN {kind}-----".encode(), f"-----END {kind}-----".encode()
    if text.count(_BEGIN) > 1:
        return Refusal.SEVERAL
    if not text.startswith(begin):
        return Refusal.AROUND if begin in text else Refusal.ARMOUR
    if not text.endswith(end):
        return Refusal.AROUND if end in text else Refusal.ARMOUR
    inside = text[len(begin) : -len(end)]
    start = _body_start(inside)
    if start is None or not inside.rstrip(b" \t").endswith(b"\n"):
        return Refusal.ARMOUR
    return _decoded(inside[start:])


def _body_start(inside: bytes) -> int | None:
    """Where the base64 begins: at the first line that is neither empty nor a header. Base64 has no colon."""
    position = inside.find(b"\n") + 1
    if not position or inside[:position].strip(_BLANKS):
        return None
    for _ in range(HEADER_LINES):
        line_end = inside.find(b"\n", position)
        if line_end < 0:
            return position
        line = inside[position:line_end]
        if line.strip(_BLANKS) and not _HEADER_LINE.match(line):
            return position
        position = line_end + 1
    return None


def _decoded(body: bytes) -> Armoured | Refusal:
    tail_start = max(0, len(body) - _CHECKSUM_TAIL_BYTES)
    found = _CHECKSUM.search(body, tail_start)
    clean = (body[: found.start()] if found else body).translate(None, _BLANKS)
    bare = clean.rstrip(b"=")
    if bare.translate(None, _ALPHABET) or len(clean) - len(bare) != -len(bare) % 4 or len(bare) % 4 == 1 or not bare:
        return Refusal.ARMOUR
    data = binascii.a2b_base64(clean)
    if found is None or len(data) > CHECKSUM_WITHIN_BYTES:
        return Armoured(data, None)
    return Armoured(data, crc24(data).to_bytes(3) == binascii.a2b_base64(found[1]))


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 16
        for _ in range(8):
            value <<= 1
            if value & 0x1000000:
                value ^= 0x1864CFB
        table.append(value)
    return table


_TABLE = _crc_table()


def crc24(data: bytes) -> int:
    """RFC 9580 §6.1.1."""
    value = 0xB704CE
    for byte in data:
        value = _TABLE[(value >> 16) ^ byte] ^ (value << 8) & 0xFFFFFF
    return value


def armoured(data: bytes, kind: str = "PGP PUBLIC KEY BLOCK") -> bytes:
    """`data` as text that mail programs know (RFC 9580 §6.2), with lines that end in LF."""
    lines = [binascii.b2a_base64(data[at : at + 48]) for at in range(0, len(data), 48)]
    checksum = b"=" + binascii.b2a_base64(crc24(data).to_bytes(3))
    return b"".join([f"-----BEGIN {kind}-----\n\n".encode(), *lines, checksum, f"-----END {kind}-----\n".encode()])
