"""What every measure plays on: a real Dovecot, an SMTP sink, databases, mail, and the service between them."""

from __future__ import annotations

import shutil
import smtplib
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import sqlalchemy as sa

from benchmarks import corpus
from benchmarks.process import Watched
from mailbox_service.adapters.database.tables import message, outbound, source
from tests.peers.dovecot import Dovecot, free_port
from tests.peers.postgres import PostgresServer

ADDRESS, MAINTAINER = "security@example.test", "ada@example.test"
# The largest that can be configured: every message is answered.
CAPS = 100_000
LOOK_SECONDS = 0.05

CONFIGURATION = """\
database: {{url: "{url}"}}
mailboxes:
  - name: security
    address: {address}
    team_address: team@example.test
    project_name: Example
    answer_backlog: true
    authserv_id: mx.example.test
    imap: {{host: 127.0.0.1, port: {imap}, security: none, username: {user}, password_file: password}}
    smtp: {{host: 127.0.0.1, port: {smtp}, security: none}}
    maintainers: [{maintainers}]
    limits: {{sender_per_day: {caps}, domain_per_day: {caps}, per_hour: {caps}}}
    notices: {{collect_above_per_hour: {collect_above}}}
limits: {{max_message_size: {max_message_size}}}
outbox: {{max_per_hour: 1000000}}
logging: {{format: json, level: warning}}
"""


class Failed(Exception):
    """What a measure rests on does not hold; the run fails."""


def expect(holds: bool, what: object) -> None:
    """Raises: Failed. Not `assert`, which -O takes out."""
    if not holds:
        raise Failed(str(what))


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a database has on file."""

    messages: int
    waiting: int
    undecided: int  # done or held without a disposition
    held: int
    unanswered: int  # cases and redirects that owe an answer and have none that was sent
    acknowledged: int
    marks_waiting: int
    mails_waiting: int
    mails_sent: int
    mails_failed: int

    @property
    def settled(self) -> bool:
        return not (self.waiting or self.marks_waiting or self.mails_waiting)


@dataclass(frozen=True, slots=True)
class Above:
    """The highest ids that were on file before; only what came later counts."""

    message: int = 0
    outbound: int = 0
    source: int = 0


NOTHING = Above()


class Books:
    """A database looked into from outside, over a connection of its own."""

    def __init__(self, url: str, above: Above = NOTHING) -> None:
        self._engine = engine(url)
        self._above = above

    def close(self) -> None:
        self._engine.dispose()

    def ledger(self) -> Ledger:
        m, o = message.c, outbound.c
        with self._engine.connect() as connection:

            def count(table: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> int:
                return int(connection.scalar(sa.select(sa.func.count()).select_from(table).where(*conditions)) or 0)

            mine, ours = m.id > self._above.message, o.id > self._above.outbound
            answers = sa.select(o.about_message_id).where(
                o.about_message_id == m.id, o.kind.in_(("acknowledgement", "redirect")), o.state == "sent"
            )
            owed = m.disposition.in_(("case", "redirect")) & (m.no_answer == "") & ~answers.exists()
            return Ledger(
                messages=count(message, mine),
                waiting=count(message, m.state == "waiting", mine),
                undecided=count(message, m.state != "waiting", m.disposition.is_(None), mine),
                held=count(message, m.state == "held", mine),
                unanswered=count(message, owed, mine),
                acknowledged=count(outbound, o.kind == "acknowledgement", o.state == "sent", ours),
                marks_waiting=count(source, source.c.mark_state == "waiting", source.c.id > self._above.source),
                mails_waiting=count(outbound, o.state == "waiting", ours),
                mails_sent=count(outbound, o.state == "sent", ours),
                mails_failed=count(outbound, o.state == "failed", ours),
            )

    def done(self) -> tuple[int, bool]:
        """How many messages are on file, and whether nothing waits; cheap enough to be asked all the time."""
        with self._engine.connect() as connection:
            waiting = (
                sa.exists().where(message.c.state == "waiting")
                | sa.exists().where(source.c.mark_state == "waiting")
                | sa.exists().where(outbound.c.state == "waiting")
            )
            on_file = sa.select(sa.func.count()).select_from(message).where(message.c.id > self._above.message)
            row = connection.execute(sa.select(on_file.scalar_subquery(), waiting)).one()
            return int(row[0]), not row[1]


def engine(url: str) -> sa.Engine:
    """For a URL of the configuration."""
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


class Sink:
    """The far end, in a process of its own."""

    def __init__(self, folder: Path, *, log: bool = False) -> None:
        self.port = free_port()
        self._log = folder / f"sink-{self.port}.log"
        self._process = Watched(
            ["-m", "benchmarks.sink", str(self.port), *(["--log", str(self._log)] if log else [])], folder / "sink.err"
        )
        self._process.line()

    def accepted(self) -> int:
        with smtplib.SMTP("127.0.0.1", self.port) as smtp:
            return int(smtp.docmd("XCOUNT")[1])

    def mails(self) -> list[tuple[float, str]]:
        """Of each accepted mail the time (CLOCK_MONOTONIC) and the recipient."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [(float(at), recipient) for at, _, recipient in (line.partition(" ") for line in lines if " " in line)]

    def await_mail(self, recipient: str, count: int = 1, seconds: float = 60.0) -> float:
        """When the `count`-th mail to `recipient` was accepted. Raises: Failed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [at for at, to in self.mails() if to == recipient]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.01)
        raise Failed(f"no mail {count} to {recipient} in {seconds} s")

    def stop(self) -> None:
        self._process.stop()


class Stage:
    """A context: everything it started has ended at its end."""

    def __init__(self, shared: Path = corpus.SHARED) -> None:
        self.shared = shared
        self._stack = ExitStack()
        self._postgres: PostgresServer | None = None
        self._names = 0

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.dovecot = Dovecot()
        self._stack.callback(self.dovecot.remove)
        self.dovecot.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def new_name(self, what: str) -> str:
        self._names += 1
        return f"{what}{self._names}"

    @property
    def postgres(self) -> PostgresServer:
        if self._postgres is None:
            self._postgres = PostgresServer(shared_buffers="128MB")  # the default of a real one
            self._stack.callback(self._postgres.remove)
            self._postgres.start()
        return self._postgres

    def database(self, kind: str) -> str:
        """The URL of a new, empty database; `kind` is sqlite or postgres."""
        if kind == "sqlite":
            return f"sqlite:///{self.folder / self.new_name('db')}.sqlite"
        return self.postgres.database()

    def copy(self, url: str) -> str:
        """The URL of a copy of a database that nobody uses."""
        copied = self.database(url.partition(":")[0].removesuffix("ql"))
        if url.startswith("sqlite"):
            shutil.copyfile(url.removeprefix("sqlite:///"), copied.removeprefix("sqlite:///"))
        else:
            server, _, name = url.rpartition("/")
            new = copied.rpartition("/")[2]
            with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {new}".encode())
                connection.execute(f"CREATE DATABASE {new} TEMPLATE {name}".encode())
        return copied

    def sink(self, *, log: bool = False) -> Sink:
        sink = Sink(self.folder, log=log)
        self._stack.callback(sink.stop)
        return sink

    def mail(self, count: int) -> Callable[[], Iterator[bytes]]:
        """`count` messages of the shared generator where it is there, else of our own; read anew at each call,
        because a process that holds them all would pass its size on to the peaks of its children."""
        files = corpus.files(count, self.folder / f"corpus{count}", self.shared)
        return lambda: (file.read_bytes() for file in files)

    def filled(self, mails: Iterator[bytes] | Sequence[bytes]) -> str:
        """A new user with these messages in INBOX."""
        user = self.dovecot.add_user()
        self.dovecot.fill(user, mails)
        return user

    def configuration(
        self,
        user: str,
        sink: Sink,
        url: str,
        *,
        imap: int | None = None,
        max_message_size: str = "50MB",
        collect_above: int = 20,
        maintainers: Sequence[str] = (MAINTAINER,),
        more: str = "",
    ) -> Path:
        """A configuration in a folder of its own; `more` is appended as it is."""
        folder = self.folder / self.new_name("state")
        folder.mkdir()
        (folder / "password").write_text("pw\n")
        (folder / "password").chmod(0o600)
        path = folder / "config.yaml"
        people = ", ".join(f"{{name: Ada, address: {address}}}" for address in maintainers)
        path.write_text(
            CONFIGURATION.format(
                url=url, imap=imap or self.dovecot.port, user=user, smtp=sink.port, address=ADDRESS,
                maintainers=people, caps=CAPS, collect_above=collect_above, max_message_size=max_message_size,
            ) + more
        )  # fmt: skip
        return path

    @contextmanager
    def service(self, config: Path, *options: str) -> Iterator[Watched]:
        """The service, watched from inside (benchmarks.daemon); it runs when this begins."""
        process = Watched(["-m", "benchmarks.daemon", str(config), *options], config.with_name("log"))
        try:
            expect(process.line() == "running", "the service runs")
            yield process
        finally:
            process.stop()

    def flagged(self, user: str) -> tuple[int, int]:
        """How many messages INBOX holds, and how many of them carry a flag of ours."""
        with self.dovecot.imap(user) as imap:
            imap.select("INBOX", readonly=True)
            every, untouched = (imap.uid("SEARCH", words)[1][0].split() for words in ("ALL", "UNSEEN UNFLAGGED"))
            return len(every), len(every) - len(untouched)


def until(done: Callable[[], bool], what: str, seconds: float) -> float:
    """When it was done (CLOCK_MONOTONIC). Raises: Failed."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise Failed(f"not in {seconds} s: {what}")
        time.sleep(LOOK_SECONDS)
    return time.monotonic()


def until_settled(books: Books, count: int, process: Watched, seconds: float) -> float:
    """When `count` messages are on file and nothing is left to do. Raises: Failed."""

    def done() -> bool:
        try:
            on_file, settled = books.done()
        except (sa.exc.DBAPIError, sqlite3.Error):
            return False  # it is still being made
        return settled and on_file >= count

    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            print(process.log.read_text(errors="replace")[-2000:], file=sys.stderr)
            raise Failed(f"not settled in {seconds} s: {books.ledger()}")
        time.sleep(LOOK_SECONDS)
    return time.monotonic()


def check(ledger: Ledger, count: int, flagged: tuple[int, int], accepted: int) -> None:
    """Every message is on file, decided, answered where it should be, and flagged. Raises: Failed."""
    expect(ledger.messages == count, f"{count} messages are on file: {ledger}")
    expect(ledger.settled and not ledger.undecided, f"every message is worked: {ledger}")
    expect(not ledger.unanswered and not ledger.mails_failed, f"every answer was sent: {ledger}")
    expect(ledger.mails_sent == accepted, f"the sink accepted what counts as sent: {accepted}, {ledger}")
    expect(flagged == (count, count), f"every message is flagged: {flagged}")
