"""What DKIM signatures prove of who wrote a mail (RFC 6376): from bytes and facts to a decision.

No DNS and no cryptography here; `adapters/dkim` fetches keys and compares signatures.
Why it is our own, and stricter than DMARC: docs/decisions/014-own-dkim.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailbox_service.core.dkim.canonical import body_digest
from mailbox_service.core.dkim.header import split
from mailbox_service.core.dkim.key import RECORD_BYTES, PublishedKey, read_key
from mailbox_service.core.dkim.refusal import Refusal
from mailbox_service.core.dkim.signature import FIELD, Signature, read_signature, signed_bytes
from mailbox_service.core.evidence import Authentication, AuthResult

__all__ = [
    "RECORD_BYTES",
    "SIGNATURES",
    "Candidate",
    "PublishedKey",
    "Refusal",
    "Signature",
    "candidates",
    "outcome",
    "read_key",
]

# Mail providers sign twice, for themselves and for the customer, and some with two algorithms. Each costs a look-up.
SIGNATURES = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A signature that proves the author if its key fits it: the body has been compared already."""

    signature: Signature
    signed: bytes


def candidates(raw: bytes, author_domain: str, now: datetime) -> list[Candidate | Refusal]:
    """The signatures in `raw` by which `author_domain` may speak, the topmost first, and why others prove nothing.

    Never empty: a message without any says so. Total for any bytes, linear in time.
    """
    header = split(raw)
    if header is None or sum(field.name == "from" for field in header.fields) != 1:
        return [Refusal.HEADER]
    if header.repeated():
        return [Refusal.REPEATED]
    found: list[Candidate | Refusal] = []
    tried = 0
    digests: dict[bool, bytes] = {}
    for i, field in enumerate(header.fields):
        if field.name != FIELD or tried >= SIGNATURES:
            continue
        one = read_signature(header, i, author_domain, now)
        if isinstance(one, Refusal):
            found.append(one)
            continue
        tried += 1
        if one.relaxed_body not in digests:
            digests[one.relaxed_body] = body_digest(raw, header.body_start, relaxed=one.relaxed_body)
        fits = digests[one.relaxed_body] == one.body_digest
        found.append(Candidate(one, signed_bytes(header, one)) if fits else Refusal.BODY)
    return found or [Refusal.UNSIGNED]


def outcome(verdicts: Sequence[Refusal | None]) -> Authentication:
    """What all signatures together prove; None stands for one that was verified.

    A signature that fails is as good as none: mailing lists and gateways break them every day (RFC 6376 §6.1).
    """
    if None in verdicts:
        return Authentication(AuthResult.PASS, "dkim", "aligned DKIM signature verified by ourselves")
    refusals = [verdict for verdict in verdicts if verdict is not None]
    # Of several reasons the one that may pass, so that people know to wait; else what is wrong with the signature that
    # was made for this.
    order = (Refusal.UNAVAILABLE, *(r for r in refusals if r is not Refusal.FOREIGN), Refusal.FOREIGN)
    return Authentication(AuthResult.NONE, "", next(r for r in order if r in refusals).value)
