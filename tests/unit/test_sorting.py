"""The first sorter: outcomes, properties, and the self-written mailbox set."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.sorting import Outcome, Sortable, Verdict
from mailbox_service.sorting import lexical as module
from mailbox_service.sorting import reading as reading_module
from mailbox_service.sorting.lexical import LexicalSorter
from mailbox_service.sorting.reading import Reading, paragraphs, signals_in
from mailbox_service.sorting.tables import WORD, Lexicon, hit_of, lexicon
from mailbox_service.sorting.terms import SIGNALS

SORTER = LexicalSorter()
MISSED = (Outcome.NOT_SECURITY, Outcome.SPAM)
RANK = {Outcome.SPAM: 0, Outcome.NOT_SECURITY: 0, Outcome.UNSURE: 1, Outcome.SECURITY: 2}
SUPPORT = "How do I configure LDAP with docker compose? Thanks in advance for any help with the installation."


class Mail(TypedDict):
    id: str
    lang: str
    theme: str
    part: str  # which round of writing, and whether it was tuned on: docs/sorting.md
    label: str
    subject: str
    body: str


def mailbox(*parts: str) -> list[Mail]:
    path = Path(__file__).parent.parent / "data" / "sorting" / "mailbox.jsonl"
    mails: list[Mail] = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [mail for mail in mails if mail["part"] in parts]


def sort(body: str, subject: str = "") -> Verdict:
    return SORTER.sort(Sortable(subject, (body,)))


def outcomes(mails: Iterable[Mail], label: str) -> list[tuple[Mail, Outcome]]:
    return [(m, sort(m["body"], m["subject"]).outcome) for m in mails if m["label"] == label]


def share(found: list[tuple[Mail, Outcome]], *wanted: Outcome) -> float:
    return sum(outcome in wanted for _, outcome in found) / len(found)


ROUNDS = ("round-4", "round-5", "round-6", "round-7")


def test_no_report_of_the_mailbox_set_is_called_spam() -> None:
    found = outcomes(mailbox("tune", "judge", "blind", *ROUNDS), "security")
    assert len(found) > 280
    assert [m["id"] for m, outcome in found if outcome is Outcome.SPAM] == []


@pytest.mark.parametrize("part", ["tune", "judge", "blind", *ROUNDS])
def test_no_known_report_is_redirected(part: str) -> None:
    found = outcomes(mailbox(part), "security")
    assert [m["id"] for m, outcome in found if outcome in MISSED] == []


# A regression of the tables would show in either: everything unsure, or reports redirected.
@pytest.mark.parametrize(
    ("part", "at_least"),
    [
        ("tune", 0.7),
        ("judge", 0.7),
        ("blind", 0.5),
        ("round-4", 0.8),
        ("round-5", 0.75),
        ("round-6", 0.5),
        ("round-7", 0.6),
    ],
)
def test_most_support_and_sales_mail_is_redirected(part: str, at_least: float) -> None:
    assert share(outcomes(mailbox(part), "not_security"), Outcome.NOT_SECURITY) >= at_least


def test_most_known_reports_are_called_security() -> None:
    assert share(outcomes(mailbox("tune", "judge"), "security"), Outcome.SECURITY) >= 0.7


@pytest.mark.parametrize(
    "hidden",
    [
        "Also, the door opens for any card.",
        "By the way, the door opens for all cards.",
        "The check of the card is never done at the second door.",
        "The second door at the back of the building swings wide for each badge in the town.",
    ],
)
def test_one_sentence_that_is_not_understood_is_enough_to_be_unsure(hidden: str) -> None:
    question = "Could you please send us a quote for ten doors?"
    assert sort(question).outcome is Outcome.NOT_SECURITY
    assert sort(f"{question}\n\n{hidden}").outcome is Outcome.UNSURE


def test_among_code_the_subject_must_be_clearer() -> None:
    request = "We would like to print it, please."
    assert sort(request).outcome is Outcome.NOT_SECURITY
    assert sort(f"{request} It is in open() of door.c:88.").outcome is Outcome.UNSURE


def test_topics_without_a_request_are_not_enough_to_be_redirected() -> None:
    assert (
        sort("The docker container with the python module on linux. Version, settings, logs.").outcome is Outcome.UNSURE
    )


def test_most_known_spam_is_caught() -> None:
    assert share(outcomes(mailbox("tune", "judge"), "spam"), Outcome.SPAM) >= 0.8


@pytest.mark.parametrize("name", ["classify", "composite_hard"])
def test_reports_of_the_development_corpora_are_seldom_missed(name: str) -> None:
    path = Path(__file__).parents[3] / "shared" / "corpora" / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the corpora are not here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    # Issues of one tracker are labelled security with many errors and hardly look like reports: docs/sorting.md.
    reports = [r for r in rows if r["label"] == "security" and r["form"] != "issue"][::8]
    found = [sort(r["body"], r["subject"]).outcome for r in reports]
    assert sum(outcome in MISSED for outcome in found) / len(found) <= 0.02


def test_encrypted_mail_is_a_report_until_read() -> None:
    verdict = SORTER.sort(Sortable("hello", (), encrypted=True))
    assert verdict.outcome is Outcome.SECURITY
    assert [reason.label for reason in verdict.reasons] == ["encrypted"]


@pytest.mark.parametrize(
    "mail",
    [
        Sortable("", ()),
        Sortable("", ("   \n\n",)),
        Sortable("How to configure", (SUPPORT,), opaque_attachments=True),
        Sortable("Tere", ("Kas teie juures saab kuskil teada anda, kui miski on valesti läinud ja see on tähtis?",)),
        Sortable("นี่", ("ขอสอบถามเรื่องการใช้งานระบบของท่านหน่อยครับ",)),
    ],
)
def test_what_could_not_be_read_is_unsure(mail: Sortable) -> None:
    assert SORTER.sort(mail).outcome is Outcome.UNSURE


def test_a_text_too_long_to_be_read_whole_is_unsure() -> None:
    assert sort(SUPPORT).outcome is Outcome.NOT_SECURITY
    assert sort((SUPPORT + "\n\n") * 2000).outcome is Outcome.UNSURE


def test_a_report_in_a_postscript_outlives_any_amount_of_support_talk() -> None:
    body = (SUPPORT + "\n\n") * 300 + "PS: I changed the number in the link and saw somebody else's invoice."
    assert sort(body).outcome is Outcome.SECURITY


def test_marks_of_the_provider_and_automatic_mail_never_decide_alone() -> None:
    mail = Sortable("Invoice", (SUPPORT,), automatic=True, spam_marked=True)
    assert SORTER.sort(mail).outcome is Outcome.NOT_SECURITY


def test_invisible_characters_and_compatibility_forms_hide_nothing() -> None:
    assert sort("There is an sql inj\u200bection in the search. ＸＳＳ too.").outcome is Outcome.SECURITY


def test_reasons_hold_nothing_but_our_own_words() -> None:
    secret = "zebrafish-canary"
    verdict = sort(f"{secret} vulnerability {secret} ' OR 1=1 {secret}", f"{secret} xss")
    assert verdict.reasons
    assert all("zebra" not in reason.label and "canary" not in reason.label for reason in verdict.reasons)


def test_reasons_speak_both_ways_heaviest_first() -> None:
    verdict = sort("How do I install it with docker? Also there is an sql injection in the setup page.")
    assert {reason.towards for reason in verdict.reasons} == {"security", "not_security"}
    weights = [reason.weight for reason in verdict.reasons]
    assert weights == sorted(weights, reverse=True)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.lists(st.text(max_size=600), max_size=3), st.booleans(), st.booleans())
def test_it_is_total_deterministic_and_bounded(subject: str, texts: list[str], marked: bool, opaque: bool) -> None:
    mail = Sortable(subject, tuple(texts), tuple(texts), opaque, False, marked, marked)
    verdict = SORTER.sort(mail)
    assert verdict == LexicalSorter().sort(mail)
    assert 0.0 <= verdict.security <= 1.0
    assert 0.0 <= verdict.spam <= 1.0
    assert len(verdict.reasons) <= module.REASON_LIMIT


MAILS = mailbox("tune", "judge", "blind", *ROUNDS)
REPORTS = [m for m in MAILS if any(r.towards == "security" and "lexicon" not in r.label and "read" not in r.label
           for r in sort(m["body"], m["subject"]).reasons)]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(REPORTS), st.lists(st.sampled_from(MAILS), min_size=1, max_size=3))
def test_evidence_is_never_weakened_by_further_paragraphs(report: Mail, more: list[Mail]) -> None:
    alone = sort(report["body"], report["subject"])
    # Unread text is "unsure" for want of evidence; what is added may be the part that can be read.
    if any(reason.label.startswith("signal: ") and "know" in reason.label for reason in alone.reasons):
        return
    body = "\n\n".join([report["body"], *(mail["body"] for mail in more)])
    together = sort(body, report["subject"])
    assert together.security >= alone.security - 1e-12
    if alone.security >= module.SPAM_SECURITY_BELOW:
        assert RANK[together.outcome] >= RANK[alone.outcome]


@pytest.mark.parametrize(
    "unit", ["other ", "de ", "> ", "a\n\n", ". ", "他のユーザーの情報。", "<script>", "cve-2024-1 "]
)
def test_work_is_bounded_whatever_the_size(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    pieces: list[int] = []
    read = Reading.read

    def counted(self: Reading, text: str) -> None:
        seen.append(len(text))
        read(self, text)
        pieces.append(len(self.pieces))

    monkeypatch.setattr(Reading, "read", counted)
    long = unit * (500_000 // len(unit))
    SORTER.sort(Sortable(long, (long, long, long, long)))
    assert sum(seen) <= reading_module.MAIL_LIMIT_CHARS + reading_module.SUBJECT_LIMIT_CHARS + 10
    assert max(pieces) <= reading_module.PIECE_LIMIT


def test_paragraphs_are_cut_at_blank_lines_and_where_quoting_begins() -> None:
    text = "one\ntwo\n\n> three\n> four\nfive"
    assert list(paragraphs(text)) == [("one\ntwo", False), ("three\nfour", True), ("five", False)]


@given(st.text(st.characters(codec="ascii")))
def test_text_of_ascii_is_cut_into_the_words_that_unicode_says_it_has(text: str) -> None:
    reading = Reading(lexicon())
    reading.read(text.lower())
    assert set().union(*(piece.bag for piece in reading.pieces)) == set(WORD.findall(text.lower()))


def test_what_stands_in_a_mail_twice_is_read_once_and_counts_twice() -> None:
    text, same = "the login\nof others\n\n> the login of others", "the login of others"
    reading = Reading(lexicon()).of(Sortable("", (text, same, "the login of all")))
    first, quoted, again, other = reading.pieces
    assert again is first and quoted is not first and other is not first
    assert first.hits == quoted.hits and first.masks == quoted.masks


def test_the_last_piece_of_all_is_shared_with_no_other() -> None:
    reading = Reading(lexicon())
    reading.read("\n\n".join(["one word"] * (reading_module.PIECE_LIMIT + 5) + ["another"]))
    assert len(reading.pieces) == reading_module.PIECE_LIMIT
    assert reading.pieces[0].bag == {"one", "word"}
    assert reading.pieces[-1].bag == {"one", "word", "another"}


@pytest.mark.parametrize(("literal", "weight", "label"), SIGNALS)
def test_every_signal_is_found(literal: str, weight: float, label: str) -> None:
    assert hit_of(f"signal: {label}", "security", weight) in signals_in(f"a {literal} b")


def test_every_entry_of_the_tables_can_be_met() -> None:
    lexicon = Lexicon()
    assert len(lexicon.words) > 2000
    assert all(hit.weight > 0 for _, _, hit in lexicon.rules)
    assert all(lexicon.look_up(word) is not None for word in lexicon.words)
