"""The mails that follow from what happened, as rows for the outbox: to whom, which template, with which values.

A reporter's mail is built without any access to the text of the report: an answer must not become an oracle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailbox_service.core import tokens
from mailbox_service.core.bounce_address import bounce_address
from mailbox_service.core.delivery_report import Fate, RecipientReport
from mailbox_service.core.display import harmless
from mailbox_service.core.evidence import AuthResult
from mailbox_service.core.gpg.status import SignatureFlaw
from mailbox_service.core.message import Encryption, ParsedMessage
from mailbox_service.core.routing import Outcome
from mailbox_service.services.mailboxes import Mailbox, clean, written_moment
from mailbox_service.services.opening import Openness, state_of
from mailbox_service.services.ports import (
    CaseId,
    CaseRecord,
    Claim,
    MessageId,
    NewMail,
    OpenCase,
    OutboundClaim,
    ThreadIds,
)
from mailbox_service.services.ports.openpgp import Verified
from mailbox_service.services.understanding import Understood
from mailbox_service.sorting import Verdict
from mailbox_service.sorting.triage import Hint

# RFC 5321 §4.5.4.1 asks for 4 to 5 days.
GIVE_UP_AFTER = timedelta(days=5)
# A notice is read on a phone; the whole report travels along as an attachment.
NOTICE_TEXT_CHARS = 12_000
LISTED_LINES = 60
REASONS_SHOWN = 4  # on each side
REASON_CHARS = 60
REFERENCES_SENT = 20
_FINGERPRINT = re.compile(r",? [0-9A-F]{40}\b,?")
# An answer to a stranger stays below 2 kB, however many mails it answers.
REFERENCES_NAMED = 20

# What goes first when there is a queue: alarms, then the conversation of a case, which a flood of new mail must not
# hold up, then what a person waits for, then the rest.
PRIORITY = {
    "alarm": 0,
    "alarm_over": 0,
    "canary": 5,  # one mail; behind a long queue it would tell of the queue and not of the way
    "confirmation": 8,
    "notice_message": 10,
    "acknowledgement": 20,
    "notice_case": 30,
    "held": 30,
    "notice_failure": 30,
    "notice_bounce": 30,
    "cases_collected": 35,
    "redirect": 40,
    "acknowledgement_collected": 45,
    "digest": 50,
    "summary": 50,
}
CONVERSATION = 12  # all other mails of a case


# A failing failure notice would breed more of its kind; for alarms and canaries there are other ways to people.
UNMOURNED = frozenset({"notice_failure", "notice_bounce", "alarm", "alarm_over", "canary"})


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a notice says of the time to come."""

    next: tuple[str, ...] = ()  # ready-made lines to answer with
    due: tuple[str, ...] = ()  # sentences

    def laid_out(self) -> dict[str, object]:
        """As templates get it and the outbox keeps it."""
        return {"next": list(self.next), "due": list(self.due)}


NO_OUTLOOK = Outlook()


@dataclass(frozen=True, slots=True)
class Late:
    """A message that could not be read when it came, and now can be."""

    message: MessageId
    sender: str
    received_at: datetime
    proof: str
    verified: bool
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class Correspondence:
    """Writes outbox rows. `key` makes their Message-IDs; after `lifetime` a mail is given up."""

    key: tokens.TokenKey
    lifetime: timedelta = GIVE_UP_AFTER

    def envelope_from(self, mailbox: Mailbox, row: OutboundClaim) -> str:
        """Where a bounce of the row goes; no part of its frozen bytes."""
        return bounce_address(
            mailbox.envelope_from, self.key, mailbox=mailbox.name, row=int(row.id), message_id=row.message_id
        )

    # --- to the sender ------------------------------------------------------------------------------------

    def acknowledgement(self, mailbox: Mailbox, understood: Understood, case: OpenCase, now: datetime) -> NewMail:
        context = mailbox.identity() | {
            "reference": case.ref,
            "answer_by": mailbox.answer_by(now),
            "sealed_hint": case.sealed,
            "smime": understood.message.encryption is Encryption.SMIME,
        }
        return self._to_sender(mailbox, understood, "acknowledgement", context, case.id)

    def redirect(self, mailbox: Mailbox, understood: Understood) -> NewMail:
        return self._to_sender(mailbox, understood, "redirect", mailbox.identity(), None)

    def acknowledgement_collected(
        self, mailbox: Mailbox, recipient: str, references: Sequence[str], cause: str, now: datetime
    ) -> NewMail:
        context = mailbox.identity() | {
            "references": list(references[:REFERENCES_NAMED]),
            "more": max(len(references) - REFERENCES_NAMED, 0),
            "answer_by": mailbox.answer_by(now),
        }
        return self._mail(mailbox, cause, "acknowledgement_collected", recipient, "reporter", context)

    def _to_sender(
        self, mailbox: Mailbox, understood: Understood, kind: str, context: dict[str, object], case: CaseId | None
    ) -> NewMail:
        message = understood.message
        if message.from_ is None:
            raise ValueError("nobody to answer")
        references = tuple(dict.fromkeys(r for r in (*message.references, message.message_id) if r is not None))
        return self._mail(
            mailbox,
            _cause(understood.claim),
            kind,
            message.from_.addr_spec,
            "reporter",
            context,
            case=case,
            in_reply_to=message.message_id,
            references=references[-REFERENCES_SENT:],
            about=understood.claim.id,
        )

    # --- to the maintainers -------------------------------------------------------------------------------

    def notice_case(
        self,
        mailbox: Mailbox,
        understood: Understood,
        case: OpenCase,
        relation: str | None,
        hints: Sequence[Hint],
        answered: str,
        outlook: Outlook,
    ) -> list[NewMail]:
        context = (
            self._about(mailbox, understood, case)
            | outlook.laid_out()
            | {
                "relation": relation,
                "answered": answered,
                "sorted_as": "" if case.sealed else _sorted_as(understood.verdict),
                "reasons_for": [] if case.sealed else _reasons(understood.verdict, towards_report=True),
                "reasons_against": [] if case.sealed else _reasons(understood.verdict, towards_report=False),
                "hints": [clean(hint.text) for hint in hints],
            }
        )
        context = self._with_content(context, mailbox, understood, case)
        return self._to_maintainers(mailbox, understood, "notice_case", context, case)

    def notice_message(
        self,
        mailbox: Mailbox,
        understood: Understood,
        case: OpenCase,
        verified: bool,
        outlook: Outlook = NO_OUTLOOK,
    ) -> list[NewMail]:
        sender = understood.message.from_.addr_spec if understood.message.from_ else ""
        from_maintainer = mailbox.is_maintainer(sender)
        context = (
            self._about(mailbox, understood, case)
            | outlook.laid_out()
            | {
                "verified": verified,
                "from_maintainer": from_maintainer,
            }
        )
        context = self._with_content(context, mailbox, understood, case)
        mails = self._to_maintainers(mailbox, understood, "notice_message", context, case)
        # Who wrote it has it; but only a token shows that the From is theirs.
        return [m for m in mails if not (verified and m.recipient.lower() == sender.lower())]

    def notice_late(self, mailbox: Mailbox, late: Late, record: CaseRecord) -> list[NewMail]:
        """To all maintainers; the content is filled in for those whose key we have (services/filling)."""
        sender = {"sender": late.sender, "from_maintainer": mailbox.is_maintainer(late.sender)}
        context = (
            mailbox.identity()
            | late.outlook.laid_out()
            | _NOTHING_SHOWN
            | {
                "reference": record.state.ref,
                "unsure": record.unsure,
                "sealed": True,
                "again": True,
                "sender": "",
                "from_maintainer": False,
                "proof": late.proof,
                "verified": late.verified,
                "received_at": written_moment(late.received_at),
                "message_number": int(late.message),
                "attached": False,
                "withheld": "",
                "within": sender,
                "source": {"message": int(late.message), "as": "notice"},
            }
        )
        return self._to_all(
            mailbox,
            f"message:{late.message}/opened",
            "notice_message",
            context,
            case=record.id,
            case_ref=record.state.ref,
            about=late.message,
        )

    def held(self, mailbox: Mailbox, claim: Claim, why: str) -> list[NewMail]:
        context = mailbox.identity() | {
            "message_number": int(claim.id),
            "received_at": written_moment(claim.received_at),
            "size": written_size(claim.size_bytes),
            "why": why,
            "partial": claim.partial,
        }
        return self._to_all(mailbox, _cause(claim), "held", context, about=claim.id)

    def failure(self, mailbox: Mailbox, row: OutboundClaim, reply: str) -> list[NewMail]:
        """To the maintainers that `row` did not reach anybody; never to the one it did not reach."""
        context = mailbox.identity() | {
            "reference": row.case_ref,
            "kind": row.kind,
            "role": row.role,
            "recipient": row.recipient,
            "reply": clean(reply),
            "outbound_number": int(row.id),
        }
        mails = self._to_all(mailbox, f"outbound:{row.id}", "notice_failure", context, case_ref=row.case_ref)
        return [m for m in mails if m.recipient.lower() != row.recipient.lower()]

    def bounce(
        self, mailbox: Mailbox, row: OutboundClaim, report: RecipientReport, message: MessageId, case: OpenCase | None
    ) -> list[NewMail]:
        """To the maintainers that `row` came back; never to the one it came back from."""
        sealed = case is not None and case.sealed
        hidden = sealed and row.role != "maintainer"
        context = mailbox.identity() | {
            "reference": case.ref if case is not None else None,
            "kind": row.kind,
            "role": row.role,
            # Who reported a sealed case is not said outside of it, and servers repeat the address in their words.
            "recipient": "" if hidden else row.recipient,
            "status": report.status,
            "permanent": report.fate is Fate.HARD,
            "diagnostic": "" if hidden else clean(report.diagnostic),
            "outbound_number": int(row.id),
            "message_number": int(message),
        }
        # A mail that is sent again after it came back may come back again.
        cause = f"outbound:{row.id}/bounced:{row.attempt}"
        case_ref = case.ref if case is not None else None
        mails = self._to_all(
            mailbox, cause, "notice_bounce", context, case=case.id if case is not None else None, case_ref=case_ref
        )
        return [m for m in mails if m.recipient.lower() != row.recipient.lower()]

    def without_attachment(self, mailbox: Mailbox, row: OutboundClaim) -> NewMail:
        """The same notice once more, without the attachment that a provider refused."""
        context = row.context | {"attached": False, "withheld": _how_to_get(row.about_message)}
        return self._mail(
            mailbox,
            row.cause,
            f"{row.kind}_without_attachment",
            row.recipient,
            row.role,
            context,
            template=row.template,
            case=row.case_id,
            references=row.references,
            about=row.about_message,
            priority=PRIORITY.get(row.kind, 50),
        )

    def collected(self, mailbox: Mailbox, kind: str, cause: str, context: dict[str, object]) -> list[NewMail]:
        return self._to_all(mailbox, cause, kind, mailbox.identity() | context)

    def alarm(self, mailbox: Mailbox, name: str, since: datetime, context: dict[str, object]) -> list[NewMail]:
        """What changed about an alarm that was raised at `since`; of the same change there is one mail, ever."""
        kind = "alarm_over" if context["change"] == "over" else "alarm"
        cause = f"alarm:{name}:{since:%Y-%m-%dT%H:%M:%S}/{context['change']}:{context['at']}"
        return self._to_all(mailbox, cause, kind, mailbox.identity() | context)

    # --- in a case (services/conversation) ----------------------------------------------------------------

    def in_case(
        self,
        mailbox: Mailbox,
        cause: str,
        kind: str,
        recipient: str,
        role: str,
        context: dict[str, object],
        *,
        case: CaseId | None,
        thread: ThreadIds,
        attached: MessageId | None = None,
    ) -> NewMail:
        """One mail of a conversation, to one person."""
        return self._mail(
            mailbox,
            cause,
            kind,
            recipient,
            role,
            context,
            case=case,
            in_reply_to=thread.in_reply_to,
            references=thread.references,
            attached=attached,
            about=attached,
            priority=PRIORITY.get(kind, CONVERSATION),
        )

    def thread_root(self, mailbox: Mailbox, reference: str) -> str:
        """What all mails of a case to maintainers refer to, so that clients show one thread."""
        return tokens.message_id(
            self.key, cause=f"case:{reference}", kind="thread", recipient="", domain=mailbox.domain
        )

    # --- to ourselves -------------------------------------------------------------------------------------

    def canary(self, mailbox: Mailbox, stamp: str, token: str) -> NewMail:
        """The mail to the mailbox itself that was made at `stamp`."""
        context = mailbox.identity() | {"token": token}
        return self._mail(mailbox, f"canary:{stamp}", "canary", mailbox.address, "mailbox", context)

    def _about(self, mailbox: Mailbox, understood: Understood, case: OpenCase) -> dict[str, object]:
        message, claim = understood.message, understood.claim
        sealed = case.sealed
        attached = travels_along(mailbox, understood, sealed=sealed)
        shown = shown_of(message, message.subject, message.from_display) if not sealed else _NOTHING_SHOWN
        about = mailbox.identity() | {
            "reference": case.ref,
            "unsure": case.unsure,
            "sealed": sealed,
            "sender": "" if sealed else message.from_.addr_spec if message.from_ else "",
            "proof": understood.authentication.reason,
            "authenticated": understood.authentication.result is AuthResult.PASS,
            "received_at": written_moment(claim.received_at),
            "reasons": [
                clean(f"{r.label} ({r.towards.replace('_', ' ')} {r.weight:+.1f})") for r in understood.verdict.reasons
            ],
            "message_number": int(claim.id),
            "attached": attached,
            "withheld": "" if attached else _how_to_get(claim.id),
        }
        return about | shown

    def _with_content(
        self, context: dict[str, object], mailbox: Mailbox, understood: Understood, case: OpenCase
    ) -> dict[str, object]:
        """The values of a notice, in a sealed case with what those are told whose key we have (services/filling)."""
        content = understood.content
        remarks = list(content.remarks) if content is not None else []
        if content is not None and not case.sealed:
            flaw = None if isinstance(content.signature, Verified) else content.signature.why
            # What came before is among the remarks.
            silent = flaw in (SignatureFlaw.NONE, SignatureFlaw.REPEATED)
            here = [pin for pin in content.pins if pin.case_id is None or pin.case_id == case.id]
            return context | {"remarks": [*([] if silent else [state_of(content, here)]), *remarks]}
        nameless = [without_fingerprints(remark) for remark in remarks]
        context = context | {"remarks": nameless}
        if not case.sealed or not mailbox.openpgp:
            return context
        if content is not None and content.unread:
            closed = f"It could not be opened: {content.why}." if content.why else ""
            if content.openness is Openness.CLOSED:
                closed += (
                    f" Once it can be, `mailbox-service message decrypt {understood.claim.id} --tell` shows it here."
                )
            return context | {"remarks": [*([closed] if closed else []), *nameless]}
        sender = understood.message.from_.addr_spec if understood.message.from_ else ""
        return context | {
            "within": {"sender": sender, "remarks": remarks},
            "source": {"message": int(understood.claim.id), "as": "notice"},
        }

    def _to_maintainers(
        self, mailbox: Mailbox, understood: Understood, kind: str, context: dict[str, object], case: OpenCase
    ) -> list[NewMail]:
        attached = understood.claim.id if context["attached"] else None
        return self._to_all(
            mailbox,
            _cause(understood.claim),
            kind,
            context,
            case=case.id,
            case_ref=case.ref,
            attached=attached,
            about=understood.claim.id,
        )

    def _to_all(
        self,
        mailbox: Mailbox,
        cause: str,
        kind: str,
        context: dict[str, object],
        *,
        case: CaseId | None = None,
        case_ref: str | None = None,
        attached: MessageId | None = None,
        about: MessageId | None = None,
    ) -> list[NewMail]:
        """One row for each maintainer; all mails of a case refer to one root, so that clients show one thread."""
        root = (self.thread_root(mailbox, case_ref),) if case_ref else ()
        return [
            self._mail(
                mailbox,
                cause,
                kind,
                maintainer.address,
                "maintainer",
                context,
                case=case,
                references=root,
                in_reply_to=root[0] if root else None,
                attached=attached,
                about=about,
            )
            for maintainer in mailbox.maintainers
        ]

    def _mail(
        self,
        mailbox: Mailbox,
        cause: str,
        kind: str,
        recipient: str,
        role: str,
        context: dict[str, object],
        *,
        template: str | None = None,
        case: CaseId | None = None,
        in_reply_to: str | None = None,
        references: tuple[str, ...] = (),
        attached: MessageId | None = None,
        about: MessageId | None = None,
        priority: int | None = None,
    ) -> NewMail:
        # The mailbox is part of the name: two mailboxes may share a maintainer.
        cause = f"{mailbox.name}/{cause}" if not cause.startswith(f"{mailbox.name}/") else cause
        return NewMail(
            mailbox=mailbox.name,
            cause=cause,
            kind=kind,
            recipient=recipient,
            role=role,
            message_id=tokens.message_id(self.key, cause=cause, kind=kind, recipient=recipient, domain=mailbox.domain),
            template=template or kind,
            context=context,
            case_id=case,
            in_reply_to=in_reply_to,
            references=references,
            attached_message=attached,
            about_message=about,
            priority=PRIORITY[kind] if priority is None else priority,
            shadow=mailbox.shadow,
        )


_NOTHING_SHOWN: dict[str, object] = {
    "sender_display": "",
    "subject": "",
    "text": "",
    "text_cut": False,
    "attachments": [],
}


def shown_of(message: ParsedMessage, subject: str, from_display: str) -> dict[str, object]:
    """What a notice shows of the message itself."""
    # A text may have 4 MB, of which the notice shows the beginning, and this runs inside a transaction.
    whole = message.text.strip()
    text = harmless(whole[: 2 * NOTICE_TEXT_CHARS], keep_newlines=True).strip()
    return {
        "sender_display": clean(from_display),
        "subject": clean(subject),
        "text": text[:NOTICE_TEXT_CHARS],
        "text_cut": len(text) > NOTICE_TEXT_CHARS or len(whole) > 2 * NOTICE_TEXT_CHARS,
        "attachments": [
            {
                "filename": clean(a.filename, 120),
                "type": clean(a.sniffed_type or a.content_type, 80),
                "size": written_size(a.size_bytes),
            }
            for a in message.attachments[:LISTED_LINES]
        ],
    }


def without_fingerprints(remark: str) -> str:
    """A line of ours for who must not learn who reported: a key is as good as a name."""
    return _FINGERPRINT.sub("", remark)


def travels_along(mailbox: Mailbox, understood: Understood, *, sealed: bool) -> bool:
    """Whether the whole message may be attached to a notice of it, in a case that is `sealed` or not."""
    claim = understood.claim
    # Ciphertext may travel as it came. A plain mail in a sealed case may not: it talks about what is sealed.
    clear_in_sealed = sealed and understood.message.encryption is Encryption.NONE
    return claim.size_bytes <= mailbox.notices.attachment_limit_bytes and not claim.partial and not clear_in_sealed


def _cause(claim: Claim) -> str:
    """What makes a mail unique. A decision by hand starts anew: the second time a message becomes a case it is told."""
    return f"message:{claim.id}" if claim.decided is None else f"message:{claim.id}/{claim.token}"


def _sorted_as(verdict: Verdict) -> str:
    outcome = {Outcome.SECURITY: "a report", Outcome.NOT_SECURITY: "no security matter"}.get(verdict.outcome)
    shares = f"report {verdict.security:.0%}, spam {verdict.spam:.0%}"
    return f"{outcome or verdict.outcome.value} ({shares})"


def _reasons(verdict: Verdict, *, towards_report: bool) -> list[str]:
    """What weighed most on one side, the heaviest first: labels may hold words of the mail."""
    sides = ((r.label, (r.weight > 0) == (r.towards == Outcome.SECURITY.value)) for r in verdict.reasons if r.weight)
    labels = (clean(label, REASON_CHARS) for label, for_it in sides if for_it == towards_report)
    return list(dict.fromkeys(labels))[:REASONS_SHOWN]  # one phrase may speak in several places


def written_size(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1000:.0f} kB" if size_bytes < 1_000_000 else f"{size_bytes / 1_000_000:.1f} MB"


def _how_to_get(message: MessageId | None) -> str:
    return f"mailbox-service message export {message}"
