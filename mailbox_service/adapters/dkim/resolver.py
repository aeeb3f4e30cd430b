"""Keys from the DNS: `services.ports.KeyLookup`, by dnspython."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from mailbox_service.core.dkim import RECORD_BYTES
from mailbox_service.errors import TemporaryError

if TYPE_CHECKING:
    import dns.asyncresolver

log = structlog.get_logger()

# For one name, all name servers and repetitions included. A resolver with an empty cache takes a second or two.
DEADLINE_SECONDS = 5.0
# For one question to one name server: two can be asked, or one twice, before the deadline.
ATTEMPT_SECONDS = 2.0
# A key that was revoked is not believed for longer, whatever lifetime the signer gave it.
LONGEST_LIFETIME_SECONDS = 3600.0
CACHED_NAMES = 1_000  # at most RECORDS of RECORD_BYTES each: 8 MB where all are hostile, some 500 kB else
# A name with more than one has no usable key; how many more there are matters to nobody.
RECORDS = 2


class DnsKeyLookup:
    """Asks the name servers given as addresses with their ports, or those of the system, and keeps what they said."""

    def __init__(
        self, nameservers: Sequence[tuple[str, int]] = (), *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._nameservers = tuple(nameservers)
        self._deadline_seconds = deadline_seconds
        self._kept: OrderedDict[str, tuple[float, tuple[bytes, ...]]] = OrderedDict()

    async def text_records(self, name: str) -> tuple[bytes, ...]:
        """See `services.ports.KeyLookup`. No record is longer than RECORD_BYTES + 1, and only the first two are given.

        Names that do not exist are asked for each time: a name server near by remembers them better.
        """
        now = _now()
        until, records = self._kept.get(name, (0.0, ()))
        if now < until:
            return records
        # Loaded with the first signature that needs it.
        import dns.exception

        try:
            async with asyncio.timeout(self._deadline_seconds):
                records, lifetime = await self._ask(name)
        except (dns.exception.DNSException, OSError, TimeoutError) as error:
            log.warning("no answer from the DNS", error_type=type(error).__name__)
            raise TemporaryError(f"no answer from the DNS ({type(error).__name__})") from error
        if records:
            self._keep(name, now + min(lifetime, LONGEST_LIFETIME_SECONDS), records)
        return records

    async def _ask(self, name: str) -> tuple[tuple[bytes, ...], float]:
        """The records and for how many seconds they hold. Raises: DNSException, OSError."""
        import dns.name
        import dns.resolver

        try:
            absolute = dns.name.from_text(name)
        except dns.exception.DNSException:
            return (), 0.0  # a name that is too long, for instance: nobody can have published anything there
        try:
            answer = await self._resolver().resolve(absolute, "TXT", raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return (), 0.0
        if answer.rrset is None:
            return (), 0.0
        records = tuple(b"".join(data.strings)[: RECORD_BYTES + 1] for data in list(answer.rrset)[:RECORDS])
        return records, float(answer.chaining_result.minimum_ttl)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Made anew for each question, so that a changed /etc/resolv.conf needs no restart. Raises: DNSException."""
        import dns.asyncresolver
        import dns.nameserver

        resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
        if self._nameservers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in self._nameservers]
        resolver.timeout = min(ATTEMPT_SECONDS, self._deadline_seconds)
        resolver.lifetime = self._deadline_seconds
        return resolver

    def _keep(self, name: str, until: float, records: tuple[bytes, ...]) -> None:
        self._kept[name] = (until, records)
        self._kept.move_to_end(name)
        while len(self._kept) > CACHED_NAMES:
            self._kept.popitem(last=False)


def _now() -> float:
    return asyncio.get_running_loop().time()
