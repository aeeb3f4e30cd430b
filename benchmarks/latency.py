"""From delivery to acknowledgement, while the service has nothing else to do.

A message goes through Dovecot's LMTP; its server tells whoever waits in IDLE after a constant 500 ms of its own
(mailbox-watch.c, NOTIFY_DELAY_MSECS). A client of ours waits in IDLE beside the service: the service's own share is
what passes between that client's notice and the acknowledgement that the sink accepts, taken message by message.

Through the service's own LMTP door nobody waits for a notice: there all that passes after the 250 is its own.
"""

from __future__ import annotations

import random
import smtplib
import time
from collections.abc import Iterator
from contextlib import closing

from benchmarks.options import Options
from benchmarks.results import Result, median, percentile
from benchmarks.stage import ADDRESS, Books, Stage, check, expect, until, until_settled
from benchmarks.wire import Notices
from mailbox_service.config import Config

MEDIAN_GOAL_MS, SLOWEST_GOAL_MS = 15, 60
# Longer than the server's own delay: what it still has to tell of the last message must not hasten the next notice.
PAUSE_SECONDS = (0.7, 1.1)
SETTLE_SECONDS = 60.0
DOOR = "\nintake: {lmtp: {socket: door}}\n"
DOOR_PAUSE_SECONDS = (0.1, 0.3)

REPORT = """\
From: Reporter {number} <reporter{number}@mx{number}.example.net>
To: {to}
Subject: Path traversal in the gateway ({number})
Message-ID: <{number}.{token:016x}@mx{number}.example.net>
Date: Mon, 2 Nov 2026 12:00:00 +0000

Hello,

I found a path traversal vulnerability in the gateway, version 2.3.1. Steps to reproduce: request
/static/..%2f..%2fetc/passwd without a session; the server answers with the file. An attacker can read any file.

"""


def report(number: int) -> bytes:
    """A report of its own sender: about 4 kB."""
    text = REPORT.format(number=number, to=ADDRESS, token=random.Random(number).getrandbits(64))
    return (text + "The output of the request follows.\n" * 100).encode()


def recipient(number: int) -> str:
    return f"reporter{number}@mx{number}.example.net"


def deliver(port: int, user: str, data: bytes) -> float:
    """By LMTP; when the server had taken it (CLOCK_MONOTONIC)."""
    with smtplib.LMTP("127.0.0.1", port) as lmtp:
        lmtp.sendmail("reporter@example.net", [user], data)
        return time.monotonic()


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    result = Result("latency")
    _by_notice(result, stage, options)
    if "intake" in Config.model_fields:
        _by_door(result, stage, options)
    yield result


def _by_notice(result: Result, stage: Stage, options: Options) -> None:
    sink, url, user = stage.sink(log=True), stage.database("sqlite"), stage.dovecot.add_user()
    stage.dovecot.append(user, report(0))
    config = stage.configuration(user, sink, url, collect_above=100_000)
    totals, notices, shares = [], [], []
    with stage.service(config) as process:
        books = Books(url)
        try:
            until_settled(books, 1, process, SETTLE_SECONDS)
            with Notices(stage.dovecot.port, user) as idle:
                for number in range(1, options.deliveries + 1):
                    time.sleep(random.Random(number).uniform(*PAUSE_SECONDS))
                    delivered = deliver(stage.dovecot.lmtp_port, user, report(number))
                    told = idle.await_count(number + 1)
                    answered = sink.await_mail(recipient(number))
                    totals.append((answered - delivered) * 1e3)
                    notices.append((told - delivered) * 1e3)
                    shares.append((answered - told) * 1e3)
            until_settled(books, options.deliveries + 1, process, SETTLE_SECONDS)
            ledger = books.ledger()
        finally:
            books.close()
    check(ledger, options.deliveries + 1, stage.flagged(user), sink.accepted())
    expect(ledger.acknowledged == options.deliveries + 1, ledger)
    _rows(result, totals, notices, shares)


def _by_door(result: Result, stage: Stage, options: Options) -> None:
    sink, url, user = stage.sink(log=True), stage.database("sqlite"), stage.dovecot.add_user()
    config = stage.configuration(user, sink, url, collect_above=100_000, more=DOOR)
    shares = []
    with stage.service(config) as process, closing(Books(url)) as books:
        door = config.with_name("door")
        until(door.is_socket, "the door is open", SETTLE_SECONDS)
        for number in range(options.deliveries + 1):
            time.sleep(random.Random(number).uniform(*DOOR_PAUSE_SECONDS))
            with smtplib.LMTP(str(door)) as lmtp:
                lmtp.sendmail("reporter@example.net", [ADDRESS], report(number))
                delivered = time.monotonic()
            shares.append((sink.await_mail(recipient(number)) - delivered) * 1e3)
        until_settled(books, options.deliveries + 1, process, SETTLE_SECONDS)
        ledger = books.ledger()
    expect(ledger.acknowledged == ledger.messages == options.deliveries + 1 and ledger.settled, ledger)
    del shares[0]  # as above: the first one loads what all need
    what = f"pushed into our own LMTP door -> acknowledgement accepted, {len(shares)} deliveries"
    reached = f"{median(shares):.1f} ms, p99 {percentile(shares, 0.99):.1f} ms"
    met = median(shares) <= MEDIAN_GOAL_MS and percentile(shares, 0.99) <= SLOWEST_GOAL_MS
    result.add(what, f"median <= {MEDIAN_GOAL_MS} ms, p99 <= {SLOWEST_GOAL_MS} ms", reached, met)
    result.plots["door_ms"] = sorted(round(share, 2) for share in shares)


def _rows(result: Result, totals: list[float], notices: list[float], shares: list[float]) -> None:
    what = f"delivered by LMTP -> acknowledgement accepted, {len(totals)} deliveries"
    reached = (
        f"{median(totals):.1f} ms, of which the server's notice {median(notices):.1f}: own {median(shares):.1f} ms"
    )
    wanted = f"median <= notice + {MEDIAN_GOAL_MS} ms"
    result.add(what, wanted, reached, median(shares) <= MEDIAN_GOAL_MS)
    slowest = percentile(shares, 0.99)
    reached = f"{percentile(totals, 0.99):.1f} ms, own {slowest:.1f} ms"
    result.add("the slowest of a hundred", f"p99 <= notice + {SLOWEST_GOAL_MS} ms", reached, slowest <= SLOWEST_GOAL_MS)
    result.plots["own_ms"] = sorted(round(share, 2) for share in shares)
    result.plots["total_ms"] = sorted(round(total, 2) for total in totals)
    result.plots["notice_ms"] = sorted(round(notice, 2) for notice in notices)
