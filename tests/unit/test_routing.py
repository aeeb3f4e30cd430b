"""The one decision about a message, rule by rule; and each row of threat-model.md's "Automatic replies"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mailbox_service.core.automatic import Automatic, AutomaticMail, recognise
from mailbox_service.core.evidence import Authentication, AuthResult, authenticate
from mailbox_service.core.message import Address, parse
from mailbox_service.core.routing import Answer, Disposition, Outcome, Routing, Subject, Thread, answer_refusal, route

PASS = Authentication(AuthResult.PASS, "dmarc", "")
FAIL = Authentication(AuthResult.FAIL, "dmarc", "")
NONE = Authentication(AuthResult.NONE, "", "")
PERSON = AutomaticMail(Automatic.NO, (), suppress_answer=False)
PLAIN = Subject(
    sender=Address("eve@research.example"),
    outcome=Outcome.SECURITY,
    automatic=PERSON,
    authentication=PASS,
    encrypted=False,
    spam_marked=False,
    defective=False,
    junk=False,
    quiet=False,
    addressed_to_us=True,
    from_ourselves=False,
)
SECURITY, UNSURE, SUPPORT, SPAM = Outcome.SECURITY, Outcome.UNSURE, Outcome.NOT_SECURITY, Outcome.SPAM


def subject(**values: Any) -> Subject:
    return replace(PLAIN, **values)


def machine(kind: Automatic) -> AutomaticMail:
    return AutomaticMail(kind, ("x",), suppress_answer=True)


def routed(thread: Thread | None = None, **values: Any) -> Routing:
    return route(subject(**values), thread or Thread())


# --- what becomes of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "junk", "disposition", "answer"),
    [
        (SECURITY, False, Disposition.CASE, Answer.ACKNOWLEDGEMENT),
        (UNSURE, False, Disposition.CASE, Answer.ACKNOWLEDGEMENT),
        (SUPPORT, False, Disposition.REDIRECT, Answer.REDIRECT),
        (SPAM, False, Disposition.SPAM, Answer.NOTHING),
        (SECURITY, True, Disposition.CASE, Answer.ACKNOWLEDGEMENT),
        (UNSURE, True, Disposition.HOLD, Answer.NOTHING),
        (SUPPORT, True, Disposition.SPAM, Answer.NOTHING),
        (SPAM, True, Disposition.SPAM, Answer.NOTHING),
    ],
)
def test_the_sorters_word(outcome: Outcome, junk: bool, disposition: Disposition, answer: Answer) -> None:
    found = routed(outcome=outcome, junk=junk)
    assert (found.disposition, found.answer) == (disposition, answer)


def test_an_unsure_case_is_marked_and_an_unsure_hold_is_in_the_digest() -> None:
    assert routed(outcome=UNSURE).unsure and not routed().unsure
    assert routed(outcome=UNSURE, junk=True).digest


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("kind", [Automatic.BOUNCE, Automatic.RECEIPT, Automatic.REPLY])
def test_bounces_and_automatic_replies_never_converse(kind: Automatic, outcome: Outcome) -> None:
    for thread in (Thread(), Thread(own_case=1, ours=True), Thread(own_redirect=2, ours=True)):
        found = routed(thread, automatic=machine(kind), outcome=outcome)
        stray_report = outcome is SECURITY and not thread.ours
        automatic = kind is Automatic.REPLY or stray_report
        assert found.disposition is (Disposition.AUTOMATIC if automatic else Disposition.BOUNCE)
        assert (found.answer, found.case) == (Answer.NOTHING, thread.own_case)
        assert found.digest or not stray_report


def test_mail_of_a_service_like_this_one_opens_no_case() -> None:
    for outcome in Outcome:
        found = routed(automatic=machine(Automatic.GENERATED), service_mail=True, outcome=outcome)
        assert (found.disposition, found.answer) == (Disposition.AUTOMATIC, Answer.NOTHING)


def test_a_token_under_a_from_that_failed_authentication_joins_unverified() -> None:
    found = routed(Thread(own_case=7, ours=True), authentication=FAIL)
    assert (found.disposition, found.verified) == (Disposition.ATTACHED, False)


def test_an_automatic_reply_that_sounds_like_a_report_is_told_unless_it_quotes_us() -> None:
    reply = machine(Automatic.REPLY)
    assert routed(automatic=reply).digest and routed(automatic=reply, outcome=UNSURE).digest
    assert not routed(Thread(ours=True), automatic=reply).digest
    assert not routed(automatic=reply, outcome=SUPPORT).digest


def test_a_token_joins_whatever_the_sorter_says() -> None:
    for outcome in Outcome:
        found = routed(Thread(own_case=7, ours=True), outcome=outcome, junk=True, authentication=NONE)
        assert (found.disposition, found.case, found.verified) == (Disposition.ATTACHED, 7, False)
        assert found.answer is Answer.NOTHING


def test_a_token_verifies_only_under_an_authenticated_from() -> None:
    assert routed(Thread(own_case=7, ours=True)).verified


def test_a_copy_of_an_answered_mail_goes_where_the_first_went_and_nobody_is_told() -> None:
    found = routed(Thread(copy_of=3, copy_case=7))
    assert (found.disposition, found.case, found.silent) == (Disposition.ATTACHED, 7, True)
    assert found.answer is Answer.NOTHING
    assert routed(Thread(copy_of=3)).disposition is Disposition.REDIRECT


def test_a_reference_of_the_same_sender_joins_unverified() -> None:
    found = routed(Thread(same_sender_case=7), outcome=SUPPORT)
    assert (found.disposition, found.case, found.verified) == (Disposition.ATTACHED, 7, False)
    assert found.answer is Answer.NOTHING


def test_an_answer_to_a_redirect_is_always_a_report() -> None:
    for outcome in Outcome:
        found = routed(Thread(own_redirect=3, ours=True), outcome=outcome, junk=True)
        assert (found.disposition, found.with_redirected) == (Disposition.CASE, 3)
        assert found.unsure is (outcome is not SECURITY)


def test_a_reference_without_proof_opens_a_case_of_its_own_but_not_from_junk() -> None:
    for thread in (Thread(related_case="SEC-1"), Thread(ours=True)):
        for outcome in (UNSURE, SUPPORT, SPAM):
            found = routed(thread, outcome=outcome)
            assert (found.disposition, found.unsure) == (Disposition.CASE, True)
            assert found.relation == thread.related_case
            from_junk = routed(thread, outcome=outcome, junk=True)
            assert (from_junk.disposition, from_junk.digest) == (Disposition.HOLD, True)


@pytest.mark.parametrize("kind", [Automatic.LIST, Automatic.GENERATED])
def test_list_and_machine_mail_opens_a_case_only_as_a_report_and_is_never_answered(kind: Automatic) -> None:
    report = routed(automatic=machine(kind))
    assert (report.disposition, report.answer) == (Disposition.CASE, Answer.NOTHING)
    for outcome in (UNSURE, SUPPORT, SPAM):
        found = routed(automatic=machine(kind), outcome=outcome)
        assert (found.disposition, found.digest) == (Disposition.AUTOMATIC, outcome is UNSURE)


def test_a_case_that_is_not_answered_says_why() -> None:
    found = routed(quiet=True)
    assert (found.disposition, found.answer) == (Disposition.CASE, Answer.NOTHING) and "older" in found.no_answer
    unanswered = routed(outcome=SUPPORT, authentication=FAIL)
    assert unanswered.digest and "failed" in unanswered.no_answer


# --- may we answer -----------------------------------------------------------------------------------------

REFUSED: dict[str, dict[str, Any]] = {
    "no single clean From": {"sender": None},
    "own address": {"from_ourselves": True},
    "automatic": {"automatic": machine(Automatic.GENERATED)},
    "list": {"automatic": machine(Automatic.LIST)},
    "asks for no answer": {"automatic": AutomaticMail(Automatic.NO, ("x",), suppress_answer=True)},
    "failed authentication": {"authentication": FAIL},
    "old or imported": {"quiet": True},
    "spam-marked": {"spam_marked": True},
    "malformed": {"defective": True},
    "Junk, not authenticated": {"junk": True, "authentication": NONE},
    "not addressed to us, not authenticated": {"addressed_to_us": False, "authentication": NONE},
}
ANSWERED: dict[str, dict[str, Any]] = {
    "authenticated": {},
    "no authentication result": {"authentication": NONE},
    "Junk, authenticated": {"junk": True},
    "not addressed to us, authenticated": {"addressed_to_us": False},
    "encrypted": {"encrypted": True},
}


@pytest.mark.parametrize("row", REFUSED)
def test_these_are_not_answered(row: str) -> None:
    assert answer_refusal(subject(**REFUSED[row]), ack_unauthenticated=True)
    assert routed(outcome=SUPPORT, **REFUSED[row]).answer is Answer.NOTHING
    assert routed(**REFUSED[row]).answer is Answer.NOTHING


@pytest.mark.parametrize("row", ANSWERED)
def test_these_are_answered(row: str) -> None:
    assert answer_refusal(subject(**ANSWERED[row]), ack_unauthenticated=True) == ""


def test_the_unauthenticated_are_not_answered_where_it_is_turned_off() -> None:
    assert answer_refusal(subject(authentication=NONE), ack_unauthenticated=False)
    assert answer_refusal(PLAIN, ack_unauthenticated=False) == ""


# --- the table, on real headers ------------------------------------------------------------------------------

TRUSTED = "mx.example.org"
HEADERS_THAT_FORBID = [
    "Auto-Submitted: auto-replied",
    "Auto-Submitted: auto-generated; owner-email=x",
    "Auto-Submitted: anything-else (a comment)",
    "Return-Path: <>",
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
    'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"',
    "List-Id: <list.example.org>",
    "List-Unsubscribe: <mailto:x@example.org>",
    "Precedence: list",
    "Precedence: bulk",
    "Precedence: junk",
    "X-Auto-Response-Suppress: All",
    "X-Auto-Response-Suppress: DR, AutoReply",
    "X-Mailbox-Service-Loop: whatever",
    "X-Loop: somebody@example.org",
    f"Authentication-Results: {TRUSTED}; dmarc=fail header.from=research.example",
    "From: second@x.example",
]
HEADERS_THAT_DO_NOT = [
    "Auto-Submitted: no",
    "Auto-Submitted: (really) no; x=y",
    "X-Auto-Response-Suppress: DR, RN, NRN",
    "Precedence: normal",
    f"Authentication-Results: {TRUSTED}; dmarc=pass header.from=research.example",
    "Authentication-Results: forged.example; dmarc=fail header.from=research.example",
]
SENDERS_THAT_FORBID = [
    "mailer-daemon@x.example",
    "postmaster@x.example",
    "noreply@x.example",
    "no-reply@x.example",
    "owner-list@x.example",
    "list-request@x.example",
    "bounce@x.example",
    "bounces+abc@x.example",
]
SENDERS_THAT_DO_NOT = ["groot@x.example", "requester@x.example", "bouncer@x.example", "reply@x.example"]


def refusal_of(headers: str, sender: str = "eve@research.example") -> str:
    raw = f"{headers}\r\nFrom: {sender}\r\nTo: security@example.org\r\nSubject: x\r\n\r\nHello\r\n".lstrip()
    message = parse(raw.encode())
    found = subject(
        sender=message.from_,
        automatic=recognise(message),
        authentication=authenticate(message, TRUSTED),
    )
    return answer_refusal(found, ack_unauthenticated=True)


@pytest.mark.parametrize("header", HEADERS_THAT_FORBID)
def test_these_headers_forbid_an_answer(header: str) -> None:
    assert refusal_of(header)


@pytest.mark.parametrize("header", HEADERS_THAT_DO_NOT)
def test_these_headers_forbid_nothing(header: str) -> None:
    assert refusal_of(header) == ""


@pytest.mark.parametrize("sender", SENDERS_THAT_FORBID)
def test_these_senders_are_never_answered(sender: str) -> None:
    assert refusal_of("", sender)


@pytest.mark.parametrize("sender", SENDERS_THAT_DO_NOT)
def test_names_that_only_look_alike_are_answered(sender: str) -> None:
    assert refusal_of("", sender) == ""
