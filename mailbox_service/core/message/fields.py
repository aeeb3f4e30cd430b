"""The header block: splitting into fields, unfolding, encoded words, parameters, ids and dates. All linear."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote_to_bytes

from mailbox_service.core.message import charsets, scanning

# Postfix's header_size_limit is 100 KB; real headers with ARC chains reach some 30 KB.
HEADER_BLOCK_BYTES = 256 * 1024
# Every line of the block can be a field of its own; no real mail has more than a few hundred.
HEADER_FIELDS = 2_000
# Of one block, those that continue a field included; a block of nothing but these has more than a hundred thousand.
HEADER_LINES = 20_000
# Carriage returns before one line feed. Some programs write two or three; a search must not follow them for ever.
CARRIAGE_RETURNS = 1_000
# Inside of one line. A mail made on an old Macintosh has some lines of this kind, and no From among them.
BARE_CARRIAGE_RETURNS = 100
# Subject, ids, DKIM keys: RFC 5322 lines are below 1 KB, so this is eight folded lines of the longest kind.
HEADER_VALUE_CHARS = 8 * 1024
# Lists of people and of ids are longer for good reasons: 200 addresses at 80 characters, 100 references.
HEADER_LIST_CHARS = 32 * 1024
_LIST_FIELDS = frozenset({"from", "to", "cc", "reply-to", "references", "in-reply-to"})
PARAMETERS = 100  # of one Content-Type or Content-Disposition, RFC 2231 continuations included
MESSAGE_ID_CHARS = 998  # RFC 5322 §2.1.1: an id cannot be folded, so it fits a line
MESSAGE_IDS = 100  # of one References field; threads of more mails keep their newest

_HEADER_END = re.compile(rb"\n\r{0,%d}+\n" % CARRIAGE_RETURNS)
_HEADER_END_BYTES = CARRIAGE_RETURNS + 2
_BLANK_LINE = re.compile(rb"\r{0,%d}+\n" % CARRIAGE_RETURNS)
_PLAIN_NAME = re.compile(r"[!-9;-~]+")
_KNOWN_FIELD = re.compile(
    r"(?:from|to|cc|subject|date|message-id|mime-version|content-[a-z-]+|received|reply-to|references|x-[a-z-]+)"
    r"[ \t]*:",
    re.IGNORECASE,
)
# Only "?" ends the encoded text, so the scan is linear; blanks inside are an error that many senders make.
_ENCODED_WORD = re.compile(r"=\?([!-)+->@-~]{1,60})(?:\*[!->@-~]{0,30})?\?([BbQq])\?([^?]*)\?=")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")
_PARAMETER = re.compile(r';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]++|\\.)*+"|[^;]*)', re.DOTALL)
_UNQUOTE = re.compile(r"\\(.)", re.DOTALL)
_TYPE = re.compile(r"[ \t]*([!#$&+\-.^_`|~0-9A-Za-z]+/[!#$&+\-.^_`|~0-9A-Za-z]+)")
_IDS = re.compile(r"(?:<[!-;=?-~]{3,996}>)+")
_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?-~]+>")
_DATE = re.compile(
    r"(?:[A-Za-z]{2,9},?[ \t]+)?(\d{1,2})[ \t-]+([A-Za-z]{3})[a-z]{0,6}[ \t-]+(\d{2,4}),?[ \t]+"
    r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:[ \t]+([+-]\d{4}|[A-Za-z]{1,5}))?"
)
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}  # RFC 5322 §4.3


@dataclass(slots=True)
class Fields:
    """One header block. `authors` counts the From fields, all look-alikes included that some parser might take."""

    items: list[tuple[str, str]] = field(default_factory=list)
    body_start: int = 0
    lines: int = 0
    authors: int = 0
    odd_author: bool = False
    truncated: bool = False
    defects: set[str] = field(default_factory=set)

    def get(self, name: str) -> str:
        """The first value of field `name` (lower case), "" when there is none."""
        for n, v in self.items:
            if n == name:
                return v
        return ""

    def count(self, name: str) -> int:
        return sum(1 for n, _ in self.items if n == name)


def read_fields(buf: bytes, start: int, end: int, lines_limit: int = HEADER_LINES) -> Fields:
    """The header block that begins at `start` of `buf`, and where its body begins; never reads beyond `end`.

    Of a block of more than `lines_limit` lines only the first are read.
    """
    found = Fields(body_start=end)
    if start >= end:
        return found
    blank = _BLANK_LINE.match(buf, start, end)
    if blank:
        found.body_start = blank.end()
        return found
    window = min(end, start + HEADER_BLOCK_BYTES)
    close = _HEADER_END.search(buf, start, window)
    if close is None and window < end:
        _cut(found)
        # One byte back, and more for the carriage returns: the end may lie across the border.
        close = scanning.search(_HEADER_END, _HEADER_END_BYTES, buf, max(start, window - _HEADER_END_BYTES), end)
    block_end = min(close.start(), window) if close else window
    if close:
        found.body_start = close.end()
    lines = buf[start:block_end].decode("latin-1").split("\n", lines_limit)
    found.lines = len(lines)
    unread = lines.pop() if len(lines) > lines_limit else ""
    stop = _split(lines, found)
    if stop is None and unread:
        _cut(found)
    if stop is not None:
        found.defects.add("no blank line after the header")
        found.body_start = start + sum(len(line) + 1 for line in lines[:stop])
        _count_authors_below(lines[stop:], found)
    return found


def _split(lines: list[str], found: Fields) -> int | None:
    """Put the fields of `lines` into `found`; the index of the first line that is body text, None when none is."""
    name, parts = "", [""]
    items = found.items
    for i, raw_line in enumerate(lines):
        line = raw_line.rstrip("\r") if raw_line[-1:] == "\r" else raw_line
        if line[:1] in (" ", "\t"):
            if "\r" in line or _hides_author(name, line):
                _note_odd_line(line, found)
            parts.append(line)
            continue
        if name:
            _add(items, name, parts, found)
        name, colon, value = line.partition(":")
        if colon and _PLAIN_NAME.fullmatch(name):
            name = name.lower()
        else:
            kept = _odd_name(lines, i, found)
            if kept is None:
                return i
            name = kept
            if not colon:
                value = ""
        if "\r" in line:
            _note_odd_line(line, found)
        if name == "from":
            found.authors += 1
        parts = [value]
        if len(items) >= HEADER_FIELDS:
            _cut(found)
            name = ""
            break
    if name:
        _add(items, name, parts, found)
    return None


def _cut(found: Fields) -> None:
    """Part of the header stays unread, and a second From may stand there."""
    found.truncated = True
    found.odd_author = True
    found.defects.add("very long header")


def _add(items: list[tuple[str, str]], name: str, parts: list[str], found: Fields) -> None:
    value = "".join(parts) if len(parts) > 1 else parts[0]
    limit = HEADER_LIST_CHARS if name in _LIST_FIELDS else HEADER_VALUE_CHARS
    if len(value) > limit:
        value = value[:limit]
        found.truncated = True
        found.defects.add("very long header field")
        found.odd_author |= name == "from"
    if "\0" in value:
        found.defects.add("NUL in the header")
    items.append((name, value.strip(" \t\r")))


def _odd_name(lines: list[str], i: int, found: Fields) -> str | None:
    """The name of a line that is no clean field; "" to skip the line, None when the body begins here."""
    line = lines[i].rstrip("\r")
    name, colon, _ = line.partition(":")
    bare = name.rstrip(" \t")
    if colon and bare and not any(c in " \t" for c in bare):
        # "From : x", "From\xff: x": parsers disagree on whether that is the field (espoofer A10).
        found.defects.add("malformed header field name")
        if _looks_like_from(bare):
            found.odd_author = True
            return "from"
        return bare.lower() if _PLAIN_NAME.fullmatch(bare) else "".join(filter(str.isprintable, bare)).lower()
    following = lines[i + 1] if i + 1 < len(lines) else ""
    if not colon and following[:1] in (" ", "\t") and following.lstrip(" \t").startswith(":"):
        # The name and its colon on two lines (espoofer A11); the value comes with the continuation.
        found.defects.add("malformed header field name")
        found.odd_author |= _looks_like_from(line)
        return "from" if _looks_like_from(line) else bare.lower() or "?"
    if not line or (not line.startswith(("From ", ">From ")) and not _KNOWN_FIELD.match(following)):
        return None
    found.defects.add("rubbish in the header")
    if _looks_like_from(bare):
        _note_author(found)
    return ""


def _looks_like_from(name: str) -> bool:
    """Is it "From" for a parser that ignores blanks, controls and 8-bit characters in a field name?"""
    return "".join(c for c in name[:64].lower() if "a" <= c <= "z" or c == "-") == "from"


def _hides_author(name: str, line: str) -> bool:
    """A continuation line that a parser not knowing folding takes for a From (espoofer A9)."""
    start = line.lstrip(" \t")[:8].lower()
    # The list of signed fields of a DKIM-Signature is folded as "h=...\n from:to:...", in most signed mail.
    return (
        start.startswith("from") and ":" in start and "sign" not in name and _looks_like_from(start.partition(":")[0])
    )


def _note_odd_line(line: str, found: Fields) -> None:
    """A line with a bare CR inside, or a continuation that reads as a From."""
    first, *pieces = line.split("\r", BARE_CARRIAGE_RETURNS)
    if pieces:
        found.defects.add("bare CR in the header")
    found.odd_author |= len(pieces) == BARE_CARRIAGE_RETURNS
    if first[:1] in (" ", "\t"):
        pieces.append(first)
    if any(_looks_like_from(piece.partition(":")[0]) for piece in pieces if ":" in piece):
        _note_author(found)


def _note_author(found: Fields) -> None:
    found.authors += 1
    found.odd_author = True


def _count_authors_below(lines: list[str], found: Fields) -> None:
    """A parser that skips the broken line goes on to find more fields, so a From there makes the author ambiguous."""
    for line in lines[:HEADER_FIELDS]:
        name, colon, _ = line.partition(":")
        if colon and len(name) < 16 and _looks_like_from(name):
            _note_author(found)


def decode_words(raw: str) -> str:
    """A raw value (latin-1) for people: encoded words (RFC 2047) and 8-bit text decoded; control characters stay."""
    if "=?" not in raw:
        return _eight_bit(raw)
    out: list[str] = []
    position, pending, charset = 0, b"", ""
    for word in _ENCODED_WORD.finditer(raw):
        gap = raw[position : word.start()]
        if position and not gap.strip(" \t\r\n") and word[1].lower() == charset:
            # Adjacent words are one text, and some senders split a multibyte character between them.
            pending += _word_bytes(word)
        else:
            out.append(charsets.decode(pending, charset) if pending else "")
            if not position or gap.strip(" \t\r\n"):
                out.append(_eight_bit(gap))
            pending, charset = _word_bytes(word), word[1].lower()
        position = word.end()
    if pending:
        out.append(charsets.decode(pending, charset))
    out.append(_eight_bit(raw[position:]))
    return "".join(out)


def _word_bytes(word: re.Match[str]) -> bytes:
    encoded = word[3]
    if word[2] in "qQ":
        return binascii.a2b_qp(encoded.encode("latin-1"), header=True)
    clean = _NOT_BASE64.sub("", encoded)
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    return binascii.a2b_base64(clean + "=" * (-len(clean) % 4))


def _eight_bit(raw: str) -> str:
    return raw if raw.isascii() else charsets.decode(raw.encode("latin-1"))


def media_type(value: str) -> tuple[str, str]:
    """The lower-case `type/subtype` ("" when there is none that makes sense) and the rest, for `parameters`."""
    found = _TYPE.match(value)
    if found is None:
        return "", value[value.find(";") :] if ";" in value else ""
    return found[1].lower(), value[found.end() :]


def parameters(rest: str) -> dict[str, str]:
    """The parameters of a Content-Type or Content-Disposition (RFC 2045 §5.1, RFC 2231); the first of a name wins.

    Values are as raw as those of a header: latin-1, encoded words not decoded.
    """
    plain: dict[str, str] = {}
    extended: dict[str, dict[int, tuple[bool, str]]] = {}
    for n, found in enumerate(_PARAMETER.finditer(rest if rest[:1] == ";" else ";" + rest)):
        if n >= PARAMETERS:
            break
        name, value = found[1].lower(), found[2]
        if value[:1] == '"' and len(value) > 1 and value[-1] == '"':
            value = _UNQUOTE.sub(r"\1", value[1:-1]) if "\\" in value else value[1:-1]
        else:
            value = value.strip(' \t"')
        if "*" not in name:
            plain.setdefault(name, value)
            continue
        base, _, tail = name.partition("*")
        number, star, _ = tail.partition("*")
        if number.isascii() and number.isdigit() and len(number) < 4:
            extended.setdefault(base, {}).setdefault(int(number), (bool(star), value))
        elif not number:
            extended.setdefault(base, {}).setdefault(0, (True, value))
    for base, pieces in extended.items():
        plain[base] = _joined(pieces)
    return plain


def _joined(pieces: dict[int, tuple[bool, str]]) -> str:
    """The value that the segments of RFC 2231 §3 and §4 make together."""
    charset, data = "", b""
    for i, number in enumerate(sorted(pieces)):
        encoded, value = pieces[number]
        if encoded and i == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        raw = value.encode("latin-1")
        data += unquote_to_bytes(raw) if encoded else raw
    return charsets.decode(data, charset).encode("utf-8").decode("latin-1")


def message_ids(value: str) -> tuple[tuple[str, ...], bool]:
    """The well-formed ids of a References or In-Reply-To, the newest `MESSAGE_IDS`; and whether any was malformed.

    Blanks separate: `<a b@x>` (an id that was folded) yields nothing, never the id of another message.
    """
    found: list[str] = []
    odd = False
    for token in value.replace(",", " ").split():
        if _IDS.fullmatch(token):
            ids = [piece + ">" for piece in token.split(">") if piece]
            clean = [i for i in ids if _ID.fullmatch(i) and len(i) <= MESSAGE_ID_CHARS]
            odd |= len(clean) != len(ids)
            found += clean
        else:
            odd |= "<" in token or ">" in token
    return tuple(dict.fromkeys(found))[-MESSAGE_IDS:], odd


def one_message_id(value: str) -> str | None:
    """`value` when it is exactly one id `<left@right>` (RFC 5322 §3.6.4), else None."""
    return value if len(value) <= MESSAGE_ID_CHARS and _ID.fullmatch(value) else None


def parse_date(value: str) -> datetime | None:
    """The claimed time, aware; None when it cannot be read (RFC 5322 §3.3, obsolete forms included)."""
    found = _DATE.search(value[:128])
    if not found:
        return None
    day, month, year, hour, minute, second, zone = found.groups()
    years = int(year) + (0 if len(year) == 4 else 1900 if len(year) == 3 or int(year) >= 50 else 2000)
    try:
        return datetime(
            years,
            _MONTHS.index(month.lower()) // 3 + 1,
            int(day),
            int(hour),
            int(minute),
            min(int(second or 0), 59),
            tzinfo=_zone(zone),
        )
    except ValueError:
        return None


def _zone(zone: str | None) -> timezone:
    if zone and zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
        return timezone(-offset if zone[0] == "-" else offset)
    return timezone(timedelta(hours=_ZONES[zone.upper()])) if zone and zone.upper() in _ZONES else UTC
