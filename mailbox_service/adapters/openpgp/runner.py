"""One run of gpg: everything through pipes, within a deadline and bounds, its status on a pipe of its own."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mailbox_service.errors import TemporaryError

DEADLINE_SECONDS = 30.0
# The largest mail there can be is configured; this is for what is inside a small one.
OUTPUT_LIMIT_BYTES = 100_000_000
# A thousand times what a good result says.
STATUS_LIMIT_BYTES = 1_000_000
MEMORY_LIMIT_BYTES = 1_000_000_000  # of address space; a mail passes through in pieces
PIECE_BYTES = 65536

# gpg 2.2 and 2.4 know all of them. No configuration, no terminal, no network, no trust but what we say.
COMMON = (
    *("--no-options", "--batch", "--no-tty", "--quiet", "--no-greeting", "--no-permission-warning"),
    *("--trust-model", "always", "--no-auto-check-trustdb"),
    *("--no-auto-key-locate", "--no-auto-key-retrieve", "--disable-dirmngr"),
    *("--exit-on-status-write-error", "--no-symkey-cache", "--no-emit-version", "--no-comments"),
    # Several gpg at once wait for each other's lock of that file, a quarter of a second and then longer each time
    # (libgcrypt, lock_seed_file). The kernel's random numbers need no seed of ours.
    "--no-random-seed-file",
)


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run left behind."""

    returncode: int
    output: bytes = field(repr=False)
    status: bytes = field(repr=False)
    too_large: bool = False
    too_slow: bool = False

    @property
    def cut_short(self) -> bool:
        return self.too_large or self.too_slow


@dataclass(frozen=True, slots=True)
class Bounds:
    seconds: float = DEADLINE_SECONDS
    output_bytes: int = OUTPUT_LIMIT_BYTES


class _Pipes:
    """The pipes of one run, ours and the child's ends."""

    def __init__(self) -> None:
        self.open: set[int] = set()

    def pair(self) -> tuple[int, int]:
        reading, writing = os.pipe()
        self.open |= {reading, writing}
        return reading, writing

    def close(self, descriptor: int) -> None:
        if descriptor in self.open:
            self.open.discard(descriptor)
            os.close(descriptor)

    def close_all(self) -> None:
        for descriptor in list(self.open):
            self.close(descriptor)


def run(
    arguments: Sequence[str],
    data: bytes = b"",
    *,
    home: Path,
    program: str = "gpg",
    signature: bytes | None = None,
    passphrase: str | None = None,
    bounds: Bounds = Bounds(),
) -> Ran:
    """Run gpg in `home` on `data`; the word "SIGNATURE" among `arguments` stands for a file with `signature`.

    Nothing is written to a file by us, and nothing of what gpg says to people is read.
    Raises: TemporaryError when it cannot be started.
    """
    with _piped() as pipes:
        talk = _Talk(pipes, data, bounds)
        words = [program, "--homedir", str(home), *COMMON, "--status-fd", str(talk.status_end)]
        if passphrase is not None:
            words += ["--pinentry-mode", "loopback", "--passphrase-fd", str(talk.feed(passphrase.encode() + b"\n"))]
        else:
            words += ["--pinentry-mode", "error"]
        if signature is not None:
            # A name of the form -&N stands for the descriptor N.
            words.append("--enable-special-filenames")
            name = f"-&{talk.feed(signature)}"
            arguments = [name if word == "SIGNATURE" else word for word in arguments]
        return talk.hold([*words, *arguments], home)


@contextmanager
def _piped() -> Iterator[_Pipes]:
    pipes = _Pipes()
    try:
        yield pipes
    finally:
        pipes.close_all()


class _Talk:
    """What is said to one gpg, and what it says."""

    def __init__(self, pipes: _Pipes, data: bytes, bounds: Bounds) -> None:
        self._pipes, self._bounds = pipes, bounds
        self._given: dict[int, memoryview] = {}
        self._handed: list[int] = []
        self._stdin = self.feed(data)
        self._output, self._stdout = pipes.pair()
        self._status, self.status_end = pipes.pair()
        self._handed += [self._stdout, self.status_end]

    def feed(self, data: bytes) -> int:
        """A descriptor from which gpg can read `data`."""
        end, ours = self._pipes.pair()
        os.set_blocking(ours, False)
        self._given[ours] = memoryview(data)
        self._handed.append(end)
        return end

    def hold(self, words: Sequence[str], home: Path) -> Ran:
        deadline = time.monotonic() + self._bounds.seconds
        try:
            process = subprocess.Popen(
                words,
                stdin=self._stdin,
                stdout=self._stdout,
                stderr=subprocess.DEVNULL,
                env=environment(home),
                cwd=home,
                pass_fds=self._handed,
                start_new_session=True,
            )
        except OSError as error:
            raise TemporaryError(f"gpg cannot be run: {error.strerror}") from error
        ended = "slow"
        try:
            _limit(process.pid)
            for descriptor in self._handed:
                self._pipes.close(descriptor)
            taken = {
                self._output: (bytearray(), self._bounds.output_bytes),
                self._status: (bytearray(), STATUS_LIMIT_BYTES),
            }
            ended = _exchange(taken, self._given, self._pipes.close, deadline)
            if not ended and not _gone(process, deadline):
                ended = "slow"
        finally:
            if ended:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output, said = (bytes(buffer) for buffer, _ in taken.values())
        return Ran(process.returncode, output, said, too_large=ended == "large", too_slow=ended == "slow")


def _exchange(
    taken: dict[int, tuple[bytearray, int]],
    given: dict[int, memoryview],
    close: Callable[[int], None],
    deadline: float,
) -> str:
    """Read and write until the other side has closed what we read from: "", or why it was ended ("large", "slow")."""
    with selectors.DefaultSelector() as selector:
        for descriptor in taken:
            selector.register(descriptor, selectors.EVENT_READ)
        for descriptor in list(given):
            selector.register(descriptor, selectors.EVENT_WRITE)
        reading = set(taken)
        while reading:
            left = deadline - time.monotonic()
            if left <= 0:
                return "slow"
            for key, _ in selector.select(left):
                if key.fd in given:
                    if _wrote_all(key.fd, given):
                        selector.unregister(key.fd)
                        del given[key.fd]
                        close(key.fd)
                    continue
                buffer, limit = taken[key.fd]
                piece = os.read(key.fd, PIECE_BYTES)
                buffer += piece
                if len(buffer) > limit:
                    return "large"
                if not piece:
                    selector.unregister(key.fd)
                    reading.discard(key.fd)
    return ""


def _wrote_all(descriptor: int, given: dict[int, memoryview]) -> bool:
    try:
        written = os.write(descriptor, given[descriptor][:PIECE_BYTES])
    except BlockingIOError:
        return False
    except BrokenPipeError:
        return True  # it has read enough, or has ended; what it says about it counts
    given[descriptor] = given[descriptor][written:]
    return not given[descriptor]


def _gone(process: subprocess.Popen[bytes], deadline: float) -> bool:
    try:
        process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        return False
    return True


def _limit(pid: int) -> None:
    # From outside: code between fork and exec is not safe in a process with threads. What gpg does before this
    # takes effect is to start.
    with suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
        # Not the hard limit: gpg sets the soft one too, together with the hard one that it has read just before. Were
        # that lowered in between, gpg would end ("can't disable core dumps"), as it did once in some thousand runs.
        hard = resource.prlimit(pid, resource.RLIMIT_CORE)[1]
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, hard))


def environment(home: Path) -> dict[str, str]:
    """All that gpg and its agent see of our environment: no password of ours, no display, no other agent."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LC_ALL": "C", "TMPDIR": str(home)}
