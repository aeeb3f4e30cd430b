"""People, the mailbox's keyrings, and its door."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import generate
from tests.openpgp.keys import People, Person

ADDRESS = "security@demo.example"


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    everybody = People()
    yield everybody
    everybody.leave()


@pytest.fixture(scope="module")
def bob(people: People) -> Person:
    return people.join()


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    """Keyrings with one key of the mailbox's own, and a folder of their own for what is temporary."""
    with (
        tempfile.TemporaryDirectory(prefix="mbs-") as folder,
        Homes.open(made(folder), temporary=Path(folder)) as all_,
    ):
        generate(all_, "Demo security", ADDRESS, "2y")
        yield all_


def made(folder: str) -> Path:
    """A folder for keyrings in `folder`, as an operator would make it."""
    path = Path(folder, "keys")
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="module")
def door(homes: Homes) -> GpgDoor:
    return GpgDoor(homes, frozenset({ADDRESS}))
