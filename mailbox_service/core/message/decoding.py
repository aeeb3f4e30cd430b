"""The content of one part: transfer decoding of a bounded piece, its full size without decoding, flowed text."""

from __future__ import annotations

import binascii
import string

from mailbox_service.core.message import scanning

_BASE64 = (string.ascii_letters + string.digits + "+/").encode()
_NOT_BASE64 = bytes(b for b in range(256) if b not in _BASE64 and b != ord("="))
_SAMPLE_BYTES = 1024
_FEW_FOREIGN_BYTES = 8  # rubbish in a short text, not prose
# Two base64 texts pasted together are seen in the wild; hundreds are not.
_PASTED_SEGMENTS = 50


def decoded(buf: bytes, start: int, end: int, encoding: str, limit_bytes: int) -> tuple[bytes, bool]:
    """At most `limit_bytes` of the decoded content, and whether something was cut off. Never raises."""
    if encoding == "base64":
        span = limit_bytes // 3 * 4 + limit_bytes // 16 + 256  # line ends: 2 bytes in 76
        data = _base64(buf[start : min(end, start + span)])
    elif encoding == "quoted-printable":
        span = 3 * limit_bytes
        data = binascii.a2b_qp(buf[start : min(end, start + span)])
    else:
        span = limit_bytes
        data = buf[start : min(end, start + span)]
    return data[:limit_bytes], end - start > span or len(data) > limit_bytes


def may_be_base64(buf: bytes, start: int, end: int) -> bool:
    """Is hardly anything at the beginning of the content foreign to base64? Prose has blanks."""
    sample = buf[start : min(end, start + _SAMPLE_BYTES)]
    return len(sample.translate(None, _BASE64 + b"=\r\n")) <= max(_FEW_FOREIGN_BYTES, len(sample) // 20)


def _base64(raw: bytes) -> bytes:
    clean = raw.translate(None, _NOT_BASE64)
    out = []
    for segment in clean.rstrip(b"=").split(b"=", _PASTED_SEGMENTS)[:_PASTED_SEGMENTS]:
        if len(segment) % 4 == 1:
            segment = segment[:-1]
        out.append(binascii.a2b_base64(segment + b"=" * (-len(segment) % 4)))
    return b"".join(out)


def decoded_size(buf: bytes, start: int, end: int, encoding: str) -> int:
    """The size of the decoded content in bytes; exact for well-formed content, without decoding it."""
    size = max(0, end - start)
    if encoding == "base64":
        size -= scanning.count(buf, b"\n", start, end) + scanning.count(buf, b"\r", start, end)
        tail = buf[max(start, end - 8) : end]
        return max(0, (size - tail.count(b"=")) * 3 // 4)
    if encoding == "quoted-printable":
        return max(0, size - 2 * scanning.count(buf, b"=", start, end) - scanning.count(buf, b"=\r\n", start, end))
    return size


def tidy(text: str) -> str:
    """`text` with LF as its only line end and without NUL."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "") if "\0" in text else text


def unflow(text: str, delete_space: bool) -> str:
    """format=flowed text with its paragraphs as single lines again (RFC 3676 §4.2); `text` has LF line ends."""
    out: list[str] = []
    paragraph: list[str] = []
    open_depth = -1
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        if content[:1] == " ":
            content = content[1:]
        signature = content == "-- "
        if open_depth >= 0 and (depth != open_depth or signature):
            out.append(_quoted(open_depth, paragraph))
            paragraph, open_depth = [], -1
        flowed = content[-1:] == " " and not signature
        paragraph.append(content[:-1] if flowed and delete_space else content)
        if flowed:
            open_depth = depth
        else:
            out.append(_quoted(depth, paragraph))
            paragraph, open_depth = [], -1
    if paragraph:
        out.append(_quoted(open_depth, paragraph))
    return "\n".join(out)


def _quoted(depth: int, paragraph: list[str]) -> str:
    return (">" * depth + " " if depth else "") + "".join(paragraph)
