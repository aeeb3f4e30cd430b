"""Where keys lie: the folder with the mailbox's secret keys, and what one process makes of it for itself.

A process works in a private folder of its own, so that several daemons share nothing but the secret keys: its agent is
its own, and can be ended with it. Nothing but public keys is ever written there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from mailbox_service.adapters.openpgp.runner import environment
from mailbox_service.core.gpg.status import FINGERPRINT
from mailbox_service.errors import PermanentError, Refused, TemporaryError
from mailbox_service.services.ports.openpgp import PublicKey

PREFIX = "mailbox-gpg-"
# Nothing is remembered: a passphrase that was changed or mistyped must not go on working, and a secret key is read
# when it is needed.
AGENT_CONF = "default-cache-ttl 0\nmax-cache-ttl 0\nno-allow-external-cache\ndisable-scdaemon\n"
AGENT_END_SECONDS = 10
# Together one second: the next start sweeps what is left.
REMOVAL_TRIES, REMOVAL_PAUSE_SECONDS = 20, 0.05
AGENT_START_SECONDS = 10  # gpg itself waits 5
_RING, _SECRETS, _REVOCATIONS = "pubring.kbx", "private-keys-v1.d", "revocation"
# Socket addresses are 108 bytes (unix(7)); beyond them gpg finds no agent, and says nothing of it.
LONGEST_HOME_CHARS = 80


class Homes:
    """The keyrings of one process. Close it: its agent ends then, and its folder is removed."""

    def __init__(self, folder: Path, workplace: Path, lock: int) -> None:
        self.folder, self._workplace, self._lock = folder, workplace, lock
        self._copying, self._starting = threading.Lock(), threading.Lock()
        self._socket: str | None = None  # of the agent; known once it is asked for
        self._copied: tuple[int, int, int] | None = None

    @classmethod
    def open(cls, folder: Path, *, temporary: Path | None = None) -> Self:
        """The keyrings with the secret keys in `folder`, which is made where it is missing. What processes that were
        killed have left behind is swept first.

        Raises: PermanentError when gpg is missing, or the folder is not private; TemporaryError.
        """
        if shutil.which("gpg") is None:
            raise PermanentError("gpg is not installed; apt install gpg gpg-agent")
        place = temporary or Path(tempfile.gettempdir())
        try:
            for part in (folder, folder / _SECRETS, folder / _REVOCATIONS):
                part.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                raise PermanentError(f"others may look into {folder}; chmod 700 it")
            sweep(place)
            workplace = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            # A sweep of another process looks for "lock": once it has that name, it is locked.
            lock = os.open(workplace / "new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (workplace / "new").rename(workplace / "lock")
        except OSError as error:
            raise TemporaryError(f"keyrings: {error.strerror}: {error.filename}") from error
        homes = cls(folder, workplace, lock)
        homes._furnish()
        return homes

    def _furnish(self) -> None:
        if len(str(self.own)) > LONGEST_HOME_CHARS:
            self.close()
            raise PermanentError("the folder for temporary files has too long a name for gpg; set a shorter TMPDIR")
        for home in (self.own, self.empty, self._pins):
            home.mkdir(mode=0o700)
        (self.own / "gpg-agent.conf").write_text(AGENT_CONF)
        (self.own / _SECRETS).symlink_to((self.folder / _SECRETS).resolve())

    @property
    def own(self) -> Path:
        """The home with the mailbox's own keys."""
        return self._workplace / "own"

    @property
    def empty(self) -> Path:
        """A home without a key."""
        return self._workplace / "none"

    @property
    def _pins(self) -> Path:
        return self._workplace / "pins"

    @property
    def state(self) -> tuple[int, int, int] | None:
        """Changes whenever the mailbox's own keys do."""
        return self._copied

    def refreshed(self) -> Path:
        """`own`, with what was put into the folder meanwhile. Raises: TemporaryError."""
        source = self.folder / _RING
        with self._copying:
            try:
                found = source.stat()
                known = (found.st_ino, found.st_mtime_ns, found.st_size)
                if known != self._copied:
                    _replace(source, self.own / _RING)
                    self._copied = known
            except FileNotFoundError:
                (self.own / _RING).unlink(missing_ok=True)
                self._copied = None
            except OSError as error:
                raise TemporaryError(f"keyrings: {error.strerror}: {error.filename}") from error
        return self.own

    def with_agent(self) -> Path:
        """`refreshed`, with its agent running; for gpg with --no-autostart.

        Where several gpg find no agent, each starts one, and those that come second fail ("No agent running"). Worse,
        a listing of secret keys is then empty, and says that all is well. Raises: TemporaryError.
        """
        home = self.refreshed()
        with self._starting:
            if self._lock < 0:
                raise TemporaryError("the keyrings are closed")
            if not self.agent_answers:
                self._start_agent()
        return home

    def _start_agent(self) -> None:
        if self._socket is None:
            self._socket = _gpgconf(self.own, "--list-dirs", "agent-socket", seconds=AGENT_START_SECONDS).strip()
        _gpgconf(self.own, "--launch", "gpg-agent", seconds=AGENT_START_SECONDS)
        if not self.agent_answers:
            raise TemporaryError("gpg-agent does not start")

    @property
    def agent_answers(self) -> bool:
        """Whether the agent of `own` runs now."""
        if self._socket is None:
            return False
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(AGENT_START_SECONDS)
            try:
                asking.connect(self._socket)
            except BlockingIOError:
                return True  # so many wait for it
            except OSError:
                return False
        return True

    def rings(self, keys: Sequence[PublicKey]) -> list[str]:
        """Arguments that put exactly these keys into gpg's reach, each from a file of its own. Raises: TemporaryError.

        A keyring that holds nothing else can prove nothing about anybody else.
        """
        words = []
        for key in keys:
            if FINGERPRINT.fullmatch(key.fingerprint) is None:
                raise Refused("a key is named by its full fingerprint: 40 hexadecimal digits, capital letters")
            ring = self._pins / f"{key.fingerprint}-{hashlib.sha256(key.data).hexdigest()[:32]}.gpg"
            if not ring.exists():
                _write(ring, key.data)
            words += ["--keyring", str(ring)]
        return words

    @contextmanager
    def quarantine(self) -> Iterator[Path]:
        """A home for what somebody sent; it is gone afterwards."""
        try:
            home = Path(tempfile.mkdtemp(prefix="q-", dir=self._workplace))
            (home / "gpg-agent.conf").write_text(AGENT_CONF)
        except OSError as error:
            raise TemporaryError(f"keyrings: {error.strerror}") from error
        try:
            yield home
        finally:
            _end(home)

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """The home with the mailbox's own keys, to add to them: what is there at the end is kept in the folder."""
        with (self.folder / "lock").open("a") as lock:
            (self.folder / "lock").chmod(0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            home = self.refreshed()
            yield home
            if (home / _RING).exists():
                _replace(home / _RING, self.folder / _RING)
            for certificate in (home / "openpgp-revocs.d").glob("*.rev"):
                _replace(certificate, self.folder / _REVOCATIONS / certificate.name)
                certificate.unlink()

    def revocation_certificate(self, fingerprint: str) -> Path:
        return self.folder / _REVOCATIONS / f"{fingerprint}.rev"

    def close(self) -> None:
        """End the agent, and leave nothing behind."""
        with self._starting:
            lock, self._lock = self._lock, -1  # from here on no agent is started
        if lock >= 0:
            _kill_agent(self.own)
            self._remove()
            os.close(lock)

    def _remove(self) -> None:
        """A gpg that is still at work, or an agent that is about to end, may write while the folder is removed."""
        for _ in range(REMOVAL_TRIES):
            shutil.rmtree(self._workplace, ignore_errors=True)
            if not self._workplace.exists():
                return
            time.sleep(REMOVAL_PAUSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sweep(place: Path) -> None:
    """Remove what processes of ours that are gone have left in `place`, and end their agents."""
    for left in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if left.is_symlink() or left.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(left / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for home in [left / "own", *left.glob("q-*")]:
                    _kill_agent(home)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


def _end(home: Path) -> None:
    _kill_agent(home)
    shutil.rmtree(home, ignore_errors=True)


def _kill_agent(home: Path) -> None:
    if not home.is_dir() or (not any(home.glob("S.gpg-agent*")) and not _elsewhere()):
        return
    with suppress(TemporaryError):
        _gpgconf(home, "--kill", "all", seconds=AGENT_END_SECONDS)


def _gpgconf(home: Path, *words: str, seconds: float) -> str:
    """What it says. Raises: TemporaryError when it cannot be run, or does not end in time."""
    try:
        ran = subprocess.run(
            ["gpgconf", "--homedir", str(home), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(home),
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TemporaryError(f"gpgconf: {type(error).__name__}") from error
    return os.fsdecode(ran.stdout)


def _elsewhere() -> bool:
    # Where /run/user/UID exists, gpg keeps the sockets of all homes there.
    return any(Path(root, "user", str(os.getuid())).is_dir() for root in ("/run", "/var/run"))


def _replace(source: Path, target: Path) -> None:
    _write(target, source.read_bytes())


def _write(target: Path, data: bytes) -> None:
    """`target` holds all of `data`, or what it held before; nobody else may read it. Raises: TemporaryError."""
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except OSError as error:
        raise TemporaryError(f"keyrings: {error.strerror}: {error.filename}") from error
