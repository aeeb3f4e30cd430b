"""What bounces say: by their fields, by their words, and never more than they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.core.automatic import Automatic, recognise
from mailbox_service.core.delivery_report import (
    FIELD_CHARS,
    FIELDS_CHARS,
    RECIPIENTS,
    Fate,
    RecipientReport,
    read_report,
)
from mailbox_service.core.message import parse

ROOT = Path(__file__).resolve().parents[2]
BOUNCES = ROOT / "tests" / "data" / "bounces"
CORPORA = ROOT.parent / "shared" / "corpora" / "eml" / "auto"
EVE = "eve@research.example"


def dsn(fields: str, words: str = "This is the mail system.", kind: str = "delivery-status") -> bytes:
    head = "From: MAILER-DAEMON@mx.example\nSubject: Mail status\nContent-Type: multipart/report; boundary=b\n\n"
    status = f"--b\nContent-Type: message/{kind}\n\nReporting-MTA: dns; mx.example\n\n{fields}\n"
    return (
        f"{head}--b\n\n{words}\n{status}--b\nContent-Type: message/rfc822\n\nMessage-ID: <1@x>\n\nhi\n--b--\n".encode()
    )


def about(fields: str, recipient: str = EVE, **more: str) -> RecipientReport:
    return read_report(parse(dsn(fields, **more))).about(recipient)


def text_bounce(text: str, subject: str = "Mail", headers: str = "") -> RecipientReport:
    raw = f"From: MAILER-DAEMON@mx.example\nSubject: {subject}\n{headers}\n{text}\n"
    return read_report(parse(raw.encode())).about(EVE)


@pytest.mark.parametrize(
    ("fields", "fate", "status"),
    [
        ("Final-Recipient: rfc822; eve@research.example\nAction: failed\nStatus: 5.1.1", Fate.HARD, "5.1.1"),
        ("Action: FAILED\nStatus: 5.1.1 (bad mailbox)", Fate.HARD, "5.1.1"),
        ("Action: failed\nStatus: 4.4.7", Fate.SOFT, "4.4.7"),
        ("Action: failed (gave up)\nStatus: 4.2.2", Fate.SOFT, "4.2.2"),
        ("Action: failed", Fate.SOFT, ""),
        ("Action: delayed\nStatus: 4.4.1", Fate.DELAYED, "4.4.1"),
        ("Action: delayed\nStatus: 5.0.0", Fate.DELAYED, "5.0.0"),
        ("Action: delivered\nStatus: 2.0.0", Fate.DELIVERED, "2.0.0"),
        ("Action: relayed\nStatus: 2.0.0", Fate.DELIVERED, "2.0.0"),
        ("Action: expanded\nStatus: 2.0.0", Fate.DELIVERED, "2.0.0"),
        ("Status: 5.1.1", Fate.HARD, "5.1.1"),  # without the Action that RFC 3464 asks for
        ("Status: 4.1.1", Fate.UNKNOWN, ""),
        ("Action: levitated\nStatus: 5.1.1", Fate.UNKNOWN, ""),
        ("Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.1.1 no such user", Fate.HARD, "5.1.1"),
        ("Action: failed\nDiagnostic-Code: smtp; 550 no such user", Fate.HARD, "5.0.0"),
        ("Action: failed\nStatus: 553 too large", Fate.HARD, "5.0.0"),
        ("Action: failed\nDiagnostic-Code: smtp; 451 later", Fate.SOFT, "4.0.0"),
        ("Action: failed\nDiagnostic-Code: X-Unix; 192.5.1.1.7 is away", Fate.SOFT, ""),  # an address, not a status
        ("action : failed\nstatus : 5.1.1", Fate.HARD, "5.1.1"),
    ],
)
def test_the_fields_of_a_report_are_read(fields: str, fate: Fate, status: str) -> None:
    found = about(fields)
    assert (found.fate, found.status) == (fate, status)


def test_a_folded_diagnostic_is_one_line() -> None:
    found = about("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no\n  such\n\tuser")
    assert found.diagnostic == "550 no such user"


def test_of_several_recipients_ours_counts_and_else_the_worst() -> None:
    ours = (
        f"Original-Recipient: rfc822; {EVE.upper()}\nFinal-Recipient: rfc822; alias@x\nAction: delayed\nStatus: 4.0.0"
    )
    other = "Final-Recipient: rfc822; <bob@x.example>\nAction: failed\nStatus: 5.1.1"
    assert about(f"{other}\n\n{ours}").fate is Fate.DELAYED
    assert about(f"{other}\n\n{ours}", "bob@x.example").fate is Fate.HARD
    # The mail was passed on to others behind the address we wrote to.
    assert about(f"{ours}\n\n{other}", "list@x.example").fate is Fate.HARD
    # No blank line between the groups.
    assert about(f"{other}\n{ours}", "bob@x.example").status == "5.1.1"


def test_addresses_in_utf_8_are_read_in_all_their_forms() -> None:
    for written in ("utf-8; zoë@research.example", r"utf-8; zo\x{EB}@research.example"):
        other = "Final-Recipient: rfc822; b@x\nAction: relayed"
        fields = f"Final-Recipient: {written}\nAction: failed\nStatus: 5.1.1\n\n{other}"
        found = read_report(parse(dsn(fields, kind="global-delivery-status"))).about("Zoë@research.example")
        assert found.fate is Fate.HARD


def test_a_report_inside_the_returned_message_says_nothing() -> None:
    inner = dsn("Action: failed\nStatus: 5.1.1").decode()
    head = "From: MAILER-DAEMON@x.example\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\nHello\n--o\n"
    raw = f"{head}Content-Type: message/rfc822\n\n{inner}\n--o--\n"
    assert read_report(parse(raw.encode())).about(EVE).fate is Fate.UNKNOWN


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("<eve@research.example>:\n550 5.1.1 user unknown", Fate.HARD),
        ("Hi. This is qmail.\n<eve@x>: Sorry, no mailbox here by that name. (#5.1.1)", Fate.HARD),
        ("I'm not going to try again; this message has been in the queue too long. (#4.4.1)", Fate.SOFT),
        ("host mx.x said: 452 mailbox full. Giving up.", Fate.SOFT),
        ("Your message could not be delivered.", Fate.SOFT),
        ("Your message could not be delivered yet. We will keep trying. 550 is not our code", Fate.DELAYED),
        ("This is a warning only. You do not need to resend. 5.1.1", Fate.DELAYED),
        ("We tried for days and are giving up. The mail was delayed before. 5.1.1", Fate.HARD),
        ("User unknown", Fate.HARD),
        ("Retry timeout exceeded. This is a permanent error.", Fate.SOFT),
        ("Hello, I am on holiday, phone 550 1234.", Fate.UNKNOWN),
        ("Version 5.1.1.7 of 10.4.2.2 was released at 5.1.19-rc", Fate.UNKNOWN),
        ("", Fate.UNKNOWN),
    ],
)
def test_words_are_read_where_there_are_no_fields(text: str, fate: Fate) -> None:
    assert text_bounce(text).fate is fate


def test_the_words_of_the_returned_message_are_not_the_reports() -> None:
    returned = "--- Below this line is a copy of the message.\n\nReceived: x\n\n550 5.1.1 user unknown, permanent error"
    assert text_bounce(f"Mail from you was seen.\n\n{returned}").fate is Fate.UNKNOWN


@pytest.mark.parametrize(
    ("name", "fate", "status"),
    [
        ("lhost-amazonworkmail-02", "hard", "5.2.1"),
        ("lhost-courier-02", "hard", "5.0.0"),
        ("lhost-domino-02", "hard", "5.0.0"),
        ("lhost-exchange2003-01", "hard", ""),
        ("lhost-exchange2007-03", "hard", "5.2.3"),
        ("lhost-exim-02", "hard", "5.1.1"),
        ("lhost-exim-06", "soft", ""),
        ("lhost-exim-38", "delay", ""),
        ("lhost-ezweb-01", "soft", ""),
        ("lhost-gmx-01", "hard", "5.2.2"),
        ("lhost-googlegroups-01", "soft", ""),
        ("lhost-imailserver-03", "soft", ""),
        ("lhost-messagingserver-03", "soft", ""),
        ("lhost-mfilter-01", "hard", "5.0.0"),
        ("lhost-mxlogic-01", "hard", "5.1.1"),
        ("lhost-office365-02", "hard", "5.1.1"),
        ("lhost-opensmtpd-03", "hard", ""),
        ("lhost-opensmtpd-12", "delay", "4.0.0"),
        ("lhost-x3-02", "soft", ""),
        ("lhost-zoho-05", "hard", ""),
        ("rhost-apple-01", "hard", "5.1.6"),
        ("rhost-cloudflare-01", "soft", "4.3.0"),
        ("rhost-franceptt-10", "soft", "4.5.0"),
        ("rhost-google-01", "hard", "5.2.1"),
        ("rhost-microsoft-05", "soft", "4.7.650"),
        ("rhost-outlook-06", "delay", "4.4.7"),
        ("rhost-outlook-07", "soft", "4.4.7"),
        ("rhost-yahooinc-01", "hard", "5.7.9"),
    ],
)
def test_real_bounces_are_read(name: str, fate: str, status: str) -> None:
    found = read_report(parse((BOUNCES / f"{name}.eml").read_bytes())).about("nobody@example.org")
    assert (found.fate.value, found.status) == (fate, status)


@pytest.mark.skipif(not CORPORA.is_dir(), reason="corpora not here")
def test_the_bounce_corpora_are_failures_but_for_those_that_say_delay() -> None:
    def fates(paths: list[Path]) -> Counter[Fate]:
        messages = [parse(path.read_bytes()) for path in paths]
        return Counter(read_report(m).about("").fate for m in messages if recognise(m).kind is Automatic.BOUNCE)

    sisimai = fates(sorted((CORPORA / "sisimai+set-of-emails" / "maildir" / "bsd").glob("[lr]host-*.eml")))
    flufl = fates(sorted((CORPORA / "wRAR+flufl.bounce").rglob("*_*.txt")))
    assert sisimai.total() > 230 and flufl.total() > 90
    assert sisimai[Fate.HARD] + sisimai[Fate.SOFT] >= 0.94 * sisimai.total()
    assert flufl[Fate.HARD] + flufl[Fate.SOFT] >= 0.8 * flufl.total()
    assert sisimai[Fate.UNKNOWN] + flufl[Fate.UNKNOWN] <= 6
    assert sisimai[Fate.DELIVERED] + flufl[Fate.DELIVERED] == 0


# --- any bytes at all --------------------------------------------------------------------------------------

NAMES = st.sampled_from(["Action", "Status", "Final-Recipient", "Original-Recipient", "Diagnostic-Code", "X-Y", ""])
VALUES = st.one_of(
    st.sampled_from(["failed", "delayed", "relayed", "5.1.1", "4.2.2", "rfc822; a@b", r"utf-8; \x{110000}@\x{D800}"]),
    st.text(max_size=40),
)
LINES = st.lists(st.tuples(NAMES, st.sampled_from([":", ": ", "\n ", "\n\n", ""]), VALUES), max_size=30)


@settings(deadline=None)
@given(LINES, st.text(max_size=200))
def test_any_report_is_read_within_bounds(lines: list[tuple[str, str, str]], words: str) -> None:
    fields = "\n".join("".join(line) for line in lines)
    report = read_report(parse(dsn(fields, words).decode().encode("utf-8", "surrogatepass")))
    assert len(report.fields) <= RECIPIENTS
    for one in (*report.fields, report.words, report.about("a@b")):
        assert len(one.diagnostic) <= FIELD_CHARS and len(one.recipients) <= 2
        assert one.fate is not Fate.HARD or one.status[:1] in ("5", "")
    if not any(word in fields.lower() for word in ("fail", "5.", "5")):
        assert all(not one.fate.failed for one in report.fields)


def test_fields_behind_the_limit_are_not_read() -> None:
    late = "X-Filler: " + "x\n " * FIELDS_CHARS + "\n\nFinal-Recipient: rfc822; a@b\nAction: failed\nStatus: 5.1.1"
    assert read_report(parse(dsn(late))).fields == ()


def test_a_report_on_a_hundred_thousand_recipients_is_cut_off() -> None:
    group = "Final-Recipient: rfc822; a@b\nAction: failed\nStatus: 5.1.1\n\n"
    report = read_report(parse(dsn(group * 100_000)))
    assert len(report.fields) == RECIPIENTS
