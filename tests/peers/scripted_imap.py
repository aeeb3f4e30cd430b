"""A small IMAP server that misbehaves where it is told to; for what a real server does not do on demand.

    async with ScriptedImap({1: b"Subject: x\\r\\n\\r\\n"}) as server:
        server.script["UID FETCH"] = lambda line: line.send(b"* 1 FETCH (UID 1 BODY[] NIL)").ok()

A script gets the command line and returns whether it was answered; where it returns False the usual answer follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CAPABILITIES = "IMAP4rev1 AUTH=PLAIN SASL-IR IDLE UIDPLUS MOVE NAMESPACE"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass(slots=True)
class Line:
    """One command as it came in."""

    server: ScriptedImap
    connection: Connection
    tag: str
    name: str  # "SELECT", "UID FETCH" ...
    rest: str

    def send(self, *lines: bytes) -> Self:
        for line in lines:
            self.connection.writer.write(line + b"\r\n")
        return self

    def raw(self, data: bytes) -> Self:
        self.connection.writer.write(data)
        return self

    def ok(self, text: str = "done") -> bool:
        return self._finish("OK", text)

    def no(self, text: str = "no") -> bool:
        return self._finish("NO", text)

    def bad(self, text: str = "bad") -> bool:
        return self._finish("BAD", text)

    def _finish(self, result: str, text: str) -> bool:
        self.send(f"{self.tag} {result} {text}".encode())
        return True

    def hang(self) -> bool:
        """Never answer."""
        return True

    def drop(self) -> bool:
        """Close the connection instead of an answer, after what was sent so far."""
        self.connection.writer.close()
        return True

    def uids(self) -> list[int]:
        """The UIDs of the mail that the command names, ascending."""
        found: set[int] = set()
        for part in self.rest.removeprefix("UID ").split(" ")[0].split(","):
            low, _, high = part.partition(":")
            if not low.isdigit():
                continue
            highest = max(self.server.mail, default=0)
            ends = int(low), highest if high == "*" else int(high or low)  # RFC 3501 §9: in either order
            found |= {uid for uid in self.server.mail if min(ends) <= uid <= max(ends)}
        return sorted(found)


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.idle_tag = ""


Script = Callable[[Line], bool]


class ScriptedImap:
    """One folder, INBOX, with `mail`. Everything may be changed while it runs."""

    def __init__(self, mail: dict[int, bytes] | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.mail = dict(mail or {})
        self.uidvalidity = 1
        self.capabilities = CAPABILITIES
        self.greeting = b"* OK ready"
        self.script: dict[str, Script] = {}
        self.commands: list[str] = []  # "NAME rest" of all connections
        self.connections: list[Connection] = []
        self.port = 0
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for _ in range(10):  # whoever was just accepted gets as far as its first line, else nobody would close it
            await asyncio.sleep(0)
        self.drop_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            with contextlib.suppress(ConnectionError):
                await connection.writer.wait_closed()

    def drop_all(self) -> None:
        """Close every connection."""
        for connection in self.connections:
            connection.writer.close()

    def tell(self, line: bytes) -> None:
        """Say something of one's own accord on every open connection."""
        for connection in self.connections:
            if not connection.writer.is_closing():
                connection.writer.write(line + b"\r\n")

    def count(self, name: str) -> int:
        """How often command `name` came in."""
        return sum(command.startswith(name) for command in self.commands)

    async def until(self, done: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until `done()`, looked at after every command."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(done)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(reader, writer)
        self.connections.append(connection)
        try:
            writer.write(self.greeting + b"\r\n")
            while line := await reader.readline():
                await self._take(connection, line.decode().rstrip("\r\n"))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _take(self, connection: Connection, text: str) -> None:
        if text == "DONE":
            line = Line(self, connection, connection.idle_tag, "DONE", "")
        else:
            tag, _, rest = text.partition(" ")
            name, _, rest = rest.partition(" ")
            if name.upper() == "UID":
                verb, _, rest = rest.partition(" ")
                name = f"UID {verb}"
            line = Line(self, connection, tag, name.upper(), rest)
        script = self.script.get(line.name)
        if script is None or not script(line):
            self._usual(line)
        # A test that waits for a command must find it answered.
        async with self._changed:
            self.commands.append(f"{line.name} {line.rest}".rstrip())
            self._changed.notify_all()

    def _usual(self, line: Line) -> None:
        uids = ",".join(map(str, line.uids())) if line.name.startswith("UID ") else ""
        plain = {
            "CAPABILITY": f"* CAPABILITY {self.capabilities}",
            "LIST": '* LIST () "/" INBOX',
            "NAMESPACE": '* NAMESPACE (("" "/")) NIL NIL',
            "UID SEARCH": f"* SEARCH {uids.replace(',', ' ')}".rstrip(),
            "LOGOUT": "* BYE",
        }
        if line.name in plain:
            line.send(plain[line.name].encode())
        elif line.name in ("SELECT", "EXAMINE"):
            line.send(
                b"* %d EXISTS" % len(self.mail),
                b"* OK [UIDVALIDITY %d] ok" % self.uidvalidity,
                b"* OK [UIDNEXT %d] ok" % (max(self.mail, default=0) + 1),
            )
        elif line.name == "UID FETCH":
            self._fetch(line)
        elif line.name in ("UID MOVE", "UID COPY") and uids:
            line.send(f"* OK [COPYUID 9 {uids} {uids}] moved".encode())
        if line.name in ("UID MOVE", "UID EXPUNGE"):
            for uid in line.uids():
                del self.mail[uid]
        if line.name == "IDLE":
            line.connection.idle_tag = line.tag
            line.send(b"+ idling")
        else:
            line.ok()

    def _fetch(self, line: Line) -> None:
        order = sorted(self.mail)
        for uid in line.uids():
            number, data = order.index(uid) + 1, self.mail[uid]
            facts = b'RFC822.SIZE %d INTERNALDATE "23-Nov-2026 10:00:00 +0100"' % len(data)
            sized = "RFC822.SIZE" in line.rest
            if part := re.search(r"BODY\.PEEK\[(\w*)\]<(\d+)\.(\d+)>", line.rest):
                section, offset, length = part[1].encode(), int(part[2]), int(part[3])
                whole = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if section else data
                item = b"BODY[%s]<%d>" % (section, offset)
                item = facts + b" " + item if sized else item
                self.body(line, number, uid, whole[offset : offset + length], item)
            elif sized:
                line.send(b"* %d FETCH (UID %d %b)" % (number, uid, facts))
            else:
                self.body(line, number, uid, data)

    @staticmethod
    def body(line: Line, number: int, uid: int, data: bytes, item: bytes = b"BODY[]") -> None:
        """Send one message as a literal."""
        line.raw(b"* %d FETCH (UID %d %s {%d}\r\n%b)\r\n" % (number, uid, item, len(data), data))
