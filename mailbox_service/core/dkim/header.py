"""The header block as signatures see it: exact bytes, and no two ways to read them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailbox_service.core.message.fields import HEADER_BLOCK_BYTES, HEADER_FIELDS, HEADER_LINES

_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"([!-9;-~]+):")  # RFC 5322 §2.2, without the blank before the colon of its §4.5
# RFC 5322 §3.6, and of MIME those that say what the body is. Signers cover the lowest, readers take the highest.
_ONCE = frozenset(
    {
        *("bcc", "cc", "content-transfer-encoding", "content-type", "date", "from", "in-reply-to", "message-id"),
        *("mime-version", "references", "reply-to", "sender", "subject", "to"),
    }
)


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: its name in lower case, and its bytes with CRLF line ends, the last one included."""

    name: str
    line: bytes

    @property
    def value(self) -> bytes:
        """All behind the colon."""
        return self.line.partition(b":")[2]


@dataclass(frozen=True, slots=True)
class Header:
    """The fields from top to bottom, and where the body begins."""

    fields: tuple[Field, ...]
    body_start: int

    def repeated(self) -> bool:
        """Is there a second one of a field that may occur once?"""
        names = [field.name for field in self.fields if field.name in _ONCE]
        return len(names) != len(set(names))


def split(raw: bytes) -> Header | None:
    """The header of `raw`; None when it is not in the plain form that every program reads alike.

    Line ends may be CRLF or LF. A bare CR, a NUL, a line that is no field (an mbox "From " among them), a blank before
    a colon: what one program skips, another one reads, and then one mail would be verified and another one be shown.
    """
    close = _END.search(raw, 0, HEADER_BLOCK_BYTES)
    if close is None and len(raw) > HEADER_BLOCK_BYTES:
        return None
    block = raw[: close.start() if close else len(raw)].replace(b"\r\n", b"\n").removesuffix(b"\n")
    if b"\r" in block or b"\0" in block or block.count(b"\n") >= HEADER_LINES:
        return None
    fields: list[tuple[str, list[bytes]]] = []
    for line in block.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            # A line of blanks alone ends the header for some programs, and for others it does not.
            if not fields or not line.strip(b" \t"):
                return None
            fields[-1][1].append(line)
            continue
        found = _FIELD.match(line)
        if found is None or len(fields) >= HEADER_FIELDS:
            return None
        fields.append((found[1].decode("ascii").lower(), [line]))
    split_fields = (Field(name, b"\r\n".join(lines) + b"\r\n") for name, lines in fields)
    return Header(tuple(split_fields), close.end() if close else len(raw))
