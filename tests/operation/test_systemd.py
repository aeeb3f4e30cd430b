"""What a service manager hears, over a real socket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailbox_service.adapters.systemd import Notifier
from tests.operation.manager import Manager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager.at(tmp_path) if request.param == "path" else Manager(f"@mailbox-service-test-{os.getpid()}")
    yield made
    made.close()


def test_each_state_is_told(manager: Manager) -> None:
    notifier = Notifier(manager.environ)
    notifier.ready()
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()
    ready, reloading, watchdog, stopping = manager.listen()
    assert (ready, watchdog, stopping) == ("READY=1", "WATCHDOG=1", "STOPPING=1")
    assert re.fullmatch(r"RELOADING=1 MONOTONIC_USEC=\d+", reloading)


def test_a_status_is_one_line_and_told_once(manager: Manager) -> None:
    notifier = Notifier(manager.environ)
    notifier.status("watching\nREADY=1")
    notifier.status("watching READY=1")
    notifier.status("ready")
    assert manager.listen() == ["STATUS=watching READY=1", "STATUS=ready"]


@pytest.mark.parametrize("socket", ["", "/nowhere/notify", "relative", "@nobody-listens-here", "vsock:2:1234"])
def test_where_nobody_listens_nothing_happens(socket: str) -> None:
    Notifier({"NOTIFY_SOCKET": socket}).ready()
    Notifier({}).ready()


def test_a_manager_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    manager = Manager.at(tmp_path)
    notifier = Notifier(manager.environ)
    for _ in range(5000):
        notifier.watchdog()
    assert 0 < len(manager.listen()) < 5000
    manager.close()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # meant for another process
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_or_not(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog_seconds == seconds
