"""One large message, while the service is idle; and one above max_message_size, of which only the header is fetched.

Time counts from the server's notice to the acknowledgement that the sink accepts. Extra memory is the kernel's peak
since just before the delivery, above what the process had then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from benchmarks import corpus
from benchmarks.latency import deliver, recipient, report
from benchmarks.options import Options
from benchmarks.process import Watched
from benchmarks.results import Result, listed, median
from benchmarks.stage import MAINTAINER, Books, Stage, check, expect, until_settled
from benchmarks.wire import Notices, Wire

MEGABYTES = (25, 50)
SECONDS = {25: 1.0, 50: 2.0}
EXTRA_MEMORY = 3.0
# Header and flags of one message, with room for the server's chatter.
HELD_BYTES = 300_000
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one large message cost."""

    size_mb: float  # as it is on the wire
    seconds: float
    cpu_seconds: float
    extra_mb: float
    fetched_bytes: int


def large(megabytes: float, number: int) -> bytes:
    """A report with an attachment of so many MB (decoded), from its own sender."""
    data = corpus.large(int(megabytes * 1e6), seed=number)
    head, _, rest = data.partition(b"\nFrom: ")
    return head + f"\nFrom: Large {number} <{recipient(number)}>\n".encode() + rest.partition(b"\n")[2]


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    result = Result("attachment")
    for megabytes in MEGABYTES[:1] if options.quick else MEGABYTES:
        size = 1 if options.quick else megabytes
        runs = [_one(stage, size, number, "100MB") for number in range(1, options.rounds + 1)]
        seconds, cpu = [r.seconds for r in runs], [r.cpu_seconds for r in runs]
        reached = f"{median(seconds):.2f} s (rounds {listed(seconds)}), {median(cpu):.2f} s of CPU"
        goal = SECONDS[megabytes]
        result.add(
            f"one message with a {size} MB attachment ({runs[0].size_mb:.1f} MB on the wire)",
            f"<= {goal:.1f} s", reached, median(seconds) <= goal,
        )  # fmt: skip
        extra = median([r.extra_mb / r.size_mb for r in runs])
        reached = f"{extra:.2f} x ({median([r.extra_mb for r in runs]):.0f} MB)"
        result.add(
            f"extra memory, {size} MB attachment", f"<= {EXTRA_MEMORY:.0f} x its size", reached, extra <= EXTRA_MEMORY
        )
        result.plots[f"memory_{size}"] = [round(runs[0].size_mb, 1), round(runs[0].extra_mb, 1)]
    held = _one(stage, 1 if options.quick else 50, 99, "100kB" if options.quick else "50MB", held=True)
    reached = f"{held.fetched_bytes / 1e3:.0f} kB from the server, {held.seconds:.2f} s until the maintainers are told"
    result.add(
        f"above max_message_size ({held.size_mb:.1f} MB on the wire)",
        "held, body not fetched, maintainers told", reached, held.fetched_bytes <= HELD_BYTES,
    )  # fmt: skip
    yield result


def _one(stage: Stage, megabytes: float, number: int, limit: str, *, held: bool = False) -> Delivery:
    sink, url, user = stage.sink(log=True), stage.database("sqlite"), stage.dovecot.add_user()
    stage.dovecot.append(user, report(0))
    with Wire(stage.dovecot.port) as wire:
        # The proxy takes time of its own, and stands in the way only where bytes are counted.
        imap = wire.port if held else None
        config = stage.configuration(user, sink, url, imap=imap, max_message_size=limit, collect_above=100_000)
        with stage.service(config) as process, closing(Books(url)) as books:
            until_settled(books, 1, process, PATIENCE_SECONDS)
            with Notices(stage.dovecot.port, user) as idle:
                before, fetched = _quiet(process), wire.from_server_bytes
                data = large(megabytes, number)
                deliver(stage.dovecot.lmtp_port, user, data)
                told = idle.await_count(2)
                until_settled(books, 2, process, PATIENCE_SECONDS)
            # The first notice to the maintainers told of the small report.
            answered = sink.await_mail(MAINTAINER, 2) if held else sink.await_mail(recipient(number))
            after, ledger = process.look(), books.ledger()
            fetched = wire.from_server_bytes - fetched
    check(ledger, 2, stage.flagged(user), sink.accepted())
    expect(ledger.held == held, f"held: {ledger.held}, expected {held}")
    expect(not held or all(to != recipient(number) for _, to in sink.mails()), "what is held is not answered")
    size_mb = len(data.replace(b"\n", b"\r\n")) / 1e6
    return Delivery(size_mb, answered - told, after.cpu_seconds - before[1], after.peak_mb - before[0], fetched)


def _quiet(process: Watched) -> tuple[float, float]:
    """Memory in MB and CPU seconds of the idle process; its peak counts from here."""
    time.sleep(1.0)
    process.forget_peak()
    now = process.look()
    return now.rss_mb, now.cpu_seconds
