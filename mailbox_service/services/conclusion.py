"""T3: what follows from a batch of understood messages, written in one transaction.

Case, journal, outbox rows and the finished messages stand or fall together.
The batch is decided message by message, in the order of arrival, and written with set statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mailbox_service.core import tokens
from mailbox_service.core.automatic import LOOP_MARKER, Automatic
from mailbox_service.core.bounce_address import ReplyToken, is_reply_to
from mailbox_service.core.budget import (
    SENDER_LIMIT,
    AnswerBudget,
    Key,
    answer_keys,
    in_maintainers_name_key,
    messages_added_key,
    new_cases_key,
)
from mailbox_service.core.case import CaseState
from mailbox_service.core.evidence import AuthResult
from mailbox_service.core.labels import Label, Said
from mailbox_service.core.message import Encryption
from mailbox_service.core.routing import Answer, Disposition, Routing, Subject, Thread, route
from mailbox_service.services import bounces
from mailbox_service.services.canary import CAME_BACK, came_back, stamp_of
from mailbox_service.services.conversation import hear, outlook
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.decided import (
    SUBJECT_CHARS,
    Decision,
    answered_of,
    as_decided,
    entry_of,
    finished_of,
    item_of,
)
from mailbox_service.services.first_use import take_key
from mailbox_service.services.mailboxes import Mailbox, Mailboxes, clean
from mailbox_service.services.opening import Openness
from mailbox_service.services.ports import (
    CaseId,
    CollectedItem,
    Finished,
    JournalEntry,
    KnownOutbound,
    MessageId,
    NewMail,
    OpenCase,
    OutboundId,
    Transaction,
)
from mailbox_service.services.ports.openpgp import OpenPgp, Pin, Verified
from mailbox_service.services.replays import told_apart
from mailbox_service.services.triage import OpenCases
from mailbox_service.services.understanding import Understood, remarked

REDIRECT_ANSWERED = "its redirect was answered"
# Who says of a redirected message that it is a report; the journal of the case has the name.
THE_SENDER = "the sender"
UNREADABLE_BOUNCE = "a mail of ours came back, and the report cannot be read: please look"
TOO_LARGE = "larger than max_message_size: only its header was fetched"
# A maintainer's mail program that answers every notice, and carries no sign of being one, must not cause a notice by
# each of its answers. A person whose mail server proves nothing writes less on a day, and the digest names the rest.
UNPROVEN_IN_MAINTAINERS_NAME_PER_DAY = 10


@dataclass(frozen=True, slots=True)
class Concluded:
    """What T3 did, for the log and for waking the next stage."""

    dispositions: tuple[tuple[MessageId, Disposition, str], ...]  # message, disposition, case reference or ""
    lost: int  # messages another worker had claimed meanwhile
    more: bool = False  # an earlier message was sent into a case and waits to be worked again
    crowded: frozenset[str] = frozenset()  # mailboxes with so many new cases in this hour that notices are collected
    unheard: tuple[str, ...] = ()  # mailboxes of which a notice has now come back from every maintainer


@dataclass(slots=True)
class Named:
    """A message that a later one may refer to, or be a copy of: who sent it, and the case it is in."""

    id: MessageId
    mailbox: str
    sender: str
    case: OpenCase | None
    open: bool
    answered: bool
    content_sha256: str | None


@dataclass(slots=True)
class Writes:
    """Everything that T3 will write."""

    journal: list[JournalEntry] = field(default_factory=list)
    mails: list[NewMail] = field(default_factory=list)
    collected: list[CollectedItem] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)

    def add(self, told: bounces.Told) -> None:
        self.journal += told.journal
        self.mails += told.mails
        self.collected += told.collected


def conclude(
    tx: Transaction,
    batch: Sequence[Understood],
    mailboxes: Mailboxes,
    correspondence: Correspondence,
    now: datetime,
    open_cases: OpenCases | None = None,
    doors: Mapping[str, OpenPgp] | None = None,
) -> Concluded:
    """Decide and write the batch. Messages whose lease was lost are left to whoever holds them now."""
    ours = tx.still_claimed([u.claim for u in batch])
    mine = sorted((u for u in batch if u.claim.id in ours), key=lambda u: (u.claim.received_at, u.claim.id))
    if not mine:
        return Concluded((), len(batch))
    mine = told_apart(tx, mine)
    desk = _Desk(tx, mine, mailboxes, correspondence, now, doors or {})
    decisions = [desk.decide(understood) for understood in mine]
    if open_cases is not None and desk.new_cases:
        open_cases.compare(tx, desk.new_cases)
    tx.open_cases(desk.new_cases, now)
    writes = Writes()
    for decision in decisions:
        desk.write(tx, decision, writes)
    told = bounces.tell(tx, desk.reports(decisions), correspondence, now)
    writes.add(told)
    tx.seal([c.id for c in desk.cases.values() if c.id is not None and c.sealed])
    tx.add_journal(writes.journal, now)
    tx.finish(writes.finished, now)
    # What people say is heard once their messages are part of their cases: then their threads end with them.
    desk.converse(tx, decisions, writes)
    tx.add_mails(writes.mails, now, now + correspondence.lifetime)
    tx.add_collected(writes.collected, now)
    tx.spend(desk.budget.spent | told.spent)
    for mailbox, stamp, junk in desk.canaries:
        came_back(tx, mailbox, correspondence, stamp, junk=junk, now=now)
    for decision in decisions:
        redirected = decision.routing.with_redirected
        if redirected is not None and decision.case is not None and decision.case.id is not None:
            tx.send_into_case(MessageId(redirected), decision.case.id, now)
            tx.add_examples([MessageId(redirected)], Label.SECURITY, Said.ANSWERED, THE_SENDER, now)
    return Concluded(
        tuple((d.understood.claim.id, d.routing.disposition, d.case.ref if d.case else "") for d in decisions),
        len(batch) - len(mine),
        desk.more or any(d.routing.with_redirected is not None for d in decisions),
        frozenset(desk.crowded),
        tuple(told.unheard),
    )


class _Desk:
    """Facts of one batch, gathered with few statements, and the decisions made over them."""

    def __init__(
        self,
        tx: Transaction,
        batch: Sequence[Understood],
        mailboxes: Mailboxes,
        correspondence: Correspondence,
        now: datetime,
        doors: Mapping[str, OpenPgp],
    ) -> None:
        self.mailboxes, self.correspondence, self.now = mailboxes, correspondence, now
        self._doors = doors
        self.new_cases: list[OpenCase] = []
        self.crowded: set[str] = set()  # mailboxes whose new cases are told of together in this hour
        self.more = False  # messages that came before wait to be worked again
        self.canaries: list[tuple[Mailbox, str, bool]] = []  # mailbox, stamp, found in Junk
        self.cases: dict[int, OpenCase] = {}  # number by which routing knows a case -> case
        self._numbers: dict[int, int] = {}  # identity of the object -> number
        names = sorted({n for u in batch for n in (*u.names, u.message.message_id) if n is not None})
        claimed = [token.row for u in batch for token in u.bounce_tokens]
        claimed += [token.row for u in batch for token in u.reply_tokens]
        rows = sorted({OutboundId(row) for row in claimed})
        self.outbound: dict[str, list[KnownOutbound]] = {}
        self.numbered: dict[OutboundId, KnownOutbound] = {}
        self.named: dict[str, list[Named]] = {}
        self._existing: dict[CaseId, int] = {}
        self._redirected: dict[int, OpenCase] = {}  # redirected messages whose redirect was answered in this batch
        if names or rows:
            for mail in tx.outbound_named(names, rows):
                self.outbound.setdefault(mail.message_id, []).append(mail)
                self.numbered[mail.id] = mail
            for known in tx.messages_named(names):
                case = self._existing_case(known.case_id, known.case_ref, known.case_sealed, known.mailbox)
                self.named.setdefault(known.message_id, []).append(
                    Named(
                        known.id,
                        known.mailbox,
                        known.sender.lower(),
                        case,
                        known.case_open,
                        known.answered,
                        known.content_sha256,
                    )
                )
        joining = [u.claim.case_id for u in batch if u.claim.decided == Disposition.ATTACHED and u.claim.case_id]
        for case in tx.cases_of(joining) if joining else ():
            self._existing_case(case.id, case.ref, case.sealed, case.mailbox)
        self._pins = {u.claim.id: _pins_of(tx, u, mailboxes) for u in batch if u.content is not None}
        self.budget = AnswerBudget(tx.budgets(self._budget_keys(batch)))

    # --- deciding -----------------------------------------------------------------------------------------

    def decide(self, understood: Understood) -> Decision:
        mailbox = self.mailboxes[understood.claim.mailbox]
        routing = self._route(understood, mailbox)
        case = self._case_of(understood, mailbox, routing)
        decision = Decision(understood, mailbox, routing, case, routing.answer, routing.no_answer)
        if routing.disposition is Disposition.CASE and not routing.relation:
            decision.related = self._named_in_batch(understood)
        elif routing.disposition is Disposition.BOUNCE:
            decision.returned = self._returned(understood)
        elif routing.disposition in (Disposition.ATTACHED, Disposition.ANSWER):
            decision.answered = self._answered(understood, in_case=routing.disposition is Disposition.ATTACHED)
            outward = [row for token, row in self._reply_tokens(understood) if token.outward]
            decision.outward = decision.answered in outward
        if routing.with_redirected is not None and case is not None:
            self._redirected[routing.with_redirected] = case
        if routing.answer is not Answer.NOTHING:
            self._take_from_budget(decision)
        if understood.message.message_id is not None:
            # Later messages of this very batch may refer to this one.
            self.named.setdefault(understood.message.message_id, []).append(
                Named(
                    understood.claim.id,
                    mailbox.name,
                    understood.sender_key,
                    case,
                    case is not None,
                    decision.answer is not Answer.NOTHING,
                    understood.content_sha256,
                )
            )
        return decision

    def _route(self, understood: Understood, mailbox: Mailbox) -> Routing:
        if understood.claim.decided == Disposition.ATTACHED and understood.claim.case_id is not None:
            case = self._existing[understood.claim.case_id]
            verified = understood.authentication.result is AuthResult.PASS
            return Routing(Disposition.ATTACHED, REDIRECT_ANSWERED, case=case, verified=verified)
        if understood.claim.decided is not None:
            return as_decided(understood, understood.claim.decided, mailbox)
        if (stamp := stamp_of(understood, mailbox, self.correspondence.key)) is not None:
            self.canaries.append((mailbox, stamp, understood.claim.junk))
            return Routing(Disposition.AUTOMATIC, CAME_BACK)
        if understood.claim.partial:
            return Routing(Disposition.HOLD, TOO_LARGE)
        thread = self._thread(understood)
        return route(
            self._subject(understood, mailbox, thread), thread, ack_unauthenticated=mailbox.ack_unauthenticated
        )

    def _subject(self, understood: Understood, mailbox: Mailbox, thread: Thread) -> Subject:
        joined = self.cases.get(thread.own_case or thread.same_sender_case or 0)
        subject = replace(understood.subject, signed=joined is not None and self._signed_in(understood, joined.id))
        marker = understood.message.header(LOOP_MARKER) or ""
        if tokens.is_loop_marker(self.correspondence.key, marker, mailbox.address):
            # What our own notice tells of is on file already.
            return replace(subject, service_notice=False)
        return subject

    def _signed_in(self, understood: Understood, case: CaseId | None) -> bool:
        """Whether a key that is pinned to its From, and counts in this case, has signed all that the message says."""
        signature = understood.content.signature if understood.content is not None else None
        return isinstance(signature, Verified) and any(
            pin.key.fingerprint == signature.fingerprint and (pin.case_id is None or pin.case_id == case)
            for pin in self._pins.get(understood.claim.id, ())
        )

    def _copied(self, understood: Understood) -> Named | None:
        """The same mail, if it came before by another way (an alias, a second delivery) and was answered.

        Same Message-ID, author, subject and body: whoever can make that has the mail, and suppresses nothing by it.
        """
        return next(
            (
                known
                for known in self.named.get(understood.message.message_id or "", ())
                if known.mailbox == understood.claim.mailbox
                and known.id != understood.claim.id
                and known.sender == understood.sender_key
                and known.content_sha256 == understood.content_sha256
                and known.answered
            ),
            None,
        )

    def _thread(self, understood: Understood) -> Thread:
        copied = self._copied(understood)
        if copied is not None:
            case = self._number(copied.case) if copied.case is not None else None
            return Thread(copy_of=int(copied.id), copy_case=case)
        mailbox, sender = understood.claim.mailbox, understood.sender_key
        ours = self._ours(understood)
        to_sender = _to_sender(understood, ours)
        named = [k for name in understood.names for k in self.named.get(name, ()) if k.mailbox == mailbox]
        # A bounce or an automatic reply comes from somebody else than the mail it answers went to, and joins nothing:
        # that it names a mail of ours is enough to write it into the journal.
        speaks_for_itself = understood.automatic.kind in (Automatic.BOUNCE, Automatic.RECEIPT, Automatic.REPLY)
        own_case = next((k for k in (ours if speaks_for_itself else to_sender) if k.case_id is not None), None)
        redirect = next((k for k in to_sender if k.kind == "redirect"), None)
        own_mail = any(k.case_id is None and k.role == "maintainer" for k in to_sender)
        earlier = next((k for k in named if sender and k.sender == sender and k.case is not None and k.open), None)
        related = next(
            (k.case_ref for k in ours if k.case_ref), next((k.case.ref for k in named if k.case and k.case.ref), None)
        )
        if own_case is not None:
            self._existing_case(own_case.case_id, own_case.case_ref, own_case.case_sealed, mailbox)
            case = self._existing[CaseId(own_case.case_id or 0)]
            return Thread(own_case=case, related_case=related, ours=True, sealed=self.cases[case].sealed)
        if own_mail:
            return Thread(own_mail=True, ours=True)
        if redirect is not None and redirect.about in self._redirected:
            opened = self._redirected[redirect.about]
            return Thread(own_case=self._number(opened), related_case=related, ours=True, sealed=opened.sealed)
        if redirect is not None:
            return Thread(own_redirect=redirect.about, related_case=related, ours=True)
        if earlier is not None and earlier.case is not None:
            case = self._number(earlier.case)
            return Thread(same_sender_case=case, related_case=related, ours=bool(ours), sealed=self.cases[case].sealed)
        if not ours and not related and any(k.case for k in named):
            # The case it names was opened by this very batch and has no reference yet.
            return Thread(ours=True)
        return Thread(related_case=related, ours=bool(ours))

    def _answered(self, understood: Understood, *, in_case: bool) -> KnownOutbound | None:
        return next(
            (k for k in _to_sender(understood, self._ours(understood)) if (k.case_id is not None) == in_case), None
        )

    def _ours(self, understood: Understood) -> list[KnownOutbound]:
        """Our mails that the message names; of a bounce the one that came back, where it proves one."""
        returned = self._returned(understood)
        if returned is not None:
            return [returned]
        named = (k for name in understood.names for k in self.outbound.get(name, ()))
        by_address = [*self._answered_by_address(understood), *self._named_by_address(understood)]
        return [*by_address, *(k for k in named if k.mailbox == understood.claim.mailbox)]

    def _answered_by_address(self, understood: Understood) -> list[KnownOutbound]:
        """The mails to one of whose keyed addresses for answers it was written."""
        return [row for _, row in self._reply_tokens(understood)]

    def _reply_tokens(self, understood: Understood) -> list[tuple[ReplyToken, KnownOutbound]]:
        mailbox, key = understood.claim.mailbox, self.correspondence.key
        rows = ((token, self.numbered.get(OutboundId(token.row))) for token in understood.reply_tokens)
        return [
            (token, row)
            for token, row in rows
            if row is not None
            and row.mailbox == mailbox
            and is_reply_to(token, key, mailbox=mailbox, message_id=row.message_id)
        ]

    def _returned(self, understood: Understood) -> KnownOutbound | None:
        return bounces.returned_mail(understood, self._named_by_address(understood), self.outbound)

    def _named_by_address(self, understood: Understood) -> list[KnownOutbound]:
        return bounces.named_by_address(understood, self.numbered, self.correspondence.key)

    def _named_in_batch(self, understood: Understood) -> OpenCase | None:
        """The case that an earlier mail of this batch opened and this one refers to; it has no reference yet."""
        mailbox = understood.claim.mailbox
        named = (k for name in understood.names for k in self.named.get(name, ()) if k.mailbox == mailbox)
        return next((k.case for k in named if k.case is not None and k.case.id is None), None)

    def _existing_case(self, id_: CaseId | None, ref: str | None, sealed: bool, mailbox: str) -> OpenCase | None:
        if id_ is None:
            return None
        if id_ not in self._existing:
            case = OpenCase(mailbox, None, "", unsure=False, sealed=sealed, quiet=False, id=id_, ref=ref or "")
            self._existing[id_] = self._number(case)
        return self.cases[self._existing[id_]]

    def _number(self, case: OpenCase) -> int:
        number = self._numbers.setdefault(id(case), len(self.cases) + 1)
        self.cases[number] = case
        return number

    def _case_of(self, understood: Understood, mailbox: Mailbox, routing: Routing) -> OpenCase | None:
        sealed = understood.message.encryption is not Encryption.NONE
        if routing.disposition is Disposition.CASE:
            case = OpenCase(
                mailbox=mailbox.name,
                reporter=understood.message.from_.addr_spec if understood.message.from_ else None,
                subject=clean(self._title(understood, routing), SUBJECT_CHARS),
                unsure=routing.unsure,
                sealed=sealed,
                quiet=understood.claim.quiet,
                reference_pattern=mailbox.reference,
                # An answer to our redirect quotes our own words, and its report is in the message before it.
                sketch=b"" if routing.with_redirected is not None else understood.triage.sketch,
            )
            self.new_cases.append(case)
            return case
        if routing.case is None:
            return None
        case = self.cases[routing.case]
        # What only goes into the journal, or is on file already, is shown to nobody.
        case.sealed |= sealed and routing.disposition is Disposition.ATTACHED and not routing.silent
        return case

    def _title(self, understood: Understood, routing: Routing) -> str:
        """A case born of a redirect is called by the first message, not by "Re:" and our own words."""
        mails = (k for name in understood.names for k in self.outbound.get(name, ()))
        first = next((k.about_subject for k in mails if k.about == routing.with_redirected and k.about), "")
        return first or understood.message.subject

    def _take_from_budget(self, decision: Decision) -> None:
        sender = decision.understood.message.from_
        if sender is None:
            return
        authenticated = decision.understood.authentication.result is AuthResult.PASS
        subject = decision.understood.message.subject
        refusal = self.budget.take(
            decision.mailbox.name, decision.mailbox.limits, sender, subject, authenticated, self.now
        )
        if refusal:
            decision.owed = refusal == SENDER_LIMIT and decision.answer is Answer.ACKNOWLEDGEMENT
            decision.answer, decision.no_answer = Answer.NOTHING, refusal

    def _budget_keys(self, batch: Sequence[Understood]) -> list[Key]:
        keys: set[Key] = set()
        for u in batch:
            keys.add(in_maintainers_name_key(u.claim.mailbox, u.sender_key, self.now))
            keys |= {new_cases_key(u.claim.mailbox, self.now), messages_added_key(u.claim.mailbox, self.now)}
            if u.message.from_ is not None:
                authenticated = u.authentication.result is AuthResult.PASS
                keys.update(answer_keys(u.claim.mailbox, u.message.from_, u.message.subject, authenticated, self.now))
        return sorted(keys)

    def reports(self, decisions: Sequence[Decision]) -> list[bounces.Bounce]:
        """What the batch says became of mails of ours."""
        return [
            bounces.Bounce(
                d.understood.claim.id,
                d.returned.id,
                d.returned.recipient,
                d.mailbox,
                d.case,
                d.understood.report.about(d.returned.recipient),
                d.understood.claim.quiet,
            )
            for d in decisions
            if d.returned is not None and d.understood.report is not None
        ]

    # --- writing ------------------------------------------------------------------------------------------

    def write(self, tx: Transaction, decision: Decision, writes: Writes) -> None:
        understood, routing, case = decision.understood, decision.routing, decision.case
        if case is not None and case.id is not None and routing.disposition is not Disposition.BOUNCE:
            writes.journal.append(entry_of(decision, case.id))
            self._take_key(tx, decision, case.id, writes)
        self._write_answer(decision, writes)
        if understood.claim.quiet:
            writes.collected.append(item_of(decision, "summary", routing.disposition.value))
        elif not routing.silent and decision.said is None:
            self._write_notices(decision, writes)
        writes.finished.append(finished_of(decision))

    def converse(self, tx: Transaction, decisions: Sequence[Decision], writes: Writes) -> None:
        """What people say in their cases; what a turn leaves untold is told like any other message."""
        for decision in decisions:
            if decision.said is None:
                continue
            heard, mails, collected = hear(
                tx, decision.said, self.correspondence, self.now, self._doors.get(decision.mailbox.name)
            )
            self.more = self.more or heard.more
            writes.mails += mails
            writes.collected += collected
            if not heard.told and decision.case is not None:
                decision.routing = replace(decision.routing, verified=heard.verified)
                decision.outlook = heard.outlook
                decision.case.sealed = decision.case.sealed or heard.sealed
                if heard.remark:
                    decision.understood = remarked(decision.understood, heard.remark)
                self._write_notices(decision, writes)

    def _take_key(self, tx: Transaction, decision: Decision, case: CaseId, writes: Writes) -> None:
        """Of who opens a case the key that came along is theirs, as far as anybody can know.

        The maintainers read of it in the notice, the reporter with the first mail that a person causes: a mail of its
        own now would tell whoever looks on that what they sent was opened.
        """
        understood = decision.understood
        if decision.routing.disposition is not Disposition.CASE:
            return
        opened = understood.content is not None and understood.content.openness is Openness.OPENED
        authenticated = understood.authentication.result is AuthResult.PASS
        taken = take_key(
            tx, decision.mailbox, case, understood, authenticated=authenticated, opens=opened, now=self.now
        )
        writes.journal += taken.journal
        remark = taken.remark
        # The notices of a sealed case are told it when they are composed (services/sealing).
        if taken.pinned is not None and decision.case is not None and not decision.case.sealed:
            key = taken.pinned.key.fingerprint
            remark = f"The reporter's key {key} came with it, and is pinned to them for this case."
        if remark:
            decision.understood = remarked(understood, remark)

    def _write_answer(self, decision: Decision, writes: Writes) -> None:
        if decision.answer is Answer.ACKNOWLEDGEMENT and decision.case is not None:
            writes.mails.append(
                self.correspondence.acknowledgement(decision.mailbox, decision.understood, decision.case, self.now)
            )
        elif decision.answer is Answer.REDIRECT:
            writes.mails.append(self.correspondence.redirect(decision.mailbox, decision.understood))
        elif decision.owed and decision.understood.message.from_ is not None:
            recipient = decision.understood.message.from_.key
            writes.collected.append(item_of(decision, "acknowledgements", "owed", recipient))

    def _write_notices(self, decision: Decision, writes: Writes) -> None:
        mailbox, understood, case, routing = decision.mailbox, decision.understood, decision.case, decision.routing
        if routing.disposition in (Disposition.CASE, Disposition.ATTACHED) and case is not None:
            limit = mailbox.notices.collect_above_per_hour
            counter = new_cases_key if routing.disposition is Disposition.CASE else messages_added_key
            if self._may_be_a_maintainers_robot(decision):
                why = "one of many messages of this day in a maintainer's name, which proves nothing"
                writes.collected.append(item_of(decision, "digest", "unsure", why=why))
            elif self.budget.count(counter(mailbox.name, self.now)) > limit:
                writes.collected.append(item_of(decision, "cases", routing.disposition.value))
                if routing.disposition is Disposition.CASE:
                    self.crowded.add(mailbox.name)
            elif routing.disposition is Disposition.CASE:
                writes.mails += self.correspondence.notice_case(
                    mailbox,
                    understood,
                    case,
                    decision.relation,
                    decision.hints,
                    answered_of(decision),
                    outlook(CaseState(case.ref, self.now), mailbox),
                )
            else:
                writes.mails += self.correspondence.notice_message(
                    mailbox, understood, case, routing.verified, decision.outlook
                )
        elif routing.disposition is Disposition.HOLD and not routing.digest:
            if self.budget.count(new_cases_key(mailbox.name, self.now)) > mailbox.notices.collect_above_per_hour:
                writes.collected.append(item_of(decision, "digest", routing.disposition.value))
            else:
                writes.mails += self.correspondence.held(mailbox, understood.claim, routing.why)
        if routing.disposition is Disposition.BOUNCE:
            if decision.unreadable_bounce:
                writes.collected.append(item_of(decision, "digest", "undelivered", why=UNREADABLE_BOUNCE))
        elif routing.disposition is Disposition.CASE and decision.no_answer:
            writes.collected.append(item_of(decision, "digest", "unanswered", why=decision.no_answer))
        elif routing.disposition in (Disposition.REDIRECT, Disposition.SPAM) or routing.digest:
            why = decision.no_answer or routing.why
            section = "unsure" if routing.disposition is Disposition.AUTOMATIC else routing.disposition.value
            writes.collected.append(item_of(decision, "digest", section, why=why))

    def _may_be_a_maintainers_robot(self, decision: Decision) -> bool:
        sender, mailbox = decision.understood.sender_key, decision.mailbox
        if decision.routing.verified or not mailbox.is_maintainer(sender):
            return False
        count = self.budget.count(in_maintainers_name_key(mailbox.name, sender, self.now))
        return count > UNPROVEN_IN_MAINTAINERS_NAME_PER_DAY


def _pins_of(tx: Transaction, understood: Understood, mailboxes: Mailboxes) -> list[Pin]:
    """What is pinned to its From; to a maintainer on the host only."""
    mailbox, sender = mailboxes[understood.claim.mailbox], understood.sender_key
    if understood.content is None or not isinstance(understood.content.signature, Verified):
        return []
    by_hand = mailbox.is_maintainer(sender)
    return [pin for pin in tx.pins_of(mailbox.name, sender) if pin.how == "host" or not by_hand]


def _to_sender(understood: Understood, ours: Sequence[KnownOutbound]) -> list[KnownOutbound]:
    """Of our mails that it names those that went to its From, the nearest first."""
    sender = understood.sender_key
    return [mail for mail in ours if sender and mail.recipient.lower() == sender]
