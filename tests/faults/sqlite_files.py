"""The file system as SQLite sees it, watched and made to fail: a full disk at a write, at an fsync, at a COMMIT.

SQLite talks to files through a table of functions, its VFS, which a program may replace (sqlite.org/vfs.html). Ours
calls the real one and is asked before each write and fsync. So everything from Python down to SQLite's error handling
is real, no privilege, compiler or mount is needed, and a fault comes at exactly the wanted call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p, cast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# sqlite3.h: error codes, and the kinds of files that are told apart when one is opened.
SQLITE_FULL = 13
SQLITE_IOERR_WRITE = 10 | 3 << 8
SQLITE_IOERR_FSYNC = 10 | 4 << 8
_KINDS = {0x100: "database", 0x80000: "wal", 0x800: "journal"}


@dataclass(frozen=True, slots=True)
class FileCall:
    """What SQLite is about to do to a file."""

    operation: str  # write, fsync, truncate
    kind: str  # database, wal, journal, other
    path: str
    offset: int = 0  # of a truncate: the new size
    data: bytes = b""


# Answers 0 to let the call through, or the SQLite error code it fails with.
Watch = Callable[[FileCall], int]

# The name as a bare pointer: SQLite's own file keeps it until it is closed, so that a copy of ours would dangle.
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_CLOSE = CFUNCTYPE(c_int, c_void_p)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", c_int),
        ("size_of_file", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("others", c_void_p * 14),  # xDelete to xNextSystemCall of version 3
    ]


class _Methods(ctypes.Structure):
    _fields_ = [
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("others", c_void_p * 13),  # xFileSize to xUnfetch of version 3
    ]


@dataclass(frozen=True, slots=True)
class _Table:
    """The real functions of a kind of file, and the table that stands in their place."""

    close: Any
    write: Any
    truncate: Any
    sync: Any
    ours: _Methods


@dataclass(frozen=True, slots=True)
class _Open:
    kind: str
    path: str
    real: _Table


class _Watched:
    """The replaced functions of one VFS. Lives as long as the process: SQLite keeps pointers to it."""

    def __init__(self, library: ctypes.CDLL, watch: Watch) -> None:
        self._watch = watch
        self._files: dict[int, _Open] = {}  # by the address of the sqlite3_file
        self._tables: dict[int, _Table] = {}  # by the address of the real one: files with and without locks have two
        find = library.sqlite3_vfs_find
        find.restype = POINTER(_Vfs)
        real = find(None).contents
        self._real_open = cast(real.open, _OPEN)
        self._callbacks = {
            "close": _CLOSE(self._close),
            "write": _WRITE(self._write),
            "truncate": _TRUNCATE(self._truncate),
            "sync": _SYNC(self._sync),
        }
        self._opens = _OPEN(self._open)
        self.vfs = _Vfs.from_buffer_copy(real)
        self.vfs.name = b"watched"
        self.vfs.open = cast(self._opens, c_void_p)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        code = int(self._real_open(vfs, name, file, flags, out))
        methods = cast(file, POINTER(c_void_p))
        if code == 0 and name is not None and methods[0]:
            kind = next((kind for bit, kind in _KINDS.items() if flags & bit), "other")
            table = self._table(methods[0])
            self._files[file] = _Open(kind, ctypes.string_at(name).decode(), table)
            methods[0] = ctypes.addressof(table.ours)
        return code

    def _table(self, address: int) -> _Table:
        if address not in self._tables:
            ours = _Methods.from_buffer_copy(_Methods.from_address(address))
            types = {"close": _CLOSE, "write": _WRITE, "truncate": _TRUNCATE, "sync": _SYNC}
            real = {name: cast(getattr(ours, name), kind) for name, kind in types.items()}
            for name in types:
                setattr(ours, name, cast(self._callbacks[name], c_void_p))
            self._tables[address] = _Table(**real, ours=ours)
        return self._tables[address]

    def _ask(self, operation: str, file: int, offset: int = 0, data: bytes = b"") -> int:
        opened = self._files[file]
        return self._watch(FileCall(operation, opened.kind, opened.path, offset, data))

    def _close(self, file: int) -> int:
        return int(self._files.pop(file).real.close(file))

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        refused = self._ask("write", file, offset, ctypes.string_at(data, size))
        return refused or int(self._files[file].real.write(file, data, size, offset))

    def _truncate(self, file: int, size: int) -> int:
        return self._ask("truncate", file, size) or int(self._files[file].real.truncate(file, size))

    def _sync(self, file: int, flags: int) -> int:
        return self._ask("fsync", file) or int(self._files[file].real.sync(file, flags))


_installed: list[_Watched] = []


def watch_files(watch: Watch) -> None:
    """From now on each file that SQLite opens in this process asks `watch` first. There is no way back."""
    library = ctypes.CDLL(_library())
    watched = _Watched(library, watch)
    _installed.append(watched)
    assert library.sqlite3_vfs_register(ctypes.byref(watched.vfs), 1) == 0


def _library() -> str:
    """The very library that Python's sqlite3 uses: another copy would have a VFS of its own."""
    import sqlite3

    sqlite3.connect(":memory:").close()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libsqlite3.so" in line:
            return line.split()[-1]
    raise RuntimeError("Python's sqlite3 has SQLite built in; these tests need the one of the system (libsqlite3.so)")
