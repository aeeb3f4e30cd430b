"""What every scene of the demo is played with: it is announced, mails are submitted, and facts are noted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from email.message import EmailMessage

from mailbox_service.demo.mails import Person
from mailbox_service.demo.narrator import Narrator
from mailbox_service.demo.playground import Arrival, Playground, Row
from mailbox_service.demo.screen import Screen


@dataclass
class Facts:
    """What had to happen, and whether it did."""

    all: list[tuple[bool, str]] = field(default_factory=list)

    def add(self, happened: bool, what: str, found: str = "") -> None:
        self.all.append((happened, what if happened or not found else f"{what} - found: {found}"))


class Performance:
    """One evening: `submitted` counts the mails to the service."""

    def __init__(self, ground: Playground, narrator: Narrator, screen: Screen, pause_seconds: float) -> None:
        self.ground, self.narrator = ground, narrator
        self._screen, self._pause_seconds = screen, pause_seconds
        self._number = 0
        self.submitted = 0
        self.facts = Facts()

    async def scene(self, title: str, text: str) -> None:
        if self._number:
            await asyncio.sleep(self._pause_seconds)
        self._number += 1
        self._screen.section(f"{self._number}  {title}", text)

    async def submit(self, author: Person | None, mail: EmailMessage) -> Row | None:
        """Whoever's mail from the account of `author` (None: without any login), and what the service decided."""
        arrival = await self.ground.submit(author, mail)
        self.submitted += 1
        return await self.outcome(arrival)

    async def outcome(self, arrival: Arrival) -> Row | None:
        """What the service decided, when all that followed from it has happened and was told."""
        await self.ground.fate(arrival)
        await self.ground.settled()
        await self.narrator.told()
        return self.narrator.fates.get(arrival.sha256)

    def note(self, text: str) -> None:
        """A line on what was reached."""
        self._screen.decided(text)

    @property
    def latencies_ms(self) -> tuple[float, float]:
        """The shortest and the longest time from the submission of a mail to the arrival of its answer."""
        times = self.narrator.latencies_ms or [0.0]
        return min(times), max(times)

    def expect(self, row: Row | None, what: str, disposition: str, *, outcome: str = "") -> None:
        if row is None:
            self.facts.add(False, what, "nothing was decided about it")
            return
        fits = row["disposition"] == disposition and (not outcome or row["outcome"] == outcome)
        case = f": {row['case']}" if row["case"] else ""
        self.facts.add(
            fits, what + (case if fits else ""), f"disposition {row['disposition']}, sorted as {row['outcome']}"
        )
