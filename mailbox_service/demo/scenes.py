"""What the cast does, scene by scene, and the facts that prove that the service did its job."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from email.message import EmailMessage

from mailbox_service import app
from mailbox_service.core.message import parse
from mailbox_service.demo import mails
from mailbox_service.demo.narrator import Narrator
from mailbox_service.demo.playground import Arrival, Playground, Row
from mailbox_service.demo.screen import Screen

# Mails to maintainers that the hour of the day brings; they belong to no scene.
_BY_THE_CLOCK = frozenset({"digest", "summary"})


@dataclass
class Facts:
    """What had to happen, and whether it did."""

    all: list[tuple[bool, str]] = field(default_factory=list)

    def add(self, happened: bool, what: str, found: str = "") -> None:
        self.all.append((happened, what if happened or not found else f"{what} - found: {found}"))


class Scenes:
    def __init__(self, ground: Playground, narrator: Narrator, screen: Screen, pause_seconds: float) -> None:
        self._ground, self._narrator, self._screen = ground, narrator, screen
        self._pause_seconds = pause_seconds
        self._submitted = 0
        self._number = 0
        self.facts = Facts()

    async def play(self) -> None:
        """Play all scenes, then look into every mailbox and at everything on file."""
        report = await self._report()
        await self._addition(report)
        await self._question()
        await self._advertisement()
        await self._out_of_office()
        await self._afterthought()
        await self._look_around()

    @property
    def latencies_ms(self) -> tuple[float, float]:
        """The shortest and the longest time from the submission of a mail to the arrival of its answer."""
        times = self._narrator.latencies_ms or [0.0]
        return min(times), max(times)

    # --- the scenes ---------------------------------------------------------------------------------------

    async def _report(self) -> EmailMessage:
        await self._scene("A vulnerability report", "A researcher has found something.")
        report = mails.report(app.now())
        row = await self._submit(mails.REPORTER, report)
        self._expect(row, "the vulnerability report opens a case", "case", outcome="security")
        return report

    async def _addition(self, report: EmailMessage) -> None:
        await self._scene(
            "Forgot the attachment",
            "The reporter answers the own mail before ours was read. It joins the case, but a reference proves "
            "nothing about who wrote it: the maintainers see it as unverified, and it is not answered.",
        )
        row = await self._submit(mails.REPORTER, mails.addition(report, app.now()))
        self._expect(row, "the reporter's second mail joins that case", "attached")

    async def _question(self) -> None:
        await self._scene("A support question", "Most of what arrives at such an address is no security matter.")
        row = await self._submit(mails.CUSTOMER, mails.question(app.now()))
        self._expect(row, "the support question is redirected to the team", "redirect", outcome="not_security")

    async def _advertisement(self) -> None:
        await self._scene("Spam", "It is kept and counted, and gets no answer.")
        row = await self._submit(mails.SPAMMER, mails.advertisement(app.now()))
        self._expect(row, "the advertisement is sorted as spam", "spam", outcome="spam")

    async def _out_of_office(self) -> None:
        await self._scene(
            "Out of office",
            "Somebody asks for an invoice and goes on holiday. The out-of-office program answers our redirect, as "
            "many do although its header asks them not to. Two programs that answer each other never end; ours does "
            "not answer.",
        )
        row = await self._submit(mails.AWAY, mails.invoice(app.now()))
        self._expect(row, "the request for an invoice is redirected to the team", "redirect")
        what = "the out-of-office reply is recognised as automatic"
        answered = any(a.recipient == mails.AWAY.address for a in self._ground.arrivals)
        reply = await self._ground.arrival(_is_automatic_reply) if answered else None
        if reply is None:
            self.facts.add(False, what, "no such reply came")
            return
        self._submitted += 1
        self._expect(await self._outcome(reply), what, "automatic")

    async def _afterthought(self) -> None:
        await self._scene(
            "About security after all",
            "Whoever was redirected needs only to answer that mail, in any words: the answer and the first message "
            "become a case.",
        )
        redirect = next((a for a in self._ground.arrivals if a.recipient == mails.CUSTOMER.address), None)
        subject = redirect.mail.subject if redirect is not None else mails.SECURITY
        answered = (redirect.mail.message_id if redirect is not None else None) or ""
        row = await self._submit(mails.CUSTOMER, mails.afterthought(subject, answered, app.now()))
        self._expect(row, "the answer to the redirect opens a case of its own", "case")

    async def _scene(self, title: str, text: str) -> None:
        if self._number:
            await asyncio.sleep(self._pause_seconds)
        self._number += 1
        self._screen.section(f"{self._number}  {title}", text)

    async def _submit(self, author: mails.Person, mail: EmailMessage) -> Row | None:
        arrival = await self._ground.submit(author, mail)
        self._submitted += 1
        return await self._outcome(arrival)

    async def _outcome(self, arrival: Arrival) -> Row | None:
        """What the service decided, when all that followed from it has happened and was told."""
        await self._ground.fate(arrival)
        await self._ground.settled()
        await self._narrator.told()
        return self._narrator.fates.get(arrival.sha256)

    def _expect(self, row: Row | None, what: str, disposition: str, *, outcome: str = "") -> None:
        if row is None:
            self.facts.add(False, what, "nothing was decided about it")
            return
        fits = row["disposition"] == disposition and (not outcome or row["outcome"] == outcome)
        case = f": {row['case']}" if row["case"] else ""
        self.facts.add(
            fits, what + (case if fits else ""), f"disposition {row['disposition']}, sorted as {row['outcome']}"
        )

    # --- what is left behind ------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        at_rest = await self._ground.at_rest()
        first, second = await self._look_at_cases()
        await self._look_into(mails.REPORTER, [f"acknowledgement of {first}"])
        await self._look_into(mails.CUSTOMER, ["redirect", f"acknowledgement of {second}"])
        await self._look_into(mails.AWAY, ["redirect"])
        await self._look_into(mails.SPAMMER, [])
        notices = [f"{kind} of {case}" for case in (first, second) for kind in ("notice_case", "notice_message")]
        await self._look_into(mails.MAINTAINER, notices)
        await self._compare_bytes()
        left = await self._ground.left()
        counts = ", ".join(f"{count} {name}" for name, count in left.items() if count)
        self.facts.add(at_rest and not any(left.values()), "nothing waits, nothing is held, no mail failed", counts)

    async def _look_at_cases(self) -> tuple[str, str]:
        cases = await self._ground.cases()
        found = ", ".join(f"{c['ref']} with {c['messages']} messages" for c in cases) or "no case"
        fits = [c["messages"] for c in cases] == [2, 2]
        self.facts.add(fits, "there are two cases, with two messages each", found)
        first, second = [*(str(c["ref"]) for c in cases), "a case", "a case"][:2]
        return first, second

    async def _look_into(self, person: mails.Person, expected: list[str]) -> None:
        """Whether exactly these mails lie in the mailbox, in this order."""
        found = []
        for data in await self._ground.in_mailbox(person.address):
            sent = await self._ground.outgoing(parse(data))
            if sent is None:
                found.append("a mail of somebody else")
            elif sent.kind == "redirect":
                # Its case is one that came about later.
                found.append(sent.kind)
            elif sent.kind not in _BY_THE_CLOCK:
                found.append(f"{sent.kind} of {sent.case_ref}")
        wanted = ", ".join(expected) or "nothing"
        self.facts.add(
            found == expected, f"in the mailbox of {person.address}: {wanted}", ", ".join(found) or "nothing"
        )

    async def _compare_bytes(self) -> None:
        arrived = Counter(await self._ground.in_mailbox(mails.SECURITY))
        stored = Counter(await self._ground.on_file())
        same = arrived == stored and arrived.total() == self._submitted
        self.facts.add(
            same,
            f"all {self._submitted} messages to {mails.SECURITY} are on file, byte for byte",
            f"{arrived.total()} in the mailbox, {stored.total()} on file, {(arrived & stored).total()} the same",
        )


def _is_automatic_reply(arrival: Arrival) -> bool:
    return arrival.recipient == mails.SECURITY and arrival.mail.header("auto-submitted") == "auto-replied"
