"""What each line of a body is: new, quoted, or written by a program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mailbox_service.core.display import UNSHOWN
from mailbox_service.core.newtext import phrases

_LINE_CHARS = 400  # so much of a line is looked at: the longest attribution or header label is shorter
_AHEAD = 5  # lines of one attribution, wrapped by two clients in turn
_HEADER_LINES = 14  # of one header block, long lists of recipients included
_SEARCHED_LINES = 5_000  # of a body; in what stands below only marked quotes are told apart
_RULE_CHARS = 10  # Outlook's underscores are 32 or more, mailman's 47

_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_INITIALS_QUOTE = re.compile(r"[A-Z]{1,3}>(?: |$)")
_NAME_QUOTE = re.compile(r"\w{1,20}> ")
_TIME = re.compile(r"[0-9]{1,2}[:.h][0-9]{2}(?![0-9])|[0-9]{1,2} ?uhr|[0-9]{1,2}時|[0-9]{1,2}时|[0-9]{1,2}시")
_DATE_FIRST = re.compile(r"(?:[0-9]{4}[-/.年년]|[0-9]{1,2}[./ ] ?[0-9]{1,2}[./]|[0-9]{1,2}\.? \w{3,12}\.? )")
_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?![0-9])")
_YEAR_OR_TIME = re.compile(f"{_YEAR.pattern}|{_TIME.pattern}")
_OLD_GMAIL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{1,2}:[0-9]{2} gmt[+-]")
_LABEL = re.compile(r"([^:：<>@]{1,24}?) ?[:：](?: |$|[^/ ])")


class Kind(StrEnum):
    NEW = "new"
    QUOTE = "quote"
    ATTRIBUTION = "attribution"
    SIGNATURE = "signature"
    FOREIGN = "foreign"  # all that stands below a separator or a header block
    FOOTER = "footer"  # of a mailing list, or a rule with nothing below it


@dataclass(frozen=True, slots=True)
class Body:
    """The lines as they are, and as they are compared: each is made plain once."""

    lines: list[str]
    plain: list[str]
    labels: list[str]  # of headers, see `_label`

    @classmethod
    def of(cls, lines: list[str]) -> Body:
        plain = [_plain(line) for line in lines[:_SEARCHED_LINES]]
        return cls(lines, plain, [_label(text) for text in plain])


def split(body: str) -> list[str]:
    return _BREAKS.sub("\n", body).split("\n")


def _plain(line: str) -> str:
    """A line for comparison: bounded, lower case, plain blanks, without bold marks and invisible characters."""
    return " ".join(line[:_LINE_CHARS].translate(UNSHOWN).lower().split()).strip("* ")


def kinds_of(lines: list[str]) -> list[Kind]:
    """One kind for each line."""
    kinds = [Kind.NEW] * len(lines)
    body = Body.of(lines)
    at = 0
    while at < len(body.plain):
        taken, kind = _kind_at(body, kinds, at)
        if kind is Kind.FOREIGN:
            kinds[at:] = [Kind.FOREIGN] * (len(lines) - at)
            break
        kinds[at : at + taken] = [kind] * taken
        at += taken
    else:
        kinds[at:] = [Kind.QUOTE if line and is_quote(line) else Kind.NEW for line in lines[at:]]
    _signatures(lines, kinds)
    _trailing(lines, kinds)
    return kinds


def _kind_at(body: Body, kinds: list[Kind], at: int) -> tuple[int, Kind]:
    """How many lines from `at` on belong together, and what they are."""
    lines = body.lines
    taken = _attribution(body, at)
    if taken:
        # Without marks all that stands below is old; but where nothing stands above, it may be the answer itself.
        above = any(kinds[i] is Kind.NEW and lines[i].strip() for i in range(max(0, at - _HEADER_LINES), at))
        return taken, Kind.ATTRIBUTION if _quote_follows(body, at + taken) or not above else Kind.FOREIGN
    if is_quote(lines[at]) or (_is_marked(lines[at]) and _follows_quote(lines, kinds, at)):
        return 1, Kind.QUOTE
    if not body.plain[at]:
        return 1, Kind.NEW
    if _is_separator(body.plain[at]) or _is_header_block(body, at):
        return 1, Kind.FOREIGN
    if _is_rule(lines[at]):
        below = _next_filled(lines, at + 1)
        if below < len(body.plain) and (_is_header_block(body, below) or _is_separator(body.plain[below])):
            return 1, Kind.FOREIGN
    return 1, Kind.NEW


def _quote_follows(body: Body, at: int) -> bool:
    below = _next_filled(body.lines, at)
    return below < len(body.lines) and _is_marked(body.lines[below])


def _follows_quote(lines: list[str], kinds: list[Kind], at: int) -> bool:
    """Whether the text right above, blank lines apart, is a quote or introduces one."""
    above = at - 1
    while above > max(0, at - 4) and not lines[above].strip() and kinds[above] is Kind.NEW:
        above -= 1
    return above >= 0 and kinds[above] in (Kind.ATTRIBUTION, Kind.QUOTE)


def is_quote(line: str) -> bool:
    """Whether a line is marked as quoted: `>`, its East Asian twin, or the initials that old clients put before it."""
    start = line[:_LINE_CHARS].translate(UNSHOWN).lstrip()
    return start.startswith((">", "＞", "&gt;")) or _INITIALS_QUOTE.match(start) is not None


def _is_marked(line: str) -> bool:
    """As `is_quote`; and with bars and names, which are marks only where a quote is expected."""
    return is_quote(line) or line.startswith("|") or _NAME_QUOTE.match(line[:30]) is not None


def _next_filled(lines: list[str], at: int) -> int:
    """The next line that is not blank; a screen of blank lines ends the search."""
    end = min(len(lines), at + _HEADER_LINES)
    while at < end and not lines[at].strip():
        at += 1
    return at


# --- attributions ---------------------------------------------------------------------------------------------------


def _attribution(body: Body, at: int) -> int:
    """How many lines from `at` on are one attribution; 0 for none."""
    plain = body.plain
    window = plain[at : at + _AHEAD]
    if not window[0] or is_quote(body.lines[at]) or not _may_begin(window[0]):
        return 0
    if not any("@" in text or _has_verb(text) for text in window) and not _OLD_GMAIL.match(window[0]):
        return 0
    for taken in range(1, len(window) + 1):
        if not window[taken - 1]:
            # mailto targets stand below a blank line in what one client makes of HTML
            if taken == 1 or not "".join(window[taken : taken + 1]).startswith("<"):
                return 0
            continue
        joined = " ".join(text for text in window[:taken] if text)
        if len(joined) > _LINE_CHARS:
            return 0
        strength = _strength(joined)
        if strength == 2 or (strength == 1 and _quote_follows(body, at + taken)):
            return 0 if _begins_later(window[:taken]) else taken
    return 0


def _begins_later(window: list[str]) -> bool:
    """Whether the attribution that these lines end with begins below the first of them, which then is text."""
    for begin in range(1, len(window)):
        joined = " ".join(text for text in window[begin:] if text)
        if joined and _starts_as_date(joined) and _YEAR_OR_TIME.search(joined) and _strength(joined):
            return True
    return False


def _may_begin(first: str) -> bool:
    word = first.split(" ", 1)[0].rstrip(",.:;")
    return word in _OPENERS or first[0] in "0123456789-在于2" or "@" in first or _has_verb(first)


_OPENERS = frozenset(phrases.OPENERS)


def _has_verb(text: str) -> bool:
    return any(verb in text for verb in phrases.WROTE)


def _strength(text: str) -> int:
    """2 for what can be nothing but an attribution, 1 for what is one if a quote follows, 0 for neither."""
    text = text.strip("-–— ")
    ends = text.rstrip(" >").endswith((":", "："))
    address = "@" in text
    dated = _TIME.search(text) is not None or _YEAR.search(text) is not None
    if _OLD_GMAIL.match(text):
        return 2 if ends or not address else 0
    if _has_verb(text):
        return _of_a_verb(text, ends=ends, address=address, dated=dated)
    if address and _DATE_FIRST.match(text):
        # Gmail in Japanese and Russian, and Gmail of old: a date, a name, an address and a colon.
        return 2 if ends and text.rstrip(":： ").endswith(">") else 1 if text.endswith(">") else 0
    return 2 if ends and address and _YEAR.search(text) and text.rstrip(":： ").endswith(">") else 0


def _of_a_verb(text: str, *, ends: bool, address: bool, dated: bool) -> int:
    closed = text.rstrip(":： ").endswith(phrases.WROTE) or (ends and dated)
    if not closed:
        return 1 if ends and address else 0
    if address and (ends or (dated and _starts_as_date(text))):
        return 2
    # "At 12:03 the server wrote:" introduces a log: without an address only marks tell that a quote follows.
    return 1 if ends or dated else 0


def _starts_as_date(text: str) -> bool:
    word = text.split(" ", 1)[0].rstrip(",.:;")
    return word in _OPENERS or text[0].isdigit() or text[0] in "在于"


# --- separators and header blocks -----------------------------------------------------------------------------------


def _is_separator(text: str) -> bool:
    if len(text) > 120:
        return False
    inside = text.strip("-–—_=* :")
    if text.startswith(("---", "———", "___", "===", "***", "-- -")) and text.endswith(("-", "—", "_", "=", "*")):
        return inside.startswith(phrases.ORIGINAL)
    return text.endswith(":") and inside in _ORIGINAL


_ORIGINAL = frozenset(phrases.ORIGINAL)


def _is_rule(line: str) -> bool:
    text = line[:_LINE_CHARS].strip().strip("*")
    return len(text) >= _RULE_CHARS and not text.strip("_-=–— ") and bool(text.strip())


def _label(plain: str) -> str:
    """The kind of header whose label a line begins with, in any of the languages; "" for none."""
    found = _LABEL.match(plain.replace("*", "").strip("- "))
    return phrases.LABELS.get(found[1].strip(), "") if found else ""


def _is_header_block(body: Body, at: int) -> bool:
    """Three different headers right below each other, the author and a date or a subject among them."""
    if body.labels[at] not in ("author", "date", "subject", "to", "other"):
        return False
    kinds: set[str] = set()
    strange = 0
    for below in range(at, min(len(body.labels), at + _HEADER_LINES)):
        if body.labels[below]:
            kinds.add(body.labels[below])
            strange = 0
        elif not body.plain[below] or strange >= 3:
            break
        else:
            strange += 1
        if len(kinds) >= 3 and "author" in kinds and kinds & {"date", "subject"}:
            return True
    return False


# --- signatures and footers -----------------------------------------------------------------------------------------


def _is_delimiter(line: str) -> bool:
    """`-- `, also where a client lost the blank, made a dash of it, or put a non-breaking one in (RFC 3676 §4.3)."""
    return len(line) <= 12 and line.translate(UNSHOWN).strip().strip("*") in ("--", "—", "――", "––", "– –", "- -")


def _signatures(lines: list[str], kinds: list[Kind]) -> None:
    """Below a delimiter everything up to the next quote is a signature."""
    inside = False
    for at, line in enumerate(lines):
        if kinds[at] is not Kind.NEW:
            inside = False
        elif inside or (line and _is_delimiter(line)):
            inside = True
            kinds[at] = Kind.SIGNATURE


def _trailing(lines: list[str], kinds: list[Kind]) -> None:
    """What stands at the end of each new piece: lines of phones, footers of lists, rules."""
    end = len(lines)
    while end > 0:
        if kinds[end - 1] is not Kind.NEW:
            end -= 1
            continue
        begin = end
        while begin > 0 and kinds[begin - 1] is Kind.NEW:
            begin -= 1
        _end_of_piece(lines, kinds, begin, end)
        end = begin


def _end_of_piece(lines: list[str], kinds: list[Kind], begin: int, end: int) -> None:
    _footer(lines, kinds, begin, end)
    last = end
    while last > begin:
        line = lines[last - 1]
        if kinds[last - 1] is not Kind.NEW or not line.strip():
            last -= 1
        elif is_device(line):
            last -= 1
            kinds[last] = Kind.SIGNATURE
        elif _is_ornament(line):
            last -= 1
            kinds[last] = Kind.FOOTER
        else:
            break


def _footer(lines: list[str], kinds: list[Kind], begin: int, end: int) -> None:
    """A rule or an opening phrase near the end of a piece, and a mailing list named below it."""
    for at in range(max(begin, end - _HEADER_LINES), end):
        text = _plain(lines[at])
        begins = text.startswith(phrases.LIST_STARTS)
        if at > begin and text and len(text) >= _RULE_CHARS and not text.strip("_"):
            kinds[at:end] = [Kind.SIGNATURE] * (end - at)  # a rule of underscores is what companies put above theirs
            return
        if begins or _is_rule(lines[at]) or text in ("---", "___"):
            below = [_plain(line) for line in lines[at:end]]
            if begins or any(word in line for line in below for word in phrases.LIST_WORDS):
                kinds[at:end] = [Kind.FOOTER] * (end - at)
                return


def is_device(line: str) -> bool:
    """`Sent from my …`, in the languages of the table."""
    if len(line) > 160:
        return False
    text = _plain(line).strip("_>").strip()
    if not text.startswith(phrases.DEVICE_STARTS):
        named = any(device in text for device in phrases.DEVICES)
        return named and len(text) <= 80 and text.endswith(phrases.DEVICE_ENDS)
    _, comma, rest = text.partition(",")
    return not comma or any(word in rest for word in phrases.EXCUSES)


def _is_ornament(line: str) -> bool:
    text = line[:_LINE_CHARS].strip()
    return len(line) <= _LINE_CHARS and bool(text) and not text.strip("-–—_=*#~+ᐧ· ")


def begins_unmarked(lines: list[str], kinds: list[Kind]) -> bool:
    """Whether the first thing is an attribution and nothing below it is marked as a quote."""
    for at, kind in enumerate(kinds):
        if kind is Kind.ATTRIBUTION:
            below = _next_filled(lines, at)
            while below < len(lines) and kinds[below] is Kind.ATTRIBUTION:
                below = _next_filled(lines, below + 1)
            return below < len(lines) and kinds[below] is not Kind.QUOTE
        if lines[at].strip():
            return False
    return False


def is_closing(line: str) -> bool:
    """`Best regards,` and its like."""
    text = _plain(line).rstrip(",.!– ")
    return (
        len(text) <= 50
        and (text.endswith(phrases.CLOSINGS) or text.startswith(phrases.CLOSINGS))
        and len(text.split()) <= 5
    )


def words_of(text: str) -> str:
    """The words of a text in lower case between single blanks, for a search by whole words."""
    words = re.sub(r"[^\w@.\-]+", " ", text.casefold()).split()
    return f" {' '.join(word.strip('.-') for word in words)} "
