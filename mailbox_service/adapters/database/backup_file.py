"""The file that `backup` makes and `restore` reads: one SQLite file with a manifest, for either database.

Its tables have no types, keys, indexes, views or triggers; it is a container of rows and nothing runs when it is
opened. A backup may come from anywhere, so it is opened read-only, must hold exactly the tables that its manifest
names, in exactly our words, and its digests are compared before anything is taken from it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from mailbox_service.adapters.database.portable import CHUNKS_AT_ONCE, ROWS_AT_ONCE, Row, Tally, portions, tallied
from mailbox_service.errors import BrokenFile, CannotWrite, NotFound

FORMAT = 1
APPLICATION_ID = 0x4D424B50  # "MBKP", where SQLite has a place for what a file is
MANIFEST = "backup_manifest"
SECRETS = "backup_secret"
SECRET_COLUMNS = ("generation", "secret")
# A chunk has 1 MiB; only the context of a mail, which quotes some kilobytes, and a manifest could come near it.
LONGEST_VALUE_BYTES = 16 << 20
MOST_COLUMNS = 200
_STRICT = ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON", "temp_store=MEMORY")


@dataclass(frozen=True, slots=True)
class Contents:
    """One table of a backup."""

    columns: Sequence[str]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is and holds."""

    revision: str  # of the schema
    made_at: str
    made_by: str  # program and version
    database: str  # what it was made from: sqlite or postgresql
    instance: str
    tables: Mapping[str, Contents]
    format: int = FORMAT


# --- writing -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class BackupWriter:
    """Writes one backup; it is one only when `finish` has returned."""

    path: Path
    tables: dict[str, Contents] = field(default_factory=dict)
    _file: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        self._file = sqlite3.connect(self.path, isolation_level=None)
        # The whole file is synced at the end; until then it has another name.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=MEMORY", f"application_id={APPLICATION_ID}"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute("BEGIN")

    def add(self, name: str, columns: Sequence[str], rows: Iterable[Row], *, binary: bool = False) -> None:
        """Raises: CannotWrite; what `rows` raises."""
        tally = Tally()
        places = ", ".join("?" * len(columns))
        insert = f"INSERT INTO {_quoted(name)} VALUES ({places})"  # noqa: S608 - quoted
        with _as_cannot_write(self.path):
            self._file.execute(_created(name, columns))
        for portion in portions(tally.over(rows), CHUNKS_AT_ONCE if binary else ROWS_AT_ONCE):
            with _as_cannot_write(self.path):
                self._file.executemany(insert, portion)
        self.tables[name] = Contents(list(columns), tally.rows, tally.sha256)

    def finish(self, manifest: Manifest) -> None:
        """The file is whole and on disk. Raises: CannotWrite."""
        with _as_cannot_write(self.path):
            self._file.execute(_created(MANIFEST, ["manifest"]))
            insert = f"INSERT INTO {_quoted(MANIFEST)} VALUES (?)"  # noqa: S608 - quoted
            self._file.execute(insert, (json.dumps(asdict(manifest)),))
            self._file.execute("COMMIT")
            self._file.close()
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        self._file.close()


@contextmanager
def _as_cannot_write(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror}") from error
    except sqlite3.Error as error:
        full = error.sqlite_errorname == "SQLITE_FULL"
        raise CannotWrite(f"cannot write {path}: {'the disk is full' if full else error.sqlite_errorname}") from error


@contextmanager
def writing(path: Path) -> Iterator[BackupWriter]:
    """A writer over a new file at `path`, mode 0600; the file is removed where anything fails.

    Raises: CannotWrite.
    """
    with _as_cannot_write(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    writer = BackupWriter(path)
    try:
        yield writer
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        writer.close()


# --- reading -----------------------------------------------------------------------------------------------


class BackupReader:
    """A backup that was found whole."""

    def __init__(self, file: sqlite3.Connection, manifest: Manifest) -> None:
        self._file, self.manifest = file, manifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open and verify a backup: its form, SQLite's own checks, and the digest of each table.

        Raises: NotFound; BrokenFile, whatever is wrong with it.
        """
        try:
            with path.open("rb") as start:
                header = start.read(100)
        except OSError as error:
            raise NotFound(f"cannot read {path}: {error.strerror}") from error
        if header[68:72] != APPLICATION_ID.to_bytes(4, "big"):
            raise BrokenFile(f"{path} is no backup that mailbox-service made")
        file = None
        try:
            file = _opened(path)
            reader = cls(file, _examined(file))
            reader._compare_digests()
            return reader
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            if file is not None:
                file.close()
            reason = getattr(error, "sqlite_errorname", type(error).__name__)
            raise BrokenFile(f"the backup is damaged ({reason})") from error
        except BrokenFile:
            if file is not None:
                file.close()
            raise

    def rows(self, name: str) -> Iterator[Row]:
        return iter(self._file.execute(f"SELECT * FROM {_quoted(name)} ORDER BY rowid"))  # noqa: S608 - quoted

    def secrets(self) -> dict[int, bytes]:
        """The generations of the token secret. Raises: BrokenFile."""
        secrets: dict[int, bytes] = {}
        for generation, secret in self.rows(SECRETS):
            if not isinstance(generation, int) or not isinstance(secret, bytes):
                raise BrokenFile("the backup is damaged: its token secrets are none")
            secrets[generation] = secret
        return secrets

    def close(self) -> None:
        self._file.close()

    def _compare_digests(self) -> None:
        for name, contents in self.manifest.tables.items():
            found = tallied(self.rows(name))
            if (found.rows, found.sha256) != (contents.rows, contents.sha256):
                raise BrokenFile(f"the backup is damaged: {name} is not what the manifest says")


def _opened(path: Path) -> sqlite3.Connection:
    # Immutable: no journal that lies beside the file is looked at, and no lock is taken.
    file = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True, isolation_level=None)
    file.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)
    file.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, MOST_COLUMNS)
    for pragma in _STRICT:
        file.execute(f"PRAGMA {pragma}")
    return file


def _examined(file: sqlite3.Connection) -> Manifest:
    """The manifest, when the file holds exactly what it says, in exactly our words."""
    # The schema is read as text before any table of it is used: a view or trigger of a hostile file never runs.
    schema = {name: (kind, sql) for kind, name, sql in file.execute("SELECT type, name, sql FROM sqlite_master")}
    if schema.get(MANIFEST) != ("table", _created(MANIFEST, ["manifest"])):
        raise BrokenFile("the backup is damaged: it has no manifest")
    stored = file.execute(f"SELECT manifest FROM {_quoted(MANIFEST)}").fetchall()  # noqa: S608 - quoted
    manifest = _manifest(stored[0][0] if len(stored) == 1 else None)
    expected = {name: ("table", _created(name, contents.columns)) for name, contents in manifest.tables.items()}
    expected[MANIFEST] = ("table", _created(MANIFEST, ["manifest"]))
    if schema != expected or SECRETS not in expected or manifest.tables[SECRETS].columns != list(SECRET_COLUMNS):
        raise BrokenFile("the backup is damaged: it does not hold the tables that its manifest names")
    if file.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
        raise BrokenFile("the backup is damaged: SQLite's integrity check fails")
    return manifest


def _manifest(text: Any) -> Manifest:
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise BrokenFile("the backup has a format that this version does not know; use the version that made it")
        tables = {name: Contents(**contents) for name, contents in found.pop("tables").items()}
        manifest = Manifest(tables=tables, **found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BrokenFile("the backup is damaged: its manifest cannot be read") from None
    texts = [manifest.revision, manifest.made_at, manifest.made_by, manifest.database, manifest.instance]
    for name, contents in tables.items():
        texts += [name, contents.sha256, *(contents.columns if isinstance(contents.columns, list) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise BrokenFile("the backup is damaged: its manifest cannot be read")
    return manifest


def _created(name: str, columns: Sequence[str]) -> str:
    return f"CREATE TABLE {_quoted(name)} ({', '.join(_quoted(column) for column in columns)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
