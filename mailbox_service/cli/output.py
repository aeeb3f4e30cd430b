"""What commands print: tables and facts for people, JSON for programs. Nothing from mail gets out unharmed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.core.display import harmless

# Below this a shortened column says nothing any more; the terminal may wrap the line instead.
NARROWEST_COLUMN_CHARS = 10
GAP = "  "
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the row's key it shows, whether it gives way on a narrow terminal or is left out."""

    title: str
    key: str
    shrinks: bool = False
    if_varied: bool = False  # left out where all rows have the same value
    if_given: bool = False  # left out where no row has one


# --- the way out -------------------------------------------------------------------------------------------


def write(text: str) -> None:
    """Print a line or several, made harmless."""
    _put(sys.stdout, harmless(text, keep_newlines=True) + "\n")


def complain(text: str) -> None:
    """Print to standard error, made harmless."""
    _put(sys.stderr, harmless(text, keep_newlines=True) + "\n")


def write_marked(mark: str, colour: str, text: str) -> None:
    """Print a mark, coloured on a terminal, and a line. The only escape sequences we ever print are these."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    shown_mark = f"\x1b[{colour}m{mark}\x1b[0m" if coloured else mark
    _put(sys.stdout, f"{shown_mark}{GAP}{harmless(text)}\n")


def write_bytes(data: bytes) -> None:
    """Standard output gets `data` byte for byte."""
    sys.stdout.flush()
    _put(sys.stdout.buffer, data)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file for what comes from mail: it must not be there yet, and nobody else may read it. Ends the command where it
    cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except OSError as error:
        complain(f"mailbox-service: cannot write {path}: {error.strerror}")
        raise typer.Exit(Exit.CANTCREAT) from None


def write_json(value: object) -> None:
    """One JSON text. ASCII alone, so that no locale can spoil it."""
    _put(sys.stdout, json.dumps(plain(value), indent=2) + "\n")


def _put(stream: IO[Any], data: str | bytes) -> None:
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError:
        # The reader has seen enough.
        raise typer.Exit(Exit.BROKEN_PIPE) from None
    except OSError as error:
        if stream is not sys.stderr:
            complain(f"mailbox-service: cannot write: {error.strerror}")
        raise typer.Exit(Exit.IOERR) from None


# --- values ------------------------------------------------------------------------------------------------


def plain(value: object) -> object:
    """`value` as JSON has it: times in ISO 8601 UTC, text harmless."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case str():
            return harmless(value, keep_newlines=True)
        case Mapping():
            return {harmless(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def shown(value: object) -> str:
    """`value` as one line for people; nothing is a dash."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
        case float():
            return f"{value:.2f}"
        case _:
            return harmless(str(value))


# --- listings ----------------------------------------------------------------------------------------------


def listing(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[Column],
    keys: Sequence[str],
    *,
    as_json: bool,
    empty: str,
) -> None:
    """Print `rows`: as a JSON array of objects with exactly `keys`, or as a table; `empty` stands for no rows."""
    if as_json:
        write_json([{key: row[key] for key in keys} for row in rows])
    elif rows:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        columns = [c for c in columns if not c.if_varied or len({row[c.key] for row in rows}) > 1]
        columns = [c for c in columns if not c.if_given or any(row[c.key] for row in rows)]
        write("\n".join(table([[shown(row[c.key]) for c in columns] for row in rows], columns, width)))
    else:
        write(empty)


def table(cells: Sequence[Sequence[str]], columns: Sequence[Column], width: int | None) -> list[str]:
    """Aligned lines with a heading, at most `width` columns wide where the shrinking columns allow it.

    None: nothing is shortened, as is right for a file or a pipe.
    """
    lines = [[column.title for column in columns], *cells]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(columns))]
    if width is not None:
        _shrink(widths, columns, width)
    return [
        GAP.join(_fitted(cell, widths[i], pad=i < len(columns) - 1) for i, cell in enumerate(line)) for line in lines
    ]


def _shrink(widths: list[int], columns: Sequence[Column], width: int) -> None:
    giving = [i for i, column in enumerate(columns) if column.shrinks]
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        widest = max(giving, key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= NARROWEST_COLUMN_CHARS:
            return
        widths[widest] -= 1


def _fitted(text: str, width: int, *, pad: bool) -> str:
    if _width(text) > width:
        kept = ""
        used = 1  # the ellipsis
        for char in text:
            used += _width(char)
            if used > width:
                break
            kept += char
        text = kept + "…"
    return text + " " * (width - _width(text)) if pad else text


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(char) or char in "\u200c\u200d"
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


# --- one thing ---------------------------------------------------------------------------------------------


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values, aligned; what is None or empty is left out."""
    given = [(name, value) for name, value in pairs if value is not None and value != ""]
    width = max((len(name) for name, _ in given), default=0)
    for name, value in given:
        write(f"{name:<{width}}{GAP}{shown(value)}")


def heading(text: str) -> None:
    write(f"\n{text}")


def passage(text: str) -> None:
    """Print text from mail, indented: a line of it cannot pass for a line of ours."""
    lines = harmless(text, keep_newlines=True).strip("\n").split("\n")
    write("\n".join(INDENT + line if line else "" for line in lines))
