"""A throw-away Dovecot: IMAP (with STARTTLS), IMAP over TLS and LMTP on free ports of 127.0.0.1.

    def test_something(dovecot: Dovecot) -> None:
        user = dovecot.add_user()

State lives in a folder of its own under the system's temporary folder; as root it runs as `nobody`.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import imaplib
import itertools
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.certificates import make_certificates

_CONFIGURATION = """
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/log
listen = 127.0.0.1
protocols = imap lmtp
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_cache_size = 0
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:~/Maildir
mail_fsync = never
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 200
default_vsz_limit = 1G
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
  mailbox Junk {{
    special_use = \\Junk
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
service stats {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/users/%u
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={dir}/mail/%n
}}
"""

_FLAGS = re.compile(rb"UID (\d+).*?FLAGS \(([^)]*)\)")
_START_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Kept:
    """One message as the server holds it."""

    uid: int
    flags: frozenset[str]
    data: bytes


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many different ones; asked for one by one, the system may name the same again."""
    with contextlib.ExitStack() as open_ones:
        probes = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Dovecot:
    """`prefix` and `separator` are those of the personal namespace."""

    def __init__(self, *, prefix: str = "", separator: str = "/") -> None:
        for program, package in (("dovecot", "dovecot-imapd"), ("doveadm", "dovecot-core")):
            if shutil.which(program) is None:
                raise RuntimeError(f"{program} is missing: install the Debian packages {package} dovecot-lmtpd")
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self._root = os.geteuid() == 0
        account = pwd.getpwnam("nobody") if self._root else pwd.getpwuid(os.geteuid())
        self._uid, self._gid = account.pw_uid, account.pw_gid
        self.port, self.tls_port, self.lmtp_port = free_ports(3)
        certificates = make_certificates(self.folder / "tls")
        self.ca_file = certificates.ca_file
        self._users = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("run", "mail", "users"):
            (self.folder / name).mkdir()
        self._configuration = self.folder / "dovecot.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(
                dir=self.folder,
                certificate=certificates.certificate_file,
                key=certificates.key_file,
                user=account.pw_name,
                group=grp.getgrgid(account.pw_gid).gr_name,
                prefix=prefix,
                separator=separator,
                port=self.port,
                tls_port=self.tls_port,
                lmtp_port=self.lmtp_port,
            )
        )
        self._give_away(self.folder)

    def _give_away(self, top: Path) -> None:
        if self._root:
            for path in (top, *top.rglob("*")):
                os.chown(path, self._uid, self._gid)

    def _as_user(self, *command: str) -> list[str]:
        if not self._root:
            return list(command)
        return ["setpriv", f"--reuid={self._uid}", f"--regid={self._gid}", "--clear-groups", *command]

    # --- its life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start, on the same ports and with the same mail as before; returns when it accepts connections."""
        for lock in (self.folder / "mail").rglob("*.lock"):
            # Left by a process that was killed; Dovecot would wait for minutes until it dares to break it.
            lock.unlink(missing_ok=True)
        with (self.folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                self._as_user("dovecot", "-F", "-c", str(self._configuration)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        end = time.monotonic() + _START_SECONDS
        while not all(_accepts(port) for port in (self.port, self.tls_port, self.lmtp_port)):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"dovecot does not start:\n{self.log()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """An orderly end; clients get a BYE."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the master and to every process of its."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if how is signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self._process.pid, how)
        else:
            self._process.send_signal(how)
        self._process.wait(_START_SECONDS)
        self._process = None
        # Its children hold the listening sockets a moment longer.
        end = time.monotonic() + _START_SECONDS
        while _accepts(self.port) or _accepts(self.tls_port) or _accepts(self.lmtp_port):
            if time.monotonic() > end:
                raise RuntimeError("dovecot does not end")
            time.sleep(0.02)
        (self.folder / "run" / "master.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        files = [self.folder / "stderr", self.folder / "log"]
        return "".join(path.read_text(errors="replace") for path in files if path.exists())

    # --- its mail ---------------------------------------------------------------------------------------------

    def add_user(self, name: str | None = None, password: str = "pw") -> str:
        """A user with an empty mailbox (a fresh one when no name is given); given again: a new password."""
        name = name or f"user{next(self._users)}"
        # A file each: Dovecot looks at a file again only in the next second.
        secret = self.folder / "users" / name
        changed = secret.exists()
        secret.write_text(f"{name}:{{PLAIN}}{password}::::::\n")
        if changed:
            time.sleep(1.1)
        return name

    def deliver(self, user: str, data: bytes) -> None:
        """Through LMTP into INBOX, as a mail server would: trace headers are added."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as lmtp:
            lmtp.sendmail("sender@example.org", [user], data)

    def append(self, user: str, *messages: bytes, folder: str = "INBOX", date: str | None = None) -> None:
        """Byte for byte, by APPEND; `date` is an INTERNALDATE in double quotes."""
        with self.imap(user) as imap:
            for data in messages:
                # imaplib turns every line end into CRLF, as the wire wants it.
                _ok(imap.append(f'"{folder}"', "", date, data))

    def fill(self, user: str, messages: Iterable[bytes], start: int = 1) -> None:
        """Many messages at once, written into the Maildir of INBOX in the order given; also while it is in use."""
        maildir = self.folder / "mail" / user / "Maildir"
        if not maildir.exists():
            for name in ("cur", "new", "tmp"):
                (maildir / name).mkdir(parents=True)
            self._give_away(self.folder / "mail" / user)
        for number, data in enumerate(messages, start):
            # As different as real names are: Dovecot's hash of names that only count up is one long list.
            unique = hashlib.sha256(b"%d" % number).hexdigest()[:20]
            made = maildir / "tmp" / f"{1_700_000_000 + number}.M{unique}.test"
            made.write_bytes(data)
            self._give_away(made)
            made.rename(maildir / "new" / made.name)

    def create(self, user: str, folder: str) -> None:
        """`folder` as it goes over the wire (modified UTF-7)."""
        with self.imap(user) as imap:
            _ok(imap.create(f'"{folder}"'))

    def messages(self, user: str, folder: str = "INBOX") -> list[Kept]:
        """What a folder holds, by UID; empty when there is no such folder. Changes nothing."""
        with self.imap(user) as imap:
            if imap.select(f'"{folder}"', readonly=True)[0] != "OK":
                return []
            kept = []
            for item in imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")[1]:
                if isinstance(item, tuple) and (match := _FLAGS.search(item[0])):
                    kept.append(Kept(int(match[1]), frozenset(match[2].decode().split()), item[1]))
            return sorted(kept, key=lambda one: one.uid)

    @contextmanager
    def imap(self, user: str, password: str = "pw") -> Iterator[imaplib.IMAP4]:
        """Another client of the same account, logged in."""
        client = imaplib.IMAP4("127.0.0.1", self.port)
        try:
            client.login(user, password)
            yield client
        finally:
            client.logout()

    def doveadm(self, *args: str) -> str:
        done = subprocess.run(
            self._as_user("doveadm", "-c", str(self._configuration), *args), capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"doveadm {args[0]} failed: {done.stderr}")
        return done.stdout


def _ok(answer: tuple[str, Sequence[object]]) -> None:
    if answer[0] != "OK":
        raise RuntimeError(f"dovecot answered {answer!r}")


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A running Dovecot, shared by the session: take a user of your own. Fails where Dovecot is not installed."""
    server = Dovecot()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def own_dovecot() -> Iterator[Dovecot]:
    """A Dovecot of one test's own, to be killed and started again."""
    server = Dovecot()
    try:
        server.start()
        yield server
    finally:
        server.remove()
