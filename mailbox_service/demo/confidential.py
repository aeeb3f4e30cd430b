"""A case that came encrypted: who can read it, who cannot, and whose command counts."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import make_msgid

from mailbox_service import app
from mailbox_service.core.case import CaseState, Event, Stage, spoken
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.demo import mails, replies
from mailbox_service.demo.keyrings import Keyrings, readable
from mailbox_service.demo.mails import ADA, GRACE, NOOR, SECURITY, SPAMMER, Person
from mailbox_service.demo.performance import Performance

# What the case brings into the mailboxes, and how many messages it gets.
_TO_NOOR = ("acknowledgement", "key_changed", "sealed_news", "sealed_news")
_TO_ADA = ("notice_case", "notice_message", "done", "notice_message", "changed")
_TO_GRACE = ("notice_case", "notice_message", "changed", "notice_message", "changed")
MESSAGES = 5
# A signature in answer to a mail of ours (docs/security.md), and no authenticated From.
_BY_SIGNATURE = "P+T"

_SECRETS = (*mails.SECRETS, *replies.SECRETS)


class Confidential:
    """The case of a reporter who encrypts."""

    def __init__(self, performance: Performance) -> None:
        self._show, self._ground, self._facts = performance, performance.ground, performance.facts
        self._ref = ""
        self._mail = EmailMessage()  # Ada's command, before it is encrypted

    async def play(self) -> None:
        """Play, where there are keys; else say why there are none."""
        keys = self._ground.keys
        if keys is None:
            await self._show.scene("Encrypted mail", f"It cannot be shown here: {self._ground.no_keys}.")
            return
        await self._report(keys)
        if not self._ref:
            return
        await self._unsigned(keys)
        intercepted = await self._signed(keys)
        await self._repeated(intercepted)
        await self._answered(keys)

    # --- the scenes ---------------------------------------------------------------------------------------

    async def _report(self, keys: Keyrings) -> None:
        pinned = await self._ground.pin(ADA)
        await self._show.scene(
            "An encrypted report",
            f"Another researcher encrypts to the key of {SECURITY}, which comes with every mail from there, and "
            "attaches a key of her own. Whoever runs this host has said that Ada's key is Ada's (`mailbox-service "
            f"key pin {ADA.address} '{pinned}'`), so she gets everything, encrypted to her alone. Grace has no key, "
            "and learns only that there is something.",
        )
        mail = keys.of(NOOR).encrypted(mails.secret_report(app.now()), keys.own, with_key=True)
        row = await self._show.submit(NOOR, mail)
        self._show.expect(row, "the encrypted report opens a case", "case")
        self._ref = str(row["case"] or "") if row is not None else ""

    async def _unsigned(self, keys: Keyrings) -> None:
        await self._show.scene(
            "Encrypted is not signed",
            "Anybody can encrypt to the mailbox, so that proves nothing. Somebody answers the mail that only Ada got, "
            "encrypted and in her name, from outside of her account.",
        )
        before, heard = await self._case(), len(self._ground.arrivals_at(NOOR))
        self._mail = await self._answer(keys, ADA, replies.SIGNED)
        await self._show.submit(None, keys.of(ADA).encrypted(self._mail, keys.own, sign=False))
        await self._note_unchanged("a command that is encrypted, but not signed, changes nothing", before, heard)

    async def _signed(self, keys: Keyrings) -> EmailMessage:
        """Ada's mail as it went over the wire."""
        await self._show.scene(
            "A signed command",
            "Now Ada herself, on a journey: her mail leaves by a server that does not vouch for her either. But it is "
            "signed with her key, and that outranks the way it took. Her question goes to the reporter encrypted: the "
            "key for that came inside of the report.",
        )
        mail = copy.deepcopy(self._mail)
        mail.replace_header("Message-ID", make_msgid(domain=ADA.address.partition("@")[2]))
        sent = keys.of(ADA).encrypted(mail, keys.own)
        await self._show.submit(None, sent)
        case = await self._case()
        self._show.note(f"{self._ref} has come to: {spoken(case.stage)}")
        journal = await self._ground.journal(self._ref)
        proof = next((str(e["data"].get("evidence")) for e in journal if e["event"] == Event.INFO_REQUESTED), "nothing")
        moved = case.stage is Stage.NEEDS_INFO and case.owner == ADA.name and proof == _BY_SIGNATURE
        what = f"Ada's signature moves {self._ref}, although her mail server does not vouch for her"
        self._facts.add(moved, what, f"{spoken(case.stage)}, proven by {proof}")
        return sent

    async def _repeated(self, intercepted: EmailMessage) -> None:
        await self._show.scene(
            "The same mail once more",
            "Whoever carried Ada's mail cannot read it, but can send it again. Each signature counts once.",
        )
        before, heard = await self._case(), len(self._ground.arrivals_at(NOOR))
        copied = copy.deepcopy(intercepted)
        copied.replace_header("Message-ID", make_msgid(domain=ADA.address.partition("@")[2]))
        await self._show.submit(SPAMMER, copied)
        await self._note_unchanged(
            "Ada's signed command, sent once more by somebody else, changes nothing", before, heard
        )

    async def _answered(self, keys: Keyrings) -> None:
        await self._show.scene("And an answer", "Encrypted all the way, as is everything in this case from now on.")
        answer = await self._answer(keys, NOOR, replies.SECRET_ANSWER)
        await self._show.submit(NOOR, keys.of(NOOR).encrypted(answer, keys.own))
        stage = (await self._case()).stage
        self._show.note(f"{self._ref} has come to: {spoken(stage)}")
        self._facts.add(stage is Stage.REVIEWING, "the reporter's encrypted answer moves it on", spoken(stage))

    async def _answer(self, keys: Keyrings, who: Person, text: str) -> EmailMessage:
        """What they write in answer to the newest mail that they have of the case, before it is encrypted."""
        newest = next(a for a in reversed(self._ground.arrivals_at(who)) if self._ref in a.mail.subject)
        opened = await keys.as_shown(who.address, newest.data)
        to = readable(opened, newest.mail) if opened is not None else newest.mail
        return replies.reply(who, to, text, app.now())

    async def _note_unchanged(self, what: str, before: CaseState, heard: int) -> None:
        after = await self._case()
        self._show.note(f"{self._ref} stands where it stood: {spoken(after.stage)}")
        more = len(self._ground.arrivals_at(NOOR)) - heard
        same = (after.stage, after.owner) == (before.stage, before.owner) and not more
        self._facts.add(same, what, f"{spoken(after.stage)}, and {more} mails to the reporter")

    async def _case(self) -> CaseState:
        return await self._ground.case(self._ref)

    # --- what is left behind ------------------------------------------------------------------------------

    @property
    def possible(self) -> bool:
        """Whether there are keys to play with."""
        return self._ground.keys is not None

    def mails_to(self, who: Person, case: str) -> list[str]:
        """What they must have got, each as `kind of case`."""
        kinds = {NOOR: _TO_NOOR, ADA: _TO_ADA, GRACE: _TO_GRACE}[who] if self.possible else ()
        return [f"{kind} of {case}" for kind in kinds]

    async def look(self) -> None:
        """Whether those with keys have read all of it, and nobody else a word."""
        keys = self._ground.keys
        if keys is None or not self._ref:
            return
        await self._look_at_signatures(keys)
        await self._look_at_readers(keys)
        self._look_for_secrets()

    async def _look_at_signatures(self, keys: Keyrings) -> None:
        ours = [a for a in self._ground.arrivals if a.recipient != SECURITY and await self._ground.outgoing(a.mail)]
        signed = await asyncio.gather(*(keys.signed(a.recipient, a.data) for a in ours))
        what = f"all {len(ours)} mails of ours are signed with the key of {SECURITY}"
        self._facts.add(bool(ours) and all(signed), what, f"{signed.count(False)} are not")

    async def _look_at_readers(self, keys: Keyrings) -> None:
        ada = "the report with its subject and its file, and the answer to her question"
        for who, secrets, meant in ((ADA, _SECRETS, ada), (NOOR, replies.SECRETS[:1], "the question")):
            found = [await keys.as_shown(who.address, a.data) for a in self._ground.arrivals_at(who)]
            read = "".join(_told(content.entity, content.subject) for content in found if content is not None)
            missing = [secret for secret in secrets if secret not in read]
            what = f"{who.name}'s mail program decrypts {meant}"
            self._facts.add(not missing, what, f"not {', '.join(missing)}")

    def _look_for_secrets(self) -> None:
        """In each mail that went over the wire, as bytes and decoded, and in all files of the demo."""
        mails_ = [_told(a.data, a.mail.subject) for a in self._ground.arrivals]
        files = [path for path in self._ground.folder.rglob("*") if path.is_file()]
        everything = [*mails_, *(path.read_bytes().decode("latin-1").lower() for path in files)]
        found = sorted({secret for secret in _SECRETS for text in everything if secret in text})
        what = (
            f"nothing that was written in {self._ref} stands in clear in any of {len(mails_)} mails, in the database "
            "or in the log"
        )
        self._facts.add(not found, what, ", ".join(found))


def _told(data: bytes, subject: str) -> str:
    """All that a mail says to whoever has its bytes, in lower case."""
    return "\n".join([subject, *_texts(data)]).lower()


def _texts(data: bytes) -> Iterator[str]:
    yield data.decode("latin-1")
    mail = parse(data)
    yield from (mail.subject, mail.text)
    for file in attached_files(data):
        yield file.filename
        if file.content_type == "message/rfc822":
            yield from _texts(file.data)
        else:
            yield file.data.decode("latin-1")
