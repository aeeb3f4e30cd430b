"""What the cast does, scene by scene, and the facts that prove that the service did its job."""

from __future__ import annotations

from collections import Counter
from email.message import EmailMessage
from itertools import groupby

from mailbox_service import app
from mailbox_service.core.message import parse
from mailbox_service.demo import confidential, mails, process
from mailbox_service.demo.confidential import Confidential
from mailbox_service.demo.performance import Performance
from mailbox_service.demo.playground import Arrival
from mailbox_service.demo.process import Process

# Mails to maintainers that the hour of the day brings; they belong to no scene.
_BY_THE_CLOCK = frozenset({"digest", "summary"})


class Scenes:
    def __init__(self, performance: Performance) -> None:
        self._show, self._ground, self._facts = performance, performance.ground, performance.facts
        self._process = Process(performance)
        self._confidential = Confidential(performance)

    async def play(self) -> None:
        """Play all scenes, then look into every mailbox and at everything on file."""
        report = await self._report()
        await self._addition(report)
        await self._question()
        await self._advertisement()
        await self._out_of_office()
        await self._afterthought()
        await self._process.play()
        await self._confidential.play()
        await self._look_around()

    # --- the scenes ---------------------------------------------------------------------------------------

    async def _report(self) -> EmailMessage:
        await self._show.scene("A vulnerability report", "A researcher has found something.")
        report = mails.report(app.now())
        row = await self._show.submit(mails.REPORTER, report)
        self._show.expect(row, "the vulnerability report opens a case", "case", outcome="security")
        return report

    async def _addition(self, report: EmailMessage) -> None:
        await self._show.scene(
            "Forgot the attachment",
            "The reporter answers the own mail before ours was read. It joins the case, but a reference proves "
            "nothing about who wrote it: the maintainers see it as unverified, and it is not answered.",
        )
        row = await self._show.submit(mails.REPORTER, mails.addition(report, app.now()))
        self._show.expect(row, "the reporter's second mail joins that case", "attached")

    async def _question(self) -> None:
        await self._show.scene("A support question", "Most of what arrives at such an address is no security matter.")
        row = await self._show.submit(mails.CUSTOMER, mails.question(app.now()))
        self._show.expect(row, "the support question is redirected to the team", "redirect", outcome="not_security")

    async def _advertisement(self) -> None:
        await self._show.scene("Spam", "It is kept and counted, and gets no answer.")
        row = await self._show.submit(mails.SPAMMER, mails.advertisement(app.now()))
        self._show.expect(row, "the advertisement is sorted as spam", "spam", outcome="spam")

    async def _out_of_office(self) -> None:
        await self._show.scene(
            "Out of office",
            "Somebody asks for an invoice and goes on holiday. The out-of-office program answers our redirect, as "
            "many do although its header asks them not to. Two programs that answer each other never end; ours does "
            "not answer.",
        )
        row = await self._show.submit(mails.AWAY, mails.invoice(app.now()))
        self._show.expect(row, "the request for an invoice is redirected to the team", "redirect")
        what = "the out-of-office reply is recognised as automatic"
        answered = any(a.recipient == mails.AWAY.address for a in self._ground.arrivals)
        reply = await self._ground.arrival(_is_automatic_reply) if answered else None
        if reply is None:
            self._facts.add(False, what, "no such reply came")
            return
        self._show.submitted += 1
        self._show.expect(await self._show.outcome(reply), what, "automatic")

    async def _afterthought(self) -> None:
        await self._show.scene(
            "About security after all",
            "Whoever was redirected needs only to answer that mail, in any words: the answer and the first message "
            "become a case.",
        )
        redirect = next((a for a in self._ground.arrivals if a.recipient == mails.CUSTOMER.address), None)
        subject = redirect.mail.subject if redirect is not None else mails.SECURITY
        answered = (redirect.mail.message_id if redirect is not None else None) or ""
        row = await self._show.submit(mails.CUSTOMER, mails.afterthought(subject, answered, app.now()))
        self._show.expect(row, "the answer to the redirect opens a case of its own", "case")

    # --- what is left behind ------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        at_rest = await self._ground.at_rest()
        first, second, forged, sealed = await self._look_at_cases()
        acknowledged = [f"acknowledgement of {first}"]
        await self._look_into(mails.REPORTER, acknowledged + Process.mails_to(mails.REPORTER, first, forged))
        await self._look_into(mails.CUSTOMER, ["redirect", f"acknowledgement of {second}"])
        await self._look_into(mails.AWAY, ["redirect"])
        await self._look_into(mails.SPAMMER, [])
        notices = [f"{kind} of {case}" for case in (first, second) for kind in ("notice_case", "notice_message")]
        for maintainer in (mails.ADA, mails.GRACE):
            expected = notices + Process.mails_to(maintainer, first, forged)
            await self._look_into(maintainer, expected + self._confidential.mails_to(maintainer, sealed))
        await self._process.look()
        if self._confidential.possible:
            # Two of them leave at the same moment.
            await self._look_into(mails.NOOR, self._confidential.mails_to(mails.NOOR, sealed), in_order=False)
            await self._confidential.look()
        await self._compare_bytes()
        left = await self._ground.left()
        counts = ", ".join(f"{count} {name}" for name, count in left.items() if count)
        self._facts.add(at_rest and not any(left.values()), "nothing waits, nothing is held, no mail failed", counts)

    async def _look_at_cases(self) -> tuple[str, str, str, str]:
        cases = await self._ground.cases()
        found = ", ".join(f"{c['ref']} with {c['messages']} messages" for c in cases) or "no case"
        worked, forged = process.MESSAGES
        wanted = [2 + worked, 2, forged, *([confidential.MESSAGES] if self._confidential.possible else [])]
        numbers = f"{', '.join(map(str, wanted[:-1]))} and {wanted[-1]} messages"
        what = f"there are {('three', 'four')[self._confidential.possible]} cases, with {numbers}"
        self._facts.add([c["messages"] for c in cases] == wanted, what, found)
        first, second, third, fourth = [*(str(c["ref"]) for c in cases), *4 * ["a case"]][:4]
        return first, second, third, fourth

    async def _look_into(self, person: mails.Person, expected: list[str], *, in_order: bool = True) -> None:
        """Whether exactly these mails lie in the mailbox."""
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
        what = f"in the mailbox of {person.address}: {_in_words(expected)}"
        same = found == expected if in_order else sorted(found) == sorted(expected)
        self._facts.add(same, what, _in_words(found))

    async def _compare_bytes(self) -> None:
        arrived = Counter(await self._ground.in_mailbox(mails.SECURITY))
        stored = Counter(await self._ground.on_file())
        same = arrived == stored and arrived.total() == self._show.submitted
        self._facts.add(
            same,
            f"all {self._show.submitted} messages to {mails.SECURITY} are on file, byte for byte",
            f"{arrived.total()} in the mailbox, {stored.total()} on file, {(arrived & stored).total()} the same",
        )


def _is_automatic_reply(arrival: Arrival) -> bool:
    return arrival.recipient == mails.SECURITY and arrival.mail.header("auto-submitted") == "auto-replied"


def _in_words(mails: list[str]) -> str:
    """`a, b of SEC-1, c of SEC-2` for `a of SEC-1`, `b of SEC-1`, `c of SEC-2`."""
    groups = groupby((mail.partition(" of ") for mail in mails), key=lambda parts: parts[1:])
    return ", ".join(", ".join(kind for kind, *_ in group) + "".join(case) for case, group in groups) or "nothing"
