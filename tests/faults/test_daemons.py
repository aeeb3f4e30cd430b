"""Several daemons on one mailbox and one PostgreSQL, some of them frozen past their leases."""

from __future__ import annotations

import pytest

from tests.faults.failpoints import Fault
from tests.faults.races import both_hold_the_same_mails, both_store_the_same_mail
from tests.faults.scene import PASS_SECONDS, NewScene, Scene, until

pytestmark = pytest.mark.parametrize("kind", ["postgres"], indirect=True)


async def until_all_is_done(here: Scene) -> None:
    """Every message worked, every mail sent, every mark made; looked at from outside."""

    def done() -> bool:
        seen = here.records()
        return (
            len(seen.messages) == len(here.history.given)
            and all(message.state == "done" for message in seen.messages)
            and all(mail.state == "sent" for mail in seen.mails)
            and all(source.mark_state in ("done", "gone") for source in seen.sources)
        )

    await until(done, 2 * PASS_SECONDS, lambda: f"{here.records()} {here.log()}", pause=0.3)


async def test_three_daemons_lose_and_double_nothing(new_scene: NewScene) -> None:
    async with new_scene() as here:
        daemons = [await here.start(once=False) for _ in range(3)]
        await until_all_is_done(here)
        assert await here.terminate(*daemons) == [0, 0, 0], here.log()
        assert not here.wrong()


@pytest.mark.parametrize("moment", ["T1", "T3", "T4", "T5"])
async def test_of_three_daemons_two_are_frozen_past_their_leases_and_thaw(moment: str, new_scene: NewScene) -> None:
    """Their clocks jump while they stand still, as after a suspend; the third one's is ahead, so that it takes over."""
    async with new_scene() as here:
        hour = 3600.0
        frozen = [await here.start(Fault("stop", f"after commit {moment}", seconds=hour), once=False)]
        await here.asleep(frozen[0])
        here.clock = hour
        frozen.append(await here.start(Fault("stop", "after commit MARKING", seconds=hour), once=False))
        here.clock = 2 * hour
        third = await here.start(once=False)
        await here.asleep(frozen[1])
        await until(lambda: len(here.records().recorded_as_sent()) >= 7, PASS_SECONDS, here.log, pause=0.3)
        for pid in frozen:
            here.go_on(pid)
        await until_all_is_done(here)
        assert await here.terminate(*frozen, third) == [0, 0, 0], here.log()
        assert not here.wrong()


async def test_a_killed_daemon_is_replaced_by_those_who_live(new_scene: NewScene) -> None:
    async with new_scene() as here:
        doomed = await here.start(Fault("kill", "after commit T1"), once=False)
        await here.ended(doomed)
        here.clock = 3600.0  # its leases have lapsed
        others = [await here.start(once=False) for _ in range(2)]
        await until_all_is_done(here)
        assert await here.terminate(*others) == [0, 0], here.log()
        assert not here.wrong()


async def test_two_that_store_the_same_mail_at_once_store_it_once(new_scene: NewScene) -> None:
    async with new_scene() as here:
        await both_store_the_same_mail(here)
        assert not here.wrong()


async def test_who_wakes_after_its_lease_gives_nothing_back_that_another_holds(new_scene: NewScene) -> None:
    async with new_scene() as here:
        await both_hold_the_same_mails(here)
        assert not here.wrong()
