"""A mailbox with mail, a submission server, observers on both wires, and lives of the service between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any, Protocol

import psycopg

from tests.faults import records
from tests.faults.failpoints import Fault
from tests.faults.judge import EVER, judge, judge_mailbox
from tests.faults.observer import Accepted, Committed, Death, History, ImapObserver
from tests.faults.proxy import Proxy
from tests.faults.runner import Order
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_imap import ScriptedImap
from tests.peers.scripted_smtp import Script, ScriptedSmtp, scripted_smtp

ROOT = Path(__file__).resolve().parents[2]

# More than enough for one machine to do one pass in, however busy.
PASS_SECONDS = 60.0
# Passes until all is done: one that works, one for what fell due meanwhile, one that finds nothing.
PASSES = 6
# Between passes, so that whatever waits for another attempt is due.
LATER_SECONDS = 3600.0

REPORT = "I found an SQL injection in the login form, with a proof of concept. CVE requested. Steps to reproduce:"
QUESTION = "Hello, how do I configure LDAP with docker compose? The documentation does not say. Thanks"


def mail(number: int, subject: str, body: str) -> bytes:
    head = f"From: r{number}@d{number}.example\r\nTo: security@example.org\r\nMessage-ID: <{number}@d.example>\r\n"
    return f"{head}Subject: {subject}\r\n\r\n{body}\r\n".encode()


MAILS = (
    mail(1, "SQL injection vulnerability", REPORT),
    mail(2, "How do I configure LDAP?", QUESTION),
    mail(3, "SQL injection vulnerability", REPORT),
)
FOLDERS = ("INBOX", "Processed", "Redirected", "Junk", "Held")

CONFIG = """
database: {{url: "{url}", lease: 10s}}
mailboxes:
  - name: security
    address: security@example.org
    team_address: team@example.org
    project_name: Example
    answer_backlog: true
    imap:
      host: 127.0.0.1
      port: {imap}
      security: none
      username: {user}
      password_file: password
      poll_interval: 10s
      marks: {{processed: {{folder: Processed}}, redirected: {{folder: Redirected}}}}
    smtp: {{host: 127.0.0.1, port: {smtp}, security: none}}
    maintainers: [{{name: Ada, address: ada@example.org}}, {{name: Grace, address: grace@example.org}}]
"""


class Mailbox(Protocol):
    """Where mail lies before the service has it."""

    port: int
    user: str

    def give(self, first: int, messages: Sequence[bytes]) -> None:
        """Put `messages` there; `first` is the number of the first one."""

    def kept(self) -> dict[str, list[bytes]]:
        """What lies there now, by folder."""


class RealMailbox:
    """A user of a Dovecot."""

    def __init__(self, dovecot: Dovecot) -> None:
        self.dovecot, self.port, self.user = dovecot, dovecot.port, dovecot.add_user()

    def give(self, first: int, messages: Sequence[bytes]) -> None:
        self.dovecot.fill(self.user, messages, first)

    def kept(self) -> dict[str, list[bytes]]:
        return {name: [one.data for one in self.dovecot.messages(self.user, name)] for name in FOLDERS}


class ScriptedMailbox:
    """A ScriptedImap, which misbehaves as its script says. What is moved there is gone from it, and kept here."""

    def __init__(self, server: ScriptedImap) -> None:
        self.server, self.port, self.user = server, server.port, "user"
        self._given: list[bytes] = []

    def give(self, first: int, messages: Sequence[bytes]) -> None:
        self._given += messages
        self.server.mail.update(enumerate(messages, first))

    def kept(self) -> dict[str, list[bytes]]:
        return {"anywhere": self._given}


class Runner:
    """Starts lives of the service; see runner.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def start(self, order: Order) -> int:
        return self._asked(order.dumped())["pid"]

    def wait(self, pid: int) -> int:
        return self._asked(json.dumps({"wait": pid}))["status"]

    def _asked(self, line: str) -> dict[str, int]:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass
class Scene:
    """`history` is what the observers saw so far; `clock` is how far the next lives are from the true time."""

    config: Path
    url: str
    mailbox: Mailbox
    imap: Proxy
    smtp: ScriptedSmtp
    smtp_proxy: Proxy
    runner: Runner
    history: History
    committed: Committed
    clock: float = 0.0
    lease: float = 6.0
    breakage: str = ""
    log_file: Path | None = None
    disk: Path | None = None
    _recorded_copies: int = 0
    _running: set[int] = field(default_factory=set)

    # --- lives -----------------------------------------------------------------------------------------------

    async def start(self, *faults: Fault, once: bool = True, trace: Path | None = None) -> int:
        order = Order(
            config=str(self.config),
            once=once,
            faults=list(faults),
            ports={str(self.imap.port): "imap", str(self.smtp_proxy.port): "smtp", str(self.lmtp): "lmtp"},
            trace=str(trace or ""),
            clock=self.clock,
            lease=self.lease,
            log=str(self.log_file or self.config.parent / "log"),
            disk=str(self.disk or ""),
            breakage=self.breakage,
        )
        pid = await asyncio.to_thread(self.runner.start, order)
        self._running.add(pid)
        return pid

    async def ended(self, pid: int) -> int:
        """The exit status of a life, once it is over; a death is noted in the history."""
        await until(lambda: state_of(pid) in "ZX", PASS_SECONDS, lambda: f"{pid} goes on: {self.log()}")
        status = await asyncio.to_thread(self.runner.wait, pid)
        self._running.discard(pid)
        if status == -signal.SIGKILL:
            await self._note_death()
        return status

    async def _note_death(self) -> None:
        # What lies in the sockets is still coming in.
        await until(lambda: not self.smtp_proxy.open_now and not self.smtp.open_now, PASS_SECONDS)
        self._note_unrecorded()

    def _note_unrecorded(self) -> None:
        self.look()
        sent = self.records().recorded_as_sent()
        lately = {one.message_id for one in self.history.accepted[self._recorded_copies :]}
        self._recorded_copies = len(self.history.accepted)
        self.history.deaths.append(Death(frozenset(lately - sent)))

    async def once(self, *faults: Fault, trace: Path | None = None) -> int:
        """One pass, from its start to its end, however it ends."""
        return await self.ended(await self.start(*faults, trace=trace))

    async def until_quiet(self) -> None:
        """Passes without a fault, until one says that nothing is left."""
        for _ in range(PASSES):
            status = await self.once()
            self.clock += LATER_SECONDS
            if status == 0:
                return
        raise AssertionError(f"it does not come to rest: {self.log()}")

    async def stopped(self, pid: int) -> None:
        """Returns when the life has stopped where it was told to."""
        await until(
            lambda: state_of(pid) == "T", PASS_SECONDS, lambda: f"{pid} is {state_of(pid)}, not stopped: {self.log()}"
        )

    async def asleep(self, pid: int) -> None:
        """The same, for longer than any lease: of a mail between its dot and the record nobody can know, as after a
        death."""
        await self.stopped(pid)
        await asyncio.sleep(0.3)  # what lies in the sockets is still coming in
        self._note_unrecorded()

    def go_on(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)

    async def away(self, pid: int, seconds: float) -> None:
        """Returns when the life has ended, or has had so much time to notice that something is away."""
        with contextlib.suppress(AssertionError):
            await until(lambda: state_of(pid) == "Z", seconds)

    async def told_to_stop(self, fault: Fault) -> None:
        """A daemon that gets its SIGTERM at a point, or else when all is done; it ends in good order."""
        daemon = await self.start(fault, once=False)
        await until(lambda: state_of(daemon) == "Z" or self._all_is_sent(), PASS_SECONDS, self.log, pause=0.05)
        if state_of(daemon) != "Z":
            os.kill(daemon, signal.SIGTERM)
        status = await self.ended(daemon)
        # Until it has taken the signal over, it ends as any program does, and has said nothing to anybody.
        at_once = status == -signal.SIGTERM and not self.history.fetched and not self.history.accepted
        assert status == 0 or at_once, (status, self.log())

    def _all_is_sent(self) -> bool:
        seen = self.records()
        return bool(seen.mails) and all(mail.state == "sent" for mail in seen.mails)

    async def terminate(self, *pids: int) -> list[int]:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        return [await self.ended(pid) for pid in pids]

    def clear(self) -> None:
        """Nothing of a test that failed half-way lives on."""
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.runner.wait(pid)

    # --- what the observers say ------------------------------------------------------------------------------

    def log(self) -> str:
        return (self.config.parent / "log").read_text()[-4000:]

    def look(self) -> None:
        """Take over what the submission server has seen."""
        for data in self.smtp.accepted[len(self.history.accepted) :]:
            head = message_from_bytes(data)
            self.history.accepted.append(Accepted(str(head["To"]), str(head["Message-ID"]), data))

    def note_commits(self) -> None:
        """What is committed by now counts, should the database be away when the server is told."""
        for place in self.history.fetched:
            self.committed(place.folder, place.uidvalidity)

    def records(self) -> records.Records:
        return records.read(self.url)

    @property
    def lmtp(self) -> Path:
        """The socket on which the daemon takes pushed mail."""
        return self.config.parent / "lmtp"

    def database_files(self) -> dict[str, bytes]:
        """The database of SQLite as it lies on the disk, by path."""
        path = self.url.removeprefix("sqlite:///")
        return {name: Path(name).read_bytes() for name in (path, f"{path}-wal") if Path(name).exists()}

    def give(self, *messages: bytes) -> None:
        """Put mail into the mailbox."""
        self.mailbox.give(len(self.history.given) + 1, messages)
        self.history.given += messages

    def wrong_now(self) -> list[str]:
        """What is wrong at this moment, whatever is still to come."""
        self.look()
        return judge(self.history, self.records(), EVER)

    def wrong(self) -> list[str]:
        """What is wrong, now that everything should be done."""
        self.look()
        return judge(self.history, self.records()) + judge_mailbox(self.history.given, self.mailbox.kept())


@asynccontextmanager
async def scene(
    url: str,
    folder: Path,
    mailbox: Mailbox,
    runner: Runner,
    script: Script | None = None,
    mails: Sequence[bytes] = MAILS,
) -> AsyncIterator[Scene]:
    """Mails lie in a mailbox; nothing runs yet."""
    history = History()
    (folder / "password").write_text("pw\n")
    (folder / "password").chmod(0o600)
    (folder / "log").touch()
    committed = committed_in(url)
    observer = ImapObserver(history, committed)
    async with scripted_smtp(script) as smtp, Proxy(smtp.port) as smtp_proxy, Proxy(mailbox.port, observer) as imap:
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(url=url, imap=imap.port, user=mailbox.user, smtp=smtp_proxy.port))
        here = Scene(config, url, mailbox, imap, smtp, smtp_proxy, runner, history, committed)
        here.give(*mails)
        try:
            yield here
        finally:
            await asyncio.to_thread(here.clear)


def committed_in(url: str) -> Committed:
    """What is committed at the moment of asking; of a database that is away, what it said last."""
    last: dict[tuple[str, int], dict[int, str]] = {}

    def committed(folder: str, uidvalidity: int) -> dict[int, str]:
        with contextlib.suppress(psycopg.OperationalError):
            last[folder, uidvalidity] = records.finished(url, folder, uidvalidity)
        return last.get((folder, uidvalidity), {})

    return committed


class NewScene(Protocol):
    """Opens a scene of its own, with an empty database."""

    def __call__(
        self, mailbox: Mailbox | None = None, *, script: Script | None = None, mails: Sequence[bytes] = MAILS
    ) -> AbstractAsyncContextManager[Scene]: ...


def state_of(pid: int) -> str:
    """The letter of proc(5): R, S, D, T (stopped), Z (dead)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def until(
    done: Callable[[], Any], seconds: float, otherwise: Callable[[], str] = lambda: "in vain", pause: float = 0.01
) -> None:
    """Wait for what happens in other processes, of which nobody tells."""
    try:
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110
                await asyncio.sleep(pause)
    except TimeoutError:
        raise AssertionError(otherwise()) from None
