"""A database for what both kinds of it do alike; where they may differ a test asks for `database`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailbox_service.adapters.database.storage import Database
from tests.alarms.bench import Watch


@pytest.fixture
def embedded(sqlite_url: str) -> Iterator[Database]:
    database = Database.open(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def watch(embedded: Database) -> Watch:
    return Watch(embedded)
