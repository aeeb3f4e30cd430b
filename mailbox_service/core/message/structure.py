"""The MIME structure as a flat list of leaves: one iterative walk over offsets of the raw bytes (RFC 2046).

Nothing is copied but headers, so a message of 50 MB costs no memory. Every limit is checked while walking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mailbox_service.core.message import decoding, scanning
from mailbox_service.core.message.fields import (
    CARRIAGE_RETURNS,
    HEADER_LINES,
    Fields,
    media_type,
    parameters,
    read_fields,
)

DEPTH = 20  # real mail stays below ten, forwards of forwards included
PARTS = 500  # a photo album has a hundred
# Lines that begin like a boundary and are none cost time too; base64 has none, so only hostile mail gets here.
BOUNDARY_CANDIDATES = 20_000
# Of the headers of all parts together: 500 parts of ten fields each, or a digest of a hundred whole mails, stay below.
# When they are used up, the fields that say what a part is are still read: they are among the first.
PARTS_HEADER_LINES = 50_000
_PART_HEADER_LINES_AT_LEAST = 20
# How many times the whole mail may be searched for boundaries: once for each multipart around the largest part. Real
# mail stays below ten, forwards of forwards included; without a limit every level costs up to 0.1 s in 50 MB.
BOUNDARY_SEARCHES = 10
_SEARCHED_AT_LEAST_BYTES = 64 * 1024 * 1024  # what costs little is not limited
NESTED_DECODE_BYTES = 1024 * 1024  # a nested message that is base64 all the same (RFC 2046 §5.2.1 forbids it)
_GUESS_WITHIN_BYTES = 64 * 1024
_BOUNDARY_CHARS = 200  # RFC 2046 §5.1.1 allows 70

_DELIMITER_TAIL = re.compile(rb"(--)?[ \t]{0,1000}+\r{0,%d}+(?:\n|\Z)|--" % CARRIAGE_RETURNS)
_GUESS = re.compile(rb"(?:\A|\n)--([!-~]{1,100})[ \t]*\r*\n[Cc]ontent-")
_LEADING_BLANK = re.compile(rb"(?:[ \t]{0,1000}+\r{0,%d}+\n){1,1000}" % CARRIAGE_RETURNS)
_MBOX_LINE = re.compile(rb">?From (?![ \t]*:)[^\n]{1,500}\n")
_BOM = b"\xef\xbb\xbf"
_NESTED = frozenset({"message/rfc822", "message/global", "message/news"})
_IDENTITY = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(slots=True)
class Entity:
    """One MIME entity: `buf[start:end]`, its header included until it is read, its body after that."""

    buf: bytes
    start: int
    end: int
    depth: int = 0
    nested: int = 0  # how many messages it stands inside of, the outermost not counted
    parent: str = ""  # content type of the multipart around it
    alternative: int = 0  # number of the innermost multipart/alternative around it, 0 for none
    message: bool = False  # it begins with the header of a nested message
    fields: Fields = field(default_factory=Fields)
    content_type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)
    disposition: str = ""
    filename: str = ""  # as declared, raw
    encoding: str = ""
    outer: Entity | None = None  # of a nested message: the part that holds it


@dataclass(slots=True)
class Structure:
    """What the walk found, in document order. Entities with `message` set hold the header of a nested message."""

    entities: list[Entity] = field(default_factory=list)
    containers: list[tuple[str, int]] = field(default_factory=list)  # content type and `nested` of the multiparts met
    loose: list[tuple[bytes, int, int, int]] = field(
        default_factory=list
    )  # preambles, epilogues: buf, start, end, nested
    defects: set[str] = field(default_factory=set)
    truncated: bool = False
    header_lines_left: int = PARTS_HEADER_LINES
    candidates_left: int = BOUNDARY_CANDIDATES
    search_bytes_left: int = 0


def message_start(buf: bytes, start: int, end: int, defects: set[str]) -> int:
    """Where the header of a message begins: behind a byte order mark, empty lines and an mbox "From " line."""
    if buf.startswith(_BOM, start, end):
        defects.add("byte order mark")
        start += len(_BOM)
    blank = _LEADING_BLANK.match(buf, start, end)
    if blank:
        defects.add("empty lines before the header")
        start = blank.end()
    mbox = _MBOX_LINE.match(buf, start, end)
    if mbox and not buf.startswith((b"From:", b">From:"), start):
        start = mbox.end()
    return start


def describe(entity: Entity, fields: Fields, default_type: str) -> None:
    """Fill in what the header `fields` say about `entity`, and move its start to its body."""
    entity.fields = fields
    entity.start = min(fields.body_start, entity.end)
    declared = fields.get("content-type")
    rest = ""
    entity.content_type = default_type
    if declared:
        kind, rest = media_type(declared)
        if kind:
            entity.content_type = kind
        else:
            fields.defects.add("unreadable Content-Type")
        entity.parameters = parameters(rest) if rest else {}
        if fields.count("content-type") > 1:
            fields.defects.add("multiple Content-Type")
    disposition = fields.get("content-disposition")
    if disposition:
        entity.disposition = disposition.partition(";")[0].strip().lower()
        if ";" in disposition:
            entity.filename = parameters(disposition[disposition.find(";") :]).get("filename", "")
    entity.filename = entity.filename or entity.parameters.get("name", "")
    entity.encoding = fields.get("content-transfer-encoding").partition(";")[0].strip(" \t\"'").lower()
    if entity.encoding in _IDENTITY:
        entity.encoding = ""
    elif entity.encoding == "base64" and not decoding.may_be_base64(entity.buf, entity.start, entity.end):
        fields.defects.add("declared base64 and is not")
        entity.encoding = ""


def walk(root: Entity) -> Structure:
    """The structure below `root`, which `describe` has filled in."""
    found = Structure(search_bytes_left=max(BOUNDARY_SEARCHES * len(root.buf), _SEARCHED_AT_LEAST_BYTES))
    stack = [root]
    parts = 1
    while stack:
        entity = stack.pop()
        if entity is not root:
            _read_header(entity, found)
        if entity.message:
            found.entities.append(entity)
        children = _children(entity, found)
        if children and entity.depth >= DEPTH:
            found.truncated = True
            found.defects.add("nested too deep")
            entity.content_type = "application/octet-stream"
            children = []
        if not children:
            if not entity.message or entity.start < entity.end:
                found.entities.append(_leaf_of(entity))
            continue
        if parts + len(children) > PARTS:
            found.truncated = True
            found.defects.add("too many parts")
            children = children[: max(0, PARTS - parts)]
        parts += len(children)
        stack.extend(reversed(children))
    return found


def direct_parts(entity: Entity) -> tuple[list[Entity], Structure]:
    """The parts directly inside a multipart that `describe` has filled in, and what was odd about them.

    Their headers are not read yet: `buf[start:end]` of each is the part exactly as it was transmitted.
    """
    found = Structure(search_bytes_left=max(BOUNDARY_SEARCHES * len(entity.buf), _SEARCHED_AT_LEAST_BYTES))
    return _parts(entity, found), found


def _leaf_of(entity: Entity) -> Entity:
    """The body of a nested message apart from its header, which is an entity of its own."""
    if not entity.message:
        return entity
    leaf = Entity(entity.buf, entity.start, entity.end, entity.depth, entity.nested, entity.parent, entity.alternative)
    leaf.content_type, leaf.parameters = entity.content_type, entity.parameters
    leaf.disposition, leaf.filename, leaf.encoding = entity.disposition, entity.filename, entity.encoding
    return leaf


def _read_header(entity: Entity, found: Structure) -> None:
    if entity.message:
        entity.start = message_start(entity.buf, entity.start, entity.end, set())
    limit = min(HEADER_LINES, max(found.header_lines_left, _PART_HEADER_LINES_AT_LEAST))
    fields = read_fields(entity.buf, entity.start, entity.end, limit)
    found.header_lines_left -= fields.lines
    default = "message/rfc822" if entity.parent == "multipart/digest" and not entity.message else "text/plain"
    describe(entity, fields, default)
    found.truncated |= fields.truncated
    found.defects |= fields.defects


def _children(entity: Entity, found: Structure) -> list[Entity]:
    if entity.content_type.startswith("multipart/"):
        return _parts(entity, found)
    if entity.content_type in _NESTED and entity.start < entity.end:
        return [_nested_message(entity, found)]
    return []


def _nested_message(entity: Entity, found: Structure) -> Entity:
    buf, start, end = entity.buf, entity.start, entity.end
    if entity.encoding:
        found.defects.add("encoded nested message")
        buf, cut = decoding.decoded(buf, start, end, entity.encoding, NESTED_DECODE_BYTES)
        start, end = 0, len(buf)
        found.truncated |= cut
    return Entity(buf, start, end, entity.depth + 1, entity.nested + 1, entity.content_type, message=True, outer=entity)


def _parts(entity: Entity, found: Structure) -> list[Entity]:
    """The parts of a multipart; none (and the entity a text) when its boundary stands nowhere in it."""
    found.containers.append((entity.content_type, entity.nested))
    declared = entity.parameters.get("boundary", "")[:_BOUNDARY_CHARS].rstrip(" ")
    spans, loose = _split(entity, declared.encode("latin-1"), found) if declared else ([], [])
    if not spans:
        found.defects.add("boundary not found" if declared else "multipart without boundary")
        guess = _GUESS.search(entity.buf, max(0, entity.start - 1), min(entity.end, entity.start + _GUESS_WITHIN_BYTES))
        if guess:
            spans, loose = _split(entity, guess[1], found)
    if not spans:
        entity.content_type = "text/plain"
        return []
    found.loose += [(entity.buf, s, e, entity.nested) for s, e in loose if s < e]
    if entity.encoding:
        found.defects.add("encoded multipart")
    alternative = entity.alternative
    if entity.content_type == "multipart/alternative":
        alternative = len(found.containers)
    return [
        Entity(entity.buf, s, e, entity.depth + 1, entity.nested, entity.content_type, alternative) for s, e in spans
    ]


def _split(entity: Entity, boundary: bytes, found: Structure) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The spans between the delimiter lines, and what stands before and behind them."""
    buf, start, end = entity.buf, entity.start, entity.end
    delimiter = b"--" + boundary
    found.search_bytes_left -= end - start
    if found.search_bytes_left < 0:
        found.truncated = True
        found.defects.add("nested too deep")
        return [], []
    spans: list[tuple[int, int]] = []
    loose: list[tuple[int, int]] = []
    part, outside, closed = -1, start, False
    at = start if buf.startswith(delimiter, start, end) else _next(entity, delimiter, start)
    while at >= 0:
        if found.candidates_left <= 0 or len(spans) > PARTS:
            found.truncated = True
            found.defects.add("too many parts")
            break
        found.candidates_left -= 1
        tail = _DELIMITER_TAIL.match(buf, at + len(delimiter), end)
        if tail:
            before = _without_line_end(buf, max(start, part, outside if part < 0 else 0), at)
            if part >= 0:
                spans.append((part, before))
            else:
                loose.append((outside, before))
                if closed:
                    found.defects.add("parts behind the closing boundary")
            closed = tail[0].startswith(b"--")
            part, outside = (-1, tail.end()) if closed else (tail.end(), -1)
        at = _next(entity, delimiter, at + len(delimiter) - 1)
    if part >= 0:
        found.defects.add("no closing boundary")
        spans.append((part, end))
    elif spans:
        loose.append((outside, end))
    return [(s, e) for s, e in spans if s < e], loose


def _next(entity: Entity, delimiter: bytes, position: int) -> int:
    """Where the next line that begins with `delimiter` begins, -1 when there is none."""
    found = scanning.find(entity.buf, b"\n" + delimiter, position, entity.end)
    return found + 1 if found >= 0 else -1


def _without_line_end(buf: bytes, start: int, at: int) -> int:
    """The end of the content before the delimiter line at `at`: the line end belongs to the delimiter."""
    if at > start and buf[at - 1] == 10:
        at -= 1
        if at > start and buf[at - 1] == 13:
            at -= 1
    return at
