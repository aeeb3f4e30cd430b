"""A process under measurement: its memory and CPU as the kernel counts them, read from outside.

Not `ru_maxrss` of a child: a process begins with the peak of the one that started it, so that a small child of a large
parent seems to be large (getrusage(2) counts across exec).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_SECONDS = 0.05
STOP_SECONDS = 30.0
CHILDREN_SECONDS = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process and those it started: `at` of CLOCK_MONOTONIC, memory in MB (10^6 bytes), summed up.

    Pages that two of them share count twice, so that the sum is a bound.
    """

    at: float
    rss_mb: float
    peak_mb: float
    cpu_seconds: float


class Watched:
    """A child process that is looked at every 50 ms. What it prints is read with `line`; its errors go to `log`."""

    def __init__(self, arguments: Sequence[str], log: Path, *, python: str = sys.executable, cwd: Path = ROOT) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [python, *arguments], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.samples: list[Sample] = []
        self._children: list[int] = []
        self._look_for_children_at = 0.0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="sampler", daemon=True)
        self._sampler.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next line it prints. Raises: RuntimeError when it has ended instead."""
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"the process ended: {self.log.read_text(errors='replace')[-2000:]}")
        return line.strip()

    def say(self, line: str) -> None:
        pipe = _pipe(self._process.stdin)
        pipe.write(line + "\n")
        pipe.flush()

    # --- what the kernel counts -------------------------------------------------------------------------------

    def look(self) -> Sample:
        """The process as it is now. Raises: OSError when it is gone."""
        rss_mb, peak_mb = _memory(self.pid)
        for child in self._started():
            with suppress(OSError):  # it ended meanwhile
                child_rss_mb, child_peak_mb = _memory(child)
                rss_mb, peak_mb = rss_mb + child_rss_mb, peak_mb + child_peak_mb
        return Sample(time.monotonic(), rss_mb, peak_mb, self.cpu_seconds())

    def cpu_seconds(self) -> float:
        """User and system time of all its threads and of what it started, to a hundredth of a second."""
        ticks = _ticks(self.pid, with_ended_children=True)
        for child in self._started():
            with suppress(OSError):
                ticks += _ticks(child)
        return ticks / _TICKS

    def _started(self) -> list[int]:
        # All of /proc is read for it, so not at each look.
        if time.monotonic() >= self._look_for_children_at:
            self._children = _children(self.pid)
            self._look_for_children_at = time.monotonic() + CHILDREN_SECONDS
        return self._children

    def pss_mb(self) -> float:
        """Its share of memory: pages that others use too count in parts."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return _megabytes(line.split(":", 1)[1])
        raise RuntimeError("the kernel tells no Pss")

    def forget_peak(self) -> None:
        """From now on the peak counts from here (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            try:
                self.samples.append(self.look())
            except OSError:
                return

    @property
    def peak_mb(self) -> float:
        return max((sample.peak_mb for sample in self.samples), default=0.0)

    # --- its end ----------------------------------------------------------------------------------------------

    def wait(self) -> str:
        """Until it ends by itself, and well; all it still printed."""
        rest = _pipe(self._process.stdout).read()
        self._end()
        if self._process.returncode:
            raise RuntimeError(f"exit code {self._process.returncode}: {self.log.read_text(errors='replace')[-2000:]}")
        return rest

    def stop(self) -> None:
        """Asked to end; killed when it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait()
        self._ended.set()
        self._sampler.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _memory(pid: int) -> tuple[float, float]:
    """RSS and its peak, in MB. Raises: OSError when the process is gone."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmRSS" not in fields:
        raise ProcessLookupError("the process has ended")
    return _megabytes(fields["VmRSS"]), _megabytes(fields["VmHWM"])


def _ticks(pid: int, *, with_ended_children: bool = False) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15] if with_ended_children else fields[11:13]))


def _children(pid: int) -> list[int]:
    """The processes that it has started and that still run. (Not every kernel has /proc/PID/task/TID/children.)"""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(process.name))
    return found


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _megabytes(kibibytes: str) -> float:
    """`12345 kB`, as /proc writes it."""
    return int(kibibytes.split()[0]) * 1024 / 1e6
