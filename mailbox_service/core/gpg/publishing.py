"""Where and how a public key is published: WKD (draft-koch-openpgp-webkey-service) and Autocrypt headers."""

from __future__ import annotations

import base64
import hashlib

_ZBASE32 = "ybndrfg8ejkmcpqxot1uwisza345h769"  # RFC 6189 §5.1.6
_LINE_CHARS = 76


def zbase32(data: bytes) -> str:
    """`data`, whose length must be a multiple of five bytes, in z-base-32."""
    number = int.from_bytes(data, "big")
    count = len(data) * 8 // 5
    return "".join(_ZBASE32[number >> 5 * (count - 1 - at) & 31] for at in range(count))


def wkd_paths(address: str) -> tuple[str, str]:
    """Where a web server of the domain has to offer the key of an address: by the advanced and by the direct method,
    without the scheme."""
    local, _, domain = address.rpartition("@")
    domain = domain.lower()
    # §3.1: only the mapping to lower case, of ASCII alone; SHA-1 is no protection here but a name.
    name = zbase32(hashlib.sha1(_ascii_lower(local).encode(), usedforsecurity=False).digest())
    return (
        f"openpgpkey.{domain}/.well-known/openpgpkey/{domain}/hu/{name}",
        f"{domain}/.well-known/openpgpkey/hu/{name}",
    )


def _ascii_lower(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def autocrypt_header(address: str, key: bytes) -> str:
    """The header field of Autocrypt 1.1 for a minimal binary key, folded, lines ended by CRLF."""
    data = base64.b64encode(key).decode("ascii")
    lines = [data[at : at + _LINE_CHARS] for at in range(0, len(data), _LINE_CHARS)]
    head = f"Autocrypt: addr={address}; prefer-encrypt=mutual; keydata="
    return "\r\n ".join([head, *lines]) + "\r\n"
