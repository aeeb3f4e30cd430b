"""Intake end to end: IMAP -> evidence stored -> sorted -> case, journal, outbox -> answer accepted by SMTP -> flagged.

The floor is the bare path of `../shared/bench/floor_e2e.py`: the same libraries without evidence, sorting or templates,
measured in the same run, round by round in turn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.options import Options
from benchmarks.process import Sample, Watched
from benchmarks.results import Result, listed, median
from benchmarks.stage import NOTHING, Above, Books, Ledger, Sink, Stage, check, until_settled

GOAL, AIM = 0.5, 0.8
MEMORY_MB = 200
# Slower than one message in this time is a fault, not a result.
SECONDS_A_MESSAGE = 0.1
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """One pass over a mailbox."""

    count: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Of one message."""
        return self.cpu_seconds / self.count * 1e3


@dataclass(frozen=True, slots=True)
class ServiceRun:
    run: Run
    ledger: Ledger
    samples: list[Sample]
    process_began: float


def run_service(
    stage: Stage,
    sink: Sink,
    mails: Callable[[], Iterator[bytes]],
    count: int,
    url: str,
    *,
    profile: str | None = None,
    above: Above = NOTHING,
) -> ServiceRun:
    """The service works off a mailbox; everything is checked. `above` was on file before."""
    user = stage.filled(mails())
    config = stage.configuration(user, sink, url)
    accepted = sink.accepted()
    with stage.service(config, *(["--profile", profile] if profile else [])) as process:
        began, cpu = time.monotonic(), process.cpu_seconds()
        books = Books(url, above)
        try:
            ended = until_settled(books, count, process, START_SECONDS + count * SECONDS_A_MESSAGE)
            last = process.look()
            ledger = books.ledger()
        finally:
            books.close()
    check(ledger, count, stage.flagged(user), sink.accepted() - accepted)
    run = Run(count, ended - began, last.cpu_seconds - cpu, last.peak_mb)
    return ServiceRun(run, ledger, process.samples, process.started)


def run_floor(stage: Stage, sink: Sink, mails: Callable[[], Iterator[bytes]], count: int, url: str, python: str) -> Run:
    """The yardstick works off a mailbox of the same messages."""
    user = stage.filled(mails())
    folder = stage.folder / stage.new_name("floor")
    (folder / "bench-work").mkdir(parents=True)
    accepted = sink.accepted()
    process = Watched(
        [
            str(stage.shared / "floor_e2e.py"), "batched", "--n", str(count), "--parser", "compat32", "--user", user,
            "--imap", str(stage.dovecot.port), "--smtp", str(sink.port),
            "--url", url.replace("postgresql://", "postgresql+psycopg://"),
        ],
        folder / "log", python=python, cwd=folder,
    )  # fmt: skip
    figures: dict[str, Any] = json.loads(process.wait().splitlines()[-1])
    if figures["n"] != count or sink.accepted() - accepted != count:
        raise RuntimeError(f"the floor did not do its work: {figures}")
    return Run(count, figures["s"], figures["cpu_s"], process.peak_mb)


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    for database in options.databases:
        yield _measure(stage, options, database)


def _measure(stage: Stage, options: Options, database: str) -> Result:
    result = Result(f"intake-{database}")
    sink = stage.sink()
    mails = stage.mail(options.n)
    floors: list[Run] = []
    services: list[ServiceRun] = []
    for number in range(options.rounds):
        if options.floor:
            floors.append(run_floor(stage, sink, mails, options.n, stage.database(database), options.floor))
            options.tell(f"{result.measure} round {number + 1}: floor {_told(floors[-1])}")
        services.append(run_service(stage, sink, mails, options.n, stage.database(database), profile=options.profile))
        options.tell(f"{result.measure} round {number + 1}: service {_told(services[-1].run)}")
    _rows(result, options.n, database, floors, services)
    longest = services[-1]
    result.plots["memory"] = [[round(s.at - longest.process_began, 2), round(s.rss_mb, 1)] for s in longest.samples]
    result.plots["count"] = options.n
    return result


def _told(run: Run) -> str:
    return f"{run.rate:.0f} msgs/s, {run.cpu_ms:.2f} CPU ms a message, peak {run.peak_mb:.0f} MB"


def _rows(result: Result, count: int, database: str, floors: list[Run], services: list[ServiceRun]) -> None:
    name = {"sqlite": "SQLite, synchronous=FULL", "postgres": "PostgreSQL"}[database]
    runs = [service.run for service in services]
    rates = f"{median([r.rate for r in runs]):.0f} msgs/s, {median([r.cpu_ms for r in runs]):.2f} CPU ms a message"
    what = f"intake, {count:,} messages, {name}"
    if floors:
        ratios = [service.rate / floor.rate for service, floor in zip(runs, floors, strict=True)]
        cpu = [floor.cpu_ms / service.cpu_ms for service, floor in zip(runs, floors, strict=True)]
        reached = f"{median(ratios):.2f} x floor (rounds {listed(ratios)}; by CPU {median(cpu):.2f}): {rates}"
        result.add(what, f">= {GOAL} x floor, aiming at {AIM}", reached, median(ratios) >= GOAL)
        floor = f"{median([f.rate for f in floors]):.0f} msgs/s, {median([f.cpu_ms for f in floors]):.2f} CPU ms"
        result.add(f"the floor of the same rounds, {name}", "", f"{floor}, peak {floors[-1].peak_mb:.0f} MB")
    else:
        result.add(what, f">= {GOAL} x floor (not measured)", rates)
    peak = max(run.peak_mb for run in runs)
    result.add(f"peak memory of it, {name}", f"<= {MEMORY_MB} MB", f"{peak:.0f} MB", peak <= MEMORY_MB)
    ledger = services[-1].ledger
    on_file = f"{ledger.messages:,} on file and flagged, {ledger.acknowledged:,} acknowledged, {ledger.held} held"
    result.add(f"checked, {name}", "all", f"{on_file}, {ledger.mails_sent:,} mails accepted")
