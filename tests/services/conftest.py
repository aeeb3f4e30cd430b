"""One daemon's services over each database."""

from __future__ import annotations

import pytest

from mailbox_service.adapters.database.storage import Database
from tests.services.bench import Bench


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)
