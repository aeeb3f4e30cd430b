"""A web address that is sent each change of an alarm as JSON.

A POST whose answer's body does not matter needs no HTTP library, and so there is no redirect, cookie, proxy or
compression that would have to be switched off (docs/decisions/008-silent-deafness.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from mailbox_service import __version__
from mailbox_service.adapters.alarms.facts import facts
from mailbox_service.errors import MailboxServiceError, PermanentError, TemporaryError
from mailbox_service.services.alarms import AlarmNotice

# The status line and headers of an answer; the body is not read.
ANSWER_BYTES = 64 * 1024
TRIES = 4
FIRST_PAUSE_SECONDS = 2.0  # then doubled: 14 s in all, longer than a restart of the receiver
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")


@dataclass(frozen=True, slots=True)
class WebhookAccount:
    """Where to, and with which token."""

    url: str  # https, or http on loopback
    deadline_seconds: float  # of one attempt, from connecting to the answer's headers
    token: Callable[[], str] | None = None  # called before each attempt, so that a rotated one works at once
    ca_file: str | None = None  # PEM; the system's authorities when None


class WebhookChannel:
    """POSTs to one address. Redirects are not followed: the token and the facts go where they were sent."""

    name = "webhook"

    def __init__(self, account: WebhookAccount, *, first_pause_seconds: float = FIRST_PAUSE_SECONDS) -> None:
        self._account, self._first_pause_seconds = account, first_pause_seconds

    async def tell(self, notice: AlarmNotice) -> None:
        """Returns when the receiver answered 2xx; tries again what may pass.

        Raises: PermanentError for a redirect or another refusal; TemporaryError after the last try.
        """
        body = json.dumps(facts(notice)).encode()
        for attempt in range(1, TRIES + 1):
            try:
                await self._post(body)
                return
            except TemporaryError:
                if attempt == TRIES:
                    raise
            await asyncio.sleep(self._first_pause_seconds * 2 ** (attempt - 1))

    async def _post(self, body: bytes) -> None:
        seconds = self._account.deadline_seconds
        try:
            async with asyncio.timeout(seconds):
                status = await self._exchange(body)
        except TimeoutError as error:
            raise TemporaryError(f"the webhook did not answer within {seconds:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise PermanentError(f"the webhook's certificate is not valid: {error.verify_message}") from error
        except (OSError, EOFError) as error:
            raise TemporaryError(f"no connection to the webhook: {type(error).__name__}") from error
        if 200 <= status < 300:
            return
        kind: type[MailboxServiceError] = TemporaryError if status >= 500 or status in (408, 429) else PermanentError
        raise kind(f"the webhook answered {status}")

    async def _exchange(self, body: bytes) -> int:
        parts = urlsplit(self._account.url)
        secure = parts.scheme == "https"
        context = ssl.create_default_context(cafile=self._account.ca_file) if secure else None
        port = parts.port or (443 if secure else 80)
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context, limit=ANSWER_BYTES)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            host = parts.netloc.rpartition("@")[2]
            headers = [f"POST {target} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
            headers += [f"Content-Length: {len(body)}", f"User-Agent: mailbox-service/{__version__}"]
            if self._account.token is not None:
                headers.append(f"Authorization: Bearer {self._account.token()}")
            headers += ["Connection: close", "", ""]
            writer.write("\r\n".join(headers).encode() + body)
            await writer.drain()
            return await _status(reader)
        finally:
            # At once: a polite TLS goodbye would wait for the receiver's.
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _status(reader: asyncio.StreamReader) -> int:
    """The final status. Raises: TemporaryError for what is no HTTP."""
    while True:
        try:
            line = await reader.readline()
        except ValueError as error:  # longer than ANSWER_BYTES
            raise TemporaryError("the webhook answered no HTTP") from error
        match = _STATUS.match(line)
        if match is None:
            raise TemporaryError("the webhook answered no HTTP" if line else "the webhook closed without an answer")
        status = int(match[1])
        if status >= 200 or status == 101:
            return status
        while (await reader.readline()).strip():  # an interim answer (RFC 9110 §15.2) ends with a blank line
            pass
