"""Lives of the service that end, freeze or stumble at a chosen point. Reads one order as JSON a line, answers likewise.

The faults are put around the production code from outside (failpoints.py, breakages.py). Each life is a fork, so that
imports cost once. An `Order` is answered with {"pid": 7}, and {"wait": 7} with {"status": -9} once that life is over.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from mailbox_service import app, logs
from mailbox_service.app import clock, service
from mailbox_service.config import load
from mailbox_service.services import outbox
from mailbox_service.services.processor import ThreadProcessor
from tests.faults import breakages
from tests.faults.failpoints import FailPoints, Fault, install
from tests.faults.power_cut import Recorder

# What a pass that did its work, but left something undone, exits with.
UNFINISHED = 3


@dataclass(frozen=True)
class Order:
    """One life. `ports` names the protocol behind each port, `clock` is how far the clock is from the true time.

    `lease` (seconds) is short where a test waits for it to lapse. `trace` and `disk` are files that hear of each point,
    and of what SQLite does to its files (power_cut.py).
    """

    config: str
    once: bool = True
    faults: list[Fault] = field(default_factory=list)
    ports: dict[str, str] = field(default_factory=dict)
    log: str = "/dev/null"
    trace: str = ""
    disk: str = ""
    clock: float = 0.0
    lease: float = 6.0
    breakage: str = ""

    def dumped(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, values: dict[str, Any]) -> Order:
        return cls(**values | {"faults": [Fault(**fault) for fault in values["faults"]]})


class Clock:
    """Stands in for `datetime` in the only module that reads the clock."""

    def __init__(self, offset_seconds: float) -> None:
        self._offset = timedelta(seconds=offset_seconds)

    def now(self, zone: tzinfo) -> datetime:
        return datetime.now(zone) + self._offset

    def jump(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)


async def live(order: Order) -> int:
    ours = app.Service.open(load(Path(order.config), os.environ))
    if order.once:
        try:
            return 0 if await ours.run_once() else UNFINISHED
        finally:
            await ours.close()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await ours.run(stop)
    return 0


def _writing(trace: str) -> Callable[[str], None]:
    file = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(name: str) -> None:
        os.write(file, f"{name}\n".encode())

    return write


def child(order: Order) -> int:
    folder = Path(order.config).parent
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    logs.configure("json", "info")
    outbox.LEASE, outbox.LEASE_MARGIN = timedelta(seconds=order.lease), timedelta(seconds=order.lease / 3)
    outbox.IDLE_SECONDS = 0.2
    # What failed before would start a process of its own in each of some hundred passes; tests/processor has that.
    vars(service)["ChildProcessor"] = ThreadProcessor
    # What is proven is the order of things; a machine that is busy with other tests must not end a life too early.
    outbox.LAST_WORDS_SECONDS, service.SHUTDOWN_SECONDS = 60.0, 120.0
    ours = Clock(order.clock)
    vars(clock)["datetime"] = ours
    if order.faults or order.trace or order.disk:
        if order.disk:
            recorder = Recorder(Path(order.disk))
            install(FailPoints(order.faults, ours.jump, recorder.point), order.ports, folder, recorder.call)
        else:
            install(FailPoints(order.faults, ours.jump, _writing(order.trace or os.devnull)), order.ports, folder)
    if order.breakage:
        breakages.BREAKAGES[order.breakage]()
    return asyncio.run(live(order))


def _forked(order: Order) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = child(order)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def main() -> None:
    for line in sys.stdin:
        values = json.loads(line)
        if "wait" in values:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(values["wait"], 0)[1])}
        else:
            answer = {"pid": _forked(Order.of(values))}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
