"""A text as a few hundred bytes, by which two texts can be compared without keeping either.

Two bottom-k samples, each of the smallest hashes of a set (Cohen 1997): of the runs of three words, by which copies are
known however they are cut, and of the names in it - paths, functions, parameters, CVE ids -, which reports about one
flaw share whatever words they are written in. Quoted lines are left out: they are somebody else's, or our own.
"""

from __future__ import annotations

import re
import struct
from binascii import crc32
from dataclasses import dataclass
from operator import xor
from typing import Final

RUNS: Final = 64
NAMES: Final = 24
# A shorter text is alike with too many others.
FEWEST_RUNS: Final = 12
WORDS_READ: Final = 4_000
_FORMAT: Final = 1
_HEAD: Final = struct.Struct("<BBB")  # format, number of runs, number of names

# Of UTF-8 in lower case: every byte that is no letter or digit parts words. Where a script without blanks is in it,
# each of its characters counts as a word.
_PARTING: Final = bytes(b if b >= 0x80 or chr(b).isalnum() else 0x20 for b in range(256))
_UNSPACED: Final = re.compile(rb"[\xe3-\xe9][\x80-\xbf]{2}")
_QUOTED: Final = re.compile(r"(?m)^[ \t]*>.*$")
_NAME: Final = re.compile(r"[a-z0-9_/.$%-]{5,}")
_SHORTEST_NAME, _LONGEST_NAME = 5, 80
# What stands in every HTTP request and every second report.
_COMMON: Final = frozenset(
    """http/1.0 http/1.1 http/2.0 http/2 content-type content-length user-agent accept-encoding accept-language
    application/json application/xml text/html text/plain x-www-form-urlencoded application/x-www-form-urlencoded
    keep-alive cache-control set-cookie x-forwarded-for mozilla/5.0 and/or e.g i.e proof-of-concept cross-site
    server-side client-side read-only two-factor multi-factor high-severity pre-auth zero-day one-click well-known
    follow-up up-to-date e-mail built-in real-world third-party node.js x-frame-options""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What `sketch` wrote, read again."""

    runs: tuple[int, ...]  # ascending
    names: tuple[int, ...]  # ascending


def sketch(text: str) -> bytes:
    """The sketch of `text`; empty where it is too short to be compared. The same on every machine."""
    if ">" in text:
        text = _QUOTED.sub("", text)
    text = text.lower()
    data = text.encode("utf-8", "replace").translate(_PARTING)
    if not data.isascii():
        data = _UNSPACED.sub(rb" \g<0> ", data)
    hashes = list(map(crc32, data.split()[:WORDS_READ]))
    # The order of three words in a row does not count, so that all of it is done by loops in C.
    runs = set(map(xor, map(xor, hashes, hashes[1:]), hashes[2:]))
    names = {crc32(name.encode()) for name in _names(text)}
    if len(runs) < FEWEST_RUNS:
        runs = set()
    if not runs and not names:
        return b""
    kept_runs, kept_names = sorted(runs)[:RUNS], sorted(names)[:NAMES]
    head = _HEAD.pack(_FORMAT, len(kept_runs), len(kept_names))
    return head + struct.pack(f"<{len(kept_runs) + len(kept_names)}I", *kept_runs, *kept_names)


def read_sketch(data: bytes) -> Sketch | None:
    """The sketch in `data`; None for one that this version did not write."""
    if len(data) < _HEAD.size:
        return None
    form, runs, names = _HEAD.unpack_from(data)
    if form != _FORMAT or len(data) != _HEAD.size + 4 * (runs + names):
        return None
    values = struct.unpack_from(f"<{runs + names}I", data, _HEAD.size)
    return Sketch(values[:runs], values[runs:])


def resemblance(one: Sketch, other: Sketch) -> float:
    """The share of the runs of words that two texts have in common, estimated (Jaccard), 0..1."""
    if not one.runs or not other.runs:
        return 0.0
    both = set(one.runs) & set(other.runs)
    # The smallest of all are a sample of all, whether either set was cut or not.
    sample = sorted({*one.runs, *other.runs})[:RUNS]
    return sum(run in both for run in sample) / len(sample)


def _names(lowered: str) -> set[str]:
    written = {word for word in _NAME.findall(lowered) if not word.isalpha()}
    names = {word.strip("./-$%") for word in written} - _COMMON
    return {name for name in names if _SHORTEST_NAME <= len(name) <= _LONGEST_NAME and _tells(name)}


def _tells(name: str) -> bool:
    """Is it the name of something? Neither a version nor a date, nor words that a hyphen joins."""
    if not any("a" <= c <= "z" for c in name):
        return False
    return any(c in "_/.%$" for c in name) or any(c.isdigit() for c in name)
