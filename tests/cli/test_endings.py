"""How commands end: exit codes, one line an error, no traceback, and what the daemon does at a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailbox_service import __version__
from mailbox_service.adapters.database.storage import Database
from mailbox_service.app import now
from mailbox_service.cli import main
from mailbox_service.cli.exits import Exit, exit_of
from mailbox_service.cli.root import globals_first
from mailbox_service.cli.service import on_signals
from mailbox_service.demo.servers import DemoMailServer
from mailbox_service.errors import LostLease, MailboxServiceError, NotFound, PermanentError, Refused, TemporaryError
from tests.cli.desk import REPORT, Desk

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mailbox-service {__version__}\n"


@pytest.mark.parametrize(
    "words", [["nope"], ["message", "show", "x"], ["message", "sort", "1"], ["run", "--nope"], ["message", "show", "0"]]
)
def test_wrong_use_ends_with_64(desk: Desk, words: list[str]) -> None:
    answer = desk.run(*words)
    assert (answer.code, answer.out) == (64, b"")
    assert "Error: " in answer.err


def test_every_problem_of_a_configuration_is_told_and_the_code_is_78(desk: Desk) -> None:
    desk.config.write_text(desk.config.read_text().replace("Demo", '""').replace("team@demo.example", "nobody"))
    for words in (["message", "list"], ["run"], ["run", "--once"], ["migrate"], ["template", "list"], ["check"]):
        answer = desk.run(*words)
        assert answer.code == 78
        problems = [line for line in (answer.err + answer.text).splitlines() if "mailbox.yaml:" in line]
        assert len(problems) == 2, words


def test_without_any_configuration_the_places_are_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.delenv("MAILBOX_SERVICE_CONFIG", raising=False)
    monkeypatch.setattr("mailbox_service.cli.invocation.CONFIG_PLACES", (Path("config.yaml"),))
    assert main(["message", "list"]) == 78
    assert b"there is neither config.yaml" in capsysbinary.readouterr().err


def test_the_configuration_is_found_by_option_environment_and_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.done("migrate")
    assert main(["message", "list", "--config", str(desk.config)]) == 0
    monkeypatch.setenv("MAILBOX_SERVICE_CONFIG", str(desk.config))
    assert main(["message", "list"]) == 0
    monkeypatch.delenv("MAILBOX_SERVICE_CONFIG")
    desk.config.rename(desk.folder / "config.yaml")
    assert main(["message", "list"]) == 0


def test_a_listing_makes_no_database(desk: Desk) -> None:
    answer = desk.run("message", "list")
    assert (answer.code, "run `mailbox-service migrate`" in answer.err) == (69, True)
    assert not (desk.folder / "mailbox.db").exists()
    assert "from empty to schema" in desk.done("migrate").text
    assert "is up to date" in desk.done("migrate").text


def test_an_outdated_database_is_not_read(desk: Desk) -> None:
    Database.open(f"sqlite:///{desk.folder}/mailbox.db").close()
    answer = desk.run("case", "list")
    assert (answer.code, "not up to date; run `mailbox-service migrate`" in answer.err) == (69, True)


def test_an_unknown_fault_is_one_line_without_its_text(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        password = "hunter2"
        raise KeyError(f"the text may quote mail \x1b[31m, or {password}")

    desk.done("migrate")
    monkeypatch.setattr("mailbox_service.adapters.database.transaction.SqlTransaction.list_cases", fail)
    answer = desk.run("case", "list")
    assert answer.code == 70
    assert answer.err == "mailbox-service: a fault of this program: KeyError; --debug shows where\n"
    answer = desk.run("case", "list", "--debug")
    assert answer.code == 70
    assert "Traceback" in answer.err
    assert "\x1b" not in answer.err
    assert "password =" not in answer.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), 66),
        (Refused("x"), 65),
        (TemporaryError("x"), 75),
        (LostLease("x"), 75),
        (PermanentError("x"), 69),
        (MailboxServiceError("x"), 70),
    ],
)
def test_errors_have_their_codes(error: MailboxServiceError, code: int) -> None:
    assert exit_of(error) == code


def test_every_exit_code_is_documented() -> None:
    text = DOCS.read_text("utf-8")
    assert [code for code in Exit if f"| {code.value} |" not in text] == []


def test_global_options_may_stand_anywhere_but_behind_two_dashes() -> None:
    assert globals_first(["message", "list", "--config", "a", "--json"]) == [
        "--config",
        "a",
        "message",
        "list",
        "--json",
    ]
    assert globals_first(["run", "--config=a", "--debug"]) == ["--config=a", "--debug", "run"]
    assert globals_first(["ingest", "--", "--config", "a"]) == ["ingest", "--", "--config", "a"]
    assert globals_first(["run", "--config"]) == ["--config", "run"]


def command(desk: Desk, *words: str) -> list[str]:
    return [sys.executable, "-m", "mailbox_service", "--config", str(desk.config), *words]


def test_a_reader_that_goes_away_is_no_error(desk: Desk) -> None:
    desk.done("ingest", *(desk.mail(f"{n}.eml", REPORT.replace(b"login", b"%d" % n)) for n in range(3)))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command(desk, "message", "list"), stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_told(desk: Desk) -> None:
    desk.done("migrate")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command(desk, "message", "list"), stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (74, b"mailbox-service: cannot write: No space left on device\n")


# --- the daemon --------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def running(desk: Desk, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command(desk, "run", "--debug", *words), stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_the_daemon_loads_no_alembic_and_no_rich() -> None:
    code = "import sys, mailbox_service.cli.root, mailbox_service.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "mailbox_service.services.intake" in loaded
    assert not {"alembic", "rich", "typer.rich_utils", "pymap"} & set(loaded)


async def code_of(process: asyncio.subprocess.Process) -> int:
    """The exit code once it has ended; what it said to standard error is kept for the report of a failure."""
    _, said = await process.communicate()
    print(said.decode())  # noqa: T201
    assert process.returncode is not None
    return process.returncode


async def until(process: asyncio.subprocess.Process, event: str) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while event.encode() not in (line := await process.stderr.readline()):
            assert line, "the daemon ended"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_daemon_stops_cleanly_at_a_signal(desk: Desk, number: signal.Signals) -> None:
    async with DemoMailServer(clock=now) as server, asyncio.timeout(60):
        desk.configure(imap_port=server.imap_port, smtp_port=server.smtp_port)
        async with running(desk) as process:
            await until(process, '"running"')
            process.send_signal(number)
            assert await code_of(process) == 0


async def test_the_second_signal_ends_the_daemon_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: asyncio.Queue[int] = asyncio.Queue()
    monkeypatch.setattr(os, "_exit", ends.put_nowait)
    stop = asyncio.Event()
    on_signals(stop.set)
    try:
        async with asyncio.timeout(10):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            assert ends.empty()
            os.kill(os.getpid(), signal.SIGINT)
            assert await ends.get() == 130
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


async def test_one_pass_takes_mail_in_answers_it_and_ends_with_0(desk: Desk) -> None:
    async with DemoMailServer(clock=now) as server, asyncio.timeout(60):
        desk.configure(imap_port=server.imap_port, smtp_port=server.smtp_port)
        async with running(desk, "--once") as process:
            assert await code_of(process) == 0
        report = REPORT.replace(b"eve@research.example", b"reporter@research.example")
        await server.deliver("security@demo.example", report)
        async with running(desk, "--once") as process:
            assert await code_of(process) == 0
        (acknowledgement,) = await server.messages("reporter@research.example")
        rows = await asyncio.to_thread(desk.rows, "outbox", "list")
        (first, *_) = rows
        shown = await asyncio.to_thread(desk.done, "outbox", "show", str(first["id"]))
        again = await asyncio.to_thread(desk.run, "outbox", "retry", str(first["id"]))
    assert b"SEC-2026-0001" in acknowledgement
    assert "\nThe mail:\n" in shown.text
    assert (again.code, "is sent; only waiting, failed and bounced" in again.err) == (65, True)
    assert {row["kind"]: row["state"] for row in rows} == {"acknowledgement": "sent", "notice_case": "sent"}


async def test_one_pass_that_leaves_something_ends_with_75(desk: Desk) -> None:
    async with asyncio.timeout(60), running(desk, "--once") as process:
        assert await code_of(process) == 75
