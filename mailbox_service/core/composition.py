"""Outgoing mail as bytes: CRLF lines, 7-bit, and the same bytes for the same input.

The headers are written by hand. The standard library's generator refolds addresses (cpython gh-80222) and differs
between Python versions, but the bytes of a mail are frozen in the outbox and must be the same wherever they are made.
It reads the result back instead: what it understands must be what was meant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import quopri
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email import errors as email_errors
from email import policy
from email.parser import HeaderParser
from email.utils import format_datetime
from typing import Literal
from urllib.parse import quote

from mailbox_service.core.message import parse
from mailbox_service.core.message.attachments import FILENAME_CHARS, HEAD_BYTES, sniff
from mailbox_service.core.message.extraction import attached_files

LINE_LIMIT_CHARS = 998  # RFC 5322 §2.1.1, without CRLF
FOLD_CHARS = 76  # RFC 2047 §2 allows 76 on a line with an encoded word; RFC 5322 recommends 78
ENCODED_WORD_CHARS = 75  # RFC 2047 §2
ADDRESS_LIMIT_OCTETS = 254  # RFC 5321 §4.5.3.1.3: a path of 256 with its angle brackets
LOCAL_PART_LIMIT_OCTETS = 64  # RFC 5321 §4.5.3.1.1
MESSAGE_ID_LIMIT_CHARS = 250  # generous; keeps any header line far below LINE_LIMIT_CHARS
REFERENCES_KEPT = 20  # besides the first; enough for every client to thread, and the header stays below 6 kB
# Postfix truncates headers of nested messages beyond 100 kB (header_size_limit); such an original goes as base64.
NESTED_HEADER_LIMIT_BYTES = 65536

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]"
_QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_LOCAL_PART = re.compile(rf"(?:{_ATEXT}+(?:\.{_ATEXT}+)*|{_QUOTED})")
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\-\u0080-\U0010ffff]*[A-Za-z0-9\u0080-\U0010ffff])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Za-z0-9.:\-]+\])")
_DOT_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+)*"
_OWN_MESSAGE_ID = re.compile(rf"<{_DOT_ATOM}@{_DOT_ATOM}>")
_ANY_MESSAGE_ID = re.compile(r"<[!-;=?-~]+>")
_TOKEN = re.compile(r"[A-Za-z0-9._=+/@:\-]{1,200}")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNSAFE_IN_NAMES = frozenset('<>:"|?*\\/')
_CONTROL_BYTES = bytes(byte for byte in (*range(32), 127) if byte not in b"\t\n\r")
_READ_AS_TEXT = (".patch", ".diff", ".txt")
# Blanks before a line end, and "From " after one, which a mail file in mbox form masks.
_CHANGED_ON_THE_WAY = re.compile(rb"[ \t]\r?\n|[ \t]\Z|(?:\A|\n)From ")
# RFC 2231 §3: a value in pieces, each on a line of its own.
_EXTENDED_CHARS = 60
_PLAIN_7BIT = re.compile(r"[\t\n -~]*")
# Cc: C0, DEL and C1; Cs: surrogates, which no charset can carry; Zl, Zp: breaks for whoever splits by Unicode.
_NEVER_IN_HEADERS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")  # RFC 2047 §5 (3)


@dataclass(frozen=True, slots=True)
class OutFile:
    """A file that travels along, byte for byte. Its declared type never travels: it is decided here."""

    filename: str  # may come from a mail, through `attachments.safe_filename`
    data: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One mail before it is composed. Only message ids, the recipient and `files` may come from outside."""

    from_address: str
    from_name: str  # "" for none; runs of blanks become one
    to_address: str
    reply_to: str | None
    subject: str
    body: str
    message_id: str  # with angle brackets
    date: datetime  # aware
    in_reply_to: str | None
    references: tuple[str, ...]
    auto_submitted: Literal["auto-replied", "auto-generated"]  # RFC 3834 §5
    loop_marker: str
    attachment: bytes | None  # an original message, exactly as it came
    attachment_name: str  # ASCII, ours: never a name from a mail
    files: tuple[OutFile, ...] = ()


def compose(mail: Outgoing) -> bytes:
    """The mail as it is signed, stored and sent: CRLF lines, 7-bit unless the recipient's own address is not ASCII.

    Message ids of others that are not well-formed are left out, because a reporter's odd mail program must not
    cost the reporter the answer.
    Raises: ValueError for anything that does not belong into a header, and when the standard library reads another
    sender, recipient, subject, id or set of headers out of the result than was put in, or our own reader other files.
    """
    part_headers, content = content_of(mail)
    headers = header_fields(mail) + part_headers
    message = header_block(headers) + content
    reread(mail, message, [name for name, _ in headers])
    return message


def content_of(mail: Outgoing, *, signable: bool = False) -> Part:
    """The text of the mail and its files as one part: the fields that say what it is, and its bytes.

    `signable`: nothing in it is changed by programs that cut off blanks at line ends or mask a "From " at their
    beginning (RFC 3156 §5). Raises: ValueError as `compose`.
    """
    parts = [_text_part(mail.body, signable=signable)]
    if mail.attachment is not None:
        parts.append(_attachment_part(mail.attachment, mail.attachment_name, signable=signable))
    parts += [_file_part(file) for file in mail.files]
    if len(parts) == 1:
        return parts[0]
    boundary = boundary_for(mail.message_id, tuple(content for _, content in parts))
    return [("Content-Type", f'multipart/mixed; boundary="{boundary}"')], _multipart(boundary, tuple(parts))


def is_address(text: str) -> bool:
    """Whether `text` is exactly one address, `local@domain` of RFC 5321 §4.1.2, without name, brackets or comment.

    Non-ASCII letters are allowed (RFC 6531); controls, blanks outside quotes and unassigned characters are not.
    """
    local, at, domain = text.rpartition("@")
    if not at or not _is_clean(text, also={"Cf", "Co", "Cn", "Zs"} if not text.isascii() else frozenset()):
        return False
    if len(text.encode()) > ADDRESS_LIMIT_OCTETS or len(local.encode()) > LOCAL_PART_LIMIT_OCTETS:
        return False
    return bool(_LOCAL_PART.fullmatch(local) and _DOMAIN.fullmatch(domain))


def is_message_id(text: str) -> bool:
    """Whether `text` may stand in our References: one id in angle brackets, printable ASCII, of bounded length.

    Wider than RFC 5322 §3.6.4, for many programs write ids without "@" or with odd characters, and a thread is kept
    together by repeating them as they are.
    """
    return bool(_ANY_MESSAGE_ID.fullmatch(text)) and len(text) <= MESSAGE_ID_LIMIT_CHARS and "=?" not in text


# --- headers -----------------------------------------------------------------------------------------------


def header_fields(mail: Outgoing) -> list[tuple[str, str]]:
    if not _OWN_MESSAGE_ID.fullmatch(mail.message_id) or not is_message_id(mail.message_id):
        raise ValueError("message_id is not a message id of RFC 5322")
    if not _TOKEN.fullmatch(mail.loop_marker):
        raise ValueError("loop_marker is not a token")
    if mail.auto_submitted not in ("auto-replied", "auto-generated"):
        raise ValueError("auto_submitted is no keyword of RFC 3834")
    if mail.date.tzinfo is None:
        raise ValueError("date has no time zone")
    headers = [
        ("From", _address("From", mail.from_name, mail.from_address)),
        ("To", _address("To", "", mail.to_address)),
    ]
    if mail.reply_to is not None:
        headers.append(("Reply-To", _address("Reply-To", "", mail.reply_to)))
    headers += [
        ("Subject", _unstructured("Subject", mail.subject)),
        ("Date", format_datetime(mail.date)),
        ("Message-ID", mail.message_id),
    ]
    in_reply_to = mail.in_reply_to if mail.in_reply_to and is_message_id(mail.in_reply_to) else None
    references = _references(mail.references, in_reply_to)
    if in_reply_to:
        headers.append(("In-Reply-To", in_reply_to))
    if references:
        headers.append(("References", "\r\n ".join(references)))
    return [
        *headers,
        ("Auto-Submitted", mail.auto_submitted),
        ("X-Auto-Response-Suppress", "All"),
        ("X-Mailbox-Service-Loop", mail.loop_marker),
        ("MIME-Version", "1.0"),
    ]


def _references(ids: tuple[str, ...], in_reply_to: str | None) -> list[str]:
    """RFC 5322 §3.6.4: the parent's references and the parent. In the middle they may be cut (RFC 5537 §3.4.4)."""
    valid = list(dict.fromkeys(text for text in ids if is_message_id(text)))
    if in_reply_to and in_reply_to not in valid:
        valid.append(in_reply_to)
    return valid if len(valid) <= REFERENCES_KEPT + 1 else [valid[0], *valid[-REFERENCES_KEPT:]]


def _address(header: str, name: str, address: str) -> str:
    if not is_address(address):
        raise ValueError(f"{header}: not exactly one mail address")
    if not _is_clean(name):
        raise ValueError(f"{header}: a control character in the name")
    # Readers take any run of blanks in a phrase for one (RFC 5322 §3.2.2); so that all agree, so do we.
    name = " ".join(name.split())
    if not name:
        return address
    # A short ASCII name is quoted whether it needs it or not. An encoded word does not belong into quotes, but
    # readers decode it there all the same: a name that looks like one is encoded as a whole.
    if name.isascii() and len(name) <= FOLD_CHARS - 16 and "=?" not in name:
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        quoted = _encoded_words(name, len(header) + 2)
    last_line = len(quoted.rpartition("\r\n")[2]) + (0 if "\r\n" in quoted else len(header) + 2)
    return f"{quoted}{' ' if last_line + len(address) + 3 <= FOLD_CHARS else chr(13) + chr(10) + ' '}<{address}>"


def _unstructured(header: str, text: str) -> str:
    if not _is_clean(text):
        raise ValueError(f"{header}: a control character")
    room = FOLD_CHARS - len(header) - 2
    words = text.split(" ")
    if not text.isascii() or "=?" in text or text != text.strip() or max(map(len, words)) > room:
        return _encoded_words(text, len(header) + 2)
    if len(text) <= room:
        return text
    if "  " in text:  # a fold amid blanks could leave a line of nothing but blanks, which is obsolete syntax
        return _encoded_words(text, len(header) + 2)
    lines, column = [words[0]], len(header) + 2 + len(words[0])
    for word in words[1:]:
        if column + 1 + len(word) > FOLD_CHARS:
            lines.append(word)
            column = 1 + len(word)
        else:
            lines[-1] += f" {word}"
            column += 1 + len(word)
    return "\r\n ".join(lines)


def _encoded_words(text: str, first_column: int) -> str:
    """RFC 2047 in UTF-8, whole characters in each word; Q or B, whichever is shorter."""
    if not text:
        return ""
    prefix, room = "=?utf-8?", ENCODED_WORD_CHARS - len("=?utf-8?q?") - len("?=")
    octets = text.encode()
    use_q = sum(1 if byte in _Q_SAFE or byte == 0x20 else 3 for byte in octets) <= len(octets) * 4 // 3 + 4
    encode = _q_encoded if use_q else _b_encoded
    words, piece, limit = [], "", room - first_column
    for character in text:
        if len(encode(piece + character)) > limit:
            words.append(piece)
            piece, limit = character, room
        else:
            piece += character
    words.append(piece)
    return "\r\n ".join(f"{prefix}{'q' if use_q else 'b'}?{encode(word)}?=" for word in words)


def _q_encoded(text: str) -> str:
    return "".join(chr(b) if b in _Q_SAFE else "_" if b == 0x20 else f"={b:02X}" for b in text.encode())


def _b_encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _is_clean(text: str, also: frozenset[str] | set[str] = frozenset()) -> bool:
    if text.isascii() and text.isprintable():
        return True
    return not any(unicodedata.category(c) in _NEVER_IN_HEADERS or unicodedata.category(c) in also for c in text)


def header_block(headers: list[tuple[str, str]]) -> bytes:
    # UTF-8 appears only in an address that is not ASCII itself; its mail goes out with SMTPUTF8 (RFC 6532).
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode() + b"\r\n"


# --- content -----------------------------------------------------------------------------------------------

Part = tuple[list[tuple[str, str]], bytes]


def _text_part(body: str, *, signable: bool) -> Part:
    """The body with tidy lines: 7bit when it is short-lined ASCII, else the smaller of quoted-printable and base64."""
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # "-- " is the signature separator of RFC 3676 §4.3; its blank is meant.
    text = "\n".join(line if line == "-- " else line.rstrip(" \t") for line in lines).rstrip("\n") + "\n"
    plain = _PLAIN_7BIT.fullmatch(text) and max(map(len, text.split("\n"))) <= LINE_LIMIT_CHARS
    if plain and not (signable and _changes_on_the_way(text.encode())):
        encoding, content = "7bit", text.replace("\n", "\r\n").encode("ascii")
    else:
        # A lone surrogate raises UnicodeEncodeError here, which is a ValueError.
        quoted = quopri.encodestring(text.encode()).replace(b"\n", b"\r\n")
        as_base64 = _base64_lines(text.replace("\n", "\r\n").encode())
        encoding, content = min(("quoted-printable", quoted), ("base64", as_base64), key=lambda choice: len(choice[1]))
        if signable and _changes_on_the_way(content):
            encoding, content = "base64", as_base64
    return [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", encoding),
    ], content


def _changes_on_the_way(content: bytes) -> bool:
    return _CHANGED_ON_THE_WAY.search(content) is not None


def _attachment_part(data: bytes, name: str, *, signable: bool) -> Part:
    """The original message, byte for byte, for evidence: signatures and digests are made over exactly these bytes.

    message/rfc822 opens in every mail program with a click and is therefore the first choice. But it may not be
    encoded (RFC 2046 §5.2.1): anything a server could change on the way, such as 8-bit text, long lines, bare CR or
    LF, goes as application/octet-stream in base64, and the .eml at its end opens it in most. Nothing is normalised.
    """
    if not _FILENAME.fullmatch(name):
        raise ValueError("attachment_name is not a plain file name")
    disposition = ("Content-Disposition", f'attachment; filename="{name}"')
    if _survives_transport(data) and not (signable and _changes_on_the_way(data)):
        headers = [("Content-Type", "message/rfc822"), disposition, ("Content-Transfer-Encoding", "7bit")]
        return headers, data
    headers = [
        ("Content-Type", f'application/octet-stream; name="{name}"'),
        disposition,
        ("Content-Transfer-Encoding", "base64"),
    ]
    return headers, _base64_lines(data)


def _file_part(file: OutFile) -> Part:
    """In base64, so that nothing on the way changes a byte of what a digest was given for."""
    kind = "text/plain; charset=utf-8" if _is_plain(file) else "application/octet-stream"
    return [
        ("Content-Type", kind),
        ("Content-Disposition", f"attachment;{_filename_parameter(file.filename)}"),
        ("Content-Transfer-Encoding", "base64"),
    ], _base64_lines(file.data)


def _is_plain(file: OutFile) -> bool:
    """A patch that a mail program may show: text by its name and by every byte."""
    head = file.data[:HEAD_BYTES]
    if not file.filename.lower().endswith(_READ_AS_TEXT) or sniff(head):
        return False
    if len(file.data.translate(None, _CONTROL_BYTES)) != len(file.data):
        return False
    try:
        file.data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _filename_parameter(name: str) -> str:
    """As a quoted string where it is ASCII, else in UTF-8 after RFC 2231."""
    odd = not _is_clean(name, also={"Cf", "Co", "Cn"}) or not _UNSAFE_IN_NAMES.isdisjoint(name)
    if odd or not name or name != name.strip() or len(name) > FILENAME_CHARS:
        raise ValueError("the name of a file is not a safe file name")
    if name.isascii():
        return f'\r\n filename="{name}"'
    pieces, piece = [], "utf-8''"
    for character in name:
        escaped = quote(character, safe="")
        if len(piece) + len(escaped) > _EXTENDED_CHARS:
            pieces.append(piece)
            piece = ""
        piece += escaped
    pieces.append(piece)
    if len(pieces) == 1:
        return f"\r\n filename*={piece}"
    return ";".join(f"\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))


def _survives_transport(data: bytes) -> bool:
    if not data.isascii() or b"\0" in data or not 0 < data.find(b"\r\n\r\n") < NESTED_HEADER_LIMIT_BYTES:
        return False
    if not data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n"):
        return False
    return _lines_fit(data)


def _lines_fit(data: bytes) -> bool:
    """No line longer than LINE_LIMIT_CHARS. From line end to line end: a list of millions of lines costs 0.2 s."""
    position = 0
    while len(data) - position > LINE_LIMIT_CHARS:
        line_end = data.rfind(b"\r\n", position, position + LINE_LIMIT_CHARS + 2)
        if line_end < 0:
            return False
        position = line_end + 2
    return True


def _base64_lines(data: bytes) -> bytes:
    encoded = binascii.b2a_base64(data, newline=False)
    return b"".join(encoded[start : start + 76] + b"\r\n" for start in range(0, len(encoded), 76))


def boundary_for(message_id: str, contents: tuple[bytes, ...]) -> str:
    """Derived from the id, not drawn, so that composing twice gives the same bytes; found in none of the parts."""
    digest = hashlib.sha256(message_id.encode()).hexdigest()
    while any(f"=_{digest[:40]}".encode() in content for content in contents):
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return f"=_{digest[:40]}"


def _multipart(boundary: str, parts: tuple[Part, ...]) -> bytes:
    """RFC 2046 §5.1.1: the CRLF before a boundary belongs to the boundary, so each part keeps its exact bytes."""
    delimiter = f"--{boundary}".encode()
    pieces = [delimiter + b"\r\n" + header_block(headers) + content + b"\r\n" for headers, content in parts]
    return b"".join(pieces) + delimiter + b"--\r\n"


# --- the second look ---------------------------------------------------------------------------------------


def reread(mail: Outgoing, message: bytes, names: list[str]) -> None:
    """Defence in depth (threat rows 34 and 35): a second parser must see what was meant, and no header more.

    The standard library's parser costs as much as all the rest of a mail, so it is asked only where our own reader,
    which knows nothing of this module, does not see exactly what was meant.
    Raises: ValueError where neither does.
    """
    head_bytes = message[: message.index(b"\r\n\r\n") + 4]
    if not _reads_as_meant(mail, head_bytes, names):
        _reparse(mail, head_bytes, names)
    if mail.files:
        _reread_files(mail, message)


def _reparse(mail: Outgoing, head_bytes: bytes, names: list[str]) -> None:
    head = head_bytes.decode()
    try:
        parsed = HeaderParser(policy=policy.default).parsestr(head)
        seen = {
            "headers": parsed.keys(),
            "From": [_parts(address.addr_spec) for address in parsed["From"].addresses],
            "To": [_parts(address.addr_spec) for address in parsed["To"].addresses],
            "Subject": str(parsed["Subject"]),
            "Message-ID": str(parsed["Message-ID"]),
        }
    except (email_errors.MessageError, LookupError, ValueError, AttributeError, TypeError) as error:
        raise ValueError("the composed mail cannot be read back") from error
    meant = {
        "headers": names,
        "From": [_parts(mail.from_address)],
        "To": [_parts(mail.to_address)],
        "Subject": mail.subject,
        "Message-ID": mail.message_id,
    }
    for what, value in meant.items():
        if seen[what] != value:
            raise ValueError(f"the composed mail reads back with another {what}")


def _reread_files(mail: Outgoing, message: bytes) -> None:
    """Our own reader must find exactly the files that were meant, in their order, and as files."""
    seen = [(file.filename, file.data) for file in attached_files(message)]
    if seen[len(seen) - len(mail.files) :] != [(file.filename, file.data) for file in mail.files]:
        raise ValueError("the composed mail reads back with other files")
    if len(seen) != len(mail.files) + (mail.attachment is not None):
        raise ValueError("the composed mail reads back with another number of files")


def _reads_as_meant(mail: Outgoing, head: bytes, names: list[str]) -> bool:
    read = parse(head)
    return (
        [name for name, _ in read.headers] == [name.lower() for name in names]
        and read.from_ is not None
        and read.from_.addr_spec == mail.from_address
        and [address.addr_spec for address in read.to] == [mail.to_address]
        and read.subject == mail.subject
        and read.message_id == mail.message_id
    )


def _parts(address: str) -> tuple[str, str]:
    """Local part without needless quotes, and domain: `"a"@b` and `a@b` are the same address."""
    local, _, domain = address.rpartition("@")
    if local.startswith('"') and local.endswith('"') and len(local) >= 2:
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return local, domain
