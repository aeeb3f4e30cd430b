"""What becomes of a message: a `Disposition`, and whether its sender is answered.

Pure decisions over facts that the caller gathered. The words are those of docs/flow.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailbox_service.core.automatic import Automatic, AutomaticMail
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.core.message import Address

# Why a message is held that every attempt to work it failed on.
EXHAUSTED = "could not be worked in five attempts"


class Outcome(StrEnum):
    """What a sorter says of a mail."""

    SECURITY = "security"
    UNSURE = "unsure"
    NOT_SECURITY = "not_security"
    SPAM = "spam"


class Disposition(StrEnum):
    """What we decided about a message."""

    CASE = "case"
    ATTACHED = "attached"
    REDIRECT = "redirect"
    SPAM = "spam"
    AUTOMATIC = "automatic"
    BOUNCE = "bounce"
    HOLD = "hold"
    ANSWER = "answer"  # a maintainer's, to a mail of ours that belongs to no case


class Answer(StrEnum):
    """What the sender is sent at once."""

    NOTHING = ""
    ACKNOWLEDGEMENT = "acknowledgement"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Subject:
    """What routing looks at: one message, understood."""

    sender: Address | None
    outcome: Outcome
    automatic: AutomaticMail
    authentication: Authentication
    encrypted: bool
    spam_marked: bool
    defective: bool  # limits were hit or the structure is broken beyond RFC 3834's "extremely malformed"
    junk: bool
    quiet: bool
    addressed_to_us: bool  # one of the mailbox's addresses stands in To or Cc
    from_ourselves: bool  # From is one of the mailbox's own addresses
    from_maintainer: bool = False  # From names a maintainer, which proves nothing
    from_team: bool = False  # From is the address that redirects point to
    addressed_to_team: bool = False  # that address stands in To or Cc
    service_mail: bool = False  # carries the loop header of a service like this one, ours or another's
    service_notice: bool = False  # and is a notice of a report, says that header
    signed: bool = False  # by a key that is pinned to its From, in the case that it would join


@dataclass(frozen=True, slots=True)
class Thread:
    """What the message's In-Reply-To and References mean to us. At most one of the first three is set."""

    copy_of: int | None = None  # the same mail came before by another way and was answered: that message
    copy_case: int | None = None  # and the case it is in
    own_case: int | None = None  # names a mail of ours to this very sender, in this case (token T)
    own_mail: bool = False  # names a mail of ours to this very sender that belongs to no case, such as a digest
    own_redirect: int | None = None  # names our redirect to this very sender; the message that was redirected
    same_sender_case: int | None = None  # names an earlier mail of the same From in this open case
    related_case: str | None = None  # reference of a case that it names in any other way
    ours: bool = False  # names some mail of ours at all, whoever that went to
    sealed: bool = False  # the case that it would join is sealed already


@dataclass(frozen=True, slots=True)
class Routing:
    disposition: Disposition
    why: str  # one constant sentence for the journal and the listing
    answer: Answer = Answer.NOTHING
    no_answer: str = ""  # why the sender is not answered where one would expect it
    case: int | None = None  # the case it joins
    verified: bool = False  # joins by a token, and its From is authenticated
    unsure: bool = False
    with_redirected: int | None = None  # the earlier redirected message that joins the new case
    relation: str | None = None  # reference of a case this one probably belongs to
    digest: bool = False  # the maintainers hear of it in the digest
    silent: bool = False  # nobody is told: a copy of what everybody has


# Kinds behind which a person may sit: a list or a sending tool adds its headers to what people write.
_PEOPLE = (Automatic.NO, Automatic.LIST)


def route(subject: Subject, thread: Thread, *, ack_unauthenticated: bool = True) -> Routing:
    """The one decision about a message.

    Rules stand in the order of their force: bounces and automatic mail never converse; a token joins; an answer to
    a redirect is a report; then the sorter's word counts. When in doubt it is a report.
    """
    if subject.automatic.kind in (Automatic.BOUNCE, Automatic.RECEIPT):
        if subject.outcome is Outcome.SECURITY and not thread.ours:
            # It returns nothing of ours and sounds like a report: a postmaster who forwards one, a web form that
            # sends with a null reverse-path and quotes "user unknown". People look, and nobody is answered.
            return Routing(Disposition.AUTOMATIC, "looks like a bounce of no mail of ours", digest=True)
        return Routing(Disposition.BOUNCE, "delivery or read notification", case=thread.own_case)
    if thread.copy_of is not None:
        disposition = Disposition.REDIRECT if thread.copy_case is None else Disposition.ATTACHED
        return Routing(disposition, f"a further copy of message {thread.copy_of}", case=thread.copy_case, silent=True)
    if subject.service_mail:
        # A notice of ours that comes back sounds like the report it tells of. Whoever forges the header hides
        # nobody's mail but their own, and even that stays on file.
        return Routing(Disposition.AUTOMATIC, "mail of this service, or of one like it", digest=subject.service_notice)
    if subject.automatic.kind is Automatic.REPLY:
        # An out-of-office note quotes our own words, which sound like a report; and a machine's reply is never a
        # first report. Where it answers nothing of ours, the maintainers are shown what sounds like one.
        sounds_like_one = subject.outcome in (Outcome.SECURITY, Outcome.UNSURE)
        return Routing(
            Disposition.AUTOMATIC,
            "automatic reply",
            case=thread.own_case,
            digest=sounds_like_one and not thread.ours,
        )
    if _would_seal(subject, thread):
        return _apart(subject, thread, ack_unauthenticated)
    if thread.own_case is not None:
        # Tokens leak with quotes and copies, so a token alone adds to the case but proves nobody.
        verified = subject.authentication.result is AuthResult.PASS
        return Routing(Disposition.ATTACHED, "answers a mail of ours", case=thread.own_case, verified=verified)
    if thread.own_mail and subject.from_maintainer:
        return Routing(Disposition.ANSWER, "answers a mail of ours to a maintainer")
    if thread.same_sender_case is not None and subject.automatic.kind in _PEOPLE:
        return Routing(Disposition.ATTACHED, "refers to an earlier mail of the same From", case=thread.same_sender_case)
    if subject.from_maintainer and thread.related_case is not None:
        # Whoever writes in a maintainer's name about a case has a mail of ours to answer. A case of its own would tell
        # the outside of it.
        why = f"names a maintainer as its sender and refers to {thread.related_case}, without proof"
        return Routing(Disposition.HOLD, why)
    return _by_sorter(subject, thread, ack_unauthenticated)


def _would_seal(subject: Subject, thread: Thread) -> bool:
    """Whether it would seal a case, and nothing proves who wrote it: those without a key would hear nothing more."""
    joins = thread.own_case is not None or (thread.same_sender_case is not None and subject.automatic.kind in _PEOPLE)
    known = subject.authentication.result is AuthResult.PASS or subject.signed
    return joins and subject.encrypted and not thread.sealed and not known


def _apart(subject: Subject, thread: Thread, ack_unauthenticated: bool) -> Routing:
    if subject.from_maintainer:
        why = f"encrypted, and names a maintainer as its sender without proof; it would seal {thread.related_case}"
        return Routing(Disposition.HOLD, why)
    why = "encrypted, and refers to a case without proof"
    return _new_case(subject, thread, why, ack_unauthenticated, unsure=True)


def _by_sorter(subject: Subject, thread: Thread, ack_unauthenticated: bool) -> Routing:
    if thread.own_redirect is not None and subject.automatic.kind in _PEOPLE:
        return _new_case(
            subject,
            thread,
            "answers a redirect: it is about security after all",
            ack_unauthenticated,
            unsure=subject.outcome is not Outcome.SECURITY,
        )
    if subject.outcome is Outcome.SECURITY:
        return _new_case(subject, thread, "sorted as a security report", ack_unauthenticated, unsure=False)
    if subject.automatic.kind is not Automatic.NO and not subject.from_ourselves:
        # On a list other people add to a report, in words that need not sound like one.
        on_a_case = subject.automatic.kind is Automatic.LIST and thread.related_case is not None
        digest = subject.outcome is Outcome.UNSURE or on_a_case
        return Routing(Disposition.AUTOMATIC, "automatic or list mail", digest=digest)
    if (thread.related_case is not None or thread.ours) and not subject.junk:
        return _new_case(subject, thread, "refers to a case without proof", ack_unauthenticated, unsure=True)
    if subject.junk and (thread.related_case is not None or thread.ours):
        return Routing(Disposition.HOLD, "found in Junk, and refers to a case without proof", digest=True)
    if subject.outcome is Outcome.SPAM:
        return Routing(Disposition.SPAM, "sorted as spam")
    if subject.junk:
        return _from_junk(subject)
    if subject.outcome is Outcome.UNSURE:
        return _new_case(subject, thread, "unsure, so it is a report until read", ack_unauthenticated, unsure=True)
    refusal = answer_refusal(subject, ack_unauthenticated=ack_unauthenticated)
    if subject.addressed_to_team and not refusal:
        # The team's address may be forwarded to this one, and who asked there must not be told to ask there.
        refusal = "it was written to the team's address too"
    return Routing(
        Disposition.REDIRECT,
        "sorted as no security matter",
        answer=Answer.NOTHING if refusal else Answer.REDIRECT,
        no_answer=refusal,
        digest=bool(refusal),
    )


def _from_junk(subject: Subject) -> Routing:
    # From Junk only a security report opens a case: a provider's filter and our own doubt together are not enough.
    if subject.outcome is Outcome.UNSURE:
        return Routing(Disposition.HOLD, "found in Junk, and unsure", digest=True)
    return Routing(Disposition.SPAM, "found in Junk, and no security matter")


def _new_case(subject: Subject, thread: Thread, why: str, ack_unauthenticated: bool, *, unsure: bool) -> Routing:
    refusal = answer_refusal(subject, ack_unauthenticated=ack_unauthenticated)
    return Routing(
        Disposition.CASE,
        why,
        answer=Answer.NOTHING if refusal else Answer.ACKNOWLEDGEMENT,
        no_answer=refusal,
        unsure=unsure,
        with_redirected=thread.own_redirect,
        relation=thread.related_case,
    )


def answer_refusal(subject: Subject, *, ack_unauthenticated: bool) -> str:
    """Why this sender must not be answered automatically, or "" (RFC 3834 §2, §5)."""
    authenticated = subject.authentication.result is AuthResult.PASS
    rules = (
        (subject.sender is None, "it has no single clean author address"),
        (_is_local(subject.sender), "its author address is in no domain of the Internet"),
        (subject.from_ourselves, "it says it comes from one of our own addresses"),
        (subject.from_team, "it says it comes from the team's address"),
        (subject.automatic.kind is not Automatic.NO, "it is automatic or list mail"),
        (subject.automatic.suppress_answer, "its headers ask for no automatic answer"),
        (subject.authentication.result is AuthResult.FAIL, "its author address failed authentication"),
        (subject.quiet, "it is older than the first contact, or was imported"),
        (subject.spam_marked, "the provider marked it as spam"),
        (subject.defective, "it is malformed"),
        (subject.junk and not authenticated, "it was found in Junk and its author address is not authenticated"),
        (
            not subject.addressed_to_us and not authenticated,
            "our address is neither in To nor in Cc and its author address is not authenticated",
        ),
        (not authenticated and not ack_unauthenticated, "its author address is not authenticated"),
    )
    return next((reason for applies, reason in rules if applies), "")


def _is_local(sender: Address | None) -> bool:
    """`root@localhost`, `admin@intranet`, `root@10.0.0.1`: a submission server would take it for one of its own."""
    _, dot, last = (sender.domain if sender is not None else "x.y").rpartition(".")
    return not dot or last.isdigit()
