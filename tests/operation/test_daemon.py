"""The real command as a process, between servers of this one: signals, a changed configuration, systemd's datagrams."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailbox_service.app import now
from mailbox_service.demo.servers import DemoMailServer
from tests.end_to_end.daemon import ROOT, Desk
from tests.operation.manager import Manager, until

T = TypeVar("T")
PEOPLE = ("security", "ada", "grace", "reporter", "team")
ACCOUNTS = {f"{name}@example.org": (name, "pw") for name in PEOPLE}


class Post:
    """A mail server in a thread of this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="post")
        self._thread.start()
        self.server = DemoMailServer(clock=now, accounts=ACCOUNTS)
        self.do(self.server.__aenter__())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def report(self, number: int) -> None:
        """One report arrives in the watched mailbox."""
        text = (
            f"From: reporter@example.org\r\nTo: security@example.org\r\nSubject: SQL injection number {number}\r\n"
            f"Message-ID: <{number}@reporter.example>\r\n\r\n"
            f"An SQL injection in form {number}, with a proof of concept.\r\n"
        )
        self.do(self.server.deliver("security@example.org", text.encode()))

    def of(self, name: str) -> list[str]:
        """Message-IDs of what arrived at somebody's."""
        messages = self.do(self.server.messages(f"{name}@example.org"))
        return [str(message_from_bytes(data)["Message-ID"]) for data in messages]

    def close(self) -> None:
        self.do(self.server.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def post() -> Iterator[Post]:
    opened = Post()
    yield opened
    opened.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    opened = Manager.at(tmp_path)
    yield opened
    opened.close()


class House(Desk):
    """The end-to-end desk, with monitoring and a service manager."""

    def __init__(self, folder: Path, url: str, post: Post, manager: Manager) -> None:
        server = post.server
        super().__init__(folder, url, imap=server.imap_port, user="security", smtp=server.smtp_port)
        self.change(lambda text: text + 'health: {listen: "127.0.0.1:0"}\n')
        self.change(lambda text: text.replace("    imap:", "    canary: null\n    imap:", 1))
        self.manager = manager

    def until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        # The kernel keeps few datagrams for a manager that does not read.
        until(lambda: bool(self.manager.listen()) and done(), seconds)

    def change(self, how: Callable[[str], str]) -> None:
        self.config.write_text(how(self.config.read_text()))

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Until the end of the block, or of the process; asked to stop, it ends well within ten seconds."""
        environ = os.environ | self.manager.environ | {"WATCHDOG_USEC": "3000000"}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(self.command("run"), cwd=ROOT, stdout=log, stderr=log, env=environ)
        try:
            self.until(lambda: "READY=1" in self.manager.heard)
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == os.EX_OK, self.log()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = (self.folder / "log").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def page(self, path: str) -> tuple[int, str]:
        """A page of the daemon: status and text."""
        (served,) = self.events("health is served")
        connection = http.client.HTTPConnection("127.0.0.1", served["port"], timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


@contextmanager
def asking(house: House, path: str) -> Iterator[list[int]]:
    """Ask for a page again and again; the list holds every answer's status, 0 where there was none."""
    seen: list[int] = []
    end = threading.Event()

    def ask() -> None:
        while not end.wait(0.02):
            try:
                seen.append(house.page(path)[0])
            except OSError:
                seen.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def test_a_changed_configuration_takes_effect_and_a_wrong_one_is_refused(
    tmp_path: Path, sqlite_url: str, post: Post, manager: Manager
) -> None:
    house = House(tmp_path, sqlite_url, post, manager)
    with house.daemon() as process:
        house.until(lambda: house.page("/readyz")[0] == 200)
        post.report(1)
        house.until(lambda: len(post.of("ada")) == 1)
        with asking(house, "/healthz") as seen:
            house.change(lambda text: text.replace("{name: Ada, address: ada@", "{name: Grace, address: grace@"))
            process.send_signal(signal.SIGHUP)
            house.until(lambda: len(house.events("configuration taken over")) == 1)
            house.until(lambda: house.page("/readyz")[0] == 200)
            post.report(2)
            house.until(lambda: len(post.of("grace")) == 1)
            house.change(lambda text: text.replace("poll_interval: 10s", "poll_interval: soon"))
            process.send_signal(signal.SIGHUP)
            house.until(lambda: len(house.events("configuration not taken over")) == 1)
            post.report(3)
            house.until(lambda: len(post.of("grace")) == 2)
        assert set(seen) == {200}
        status, text = house.page("/metrics")
        assert status == 200
        assert 'mailbox_service_messages_worked_total{disposition="case",mailbox="security"} 3.0' in text
        assert 'mailbox_service_reloads_total{result="taken over"} 1.0' in text
        assert 'mailbox_service_reloads_total{result="refused"} 1.0' in text
        assert not re.search(r"@|SQL|injection|Ada|Grace", text)
        house.until(lambda: house.manager.listen().count("WATCHDOG=1") > 1)
    assert len(post.of("ada")) == 1 and len(post.of("reporter")) == 3
    (wrong,) = house.events("configuration not taken over")
    assert re.search(r"config\.yaml:\d+: mailboxes\.0\.imap\.poll_interval: ", wrong["reason"])
    assert house.manager.states() == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]


def test_a_storm_of_reloads_in_the_middle_of_the_work_loses_and_doubles_nothing(
    tmp_path: Path, database_url: str, post: Post, manager: Manager
) -> None:
    house = House(tmp_path, database_url, post, manager)
    count = 60
    with house.daemon() as process:
        house.until(lambda: house.page("/readyz")[0] == 200)
        for number in range(count):
            post.report(number)
            if number % 5 == 0:
                process.send_signal(signal.SIGHUP)
        house.until(lambda: len(house.events("configuration taken over")) > 1)
        house.until(lambda: len(post.of("reporter")) >= count)
        house.until(lambda: {mail["state"] for mail in house.mails()} == {"sent"})
        process.send_signal(signal.SIGHUP)  # and the end comes while it is carried out
    assert [m["disposition"] for m in house.messages()] == ["case"] * count
    assert len(post.of("reporter")) == count  # and the maintainers are told of many at once
    assert {Counter(post.of(name)).most_common(1)[0][1] for name in ("reporter", "ada")} == {1}
    assert {mail["state"] for mail in house.mails()} == {"sent"}
