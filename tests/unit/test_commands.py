"""Commands in mails: every one of the grammar, what clients do to them, and that one wrong line stops all."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.case import (
    Action,
    Assign,
    Close,
    Event,
    Fact,
    Invite,
    Move,
    Note,
    Party,
    Record,
    Remove,
    Reply,
    Resolution,
    Withdraw,
)
from mailbox_service.core.commands import VERBS, Commands, Context, Misread, Place, TextFor, Verb, Weight, parse
from mailbox_service.core.commands import pages as command_pages
from mailbox_service.core.commands.reading import COMMANDS
from mailbox_service.core.newtext import NewText, newly_written

BERLIN = ZoneInfo("Europe/Berlin")
MAINTAINER = Context(Party.MAINTAINER, "Anna Berg", ("Anna Berg", "Ben Cole", "Ben Dorn"), BERLIN)
REPORTER = Context(Party.REPORTER)
DIGEST = Context(Party.MAINTAINER, "Anna Berg", ("Anna Berg",), on_case=False)
V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
NBSP, ZWSP = "\u00a0", "\u200b"


def commands(body: str, context: Context = MAINTAINER) -> Commands:
    found = parse(newly_written(body), context)
    assert isinstance(found, Commands), found
    return found


def errors(body: str, context: Context = MAINTAINER) -> tuple[str, ...]:
    found = parse(newly_written(body), context)
    assert isinstance(found, Misread), found
    return found.errors


def action(line: str, context: Context = MAINTAINER) -> Action | None:
    (command,) = commands(f"{line}\nsome text", context).commands
    return command.read.action


# --- the grammar ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/stage reviewing", Move(Event.REVIEWING)),
        ("/stage needs-info", Move(Event.INFO_REQUESTED)),
        ("/stage verified", Move(Event.FIX_VERIFIED)),
        ("/stage fix_verified", Move(Event.FIX_VERIFIED)),
        ("/stage released 4.38.1", Move(Event.RELEASED, ((Fact.FIXED, "4.38.1"),))),
        ("/needs-info", Move(Event.INFO_REQUESTED)),
        ("/reproduced", Move(Event.REPRODUCED)),
        ("/patched", Move(Event.PATCHED)),
        ("/patched https://x.example/fix.patch", Move(Event.PATCHED, ((Fact.PATCH, "https://x.example/fix.patch"),))),
        ("/fix-fails", Move(Event.FIX_FAILED)),
        ("/released", Move(Event.RELEASED)),
        ("/released v4.38.1", Move(Event.RELEASED, ((Fact.FIXED, "v4.38.1"),))),
        ("/published https://x.example/1", Move(Event.PUBLISHED, ((Fact.ADVISORY, "https://x.example/1"),))),
        ("/close not-reproducible", Close(Resolution.NOT_REPRODUCIBLE)),
        ("/close not reproducible", Close(Resolution.NOT_REPRODUCIBLE)),
        ("/close Out_Of_Scope", Close(Resolution.OUT_OF_SCOPE)),
        ("/close withdrawn", Close(Resolution.WITHDRAWN)),
        ("/duplicate sec-2026-0002", Close(Resolution.DUPLICATE, "SEC-2026-0002")),
        ("/duplicate [SEC-2026-0002]", Close(Resolution.DUPLICATE, "SEC-2026-0002")),
        ("/duplicate cve-2026-12345", Close(Resolution.DUPLICATE, "CVE-2026-12345")),
        ("/duplicate https://x.example/issues/1", Close(Resolution.DUPLICATE, "https://x.example/issues/1")),
        ("/reopen", Move(Event.REOPENED)),
        ("/not-security", Close(Resolution.REDIRECTED)),
        ("/spam", Close(Resolution.SPAM)),
        ("/own", Assign("Anna Berg")),
        ("/assign me", Assign("Anna Berg")),
        ("/assign anna", Assign("Anna Berg")),
        ("/assign ben cole", Assign("Ben Cole")),
        ("/assign nobody", Assign(None)),
        (f"/severity {V4}", Record(Fact.SEVERITY, V4)),
        ("/cve CVE-2026-12345", Record(Fact.CVE, "CVE-2026-12345")),
        ("/affects 4.0.0 to 4.38.0", Record(Fact.AFFECTS, "4.0.0 to 4.38.0")),
        ("/fixed 4.38.1", Record(Fact.FIXED, "4.38.1")),
        ("/credit Jane Doe <https://jane.example>", Record(Fact.CREDIT, "Jane Doe <https://jane.example>")),
        ("/credit anonymous", Record(Fact.CREDIT, "")),
        ("/embargo 2026-12-24 14:00", Record(Fact.EMBARGO, datetime(2026, 12, 24, 13, 0, tzinfo=UTC))),
        ("/embargo 2026-12-24 14:00 UTC", Record(Fact.EMBARGO, datetime(2026, 12, 24, 14, 0, tzinfo=UTC))),
        ("/embargo none", Record(Fact.EMBARGO, None)),
        ("/note", Note()),
        ("/reply", Reply()),
        ("/send", None),
        ("/invite dev@upstream.example", Invite("dev@upstream.example")),
        ("/remove Dev <dev@upstream.example>", Remove("dev@upstream.example")),
        ("/merge SEC-2026-0002", None),
        ("/confirm", None),
        ("/status", None),
        ("/list", None),
        ("/help", None),
    ],
)
def test_each_command_of_a_maintainer(line: str, expected: Action | None) -> None:
    assert action(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/status", None),
        ("/credit Jane Doe", Record(Fact.CREDIT, "Jane Doe")),
        ("/fix-works", Move(Event.FIX_VERIFIED)),
        ("/fix-fails", Move(Event.FIX_FAILED)),
        ("/withdraw", Withdraw()),
        ("/second address jane@work.example", None),
        ("/second-address jane@work.example", None),
        ("/confirm", None),
        ("/help", None),
    ],
)
def test_each_command_of_a_reporter(line: str, expected: Action | None) -> None:
    assert action(line, REPORTER) == expected


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [("/case M-12", "case", "12"), ("/release m13", "release", "13"), ("/spam M 14", "spam", "14")],
)
def test_each_line_that_answers_a_digest(line: str, name: str, argument: str) -> None:
    (command,) = commands(line, DIGEST).commands
    assert (command.verb.name, command.read.argument, command.read.action) == (name, argument, None)


def test_several_lines_answer_a_digest_at_once() -> None:
    found = commands("/case M-12\n/release M-13\n/spam M-15\n\n/spam M-14\n", DIGEST)
    assert [c.read.argument for c in found.commands] == ["12", "13", "15", "14"]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_example_is_read_as_the_command_it_stands_for(verb: Verb) -> None:
    for party in verb.who:
        context = Context(party, "Anna", ("Anna",), on_case=verb.place is not Place.DIGEST)
        beside = "/reproduced\n" if verb.name in ("quiet", "preview") else ""
        found = parse(newly_written(f"{beside}{verb.example}\ntext"), context)
        assert isinstance(found, Commands)
        read = [c.verb.name for c in found.commands] + ["quiet"] * found.quiet + ["preview"] * found.preview
        assert verb.name in read or verb.name == "stage"


def test_names_and_aliases_are_unambiguous_and_the_grammar_is_sound() -> None:
    for party in (Party.MAINTAINER, Party.REPORTER):
        names = [name for verb in VERBS if party in verb.who for name in (verb.name, *verb.aliases)]
        assert len(names) == len(set(names))
    assert all(verb.name == verb.name.lower() and " " not in verb.name for verb in VERBS)
    final = {verb.name for verb in VERBS if verb.weight is Weight.IRREVERSIBLE}
    assert final == {"published", "details-published", "embargo", "invite"}


def test_help_lists_what_fits_the_place() -> None:
    case = [usage for usage, _ in command_pages.help_lines(Party.MAINTAINER)]
    digest = [usage for usage, _ in command_pages.help_lines(Party.MAINTAINER, on_case=False)]
    assert "/reproduced" in case and "/case M-NUMBER" not in case
    assert "/case M-NUMBER" in digest and "/reproduced" not in digest
    assert "/needs-info [text]" not in [usage for usage, _ in command_pages.help_lines(Party.REPORTER)]


# --- where commands stand, and their text ---------------------------------------------------------------------------


def test_no_command_is_a_note() -> None:
    found = commands("I will look into it.\n\n> What about this?\n\nIn a week.")
    assert found.commands == ()
    assert (found.text, found.text_for) == ("I will look into it.\n\nIn a week.", TextFor.NOTE)


def test_text_below_belongs_to_the_command_that_takes_it() -> None:
    found = commands("/reply\n\nHello Jane,\n\n  indented\n\nthanks.\n\n> quoted\n-- \nAnna")
    assert (found.text, found.text_for) == ("Hello Jane,\n\n  indented\n\nthanks.", TextFor.REPORTER)
    assert commands("/reply Hello Jane,\nthanks.").text == "Hello Jane,\n\nthanks."
    closing = commands("/close out-of-scope This needs root already.\n\nSorry.")
    assert (closing.text, closing.text_for) == ("This needs root already.\n\nSorry.", TextFor.REPORTER)
    assert commands("/reproduced\nOn my machine too.").text_for is TextFor.NOTE
    assert commands("/reproduced\n/reply\nOn my machine too.").text_for is TextFor.REPORTER
    assert commands("/close spam\n/note\nThe same as last week.").text_for is TextFor.NOTE
    assert commands("/invite dev@upstream.example\nPlease have a look.").text_for is TextFor.INVITED


def test_interleaved_answers_go_along_and_commands_in_them_do_not_count() -> None:
    body = "/reply\n> Which version?\n4.38.0\n> And the system?\n/close spam\n"
    found = commands(body)
    assert [c.verb.name for c in found.commands] == ["reply"]
    assert found.text == "4.38.0\n\n/close spam"


@pytest.mark.parametrize(
    "body",
    [
        "> /close spam\n",
        "Hello,\n/close spam\n",
        "-- \n/close spam\n",
        "On Mon, Nov 23, 2026 at 12:00, Jane <jane@x.example> wrote:\n> text\n\n/close spam\n",
        "-----Original Message-----\nFrom: x\n\n/close spam\n",
        "---------- Forwarded message ---------\nFrom: Jane <j@x.example>\nDate: today\nSubject: x\n\n/close spam",
        "Von: Jane <j@x.example>\nGesendet: Montag\nAn: Anna\nBetreff: x\n\n/close spam",
        "________________________________\nFrom: Jane <j@x.example>\nSent: Monday\nSubject: x\n\n/close spam",
        "On Mon, Nov 23, 2026 at 12:00, Jane <jane@x.example> wrote:\n\n/close spam\n",
    ],
)
def test_what_stands_below_something_else_is_no_command(body: str) -> None:
    assert commands(body).commands == ()


def test_a_command_below_text_is_named_but_not_carried_out() -> None:
    assert commands("Hello,\n/close spam\n").misplaced == ("/close spam",)
    assert commands("/reproduced\nSee below.\n/etc/passwd is readable\n").misplaced == ()


@pytest.mark.parametrize(
    "line", ["/etc/passwd is readable by all", "//comment", "/* a comment */", "/", "/ ", "/1", "/.well-known/x", "/-"]
)
def test_a_line_that_begins_with_a_path_is_text(line: str) -> None:
    found = commands(f"{line}\nmore")
    assert (found.commands, found.text) == ((), f"{line.rstrip()}\nmore")


# --- what clients do to lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "   /needs-info",
        f"{NBSP}{NBSP}/needs-info",
        "\t/needs-info",
        "/Needs-info",
        "/NEEDS-INFO",
        "/needs info",
        "/Needs Info",
        f"/needs{NBSP}info",
        "/needs_info",
        "/needs\u2011info",
        "/needs\u2013info",
        "/needs—info",
        "/needsinfo",
        "／needs-info",
        "\u2044needs-info",
        "／ｎｅｅｄｓ－ｉｎｆｏ",
        "/ needs-info",
        f"{ZWSP}/needs-info",
        "\ufeff/needs-info",
        "\u200e/needs-info\u200f",
        "/needs-info.",
        "/needs-info:",
        "*/needs-info*",
        "**/needs-info**",
        "*/needs-info *",
        "_/needs-info_",
        "`/needs-info`",
        "/needs\u00adinfo",
        "/stage needs info",
        "/Stage: Needs-Info",
    ],
)
def test_damage_by_clients_is_undone(line: str) -> None:
    found = commands(f"{line}\r\nWhich version?\r\n")
    assert [c.read.action for c in found.commands] == [Move(Event.INFO_REQUESTED)]
    assert (found.text, found.text_for) == ("Which version?", TextFor.REPORTER)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/severity\nCVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Record(Fact.SEVERITY, V4)),
        ("/severity “" + V4 + "”", None),
        ("/cve CVE–2026–12345", Record(Fact.CVE, "CVE-2026-12345")),
        ("/cve *CVE-2026-12345*", Record(Fact.CVE, "CVE-2026-12345")),
        ("/published https://x.example/1<https://x.example/1>", "https://x.example/1"),
        ("/published https://x.example <https://x.example/>", "https://x.example"),
        ("/published <https://x.example/1>", "https://x.example/1"),
        ("/published\nhttps://x.example/1", "https://x.example/1"),
        ("/invite dev@u.example<mailto:dev@u.example>", Invite("dev@u.example")),
        ("/invite dev@u.example <mailto:dev@u.example>", Invite("dev@u.example")),
        ("/invite mailto:dev@u.example", None),
        ("/credit Jane Doe\n<https://jane.example>", Record(Fact.CREDIT, "Jane Doe <https://jane.example>")),
        ("/credit Jane “JD” Doe", Record(Fact.CREDIT, "Jane “JD” Doe")),
        ("/embargo 2026–12–24 14:00 UTC", Record(Fact.EMBARGO, datetime(2026, 12, 24, 14, 0, tzinfo=UTC))),
        ("/embargo ２０２６-１２-２４ UTC", Record(Fact.EMBARGO, datetime(2026, 12, 24, 14, 0, tzinfo=UTC))),
    ],
)
def test_damage_to_arguments_is_undone_or_refused(line: str, expected: Action | str | None) -> None:
    found = parse(newly_written(line), MAINTAINER)
    if expected is None:
        assert isinstance(found, Misread)
        return
    assert isinstance(found, Commands), found
    read = found.commands[0].read.action
    if isinstance(expected, str):
        expected = Move(Event.PUBLISHED, ((Fact.ADVISORY, expected),))
    assert read == expected
    assert found.text == ""


@pytest.mark.parametrize("below", ["Sent from my iPhone", "-- \nJane", "--\nJane", "\nVon meinem iPhone gesendet"])
def test_a_signature_below_is_no_argument_and_no_text(below: str) -> None:
    for line in ("/fix-works", "/credit Jane Doe"):
        found = commands(f"{line}\n{below}", REPORTER)
        assert len(found.commands) == 1
        assert found.text == ""


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/reproducd", "did you mean /reproduced?"),
        ("/publish https://x.example", "/published URL"),
        ("/fix", "did you mean /fix-fails or"),
        ("/needs", "/needs-info [text]"),
        ("/escalate", "/help lists all"),
        ("/fix-works", "not for you"),
        ("/stage", "name a stage: reviewing"),
        ("/stage closed", "/close RESOLUTION"),
        ("/close", "say why: resolved, not-reproducible"),
        ("/close because", "say why"),
        ("/close duplicate", "/duplicate REF"),
        ("/close/spam", "did you mean"),
        ("/duplicate", "name a case of ours"),
        ("/duplicate the one from last week", "name a case of ours"),
        ("/reproduced yes", "nothing stands behind it"),
        ("/severity 9.8", "/severity CVSS-VECTOR, for example /severity CVSS:4.0/"),
        ("/cve 12345", "CVE-2026-12345"),
        ("/assign ben", "Anna Berg, Ben Cole, Ben Dorn, nobody"),
        ("/assign", "name one of"),
        ("/embargo 12/24/2026", "2026-12-24"),
        ("/embargo", "2026-12-24"),
        ("/invite jane", "one mail address"),
        ("/invite a@x.example, b@x.example", "one mail address"),
        ("/invite a@x.example <mailto:b@x.example>", "one mail address"),
        ("/published", "https://"),
        ("/released soon", "a version has no blanks"),
        ("/merge that one", "reference"),
        ("/case M-12x", "M-12"),
        ("/note", "write the text below it"),
        ("/reply", "write the text below it"),
        ("/quiet", "nothing to be quiet about"),
        ("/preview", "belongs to a command that sends"),
        ("/credit " + "x" * 1000, "at most 1000 characters"),
    ],
)
def test_an_error_says_what_is_wrong_and_how_it_is_right(line: str, said: str) -> None:
    context = DIGEST if line.startswith("/case") else MAINTAINER
    (error,) = errors(line, context)
    assert any(part in error for part in said.split("|")), error


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("/reproduced\n/patched\ntext", "/reproduced and /patched: one mail moves the case once"),
        ("/close spam\n/reopen", "one mail moves the case once"),
        ("/own\n/own", "/own stands there twice"),
        ("/note\n/reply\ntext", "the text can stay inside or go out, not both"),
        ("/reply\n/quiet\ntext", "the one sends nothing"),
        ("/needs-info\n/quiet\ntext", "the one sends nothing"),
        ("/send\n/reply\ntext", "/send sends your last note"),
        ("/reply\n/invite a@x.example\ntext", "the text can go to one of them"),
        ("/confirm\n/close spam", "/confirm stands alone"),
        ("/own\n/confirm", "/confirm stands alone"),
        ("/preview\n/confirm", "/confirm stands alone"),
        ("/quiet\n/confirm", "/confirm stands alone"),
    ],
)
def test_lines_that_contradict_each_other_are_refused(lines: str, said: str) -> None:
    assert any(said in error for error in errors(lines))


def test_one_wrong_line_and_none_counts_and_each_wrong_one_is_named() -> None:
    found = errors("/own\n/reproducd\n/cve CVE-2026-12345\n/severity high\nsome text")
    assert len(found) == 2
    assert found[0].startswith("/reproducd:")
    assert found[1].startswith("/severity high:")


def test_a_release_and_its_advisory_may_stand_together() -> None:
    found = commands("/released 4.38.1\n/published https://x.example/1\n/quiet\n/preview")
    assert [c.verb.name for c in found.commands] == ["released", "published"]
    assert found.quiet and found.preview
    assert found.named("published") and not found.named("own")


def test_a_command_on_a_case_needs_a_case() -> None:
    assert "belongs to none" in errors("/reproduced", DIGEST)[0]
    assert "as in /spam M-14" in errors("/spam", DIGEST)[0]
    assert commands("/list", DIGEST).commands


@pytest.mark.parametrize("context", [MAINTAINER, REPORTER, DIGEST])
def test_a_confirmation_stands_in_answers_to_every_kind_of_mail(context: Context) -> None:
    (command,) = commands("/confirm\n\n-- \nJane", context).commands
    assert (command.verb.name, command.verb.weight, command.read.action) == ("confirm", Weight.READ, None)


@pytest.mark.parametrize("line", ["/yes", "/ok", "/confirmed", "/confirm please", "yes", "confirm"])
def test_nothing_else_confirms_and_no_slip_of_it_moves_the_case(line: str) -> None:
    found = parse(newly_written(line), MAINTAINER)
    assert isinstance(found, Misread) or not found.commands


def test_a_reporter_has_their_own_commands() -> None:
    for line in ("/close spam", "/embargo none", "/note", "/case M-12"):
        assert "not for you" in errors(f"{line}\ntext", REPORTER)[0]


def test_an_error_shows_a_wrong_line_harmlessly_and_in_short() -> None:
    (error,) = errors("/clo\u202ese \x1b[31m" + "x" * 900)
    assert "\x1b" not in error and "\u202e" not in error
    assert len(error) < 400


# --- hostile mail ---------------------------------------------------------------------------------------------------

BLOWS = {
    "commands": "/close spam\n",
    "unknown commands": "/closespan\n",
    "slashes": "/" * 1000 + "\n",
    "one long line": "/credit " + "a" * 1000,
    "blanks": "/ " + " " * 1000 + "\n",
    "links": "/published " + "a<" * 400 + ">\n",
    "addresses": "/invite " + "<" * 400 + "\n",
    "vectors": "/severity CVSS:4.0/" + "AV:N/" * 60 + "\n",
}


@pytest.mark.parametrize("name", BLOWS)
def test_hostile_lines_cost_little(name: str) -> None:
    unit = BLOWS[name]
    new = newly_written(unit * (500_000 // len(unit)))
    begun = time.thread_time()
    found = parse(new, MAINTAINER)
    assert time.thread_time() - begun < 1.0
    if isinstance(found, Misread):
        assert len(found.errors) <= COMMANDS


@given(st.text(alphabet="/cloespam-_* \n<>\u200b／–", max_size=80) | st.text(max_size=60))
def test_no_text_breaks_the_parser_and_none_is_lost(text: str) -> None:
    new = newly_written(text)
    for context in (MAINTAINER, REPORTER, DIGEST):
        found = parse(new, context)
        if isinstance(found, Commands) and not found.commands and not found.quiet:
            assert found.text == new.text
    assert isinstance(parse(NewText(text, text.count("\n") + 1), MAINTAINER), Commands | Misread)
