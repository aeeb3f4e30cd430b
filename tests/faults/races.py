"""Meetings of two lives that a test brings about on purpose, with the worst timing there is."""

from __future__ import annotations

from tests.faults.failpoints import Fault
from tests.faults.scene import Scene

HOUR = 3600.0


async def both_store_the_same_mail(here: Scene) -> None:
    """One life finds a message not on file; before it stores it, another one stores, works and moves it."""
    first = await here.start(Fault("stop", "before INSERT message"))
    await here.stopped(first)
    assert await here.once() == 0, here.log()
    here.go_on(first)
    assert await here.ended(first) == 0, here.log()
    await here.until_quiet()


async def both_hold_the_same_mails(here: Scene) -> None:
    """One life is frozen past its lease with mails in hand; it wakes while another one is in the midst of sending them.

    The first one gives back what it thinks is its own. Without a fencing token it gives back what the second one holds.
    """
    here.lease = HOUR / 2
    first = await here.start(Fault("stop", "after commit T5", seconds=HOUR))
    await here.stopped(first)
    here.clock += HOUR
    second = await here.start(Fault("stop", "after write smtp dot"))
    await here.stopped(second)
    here.go_on(first)
    await here.ended(first)
    here.go_on(second)
    await here.ended(second)
    await here.until_quiet()
