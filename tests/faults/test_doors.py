"""Mail that is pushed: a 250 is said after the commit and never before, wherever the daemon dies in between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import smtplib
import socket

import pytest

from tests.faults.failpoints import Fault
from tests.faults.scene import MAILS, PASS_SECONDS, NewScene, Scene, state_of, until

MAIL = MAILS[0]
DOOR = 'intake: {{lmtp: {{socket: "{socket}"}}}}\n'
MOMENTS = ("before commit T1", "after commit T1", "before write lmtp 250", "after write lmtp 250", "after commit T3")


def push(here: Scene) -> None:
    """One delivery, as a mail server makes it: what is answered 250 is a promise, all else is tried again."""
    here.history.offered.append(MAIL)
    with contextlib.suppress(OSError, smtplib.SMTPException), smtplib.LMTP(str(here.lmtp)) as server:
        server.sendmail("r1@d1.example", ["security@example.org"], MAIL)
        here.history.promised.append(MAIL)


async def daemon(here: Scene, *faults: Fault) -> int:
    """A daemon whose door is open."""
    here.lmtp.unlink(missing_ok=True)
    pid = await here.start(*faults, once=False)
    await until(lambda: is_open(here) or state_of(pid) == "Z", PASS_SECONDS, here.log)
    return pid


def is_open(here: Scene) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(here.lmtp)) == 0


async def pushed_through_a_death(here: Scene, moment: str) -> None:
    here.config.write_text(DOOR.format(socket=here.lmtp) + here.config.read_text())
    pid = await daemon(here, Fault("kill", moment))
    await asyncio.to_thread(push, here)
    await until(lambda: state_of(pid) == "Z" or here.records().mails, PASS_SECONDS, here.log)
    if state_of(pid) != "Z":
        os.kill(pid, signal.SIGKILL)
    await here.ended(pid)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_250_outlives_a_death_at_any_moment(moment: str, new_scene: NewScene) -> None:
    async with new_scene(mails=[]) as here:
        await pushed_through_a_death(here, moment)
        assert not here.wrong_now()
        pid = await daemon(here)
        while not here.history.promised:
            await asyncio.to_thread(push, here)
        await until(lambda: len(here.records().recorded_as_sent()) == 3, PASS_SECONDS, here.log, pause=0.1)
        assert await here.terminate(pid) == [0], here.log()
        assert not here.wrong()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_a_250_before_the_commit_is_noticed(new_scene: NewScene) -> None:
    async with new_scene(mails=[]) as broken:
        broken.breakage = "promise_before_commit"
        await pushed_through_a_death(broken, "before commit T1")
        assert any(line.startswith("what_was_promised_is_on_file") for line in broken.wrong_now())
