"""Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3) and quoted strings (§4.3)."""

from __future__ import annotations

import base64
import binascii
import re

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")
_DIRECT = re.compile(r"[^\x20-\x7e]+|&")


def _shift(match: re.Match[str]) -> str:
    text = match.group()
    if text == "&":
        return "&-"
    # surrogatepass: a lone surrogate cannot be a name on any server, and must not be a crash here either.
    encoded = base64.b64encode(text.encode("utf-16-be", "surrogatepass")).decode("ascii")
    return "&" + encoded.rstrip("=").replace("/", ",") + "-"


def encode_mailbox(name: str) -> str:
    """`name` in modified UTF-7: printable ASCII only, so no control character can reach the wire.

    INBOX is case-insensitive (RFC 3501 §5.1) and always written in capitals.
    """
    return "INBOX" if name.upper() == "INBOX" else _DIRECT.sub(_shift, name)


def _unshift(match: re.Match[str]) -> str:
    text = match.group(1)
    if not text:
        return "&"
    try:
        data = base64.b64decode(text.replace(",", "/") + "=" * (-len(text) % 4), validate=True)
        return data.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return match.group()


def decode_mailbox(wire: str) -> str:
    """The name people write; what is not valid modified UTF-7 stays as the server sent it."""
    return "INBOX" if wire.upper() == "INBOX" else _SHIFTED.sub(_unshift, wire)


def quote(text: str) -> str:
    """`text` as a quoted string. The caller guarantees that it holds no CR, LF or NUL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def wire_name(name: str) -> str:
    """The argument that stands for mailbox `name` in a command."""
    return quote(encode_mailbox(name))
