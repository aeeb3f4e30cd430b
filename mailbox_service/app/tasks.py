"""Tasks that go on after a fault, and end when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from mailbox_service.services.metering import NO_METER, TASKS_RESTARTED, Meter

log = structlog.get_logger()

ENDING_TRIES = 3
RESTART_FIRST_SECONDS, RESTART_LONGEST_SECONDS = 1.0, 60.0


async def kept_alive(name: str, work: Callable[[], Coroutine[Any, Any, None]], meter: Meter = NO_METER) -> None:
    """Run `work` until it ends by itself. A fault of ours in one task must not silence the others."""
    pause = RESTART_FIRST_SECONDS
    while True:
        try:
            await work()
            return
        except Exception as error:
            log.exception("task failed", task=name, error_type=type(error).__name__)
            meter.count(TASKS_RESTARTED, name)
        await asyncio.sleep(pause)
        pause = min(pause * 2, RESTART_LONGEST_SECONDS)


async def end(tasks: list[asyncio.Task[None]]) -> bool:
    """Cancel, until they have ended; False where one did not.

    More than once, because a library may swallow a cancellation that comes at the very moment one of its own
    deadlines passes (Python 3.11's `wait_for` does).
    """
    pending = set(tasks)
    for _ in range(ENDING_TRIES):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=1.0)
    if pending:
        log.warning("tasks did not end", count=len(pending), task=",".join(t.get_name() for t in pending))
    return not pending
