"""A case worked by mail through real servers, with real bytes; and what must not happen there."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailbox_service.core.case import Resolution, Stage
from tests.conversation.people import Person, said, text_of
from tests.end_to_end.conversing import BOTH, Town, post_office, ready, town
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix

PATCH = b"--- a/login.go\n+++ b/login.go\n@@ -1 +1 @@\n-query(name)\n+query(escaped(name))\n"
SIGNED = "\n\nKind regards,\nAda\n-- \nAda, Example Inc.\n+1 555 0100"
VECTOR = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
ADVISORY = "https://example.org/advisories/1"
HEARD = {"acknowledgement", "needs_info", "info_received", "reproduced", "done", "fix_to_verify", "fix_verified"}
HEARD |= {"released", "published", "resolved"}
MALLORY = "mallory@evil.example"


@pytest.fixture(scope="module")
def office() -> Iterator[Postfix]:
    with post_office() as peer:
        yield peer


# --- the whole way ---------------------------------------------------------------------------------------------------


def test_a_case_goes_from_the_report_to_its_end_by_mail_alone(
    database_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix
) -> None:
    with town(tmp_path, database_url, dovecot, office) as here:
        jane, ada, grace = here.jane, here.ada, here.grace
        ref = here.begin()
        out = here.answer(ada, f"/own\n/needs-info\nWhich version do you run?{SIGNED}", ref)
        assert "Which version do you run?" in said(out[jane.address][0])
        assert "Which version do you run?" in said(out[grace.address][0]), "the other maintainer sees what went out"
        assert here.state(ref).stage is Stage.NEEDS_INFO
        here.answer(jane, "It is 4.38.0 on Debian.", ref)
        assert here.state(ref).stage is Stage.REVIEWING
        here.answer(grace, f"/reproduced\n/severity {VECTOR}\nThe old branch has it too, Ada.", ref)
        here.answer(jane, "/credit Jane Doe <https://jane.example>", ref)
        out = here.answer(ada, f"/patched\nPlease try this.{SIGNED}", ref, files=(("fix.patch", PATCH),))
        _has_the_patch(*out[jane.address])
        out = here.answer(jane, "/fix-works\nI tried it on two machines.", ref)
        assert "I tried it on two machines." in said(out[ada.address][0])
        here.answer(grace, "/released 4.38.1", ref)
        out = here.answer(ada, f"/published {ADVISORY}", ref)
        assert not out[jane.address], "what cannot be taken back is confirmed first"
        assert here.state(ref).stage is Stage.RELEASED
        out = here.answer(ada, "/confirm", ref)
        assert ADVISORY in said(out[jane.address][0]) and "Jane Doe <https://jane.example>" in said(
            out[jane.address][0]
        )
        here.answer(grace, "/close resolved\nIt was a pleasure.", ref)
        state = here.state(ref)
    assert (state.stage, state.resolution, state.owner) == (Stage.CLOSED, Resolution.RESOLVED, "Ada")
    assert (state.facts.fixed, state.facts.advisory, state.facts.severity) == ("4.38.1", ADVISORY, VECTOR)
    kinds = [str(mail["kind"]) for mail in here.desk.mails() if mail["recipient"] == jane.address]
    assert len(kinds) == len(HEARD) and set(kinds) == HEARD
    _one_thread(jane)
    _nothing_from_inside(jane)


def _has_the_patch(mail: EmailMessage) -> None:
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_payload(decode=True)) == ("fix.patch", PATCH)
    assert hashlib.sha256(PATCH).hexdigest() in re.sub(r"\s", "", text_of(mail))


def _one_thread(jane: Person) -> None:
    assert len({str(mail["Subject"]).removeprefix("Re: ") for mail in jane.got}) == 1
    known = {"<jane.1@research.example>"}
    for mail in jane.got:
        assert known & set(str(mail["References"]).split()), mail["Subject"]
        known.add(str(mail["Message-ID"]))


def _nothing_from_inside(jane: Person) -> None:
    words = "Ada|Grace|ada@example.org|grace@example.org|Secret mail program|Example Inc|555 0100|The old branch has it"
    for mail in jane.got:
        whole = mail.as_string() + text_of(mail)
        assert not re.search(rf"\b({words})\b|<ada\.|<grace\.", whole), whole
        assert not re.search(r"^> ", text_of(mail), re.MULTILINE)


# --- what must not happen --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, dovecot: Dovecot, office: Postfix
) -> Iterator[Town]:
    """A daemon for all that follows; each test has a case of its own."""
    folder = tmp_path_factory.mktemp("town")
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{folder}/mailbox.db" if sqlite else request.getfixturevalue("postgres").database()
    with town(folder, url, dovecot, office) as opened:
        yield opened


COMMANDS = (
    "/close spam",
    "/reproduced",
    "/reply\nThere is nothing to it.",
    f"/published {ADVISORY}",
    f"/invite {MALLORY}\nPlease help.",
    "/embargo 2030-01-01",
    "/own",
    "/credit Mallory",
)


def test_a_maintainers_name_without_a_token_does_nothing(here: Town) -> None:
    ref = here.begin()
    subject = f"Re: [{ref}] New report"
    forged = [
        here.ada.write(one, subject=subject, proven=how, result="fail") for one in COMMANDS for how in (True, False)
    ]
    out = here.send(*forged)
    assert here.untouched(ref)
    assert not out[here.jane.address]
    assert not out[MALLORY]


def test_a_stolen_token_without_an_authenticated_author_asks_its_owner_and_no_more(here: Town) -> None:
    ref = here.begin()
    notice = here.newest(here.ada, ref)
    out = here.send(*(here.ada.write(one, answering=notice, proven=False) for one in COMMANDS))
    assert here.untouched(ref)
    kinds = [str(mail["X-Mailbox-Service-Loop"]).rpartition(".")[2] for mail in out[here.ada.address]]
    assert kinds.count("confirmation") == len(COMMANDS)
    assert not out[here.jane.address]
    out = here.send(*(here.ada.write(one, answering=notice, result="fail") for one in COMMANDS))
    assert here.untouched(ref)
    asked = [mail for mail in out[here.ada.address] if str(mail["X-Mailbox-Service-Loop"]).endswith(".confirmation")]
    assert not asked, "an author that failed authentication is somebody else: not even a question"
    assert not out[MALLORY]


def test_a_token_is_nothing_in_another_hand(here: Town) -> None:
    ref = here.begin()
    of_ada, of_jane = here.newest(here.ada, ref), here.newest(here.jane, ref)
    here.send(
        *(here.mallory.write("/close spam", answering=stolen, quote=False) for stolen in (of_ada, of_jane)),
        here.grace.write("/close spam", answering=of_ada),
        here.ada.write("/credit Ada", answering=of_jane),
        here.jane.write("/close resolved", answering=of_ada),
    )
    assert here.untouched(ref)
    assert all(ref not in mail.as_string() for mail in here.mallory.got), "nobody joins a case with another's token"


def test_guessed_tokens_subjects_and_references_open_nothing(here: Town) -> None:
    ref = here.begin()
    guesses = []
    for _ in range(100):
        guess = EmailMessage()
        guess["Subject"] = f"[{ref}] New report"
        guess["Message-ID"] = f"<1.{secrets.token_hex(16)}@example.org>"
        guesses.append(here.mallory.write("/close spam\nThe SQL injection.", answering=guess, quote=False))
    out = here.send(*guesses)
    assert here.untouched(ref)
    assert not out[here.jane.address]
    assert all(ref not in text_of(mail) for mail in here.mallory.got)
    joined = [row for row in here.desk.messages() if row["case"] == ref]
    assert len(joined) == 1, "only the report itself"


def test_cc_and_reply_to_of_an_attacker_get_nothing(here: Town) -> None:
    ref, before = here.begin(), len(here.mallory.got)
    answer = here.jane.write("More of it.", answering=here.newest(here.jane, ref), cc="mallory@evil.example")
    here.send(b"Reply-To: mallory@evil.example\r\nSender: mallory@evil.example\r\n" + answer)
    here.answer(here.ada, "/needs-info\nWhich version?", ref)
    assert "Which version?" in said(here.jane.got[-1])
    assert len(here.mallory.got) == before
    for person in (here.jane, here.ada, here.grace):
        for mail in person.got:
            assert MALLORY not in str(mail["To"]) + str(mail["Cc"]) + str(mail["Reply-To"])


FORWARDED = (
    b"From: Ada <ada@example.org>\r\nTo: security@example.org\r\nSubject: Re: x\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain\r\n\r\n/close resolved\r\n"
)


@pytest.mark.parametrize(
    "where",
    ["quote", "below a quote", "signature", "late", "outlook", "forwarded text", "forwarded file", "html", "file"],
)
def test_a_command_that_was_not_written_at_the_top_does_not_count(here: Town, where: str) -> None:
    ref = here.begin()
    texts = {
        "quote": "> /close resolved\n\nIs this right?",
        "below a quote": "> Fine.\n/close resolved",
        "signature": "Fine.\n\n-- \n/close resolved",
        "late": "Hello,\n/close resolved",
        "outlook": "See below.\n\n-----Original Message-----\nFrom: Grace\n\n/close resolved",
        "forwarded text": "---------- Forwarded message ---------\nFrom: Grace <grace@example.org>\n\n/close resolved",
    }
    notice = here.newest(here.ada, ref)
    if where in texts:
        mail = here.ada.write(texts[where], answering=notice)
    elif where == "file":
        mail = here.ada.write("See attached.", answering=notice, files=(("commands.txt", b"/close resolved\n"),))
    elif where == "html":
        head = here.ada.write("x", answering=notice, quote=False).partition(b"\r\n\r\n")[0]
        mail = head.replace(b"text/plain", b"text/html") + b"\r\n\r\n<p>/close resolved</p>\r\n"
    else:
        mail = _forwarding(here.ada.write("x", answering=notice, quote=False))
    here.send(mail)
    assert here.untouched(ref)


def _forwarding(mail: bytes) -> bytes:
    """The same head, with a forwarded mail as its only part."""
    head = mail.partition(b"\r\n\r\n")[0]
    fields = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-", b"mime-"))]
    fields += [b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=b"]
    return b"\r\n".join([*fields, b"", b"--b", b"Content-Type: message/rfc822", b"", FORWARDED, b"--b--", b""])


# --- confirmations ---------------------------------------------------------------------------------------------------


def test_a_confirmation_counts_once_and_only_from_whoever_was_asked(here: Town) -> None:
    ref = here.begin()
    here.answer(here.ada, f"/published {ADVISORY}", ref)
    question = here.newest(here.ada, ref, "/confirm")
    here.send(here.grace.write("/confirm", answering=question))
    here.send(here.ada.write("/confirm", answering=question, result="fail"))
    assert here.untouched(ref)
    out = here.send(here.ada.write("/confirm", answering=question))
    assert ADVISORY in said(out[here.jane.address][0])
    out = here.send(*(here.ada.write("/confirm", answering=question) for _ in range(2)))
    assert not out[here.jane.address]
    assert "confirmed before" in said(out[here.ada.address][0])
    assert here.events(ref).count("published") == 1


def test_of_two_confirmations_that_come_at_once_one_counts(here: Town) -> None:
    ref = here.begin()
    here.answer(here.ada, f"/published {ADVISORY}", ref)
    question = here.newest(here.ada, ref, "/confirm")
    out = here.send(*(here.ada.write("/confirm", answering=question) for _ in range(5)))
    assert len(out[here.jane.address]) == 1
    assert here.events(ref).count("published") == 1


@pytest.mark.parametrize(
    "machine",
    [b"Auto-Submitted: auto-replied\r\n", b"X-Autoreply: yes\r\nPrecedence: bulk\r\n", b"Return-Path: <>\r\n"],
)
def test_no_machine_confirms(here: Town, machine: bytes) -> None:
    ref = here.begin()
    here.answer(here.ada, f"/published {ADVISORY}", ref)
    question = here.newest(here.ada, ref, "/confirm")
    away = f"/confirm\nI am away until Monday.\n\n{text_of(question)}"
    out = here.send(machine + here.ada.write(away, answering=question))
    assert here.untouched(ref)
    told = [str(mail["X-Mailbox-Service-Loop"]).rpartition(".")[2] for mail in out[here.ada.address]]
    assert not {"refused", "done", "confirmation"}.intersection(told), "and a machine is not answered"


def test_an_out_of_office_note_that_does_not_say_what_it_is_confirms_nothing(here: Town) -> None:
    ref = here.begin()
    here.answer(here.ada, f"/published {ADVISORY}", ref)
    question = here.newest(here.ada, ref, "/confirm")
    here.send(here.ada.write(f"I am away until Monday.\n\n{text_of(question)}", answering=question, quote=False))
    assert here.untouched(ref)


# --- the roster ------------------------------------------------------------------------------------------------------


def test_a_maintainer_who_was_removed_is_nobody(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix
) -> None:
    with town(tmp_path, sqlite_url, dovecot, office) as here:
        ref = here.begin()
    config = here.desk.config
    config.write_text(config.read_text().replace(BOTH, BOTH.replace(", {name: Grace, address: grace@example.org}", "")))
    with here.desk.running():
        ready(here.desk)
        out = here.answer(here.grace, "/close resolved\nBye.", ref)
        assert here.untouched(ref)
        assert not out[here.grace.address] and not out[here.jane.address]
        here.answer(here.ada, "/reviewing", ref)
        assert here.state(ref).stage is Stage.REVIEWING, "whoever is left still works the case"
