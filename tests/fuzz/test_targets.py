"""The fuzz targets hold for their seeds, for what was found once, and for some thousand changes of both."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, seeds

FOUND = Path(__file__).parent / "found"
CHANGES = 600
# What matters to a parser, put in and doubled more often than any other byte.
TOKENS = (
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"--b",
    b"=?utf-8?b?",
    b"?=",
    b'"',
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"@",
    b";",
    b"*0*=",
)


def changed(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randint(0, len(data)), rng.randint(0, 16)
        piece = rng.choice((b"", rng.randbytes(3), rng.choice(TOKENS), data[at : at + 64] * 2))
        data = data[:at] + piece + data[at + length :]
    return data[:4096]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds_and_changes_of_them(name: str) -> None:
    known = [*seeds(name), b""]
    rng = random.Random(name)
    for data in known + [changed(rng.choice(known), rng) for _ in range(CHANGES)]:
        TARGETS[name](data)


def test_what_the_fuzzer_found_once_is_mended() -> None:
    """Files are named TARGET-what-it-was."""
    for path in sorted(FOUND.glob("*")):
        TARGETS[path.name.partition("-")[0]](path.read_bytes())
