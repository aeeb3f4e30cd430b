"""A real PostgreSQL for the tests: made from nothing, on a free port of loopback, gone afterwards."""

from __future__ import annotations

import os
import pwd
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_USER = "mailbox"

# Below the range from which the kernel takes ports for outgoing connections, so that the port is still free when a
# server that was killed starts again on it.
_PORTS = range(20000, 32000)


class PostgresServer:
    """One cluster in a folder of its own; `database()` gives the URL of a new, empty database in it.

    It listens on 127.0.0.1:`port` and on a unix socket in `folder`, and lets everybody in. `stop`, `kill` and `start`
    keep data, port and URLs. With `fsync` off a database is quicker, and only a crash of the machine (not `kill`) can
    show the difference.
    """

    def __init__(self, *, fsync: bool = True, shared_buffers: str = "16MB") -> None:
        """Make the cluster; nothing runs before `start`. Fails the test when PostgreSQL is not installed."""
        self._binaries = _binaries()
        self._fsync, self._shared_buffers = fsync, shared_buffers
        self._databases = 0
        self._process: subprocess.Popen[str] | None = None
        self.log: list[str] = []
        self.port = _free_port()
        # Not pytest's tmp_path: the path of a unix socket may have 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._identity = _unprivileged()
        if self._identity:
            os.chown(self.folder, self._identity["user"], self._identity["group"])
        self._run(
            str(self._binaries / "initdb"),
            *("--no-sync", "--auth=trust", f"--username={_USER}"),
            *("--encoding=UTF8", "--locale=C", f"--pgdata={self.folder / 'data'}"),
        )

    def start(self) -> None:
        """Start the server and return once it takes connections."""
        assert self._process is None, "it runs already"
        for _ in range(5):
            if self._started():
                return
            if not any("could not bind" in line for line in self.log):
                break
            self.port = _free_port()  # somebody took the port in the meantime
        pytest.fail("PostgreSQL did not start:\n" + "".join(self.log[-30:]))

    def stop(self) -> None:
        """Shut down in good order; open transactions are rolled back, and clients lose their connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server as a crash would; what was committed is there again after `start`."""
        assert self._process is not None
        # The children live on for a moment without their parent, and a new server waits for none of them.
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._end(signal.SIGKILL)
        for child in children:
            _kill_and_wait(int(child))

    def database(self) -> str:
        """The URL of a new, empty database, as the configuration and psycopg read it."""
        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def remove(self) -> None:
        """Stop the server if it runs, and delete everything."""
        if self._process is not None:
            self._end(signal.SIGQUIT)  # at once: there is nothing to save
        shutil.rmtree(self.folder, ignore_errors=True)

    def _url(self, database: str) -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def _started(self) -> bool:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if self._fsync else "off",
            "shared_buffers": self._shared_buffers,
            "max_connections": "60",
            "lc_messages": "C",  # `_follow` reads the log
        }
        self.log = []
        self._process = subprocess.Popen(
            [
                *(str(self._binaries / "postgres"), "-D", str(self.folder / "data")),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=self.folder,
            **self._identity,
        )
        assert self._process.stderr is not None
        decided, self._ready = threading.Event(), False
        self._follower = threading.Thread(target=self._follow, args=(self._process.stderr, decided), daemon=True)
        self._follower.start()
        decided.wait(_START_SECONDS)
        if not self._ready:
            self._end(signal.SIGKILL)
        return self._ready

    def _follow(self, stream: IO[str], decided: threading.Event) -> None:
        with stream:
            for line in stream:
                self.log.append(line)
                if "database system is ready to accept connections" in line:
                    self._ready = True
                    decided.set()
        decided.set()

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._follower.join(_STOP_SECONDS)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self._identity)
        if done.returncode != 0:
            pytest.fail(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")


def _binaries() -> Path:
    """The folder with initdb and postgres. Debian keeps them out of PATH, one folder for each version."""
    versions = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if versions:
        return max(versions, key=lambda folder: int(folder.parent.name))
    in_path = shutil.which("initdb")
    if in_path is None:
        pytest.fail("PostgreSQL is not installed. On Debian: apt install postgresql (script/test does it)")
    return Path(in_path).resolve().parent


def _unprivileged() -> dict[str, Any]:
    """How to start a process that is not root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.fail("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail(f"no free port between {_PORTS.start} and {_PORTS.stop}")


def _kill_and_wait(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], _STOP_SECONDS)  # readable once the process has ended
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL, shared by the tests of a session; whoever stops it starts it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()
