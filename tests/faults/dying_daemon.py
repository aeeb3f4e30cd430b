"""The daemon, until nothing is left to do - or until it kills itself at a chosen step.

    python -m tests.faults.dying_daemon CONFIG [STEP.WHEN.N]

STEP is a step of docs/flow.md (T1 … T6), `send` or `mark`; WHEN is `before` or `after` its commit (its reply); N counts
its occurrences from 1. It dies by SIGKILL, so nothing is tidied up. Exits 0 once all is worked, sent and marked.
Production code knows nothing of this: the steps are watched from outside, by wrapping.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailbox_service import app, logs
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.adapters.imap.marker import Marker
from mailbox_service.adapters.smtp import SmtpTransport
from mailbox_service.config import load

# The method of a transaction that makes it the step; it counts only when it had something to do.
STEPS = {
    "store": "T1",
    "claim_messages": "T2",
    "finish": "T3",
    "claim_outbound": "T4",
    "freeze": "T5",
    "settle": "T6",
    "marked": "T7",
}
POLL_SECONDS = 0.05


class Points:
    """Counts the steps and ends the process at the chosen one."""

    def __init__(self, fatal: str) -> None:
        self.fatal, self.seen = fatal, Counter[str]()
        self._lock = threading.Lock()

    def reach(self, step: str, when: str) -> None:
        with self._lock:
            self.seen[f"{step}.{when}"] += 1
            if f"{step}.{when}.{self.seen[f'{step}.{when}']}" == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)


def watch(points: Points) -> None:
    here = threading.local()

    def noting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: SqlTransaction, first: Any, *rest: Any) -> Any:
            result = original(self, first, *rest)
            if result or (name in ("finish", "marked", "store") and first):
                here.steps.append(STEPS[name])
            return result

        return call

    for name in STEPS:
        setattr(SqlTransaction, name, noting(name, getattr(SqlTransaction, name)))
    run = Database.run

    def watched(self: Database, work: Callable[[SqlTransaction], Any]) -> Any:
        here.steps = []

        def inside(tx: SqlTransaction) -> Any:
            result = work(tx)
            for step in here.steps:
                points.reach(step, "before")
            return result

        result = run(self, inside)
        for step in here.steps:
            points.reach(step, "after")
        return result

    Database.run = watched  # type: ignore[method-assign]
    _around(points, SmtpTransport, "send", "send")
    _around(points, Marker, "_settle", "mark")


def _around(points: Points, owner: type, method: str, step: str) -> None:
    original = getattr(owner, method)

    async def call(*args: Any) -> Any:
        points.reach(step, "before")
        result = await original(*args)
        points.reach(step, "after")
        return result

    setattr(owner, method, call)


async def until_quiet(service: app.Service) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    names = sorted(service.mailboxes)
    while not running.done():
        await asyncio.sleep(POLL_SECONDS)
        left, compared = await service.database.transact(
            lambda tx: (tx.waiting(names, app.now()), bool(tx.known_mailboxes()) and tx.backlog_settled(names[0]))
        )
        if compared and not left["messages"] and not left["marks"] and not left["mails"]:
            break
    stop.set()
    await running


def main() -> None:
    if len(sys.argv) > 2:
        watch(Points(sys.argv[2]))
    config = load(Path(sys.argv[1]), os.environ)
    logs.configure(config.logging.format, config.logging.level)
    asyncio.run(until_quiet(app.Service.open(config)))


if __name__ == "__main__":
    main()
