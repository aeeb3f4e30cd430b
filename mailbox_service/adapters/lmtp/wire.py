"""What a client sends, cut where RFC 5321 cuts it: at CRLF, and nowhere else.

A bare LF or CR neither ends a command nor begins or ends the line of a message, so that no two programs on a message's
way can disagree about where it ends (SMTP smuggling).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

CRLF = b"\r\n"
END_OF_DATA = b"\r\n.\r\n"
# RFC 5321 §4.5.3.1.4 asks for 512, the extensions of MAIL and addresses in UTF-8 for some hundred more.
COMMAND_BYTES = 2048
READ_BYTES = 64 * 1024


class Wire:
    """The reading side of a connection, in the place of the `StreamReader` that aiosmtpd reads commands from."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._ahead = bytearray()  # received, not asked for yet
        self._closed = False

    def close(self) -> None:
        """Nothing is read any more, not even what was received already."""
        self._closed = True
        self._ahead.clear()

    async def readuntil(self) -> bytes:
        """The next command line without its end; an empty one for a line that no client of good will sends.

        One longer than COMMAND_BYTES is longer than that here too, but never kept whole.
        Raises: ConnectionResetError.
        """
        seen = 0
        while (end := self._ahead.find(CRLF, max(seen - 1, 0))) < 0:
            if len(self._ahead) > COMMAND_BYTES:
                del self._ahead[COMMAND_BYTES + 1 : -1]  # the last byte may be the CR of its end
            seen = len(self._ahead)
            await self._more()
        line = bytes(self._ahead[:end])
        del self._ahead[: end + len(CRLF)]
        return b"" if any(odd in line for odd in (b"\r", b"\n", b"\0")) else line

    async def message(self) -> AsyncIterator[bytes]:
        """The message that follows DATA, piece by piece, without its transparent dots (RFC 5321 §4.5.2).

        It ends at CRLF.CRLF, or with a dot alone on its first line; what stands behind is left for `readuntil`.
        Raises: ConnectionResetError.
        """
        ahead = self._ahead
        # The CRLF that ended the DATA command stands before the first line (RFC 5321 §4.1.1.4). It is no part of it.
        ahead[:0] = CRLF
        foreign = len(CRLF)
        seen = 0
        while (end := ahead.find(END_OF_DATA, max(seen - len(END_OF_DATA), 0))) < 0:
            cut = _cut(ahead)
            if cut > foreign:
                piece = _without_dots(ahead[:cut])
                del ahead[:cut]
                yield piece[foreign:]
                foreign = 0
            seen = len(ahead)
            await self._more()
        piece = _without_dots(ahead[: end + len(CRLF)])
        del ahead[: end + len(END_OF_DATA)]
        yield piece[foreign:]

    async def _more(self) -> None:
        chunk = b"" if self._closed else await self._stream.read(READ_BYTES)
        if not chunk:
            raise ConnectionResetError("the client is gone")
        self._ahead += chunk


def _cut(ahead: bytearray) -> int:
    """Up to where `ahead` can be given out: no end of data, and no CRLF and dot, lies across."""
    cut = len(ahead) - len(END_OF_DATA)
    for back in (1, 2):
        if cut >= back and ahead[cut - back : cut - back + 3] == b"\r\n.":
            return cut - back
    return cut


def _without_dots(lines: bytearray) -> bytes:
    return bytes(lines).replace(b"\r\n.", CRLF)
