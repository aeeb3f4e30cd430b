"""The values of a parsed message. Everything in them is bounded; nothing in them is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of an address header. `addr_spec` is `local@domain`, the domain lower-cased (RFC 5322 §3.4.1)."""

    addr_spec: str
    display_name: str = ""

    @property
    def domain(self) -> str:
        return self.addr_spec.rpartition("@")[2]

    @property
    def key(self) -> str:
        """The form in which two addresses are compared: all lower case."""
        return self.addr_spec.lower()


class TextKind(StrEnum):
    """Where a piece of text stood in the message."""

    BODY = "body"  # the message's own plain text, or its HTML where there is no plain text
    ALTERNATIVE = "alternative"  # HTML beside a plain text (kept apart: it may say something else)
    ATTACHMENT = "attachment"  # a text/* attachment
    FORWARDED = "forwarded"  # text (subject line first) of a nested message/rfc822
    REPORT = "report"  # machine part of a multipart/report


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of readable text, decoded, newlines as LF, no NUL; at most `TEXT_LIMIT_CHARS`."""

    kind: TextKind
    text: str
    filename: str = ""
    from_html: bool = False  # of a body or an alternative: made from markup, which can show what a person did not write


@dataclass(frozen=True, slots=True)
class Attachment:
    """What is known of an attachment without keeping its content."""

    filename: str  # safe for a terminal, a header and a file system; never empty
    content_type: str  # as declared, lower case, or application/octet-stream
    sniffed_type: str  # what the first bytes look like; "" when nothing is recognised
    size_bytes: int  # decoded size (for base64 computed, not decoded)
    read: bool = False  # whether its content is among the texts of the message


class Encryption(StrEnum):
    NONE = ""
    PGP_MIME = "pgp/mime"  # RFC 3156 multipart/encrypted, Exchange's broken-up form included
    PGP_INLINE = "pgp/inline"  # a PGP MESSAGE armour in the text, or an attached .asc/.pgp/.gpg that is one
    SMIME = "s/mime"  # application/pkcs7-mime enveloped-data or authEnveloped-data


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A view of the raw bytes, made by `parse`. Everything is bounded; nothing in it is trusted."""

    headers: tuple[tuple[str, str], ...]  # top-level, in order: lower-cased name, unfolded raw value (latin-1), bounded
    from_: Address | None  # the author, when there is exactly one From with exactly one clean address; else None
    from_display: str  # what the From header says, decoded, for people to read
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    date: datetime | None  # as claimed by the sender; never used for decisions
    message_id: str | None  # `<left@right>`, or None when missing or malformed
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    content_type: str
    texts: tuple[TextPart, ...]
    attachments: tuple[Attachment, ...]
    encryption: Encryption
    is_report: bool  # multipart/report, or a delivery-status or disposition-notification part
    returned_message_ids: tuple[str, ...]  # Message-IDs in returned headers or messages inside a bounce
    signed: bool  # multipart/signed or an inline signature; says nothing about its validity
    defects: tuple[str, ...]  # what was odd, one short constant each, sorted
    truncated: bool  # some limit cut something off the view (never off the raw bytes)
    delivery_status: tuple[str, ...] = ()  # the delivery-status parts (RFC 3464, RFC 6533), returned messages apart

    def header(self, name: str) -> str | None:
        """The first value of header `name` (any case), or None."""
        name = name.lower()
        return next((v for n, v in self.headers if n == name), None)

    def header_all(self, name: str) -> tuple[str, ...]:
        name = name.lower()
        return tuple(v for n, v in self.headers if n == name)

    @property
    def text(self) -> str:
        """The text a person would read first: the bodies, else the alternatives."""
        bodies = [t.text for t in self.texts if t.kind is TextKind.BODY]
        return "\n\n".join(bodies or [t.text for t in self.texts if t.kind is TextKind.ALTERNATIVE])

    @property
    def plain_text(self) -> str:
        """The bodies written as plain text, up to the first that is HTML; commands are read here only."""
        plain = takewhile(lambda t: not t.from_html, (t for t in self.texts if t.kind is TextKind.BODY))
        return "\n\n".join(t.text for t in plain)

    @property
    def text_is_html(self) -> bool:
        """Whether `text` begins with what was made from HTML, so that `plain_text` is empty though there is a text."""
        return bool(self.text.strip()) and not self.plain_text
