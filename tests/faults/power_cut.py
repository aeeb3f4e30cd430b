"""What a disk holds when the power goes: everything before the last fsync of a file, and any part of what came after.

A life records what SQLite does to its files, and when a commit has returned. From that record the disk of any moment
can be made: of the writes after the last fsync each one is there, or not, or the first sectors of it are, as the
cache of a real disk would have it. `Recorder` runs in the life; the rest afterwards.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.sqlite_files import FileCall

SECTOR_BYTES = 512
COMMITTED = "after commit"

Event = FileCall | str  # a str: the name of a point


class Recorder:
    """Writes one event after the other to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("ab", buffering=0)

    def call(self, call: FileCall) -> None:
        self._file.write(pickle.dumps(call))

    def point(self, name: str) -> None:
        if name.startswith(COMMITTED):
            self._file.write(pickle.dumps(name))


def recorded(file: Path) -> list[Event]:
    events: list[Event] = []
    with file.open("rb") as stream:
        while stream.peek(1):
            events.append(pickle.load(stream))
    return events


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[FileCall] = field(default_factory=list)

    def sync(self) -> None:
        for call in self.pending:
            _do(self.durable, call)
        self.pending.clear()

    def after_a_cut(self, random: Random) -> bytes:
        content = bytearray(self.durable)
        for call in self.pending:
            fate = random.choice(("kept", "lost", "torn"))
            if fate == "torn" and call.operation == "write":
                whole = random.randint(0, len(call.data) // SECTOR_BYTES) * SECTOR_BYTES
                _do(content, FileCall("write", call.kind, call.path, call.offset, call.data[:whole]))
            elif fate == "kept":
                _do(content, call)
        return bytes(content)


class Disk:
    """The files of one database, as events come in. `files` is what lies there at first, by path."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = {path: _File(bytearray(data)) for path, data in files.items()}

    def take(self, call: FileCall) -> None:
        file = self._files.setdefault(call.path, _File())
        if call.operation == "fsync":
            file.sync()
        else:
            file.pending.append(call)

    def whole(self) -> dict[str, bytes]:
        """The files as a program sees them."""
        images = {path: bytearray(file.durable) for path, file in self._files.items()}
        for path, file in self._files.items():
            for call in file.pending:
                _do(images[path], call)
        return {path: bytes(image) for path, image in images.items()}

    def after_a_cut(self, random: Random) -> dict[str, bytes]:
        return {path: file.after_a_cut(random) for path, file in self._files.items()}


def _do(content: bytearray, call: FileCall) -> None:
    if call.operation == "truncate":
        del content[call.offset :]
        return
    content.extend(bytes(max(call.offset - len(content), 0)))
    content[call.offset : call.offset + len(call.data)] = call.data


@dataclass(frozen=True, slots=True)
class Cut:
    """The power went. `acknowledged` is how many commits had returned by then."""

    acknowledged: int
    files: dict[str, bytes]


def cuts(events: Sequence[Event], files: dict[str, bytes], random: Random, every: int) -> Iterator[Cut]:
    """A cut right after each commit, and one after each `every`-th other event."""
    disk, acknowledged = Disk(files), 0
    for number, one in enumerate(events):
        if isinstance(one, str):
            acknowledged += 1
        else:
            disk.take(one)
        if isinstance(one, str) or number % every == 0:
            yield Cut(acknowledged, disk.after_a_cut(random))


def contents(events: Sequence[Event], files: dict[str, bytes], folder: Path) -> list[list[str]]:
    """What the database said at first and after each commit."""
    disk = Disk(files)
    said = [dump(files, folder)]
    for one in events:
        if isinstance(one, str):
            said.append(dump(disk.whole(), folder))
        else:
            disk.take(one)
    return said


def dump(files: dict[str, bytes], folder: Path) -> list[str]:
    """Everything in the database that `files` are, opened as after a restart, in `folder`."""
    for old in folder.iterdir():
        old.unlink()
    for path, data in files.items():
        (folder / Path(path).name).write_bytes(data)
    opened = sqlite3.connect(folder / "mailbox.db")
    try:
        assert opened.execute("pragma integrity_check").fetchall() == [("ok",)]
        return list(opened.iterdump())
    finally:
        opened.close()


def wrong(events: Sequence[Event], files: dict[str, bytes], folder: Path, seed: int, every: int = 4) -> list[str]:
    """Each cut after which something other is on file than the last acknowledged commit, or the one under way.

    `folder` is made, for the images.
    """
    folder.mkdir()
    said = contents(events, files, folder)
    found = []
    for number, cut in enumerate(cuts(events, files, Random(seed), every)):
        if dump(cut.files, folder) not in said[cut.acknowledged : cut.acknowledged + 2]:
            found.append(f"what_was_committed_outlives_the_power: cut {number} after commit {cut.acknowledged}")
    return found
