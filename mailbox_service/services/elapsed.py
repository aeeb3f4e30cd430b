"""How much time has really passed since a moment on file, whatever the wall clock did meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailbox_service.services.ports import Clock

# Time servers correct by less. More is a clock set by hand, a machine that was suspended, or a broken one.
JUMP = timedelta(minutes=1)
# Jumps. A clock that jumps more often has no meaning at all.
REMEMBERED = 100
_NO_TIME = timedelta()


@dataclass(frozen=True, slots=True)
class _Jump:
    before: datetime  # the wall clock at the last look before
    by: timedelta


class Elapsed:
    """Time that this process has watched pass. Call `tick` at intervals."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._wall, self._steady = clock(), monotonic()
        self._started = self._steady
        self._jumps: list[_Jump] = []

    def tick(self) -> timedelta | None:
        """By how much the wall clock jumped since the last call, where it did (RFC 1305 calls it a step)."""
        wall, steady = self._clock(), self._monotonic()
        by = (wall - self._wall) - timedelta(seconds=steady - self._steady)
        before, self._wall, self._steady = self._wall, wall, steady
        if abs(by) < JUMP:
            return None
        self._jumps = [*self._jumps[-REMEMBERED:], _Jump(before, by)]
        return by

    def since(self, moment: datetime) -> timedelta:
        """How long ago `moment` was, jumps taken out, and never longer than this process runs.

        What lay about while nobody was here has not been neglected.
        """
        passed = self._clock() - moment
        passed -= sum((jump.by for jump in self._jumps if jump.by > _NO_TIME and moment <= jump.before), _NO_TIME)
        if passed < _NO_TIME:
            # Only what lies ahead was surely before the clock went back; else a fresh moment would look old.
            passed -= sum((jump.by for jump in self._jumps if jump.by < _NO_TIME), _NO_TIME)
        watched = timedelta(seconds=self._monotonic() - self._started)
        return max(min(passed, watched), _NO_TIME)
