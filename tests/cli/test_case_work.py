"""Working a case on the host: the verbs of `case` that change one."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailbox_service.app import now
from mailbox_service.cli import case_work
from tests.cli.desk import REPORT, Desk
from tests.openpgp.keys import People

REF, OTHER = "SEC-2026-0001", "SEC-2026-0002"
EVE, KIM, ADA = "eve@research.example", "kim@company.example", "maintainer@demo.example"
SECOND = REPORT.replace(b"eve@research", b"kim@company").replace(b"<1@", b"<3@").replace(b"login", b"search")
SEALED = (
    b"From: Eve <eve@research.example>\r\nTo: security@demo.example\r\nSubject: a hole\r\n"
    b"Message-ID: <9@research.example>\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA0000\r\n=abcd\r\n"
    b"-----END PGP MESSAGE-----\r\n"
)


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    everybody = People()
    yield everybody
    everybody.leave()


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """Two open cases, of Eve and of Kim."""
    # The year of the clock at the wall stands in a reference.
    desk.config.write_text(
        desk.config.read_text().replace("shadow:", 'reference: "SEC-2026-{number:04d}"\n    shadow:')
    )
    desk.done("ingest", "--answer", desk.mail("1.eml", REPORT), desk.mail("2.eml", SECOND))
    return desk


def shown(desk: Desk, reference: str = REF) -> dict[str, Any]:
    found: dict[str, Any] = desk.done("case", "show", reference, "--json").json
    return found


def mails(desk: Desk, kind: str) -> list[str]:
    """The recipients of the mails of a kind that wait."""
    rows = desk.rows("outbox", "list", "--state", "waiting")
    return [row["recipient"] for row in rows if row["kind"] == kind]


def text_to(desk: Desk, kind: str) -> str:
    """The newest mail of a kind, as it would be sent; on one line."""
    number = [row["id"] for row in desk.rows("outbox", "list") if row["kind"] == kind][-1]
    return " ".join(desk.done("outbox", "show", str(number)).text.split())


def type_in(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# --- each verb --------------------------------------------------------------------------------------------------------


def test_a_stage_is_reached_and_the_mails_wait_in_the_outbox(desk: Desk) -> None:
    text = desk.done("case", "stage", REF, "reproduced").text
    assert text.startswith(
        f"{REF} is reproduced.\n- moved the case to reproduced\n- the reporter was sent: reproduced\n"
    )
    waiting = len(desk.rows("outbox", "list", "--state", "waiting"))
    assert f"\n{waiting} mails wait in the outbox;" in text
    assert shown(desk)["stage"] == "reproduced"
    assert (mails(desk, "reproduced"), mails(desk, "changed")) == ([EVE], [ADA])
    assert shown(desk, OTHER)["stage"] == "received"


def test_a_stage_takes_its_version_or_address(desk: Desk) -> None:
    desk.done("case", "stage", REF, "patched", "https://demo.example/fix.patch")
    desk.done("case", "stage", REF, "released", "4.38.1")
    desk.done("case", "stage", REF, "published", "https://demo.example/advisories/1")
    facts = shown(desk)["facts"]
    found = (facts["patch"], facts["fixed"], facts["advisory"])
    assert found == ("https://demo.example/fix.patch", "4.38.1", "https://demo.example/advisories/1")


def test_questions_come_from_a_file(desk: Desk) -> None:
    questions = desk.mail("questions.txt", "Läuft es auf 4.38?\n/close spam\n".encode())
    desk.done("case", "stage", REF, "needs-info", "--text", questions)
    assert shown(desk)["stage"] == "needs_info", "a line of the text is no command"
    assert "Läuft es auf 4.38? /close spam" in text_to(desk, "needs_info")


def test_quiet_moves_and_closes_without_a_word_to_the_reporter(desk: Desk) -> None:
    text = desk.done("case", "stage", REF, "reviewing", "--quiet").text
    assert "was sent" not in text
    desk.done("case", "close", REF, "not-reproducible", "--quiet")
    assert (mails(desk, "reviewing"), mails(desk, "rejected")) == ([], [])
    assert mails(desk, "changed") == [ADA, ADA]
    assert (shown(desk)["stage"], shown(desk)["resolution"]) == ("closed", "not_reproducible")


def test_a_case_is_closed_with_a_text_and_reopened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, b"We tried three versions.\n")
    desk.done("case", "close", REF, "not-reproducible", "--text", "-")
    assert "We tried three versions." in text_to(desk, "rejected")
    desk.done("case", "do", REF, "/reopen")
    assert (shown(desk)["stage"], shown(desk)["resolution"]) == ("reviewing", None)


def test_a_reply_is_read_from_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, b"/etc/passwd can be read here too.\n")
    assert "- the reporter was sent: reply" in desk.done("case", "reply", REF).text
    assert mails(desk, "reply") == [EVE]
    assert "/etc/passwd can be read here too." in text_to(desk, "reply")
    assert shown(desk)["told_at"]


def test_a_note_reaches_the_maintainers_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = mails(desk, "reply")
    type_in(monkeypatch, b"Looks real.\n")
    assert "- wrote a note" in desk.done("case", "note", REF, "--by", "Grace").text
    assert mails(desk, "reply") == before
    assert mails(desk, "changed") == [ADA]
    assert "Looks real." in text_to(desk, "changed")
    entry = shown(desk)["journal"][-1]
    assert (entry["event"], entry["actor"], entry["data"]["evidence"]) == ("noted", "Grace", "host")


def test_facts_are_recorded(desk: Desk) -> None:
    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    day = f"{now() + timedelta(days=30):%Y-%m-%d}"
    for fact, *value in (
        ("severity", vector),
        ("cve", "CVE-2026-12345"),
        ("affects", "4.0.0", "to", "4.38.0"),
        ("fixed", "4.38.1"),
        ("credit", "anonymous"),
        ("embargo", day, "14:00", "Europe/Berlin"),
    ):
        assert f"- set {fact} to " in desk.done("case", "set", REF, fact, *value).text
    facts = shown(desk)["facts"]
    assert (facts["severity"], facts["cve"], facts["affects"]) == (vector, "CVE-2026-12345", "4.0.0 to 4.38.0")
    assert (facts["fixed"], facts["credit"]) == ("4.38.1", "")
    assert re.fullmatch(rf"{day}T1[23]:00:00\.000Z", facts["embargo"])
    assert mails(desk, "embargo") == [EVE]
    assert "credit       anonymous" in desk.done("case", "show", REF).text


def test_an_owner_is_named_and_nobody_again(desk: Desk) -> None:
    desk.done("case", "assign", REF, "Ada")
    assert shown(desk)["owner"] == "Ada"
    assert [row["owner"] for row in desk.rows("case", "list")] == ["Ada", None]
    assert "OWNER" in desk.done("case", "list").text
    desk.done("case", "assign", REF, "nobody")
    assert shown(desk)["owner"] is None
    assert "OWNER" not in desk.done("case", "list").text


def test_a_case_is_merged_and_each_reporter_hears_alone(desk: Desk) -> None:
    assert "- took in SEC-2026-0002" in desk.done("case", "merge", REF, OTHER).text
    assert shown(desk)["reporters"] == [EVE, KIM]
    taken = shown(desk, OTHER)
    assert (taken["stage"], taken["resolution"], taken["duplicate_of"]) == ("closed", "duplicate", REF)
    assert mails(desk, "duplicate") == [KIM]
    desk.done("case", "stage", REF, "reproduced")
    assert mails(desk, "reproduced") == [EVE, KIM]
    assert "reporters    eve@research.example, kim@company.example" in desk.done("case", "show", REF).text


def test_somebody_is_invited_and_removed(desk: Desk) -> None:
    words = desk.mail("words.txt", b"Your library has a hole.")
    desk.done("case", "invite", REF, "dev@upstream.example", "--text", words)
    assert mails(desk, "invitation") == ["dev@upstream.example"]
    assert "Your library has a hole." in text_to(desk, "invitation")
    assert shown(desk)["participants"] == ["dev@upstream.example"]
    assert "participants  dev@upstream.example" in desk.done("case", "show", REF).text
    desk.done("case", "remove", REF, "dev@upstream.example")
    assert shown(desk)["participants"] == []


def test_several_commands_are_one_step_by_the_person_named(desk: Desk) -> None:
    text = desk.done("case", "do", REF, "/own", "/reproduced", "/affects 4.0.0 to 4.38.0", "--by", "Ada").text
    assert text.count("\n- ") == 4  # what three commands did, and the mail to the reporter
    assert (shown(desk)["stage"], shown(desk)["owner"]) == ("reproduced", "Ada")
    assert {entry["actor"] for entry in shown(desk)["journal"][1:]} == {"Ada"}
    assert mails(desk, "changed") == [], "who did it is not told of it"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["stage", REF, "nonsense"], "name a stage: reviewing, needs-info, reproduced"),
        (["stage", REF, "closed"], "to end a case write /close"),
        (["stage", REF, "needs-info"], "write the text below it"),
        (["stage", REF, "details-published", "https://demo.example/1"], "possible now: /reviewing"),
        (["close", REF, "nonsense"], "say why: resolved, not-reproducible"),
        (["close", REF, "resolved"], "/released and /published first"),
        (["reply", REF, "--text", "empty.txt"], "write the text below it"),
        (["set", REF, "cve", "nonsense"], "a CVE id looks like"),
        (["assign", REF, "Nobodyhere"], "name one of Ada, nobody"),
        (["merge", REF, REF], "not merged with itself"),
        (["merge", REF, "SEC-2026-0099"], "there is no case SEC-2026-0099"),
        (["remove", REF, "dev@upstream.example"], "nobody with this address"),
        (["do", REF, "/cve CVE-2026-12345", "/reopen"], "possible now: /reviewing"),
        (["do", REF, "/reproducd"], "did you mean /reproduced?"),
        (["do", REF, "/own", "reproduced"], "reproduced: no command"),
        (["do", REF, "/help"], "only in an answer to a mail"),
    ],
)
def test_what_is_refused_changes_nothing_and_ends_with_65(desk: Desk, words: list[str], complaint: str) -> None:
    desk.mail("empty.txt", b"\n")
    before = (shown(desk), desk.rows("outbox", "list"))
    answer = desk.run("case", *words)
    assert (answer.code, answer.out) == (65, b"")
    assert complaint in answer.err
    assert answer.err.count("\n") == 1
    assert (shown(desk), desk.rows("outbox", "list")) == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["stage", "SEC-2026-0099", "reviewing"], "no case SEC-2026-0099"),
        (["close", "SEC-2026-0099", "spam"], "no case SEC-2026-0099"),
        (["do", "SEC-2026-0099", "/own"], "no case SEC-2026-0099"),
        (["note", REF, "--text", "nowhere.txt"], "cannot read nowhere.txt: No such file"),
        (["note", REF, "--text", "."], "cannot read .: Is a directory"),
        (["set", REF, "colour", "red"], "no fact colour; there are: severity, cve"),
    ],
)
def test_what_does_not_exist_ends_with_66(desk: Desk, words: list[str], complaint: str) -> None:
    answer = desk.run("case", *words)
    assert (answer.code, answer.out) == (66, b"")
    assert complaint in answer.err


@pytest.mark.parametrize("words", [["stage", REF], ["close", REF], ["set", REF, "cve"], ["do", REF], ["merge", REF]])
def test_a_missing_word_is_wrong_use(desk: Desk, words: list[str]) -> None:
    assert desk.run("case", *words).code == 64


def test_a_text_has_a_limit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, b"x" * (case_work.TEXT_LIMIT_BYTES + 1))
    answer = desk.run("case", "note", REF)
    assert (answer.code, "more than 1000000 bytes" in answer.err) == (66, True)


def test_what_is_sealed_leaves_in_no_mail(desk: Desk, tmp_path: Path) -> None:
    desk.done("ingest", "--answer", desk.mail("3.eml", SEALED))
    words = desk.mail("words.txt", b"The hole is in the parser.")
    answer = desk.run("case", "reply", "SEC-2026-0003", "--text", words)
    assert (answer.code, "this case is sealed" in answer.err) == (65, True)
    desk.done("case", "stage", "SEC-2026-0003", "reproduced")
    assert mails(desk, "sealed_news") == [EVE]
    assert mails(desk, "reproduced") == []


def test_in_a_sealed_case_a_text_leaves_encrypted_and_lies_nowhere_in_clear(desk: Desk, people: People) -> None:
    with desk.config.open("a") as file:
        file.write("openpgp: {folder: openpgp}\n")
    desk.done("key", "generate")
    desk.done("ingest", "--answer", desk.mail("3.eml", SEALED))
    words = desk.mail("words.txt", b"The canary is in the parser.")
    refused = desk.run("case", "reply", "SEC-2026-0003", "--text", words)
    assert (refused.code, f"pinned to {EVE}; nothing was sent" in refused.err) == (65, True)
    eve = people.join(f"Eve <{EVE}>")
    key = desk.mail("eve.asc", eve.gpg("--armor", "--export"))
    desk.done("key", "pin", EVE, eve.fingerprint, "--file", key, "--case", "SEC-2026-0003")
    assert "the reporter was sent: reply" in desk.done("case", "reply", "SEC-2026-0003", "--text", words).text
    assert mails(desk, "sealed_news") == [EVE]
    assert "text: kept encrypted" in desk.done("case", "show", "SEC-2026-0003").text
    Path(words).unlink()
    clear = [p for p in Path(desk.folder).rglob("*") if p.is_file() and b"canary" in p.read_bytes()]
    assert clear == []


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_a_case_shows_its_work_with_the_documented_keys(desk: Desk) -> None:
    keys = list(shown(desk))
    start = keys.index("owner")
    assert tuple(keys[start : start + 14]) == (
        "owner", "resolution", "duplicate_of", "reporters", "participants", "facts", "stage_since", "answered_at",
        "told_at", "promised_at", "released_at", "published_at", "details_at", "next_due_at",
    )  # fmt: skip
    assert list(shown(desk)["facts"]) == [
        "severity", "cve", "affects", "fixed", "credit", "embargo", "advisory", "patch",
    ]  # fmt: skip
    assert set(shown(desk)["facts"].values()) == {None}


def test_what_falls_due_next_is_shown_until_the_case_is_closed(desk: Desk) -> None:
    desk.done("case", "stage", REF, "reviewing")
    assert shown(desk)["next_due_at"] > f"{now():%Y-%m-%d}"
    assert "next due at  20" in desk.done("case", "show", REF).text
    desk.done("case", "close", REF, "out-of-scope")
    assert shown(desk)["next_due_at"] is None
    assert "next due" not in desk.done("case", "show", REF).text
    assert "RESOLUTION" in desk.done("case", "list").text
