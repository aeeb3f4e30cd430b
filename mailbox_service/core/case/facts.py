"""What is known of a case besides its stage: checked values, each in one spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from mailbox_service.core import cvss
from mailbox_service.core.display import harmless

LINE_CHARS = 500  # of one fact: a long range of versions, a long credit line
# An embargo without a time ends when most of the world is at work and can update.
USUAL_TIME = time(14, 0)

_CVE = re.compile(r"CVE-([0-9]{4})-([0-9]{4,19})", re.IGNORECASE)
_URL = re.compile(r"https?://[!-;=?-~\x80-\U0010ffff]{3,}", re.IGNORECASE)
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_:\-]{0,99}")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_DATE_WITH_POINTS = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_TIME = re.compile(r"([0-9]{1,2})[:.]([0-9]{2})(?::00)?(?: ?([ap])\.?m\.?)?", re.IGNORECASE)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+\-])([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE)
_ZONE = re.compile(r"[A-Za-z]+(?:/[A-Za-z0-9_+\-]+){1,2}")


class NotAFact(ValueError):
    """The text is not what the fact asks for; `str()` says what is, and never repeats the text."""


class Fact(StrEnum):
    """The facts of a case, by the name of their field in `Facts`."""

    SEVERITY = "severity"
    CVE = "cve"
    AFFECTS = "affects"
    FIXED = "fixed"
    CREDIT = "credit"
    EMBARGO = "embargo"
    ADVISORY = "advisory"
    PATCH = "patch"


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts; None is what nobody said yet. `credit` is the line as it will be printed, "" for anonymous."""

    severity: str | None = None
    cve: str | None = None
    affects: str | None = None
    fixed: str | None = None
    credit: str | None = None
    embargo: datetime | None = None  # in UTC
    advisory: str | None = None
    patch: str | None = None


def journaled(value: str | datetime | None) -> str | None:
    """A fact as the journal holds it."""
    return value.isoformat() if isinstance(value, datetime) else value


def recorded(facts: Facts, fact: Fact, value: str | datetime | None) -> Facts:
    """The facts with one of them set, or taken back with None."""
    if isinstance(value, datetime) != (fact is Fact.EMBARGO) and value is not None:
        raise TypeError(f"{fact} is no {type(value).__name__}")
    changed: dict[str, Any] = {fact.value: value}
    return replace(facts, **changed)


def facts_from(stored: Mapping[str, str | None]) -> Facts:
    """The facts out of the values that `journaled` made, by name."""
    values = {f.name: stored.get(f.name) for f in fields(Facts)}
    embargo = values.pop("embargo")
    return Facts(**values, embargo=datetime.fromisoformat(embargo) if embargo else None)


def severity(text: str) -> str:
    """A valid CVSS vector in its canonical spelling. Raises: NotAFact."""
    try:
        return cvss.vector(text)
    except cvss.NoVector as error:
        raise NotAFact(str(error)) from None


def cve_id(text: str) -> str:
    """`CVE-YEAR-NUMBER` in capitals. Raises: NotAFact."""
    found = _CVE.fullmatch(text.strip())
    if found is None or not found[1] >= "1999":
        raise NotAFact("a CVE id looks like CVE-2026-12345")
    return found[0].upper()


def url(text: str) -> str:
    """One http or https address, without angle brackets. Raises: NotAFact."""
    text = text.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if len(text) > LINE_CHARS or _URL.fullmatch(text) is None:
        raise NotAFact("an address begins with https:// and has no blanks")
    return text


def version(text: str) -> str:
    """One version, as the project writes it. Raises: NotAFact."""
    text = text.strip()
    if _VERSION.fullmatch(text) is None or not any(c.isdigit() for c in text):
        raise NotAFact("a version has no blanks, as in 4.38.1")
    return text


def line(text: str) -> str:
    """One harmless line of limited length, not empty. Raises: NotAFact."""
    text = " ".join(harmless(text).split())
    if not text:
        raise NotAFact("something must stand here")
    if len(text) > LINE_CHARS:
        raise NotAFact(f"at most {LINE_CHARS} characters may stand here")
    return text


def credit(text: str) -> str:
    """The credit line, "" for a wish to stay anonymous. Raises: NotAFact."""
    text = line(text)
    return "" if text.casefold().rstrip(".!") in ("anonymous", "anonym", "none", "no", "no credit") else text


def moment(text: str, zone: tzinfo) -> datetime:
    """`DATE [TIME] [ZONE]` as UTC; without a zone it is that of the mailbox, without a time `USUAL_TIME`.

    Raises: NotAFact, also for a time that the clocks skip or show twice there.
    """
    words = text.split()
    if not words:
        raise NotAFact(_HOW)
    day, rest = _day(words[0]), words[1:]
    clock = USUAL_TIME
    if rest and _OFFSET.fullmatch(rest[0]) is None and rest[0][:1].isdigit():
        am_pm = rest.pop(1) if rest[1:] and rest[1].lower() in ("am", "pm") else ""
        clock = _clock(rest.pop(0) + am_pm)
    named = "".join(rest)
    where = _zone(named) if named else zone
    local = datetime.combine(day, clock, where)
    utc = local.astimezone(UTC)
    if utc.astimezone(where).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise NotAFact("the clocks skip this time on that day; name another one")
    if local.replace(fold=1).utcoffset() != local.utcoffset():
        raise NotAFact("the clocks show this time twice on that day; add the offset, as in +01:00")
    return utc


_HOW = "a date is written 2026-12-24, and may have a time and a zone: 2026-12-24 14:00 Europe/Berlin"


def _day(text: str) -> date:
    numbers = _DATE.fullmatch(text)
    with_points = None if numbers else _DATE_WITH_POINTS.fullmatch(text)
    if numbers:
        year, month, day = map(int, numbers.groups())
    elif with_points:
        day, month, year = map(int, with_points.groups())
    else:
        raise NotAFact(_HOW)
    try:
        found = date(year, month, day)
    except ValueError:
        found = None
    if found is None or not 2000 <= year < 2200:
        raise NotAFact("there is no such day")
    return found


def _clock(text: str) -> time:
    found = _TIME.fullmatch(text)
    if found is None:
        raise NotAFact("a time is written 14:00")
    hour, minute, half = int(found[1]), int(found[2]), (found[3] or "").lower()
    if half and not 1 <= hour <= 12:
        raise NotAFact("a time is written 14:00")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        return time(hour, minute)
    except ValueError:
        raise NotAFact("a time is written 14:00") from None


def _zone(text: str) -> tzinfo:
    if text.upper() in ("UTC", "GMT", "Z"):
        return UTC
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if span <= timedelta(hours=14) and int(offset[3] or 0) < 60:
            return timezone(-span if offset[1] == "-" else span)
    elif _ZONE.fullmatch(text):
        # The machine's table of time zones is read, as unicodedata is: the same name gives the same zone.
        try:
            return ZoneInfo(text)
        except (LookupError, ValueError, OSError):
            pass
    # CST is three zones, IST too: abbreviations are not guessed.
    raise NotAFact("a zone is written UTC, +01:00 or Europe/Berlin")


READERS = {
    Fact.SEVERITY: severity,
    Fact.CVE: cve_id,
    Fact.AFFECTS: line,
    Fact.FIXED: line,
    Fact.CREDIT: credit,
    Fact.ADVISORY: url,
    Fact.PATCH: url,
}
