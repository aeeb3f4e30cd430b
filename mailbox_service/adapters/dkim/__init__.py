"""DKIM signatures verified by ourselves: `services.ports.Authenticator`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailbox_service.adapters.dkim.resolver import DnsKeyLookup
from mailbox_service.adapters.dkim.verification import refusal_of
from mailbox_service.core.dkim import Candidate, Refusal, candidates, outcome, read_key
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.core.message import ParsedMessage
from mailbox_service.errors import TemporaryError
from mailbox_service.services.ports import Clock, KeyLookup

__all__ = ["DkimAuthenticator", "DnsKeyLookup"]


class DkimAuthenticator:
    """Asks `keys` at most `core.dkim.SIGNATURES` times a mail, all at once. What takes long runs in threads."""

    def __init__(self, keys: KeyLookup, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def authenticate(self, message: ParsedMessage, raw: bytes) -> Authentication:
        """See `services.ports.Authenticator`. The time is that of now: a signature that has expired is no proof."""
        if message.from_ is None:
            return Authentication(AuthResult.FAIL, "", "no single clean From address")
        found = await asyncio.to_thread(candidates, raw, message.from_.domain, self._clock())
        tried = [one for one in found if isinstance(one, Candidate)]
        answers = await asyncio.gather(*(self._records(one.signature.key_name) for one in tried))
        verdicts: list[Refusal | None] = [one for one in found if isinstance(one, Refusal)]
        verdicts += await asyncio.to_thread(_verified, list(zip(tried, answers, strict=True)))
        return outcome(verdicts)

    async def _records(self, name: str) -> tuple[bytes, ...] | None:
        try:
            return await self._keys.text_records(name)
        except TemporaryError:
            return None


def _verified(answered: Sequence[tuple[Candidate, tuple[bytes, ...] | None]]) -> list[Refusal | None]:
    return [_verdict(candidate, records) for candidate, records in answered]


def _verdict(candidate: Candidate, records: tuple[bytes, ...] | None) -> Refusal | None:
    if records is None:
        return Refusal.UNAVAILABLE
    key = read_key(records, candidate.signature)
    return key if isinstance(key, Refusal) else refusal_of(key, candidate)
