"""A story over each database."""

from __future__ import annotations

import pytest

from tests.conversation.people import Story
from tests.services.bench import Bench
from tests.services.conftest import *  # noqa: F403 - the database fixtures


@pytest.fixture
def story(bench: Bench) -> Story:
    return Story(bench)
