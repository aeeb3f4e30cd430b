"""A house for each test, with a database file of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.services.mailboxes import Mailbox
from tests.attacks.house import MAILBOX, House

Build = Callable[..., House]


@pytest.fixture
def build(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Build]:
    """Makes houses; each has its own SQLite file."""
    opened: list[Database] = []

    def make(*mailboxes: Mailbox, secret: bytes = b"s" * 32) -> House:
        path = tmp_path / f"house{len(opened)}.db"
        shutil.copy(migrated_sqlite, path)
        path.chmod(0o600)
        opened.append(Database.open(f"sqlite:///{path}"))
        return House(opened[-1], mailboxes or (MAILBOX,), secret)

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def house(build: Build) -> House:
    return build()
