"""Unguessable, deterministic names: Message-IDs of what we send, the loop marker, and the token of a canary.

A Message-ID of ours is a token: 128 bits of HMAC-SHA-256 over instance, cause, kind
and recipient of its outbox row. The same row always gets the same one, whenever and wherever it is computed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

TOKEN_BYTES = 16  # 128 bits: nobody guesses one, and a Message-ID stays below 78 columns


@dataclass(frozen=True, slots=True)
class TokenKey:
    """The newest secret of the host and its generation number."""

    generation: int
    secret: bytes


def message_id(key: TokenKey, *, cause: str, kind: str, recipient: str, domain: str) -> str:
    """`<generation.token@domain>` (RFC 5322 §3.6.4) of the outbox row that the four values identify."""
    return f"<{key.generation}.{_token(key.secret, 'message-id', cause, kind, recipient.lower())}@{domain}>"


def loop_marker(key: TokenKey, address: str) -> str:
    """The value of our loop header for one mailbox; only we can make it."""
    return _token(key.secret, "loop", address.lower())


_CANARY = re.compile(r"\bcanary-([0-9]{8}T[0-9]{12})-([0-9a-f]{32})\b", re.ASCII)


def canary(key: TokenKey, address: str, stamp: str) -> str:
    """The token of the canary that the mailbox `address` made at `stamp`; only we can make it."""
    return f"canary-{stamp}-{_token(key.secret, 'canary', address.lower(), stamp)}"


def canary_stamp(key: TokenKey, address: str, text: str) -> str | None:
    """The stamp of the canary of `address` whose token stands in `text`; None where none of ours does."""
    found = _CANARY.search(text)
    if found is None or not hmac.compare_digest(found[0], canary(key, address, found[1])):
        return None
    return found[1]


def _token(secret: bytes, *fields: str) -> str:
    # Each field is length-prefixed, so that no two lists of fields run together into the same bytes.
    data = b"".join(len(f.encode()).to_bytes(4, "big") + f.encode() for f in fields)
    return hmac.new(secret, data, hashlib.sha256).digest()[:TOKEN_BYTES].hex()
