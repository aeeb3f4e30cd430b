"""The database as the services see it: transactions run in threads of its own (ports.Storage)."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import sqlite3
import stat
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import event

from mailbox_service.adapters.database.tables import safe_json
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.errors import PermanentError, StorageFull, TemporaryError

T = TypeVar("T")

# Two workers that collide (a unique key, a deadlock) succeed at the next try; more tries would hide a defect.
COLLISION_TRIES = 4
# PostgreSQL connections of one daemon: intake, outbox, marks and clocks at once. SQLite has one writer anyway.
POSTGRES_THREADS = 4
# Far above any transaction of ours; a daemon that is told to stop must not wait longer for somebody else's lock.
# A server that vanished without a word is noticed within a minute, so that no transaction waits for it for ever.
POSTGRES_CONNECTION = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
# A daemon that is stopped (SIGSTOP, a frozen virtual machine) in the midst of a transaction holds its locks; after this
# time the server ends the session, and the other daemons go on. Between two statements of ours lie milliseconds.
IDLE_IN_TRANSACTION = "20s"
BUSY_TIMEOUT_SECONDS = 5
# The execution option of a connection that only reads.
SNAPSHOT = "mailbox_service_snapshot"
WORKER_SLOTS = 64
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # NORMAL may roll back a commit on power loss
    "foreign_keys=ON",
    "temp_store=MEMORY",  # nothing of a report in temporary files
    f"busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}",
)


class Database:
    """SQLite (embedded) or PostgreSQL (several daemons) behind one face."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        # One thread on SQLite: a single writer never waits for itself, and its connection stays warm.
        self._threads = self._new_threads()
        self._identity = ""
        self._taking_slot = threading.Lock()
        self._slot: Any = None
        self._slot_in_doubt = False
        if not self.is_sqlite:
            event.listen(engine, "connect", _postgres_connect)
            event.listen(engine, "invalidate", self._doubt_slot)

    def _new_threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1 if self.is_sqlite else POSTGRES_THREADS, thread_name_prefix="database")

    @classmethod
    def open(cls, url: str) -> Self:
        """The database at SQLAlchemy URL `url`. A new SQLite file is created with mode 0600.

        Raises: TemporaryError when a SQLite file cannot be made or opened; PermanentError without the driver.
        """
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return cls(_sqlite_engine(parsed))
        if importlib.util.find_spec("psycopg") is None:
            raise PermanentError("PostgreSQL needs psycopg; install the extra: pip install 'mailbox-service[postgres]'")
        parsed = parsed.set(drivername="postgresql+psycopg")
        return cls(
            sa.create_engine(
                parsed,
                pool_size=POSTGRES_THREADS,
                max_overflow=1,  # the worker slot's own connection
                pool_pre_ping=True,
                connect_args=POSTGRES_CONNECTION,
                json_serializer=safe_json,
                hide_parameters=True,
            )
        )

    async def transact(self, work: Callable[[SqlTransaction], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self.run(work))

    def run(self, work: Callable[[SqlTransaction], T]) -> T:
        """`transact` for callers without an event loop."""
        for attempt in range(1, COLLISION_TRIES + 1):
            try:
                with self.engine.begin() as connection:
                    return work(SqlTransaction(connection))
            except (sa.exc.DBAPIError, sqlite3.Error) as error:
                if not _collision(error) or attempt == COLLISION_TRIES:
                    kind = StorageFull if _full(error) else TemporaryError
                    raise kind(f"database: {describe(error)}") from error
            except sa.exc.TimeoutError as error:
                raise TemporaryError("database: no connection is free") from error
        raise AssertionError("unreachable")

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """One consistent view of everything, for long readers: no writer waits for it, and it sees nothing of what
        they commit meanwhile.

        Raises: TemporaryError.
        """
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        try:
            with self.engine.connect() as connection:
                connection.execution_options(**({SNAPSHOT: True} if self.is_sqlite else options))
                if self.is_sqlite:
                    # The view begins with the first read.
                    connection.exec_driver_sql("select 1 from sqlite_master limit 1").all()
                yield connection
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            raise TemporaryError(f"database: {describe(error)}") from error

    @property
    def identity(self) -> str:
        """The lowest worker slot that no living worker holds. A restarted daemon gets its old one back."""
        with self._taking_slot:
            if self._slot_in_doubt and not self.is_sqlite:
                self._leave_slot()
            if not self._identity:
                self._identity = self._free_slot()
            return self._identity

    def _free_slot(self) -> str:
        for number in range(WORKER_SLOTS):
            if self._take_slot(number):
                return f"worker-{number}"
        raise TemporaryError(f"database: all {WORKER_SLOTS} worker slots are taken")

    def _doubt_slot(self, *_: Any) -> None:
        # Where one connection was lost, the slot's lock may be gone with its session, and be somebody else's by now.
        self._slot_in_doubt = True

    def _leave_slot(self) -> None:
        if self._slot is not None:
            with suppress(sa.exc.SQLAlchemyError):
                self._slot.invalidate()
                self._slot.close()
        self._slot, self._identity, self._slot_in_doubt = None, "", False

    def _take_slot(self, number: int) -> bool:
        try:
            return self._lock_file(number) if self.is_sqlite else self._advisory_lock(number)
        except (sa.exc.DBAPIError, OSError) as error:
            raise TemporaryError(f"database: {describe(error)}") from error

    def _lock_file(self, number: int) -> bool:
        # flock, because it ends with the process however that dies.
        path = f"{self.engine.url.database}.worker-{number}"
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._slot = descriptor
        return True

    def _advisory_lock(self, number: int) -> bool:
        # A session lock: PostgreSQL frees it when the connection ends, also after SIGKILL.
        connection = self._slot or self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._slot = connection
        key = zlib.crc32(b"mailbox-service worker")
        return bool(
            connection.scalar(sa.text("select pg_try_advisory_lock(:key, :slot)"), {"key": key - 2**31, "slot": number})
        )

    async def settled(self) -> None:
        """Returns when every transaction that was begun before has ended, also those nobody waits for any more."""
        threads, self._threads = self._threads, self._new_threads()
        await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)

    async def dispose(self) -> None:
        """Finish what runs, close all connections, give the worker slot back."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def close(self) -> None:
        # What has not begun by now waits behind somebody else's lock, and nobody waits for its result any more.
        self._threads.shutdown(wait=True, cancel_futures=True)
        if isinstance(self._slot, int):
            os.close(self._slot)
            self._slot = None
        self._leave_slot()
        self.engine.dispose()


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise TemporaryError("database: SQLite needs a file")
    path = Path(url.database)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TemporaryError(f"database: cannot open {path}: {error.strerror}") from error
    try:
        # WAL and journal files inherit the mode of the database file.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077 and os.fstat(descriptor).st_size == 0:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    engine = sa.create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_SECONDS},
        json_serializer=safe_json,
        hide_parameters=True,  # errors must not carry mail
    )
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _postgres_connect(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}'")
    connection.commit()


def _sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: it would begin them DEFERRED, and late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(SNAPSHOT) else "BEGIN IMMEDIATE")


def _collision(error: Exception) -> bool:
    if isinstance(error, sa.exc.IntegrityError):
        return True
    # 40001 serialization failure, 40P01 deadlock detected.
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state in ("40001", "40P01")


def _full(error: Exception) -> bool:
    original = getattr(error, "orig", None) or error
    # 53100 disk full. SQLite says the same of its file, of its log and of a quota.
    return getattr(original, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(original, "sqlstate", "") == "53100"


def describe(error: Exception) -> str:
    """What went wrong, without values: a driver's own text may quote a row."""
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.Error):
        return f"{type(original).__name__} {getattr(original, 'sqlite_errorname', '')}".strip()
    if isinstance(original, OSError):
        return f"{type(original).__name__}: {original.strerror}"
    state = getattr(original, "sqlstate", None)
    if state is None and type(original).__name__ == "OperationalError":
        # No connection came about: the text speaks of host, port, user and database, never of a row.
        return " ".join(str(original).split())[:300]
    return f"{type(original).__name__} {state or ''}".strip()
