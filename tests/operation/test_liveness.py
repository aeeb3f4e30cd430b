"""A process that does not get on is told apart from one whose world is broken."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog

from mailbox_service.adapters.systemd import Notifier
from mailbox_service.app import liveness, now
from mailbox_service.app.liveness import Liveness, unheard
from mailbox_service.app.service import Service
from mailbox_service.config import load
from mailbox_service.errors import TemporaryError
from mailbox_service.services import clocks, intake, outbox
from mailbox_service.services.signals import Pulse
from tests.operation.manager import Manager

# A server that nobody runs: the watchers try again and again.
CONFIG = """
database: {{url: "{url}"}}
secret_file: token.secret
mailboxes:
  - name: security
    address: security@example.org
    team_address: team@example.org
    project_name: Example
    imap: {{host: 127.0.0.1, port: 1, security: none, username: u, password_file: password, poll_interval: 60s}}
    smtp: {{host: 127.0.0.1, port: 1, security: none}}
    maintainers: [{{name: Ada, address: ada@example.org}}]
"""


@pytest.fixture
def service(tmp_path: Path, sqlite_url: str) -> Service:
    (tmp_path / "password").write_text("pw\n")
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=sqlite_url))
    return Service.open(load(tmp_path / "config.yaml", {}))


@contextlib.asynccontextmanager
async def running(service: Service, life: Liveness) -> AsyncIterator[None]:
    stop = asyncio.Event()
    serving = asyncio.create_task(service.run(stop))
    await service.running.wait()
    life.watch(service)
    looking = asyncio.create_task(life.run())
    try:
        yield
    finally:
        looking.cancel()
        life.watch(None)
        stop.set()
        await asyncio.wait({looking, serving})


async def until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110  # what is waited for rings no bell
            await asyncio.sleep(0.02)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setattr(liveness, "ROUND_SECONDS", 0.05)
    opened = Manager.at(tmp_path)
    yield opened
    opened.close()


async def test_a_mail_server_that_is_away_is_no_reason_to_be_killed(service: Service, manager: Manager) -> None:
    life = Liveness(Notifier(manager.environ))
    assert life.unready() == ["starting"]
    async with running(service, life):
        await until(lambda: manager.listen().count("WATCHDOG=1") > 2)
        assert life.problems() == []
        assert life.unready() == [
            "mailbox security, folder INBOX: not looked at in time",
            "mailbox security, folder Junk: not looked at in time",
        ]
        assert f"STATUS={'; '.join(life.unready())}" in manager.listen()
        inbox, junk = service.sources["security"].watchers
        inbox.status.last_poll_at = now()
        junk.status.found = False
        assert life.unready() == []
        inbox.status.heard_at -= 200
        assert life.unready() == []  # three polls and a minute
        inbox.status.heard_at -= 100
        assert life.unready() == ["mailbox security, folder INBOX: not looked at in time"]
        inbox.status.heard_at += 300
        await until(lambda: "STATUS=watching security" in manager.listen())


async def test_a_database_that_is_away_is_no_reason_either(
    service: Service, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Liveness(Notifier(manager.environ))
    async with running(service, life):
        await until(lambda: life.database_up)

        async def away(_: object) -> None:
            raise TemporaryError("database: away")

        with monkeypatch.context() as patch:
            patch.setattr(service.database, "transact", away)
            await until(lambda: not life.database_up)
            manager.forget()
            await until(lambda: "WATCHDOG=1" in manager.listen())
            assert "the database does not answer" in life.unready()
        await until(lambda: life.database_up)


async def test_a_stuck_database_thread_silences_the_watchdog_until_it_goes_on(
    service: Service, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "DATABASE_STUCK_SECONDS", 0.5)
    life = Liveness(Notifier(manager.environ))
    free = threading.Event()
    with structlog.testing.capture_logs() as logged:
        async with running(service, life):
            await until(lambda: life.database_up)
            stuck = asyncio.create_task(service.database.transact(lambda tx: free.wait(60)))
            try:
                await until(lambda: any("database: no progress" in problem for problem in life.problems()))
                manager.forget()
                await asyncio.sleep(0.3)  # several rounds
                assert "WATCHDOG=1" not in manager.listen()
            finally:
                free.set()
            await stuck
            await until(lambda: life.problems() == [])
            await until(lambda: "WATCHDOG=1" in manager.listen())
    assert [line["event"] for line in logged].count("no progress") == 1


async def test_a_stuck_worker_and_an_ended_task_are_problems(service: Service, manager: Manager) -> None:
    life = Liveness(Notifier(manager.environ))
    async with running(service, life):
        service.intake.pulse = Pulse(-1)
        assert [problem.partition(":")[0] for problem in life.problems()] == ["worker"]
        service.intake.pulse = Pulse(60)
        service.tasks[0].cancel()
        await asyncio.wait({service.tasks[0]})
        assert life.problems() == [f"{service.tasks[0].get_name()}: has ended"]
        manager.forget()
        await asyncio.sleep(0.3)
        assert "WATCHDOG=1" not in manager.listen()


async def test_the_loops_beat_while_they_have_nothing_to_do(
    service: Service, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, interval in ((clocks, "TICK_SECONDS"), (intake, "RECOVERY_SECONDS"), (outbox, "IDLE_SECONDS")):
        monkeypatch.setattr(module, interval, 0.1)
    life = Liveness(Notifier(manager.environ))
    async with running(service, life):
        beaten = {name: pulse._last for name, pulse in service.pulses.items()}
        assert set(beaten) == {"worker", "clocks", "outbox-0", "outbox-1"}
        await until(lambda: all(pulse._last > beaten[name] for name, pulse in service.pulses.items()))


async def test_a_change_of_configuration_that_hangs_is_a_problem(manager: Manager) -> None:
    life = Liveness(Notifier(manager.environ))
    assert life.problems() == []
    life._switch = Pulse(-1)
    assert life.problems() == ["the change of the configuration hangs"]


async def test_a_door_that_is_not_open_makes_the_service_unready_and_says_why(tmp_path: Path, sqlite_url: str) -> None:
    text = re.sub(r"    imap: .*\n", "", CONFIG.format(url=sqlite_url))
    (tmp_path / "config.yaml").write_text(f"{text}intake: {{lmtp: {{socket: s}}}}\n")
    (tmp_path / "s").mkdir()
    service = Service.open(load(tmp_path / "config.yaml", {}))
    assert unheard(service) == ["door lmtp: not open"]
    (listener,) = service.listeners
    with pytest.raises(TemporaryError):
        await listener.serve()
    assert unheard(service) == [f"door lmtp: {tmp_path}/s: is there, and is no socket"]
    (tmp_path / "s").rmdir()
    serving = asyncio.create_task(listener.serve())
    await until(lambda: unheard(service) == [])
    await listener.close()
    await serving
    await service.close()
