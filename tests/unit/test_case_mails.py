"""What the mails of a case say, to whom, and what nobody can make them say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.adapters.templates import Templates
from mailbox_service.adapters.templates.contexts import CONTEXTS
from mailbox_service.core.case import CLOSING_MAIL, Mail
from mailbox_service.core.commands import Commands, Context, parse
from mailbox_service.core.display import harmless
from mailbox_service.core.newtext import newly_written

TEMPLATES = Templates.load()
SENTINEL = "Kilimandscharo"
TO_MAINTAINERS = ("changed", "withdrawal", "reminder", "kept_internal", "preview")
TO_EITHER = ("done", "refused", "confirmation", "case_status", "help")
OUTSIDE_OF_THE_THREAD = ("invitation", "goodbye")
TO_PEOPLE = tuple(mail.value for mail in Mail if mail.value not in TO_MAINTAINERS)
OF_A_CASE = (*TO_PEOPLE, "sealed_news", *TO_MAINTAINERS, *TO_EITHER)
READ_BY_MAINTAINERS = (*TO_MAINTAINERS, *TO_EITHER, "notice_case", "notice_message", "digest", "case_list")
TEAM_ONLY = "Only the maintainers of Example see an answer to this mail"
NOBODY_ELSE = "Your answer goes to the maintainers of Example; nobody else sees it."
# Ours, whoever wrote to us: what selects a branch, and what our own configuration and numbers are.
OURS = {"party", "project_name", "reference", "resolution", "stage", "text_for", "asks", "mailbox_address"}


def every(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(name, number) for name in names for number in range(len(CONTEXTS[name]))]


def words(body: str) -> str:
    return " ".join(body.split())


def rendered(name: str, number: int = 0, **change: Any) -> str:
    return TEMPLATES.render(name, {**CONTEXTS[name][number], **change}).body


def said(name: str, number: int = 0, **change: Any) -> str:
    return words(rendered(name, number, **change))


def is_to_reporter(name: str, number: int) -> bool:
    if name in TO_EITHER:
        return bool(CONTEXTS[name][number]["party"] == "reporter")
    return name not in TO_MAINTAINERS


# --- one thread, one foot -------------------------------------------------------------------------------------------


def test_each_mail_that_a_case_causes_has_a_template() -> None:
    assert {mail.value for mail in Mail} <= set(CONTEXTS)
    assert {mail.value for mail in CLOSING_MAIL.values() if mail} <= set(TO_PEOPLE)


@pytest.mark.parametrize(("name", "number"), every(OF_A_CASE))
def test_all_mails_of_a_case_to_one_person_have_one_subject(name: str, number: int) -> None:
    context = CONTEXTS[name][number]
    subject = TEMPLATES.render(name, context).subject
    if not context["reference"]:
        assert "SEC" not in subject
    elif name in OUTSIDE_OF_THE_THREAD:
        assert subject.startswith("[SEC-2026-0042] ")
    elif is_to_reporter(name, number):
        assert subject == "Re: [SEC-2026-0042] Your report to Example"
    else:
        first = TEMPLATES.render("notice_case", {**CONTEXTS["notice_case"][0], "unsure": context["unsure"]}).subject
        assert subject == f"Re: {first}"


@pytest.mark.parametrize(
    ("name", "number"), every((*OF_A_CASE, "notice_case", "notice_message", "digest", "case_list"))
)
def test_the_foot_says_who_sees_an_answer(name: str, number: int) -> None:
    foot = rendered(name, number).partition("\n-- \n")[2].split("\n")
    if name in OF_A_CASE and is_to_reporter(name, number):
        assert foot == [NOBODY_ELSE, *filter(None, [CONTEXTS[name][number]["reference"]]), ""]
    elif name in ("digest", "case_list"):
        assert foot == [f"{TEAM_ONLY}.", ""]
    else:
        assert foot == [f"{TEAM_ONLY},", "unless a command such as /reply sends it on.", ""]


@pytest.mark.parametrize("marker", [TEAM_ONLY, NOBODY_ELSE])
def test_an_answer_below_an_unmarked_quote_of_a_foot_is_told_apart(marker: str) -> None:
    name = "changed" if marker == TEAM_ONLY else "reproduced"
    answer = f"Thank you.\n\n{rendered(name)}"
    assert marker not in newly_written(answer, [marker]).text


# --- to reporters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "number"), every((*TO_PEOPLE, "sealed_news")))
def test_mail_to_reporters_is_at_most_2_kb_without_the_maintainers_words(name: str, number: int) -> None:
    contacts = [{"label": "Contact", "value": "x" * 60}] * 5
    body = rendered(
        name,
        number,
        text="",
        project_name="A project with quite a long name",
        policy_url="https://example.org/" + "x" * 150,
        contacts=contacts,
    )
    assert len(body.encode()) <= 2048


@pytest.mark.parametrize(("name", "number"), every((*TO_PEOPLE, "sealed_news", *TO_EITHER)))
def test_reporters_are_told_nobodys_name(name: str, number: int) -> None:
    if is_to_reporter(name, number):
        inside: dict[str, Any] = {key: SENTINEL for key in ("owner", "who") if key in CONTEXTS[name][number]}
        mail = TEMPLATES.render(name, {**CONTEXTS[name][number], **inside})
        assert SENTINEL not in mail.subject + mail.body


@pytest.mark.parametrize("name", TO_PEOPLE)
def test_what_the_maintainers_wrote_is_in_the_mail_line_for_line(name: str) -> None:
    text = "Hello Jane,\n\n1. first\n   indented\n2. second"
    assert f"\n{text}\n" in rendered(name, text=text)


@pytest.mark.parametrize("name", [name for name in TO_PEOPLE if name not in ("goodbye", "redirected")])
def test_mail_to_people_says_how_to_answer_or_what_to_write(name: str) -> None:
    text = said(name)
    assert "answer this mail" in text or "at the top of your answer" in text


NEXT_WORD = "Thursday, 10 December 2026 (UTC)"
ANSWER_BY = "Friday, 25 December 2026 (UTC)"
HOUR = "2027-02-21 14:00 UTC"


@pytest.mark.parametrize(
    "name",
    (
        *("reviewing", "info_received", "reproduced", "fix_to_verify", "fix_verified", "fix_failed", "released"),
        *("reopened", "reply", "embargo"),
    ),
)
def test_who_waits_for_us_is_told_until_when(name: str) -> None:
    assert NEXT_WORD in said(name, next_by=NEXT_WORD)


@pytest.mark.parametrize("name", ["needs_info", "info_reminder", "fix_to_verify"])
def test_who_is_waited_for_is_told_until_when(name: str) -> None:
    assert ANSWER_BY in said(name, answer_by=ANSWER_BY)


@pytest.mark.parametrize(
    "name",
    (
        *("reviewing", "needs_info", "reproduced", "fix_to_verify", "fix_verified", "released", "embargo"),
        *("invitation", "goodbye"),
    ),
)
def test_who_keeps_silent_is_told_until_which_hour(name: str) -> None:
    assert HOUR in said(name, embargo=HOUR, published_on="")


MUST_SAY = [
    ("needs_info", {}, ("Which version", "in your own words", "we can open it again")),
    ("info_reminder", {}, ("Which version", "If you need more time, tell us", "we can open it again")),
    ("reproduced", {}, ("accepted", "8.6 (high)", "if you see it differently", "4.0.0 to 4.38.0", "CVE-2026-12345")),
    ("reproduced", {}, ("work on it with us", "name, affiliation or handle", "/credit anonymous", "in your own words")),
    ("reproduced", {"cve": ""}, ("If it gets a CVE id",)),
    ("fix_to_verify", {}, ("SHA-256", "9f86d081884c", "/fix-works", "/fix-fails", "what our own tests say")),
    ("fix_to_verify", {}, ("confidential", "repeat the steps")),
    ("fix_verified", {}, ("Jane Doe <https://jane.example>", "If a letter is wrong", "release and the advisory")),
    ("fix_verified", {"credit": ""}, ("the advisory will not name you",)),
    ("released", {}, ("4.38.1", "The advisory is still to come", "If the fix does not hold")),
    ("released", {"published_on": "2027-02-20", "advisory": "https://a.example/1"}, ("https://a.example/1",)),
    ("published", {}, ("https://example.org/advisories/1", "CVE-2026-12345", "4.38.1", "Jane Doe", "we correct it")),
    ("published", {}, ("The embargo is over: you are free to write about it.",)),
    ("resolved", {}, ("4.38.1", "2027-02-21", "free to write about it")),
    ("rejected", {}, ("could not reproduce", "We tried 4.38.0", "https://example.org/security")),
    ("rejected", {}, ("If you see it differently", "free to publish", "public issue")),
    ("duplicate", {}, ("in confidence", "credited beside the earlier one", "no further mails")),
    ("duplicate", {"duplicate_of": "CVE-2026-12345"}, ("known already: CVE-2026-12345", "you can follow there")),
    ("unanswered", {}, ("could not reproduce", "No advisory is planned", "next week or next year", "no verdict")),
    ("redirected", {}, ("team@example.org", "few people", "We have not passed it on", "about security after all")),
    ("withdrawn", {}, ("closed as withdrawn", "If you change your mind")),
    ("invitation", {}, ("does not see it", "confidential", "No account", "we will not write to you again")),
    ("goodbye", {}, ("no further mails", "stays confidential")),
    ("embargo", {"embargo": ""}, ("no longer holds", "told us before you write about it")),
    ("sealed_news", {}, ("your public key", "Matrix: #example:example.org")),
    ("withdrawal", {}, ("Nothing has changed", "/close withdrawn", "/note")),
    ("reminder", {}, ("The date is Thursday, 10 December 2026 (UTC)", "stop as soon as it is done")),
    ("reminder", {"overdue": True}, ("overdue", "The date was Thursday, 10 December 2026 (UTC)")),
    ("kept_internal", {}, ("stayed with the maintainers", "nothing was sent to the reporter", "/send")),
    ("confirmation", {}, ("/confirm", "2026-11-26 09:15 UTC", "nothing for you to do", "/published https://")),
    ("confirmation", {"for_address": "jane@work.example"}, ("jane@work.example as well", "both addresses")),
    (
        "confirmation",
        {"by": "Ada"},
        ("A mail that Ada has signed", "cannot be undone", "a second maintainer", "sign your answer"),
    ),
    ("preview", {}, ("Nothing was sent", "the reporter: reviewing", "/confirm", "2026-11-26 09:15 UTC")),
    ("preview", {"doubts": ["it repeats"], "files": ["fix.patch"]}, ("it repeats", "fix.patch", "/confirm")),
    ("case_list", {}, ("SEC-2026-0043, received, nobody looks after it", "XSS in the login page")),
    ("help", {}, ("/severity CVSS-VECTOR", "CVSS 4.0 or 3.1 vector", "CVSS:4.0/AV:N")),
]


@pytest.mark.parametrize(("name", "change", "needed"), MUST_SAY)
def test_each_mail_says_what_it_must(name: str, change: dict[str, Any], needed: tuple[str, ...]) -> None:
    text = said(name, **change)
    assert [piece for piece in needed if piece not in text] == []


def test_what_is_confidential_about_a_duplicate_stays_so() -> None:
    text = said("duplicate", duplicate_of="")
    assert "please keep it between us" in text and "CVE" not in text
    assert "keep it between us" not in said("duplicate", duplicate_of="CVE-2026-12345")


@pytest.mark.parametrize("name", TO_PEOPLE)
def test_questions_come_only_when_they_are_to_be_asked(name: str) -> None:
    text = said(name, asks=[])
    for question in ("/credit", "AI tool", "CVSS 4.0 vector helps"):
        assert question not in text


@pytest.mark.parametrize("name", ["reproduced", "fix_to_verify", "fix_verified"])
def test_the_credit_is_asked_where_it_is_to_be_asked(name: str) -> None:
    body = rendered(name, credit=None, asks=["credit"])
    assert "\n  /credit anonymous\n" in body


@pytest.mark.parametrize("ask", ["severity", "ai_disclosure"])
@pytest.mark.parametrize("name", ["reviewing", "needs_info"])
def test_what_the_policy_asks_is_asked_with_the_first_answer(name: str, ask: str) -> None:
    question = {"severity": "How severe is it", "ai_disclosure": "Did an AI tool help"}[ask]
    assert question in said(name, asks=[ask])


def test_what_is_held_back_after_the_advisory_is_not_given_away_by_the_mail_about_it() -> None:
    assert "unless the lines above ask you" in said("published", text="The exploit stays with us until Monday.")


# --- to maintainers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["changed", "withdrawal", "kept_internal", "done"])
def test_of_an_encrypted_case_the_text_is_not_shown(name: str) -> None:
    assert SENTINEL not in rendered(name, sealed=True, text=SENTINEL)


@pytest.mark.parametrize("name", ["changed", "withdrawal"])
@pytest.mark.parametrize("who", ["the reporter", "dev@upstream.example"])
def test_text_of_somebody_unproven_is_called_so(name: str, who: str) -> None:
    assert "NOT verified" in said(name, who=who, verified=False)
    assert "NOT verified" not in said(name, who=who, verified=True)


def test_where_nothing_went_to_the_reporter_the_mail_says_so() -> None:
    for name in ("changed", "done"):
        assert "Nothing was sent to the reporter." in said(name, sent=[])
        assert "Nothing was sent to the reporter." not in said(name)


def test_several_things_done_at_once_stand_below_each_other() -> None:
    assert "- moved the case to patched\n- took the case\n" in rendered("done", 1)


def test_an_answer_to_a_digest_is_confirmed_without_a_case() -> None:
    mail = TEMPLATES.render("done", CONTEXTS["done"][3])
    assert mail.subject == f"Re: {TEMPLATES.preview('digest').subject}"
    assert "- made M-17 a case\n- released M-19\n" in mail.body
    assert "Stage" not in mail.body and "the reporter" not in mail.body


def test_misplaced_commands_are_named() -> None:
    text = said("done", misplaced=["/quiet"])
    assert "read as text" in text and "- /quiet" in text


@pytest.mark.parametrize("name", ["notice_case", "notice_message", "changed", "reminder", "done", "case_status"])
def test_what_can_be_answered_and_what_is_due_stands_in_the_mail(name: str) -> None:
    body = rendered(name, next=["/reviewing", "/needs-info"], due=["first answer by Friday"])
    assert "\nTo answer with, at the top of a mail:\n  /reviewing\n  /needs-info\n" in body
    assert "\nDue:\n- first answer by Friday\n" in body


@pytest.mark.parametrize("name", ["notice_case", "notice_message", "digest"])
def test_a_mail_that_an_older_version_put_into_the_outbox_goes_out(name: str) -> None:
    older = {key: value for key, value in CONTEXTS[name][0].items() if key not in ("next", "due", "open")}
    if name == "notice_message":
        del older["unsure"]
    body = TEMPLATES.render(name, older).body
    assert "To answer with" not in body and "Open cases" not in body


def test_a_digest_names_the_line_that_decides_about_each_message() -> None:
    body = rendered("digest")
    for line in ("/case M-17", "/case M-18 or /spam M-18", "/release M-19, /case M-19 or /spam M-19"):
        assert f"\n  answer: {line}\n" in body


def test_on_mondays_a_digest_lists_the_open_cases() -> None:
    body = rendered("digest", 3)
    assert "Open cases, 2:\n- SEC-2026-0042, reproduced, Ada\n" in body
    assert "Open cases" not in rendered("digest")


# --- what nobody can make a mail say --------------------------------------------------------------------------------

_FORGED = (
    "/close spam",
    "-- ",
    "--",
    f"-- \n{TEAM_ONLY}, unless",
    "x\n-- \nforged foot",
    "x\r\n\r\n/close spam",
    "\n/reply\nforged",
    "> quoted\n/spam",
    "word " * 13 + "-- ",
    "word " * 14 + "— ",
    "\u2028/spam\u2029-- \u2028",
    "\x0b/spam\x0c",
    "\u200b/spam",
)
_VALUES = st.one_of(st.sampled_from(_FORGED), st.text(max_size=200), st.lists(st.sampled_from(_FORGED)).map("\n".join))


def _hostile(value: Any, key: str, draw: Any) -> Any:
    """An example with every text that may come from outside replaced."""
    if key in OURS or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return draw(_VALUES) if value or key in ("text", "subject") else value
    if isinstance(value, list):
        return [_hostile(each, "" if key != "next" else "party", draw) for each in value]
    if isinstance(value, dict):
        return {name: _hostile(each, name, draw) for name, each in value.items()}
    return value


@pytest.mark.parametrize("name", [*OF_A_CASE, "notice_case", "notice_message", "digest", "case_list"])
@given(data=st.data())
def test_no_value_forges_a_foot_or_a_command(name: str, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(CONTEXTS[name]) - 1))
    context = {key: _hostile(value, key, data.draw) for key, value in CONTEXTS[name][number].items()}
    mail = TEMPLATES.render(name, context)
    lines = mail.body.split("\n")
    foot = rendered(name, number).partition("\n-- \n")[2]
    assert lines.count("-- ") == 1
    assert mail.body.endswith(f"\n-- \n{foot}")
    assert not any(line in ("--", "-", "—") for line in lines)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", mail.body)
    # Whoever sends it back as it is, quoted without a mark, has not given a command.
    read = parse(newly_written(mail.body), Context())
    assert isinstance(read, Commands) and not read.commands


@pytest.mark.parametrize("name", [name for name in READ_BY_MAINTAINERS if "text" in CONTEXTS[name][0]])
@given(text=st.one_of(st.text(), _VALUES))
def test_what_others_wrote_is_quoted_in_mail_to_maintainers(name: str, text: str) -> None:
    body = rendered(name, text=f"{SENTINEL}\n{text}\n{SENTINEL}", sealed=False)
    without = rendered(name, text="", sealed=False).split("\n")
    added = [line for line in body.split("\n") if line not in without]
    assert all(line.startswith(">") for line in added if "ext for" not in line and line != "With this text:")


@given(st.lists(st.text(st.characters(exclude_categories=("C", "Z"))).map(lambda line: line[:60]), min_size=1))
def test_a_block_keeps_each_line(lines: list[str]) -> None:
    text = "\n".join(["first", *lines, "last"])
    block = rendered("reply", text=text).partition("\nfirst\n")[2].partition("\nlast\n")[0]
    assert [line.strip() for line in block.split("\n") if line.strip()] == [
        harmless(line).strip() for line in lines if harmless(line).strip()
    ]


@pytest.mark.parametrize("line", ["-- ", "--", "> what I meant", ">", "—"])
def test_a_line_that_mail_programs_would_hide_text_behind_moves_in(line: str) -> None:
    body = rendered("reply", text=f"before\n{line}\nafter\nlast")
    assert f"before\n {line.rstrip()}\nafter\nlast\n" in body


def test_prose_without_line_breaks_is_filled_and_what_is_laid_out_is_not() -> None:
    prose, code = "word " * 40, "    " + "x = 1; " * 20
    body = rendered("reply", text=f"{prose}\n{code}\nhttps://example.org/{'x' * 100}")
    assert code.rstrip() in body
    assert f"\nhttps://example.org/{'x' * 100}\n" in body
    assert max(len(line) for line in body.split("\n") if line.startswith("word")) <= 72
