"""The service in a process of its own, until its backlog is worked, answered and flagged. Prints figures as JSON."""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import resource
import time
from pathlib import Path

from mailbox_service import app, logs
from mailbox_service.adapters.database.reading_sql import MessageFilter
from mailbox_service.config import load

POLL_SECONDS = 0.1


async def work_off(service: app.Service) -> tuple[float, int]:
    """Seconds it took, and how many messages are on file."""
    stop = asyncio.Event()
    started = time.perf_counter()
    running = asyncio.create_task(service.run(stop))
    names = sorted(service.mailboxes)
    while True:
        await asyncio.sleep(POLL_SECONDS)
        left, settled = await service.database.transact(
            lambda tx: (tx.waiting(names), tx.backlog_settled(names[0]) and tx.known_mailboxes() == names)
        )
        if settled and not left["messages"] and not left["marks"] and not left["mails"]:
            break
    seconds = time.perf_counter() - started
    messages = await service.database.transact(lambda tx: len(tx.list_messages(MessageFilter())))
    stop.set()
    await running
    return seconds, messages


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    config = load(arguments.config, os.environ)
    logs.configure(config.logging.format, config.logging.level)
    service = app.Service.open(config)
    if arguments.profile:
        profile = cProfile.Profile()
        seconds, messages = profile.runcall(asyncio.run, work_off(service))
        profile.dump_stats(arguments.profile)
    else:
        seconds, messages = asyncio.run(work_off(service))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "seconds": seconds,
        "messages": messages,
        "rss_mb": usage.ru_maxrss / 1024,
        "cpu_s": usage.ru_utime + usage.ru_stime,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
