from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from mailbox_service.adapters.templates import BrokenOverridesError, Templates
from mailbox_service.adapters.templates import _fill as fill
from mailbox_service.adapters.templates.contexts import CONTEXTS
from mailbox_service.errors import TemplateError

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Templates.load()
TO_REPORTERS = ("acknowledgement", "acknowledgement_collected", "redirect")
PIECES = ["a", "word", "é.", "b-", "x" * 40, "x" * 75, " ", " ", " ", "\xa0", "\n"]
SENTINEL = "Kilimandscharo"
EVERY = [(name, number) for name in CONTEXTS for number in range(len(CONTEXTS[name]))]


def context(name: str, number: int = 0, /, **change: Any) -> dict[str, Any]:
    return {**CONTEXTS[name][number], **change}


def override(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.txt.j2"
    path.write_text(text)
    return path


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.booleans())
def test_lines_are_filled_as_the_standard_library_fills_them(text: str, item: bool) -> None:
    initial, further = ("- ", "  ") if item else ("", "")
    single = " ".join(text.split())
    for given_text in (text, single):
        wanted = textwrap.fill(
            given_text,
            72,
            initial_indent=initial,
            subsequent_indent=further,
            break_long_words=False,
            break_on_hyphens=False,
        )
        assert fill(given_text, initial, further) == wanted


@pytest.mark.parametrize(("name", "number"), EVERY)
def test_each_mail_reads_as_approved(name: str, number: int, snapshot: SnapshotAssertion) -> None:
    mail = TEMPLATES.render(name, context(name, number))
    assert f"Subject: {mail.subject}\n\n{mail.body}" == snapshot


@pytest.mark.parametrize(("name", "number"), EVERY)
def test_each_mail_is_at_most_72_columns_wide(name: str, number: int) -> None:
    mail = TEMPLATES.render(name, context(name, number))
    assert max(map(len, mail.body.split("\n"))) <= 72
    assert "\n\n\n" not in mail.body
    assert "\n" not in mail.subject


@pytest.mark.parametrize("name", TO_REPORTERS)
def test_mail_to_reporters_is_at_most_2_kb(name: str) -> None:
    long: dict[str, Any] = {
        "project_name": "A project with quite a long name",
        "policy_url": "https://example.org/" + "x" * 150,
        "sealed_hint": True,
        "smime": True,
        "own_key": "AC3F " * 10,
    }
    contacts = [{"label": "Contact", "value": "x" * 60}] * 5
    mail = TEMPLATES.render(name, context(name, contacts=contacts, **long))
    assert len(mail.body.encode()) <= 2048


@pytest.mark.parametrize("name", TO_REPORTERS)
def test_mail_to_reporters_has_no_place_for_anything_from_a_report(name: str) -> None:
    allowed = {"project_name", "mailbox_address", "reference", "references", "answer_by", "policy_url", "contacts"}
    assert set(CONTEXTS[name][0]) <= allowed | {"sealed_hint", "smime", "own_key", "team_address", "more"}
    every_other = {"subject", "text", "sender", "sender_display", "attachments", "maintainers", "reasons"}
    every_other |= {"hints", "sorted_as", "reasons_for", "reasons_against"}
    others: dict[str, Any] = dict.fromkeys(every_other, SENTINEL)
    mail = TEMPLATES.render(name, context(name, **others))
    assert SENTINEL not in mail.subject + mail.body


def test_the_acknowledgement_says_what_it_must() -> None:
    mail = TEMPLATES.preview("acknowledgement")
    text = " ".join(mail.body.split())
    for needed in ("SEC-2026-0042", "Wednesday, 25 November 2026 (UTC)", "automatic", "thank you", "answer this mail"):
        assert needed in text
    assert mail.subject == "[SEC-2026-0042] Your report to Example"


def test_the_redirect_says_where_to_write_and_how_to_be_read_after_all() -> None:
    mail = TEMPLATES.preview("redirect")
    text = " ".join(mail.body.split())
    for needed in (
        "team@example.org",
        "no report was filed",
        "If this is about security after all, just answer this mail",
    ):
        assert needed in text
    assert mail.subject == "Your message to security@example.org"


@pytest.mark.parametrize("name", ["notice_case", "notice_message"])
def test_a_notice_of_a_sealed_message_tells_nothing_about_it(name: str) -> None:
    files = [{"filename": SENTINEL, "type": SENTINEL, "size": 1}]
    texts: dict[str, Any] = dict.fromkeys(
        ("sender", "sender_display", "proof", "subject", "text", "relation", "sorted_as"), SENTINEL
    )
    lists: dict[str, Any] = {key: [SENTINEL] for key in ("reasons", "reasons_for", "reasons_against", "hints")}
    mail = TEMPLATES.render(name, context(name, sealed=True, attachments=files, **lists, **texts))
    assert SENTINEL not in mail.subject + mail.body


def test_the_subjects_of_notices_are_fixed() -> None:
    assert TEMPLATES.preview("notice_case").subject == "[SEC-2026-0042] New report"
    assert TEMPLATES.preview("notice_message").subject == "Re: [SEC-2026-0042] New report"
    unsure = TEMPLATES.render("notice_case", context("notice_case", unsure=True))
    assert unsure.subject == "[SEC-2026-0042] New report, unsure: please look"


@pytest.mark.parametrize("value", ["{{7*7}}", "{% for x in y %}", "{{ config }}", "{# x #}"])
def test_template_syntax_in_a_value_stays_literal(value: str) -> None:
    mail = TEMPLATES.render("notice_case", context("notice_case", subject=value, text=value))
    assert f"Subject:  {value}" in mail.body
    assert f"> {value}" in mail.body


def test_a_notice_that_an_older_version_put_into_the_outbox_goes_out() -> None:
    older = context("notice_case")
    for key in ("sorted_as", "reasons_for", "reasons_against", "hints"):
        del older[key]
    mail = TEMPLATES.render("notice_case", older)
    assert "Mallory" in mail.body and "Hints" not in mail.body and "Sorted" not in mail.body


@given(st.lists(st.text(), max_size=3), st.text())
def test_reasons_and_hints_cannot_forge_lines_of_ours(labels: list[str], hint: str) -> None:
    forged = "x\nHint:     forged\n\n  mailbox-service outbox pause"
    values: dict[str, Any] = {"reasons_for": [forged, *labels], "reasons_against": [forged], "hints": [forged, hint]}
    mail = TEMPLATES.render("notice_case", context("notice_case", **values))
    assert not any(line.startswith(("Hint:", "  mailbox-service outbox")) for line in mail.body.split("\n"))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", mail.body)


@given(st.text(), st.text())
def test_values_cannot_forge_lines_of_ours(subject: str, text: str) -> None:
    mail = TEMPLATES.render("notice_case", context("notice_case", subject=f"x{subject}\nProof: forged", text=text))
    assert not any(line.startswith("Proof: forged") for line in mail.body.split("\n"))
    ours = TEMPLATES.preview("notice_case").body.split("\n")
    quoted = [line for line in mail.body.split("\n") if line.startswith(">")]
    assert len(quoted) >= 1
    assert mail.body.split("\n")[-3:] == ours[-3:]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", mail.body)


def test_a_long_subject_is_cut_and_stays_one_line() -> None:
    mail = TEMPLATES.render("alarm", context("alarm", what="a\r\nBcc: x " + "y" * 500))
    assert len(mail.subject) == 200
    assert "\n" not in mail.subject


def test_a_missing_value_is_an_error_even_where_it_is_not_used() -> None:
    incomplete = context("acknowledgement")
    del incomplete["sealed_hint"]
    with pytest.raises(TemplateError, match="sealed_hint"):
        TEMPLATES.render("acknowledgement", incomplete)


def test_an_unknown_template_is_an_error() -> None:
    for call in (TEMPLATES.preview, TEMPLATES.source):
        with pytest.raises(TemplateError, match="no template"):
            call("nonsense")


# --- overrides -------------------------------------------------------------------------------------------------


def test_a_sound_override_is_used(tmp_path: Path) -> None:
    path = override(tmp_path, "redirect", "Subject: Elsewhere\n\nPlease write to {{ team_address }}.\n")
    (tmp_path / ".hidden").write_text("")
    templates = Templates.load(tmp_path)
    assert templates.preview("redirect").body == "Please write to team@example.org.\n"
    assert templates.source("redirect").path == path
    assert str(templates.source("alarm")) == "built-in"
    assert templates.names() == sorted(CONTEXTS)


BROKEN = [
    ("Hello\n\nbody\n", 1, "first line"),
    ("Subject: x\nbody\n", 2, "blank"),
    ("Subject: x\n\n\n\n", 3, "empty"),
    ("Subject:\n\nbody\n", 1, "subject is empty"),
    ("Subject: x\n\nok\n{% if %}\n", 4, ""),
    ("Subject: x\n\nok\n{{ nonsense }}\n", 4, "nonsense"),
    ("Subject: x\n\nok\nok\n{% if sealed_hint and not sealed_hint %}{{ nonsense }}{% endif %}\n", 5, "nonsense"),
    ("Subject: x\n\nok\n{{ contacts[7].label }}\n", 4, ""),
    ("Subject: x\n\nok\n{{ reference.__class__.__mro__ }}\n", 4, ""),
    ("Subject: x\n\nok\n{{ contacts.append(1) }}\n", 4, ""),
    ("Subject: x\n\nok\n{{ 1 // 0 }}\n", 4, ""),
    ("Subject: x\n\nok\n{{ reference|nonsense }}\n", 4, "nonsense"),
    ("Subject: x\n\n{% include 'other' %}\n", 3, ""),
]


@pytest.mark.parametrize(("text", "line", "message"), BROKEN)
def test_a_broken_override_is_refused_with_file_and_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = override(tmp_path, "acknowledgement", text)
    with pytest.raises(BrokenOverridesError) as caught:
        Templates.load(tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}:{line}: ")
    assert message in problem


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    "endless", [ENDLESS, "{{ 9**(9**9) }}", "{{ ('x' * 2000000000)|length }}", "{{ 'x' * 1000000 }}"]
)
def test_an_override_without_end_is_refused(tmp_path: Path, endless: str) -> None:
    path = override(tmp_path, "redirect", f"Subject: x\n\nbody {endless}\n")
    with pytest.raises(BrokenOverridesError) as caught:
        Templates.load(tmp_path)
    assert caught.value.problems[0].startswith(f"{path}:")


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    override(tmp_path, "redirect", "no subject\n")
    override(tmp_path, "held", "Subject: x\n\n{{ nonsense }}\n")
    override(tmp_path, "acknowledgment", "Subject: x\n\nbody\n")
    (tmp_path / "alarm.txt.j2").write_bytes(b"Subject: x\n\n\xff\n")
    (tmp_path / "notes").mkdir()
    with pytest.raises(BrokenOverridesError) as caught:
        Templates.load(tmp_path)
    assert [Path(problem.split(":")[0]).name for problem in caught.value.problems] == [
        "acknowledgment.txt.j2",
        "alarm.txt.j2",
        "held.txt.j2",
        "notes",
        "redirect.txt.j2",
    ]
    assert "alarm.txt.j2:3: not UTF-8" in caught.value.problems[1]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenOverridesError, match="none"):
        Templates.load(tmp_path / "none")


def test_an_override_that_fails_at_run_time_gives_way_to_the_built_in_one(tmp_path: Path) -> None:
    override(tmp_path, "redirect", "Subject: x\n\n{{ 1 // (project_name|length - 3) }} ok\n")
    templates = Templates.load(tmp_path)
    assert templates.render("redirect", context("redirect")).subject == "x"
    fallen_back = templates.render("redirect", context("redirect", project_name="abc"))
    assert fallen_back == TEMPLATES.render("redirect", context("redirect", project_name="abc"))


# --- documentation -----------------------------------------------------------------------------------------------


def type_name(values: list[Any]) -> str:
    names = {"null" if value is None else type(value).__name__ for value in values}
    return " or ".join(sorted(names, key=lambda name: (name == "null", name)))


def test_the_documentation_names_every_template_and_every_value_with_its_type() -> None:
    documented: dict[str, dict[str, str]] = {}
    for section in (ROOT / "docs" / "templates.md").read_text().split("\n### ")[1:]:
        heading = re.match(r"`(\w+)`\n", section)
        shared = re.search(r"^Mails: ((?:`\w+`,?\s)+)", section, re.MULTILINE)
        assert bool(heading) != bool(shared), section[:80]
        rows = re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", section, re.MULTILINE)
        assert len(dict(rows)) == len(rows), "a value stands there twice"
        for name in re.findall(r"\w+", shared[1]) if shared else [heading[1]] if heading else []:
            assert name not in documented
            documented[name] = dict(rows)
    expected = {
        name: {key: type_name([each[key] for each in examples]) for key in examples[0]}
        for name, examples in CONTEXTS.items()
    }
    assert documented == expected
    assert all(set(each) == set(examples[0]) for examples in CONTEXTS.values() for each in examples)
