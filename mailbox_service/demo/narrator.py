"""Tells on the screen what happens in the playground, mail by mail, as it happens."""

from __future__ import annotations

from mailbox_service.demo import mails
from mailbox_service.demo.keyrings import readable
from mailbox_service.demo.playground import Arrival, Playground, Row
from mailbox_service.demo.screen import Screen


class Narrator:
    """The one reader of the playground's news."""

    def __init__(self, ground: Playground, screen: Screen) -> None:
        self._ground, self._screen = ground, screen
        self._kinds_shown: set[str] = set()
        self.latencies_ms: list[float] = []  # from each submission to the arrival of the answer
        self.fates: dict[str, Row] = {}  # by the SHA-256 of the mail: what the service decided first

    async def tell(self) -> None:
        """Tell for ever."""
        while True:
            arrival = await self._ground.news.get()
            try:
                await self._tell(arrival)
            finally:
                self._ground.news.task_done()

    async def told(self) -> None:
        """Returns when everything that arrived so far has been told."""
        await self._ground.news.join()

    async def _tell(self, arrival: Arrival) -> None:
        if arrival.recipient == mails.SECURITY:
            await self._came_in(arrival)
        else:
            await self._went_out(arrival)

    async def _came_in(self, arrival: Arrival) -> None:
        self._screen.came_in(arrival.mail)
        row = await self._ground.fate(arrival)
        if row is None:
            self._screen.decided("nothing was decided about it yet")
            return
        self.fates[arrival.sha256] = row
        # What joins a case does so whatever a machine makes of its words.
        if row["outcome"] and row["disposition"] != "attached":
            chances = f"{row['security'] or 0:.0%} a report, {row['spam'] or 0:.0%} spam"
            self._screen.sorted_as(row["outcome"], chances, row["reasons"] or ())
        self._screen.decided(_decision(row))

    async def _went_out(self, arrival: Arrival) -> None:
        sent = await self._ground.outgoing(arrival.mail)
        keys = self._ground.keys
        opened = await keys.as_shown(arrival.recipient, arrival.data) if keys is not None else None
        inside = readable(opened, arrival.mail) if opened is not None else None
        after, kind = "", arrival.sha256
        if sent is not None:
            # With its content, and without for whoever has no key, are two kinds for whoever reads along.
            kind = f"{sent.kind}, {sent.case_sealed}, {inside is not None}"
            cause = await self._ground.caused_by(sent)
            if cause is not None:
                # An answer may arrive before the submission server has had time to say that it took the mail.
                latency_ms = max(arrival.at - cause.at, 0.0) * 1000
                after = f", {latency_ms:.0f} ms after submission"
                if arrival.recipient == cause.sender:
                    self.latencies_ms.append(latency_ms)
        self._screen.went_out(arrival.mail, arrival.recipient, after, seen=kind in self._kinds_shown, inside=inside)
        self._kinds_shown.add(kind)


def _decision(row: Row) -> str:
    """What the service did with a message, in one line."""
    case, why = row["case"], row["why"]
    match row["disposition"]:
        case "case":
            what = f"case {case} is opened: {why}"
        case "attached":
            what = f"it joins case {case}: {why}"
        case "redirect":
            what = f"its sender is pointed to the team: {why}"
        case "hold":
            what = f"it is kept for a person to decide: {why}"
        case _ if case:
            what = f"it is filed with case {case}, and not answered: {why}"
        case _:
            what = f"it is kept, and not answered: {why}"
    return f"{what} (not answered: {row['no_answer']})" if row["no_answer"] else what
