"""The record in which a signer publishes a key (RFC 6376 §3.6.1, RFC 8463)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailbox_service.core.dkim.refusal import Refusal
from mailbox_service.core.dkim.signature import Signature
from mailbox_service.core.dkim.tags import read_base64, read_tags

# A key of 4096 bits takes 740 characters.
RECORD_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key that is published for what `signature` used it for."""

    algorithm: str  # "rsa" or "ed25519"
    data: bytes  # DER for rsa, the 32 bytes themselves for ed25519


def read_key(records: Sequence[bytes], signature: Signature) -> PublishedKey | Refusal:
    """The key of `signature` in the TXT records of its name, each with its strings joined; or why there is none."""
    if not records:
        return Refusal.NO_KEY
    if len(records) > 1:
        return Refusal.SEVERAL_KEYS
    tags = read_tags(records[0]) if len(records[0]) <= RECORD_BYTES else None
    if tags is None or "p" not in tags or ("v" in tags and (next(iter(tags)), tags["v"]) != ("v", "DKIM1")):
        return Refusal.BAD_KEY
    if not tags["p"]:
        return Refusal.REVOKED
    flags = _listed(tags.get("t", ""))
    if "y" in flags:
        return Refusal.TEST
    if (
        tags.get("k", "rsa") != signature.algorithm
        or "sha256" not in _listed(tags.get("h", "sha256"))
        or not {"*", "email"} & set(_listed(tags.get("s", "*")))
        # Of RFC 4871, and ignored since RFC 6376: a key for some local parts only. Who wrote it meant it.
        or tags.get("g", "*") != "*"
        or ("s" in flags and signature.signer != signature.domain)
    ):
        return Refusal.UNFIT
    data = read_base64(tags["p"])
    return PublishedKey(signature.algorithm, data) if data else Refusal.BAD_KEY


def _listed(value: str) -> list[str]:
    return [word.strip() for word in value.split(":")]
