"""Lists of `tag=value` (RFC 6376 §3.2), of which both signatures and key records are made."""

from __future__ import annotations

import binascii
import re

BLANKS = " \t\r\n"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_VALUE = re.compile(r"[ -~\t\r\n]*")


def read_tags(text: bytes) -> dict[str, str] | None:
    """The tags in their order, values without the blanks around them; None for any error, a repeated tag included."""
    if not text.isascii():
        return None
    specs = text.decode("ascii").split(";")
    if not specs[-1].strip(BLANKS):
        specs.pop()
    tags: dict[str, str] = {}
    for spec in specs:
        name, mark, value = spec.partition("=")
        name, value = name.strip(BLANKS), value.strip(BLANKS)
        if not mark or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name in tags:
            return None
        tags[name] = value
    return tags


def without_value(text: bytes, tag: bytes) -> bytes:
    """The list as it stands, with nothing behind the `=` of `tag`, blanks included (RFC 6376 §3.7)."""
    specs = text.split(b";")
    for i, spec in enumerate(specs):
        name, mark, _ = spec.partition(b"=")
        if mark and name.strip(BLANKS.encode()) == tag:
            specs[i] = name + mark
    return b";".join(specs)


def read_base64(value: str) -> bytes | None:
    """The bytes of a value in base64, which may be folded anywhere; None for anything else."""
    try:
        return binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except ValueError:
        return None
