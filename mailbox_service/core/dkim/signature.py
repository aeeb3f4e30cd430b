"""One DKIM-Signature field, read strictly (RFC 6376 §3.5, RFC 8301, RFC 8463)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailbox_service.core.dkim.canonical import canonical_field
from mailbox_service.core.dkim.header import Header
from mailbox_service.core.dkim.refusal import Refusal
from mailbox_service.core.dkim.tags import read_base64, read_tags, without_value
from mailbox_service.core.evidence import organisational_domain

FIELD = "dkim-signature"
# Real ones, with a list of sixty fields and a signature of 4096 bits, are below 2 KB.
FIELD_BYTES = 8 * 1024
SIGNED_FIELDS = 200
ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
# Clocks of mail servers are set by a time service; a minute off is much.
CLOCK_TOLERANCE = timedelta(minutes=10)
_CANONICAL = {"simple": False, "relaxed": True}
_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SELECTOR = re.compile(r"(?=.{1,180}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
_TIME = re.compile(r"[0-9]{1,12}")
_HASH_BYTES = 32
_MANDATORY = frozenset({"v", "a", "b", "bh", "d", "h", "s"})


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that might prove something, of which nothing has been checked yet."""

    position: int  # of its field in the header
    domain: str
    selector: str
    algorithm: str  # of its key: "rsa" or "ed25519"
    relaxed_header: bool
    relaxed_body: bool
    names: tuple[str, ...]  # of the signed fields
    body_digest: bytes
    signature: bytes
    signer: str  # the domain in i=, which is `domain` or below it

    @property
    def key_name(self) -> str:
        """Where its key is published (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def read_signature(header: Header, position: int, author_domain: str, now: datetime) -> Signature | Refusal:
    """The signature in the field at `position`; or why it can prove nothing of that domain, whatever its key."""
    value = header.fields[position].value
    tags = read_tags(value) if len(value) <= FIELD_BYTES else None
    if tags is None or not tags.keys() >= _MANDATORY or tags["v"] != "1":
        return Refusal.MALFORMED
    domain, selector = tags["d"].lower(), tags["s"].lower()
    if not _DOMAIN.fullmatch(domain) or not _SELECTOR.fullmatch(selector):
        return Refusal.MALFORMED
    if not is_aligned(domain, author_domain):
        return Refusal.FOREIGN
    refused = _policy(tags, now)
    if refused is not None:
        return refused
    canonical = _canonicalization(tags.get("c", "simple/simple"))
    body_digest, signature = read_base64(tags["bh"]), read_base64(tags["b"])
    _, at, signer = tags.get("i", f"@{domain}").lower().rpartition("@")
    if canonical is None or body_digest is None or len(body_digest) != _HASH_BYTES or not signature:
        return Refusal.MALFORMED
    if not at or not is_or_is_below(signer, domain) or "dns/txt" not in _listed(tags.get("q", "dns/txt")):
        return Refusal.MALFORMED
    return Signature(
        position=position,
        domain=domain,
        selector=selector,
        algorithm=ALGORITHMS[tags["a"]],
        relaxed_header=canonical[0],
        relaxed_body=canonical[1],
        names=_listed(tags["h"]),
        body_digest=body_digest,
        signature=signature,
        signer=signer,
    )


def _policy(tags: dict[str, str], now: datetime) -> Refusal | None:
    """Signatures that programs verify, and that we do not believe all the same."""
    if tags["a"] not in ALGORITHMS:
        return Refusal.ALGORITHM
    if "l" in tags:
        return Refusal.LENGTH
    names = _listed(tags["h"])
    if len(names) > SIGNED_FIELDS:
        return Refusal.MALFORMED
    if "from" not in names:
        return Refusal.FROM
    made, expires = tags.get("t", "0"), tags.get("x")
    if not _TIME.fullmatch(made) or (expires is not None and not _TIME.fullmatch(expires)):
        return Refusal.MALFORMED
    if int(made) > (now + CLOCK_TOLERANCE).timestamp():
        return Refusal.FUTURE
    if expires is not None and int(expires) <= max(now.timestamp(), int(made)):
        return Refusal.EXPIRED
    return None


def _canonicalization(value: str) -> tuple[bool, bool] | None:
    header, _, body = value.partition("/")
    if header not in _CANONICAL or (body or "simple") not in _CANONICAL:
        return None
    return _CANONICAL[header], _CANONICAL[body or "simple"]


def _listed(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(":"))


def is_or_is_below(domain: str, above: str) -> bool:
    """Is `domain` the domain `above`, or one below it?"""
    return domain == above or domain.endswith(f".{above}")


def is_aligned(signer: str, author_domain: str) -> bool:
    """May `signer` speak for `author_domain`? The domain itself may, and a domain above it that is no public suffix.

    Stricter than DMARC's relaxed mode, which also takes a domain below or beside it (docs/decisions/014-own-dkim.md).
    """
    if signer == author_domain:
        return True
    return is_or_is_below(author_domain, signer) and organisational_domain(signer) is not None


def signed_bytes(header: Header, signature: Signature) -> bytes:
    """What was signed: the named fields, of each name the lowest first, and the signature without its value."""
    below: dict[str, list[bytes]] = {}
    for i, field in enumerate(header.fields):
        if i != signature.position:
            below.setdefault(field.name, []).append(field.line)
    pieces = []
    for signed in signature.names:
        if lines := below.get(signed):
            pieces.append(canonical_field(lines.pop(), relaxed=signature.relaxed_header))
    own = header.fields[signature.position].line
    name, colon, value = own.partition(b":")
    bare = name + colon + without_value(value.removesuffix(b"\r\n"), b"b")
    pieces.append(canonical_field(bare + b"\r\n", relaxed=signature.relaxed_header).removesuffix(b"\r\n"))
    return b"".join(pieces)
