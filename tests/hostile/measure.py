"""What hostile mail costs: processor time of the whole understanding and its answers, and the loop's longest pause.

    python -m tests.hostile.measure [--sizes 20000,80000] [--seconds 0.3] [SHAPE...]

Each size of each shape runs in a process of its own; a line names the seconds of each step, the longest time for which
the event loop did not run, and the memory beyond the mail itself. A `!` marks what took longer than `--seconds`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

from mailbox_service.adapters.templates import Templates
from mailbox_service.core.composition import Outgoing, compose
from mailbox_service.core.message import parse
from mailbox_service.core.tokens import TokenKey
from mailbox_service.services.correspondence import NO_OUTLOOK, Correspondence
from mailbox_service.services.ports import CaseId, Claim, MessageId, NewMail, OpenCase, SourceKind
from mailbox_service.services.understanding import Understood, understand
from mailbox_service.sorting.learned.sorter import TrainedSorter
from tests.attacks.house import MAILBOX
from tests.hostile.shapes import SHAPES

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SIZES = (20_000, 80_000, 320_000, 1_000_000, 10_000_000, 50_000_000)
SORTER = TrainedSorter()
TEMPLATES = Templates.load(None)
CORRESPONDENCE = Correspondence(TokenKey(1, b"k" * 32))


def claim_of(data: bytes) -> Claim:
    """The message as T1 hands it to the worker."""
    return Claim(
        id=MessageId(1),
        token=1,
        attempt=1,
        mailbox=MAILBOX.name,
        source=SourceKind.IMAP,
        received_at=NOW,
        junk=False,
        quiet=False,
        partial=False,
        size_bytes=len(data),
        envelope_from=None,
        envelope_to=None,
        decided=None,
        case_id=None,
        data=data,
    )


def understood_of(data: bytes) -> Understood:
    return understand(claim_of(data), data, MAILBOX, SORTER)


def mails_of(understood: Understood) -> list[NewMail]:
    """Every mail that may follow from one message."""
    case = OpenCase(MAILBOX.name, None, "s", unsure=True, sealed=False, quiet=False, id=CaseId(1), ref="SEC-2026-0001")
    mails = CORRESPONDENCE.notice_case(MAILBOX, understood, case, None, understood.triage.hints, "not", NO_OUTLOOK)
    mails += CORRESPONDENCE.notice_message(MAILBOX, understood, case, verified=False)
    if understood.message.from_ is not None:
        mails.append(CORRESPONDENCE.acknowledgement(MAILBOX, understood, case, NOW))
        mails.append(CORRESPONDENCE.redirect(MAILBOX, understood))
    return mails


def composed(mail: NewMail, data: bytes) -> bytes:
    """One of `mails_of` as it goes out."""
    rendered = TEMPLATES.render(mail.template, mail.context)
    return compose(
        Outgoing(
            from_address=MAILBOX.address,
            from_name="Demo security",
            to_address=mail.recipient,
            reply_to=None,
            subject=rendered.subject,
            body=rendered.body,
            message_id=mail.message_id,
            date=NOW,
            in_reply_to=mail.in_reply_to,
            references=mail.references,
            auto_submitted="auto-generated",
            loop_marker="x",
            attachment=data if mail.attached_message is not None else None,
            attachment_name="message-1.eml",
        )
    )


def steps(data: bytes) -> dict[str, float]:
    """Processor seconds of each step; the event loop is free to run meanwhile, as in the service."""
    spent: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        begun = time.thread_time()
        result = step()
        spent[name] = spent.get(name, 0.0) + time.thread_time() - begun
        return result

    timed("digest", lambda: sha256(data).hexdigest())
    timed("parse", lambda: parse(data))
    understood = timed("understand", lambda: understood_of(data))
    for mail in timed("notices", lambda: mails_of(understood)):
        timed("compose", partial(composed, mail, data))
    return spent


async def observed(data: bytes) -> dict[str, float]:
    """The steps in a thread, and the longest that they kept the event loop from running, in processor seconds.

    Processor time of the thread between two turns of the loop, so that a busy machine hardly counts.
    """
    begun: list[int] = []

    def working() -> dict[str, float]:
        begun.append(threading.get_ident())
        return steps(data)

    work = asyncio.create_task(asyncio.to_thread(working))
    longest, last = 0.0, 0.0
    while not work.done():
        await asyncio.sleep(0.001)
        if begun and not work.done():
            spent = time.clock_gettime(time.pthread_getcpuclockid(begun[0]))
            longest, last = max(longest, spent - last), spent
    return work.result() | {"held": longest}


def measured(make: Callable[[int], bytes], size: int) -> dict[str, float]:
    """Everything of one shape at one size, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            data = make(size)
            asyncio.run(observed(HEAD))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found = asyncio.run(observed(data))
            found["megabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
            os.write(writing, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {}


HEAD = SHAPES["one line"](100)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sizes", default=",".join(map(str, SIZES)))
    arguments.add_argument("--seconds", type=float, default=0.3)
    arguments.add_argument("shapes", nargs="*")
    asked = arguments.parse_args()
    asyncio.run(observed(HEAD))  # what is loaded once is not the mail's
    for name in asked.shapes or SHAPES:
        for size in map(int, asked.sizes.split(",")):
            found = measured(SHAPES[name], size)
            slow = any(value > asked.seconds for key, value in found.items() if key != "megabytes")
            line = " ".join(f"{key} {value:7.3f}" for key, value in found.items()) or "DIED"
            sys.stdout.write(f"{'!' if slow or not found else ' '} {name:40} {size:9} {line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
