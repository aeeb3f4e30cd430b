"""Hints about a new case: what they say, what they never say, and what they cost."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.sorting import Sortable
from mailbox_service.sorting.triage import NOTHING, triage
from mailbox_service.sorting.triage.details import language_of
from mailbox_service.sorting.triage.neighbours import CASES_COMPARED, CASES_PER_ENTRY, Neighbours
from mailbox_service.sorting.triage.severity import severities
from mailbox_service.sorting.triage.sketches import Sketch, read_sketch, resemblance, sketch

# `bare`: of each language a report that says next to nothing, in some 45 words; `full`: what it lacks; `unknown`: texts
# whose language we do not know, or that are too short to show it. All written for this file.
TEXTS = json.loads((Path(__file__).resolve().parents[1] / "data" / "triage" / "texts.json").read_text("utf-8"))
BARE, FULL, UNKNOWN = TEXTS["bare"], TEXTS["full"], TEXTS["unknown"]
REPORT = (
    "Hello, the endpoint /api/v2/invoices/export does not check invoice_owner_id, so any account can read the "
    "invoices of every other tenant. Steps: log in as a normal user, call the endpoint with another number, and "
    "download the file. Seen in 4.3.1. The handler is export_invoices in billing/exports.py, which trusts the number."
)


def hints(*texts: str, subject: str = "", **facts: bool) -> dict[str, str]:
    asks = facts.pop("asks_about_ai", False)
    mail = Sortable(subject, texts, **facts)  # type: ignore[arg-type]
    return {hint.kind: hint.text for hint in triage(mail, asks_about_ai=asks).hints}


# --- what a report lacks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", BARE)
def test_what_a_report_lacks_is_told_in_ten_languages(language: str) -> None:
    assert language_of(BARE[language].lower()) == language
    told = hints(BARE[language])["lacks"]
    assert "the affected version" in told and "a proof of concept" in told and "steps to reproduce" in told
    assert "lacks" not in hints(f"{BARE[language]} {FULL[language]}")


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN)
def test_where_the_language_is_not_known_nothing_is_said_to_be_missing(text: str) -> None:
    assert language_of(text.lower()) is None
    assert "lacks" not in hints(text)


def test_what_nobody_has_read_may_hold_what_seems_to_be_missing() -> None:
    assert "lacks" not in hints(BARE["en"], opaque_attachments=True)
    assert "proof" not in triage(Sortable("", (BARE["en"],), filenames=("poc.py",))).hints[0].text


def test_an_encrypted_mail_has_neither_hints_nor_a_sketch() -> None:
    assert triage(Sortable("bounty", (REPORT,), encrypted=True), asks_about_ai=True) == NOTHING


# --- rewards, scanners, severities, AI -------------------------------------------------------------------------


def test_a_demand_for_a_reward_is_told_and_whether_it_gives_details() -> None:
    assert hints(f"{BARE['en']} How much is the bounty?")["bounty"] == (
        "speaks of a reward and seems to give no details"
    )
    assert hints(f"{REPORT} Is there a bug bounty?\n\n```\ncurl x\n```")["bounty"] == "speaks of a reward"
    assert "bounty" not in hints(f"{REPORT} I am not asking for a bounty.")


def test_output_of_scanners_is_told_by_name_or_by_its_findings() -> None:
    assert hints("Nessus and nuclei found this.")["scanner"] == "names a scanner (nessus, nuclei)"
    findings = f"{BARE['en']} There is no DMARC record, and the X-Frame-Options header is missing: clickjacking."
    assert hints(findings)["scanner"] == "reads like the findings of a scanner"


BASE, NONE_BASE = "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"
FOUR = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"CVSS:3.1/{BASE}", [f"gives a severity of 9.8 (critical): CVSS:3.1/{BASE}"]),
        (f"({FOUR.lower()}).", [f"gives a severity of 9.3 (critical): {FOUR}"]),
        (f"Vector: {BASE}", [f"gives a severity of 9.8 (critical): CVSS:3.1/{BASE}"]),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", ["gives a CVSS 3.1 vector that is not valid"]),
        ("CVSS:4.0/AV:X/AC:L", ["gives a CVSS 4.0 vector that is not valid"]),
        (f"{FOUR}/U:Clear", [f"gives a severity of 9.3 (critical): {FOUR}/U:Clear"]),  # the one value in two cases
        (f"{FOUR}/U:CLEAR".lower(), [f"gives a severity of 9.3 (critical): {FOUR}/U:Clear"]),
        (f"{NONE_BASE} twice: {NONE_BASE}", [f"gives a severity of 0.0 (none): {NONE_BASE}"]),
        ("CVSS 9.8, critical!", []),
        (f"https://x.example/{BASE}", []),
    ],
)
def test_severity_vectors_are_checked_scored_and_told_once(text: str, told: list[str]) -> None:
    assert severities(text) == told


def test_the_use_of_ai_is_told_only_where_the_policy_asks() -> None:
    assert "ai" not in hints(f"{REPORT} I used ChatGPT.")
    for text, told in (
        (f"{REPORT} I used ChatGPT to write this.", "says something about the use of AI"),
        (f"{REPORT} No AI was used.", "says that no AI was used"),
        (REPORT, "does not say whether AI was used, which the policy asks for"),
        (
            f"{REPORT} See https://x.example/?utm_source=grok and [insert your name]",
            "bears marks of a language model and does not say whether AI was used, which the policy asks for",
        ),
    ):
        assert hints(text, asks_about_ai=True)["ai"] == told


@given(st.text(max_size=2000), st.text(max_size=300))
def test_a_hint_repeats_no_word_of_the_mail_and_is_one_harmless_line(body: str, subject: str) -> None:
    for hint in triage(Sortable(subject, (body,)), asks_about_ai=True).hints:
        assert re.fullmatch(r"[a-zA-Z0-9 ,.:/=()-]{1,250}", hint.text)


@given(st.from_regex(r"CVSS:(3\.[01]|4\.0)(/[A-Z]{1,3}:[A-Z]{1,6}){0,45}", fullmatch=True))
def test_no_vector_makes_a_fault(vector: str) -> None:
    assert all(re.fullmatch(r"[a-zA-Z0-9 ,.:/()]{1,400}", told) for told in severities(f"{vector} AV:N"))


# --- likely duplicates -----------------------------------------------------------------------------------------


def sketched(text: str) -> Sketch:
    found = read_sketch(sketch(text))
    assert found is not None
    return found


def test_a_sketch_is_small_and_the_same_everywhere() -> None:
    long = " ".join(f"word{n} path/{n}" for n in range(5000))
    assert len(sketch(long)) <= 400
    assert sketch("one two three") == b""
    assert sketch(REPORT).hex()[:22] == sketch(REPORT.upper()).hex()[:22]
    assert (read_sketch(b""), read_sketch(b"\x02\x00\x00"), read_sketch(b"\x01\x05\x00abc")) == (None, None, None)


def test_copies_resemble_each_other_and_other_texts_do_not() -> None:
    changed = REPORT.replace("invoices", "orders").replace("Hello", "Dear team")
    assert resemblance(sketched(REPORT), sketched(REPORT)) == 1
    assert resemblance(sketched(REPORT), sketched(changed)) > 0.4
    assert resemblance(sketched(REPORT), sketched(BARE["en"])) < 0.1
    assert resemblance(sketched(REPORT), sketched("> " + REPORT.replace("\n", "\n> ") + "\n" + BARE["en"])) < 0.1
    assert resemblance(sketched(BARE["zh"]), sketched(BARE["zh"].replace("平台", "网站"))) > 0.6


def test_a_copy_is_found_and_the_earliest_one_is_named() -> None:
    known = Neighbours()
    for key, text in enumerate((BARE["en"], REPORT, BARE["de"], REPORT)):
        known.add(key, sketched(text))
    (first, *_) = known.near(sketched(REPORT + " Thank you!"))
    assert (first.key, first.copied) == (1, True)
    known.forget(1)
    assert known.near(sketched(REPORT))[0].key == 3
    assert known.near(sketched(BARE["ru"])) == []


def test_two_reports_in_other_words_are_found_by_the_names_in_them() -> None:
    other = (
        "Bonjour, en changeant invoice_owner_id dans /api/v2/invoices/export on télécharge les factures d'une autre "
        "société. Le code est dans billing/exports.py. Merci de corriger cela rapidement, c'est assez grave pour nous."
    )
    known = Neighbours()
    known.add(7, sketched(REPORT))
    (found,) = known.near(sketched(other))
    assert (found.key, found.copied) == (7, False)
    assert known.near(sketched(other.replace("invoice_owner_id", "x").replace("billing/exports.py", "y"))) == []


def test_names_that_many_cases_have_tell_nothing() -> None:
    known = Neighbours()
    for key in range(10):
        unlike = " ".join(f"word{key}{letter}" for letter in "abcdefghijklmnop")
        known.add(key, sketched(f"{unlike} src/main.py config/app.yaml lib_auth.c"))
    assert known.near(sketched("src/main.py config/app.yaml lib_auth.c and words that nobody has written before")) == []


def test_what_is_remembered_is_bounded_whatever_comes() -> None:
    known = Neighbours()
    forgotten = [key for n in range(CASES_COMPARED + 50) for key in known.add(n, sketched(REPORT))]
    assert (len(known), forgotten) == (CASES_COMPARED, list(range(50)))
    assert max(len(keys) for keys in known._runs.values()) <= CASES_PER_ENTRY
    for key in range(50, CASES_COMPARED + 50):
        known.forget(key)
    assert (len(known), known._runs, known._names) == (0, {}, {})


# --- what it costs ---------------------------------------------------------------------------------------------


def spent(mail: Sortable, times: int) -> float:
    """Seconds of processor time of the quickest of several runs."""
    found = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(times):
            triage(mail, asks_about_ai=True)
        found.append((time.process_time() - begun) / times)
    return min(found)


def test_hints_cost_next_to_nothing() -> None:
    # Measured 0.1 ms; ten times that would be noticed in the intake.
    assert spent(Sortable("Invoices", (REPORT, BARE["en"])), 50) < 0.001


@pytest.mark.parametrize(
    "text",
    ["漢" * 2_000_000, "a/" * 1_000_000, "CVSS:3.1/" + "AV:N/" * 200_000, "CVSS:3.1/AV:N " * 100_000,
     "> " * 1_000_000, "\n" * 2_000_000, " \t" * 1_000_000, "1. " * 500_000, "\ud800" * 1_000_000],
    ids=["han", "names", "vector", "vectors", "quotes", "lines", "blanks", "list", "surrogates"],
)  # fmt: skip
def test_the_work_for_a_mail_of_any_size_is_bounded(text: str) -> None:
    assert spent(Sortable("x", (text,)), 1) < 0.1
