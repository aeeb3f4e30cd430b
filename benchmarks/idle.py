"""What the service costs when nothing happens, and how long it takes to begin.

The real command, `mailbox-service run`, with one mailbox and its database up to date. Its first poll is the first
SEARCH that a proxy before Dovecot sees.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.latency import report
from benchmarks.options import Options
from benchmarks.process import Watched
from benchmarks.results import Result, median
from benchmarks.stage import Books, Sink, Stage, until, until_settled
from benchmarks.wire import Wire

MEMORY_MB, MEMORY_AIM_MB = 100, 80
START_SECONDS = 2.0
# After its first comparison, and after what a start leaves behind has been given back.
SETTLING_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
HEALTH = '\nhealth: {listen: "127.0.0.1:0"}\n'


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the command."""

    seconds: float
    cpu_seconds: float
    rss_mb: float
    pss_mb: float
    peak_mb: float


def start(config: Path, wire: Wire, settling: float) -> Start:
    process = Watched(["-m", "mailbox_service", "--config", str(config), "run"], config.with_name("log"))
    try:
        wire.asked.clear()
        until(lambda: wire.first(b"SEARCH") is not None, f"first poll: {process.log}", PATIENCE_SECONDS)
        polled = wire.first(b"SEARCH") or 0.0
        cpu = process.cpu_seconds()
        time.sleep(settling)
        now = process.look()
        return Start(polled - process.started, cpu, now.rss_mb, process.pss_mb(), now.peak_mb)
    finally:
        process.stop()


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    result = Result("idle")
    sink = stage.sink()
    for database in options.databases:
        for health in (False,) if options.quick else (False, True):
            _measure(result, stage, options, sink, database, health=health)
    yield result


def _measure(result: Result, stage: Stage, options: Options, sink: Sink, database: str, *, health: bool) -> None:
    url, user = stage.database(database), stage.dovecot.add_user()
    stage.dovecot.append(user, report(0))
    with Wire(stage.dovecot.port) as wire:
        config = stage.configuration(user, sink, url, imap=wire.port, more=HEALTH if health else "")
        with stage.service(config) as process, closing(Books(url)) as books:
            until_settled(books, 1, process, PATIENCE_SECONDS)
        settling = 0.5 if options.quick else SETTLING_SECONDS
        starts = [start(config, wire, settling) for _ in range(options.rounds)]
    name = f"{database}, health endpoint {'on' if health else 'off'}"
    rss, pss = median([s.rss_mb for s in starts]), median([s.pss_mb for s in starts])
    peak = median([s.peak_mb for s in starts])
    wanted = f"<= {MEMORY_MB} MB, aiming at {MEMORY_AIM_MB}"
    reached = f"{rss:.0f} MB RSS ({pss:.0f} MB PSS, peak of the start {peak:.0f} MB)"
    result.add(f"idle memory, {name}", wanted, reached, rss <= MEMORY_MB)
    seconds, cpu = median([s.seconds for s in starts]), median([s.cpu_seconds for s in starts])
    reached = f"{seconds:.2f} s, {cpu:.2f} s of CPU"
    result.add(f"start to first poll, {name}", f"<= {START_SECONDS:.0f} s", reached, seconds <= START_SECONDS)
