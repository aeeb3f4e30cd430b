"""Databases to restore into."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailbox_service.adapters.database.storage import Database
from tests.backup.setting import Life, NewDatabase, back_up, bench_of, contents, lived, secrets_in


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Makes an empty database of a kind, `sqlite` or `postgres`."""
    made: list[Database] = []

    def make(kind: str) -> Database:
        url = f"sqlite:///{tmp_path}/empty-{len(made)}.db"
        if kind == "postgres":
            url = request.getfixturevalue("postgres").database()
        made.append(Database.open(url))
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """One of each kind."""
    database = Database.open(empty_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def life(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A service of which a backup was made; nobody changes it."""
    folder = tmp_path_factory.mktemp("life")
    shutil.copy(migrated_sqlite, folder / "mailbox.db")
    database = Database.open(f"sqlite:///{folder}/mailbox.db")
    asyncio.run(lived(bench_of(database, folder)))
    back_up(database, folder / "backup", secrets_in(folder))
    yield Life(database, folder, contents(database))
    database.close()
