"""Import of .eml files, mbox files, Maildirs and standard input, for old archives and operators' scripts."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from mailbox_service.errors import PermanentError
from mailbox_service.services.ports import Origin, RawMessage, SourceKind

# Of a message above max_message_size only the header is kept, as from IMAP.
HEADER_LIMIT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Where imported mail goes and how it is treated."""

    mailbox: str
    quiet: bool  # no answers to reporters
    max_message_size_bytes: int


def read_path(path: Path, plan: ImportPlan) -> Iterator[RawMessage]:
    """The messages of a file (.eml or mbox), a Maildir, or a folder of .eml files, in a stable order.

    Raises: PermanentError when `path` cannot be read, or holds no mail.
    """
    try:
        if path.is_dir():
            yield from _folder(path, plan)
        else:
            yield from _file(path, plan)
    except OSError as error:
        raise PermanentError(f"cannot read {path}: {error.strerror}") from error


def read_stream(stream: BinaryIO, plan: ImportPlan, now: datetime) -> Iterator[RawMessage]:
    """One message, or an mbox, from a stream such as standard input. Raises: PermanentError when it is empty."""
    data = stream.read()
    if not data:
        raise PermanentError("nothing came on standard input")
    yield from _messages(data, "standard input", now, plan)


def _folder(path: Path, plan: ImportPlan) -> Iterator[RawMessage]:
    maildir = [path / name for name in ("cur", "new") if (path / name).is_dir()]
    files = [f for folder in maildir for f in sorted(folder.iterdir()) if f.is_file() and not f.name.startswith(".")]
    if not maildir:
        files = sorted(f for f in path.rglob("*") if f.suffix.lower() == ".eml" and f.is_file())
        if not files:
            raise PermanentError(f"{path} is no Maildir and holds no .eml file")
    unreadable: list[str] = []
    for file in files:
        try:
            data, modified = file.read_bytes(), _modified(file)
        except OSError as error:
            unreadable.append(f"{file}: {error.strerror}")
            continue
        yield _message(data, str(file), modified, plan)
    if unreadable:
        # At the end, so that one bad file does not keep the others out.
        raise PermanentError(f"{len(unreadable)} files of {path} could not be read; the first: {unreadable[0]}")


def _file(path: Path, plan: ImportPlan) -> Iterator[RawMessage]:
    if path.stat().st_size == 0:
        raise PermanentError(f"{path} is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:5] == b"From ":
            yield from _messages(data, str(path), _modified(path), plan)
        else:
            yield _message(data[:], str(path), _modified(path), plan)


def _messages(data: bytes | mmap.mmap, note: str, at: datetime, plan: ImportPlan) -> Iterator[RawMessage]:
    """An mbox (RFC 4155): what stands between "From " lines that follow an empty line. `>From` stays quoted: undoing
    it would be a guess, and the file's bytes are the evidence."""
    if data[:5] != b"From ":
        yield _message(data[:], note, at, plan)
        return
    start, number = 0, 0
    while start < len(data):
        number += 1
        line_end = _after_line(data, start)
        end, after = _end_of_message(data, line_end)
        yield _message(data[line_end:end], f"{note}#{number}", _from_line_date(data[start:line_end]) or at, plan)
        start = after


def _after_line(data: bytes | mmap.mmap, start: int) -> int:
    newline = data.find(b"\n", start)
    return len(data) if newline < 0 else newline + 1


def _end_of_message(data: bytes | mmap.mmap, start: int) -> tuple[int, int]:
    """Where the message ends, and where the next "From " line begins."""
    position = max(start - 1, 0)
    while True:
        found = data.find(b"\nFrom ", position)
        if found < 0:
            return _without_separator(data, start, len(data)), len(data)
        before = data[max(found - 1, 0) : found]
        if before == b"\n" or data[max(found - 2, 0) : found] == b"\n\r":
            return _without_separator(data, start, found + 1), found + 1
        position = found + 1


def _without_separator(data: bytes | mmap.mmap, start: int, end: int) -> int:
    for separator in (b"\r\n", b"\n"):
        blank = end - len(separator)
        if data[max(blank, start) : end] == separator and data[max(blank - 1, start) : blank] == b"\n":
            return blank
    return end


def _from_line_date(line: bytes) -> datetime | None:
    # "From sender Thu Jan  1 00:00:00 1970", RFC 4155: asctime in UTC.
    words = line.decode("ascii", "replace").split()
    with suppress(ValueError):
        return datetime.strptime(" ".join(words[-5:]), "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    return None


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _message(data: bytes, note: str, at: datetime, plan: ImportPlan) -> RawMessage:
    origin = Origin(SourceKind.IMPORT, plan.mailbox, quiet=plan.quiet, note=note)
    if len(data) <= plan.max_message_size_bytes:
        return RawMessage(data, origin, at)
    return RawMessage(_header_of(data), origin, at, full_size_bytes=len(data))


def _header_of(data: bytes) -> bytes:
    head = data[:HEADER_LIMIT_BYTES]
    ends = [head.find(blank) + len(blank) for blank in (b"\n\n", b"\n\r\n") if blank in head]
    return head[: min(ends)] if ends else head
