"""The history as it is seen on the wire. The daemon's own database has no say in it, except where it is asked from
outside whether something is committed at the very moment at which the server is told.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from tests.faults.proxy import Way

_SELECT = re.compile(rb"(?:SELECT|EXAMINE) \"?([^\"]*)\"?", re.IGNORECASE)
_TOLD = re.compile(rb"UID (STORE|MOVE|COPY|EXPUNGE) (\S+)", re.IGNORECASE)
_UIDVALIDITY = re.compile(rb"\[UIDVALIDITY (\d+)\]", re.IGNORECASE)
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_UID = re.compile(rb"\bUID (\d+)")

# (folder, UIDVALIDITY) -> UID -> digest of what is committed and finished.
Committed = Callable[[str, int], dict[int, str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message lies on the server."""

    folder: str
    uidvalidity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Told:
    """The server was told something about a message. `committed` is what was on file at that moment, if anything."""

    verb: str
    place: Place
    committed: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A mail that the submission server answered with 250."""

    recipient: str
    message_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Death:
    """A life of the daemon ended in an instant, or stood still for long: mails that this life had handed over and not
    recorded as sent."""

    unrecorded: frozenset[str]


@dataclass
class History:
    """What happened, told by those who watched from outside."""

    given: list[bytes] = field(default_factory=list)  # lay in the mailbox at any time
    offered: list[bytes] = field(default_factory=list)  # pushed at a door, whatever it answered
    promised: list[bytes] = field(default_factory=list)  # pushed at a door that answered 250
    fetched: dict[Place, str] = field(default_factory=dict)  # went over the wire whole -> digest
    told: list[Told] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)


@dataclass
class _Conversation:
    folder: str = ""
    asked: str = ""  # a SELECT that is not answered yet
    uidvalidity: int = 0
    command: bytes = b""
    response: bytearray = field(default_factory=bytearray)
    literal_left: int = 0
    literal: bytearray = field(default_factory=bytearray)


class ImapObserver:
    """A proxy.Listener that understands as much IMAP as the history needs."""

    def __init__(self, history: History, committed: Committed) -> None:
        self._history, self._committed = history, committed
        self._conversations: defaultdict[int, _Conversation] = defaultdict(_Conversation)

    def passes(self, connection: int, way: Way, data: bytes) -> None:
        """Commands are looked at before the server has them: then nothing of what they cause is committed yet."""
        if way is Way.TO_SERVER:
            one = self._conversations[connection]
            *lines, one.command = (one.command + data).split(b"\r\n")
            for line in lines:
                self._command(one, line)

    def passed(self, connection: int, way: Way, data: bytes) -> None:
        if way is Way.TO_CLIENT:
            self._response(self._conversations[connection], data)

    def _command(self, one: _Conversation, line: bytes) -> None:
        if match := _SELECT.search(line):
            one.folder, one.uidvalidity = match[1].decode(), 0
        elif match := _TOLD.search(line):
            committed = self._committed(one.folder, one.uidvalidity)
            for uid in _uids(match[2]):
                place = Place(one.folder, one.uidvalidity, uid)
                self._history.told.append(Told(match[1].decode().upper(), place, committed.get(uid)))

    def _response(self, one: _Conversation, data: bytes) -> None:
        while data:
            if one.literal_left:
                piece, data = data[: one.literal_left], data[one.literal_left :]
                one.literal += piece
                one.literal_left -= len(piece)
                continue
            line, newline, data = data.partition(b"\n")
            one.response += line + newline
            if newline:
                self._line(one)

    def _line(self, one: _Conversation) -> None:
        if match := _LITERAL.search(one.response):
            one.literal_left = int(match[1])
            return
        response, one.response = bytes(one.response), bytearray()
        body, one.literal = bytes(one.literal), bytearray()
        if match := _UIDVALIDITY.search(response):
            one.uidvalidity = int(match[1])
        elif b"BODY[] {" in response and (match := _UID.search(response)):
            place = Place(one.folder, one.uidvalidity, int(match[1]))
            self._history.fetched[place] = sha256(body).hexdigest()


def _uids(text: bytes) -> list[int]:
    found: list[int] = []
    for part in text.decode().split(","):
        low, _, high = part.partition(":")
        found += range(int(low), int(high or low) + 1)
    return found
