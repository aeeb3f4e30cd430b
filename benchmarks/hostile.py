"""Hostile and malformed mail: what one message may cost, and that nobody else waits for it.

Each shape comes in company of an ordinary report, through the whole service, several times: by accident the event loop
can only be blocked too long, so the least of the repeats counts, and only time in which the service itself used the
processor, because the machine may be busy with other things. The malformed corpora (`../shared/corpora/eml` where it
lies beside the repository, and tests/data/mail) are understood one by one, and then taken in all together.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.latency import recipient, report
from benchmarks.options import Options
from benchmarks.process import ROOT, Watched
from benchmarks.results import Result, median
from benchmarks.stage import ADDRESS, Books, Sink, Stage, expect, until_settled
from benchmarks.wire import Notices
from mailbox_service.app.wiring import mailbox_of
from mailbox_service.config import load
from mailbox_service.services.ports import Claim, MessageId, SourceKind
from mailbox_service.services.understanding import understand
from mailbox_service.sorting.learned.sorter import TrainedSorter

CPU_SECONDS, LAG_MS, DELAY_MS = 1.0, 100.0, 1000.0
SIZE_BYTES, REPEATS = 1_000_000, 3
PAUSE_SECONDS = 0.7  # longer than the server's own delay of a notice
PATIENCE_SECONDS = 120.0

HEAD = (
    b"From: a@b.example\nTo: security@example.test\nSubject: s\nMessage-ID: <1@b>\n"
    b"Date: Mon, 1 Jan 2024 00:00:00 +0000\n"
)
BOUNDARY = b"Content-Type: multipart/mixed; boundary=b\n\n"
# The shapes of ../shared/bench/hostile.py, and those of threat-model that are about size; n is the size in bytes.
SHAPES: dict[str, Callable[[int], bytes]] = {
    "From of n '('": lambda n: HEAD.replace(b"a@b", b"(" * n + b" a@b") + b"\nx\n",
    "To with n/12 addresses": lambda n: (
        HEAD + b"Cc: " + b",\n ".join(b"u%d@x.example" % i for i in range(n // 12)) + b"\n\nx\n"
    ),
    "From with n/12 addresses": lambda n: (
        HEAD.replace(b"From: a@b.example", b"From: " + b",\n ".join(b"u%d@x.example" % i for i in range(n // 12)))
        + b"\nx\n"
    ),
    "Subject of n/20 encoded words": lambda n: (
        HEAD.replace(b"Subject: s", b"Subject: " + b"\n ".join([b"=?utf-8?q?=41=42?="] * (n // 20))) + b"\nx\n"
    ),
    "n/10 header lines": lambda n: HEAD + b"".join(b"X-%d: y\n" % i for i in range(n // 10)) + b"\nx\n",
    "n/60 nested multiparts": lambda n: (
        HEAD
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(n // 60))
        + b"\nx\n"
    ),
    "n/8 empty parts": lambda n: HEAD + BOUNDARY + b"--b\n\nx\n" * (n // 8) + b"--b--\n",
    "n/42 nested message/rfc822": lambda n: (
        HEAD + b"Content-Type: message/rfc822\n\nSubject: x\n" * (n // 42) + b"\nx\n"
    ),
    "filename of n/25 segments": lambda n: (
        HEAD
        + b"Content-Disposition: attachment; "
        + b"; ".join(b"filename*%d*=utf-8''a" % i for i in range(n // 25))
        + b"\n\nx\n"
    ),
    "one line of n bytes": lambda n: HEAD + b"\n" + b"a" * n + b"\n",
    "Message-ID of n '<'": lambda n: HEAD.replace(b"<1@b>", b"<" * n) + b"\nx\n",
    "References of n/10 ids": lambda n: HEAD + b"References: " + b"\n ".join([b"<a@b.cd>"] * (n // 10)) + b"\n\nx\n",
    "n/2 boundaries that are none": lambda n: HEAD + BOUNDARY + b"-\n" * (n // 2),
    "HTML of n/3 open tags": lambda n: HEAD + b"Content-Type: text/html\n\n" + b"<b>" * (n // 3) + b"\n",
    "HTML of n '<'": lambda n: HEAD + b"Content-Type: text/html\n\n" + b"<" * n + b"\n",
    "quoted-printable of n '='": lambda n: HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * n + b"\n",
    "broken base64 of n bytes": lambda n: HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"A=\n" * (n // 3),
    "n/2 quote marks": lambda n: HEAD + b"\n" + b"> " * (n // 2) + b"\n",
}


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    result = Result("hostile")
    _shapes(result, stage, options)
    _corpora(result, stage, options)
    yield result


# --- shapes, one at a time ---------------------------------------------------------------------------------------


def _shapes(result: Result, stage: Stage, options: Options) -> None:
    sink, url, user = stage.sink(log=True), stage.database("sqlite"), stage.dovecot.add_user()
    stage.dovecot.append(user, report(0))
    config = stage.configuration(user, sink, url, collect_above=100_000)
    size, repeats = (20_000, 1) if options.quick else (SIZE_BYTES, REPEATS)
    names = list(SHAPES)[:: len(SHAPES) // 2] if options.quick else list(SHAPES)
    shapes = {"an ordinary report": _ordinary} | {name: SHAPES[name] for name in names}
    found: dict[str, tuple[float, float, float]] = {}
    with stage.service(config, "--lag") as process, closing(Books(url)) as books:
        until_settled(books, 1, process, PATIENCE_SECONDS)
        pairs = _Pairs(stage, sink, user, process, books)
        for name, shape in shapes.items():
            runs = [pairs.take(shape(size)) for _ in range(repeats)]
            found[name] = (median([r[0] for r in runs]), min(r[1] for r in runs), median([r[2] for r in runs]))
            options.tell(f"hostile: {name}: CPU {found[name][0]:.2f} s, lag {found[name][1]:.0f} ms")
        ledger = books.ledger()
    expect(ledger.messages == pairs.count and ledger.settled, f"{pairs.count} messages are on file: {ledger}")
    usual = found.pop("an ordinary report")
    _shape_rows(result, size, usual, found)


def _ordinary(_size: int) -> bytes:
    return report(10**6)


class _Pairs:
    """Delivers a message together with a report of somebody else, and waits until both are worked."""

    def __init__(self, stage: Stage, sink: Sink, user: str, process: Watched, books: Books) -> None:
        self._stage, self._sink, self._user, self._process, self._books = stage, sink, user, process, books
        self.count = 1

    def take(self, data: bytes) -> tuple[float, float, float]:
        """CPU seconds, the longest block of the event loop in ms, and ms from the server's notice until the other's
        acknowledgement."""
        time.sleep(PAUSE_SECONDS)
        blocked_ms(self._process)
        cpu = self._process.cpu_seconds()
        one, other = data + b"copy %d\n" % self.count, report(self.count)
        with Notices(self._stage.dovecot.port, self._user) as idle:
            self._stage.dovecot.fill(self._user, [one, other], start=self.count + 1)
            told = idle.await_count(self.count + 2)
        answered = self._sink.await_mail(recipient(self.count))
        self.count += 2
        until_settled(self._books, self.count, self._process, PATIENCE_SECONDS)
        return self._process.cpu_seconds() - cpu, blocked_ms(self._process), (answered - told) * 1e3


def blocked_ms(process: Watched) -> float:
    """How long its event loop was blocked at most since it was last asked."""
    process.say("lag")
    return float(process.line().split()[0])


def _shape_rows(
    result: Result, size: int, usual: tuple[float, float, float], found: dict[str, tuple[float, float, float]]
) -> None:
    many = f"{len(found)} hostile shapes of {size / 1e3:.0f} kB"
    cpu, at = max((values[0], name) for name, values in found.items())
    reached = f"worst {cpu:.2f} s ({at}); an ordinary pair {usual[0]:.2f} s"
    result.add(f"{many}: CPU of one", f"< {CPU_SECONDS:.0f} s", reached, cpu < CPU_SECONDS)
    lag, at = max((values[1], name) for name, values in found.items())
    reached = f"worst {lag:.0f} ms ({at}); an ordinary pair {usual[1]:.0f} ms"
    result.add("event loop blocked meanwhile", f"<= {LAG_MS:.0f} ms", reached, lag <= LAG_MS)
    late, at = max((values[2], name) for name, values in found.items())
    reached = f"worst {late:.0f} ms after the notice ({at}); an ordinary pair {usual[2]:.0f} ms"
    result.add(
        "the next message's acknowledgement", f"<= {DELAY_MS:.0f} ms later", reached, late - usual[2] <= DELAY_MS
    )
    result.plots["shapes"] = {name: [round(value, 3) for value in values] for name, values in found.items()}


# --- the malformed corpora ---------------------------------------------------------------------------------------


def _corpus(options: Options) -> list[Path]:
    files = sorted((ROOT / "tests" / "data" / "mail").glob("*.eml"))
    if not options.quick:
        files += sorted(path for path in (options.shared.parent / "corpora" / "eml").rglob("*") if path.is_file())
    # Dovecot keeps an empty file as a message of no bytes, which is none.
    return [path for path in files if path.stat().st_size]


def _corpora(result: Result, stage: Stage, options: Options) -> None:
    files = _corpus(options)
    sink, url = stage.sink(), stage.database("sqlite")
    user = stage.filled([path.read_bytes() for path in files])
    config = stage.configuration(user, sink, url)
    cpu, worst = _understood(config, files)
    reached = f"worst {cpu * 1e3:.0f} ms ({worst.name})"
    result.add(f"{len(files):,} malformed messages: CPU of one", f"< {CPU_SECONDS:.0f} s", reached, cpu < CPU_SECONDS)
    kept = stage.dovecot.messages(user)
    distinct = len({hashlib.sha256(one.data).digest() for one in kept})
    with stage.service(config, "--lag") as process, closing(Books(url)) as books:
        until_settled(books, distinct, process, PATIENCE_SECONDS)
        lag = blocked_ms(process)
        ledger = books.ledger()
    expect(ledger.messages == distinct and not ledger.undecided, f"{distinct} different ones are on file: {ledger}")
    flagged = stage.flagged(user)
    expect(flagged == (len(kept), len(kept)), f"every one is flagged: {flagged}")
    result.add(
        f"all of them as a backlog ({distinct:,} different ones on file, {ledger.held} held)",
        f"event loop blocked <= {LAG_MS:.0f} ms", f"longest {lag:.0f} ms", lag <= LAG_MS,
    )  # fmt: skip


def _understood(config: Path, files: list[Path]) -> tuple[float, Path]:
    """The most CPU seconds that understanding one file took, and which one it was."""
    mailbox, sorter = mailbox_of(load(config, os.environ).mailboxes[0]), TrainedSorter()
    worst = (0.0, files[0])
    for path in files:
        data = path.read_bytes()
        claim = Claim(
            MessageId(1), 1, 1, mailbox.name, SourceKind.IMAP, datetime.now(UTC), False, False, False, len(data),
            None, ADDRESS, None, None, None,
        )  # fmt: skip
        began = time.thread_time()
        understand(claim, data, mailbox, sorter)
        worst = max(worst, (time.thread_time() - began, path))
    return worst
