"""What the fault tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.database.setting import fresh_database
from tests.faults.scene import MAILS, Mailbox, NewScene, RealMailbox, Runner, Scene, scene
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_smtp import Script

# Lives are processes: on a busy machine a test of many lives takes its time.
TEST_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    started = Runner()
    yield started
    started.close()


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_scene(kind: str, request: pytest.FixtureRequest, dovecot: Dovecot, runner: Runner) -> NewScene:
    """Opens a scene with an empty database of `kind`, as often as it is called, one at a time."""

    @asynccontextmanager
    async def opened(
        mailbox: Mailbox | None = None, *, script: Script | None = None, mails: Sequence[bytes] = MAILS
    ) -> AsyncIterator[Scene]:
        with TemporaryDirectory(prefix="faults-") as folder:
            url = fresh_database(kind, request, Path(folder))
            async with scene(url, Path(folder), mailbox or RealMailbox(dovecot), runner, script, mails) as here:
                yield here

    return opened
