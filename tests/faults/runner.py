"""Passes of the service that die or freeze at a chosen moment. Reads one order as JSON a line, answers with one line.

The faults are put around the production code from outside. Each pass runs in a fork, so that imports cost once.

    {"config": "…/config.yaml", "once": true, "fault": ["kill", "before", "T3", 1]}

answers {"pid": 7, "status": -9}; with "once" false the daemon runs, and the answer {"pid": 7} comes at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from mailbox_service import app, logs
from mailbox_service.adapters.database import storage
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.adapters.imap.session import Session
from mailbox_service.adapters.smtp import SmtpTransport
from mailbox_service.config import load
from mailbox_service.services import outbox

# Which method makes a transaction the named step. A claim that finds nothing is none.
STEPS = {
    "store": "T1",
    "claim_messages": "T2",
    "finish": "T3",
    "claim_outbound": "T4",
    "freeze": "T5",
    "settle": "T6",
    "marked": "MARKED",
}


class Fault:
    """Ends or freezes this process at the n-th time that a moment comes."""

    def __init__(self, how: str, when: str, step: str, number: int) -> None:
        self._signal = signal.SIGKILL if how == "kill" else signal.SIGSTOP
        self._moment, self._left = (when, step), number

    def at(self, when: str, step: str) -> None:
        if (when, step) == self._moment:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)


class Watched(SqlTransaction):
    """A transaction that knows which steps it was."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.steps: list[str] = []


def _noting(name: str) -> Callable[..., Any]:
    method = getattr(SqlTransaction, name)

    def noted(self: Watched, *arguments: Any) -> Any:
        result = method(self, *arguments)
        if result or not name.startswith("claim"):
            self.steps.append(STEPS[name])
        return result

    return noted


def install(fault: Fault) -> None:
    for name in STEPS:
        setattr(Watched, name, _noting(name))
    storage.SqlTransaction = Watched  # type: ignore[attr-defined]
    run = storage.Database.run

    def watched_run(self: storage.Database, work: Callable[[Any], Any]) -> Any:
        seen: list[str] = []

        def working(tx: Any) -> Any:
            result = work(tx)
            seen[:] = tx.steps
            for step in seen:
                fault.at("before", step)
            return result

        result = run(self, working)
        for step in seen:
            fault.at("after", step)
        return result

    storage.Database.run = watched_run  # type: ignore[method-assign]
    for owner, name, step in ((SmtpTransport, "send", "SEND"), (Session, "move", "MOVE")):
        setattr(owner, name, _around(getattr(owner, name), fault, step))


def _around(method: Callable[..., Any], fault: Fault, step: str) -> Callable[..., Any]:
    async def around(*arguments: Any) -> Any:
        fault.at("before", step)
        result = await method(*arguments)
        fault.at("after", step)
        return result

    return around


async def live(order: dict[str, Any]) -> None:
    service = app.Service.open(load(Path(order["config"]), os.environ))
    if order["once"]:
        await service.run_once()
        await service.close()
        return
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await service.run(stop)


def child(order: dict[str, Any]) -> None:
    log = os.open(Path(order["config"]).parent / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    logs.configure("json", "info")
    # Short, so that a test can wait for a lease to lapse.
    outbox.LEASE, outbox.LEASE_MARGIN, outbox.IDLE_SECONDS = timedelta(seconds=6), timedelta(seconds=2), 0.2
    if order.get("fault"):
        install(Fault(*order["fault"]))
    asyncio.run(live(order))


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = {"pid": order["wait"], "status": _status(order["wait"])}
        else:
            pid = os.fork()
            if pid == 0:
                try:
                    child(order)
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                    os._exit(1)
                os._exit(0)
            answer = {"pid": pid, "status": _status(pid)} if order["once"] else {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
