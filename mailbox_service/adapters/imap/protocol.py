"""aioimaplib's protocol with its reading side replaced.

What aioimaplib 2.0.3 does with the bytes of a server is not fit for a daemon: it recurses once per line, formats
every chunk for a log nobody reads, deletes `* ` inside text, counts parentheses without regard to quoting, and
leaves commands waiting when the connection is lost. `data_received` is therefore ours, and everything behind it in
the base class (`_handle_responses`, `_handle_line`, `_untagged_response`, `_response_done`, `_continuation`,
`FetchCommand.wait_data`) is never reached. What we keep is its commands (with their check for CR, LF and NUL in
arguments), its tags and its way of sending. `tests/imap/test_pin.py` fails when a part we rely on changes.

One command runs at a time, so an answer can only belong to that command; anything else ends the connection.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable

from aioimaplib import aioimaplib

from mailbox_service.adapters.imap.answers import Fragments
from mailbox_service.errors import TemporaryError

# At DEBUG aioimaplib logs passwords and whole mails, so its loggers never go below WARNING, however the root
# logger is set.
for _name in ("aioimaplib", "aioimaplib.aioimaplib"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# A SEARCH answer over a million messages is 11 MB; nothing else we ask for has long lines.
MAX_LINE_BYTES = 16 << 20

# For everything that is no body: one SEARCH answer and some notices.
SMALL_ANSWER_BYTES = 24 << 20

_LITERAL = re.compile(rb"\{(\d{1,10})\}$")
_STATUS = re.compile(rb"^\* (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)
_EXISTS = re.compile(rb"^\* (\d{1,10}) EXISTS$", re.IGNORECASE)
_TAGGED = re.compile(rb"^([A-Za-z0-9]+) (OK|NO|BAD)(?: |$)", re.IGNORECASE)


class ConnectionLost(TemporaryError):
    """The connection is gone: closed by the server, broken, or ended by us because it could not be trusted."""


class AnswerTooLarge(ConnectionLost):
    """The server sent more than the command was allowed to bring in; the connection is ended."""


class Exchange(aioimaplib.Command):  # type: ignore[misc]
    """One command, and what the server said from its sending to its tagged answer.

    `pieces` are written one by one when the server asks for more (`+`): literals, SASL answers. A server that asks
    for more than there is gets `*`, which cancels an authentication (RFC 3501 §6.2.2).
    """

    def __init__(
        self,
        name: str,
        tag: str,
        *args: str,
        prefix: str = "",
        pieces: Iterable[bytes] = (),
        budget_bytes: int = SMALL_ANSWER_BYTES,
    ) -> None:
        super().__init__(name, tag, *args, prefix=prefix)
        self.pieces = deque(pieces)
        self.budget_bytes = budget_bytes
        self.responses: list[Fragments] = []
        self.result = ""  # OK, NO or BAD
        self.text = b""  # what stands behind it, response code first
        self.continued = asyncio.Event()  # the server said `+`, or the command is over

    def settle(self, result: str, text: bytes) -> None:
        self.result, self.text = result, text
        self.close(text, result)
        self.continued.set()

    def fail(self, error: Exception) -> None:
        self._exception = error
        self._event.set()
        self.continued.set()


class GuardedProtocol(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc]
    """The reading and the bookkeeping of one connection; linear in what comes in, bounded in what it holds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.greeting = asyncio.Event()  # set also when the connection is lost
        self.greeting_line = b""
        self.lost: ConnectionLost | None = None
        self.closed = asyncio.Event()  # the transport is gone, nothing more will be called
        self.exists = 0
        self.notices = 0  # EXISTS responses so far: RFC 3501 lets them come with any command
        self.news = asyncio.Event()  # an EXISTS came, or the connection is lost
        self.on_bytes: Callable[[], None] | None = None
        self._command: Exchange | None = None
        self._spent_bytes = 0
        self._line = bytearray()
        self._fragments: Fragments = []
        self._literal: list[bytes] = []
        self._literal_left = 0

    # --- commands --------------------------------------------------------------------------------------------

    def begin(self, command: Exchange) -> None:
        """Send `command`; its `wait()` ends with the tagged answer or raises ConnectionLost."""
        if self.lost is not None:
            raise self.lost
        if self._command is not None:
            raise RuntimeError("one command at a time")
        self._command = command
        self._spent_bytes = 0
        self.send(str(command))

    async def execute(self, command: Exchange, scrub: str | None = None) -> aioimaplib.Response:
        """Send `command` and wait for its answer; NO and BAD are answers too."""
        self.begin(command)
        await command.wait()
        return command.response

    def write(self, data: bytes) -> None:
        self.transport.write(data + b"\r\n")

    # --- the connection's life -------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(ConnectionLost("the IMAP connection was lost"))
        self.closed.set()

    def abort(self, error: ConnectionLost | None = None) -> None:
        """End the connection at once, without a word to the server; whoever waits gets ConnectionLost."""
        self._give_up(error or ConnectionLost("the IMAP connection was ended"))
        if self.transport is None:
            self.closed.set()
        else:
            self.transport.abort()

    def _give_up(self, error: ConnectionLost) -> None:
        if self.lost is None:
            self.lost = error
        if self._command is not None:
            command, self._command = self._command, None
            command.fail(self.lost)
        self.news.set()
        self.greeting.set()

    # --- reading ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.lost is not None:
            return
        if self.on_bytes is not None:
            self.on_bytes()
        self._spent_bytes += len(data)
        try:
            if self._spent_bytes > self._budget_bytes():
                raise AnswerTooLarge("the IMAP server sent more than was asked for")
            self._read(data)
        except ConnectionLost as error:
            self.abort(error)

    def _budget_bytes(self) -> int:
        return self._command.budget_bytes if self._command is not None else SMALL_ANSWER_BYTES

    def _read(self, data: bytes) -> None:
        position, end = 0, len(data)
        while position < end:
            if self._literal_left:
                piece = data[position : position + self._literal_left]
                self._literal.append(piece)
                self._literal_left -= len(piece)
                position += len(piece)
                if not self._literal_left:
                    self._fragments.append(b"".join(self._literal))
                    self._literal.clear()
                continue
            newline = data.find(b"\n", position)
            if newline < 0:
                self._line += data[position:]
                if len(self._line) > MAX_LINE_BYTES:
                    raise AnswerTooLarge("the IMAP server sent an endless line")
                return
            line = data[position:newline]
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            position = newline + 1
            self._take_line(line.removesuffix(b"\r"), more=position < end)

    def _take_line(self, line: bytes, *, more: bool) -> None:
        if not line and not self._fragments:
            return
        # A literal belongs to a data response; in the free text of a status response braces mean nothing.
        data_response = bool(self._fragments) or (line[:1] == b"*" and not _STATUS.match(line))
        self._fragments.append(line)
        if data_response and line[-1:] == b"}" and (match := _LITERAL.search(line)):
            self._literal_left = int(match.group(1))
            if self._literal_left > self._budget_bytes():
                raise AnswerTooLarge("the IMAP server announced more than was asked for")
            if not self._literal_left:
                self._fragments.append(b"")
            return
        response, self._fragments = self._fragments, []
        self._dispatch(response, more=more)

    def _dispatch(self, response: Fragments, *, more: bool) -> None:
        first = response[0]
        if not self.greeting_line:
            self.greeting_line = first
            self.greeting.set()
        elif first[:2] == b"* ":
            self._untagged(response)
        elif first[:1] == b"+":
            self._ask_for_more()
        elif match := _TAGGED.match(first):
            self._tagged(match.group(1), match.group(2), first[match.end() :], more=more)
        else:
            raise ConnectionLost("the IMAP server sent what is no response")

    def _untagged(self, response: Fragments) -> None:
        first = response[0]
        if match := _EXISTS.match(first):
            self.exists = int(match.group(1))
            self.notices += 1
            self.news.set()
        elif first[:6].upper() == b"* BYE ":
            # Before a LOGOUT's answer it is courtesy, else the end (RFC 3501 §7.1.5); some servers say it and stay.
            if self._command is None or self._command.name != "LOGOUT":
                raise ConnectionLost("the IMAP server said BYE")
        elif first[:13].upper() == b"* CAPABILITY ":
            self.capabilities = set(first[13:].decode("ascii", "replace").upper().split())
        if self._command is not None:
            self._command.responses.append(response)

    def _ask_for_more(self) -> None:
        if self._command is None:
            raise ConnectionLost("the IMAP server asked for more of no command")
        self._command.continued.set()
        if self._command.name == "IDLE":
            return
        self.write(self._command.pieces.popleft() if self._command.pieces else b"*")

    def _tagged(self, tag: bytes, result: bytes, text: bytes, *, more: bool) -> None:
        command = self._command
        if command is None or command.tag.encode() != tag:
            raise ConnectionLost("the IMAP server answered a command that does not run")
        if command.name == "STARTTLS" and result.upper() == b"OK":
            # What came in clear behind the OK was put there by somebody in between (CVE-2011-0411); what is still
            # on its way must be read by TLS, not by us.
            if more:
                raise ConnectionLost("the IMAP server sent data between STARTTLS and TLS")
            self.transport.pause_reading()
        self._command = None
        command.settle(result.decode("ascii").upper(), text)
