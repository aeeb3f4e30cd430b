"""The keyed addresses of each outgoing mail: its envelope sender (VERP) names the mail that a bounce is about, its
Reply-To the mail that a person answers, for clients and ticket systems that name no Message-ID.

A pattern such as `security+{token}@example.org` is filled with `b<row>.<mac>`; for answers with `r<row>.<mac>`, or with
`a<row>.<mac>` for those that go on to the reporter. The MAC is bound to the use, the mailbox, the row and the row's
Message-ID, which itself is bound to cause, kind and recipient: a token says nothing of any other row, not even where a
restored database numbers its rows again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from mailbox_service.core import tokens
from mailbox_service.core.tokens import TokenKey

PLACEHOLDER = "{token}"
# A mail that comes back has been through few addresses; more in its header is not for us to try.
TOKENS = 5
# Twelve digits of a row: a mail every millisecond for thirty years.
LONGEST_TOKEN = "b" + "9" * 12 + "." + "a" * tokens.SHORT_TOKEN_CHARS


@dataclass(frozen=True, slots=True)
class BounceToken:
    """What an address claims; nothing is proven before `is_of` says so."""

    row: int
    mac: str


def bounce_address(pattern: str, key: TokenKey, *, mailbox: str, row: int, message_id: str) -> str:
    """The envelope sender of one row; a pattern without a placeholder is the same address for all."""
    mac = tokens.bounce_token(key, mailbox=mailbox, row=row, message_id=message_id)
    return pattern.replace(PLACEHOLDER, f"b{row}.{mac}")


def bounce_tokens(pattern: str, addresses: Iterable[str]) -> tuple[BounceToken, ...]:
    """The tokens in those of `addresses` that have the form of the pattern, whatever case servers made of them."""
    return _tokens(pattern, addresses, "b")


def is_of(token: BounceToken, key: TokenKey, *, mailbox: str, message_id: str) -> bool:
    """Whether we made the token for the row of that Message-ID."""
    return tokens.is_bounce_token(key, token.mac, mailbox=mailbox, row=token.row, message_id=message_id)


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """What an address that people write to claims; nothing is proven before `is_reply_to` says so.

    `outward`: it is the address that answers the reporter, where the other one answers whoever wrote the mail.
    """

    row: int
    mac: str
    outward: bool


def reply_address(
    pattern: str, key: TokenKey, *, mailbox: str, row: int, message_id: str, outward: bool = False
) -> str:
    """The Reply-To of one row, or the address that answers the reporter of its case."""
    mac = tokens.bounce_token(key, mailbox=mailbox, row=row, message_id=message_id, use=_use(outward))
    return pattern.replace(PLACEHOLDER, f"{'a' if outward else 'r'}{row}.{mac}")


def reply_tokens(pattern: str | None, addresses: Iterable[str]) -> tuple[ReplyToken, ...]:
    """As `bounce_tokens`, of addresses that answers come to."""
    found = ((letter, token) for letter in ("r", "a") for token in _tokens(pattern or "", addresses, letter))
    return tuple(ReplyToken(token.row, token.mac, letter == "a") for letter, token in found)


def is_reply_to(token: ReplyToken, key: TokenKey, *, mailbox: str, message_id: str) -> bool:
    """Whether we made the token for answers to the row of that Message-ID."""
    use = _use(token.outward)
    return tokens.is_bounce_token(key, token.mac, mailbox=mailbox, row=token.row, message_id=message_id, use=use)


def _use(outward: bool) -> str:
    return "answer" if outward else "reply"


def _tokens(pattern: str, addresses: Iterable[str], letter: str) -> tuple[BounceToken, ...]:
    if PLACEHOLDER not in pattern:
        return ()
    form = _form(pattern, letter)
    found = (form.fullmatch(address.strip().strip("<>").lower()) for address in addresses)
    return tuple(dict.fromkeys(BounceToken(int(one[1]), one[2]) for one in found if one))[:TOKENS]


@lru_cache(maxsize=64)
def _form(pattern: str, letter: str) -> re.Pattern[str]:
    before, _, after = pattern.lower().partition(PLACEHOLDER)
    token = rf"{letter}([1-9][0-9]{{0,11}})\.([a-z2-7]{{{tokens.SHORT_TOKEN_CHARS}}})"
    return re.compile(re.escape(before) + token + re.escape(after), re.ASCII)
