"""The bytes that are signed (RFC 6376 §3.4): "simple" and "relaxed", of header fields and of bodies of any size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

# One call holds the interpreter's lock, and with it the event loop, whatever thread it is made in.
STEP_BYTES = 256 * 1024


def canonical_field(line: bytes, *, relaxed: bool) -> bytes:
    """A field (CRLF line ends, the last one included) as it is signed."""
    if not relaxed:
        return line
    name, _, value = line.partition(b":")
    return name.lower() + b":" + _narrow(value.replace(b"\r\n", b"")).strip(b" ") + b"\r\n"


def body_digest(raw: bytes, start: int, *, relaxed: bool) -> bytes:
    """SHA-256 of the body that begins at `start`. Line ends may be CRLF or LF. Linear in time, constant in memory."""
    digest = hashlib.sha256()
    empty = True
    ends = 0  # line ends that are signed only if something follows
    for text in _lines(raw, start, relaxed=relaxed):
        kept = text.rstrip(b"\n")
        if kept:
            for block in _repeated(ends):
                digest.update(block)
            digest.update(kept.replace(b"\n", b"\r\n"))
            ends, empty = 0, False
        ends += len(text) - len(kept)
    if not (empty and relaxed):
        digest.update(b"\r\n")
    return digest.digest()


def _lines(raw: bytes, start: int, *, relaxed: bool) -> Iterator[bytes]:
    """The body in pieces, with LF line ends; relaxed: blanks narrowed, and gone from the ends of lines."""
    ahead = b""  # what can only be judged with what follows
    for at in range(start, len(raw), STEP_BYTES):
        text = ahead + raw[at : at + STEP_BYTES]
        ahead = b""
        if text.endswith(b"\r"):
            text, ahead = text[:-1], b"\r"
        text = text.replace(b"\r\n", b"\n")
        if relaxed:
            text = _narrow(text).replace(b" \n", b"\n")
            if text.endswith(b" "):
                text, ahead = text[:-1], b" " + ahead
        yield text
    if ahead.strip(b" "):
        yield ahead


def _narrow(text: bytes) -> bytes:
    """Each run of blanks as one space. A regular expression takes ten times as long where there are many."""
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def _repeated(ends: int) -> Iterator[bytes]:
    block = b"\r\n" * min(ends, STEP_BYTES)
    while ends > 0:
        yield block[: 2 * ends]
        ends -= STEP_BYTES
