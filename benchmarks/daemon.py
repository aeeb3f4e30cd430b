"""The service in a process of its own, watched from inside.

    python -m benchmarks.daemon CONFIG [--lag] [--profile FILE]

The same as `mailbox-service run`, and on standard output: "running" when it begins. With --lag, for each line on
standard input one line back: the longest times in milliseconds that the event loop was blocked, and late, since the
last line. Blocked is the part of being late in which this very process used the processor; the rest is other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import signal
import sys
import time
from pathlib import Path

from mailbox_service import logs
from mailbox_service.app.daemon import Daemon
from mailbox_service.app.memory import share_one_arena
from mailbox_service.config import load

LOOK_SECONDS = 0.005


class Lag:
    """How late the event loop comes to a call that is due: what a blocked loop makes everybody wait."""

    def __init__(self) -> None:
        self._late_seconds = self._blocked_seconds = 0.0

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, used = loop.time() + LOOK_SECONDS, time.process_time()
            await asyncio.sleep(LOOK_SECONDS)
            late, used = loop.time() - due, time.process_time() - used
            self._late_seconds = max(self._late_seconds, late)
            self._blocked_seconds = max(self._blocked_seconds, min(late, used))

    def tell(self) -> None:
        sys.stdin.readline()
        print(f"{self._blocked_seconds * 1e3:.2f} {self._late_seconds * 1e3:.2f}", flush=True)
        self._late_seconds = self._blocked_seconds = 0.0


async def serve(daemon: Daemon, *, lag: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, daemon.stop)
    watching = None
    if lag:
        watch = Lag()
        watching = asyncio.create_task(watch.watch(), name="lag")
        loop.add_reader(sys.stdin, watch.tell)
    print("running", flush=True)
    await daemon.run()
    if watching is not None:
        watching.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--lag", action="store_true")
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    share_one_arena()
    config = load(arguments.config, os.environ)
    logs.configure(config.logging.format, config.logging.level)
    daemon = Daemon.open(config, lambda: config, {})
    if arguments.profile:
        profile = cProfile.Profile()
        profile.runcall(asyncio.run, serve(daemon, lag=arguments.lag))
        profile.dump_stats(arguments.profile)
    else:
        asyncio.run(serve(daemon, lag=arguments.lag))


if __name__ == "__main__":
    main()
