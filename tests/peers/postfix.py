"""A throw-away Postfix with its own queue, certificates and Maildirs, on free ports of the loopback interface.

Needs root (Postfix drops its rights itself), the packages postfix, dovecot-core (the password check) and openssl.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

USERS = ("security", "team", "reporter", "maintainer", "ada", "grace")
DOMAIN = "example.org"
PASSWORD = "correct-horse"
MESSAGE_SIZE_LIMIT_BYTES = 2_000_000
START_SECONDS = 20.0
# Below the range of outgoing connections, so that a port is still free when Postfix is killed and started again.
_PORTS = range(20000, 32000)

_MASTER = """
{port} inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=no
{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
{starttls_port} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
"""

_MAIN = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log/maillog
maillog_file_prefixes = {root}/log
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.{domain}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = texthash:{root}/etc/users
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = {uid}
virtual_mailbox_limit = 0
message_size_limit = {size}
smtputf8_enable = yes
smtpd_tls_cert_file = {root}/tls/server.pem
smtpd_tls_key_file = {root}/tls/server.key
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/sasl/auth
smtpd_sasl_security_options = noanonymous
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_transport = error:this server delivers nothing elsewhere
"""

# What comes last in main.cf counts. The queue is looked through each second, so that a delay is told after two.
_BOUNCING = """
smtpd_reject_unlisted_recipient = no
recipient_delimiter = +
transport_maps = texthash:{root}/etc/transport
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 2s
maximal_backoff_time = 2s
"""

_DOVECOT = """
base_dir = {root}/sasl/run
log_path = {root}/log/dovecot
protocols =
ssl = no
auth_mechanisms = plain login
auth_failure_delay = 0
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home=/nonexistent
}}
service auth {{
  unix_listener {root}/sasl/auth {{
    mode = 0666
  }}
}}
service stats {{
  chroot =
}}
service anvil {{
  chroot =
}}
"""


class Postfix:
    """Submission on three ports; what arrives for `USERS` at `DOMAIN` lies in Maildirs, unknown users are refused.

    `port` takes mail in clear and without login, `tls_port` speaks TLS from the start, `starttls_port` demands
    STARTTLS. The TLS ports offer AUTH: any user name, the password is `PASSWORD`. What stands in `main` and `master` is
    added to the two files.
    """

    def __init__(self, main: str = "", master: str = "") -> None:
        _demand("postfix", "postfix")
        _demand("dovecot", "dovecot-core")
        _demand("openssl", "openssl")
        self.root = Path(tempfile.mkdtemp(prefix="postfix-"))
        self.port, self.tls_port, self.starttls_port = _free_ports(3)
        self.ca_file = self.root / "tls" / "ca.pem"
        self._dovecot: subprocess.Popen[bytes] | None = None
        self._main, self._master = main, master
        self._write_everything()

    def start(self) -> None:
        # In the foreground: a daemon would keep the pipe of its output open, and whoever reads that waits for ever.
        self._dovecot = subprocess.Popen(
            ["dovecot", "-F", "-c", str(self.root / "etc" / "dovecot.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._postfix("start")
        deadline = time.monotonic() + START_SECONDS
        for port in (self.port, self.tls_port, self.starttls_port):
            while not _listens(port):
                if time.monotonic() > deadline:
                    pytest.fail(f"Postfix does not listen: {self.log()}")
                time.sleep(0.02)

    def stop(self) -> None:
        """An orderly end of both servers; their files are removed."""
        self._postfix("stop", check=False)
        if self._dovecot is not None:
            self._dovecot.terminate()
            self._dovecot.wait(10)
        shutil.rmtree(self.root, ignore_errors=True)

    def bounce_into(self, address: str, lmtp_port: int, *, deferred: str) -> None:
        """Before the start: everybody is accepted, unknown users bounce afterwards, mail to `deferred` waits.

        Mail to `address`, with a detail or without, goes on over LMTP; and so do the bounces of mail sent from there.
        """
        etc = self.root / "etc"
        with (etc / "main.cf").open("a") as main:
            main.write(_BOUNCING.format(root=self.root))
        (etc / "transport").write_text(
            f"{address} lmtp:inet:127.0.0.1:{lmtp_port}\n{deferred} retry:4.4.1 the host is away\n"
        )

    def kill(self) -> None:
        """Ends all of Postfix at once, in the midst of whatever it does; `start` brings it back."""
        pid = int((self.root / "queue" / "pid" / "master.pid").read_text())
        os.killpg(pid, signal.SIGKILL)
        if self._dovecot is not None:
            self._dovecot.terminate()
            self._dovecot.wait(10)
        deadline = time.monotonic() + 10
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)

    def maildir(self, user: str) -> list[bytes]:
        """Everything delivered to `user` so far, oldest first, as Postfix wrote it (LF, three headers on top)."""
        files = (self.root / "mail" / user / "new").glob("*")
        return [path.read_bytes() for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)]

    def wait_for(self, user: str, text: bytes, seconds: float = 20.0) -> bytes:
        """The one mail to `user` that contains `text`, once it is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [mail for mail in self.maildir(user) if text in mail]
            if found:
                assert len(found) == 1, "delivered more than once"
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"nothing arrived for {user}: {self.log()}")

    def log(self) -> str:
        path = self.root / "log" / "maillog"
        return path.read_text(errors="replace")[-4000:] if path.exists() else "(no log)"

    def _write_everything(self) -> None:
        self.root.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        for name in ("etc", "queue", "data", "log", "mail", "tls", "sasl", "sasl/run"):
            (self.root / name).mkdir()
        values = {
            "root": self.root,
            "port": self.port,
            "tls_port": self.tls_port,
            "starttls_port": self.starttls_port,
            "domain": DOMAIN,
            "uid": owner.pw_uid,
            "gid": owner.pw_gid,
            "user": "nobody",
            "group": "nogroup",
            "password": PASSWORD,
            "size": MESSAGE_SIZE_LIMIT_BYTES,
        }
        etc = self.root / "etc"
        (etc / "main.cf").write_text(_MAIN.format(**values) + self._main)
        (etc / "master.cf").write_text(_MASTER.format(**values).replace("\n{", "\n") + self._master)
        (etc / "users").write_text("".join(f"{user}@{DOMAIN} {user}/\n" for user in USERS))
        (etc / "dovecot.conf").write_text(_DOVECOT.format(**values))
        for name in ("data", "mail"):
            os.chown(self.root / name, owner.pw_uid, owner.pw_gid)
        make_certificates(self.root / "tls")

    def _postfix(self, command: str, *, check: bool = True) -> None:
        output = self.root / "log" / "postfix-command"
        with output.open("wb") as sink:
            done = subprocess.run(
                ["postfix", "-c", str(self.root / "etc"), command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
        if check and done.returncode:
            pytest.fail(f"postfix {command} failed: {output.read_text(errors='replace')}{self.log()}")


def make_certificates(folder: Path) -> None:
    """`ca.pem` and, signed by it for 127.0.0.1 and localhost, `server.pem` with `server.key`."""
    commands = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=Test-CA"
        " -keyout ca.key -out ca.pem -addext keyUsage=critical,keyCertSign,cRLSign",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, capture_output=True, check=True)


def _demand(program: str, package: str) -> None:
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        pytest.fail(f"{program} is missing: install the Debian package {package}")


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)
        if port not in found and not _listens(port):
            found.append(port)
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="session")
def postfix() -> Iterator[Postfix]:
    peer = Postfix()
    try:
        peer.start()
        yield peer
    finally:
        peer.stop()
