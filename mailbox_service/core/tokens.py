"""Unguessable, deterministic names: Message-IDs of what we send, the loop marker, the tokens of canaries and bounces.

A Message-ID of ours is a token: 128 bits of HMAC-SHA-256 over instance, cause, kind
and recipient of its outbox row. The same row always gets the same one, whenever and wherever it is computed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

TOKEN_BYTES = 16  # 128 bits: nobody guesses one, and a Message-ID stays below 78 columns
# 100 bits in the alphabet of base32, for a local part of 64 octets (RFC 5321 §4.5.3.1.1) whose case may get lost.
SHORT_TOKEN_CHARS = 20


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What makes our names: the newest secret of the host, bound to one database, and its generation number."""

    generation: int
    secret: bytes
    # Of older generations, and of the database before it was restored: they verify, and sign nothing.
    former: tuple[bytes, ...] = ()


def message_id(key: TokenKey, *, cause: str, kind: str, recipient: str, domain: str) -> str:
    """`<generation.token@domain>` (RFC 5322 §3.6.4) of the outbox row that the four values identify."""
    return f"<{key.generation}.{_token(key.secret, 'message-id', cause, kind, recipient.lower())}@{domain}>"


_OURS = re.compile(r"<[0-9]{1,9}\.[0-9a-f]{32}@([^>]+)>", re.ASCII)


def may_be_ours(message_id: str, domain: str) -> bool:
    """Whether a Message-ID has the form of ours for `domain`; whether we made it only the outbox knows."""
    found = _OURS.fullmatch(message_id)
    return found is not None and found[1].lower() == domain.lower()


def loop_marker(key: TokenKey, address: str) -> str:
    """The value of our loop header for one mailbox; only we can make it."""
    return _token(key.secret, "loop", address.lower())


_CANARY = re.compile(r"\bcanary-([0-9]{8}T[0-9]{12})-([0-9a-f]{32})\b", re.ASCII)


def canary(key: TokenKey, address: str, stamp: str) -> str:
    """The token of the canary that the mailbox `address` made at `stamp`; only we can make it."""
    return _canary(key.secret, address, stamp)


def canary_stamp(key: TokenKey, address: str, text: str) -> str | None:
    """The stamp of the canary of `address` whose token stands in `text`; None where none of ours does."""
    found = _CANARY.search(text)
    if found is None:
        return None
    made = (_canary(secret, address, found[1]) for secret in (key.secret, *key.former))
    return found[1] if any(hmac.compare_digest(found[0], one) for one in made) else None


def _canary(secret: bytes, address: str, stamp: str) -> str:
    return f"canary-{stamp}-{_token(secret, 'canary', address.lower(), stamp)}"


def is_loop_marker(key: TokenKey, value: str, address: str) -> bool:
    """Whether the value of a loop header begins with our marker for the mailbox, whenever it was made."""
    return any(value.startswith(_token(secret, "loop", address.lower())) for secret in (key.secret, *key.former))


def bounce_token(key: TokenKey, *, mailbox: str, row: int, message_id: str, use: str = "bounce") -> str:
    """`SHORT_TOKEN_CHARS` of `a` to `z` and `2` to `7`, to stand in an address of one row of the outbox.

    `use` is what the address is for: "bounce" for the envelope sender, "reply" for the Reply-To.
    """
    return _bounce_token(key.secret, mailbox, row, message_id, use)


def is_bounce_token(key: TokenKey, token: str, *, mailbox: str, row: int, message_id: str, use: str = "bounce") -> bool:
    """Whether we made the token for this very row and use, with whatever secret."""
    made = (_bounce_token(secret, mailbox, row, message_id, use) for secret in (key.secret, *key.former))
    return any(hmac.compare_digest(token, one) for one in made)


def _bounce_token(secret: bytes, mailbox: str, row: int, message_id: str, use: str) -> str:
    digest = _digest(secret, use, mailbox, str(row), message_id)
    return base64.b32encode(digest).decode().lower()[:SHORT_TOKEN_CHARS]


def _token(secret: bytes, *fields: str) -> str:
    return _digest(secret, *fields)[:TOKEN_BYTES].hex()


def _digest(secret: bytes, *fields: str) -> bytes:
    # Each field is length-prefixed, so that no two lists of fields run together into the same bytes.
    data = b"".join(len(f.encode()).to_bytes(4, "big") + f.encode() for f in fields)
    return hmac.new(secret, data, hashlib.sha256).digest()
