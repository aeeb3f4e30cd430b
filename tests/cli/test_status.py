"""`status`: what a person, and a script, learn of a daemon that is well and of one that is not."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.alarms import AlarmState
from mailbox_service.services.canary import Canary
from mailbox_service.services.reconciliation import Record
from tests.cli.desk import QUESTION, REPORT, Desk

WELL: dict[str, Any] = {
    "version": "1.2.3",
    "pid": 4711,
    "alive": True,
    "ready": True,
    "reasons": [],
    "folders": [
        {
            "mailbox": "security",
            "folder": "INBOX",
            "junk": False,
            "connected": True,
            "idle": True,
            "found": True,
            "login_refused": False,
            "last_poll_at": "2026-11-25T10:00:00+00:00",
            "failures": 0,
            "backlog": 0,
            "unread": 0,
            "last_error": "\x1b[31mBYE",
        }
    ],
    "doors": [
        {
            "door": "lmtp",
            "listening": False,
            "last_error": "no such folder\x1b[2J",
            "stored": 7,
            "failed": 1,
            "refused": 2,
            "last_stored_at": "2026-11-25T09:00:00+00:00",
        }
    ],
}


@contextlib.contextmanager
def daemon(desk: Desk, told: object) -> Iterator[None]:
    """Something that answers where the configuration says that the daemon does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(told if isinstance(told, bytes) else json.dumps(told).encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with desk.config.open("a") as config:
        config.write(f'health: {{listen: "127.0.0.1:{server.server_port}"}}\n')
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_to_say_is_healthy(desk: Desk) -> None:
    desk.done("migrate")
    answer = desk.done("status")
    assert "ok       database: reachable" in answer.text
    assert "Nothing waits." in answer.text


def test_the_daemon_is_asked(desk: Desk) -> None:
    desk.done("migrate")
    with daemon(desk, WELL):
        answer = desk.done("status")
        assert "ok       daemon: version 1.2.3, process 4711, does its work" in answer.text
        assert "security  INBOX   told at once  2026-11-25 10:00" in answer.text
        assert "\x1b" not in answer.text
        told = desk.done("status", "--json").json
    assert set(told) == {"healthy", "findings", "paused", "queues", "daemon"}
    assert told["healthy"] is True and told["paused"] is False and told["daemon"]["pid"] == 4711


@pytest.mark.parametrize(
    ("folder", "state"),
    [
        ({"login_refused": True}, "login refused"),
        ({"found": False}, "no such folder"),
        ({"connected": False}, "not connected"),
        ({"idle": False}, "connected"),
    ],
)
def test_the_state_of_a_folder_is_told_in_words(desk: Desk, folder: dict[str, object], state: str) -> None:
    desk.done("migrate")
    with daemon(desk, WELL | {"folders": [WELL["folders"][0] | folder]}):
        assert f"INBOX   {state}" in desk.done("status").text


def test_a_daemon_that_does_not_do_its_work_is_not_healthy(desk: Desk) -> None:
    desk.done("migrate")
    reasons = ["mailbox security, folder INBOX: login refused"]
    with daemon(desk, WELL | {"ready": False, "reasons": reasons}):
        answer = desk.run("status")
        assert answer.code == 1
        assert "error    daemon: mailbox security, folder INBOX: login refused" in answer.text
        assert desk.run("status", "--json").json["healthy"] is False


def test_a_door_for_pushed_mail_is_told_of(desk: Desk) -> None:
    desk.done("migrate")
    with daemon(desk, WELL):
        text = desk.done("status").text
    assert "lmtp  no    7       1       2        2026-11-25 09:00   no such folder" in text and "\x1b" not in text


@pytest.mark.parametrize("told", [b"<html>", [], {}, WELL | {"folders": None}, b""])
def test_somebody_else_at_the_port_is_no_daemon(desk: Desk, told: object) -> None:
    desk.done("migrate")
    with daemon(desk, told):
        answer = desk.run("status")
    assert answer.code == 1
    assert "error    daemon: does not answer at 127.0.0.1:" in answer.text


def test_a_daemon_that_is_down_is_not_healthy(desk: Desk) -> None:
    desk.done("migrate")
    with daemon(desk, WELL):
        pass
    assert desk.run("status").code == 1


def test_what_waits_is_told_and_old_work_is_not_healthy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.done("ingest", "--answer", desk.mail("a.eml", REPORT), desk.mail("b.eml", QUESTION))
    desk.done("outbox", "pause")
    answer = desk.done("status")
    assert "warning  outbox: is paused: no mail leaves" in answer.text
    rows = {row["name"]: row["count"] for row in desk.done("status", "--json").json["queues"]}
    assert rows["mails"] == 3  # acknowledgement, notice, redirect
    monkeypatch.setattr("mailbox_service.cli.status.MAILS_LATE", timedelta(days=-1))
    late = desk.done("status")
    assert "warning  mailbox security: 3 mails wait, the oldest for 0 min" in late.text


def test_without_a_database_it_is_said_so(desk: Desk) -> None:
    answer = desk.run("status")
    assert answer.code == 69
    assert "error    database: there is no database" in answer.text
    assert desk.run("status", "--json").json["queues"] == []


def test_alarms_the_canary_and_the_reconciliation_are_told(desk: Desk) -> None:
    desk.done("migrate")
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    alarm = AlarmState(True, at, at, at, "worker-0", "the folder INBOX cannot be looked at")
    database = Database.open(f"sqlite:///{desk.folder / 'mailbox.db'}")
    for name, value in (
        ("alarm/security/folder", alarm.dump()),
        ("alarm/security/held", replace(alarm, on=False).dump()),
        ("canary/security", Canary(at, at, latency_seconds=2.25).dump()),
        ("reconciliation/security", Record(at, at + timedelta(minutes=1)).dump()),
    ):
        database.run(lambda tx, name=name, value=value: tx.put_setting(name, value))  # type: ignore[misc]
    database.close()
    text = desk.done("status").text
    assert "alarm folder since 2026-11-23 12:00 UTC: the folder INBOX cannot be looked at" in text
    assert "alarm held" not in text
    assert "its canary came back after 2.2 s, 2026-11-23 12:00 UTC" in text
    assert "compared with the server 2026-11-23 12:01 UTC: all is on file" in text
