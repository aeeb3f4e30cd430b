"""Unguessable, deterministic names: Message-IDs of what we send, and the loop marker.

A Message-ID of ours is a token: 128 bits of HMAC-SHA-256 over instance, cause, kind
and recipient of its outbox row. The same row always gets the same one, whenever and wherever it is computed.
"""

from __future__ import annotations

import hashlib
import hmac
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


def _token(secret: bytes, *fields: str) -> str:
    # Each field is length-prefixed, so that no two lists of fields run together into the same bytes.
    data = b"".join(len(f.encode()).to_bytes(4, "big") + f.encode() for f in fields)
    return hmac.new(secret, data, hashlib.sha256).digest()[:TOKEN_BYTES].hex()
