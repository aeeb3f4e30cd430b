"""Points in the life of a process at which it can be killed, stopped or made to fail; put there from outside.

What a killed process leaves behind is what it has done to the outside: to the database, to sockets and to files.
Between two such deeds it makes no difference where it dies. So a point lies before and after each SQL statement that
writes, each commit and each protocol write, and before each SELECT, each read from a socket, each write and fsync of
SQLite's files and each opening of a file for writing.

A point has a name, and is reached for the n-th time: ("after commit T3", 1). Names come from the wire and from SQL,
not from our own functions, so that they outlive a change of those.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
from asyncio import selector_events
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.default import DefaultDialect

from tests.faults.sqlite_files import SQLITE_FULL, SQLITE_IOERR_FSYNC, FileCall, watch_files

# What the statement does that gives a transaction its name. The first match counts.
_STEPS = (
    ("T1", re.compile(r"INSERT INTO message ")),
    ("T2", re.compile(r"UPDATE message SET .*\battempts ?=")),
    ("T3", re.compile(r"UPDATE message SET .*\bdisposition ?=")),
    ("T4", re.compile(r"UPDATE outbound SET .*\battempts ?=")),
    ("T5", re.compile(r"INSERT INTO outbound_chunk ")),
    ("T6", re.compile(r"UPDATE outbound SET .*\blast_reply ?=")),
    ("MARKED", re.compile(r"UPDATE source SET .*\bmark_attempts ?=")),
    ("MARKING", re.compile(r"UPDATE source SET .*\bmark_owner ?=")),
)
_VERB = re.compile(r"\s*(INSERT|UPDATE|DELETE|SELECT|BEGIN|WITH|PRAGMA)\b", re.IGNORECASE)
_TABLE = re.compile(r"\b(?:INTO|UPDATE|FROM) (\w+)")
_SMTP_VERBS = frozenset({"EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT", "AUTH"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens when the point `name` (ANY: whichever) is reached for the `nth` time, `times` times from then on.

    `do`: kill, stop (SIGSTOP; whoever watches may do anything meanwhile), term (SIGTERM), jump (the clock, by
    `seconds`), full (no space left, or an fsync that fails), nothing.
    """

    do: str
    name: str
    nth: int = 1
    times: int = 1
    seconds: float = 0.0

    def covers(self, name: str, number: int) -> bool:
        return name == self.name and self.nth <= number < self.nth + self.times


# A name that every point bears: ("*", 200) is the 200th point of a life.
ANY = "*"


class FailPoints:
    """Counts the points of this process. `jump` moves its clock, `trace` hears the name of each point."""

    def __init__(self, faults: Sequence[Fault], jump: Callable[[float], None], trace: Callable[[str], None]) -> None:
        self._faults, self._jump, self._trace = faults, jump, trace
        self._reached: Counter[str] = Counter()
        self._one_at_a_time = threading.RLock()

    def reach(self, name: str) -> str:
        """Do what is to be done here. Returns the name of a deed that the caller has to do: full, or nothing."""
        with self._one_at_a_time:
            self._reached.update((name, ANY))
            self._trace(name)
            fault = next((f for f in self._faults for n in (name, ANY) if f.covers(n, self._reached[n])), None)
            if fault is None:
                return ""
            # To this very thread: it goes no further before the signal has come.
            if fault.do in ("kill", "stop"):
                how = signal.SIGKILL if fault.do == "kill" else signal.SIGSTOP
                signal.pthread_kill(threading.get_ident(), how)
            if fault.do == "term":
                os.kill(os.getpid(), signal.SIGTERM)
            if fault.seconds:
                self._jump(fault.seconds)
            return fault.do if fault.do == "full" else ""


def install(
    points: FailPoints, ports: dict[str, str], folder: Path, heard: Callable[[FileCall], None] = lambda _: None
) -> None:
    """Put `points` around SQL, sockets and files below `folder`. For good.

    `ports` tells the protocol behind a port that is connected to, or behind a unix socket of our own; `heard` hears
    what SQLite does to its files.
    """
    _watch_sql(points)
    _watch_sockets(points, ports)
    _watch_files(points, folder, heard)


# --- SQL -----------------------------------------------------------------------------------------------------


def statement_name(statement: str) -> str:
    verb = _VERB.match(statement)
    table = _TABLE.search(statement)
    return f"{verb[1].upper() if verb else statement.split()[0]} {table[1] if table else ''}".rstrip()


def step_name(statements: Sequence[str]) -> str:
    """The step of a message's way (docs/flow.md) that a transaction of `statements` is."""
    for name, pattern in _STEPS:
        if any(pattern.search(" ".join(s.split())) for s in statements):
            return name
    return "other"


def _reads(statement: str) -> bool:
    return statement_name(statement).startswith(("SELECT", "BEGIN", "PRAGMA"))


def _watch_sql(points: FailPoints) -> None:
    here = threading.local()  # a transaction is a plain function in one thread

    def before_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        points.reach(f"before {statement_name(statement)}")
        if not _reads(statement):
            here.written = [*getattr(here, "written", []), statement]

    def after_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not _reads(statement):
            points.reach(f"after {statement_name(statement)}")

    def before_commit(_connection: Any) -> None:
        if getattr(here, "written", None):
            points.reach(f"before commit {step_name(here.written)}")

    def rolled_back(_connection: Any) -> None:
        here.written = []

    committing: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

    def commit(dialect: DefaultDialect, connection: Any) -> None:
        committing(dialect, connection)
        written, here.written = getattr(here, "written", []), []
        if written:
            points.reach(f"after commit {step_name(written)}")

    event.listen(sa.Engine, "before_cursor_execute", before_statement)
    event.listen(sa.Engine, "after_cursor_execute", after_statement)
    event.listen(sa.Engine, "commit", before_commit)
    event.listen(sa.Engine, "rollback", rolled_back)
    DefaultDialect.do_commit = commit  # type: ignore[method-assign]


# --- sockets -------------------------------------------------------------------------------------------------


def command_name(protocol: str, data: bytes) -> str:
    """The verb of what a client writes; the code of what our LMTP server answers."""
    words = data[:80].decode("ascii", "replace").split()
    if protocol == "lmtp":
        return words[0][:3] if words else ""
    if protocol == "imap":
        words = words[1:] if len(words) > 1 else words
        return " ".join(words[:2] if words[:1] == ["UID"] else words[:1])
    if data == b".\r\n":
        return "dot"
    return words[0] if words and words[0] in _SMTP_VERBS else "content"


def _watch_sockets(points: FailPoints, ports: dict[str, str]) -> None:
    transport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    writing, reading = transport.write, transport._read_ready

    def protocol_of(one: Any) -> str:
        peer, own = one.get_extra_info("peername"), one.get_extra_info("sockname")
        return ports.get(str(peer[1] if isinstance(peer, tuple) and peer else own), "")

    def write(one: Any, data: bytes) -> None:
        protocol = protocol_of(one)
        name = f"write {protocol} {command_name(protocol, bytes(data))}"
        if protocol:
            points.reach(f"before {name}")
        writing(one, data)
        if protocol:
            points.reach(f"after {name}")

    def read(one: Any) -> None:
        if protocol := protocol_of(one):
            points.reach(f"before read {protocol}")
        reading(one)

    transport.write, transport._read_ready = write, read


# --- files ---------------------------------------------------------------------------------------------------


def _watch_files(points: FailPoints, folder: Path, heard: Callable[[FileCall], None]) -> None:
    def sqlite(call: FileCall) -> int:
        if points.reach(f"before {call.operation} {call.kind}") != "full":
            heard(call)
            return 0
        return SQLITE_IOERR_FSYNC if call.operation == "fsync" else SQLITE_FULL

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        if name != "open" or not isinstance(arguments[0], str) or not arguments[0].startswith(str(folder)):
            return
        if arguments[2] & (os.O_WRONLY | os.O_RDWR) and points.reach("before open file") == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[0])

    watch_files(sqlite)
    sys.addaudithook(audit)
