"""The whole way of a report, by mail alone: a reporter and two maintainers answer what they get until it is closed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from mailbox_service import app
from mailbox_service.core.case import CaseState, Resolution, Stage, spoken
from mailbox_service.core.message import ParsedMessage, parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.demo import replies
from mailbox_service.demo.mails import ADA, GRACE, REPORTER, SPAMMER, Person
from mailbox_service.demo.performance import Performance
from mailbox_service.demo.playground import Arrival

# What lies in the mailboxes at the end, beside what earlier scenes brought: kinds of mails, of the first case but where
# the forged mail has opened one of its own.
_FORGED = "notice_case"
_TO_REPORTER = (
    "needs_info",
    "info_received",
    "reproduced",
    "done",
    "fix_to_verify",
    "fix_verified",
    "released",
    "published",
    "resolved",
)
_TO_ADA = tuple(
    f"done changed changed changed {_FORGED} notice_message done changed changed confirmation done changed".split()
)
_TO_GRACE = tuple(f"changed changed done changed {_FORGED} notice_message changed changed done changed done".split())
# How many messages the first case gets, and that of the forged mail.
MESSAGES = (11, 1)

_WAY = (
    Stage.RECEIVED,
    Stage.NEEDS_INFO,
    Stage.REVIEWING,
    Stage.REPRODUCED,
    Stage.PATCHED,
    Stage.FIX_VERIFIED,
    Stage.RELEASED,
    Stage.PUBLISHED,
    Stage.CLOSED,
)


class Process:
    """The first case of the demo, from its questions to its end."""

    def __init__(self, performance: Performance) -> None:
        self._show, self._ground, self._facts = performance, performance.ground, performance.facts
        self._ref = ""
        self._way: list[Stage] = []

    async def play(self) -> None:
        """Play on with the first case, if there is one."""
        cases = await self._ground.cases()
        if not cases:
            self._facts.add(False, "a case can be worked by mail", "no case")
            return
        self._ref = str(cases[0]["ref"])
        self._way = [(await self._case()).stage]
        await self._question()
        await self._reproduction()
        await self._forgeries()
        await self._fix()
        await self._publication()
        await self._end()

    # --- the scenes ---------------------------------------------------------------------------------------

    async def _question(self) -> None:
        await self._show.scene(
            "A question, and its answer",
            "Ada answers the notice of the report from her mail client. The lines on top are commands; below them "
            "stands what she asks. Her name and her signature stay here, and so does the quoted notice.",
        )
        await self._answer(ADA, replies.QUESTIONS)
        await self._answer(REPORTER, replies.ANSWERS)

    async def _reproduction(self) -> None:
        await self._show.scene(
            "Reproduced",
            "Grace could do it as well. What she writes below her commands is a note for the maintainers. The "
            "reporter is asked how to be named.",
        )
        await self._answer(GRACE, replies.REPRODUCED)
        await self._answer(REPORTER, replies.CREDIT_WISH)

    async def _forgeries(self) -> None:
        await self._show.scene(
            "Somebody else writes as Ada",
            "Once as anybody can who knows her address and the name of the case; once as an answer to a mail that "
            "only Ada got, from outside of her account.",
        )
        before, heard = _standing(await self._case()), len(self._ground.arrivals_at(REPORTER))
        await self._show.submit(SPAMMER, replies.forged(f"Re: [{self._ref}] New report", app.now()))
        if (stolen := self._newest(ADA)) is not None:
            await self._show.submit(None, replies.reply(ADA, stolen.mail, replies.FORGED, app.now()))
        after = await self._case()
        unchanged = _standing(after) == before and len(self._ground.arrivals_at(REPORTER)) == heard
        self._show.note(f"{self._ref} stands where it stood: {spoken(after.stage)}")
        what = "neither a maintainer's From nor their Message-ID, without their account, changes anything"
        self._facts.add(unchanged and stolen is not None, what, spoken(after.stage))

    async def _fix(self) -> None:
        await self._show.scene("A fix to try", "The reporter gets the patch before anybody else, and a word to answer.")
        await self._answer(ADA, replies.PATCHED, file=(replies.PATCH_NAME, replies.PATCH))
        await self._answer(REPORTER, replies.WORKS)

    async def _publication(self) -> None:
        await self._show.scene(
            "Released and published",
            "What can never be taken back is done only after a second mail: Ada is asked, and confirms.",
        )
        await self._answer(GRACE, replies.RELEASED)
        await self._answer(ADA, replies.PUBLISHED)
        await self._answer(ADA, replies.CONFIRM)

    async def _end(self) -> None:
        await self._show.scene("Closed", "")
        await self._answer(GRACE, replies.CLOSE)

    async def _answer(self, who: Person, text: str, *, file: tuple[str, bytes] | None = None) -> None:
        """They answer the newest mail that they have of the case."""
        newest = self._newest(who)
        if newest is None:
            self._facts.add(False, f"{who.name} has a mail of {self._ref} to answer")
            return
        await self._show.submit(who, replies.reply(who, newest.mail, text, app.now(), file=file))
        stage = (await self._case()).stage
        if stage is not self._way[-1]:
            self._way.append(stage)
            self._show.note(f"{self._ref} has come to: {spoken(stage)}")

    def _newest(self, who: Person) -> Arrival | None:
        return next((a for a in reversed(self._ground.arrivals_at(who)) if self._ref in a.mail.subject), None)

    async def _case(self) -> CaseState:
        return await self._ground.case(self._ref)

    # --- what is left behind ------------------------------------------------------------------------------

    @staticmethod
    def mails_to(who: Person, case: str, forged: str) -> list[str]:
        """What they must have got, each as `kind of case`."""
        kinds = {REPORTER: _TO_REPORTER, ADA: _TO_ADA, GRACE: _TO_GRACE}[who]
        return [f"notice_case of {forged}" if kind == _FORGED else f"{kind} of {case}" for kind in kinds]

    async def look(self) -> None:
        """Whether everybody got what is theirs, and nothing else."""
        if not self._ref:
            return
        self._look_at_the_way(await self._case())
        data = await self._ground.in_mailbox(REPORTER.address)
        self._look_for_secrets([parse(one) for one in data])
        self._look_at_the_thread([parse(one) for one in data])
        self._look_for_the_patch(data)

    def _look_at_the_way(self, case: CaseState) -> None:
        way = ", ".join(spoken(stage) for stage in self._way)
        done = tuple(self._way) == _WAY and case.resolution is Resolution.RESOLVED
        self._facts.add(done, f"{self._ref} went by mail alone from received to closed: {way}", way)
        facts = case.facts
        found = f"{facts.fixed}, {facts.advisory}, {facts.credit}, {facts.severity}"
        wanted = f"{replies.VERSION}, {replies.ADVISORY}, {replies.CREDIT}, {replies.VECTOR}"
        what = "fixed version, advisory, credit and severity stand in the case as they were written"
        self._facts.add(found == wanted and case.owner == ADA.name, what, found)

    def _look_at_the_thread(self, mails: list[ParsedMessage]) -> None:
        """As mail clients see it: one subject, and each mail refers to an earlier one."""
        subjects = {mail.subject.removeprefix("Re: ") for mail in mails}
        known = {a.mail.message_id for a in self._ground.arrivals if a.sender == REPORTER.address}
        loose = 0
        for mail in mails:
            loose += not known.intersection(mail.references)
            known.add(mail.message_id)
        what = f"the reporter has {len(mails)} mails of ours, in one thread"
        self._facts.add(
            len(subjects) == 1 and not loose, what, f"{len(subjects)} subjects, {loose} without a reference"
        )

    def _look_for_secrets(self, mails: list[ParsedMessage]) -> None:
        found = sorted({secret for mail in mails for secret in _secrets_in(mail)})
        what = "no name, address, signature, mail program or note of a maintainer reached the reporter"
        self._facts.add(not found, what, ", ".join(found))

    def _look_for_the_patch(self, mails: list[bytes]) -> None:
        files = [(one, file) for one in mails for file in attached_files(one) if not file.incidental]
        digest = hashlib.sha256(replies.PATCH).hexdigest()
        right = [
            file.filename == replies.PATCH_NAME
            and file.data == replies.PATCH
            and digest in re.sub(r"\s", "", parse(one).text)
            for one, file in files
        ]
        what = f"the reporter has {replies.PATCH_NAME}, byte for byte, and its SHA-256 in the mail"
        self._facts.add(right == [True], what, f"{len(files)} files")


def _standing(case: CaseState) -> tuple[object, ...]:
    """All of a case that a command can change."""
    return case.stage, case.resolution, case.owner, case.facts, case.reporters, case.participants, case.told_at


def _secrets_in(mail: ParsedMessage) -> Iterator[str]:
    """What of the maintainers stands in a mail."""
    whole = "\n".join([*(f"{name}: {value}" for name, value in mail.headers), mail.text])
    for person in (ADA, GRACE):
        client = replies.CLIENTS[person]
        for secret in (person.address, client.name, *client.signature.split("\n")):
            if secret in whole:
                yield secret
        if re.search(rf"\b{person.name}\b", whole):
            yield person.name
    if replies.NOTE in " ".join(whole.split()):
        yield "the note"
    if re.search(r"^>", mail.text, re.MULTILINE):
        yield "a quote"
