"""Words that must be nowhere in clear, and the search for them: in bytes as they lie, and in all that mail can wrap."""

from __future__ import annotations

import base64
import bz2
import lzma
import quopri
import re
import zlib
from collections.abc import Callable, Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

CANARIES = (
    "quetzalcoatl", "xylophonist", "kaleidoscope", "ptarmigan", "bandersnatch", "jabberwocky", "brillig", "mimsy",
    "borogove", "outgrabe", "slithy", "frabjous",
)  # fmt: skip
DEPTH = 5  # a gzip in base64 in a mail in base64 in a mail
LARGEST_BYTES = 5_000_000
_RUN = re.compile(rb"(?:[A-Za-z0-9+/_-]{12,}={0,2}[ \t]*(?:=20)?\r?\n?)+")
_WORD = re.compile(rb"=\?[\w-]+\?[bBqQ]\?[^?]*\?=(?:\s+=\?[\w-]+\?[bBqQ]\?[^?]*\?=)*")
_MAGICS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b\x08", lambda data: zlib.decompressobj(31).decompress(data, LARGEST_BYTES)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, LARGEST_BYTES)),
    (b"\xfd7zXZ", lambda data: lzma.LZMADecompressor().decompress(data, LARGEST_BYTES)),
    *(
        (bytes((0x78, level)), lambda data: zlib.decompressobj().decompress(data, LARGEST_BYTES))
        for level in (0x01, 0x5E, 0x9C, 0xDA)
    ),
)
# Before the deflated data of a ZIP's file, or of a compressed packet of OpenPGP, stands a header of so many bytes.
_HEADERS = (*range(8), *range(30, 70))


def search(*folders: Path) -> list[str]:
    """Where in these folders a canary lies: in clear, in base64, in hexadecimal, or in the UTF-16 of some database."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [f"{path}: {found}" for path in files for found in canaries_in(_read(path))]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # a process that runs has removed it meanwhile


def canaries_in(data: bytes) -> list[str]:
    return [name for name in CANARIES if any(form in data for form in _forms(name))]


def canaries_anywhere_in(mail: bytes) -> list[str]:
    """The same, also of what mail programs and archives wrap: quoted-printable, base64, encoded words, compression."""
    return sorted({name for layer in layers(mail) for name in canaries_in(layer)})


def dumped(url: str) -> bytes:
    """All rows of all tables of a PostgreSQL database, each value as its bytes."""
    with psycopg.connect(url) as connection:
        names = connection.execute("select tablename from pg_tables where schemaname = 'public' order by 1").fetchall()
        dump = []
        for (name,) in names:
            wanted = sql.SQL("copy {} to stdout (format binary)").format(sql.Identifier(name))
            with connection.cursor().copy(wanted) as rows:
                dump += [bytes(row) for row in rows]
    return b"".join(dump)


def layers(data: bytes, depth: int = DEPTH) -> Iterator[bytes]:
    """`data`, and all that can be unwrapped from it."""
    yield data
    if depth == 0 or len(data) > LARGEST_BYTES:
        return
    for inner in _unwrapped(data):
        if inner and inner != data:
            yield from layers(inner, depth - 1)


def _unwrapped(data: bytes) -> Iterator[bytes]:
    if re.search(rb"=[0-9A-Fa-f]{2}|=\r?\n", data):
        yield quopri.decodestring(data)
    for run in _RUN.findall(data):
        packed = re.sub(rb"=20|[=\s]", b"", run).translate(bytes.maketrans(b"-_", b"+/"))
        yield base64.b64decode(packed[: len(packed) // 4 * 4])
    for words in _WORD.findall(data):
        try:
            yield b"".join(w if isinstance(w, bytes) else w.encode() for w, _ in decode_header(words.decode("ascii")))
        except (HeaderParseError, ValueError):
            continue
    for magic, unpack in _MAGICS:
        for found in re.finditer(re.escape(magic), data):
            yield _tried(unpack, data[found.start() :])
    if len(data) < 100_000 and not data.isascii():
        for at in _HEADERS:
            yield _tried(lambda packed: zlib.decompressobj(-15).decompress(packed, LARGEST_BYTES), data[at:])


def _tried(unpack: Callable[[bytes], bytes], data: bytes) -> bytes:
    try:
        return unpack(data)
    except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError):
        return b""


@cache
def _forms(word: str) -> tuple[bytes, ...]:
    """The word in clear, in hexadecimal, and within a base64 text wherever it begins (without what its neighbours
    change)."""
    shifted = [
        base64.b64encode(bytes(shift) + word.encode())[-(-8 * shift // 6) : 8 * (shift + len(word)) // 6]
        for shift in range(3)
    ]
    plain = word.encode()
    return plain, word.encode("utf-16-le"), plain.hex().encode(), plain.hex().upper().encode(), *shifted
