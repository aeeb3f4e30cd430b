"""SIGHUP's work in one process: all that can be wrong is found before anything running is touched."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import structlog

from mailbox_service import logs
from mailbox_service.adapters.database.storage import Database
from mailbox_service.app import Daemon
from mailbox_service.app.service import Service
from mailbox_service.config import Config, load
from mailbox_service.errors import TemporaryError
from tests.operation.manager import Manager
from tests.operation.test_liveness import CONFIG, until


class House:
    """A configuration in a folder, and the daemon that runs it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        (folder / "password").write_text("pw\n")
        (folder / "password").chmod(0o600)
        self.manager = Manager.at(folder)
        self.write()

    def write(self, text: str = CONFIG, **more: str) -> None:
        (self.folder / "config.yaml").write_text(text.format(url=more.pop("url", self.url)) + "".join(more.values()))

    def load(self) -> Config:
        return load(self.folder / "config.yaml", {})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Daemon]:
        daemon = Daemon.open(self.load(), self.load, self.manager.environ)
        run = asyncio.create_task(daemon.run())
        try:
            await until(lambda: "READY=1" in self.manager.listen())
            yield daemon
        finally:
            daemon.stop()
            await run

    async def told(self, count: int) -> None:
        """That so many reloads have come to their end."""
        await until(lambda: self.manager.states().count("READY") == count + 1)


@pytest.fixture
def house(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(logs, "configure", lambda *_: None)  # the test reads the log
    return House(tmp_path, database_url)


def broken_key(house: House) -> str:
    house.write(more="limitz: {}\n")
    return "config.yaml:12: limitz: there is no such key; did you mean limits?"


def no_longer_yaml(house: House) -> str:
    (house.folder / "config.yaml").write_text("mailboxes: [")
    return "config.yaml:1"


def gone(house: House) -> str:
    (house.folder / "config.yaml").unlink()
    return "config.yaml"


def template(house: House) -> str:
    (house.folder / "own").mkdir()
    (house.folder / "own" / "redirect.txt").write_text("Subject: {{ nothing_of_that_name }}\n\n{{ 1 / 0 }}\n")
    house.write(more="templates: own\n")
    return "redirect.txt"


def secret(house: House) -> str:
    (house.folder / "token.secret").write_text("damaged\n")
    return "token.secret:1: the token secrets are damaged"


def database(house: House) -> str:
    house.write(url="postgresql://nobody@127.0.0.1:1/none")
    return "database:"


def port(house: House) -> str:
    taken = socket.create_server(("127.0.0.1", 0))
    number = taken.getsockname()[1]
    house.write(more=f'health: {{listen: "127.0.0.1:{number}"}}\n')
    house.taken = taken  # type: ignore[attr-defined]  # held until the test ends
    return f"cannot listen on port {number}"


def fault(house: House) -> str:
    def broken() -> Config:
        raise ZeroDivisionError

    house.load = broken  # type: ignore[method-assign]
    return ""


@pytest.mark.parametrize("spoil", [broken_key, no_longer_yaml, gone, template, secret, database, port, fault])
async def test_what_is_wrong_is_said_and_nothing_changes(
    spoil: Callable[[House], str], tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    house = House(tmp_path, sqlite_url)
    with structlog.testing.capture_logs() as logged:
        async with house.running() as daemon:
            service, tasks = daemon.service, list(daemon.service.tasks)
            expected = spoil(house)
            daemon._load = house.load
            daemon.reload()
            await house.told(1)
            assert daemon.service is service and not any(task.cancelled() for task in tasks)
        assert house.manager.states() == ["READY", "RELOADING", "READY", "STOPPING"]
    if taken := getattr(house, "taken", None):
        taken.close()
    house.manager.close()
    reasons = [str(line.get("reason", "")) for line in logged if line["event"] == "configuration not taken over"]
    assert reasons and any(expected in reason for reason in reasons)
    assert "configuration taken over" not in [line["event"] for line in logged]


async def test_the_worker_keeps_its_slot_and_what_it_had_claimed(house: House) -> None:
    async with house.running() as daemon:
        first = daemon.service
        assert first.database.identity == "worker-0"
        house.write(CONFIG.replace("Ada", "Grace"))
        daemon.reload()
        await house.told(1)
        assert daemon.service is not first
        assert daemon.service.database is first.database and first.database.identity == "worker-0"
        assert daemon.service.mailboxes["security"].maintainers[0].name == "Grace"
        assert all(task.done() for task in first.tasks)
        # A second worker finds the next slot: ours is not up for grabs.
        other = Database.open(house.url)
        assert other.identity == "worker-1"
        other.close()
    house.manager.close()


async def test_another_database_is_taken_over_and_the_old_one_is_let_go(house: House, tmp_path: Path) -> None:
    async with house.running() as daemon:
        old = daemon.service.database
        house.write(url=f"sqlite:///{tmp_path / 'new.db'}")
        daemon.reload()
        await house.told(1)
        assert daemon.service.database is not old
        assert daemon.service.database.identity == "worker-0"
        free = Database.open(house.url)
        assert free.identity == "worker-0"
        free.close()
    house.manager.close()


async def test_reloads_that_come_together_are_one_or_two(house: House) -> None:
    async with house.running() as daemon:
        for _ in range(50):
            daemon.reload()
        await house.told(1)
        await asyncio.sleep(0)
        assert house.manager.states().count("RELOADING") <= 2
    house.manager.close()


async def test_the_end_does_not_wait_for_a_reload(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Daemon) -> None:
        reading.set()
        await go_on.wait()

    monkeypatch.setattr(Daemon, "_prepared", slow)
    async with house.running() as daemon:
        daemon.reload()
        async with asyncio.timeout(30):
            await reading.wait()
    assert house.manager.states() == ["READY", "RELOADING", "STOPPING"]
    house.manager.close()


async def test_a_task_that_does_not_end_ends_the_process_rather_than_sending_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = Service.serve

    async def clinging(self: Service, stop: asyncio.Event) -> bool:
        await serve(self, stop)
        return False

    monkeypatch.setattr(Service, "serve", clinging)
    with pytest.raises(TemporaryError, match="does not end"):
        async with house.running() as daemon:
            daemon.reload()
            await until(lambda: all(task.done() for task in daemon.service.tasks))
    house.manager.close()


def served(daemon: Daemon) -> bool:
    return daemon._health is not None and not daemon._health.done()


async def test_monitoring_can_be_switched_on_moved_and_off(house: House) -> None:
    async with house.running() as daemon:
        assert not served(daemon)
        house.write(more='health: {listen: "127.0.0.1:0"}\n')
        daemon.reload()
        await house.told(1)
        assert served(daemon)
        house.write()
        daemon.reload()
        await house.told(2)
        assert not served(daemon)
    house.manager.close()
