"""Address fields (RFC 5322 §3.4) by one linear scan: lenient for lists, strict for the author."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mailbox_service.core.display import harmless
from mailbox_service.core.message.fields import HEADER_LIST_CHARS, decode_words
from mailbox_service.core.message.view import Address

ADDRESSES = 200  # of one field; a mail to more people than that is no report, and we never write to them anyway
ADDR_SPEC_CHARS = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets
DISPLAY_NAME_CHARS = 200  # longer than any name; a screen line is 80
# Every character can be a token. Real address lists stay below five tokens a mailbox.
_TOKENS = 6_000
# What is remembered of one mail for the next must be small.
_REMEMBERED_CHARS: Final = 200

_TOKEN = re.compile(
    r'(?P<blank>[ \t\r\n]+)|(?P<quoted>"(?:[^"\\]++|\\.)*+")|(?P<special>[<>,;:@\[\]()\\"])'
    r'|(?P<atom>[^ \t\r\n<>,;:@\[\]()\\"]+)',
    re.DOTALL,
)
# Where one quoted string does not end, later ones are not looked for: each search would run to the end of the value.
_UNQUOTED_TOKEN = re.compile(_TOKEN.pattern.replace('(?P<quoted>"(?:[^"\\\\]++|\\\\.)*+")|', ""), re.DOTALL)
_COMMENT_PIECE = re.compile(r"[()\\]")
_UNQUOTE = re.compile(r"\\(.)", re.DOTALL)
_DOT_ATOM = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff]+)*"
)
_QUOTED_LOCAL = re.compile(r'"(?:[ !#$%&\'*+\-./0-9=?^_`A-Za-z{|}~])+"')
_LABEL = re.compile(r"[A-Za-z0-9\x80-\U0010ffff](?:[A-Za-z0-9\-\x80-\U0010ffff]{0,61}[A-Za-z0-9\x80-\U0010ffff])?")


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # blank, quoted, special, atom, comment
    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """What an address field says. `clean` when no other parser could reasonably read other mailboxes out of it."""

    addresses: tuple[Address, ...]
    clean: bool
    truncated: bool


def read_addresses(value: str) -> Listed:
    """The mailboxes of a raw field value (latin-1), groups opened, at most `ADDRESSES`."""
    return _remembered(value) if len(value) <= _REMEMBERED_CHARS else _read(value)


# Nothing at all and our own address are read several times a mail.
@lru_cache(maxsize=64)
def _remembered(value: str) -> Listed:
    return _read(value)


def _read(value: str) -> Listed:
    tokens, clean = _tokens(value)
    found: list[Address] = []
    element: list[Token] = []
    angle = False
    truncated = len(value) >= HEADER_LIST_CHARS or len(tokens) >= _TOKENS
    for token in [*tokens, Token("special", ",")]:
        mark = token.text if token.kind == "special" else ""
        if mark == "<" or mark == ">":
            angle = mark == "<"
        if not angle and mark in (",", ";"):
            address, sound = _mailbox(element)
            clean &= sound and mark == ","
            element = []
            if address is not None and len(found) >= ADDRESSES:
                truncated = True
                break
            if address is not None:
                found.append(address)
        elif not angle and mark == ":":
            clean = False  # a group, or rubbish; its name is dropped, its members are read
            element = []
        else:
            element.append(token)
    return Listed(tuple(found), clean and not truncated, truncated)


def _tokens(value: str) -> tuple[list[Token], bool]:
    """The tokens, comments as one each; False when a comment or a quoted string does not end."""
    tokens: list[Token] = []
    position, clean, pattern = 0, True, _TOKEN
    while position < len(value) and len(tokens) < _TOKENS:
        found = pattern.match(value, position)
        if found is None:
            break
        kind = found.lastgroup or "atom"
        text = found[0]
        position = found.end()
        if text == "(":
            close = _comment_end(value, position)
            clean &= close > 0
            close = close if close > 0 else len(value)
            kind, text = "comment", value[position : close - 1]
            position = close
        elif text in ('"', ")", "\\"):
            clean = False
            pattern = _UNQUOTED_TOKEN if text == '"' else pattern
        tokens.append(Token(kind, text))
    return tokens, clean


def _comment_end(value: str, position: int) -> int:
    """Behind the parenthesis that closes the comment whose inside begins at `position`; 0 when it stays open."""
    depth = 1
    while True:
        found = _COMMENT_PIECE.search(value, position)
        if found is None:
            return 0
        position = found.end()
        if found[0] == "\\":
            position += 1
        else:
            depth += 1 if found[0] == "(" else -1
            if depth == 0:
                return position


def _mailbox(element: list[Token]) -> tuple[Address | None, bool]:
    """The mailbox that the tokens between two commas make, and whether it is beyond doubt."""
    texts = [t.text if t.kind == "special" else "" for t in element]
    opened = texts.index("<") if "<" in texts else -1
    if opened >= 0:
        closed = texts.index(">", opened) if ">" in texts[opened:] else len(element)
        inside, before, after = element[opened + 1 : closed], element[:opened], element[closed + 1 :]
        sound = closed < len(element) and texts.count("<") == 1 and texts.count(">") == 1
        sound &= all(t.kind in ("blank", "comment") for t in after)
        sound &= not any(t.kind in ("blank", "comment") for t in inside)
    else:
        inside = [t for t in element if t.kind not in ("blank", "comment")]
        before, after = [], [t for t in element if t.kind == "comment"]
        sound = _unbroken(element)
    spec = _addr_spec("".join(t.text for t in inside))
    if spec is None:
        return None, False
    name, innocent = _display_name(before, after, spec)
    return Address(spec, name), bool(sound and innocent)


def _unbroken(element: list[Token]) -> bool:
    """No blank or comment within or before a bare address; behind it they may stand: `user@example.org (A Name)`."""
    kinds = [t.kind for t in element]
    while kinds and kinds[0] == "blank":
        kinds.pop(0)
    while kinds and kinds[-1] in ("blank", "comment"):
        kinds.pop()
    return "blank" not in kinds and "comment" not in kinds


def _display_name(before: list[Token], after: list[Token], spec: str) -> tuple[str, bool]:
    """The name for people, decoded; False when a careless parser could take part of it for an address."""
    innocent = True
    pieces: list[str] = []
    for n, token in enumerate(before):
        if token.kind == "quoted":
            pieces.append(_UNQUOTE.sub(r"\1", token.text[1:-1]))
        elif token.kind == "comment":
            # Clients write "Jane (via list) <...>", none begins with a comment.
            innocent &= any(t.kind in ("atom", "quoted") for t in before[:n])
            pieces.append(f"({token.text})")
        else:
            pieces.append(token.text)
    raw = "".join(pieces).strip()
    comments = [t.text for t in (*before, *after) if t.kind == "comment"]
    innocent &= not any(c in text for text in comments for c in "<>@,")
    bare = "".join(t.text for t in before if t.kind in ("special", "atom"))
    if "@" in bare or "\\" in bare:
        innocent &= bare.lower() == spec.lower() and not any(t.kind == "quoted" for t in before)
    if not raw and comments:
        raw = comments[-1]
    return harmless(decode_words(raw[: 8 * DISPLAY_NAME_CHARS])).strip()[:DISPLAY_NAME_CHARS], innocent


def _addr_spec(raw: str) -> str | None:
    """`local@domain`, the domain lower-cased, when both sides are sane (RFC 5322 §3.4.1, RFC 6532); else None."""
    if not raw.isascii():
        try:
            raw = raw.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return None
        if harmless(raw) != raw:
            return None
    # "=?" is legal in a local part and stands in none; some parsers decode it (espoofer A15).
    if len(raw) > ADDR_SPEC_CHARS or "=?" in raw or "?=" in raw:
        return None
    local, at, domain = raw.rpartition("@")
    if not at or not (_DOT_ATOM.fullmatch(local) or _QUOTED_LOCAL.fullmatch(local)):
        return None
    labels = domain.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return f"{local}@{domain.lower()}"
