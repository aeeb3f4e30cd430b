"""Reading what an IMAP server says: FETCH items, LIST lines, response codes, dates, UID sets (RFC 3501 §7, §9).

A response is a list of fragments: text, literal, text, literal, text ... with the literals byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

Fragments = list[bytes]
Item = bytes | None | list["Item"]

_TOKEN = re.compile(rb'\s*(?:"((?:[^"\\]|\\.)*)"|([()])|(~?\{\d+\+?\})|([^\s()"{]+))')
_ESCAPED = re.compile(rb"\\(.)")
_DATE = re.compile(rb"^ ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$")
_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_CODE = re.compile(rb"^\[([A-Za-z0-9-]+)(?: ([^\]]*))?\]")

# Parentheses deeper than this do not occur in the few items we ask for.
_MAX_DEPTH = 8


class Unreadable(ValueError):
    """The response does not follow the grammar."""


def items(fragments: Fragments, start: int) -> list[Item]:
    """The values of a response from byte `start` of its first fragment on; NIL is None.

    Raises: Unreadable.
    """
    stack: list[list[Item]] = [[]]
    last = len(fragments) - 1
    for index in range(0, len(fragments), 2):
        text = fragments[index]
        position = start if index == 0 else 0
        while match := _TOKEN.match(text, position):
            position = match.end()
            quoted, bracket, literal, atom = match.groups()
            if atom is not None:
                stack[-1].append(None if atom.upper() == b"NIL" else atom)
            elif quoted is not None:
                stack[-1].append(_ESCAPED.sub(rb"\1", quoted))
            elif literal is not None:
                if position != len(text) or index == last:
                    raise Unreadable("a literal where none can be")
                stack[-1].append(fragments[index + 1])
            elif bracket == b"(":
                opened: list[Item] = []
                stack[-1].append(opened)
                stack.append(opened)
                if len(stack) > _MAX_DEPTH:
                    raise Unreadable("nested too deep")
            elif len(stack) == 1:
                raise Unreadable("a bracket too many")
            else:
                stack.pop()
        if text[position:].strip():
            raise Unreadable("not a list of values")
    if len(stack) != 1:
        raise Unreadable("a bracket too few")
    return stack[0]


_FETCH = re.compile(rb"^\* \d+ FETCH ", re.IGNORECASE)


def fetched(responses: Iterable[Fragments]) -> dict[int, dict[bytes, Item]]:
    """What FETCH responses say, by UID; later ones for the same UID add to earlier ones.

    Responses without a UID (flag changes the server tells of its own accord) and unreadable ones are left out.
    """
    found: dict[int, dict[bytes, Item]] = {}
    for fragments in responses:
        match = _FETCH.match(fragments[0])
        if match is None:
            continue
        try:
            (values,) = items(fragments, match.end())
        except ValueError:
            continue
        if not isinstance(values, list) or len(values) % 2:
            continue
        pairs = {
            name.upper(): value
            for name, value in zip(values[::2], values[1::2], strict=True)
            if isinstance(name, bytes)
        }
        uid = pairs.get(b"UID")
        if isinstance(uid, bytes) and uid.isdigit():
            found.setdefault(int(uid), {}).update(pairs)
    return found


def internal_date(value: Item) -> datetime | None:
    """INTERNALDATE in UTC, or None for what is no date (RFC 3501 §9, date-time)."""
    match = _DATE.match(value) if isinstance(value, bytes) else None
    if match is None or match.group(2).lower() not in _MONTHS:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes)) * (-1 if sign == b"-" else 1)
    try:
        return datetime(
            int(year),
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=timezone(offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def searched(responses: Iterable[Fragments]) -> list[int]:
    """The numbers of all SEARCH responses, ascending; a trailing `(MODSEQ n)` is no number of theirs."""
    found: set[int] = set()
    for fragments in responses:
        words = fragments[0].split()
        if len(words) >= 2 and words[0] == b"*" and words[1].upper() == b"SEARCH":
            for word in words[2:]:
                if not word.isdigit():
                    break
                found.add(int(word))
    return sorted(found)


def code(text: bytes) -> tuple[str, str]:
    """The response code at the start of a status text, as (NAME, argument); empty strings where there is none."""
    match = _CODE.match(text.strip())
    if match is None:
        return "", ""
    return match.group(1).decode("ascii").upper(), (match.group(2) or b"").decode("latin-1")


def untagged_codes(responses: Iterable[Fragments]) -> dict[str, str]:
    """The codes of untagged OK responses, such as UIDVALIDITY and UIDNEXT after a SELECT."""
    found: dict[str, str] = {}
    for fragments in responses:
        if fragments[0][:5].upper() == b"* OK ":
            name, argument = code(fragments[0][5:])
            if name:
                found[name] = argument
    return found


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of LIST. `wire` is the name as the server encodes it."""

    wire: str
    delimiter: str | None
    attributes: frozenset[str] = field(default_factory=frozenset)  # lower case, with the backslash


def listed(responses: Iterable[Fragments]) -> list[Listed]:
    """The mailboxes of LIST responses; unreadable lines are left out."""
    found = []
    for fragments in responses:
        if fragments[0][:7].upper() != b"* LIST ":
            continue
        try:
            attributes, delimiter, name = items(fragments, 7)[:3]
        except ValueError:
            continue
        if isinstance(attributes, list) and isinstance(name, bytes):
            found.append(
                Listed(
                    name.decode("utf-8", "replace"),
                    delimiter.decode("latin-1") if isinstance(delimiter, bytes) else None,
                    frozenset(a.decode("latin-1").lower() for a in attributes if isinstance(a, bytes)),
                )
            )
    return found


def uid_set(uids: Sequence[int]) -> str:
    """`uids` (ascending) as a sequence set, runs written as ranges."""
    parts: list[str] = []
    first = last = -1
    for uid in uids:
        if uid == last + 1 and parts:
            last = uid
            parts[-1] = f"{first}:{last}"
        else:
            first = last = uid
            parts.append(str(uid))
    return ",".join(parts)


def from_uid_set(text: str, limit: int) -> set[int]:
    """The UIDs a server names in a set, at most `limit` of them; what is no number or range is passed over."""
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition(":")
        if low.isdigit() and (high or low).isdigit():
            ends = sorted((int(low), int(high or low)))
            found.update(range(ends[0], min(ends[1], ends[0] + limit) + 1))
    return found
