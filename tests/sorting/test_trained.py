"""The trained sorter: outcomes, what it never decides from silence, limits, and floors on the project's own mails."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.sorting import Outcome, Sortable, Verdict
from mailbox_service.sorting.evaluation.labelled import Labelled, read
from mailbox_service.sorting.learned import sorter as module
from mailbox_service.sorting.learned.features import ASKS, ASKS_AT_END, ASKS_MUCH, ASKS_TWICE, FeatureReader, english
from mailbox_service.sorting.learned.model import shipped
from mailbox_service.sorting.learned.scoring import LIMIT, PART_DISCOUNT, Scorer
from mailbox_service.sorting.learned.sorter import INTENTS, PLAIN_SPAM, PLAIN_SPAM_REPORT, TrainedSorter, thresholds
from mailbox_service.sorting.lexical import LexicalSorter

ROOT = Path(__file__).parents[2]
SORTER = TrainedSorter()
OPEN = TrainedSorter("open")
TABLES_ALONE = LexicalSorter()
MISSED = (Outcome.NOT_SECURITY, Outcome.SPAM)
MAILS = [
    *read(ROOT / "training" / "mailbox_set" / "train"),
    *read(ROOT / "tests" / "data" / "sorting" / "mailbox.jsonl"),
]
REPORTS = [mail for mail in MAILS if mail.label == "security"]
SUPPORT = "How do I configure LDAP with docker compose? Thanks in advance for any help with the installation."


def sort(body: str, subject: str = "") -> Verdict:
    return SORTER.sort(Sortable(subject, (body,)))


def share(label: str, sorter: TrainedSorter, *wanted: Outcome) -> float:
    outcomes = [sorter.sort(mail.mail).outcome for mail in MAILS if mail.label == label]
    return sum(outcome in wanted for outcome in outcomes) / len(outcomes)


# Floors on mails that it was trained on: they hold a regression of the tables or the model, and say nothing of quality.
def test_reports_it_was_trained_on_are_hardly_missed() -> None:
    assert len(REPORTS) > 1000
    assert share("security", SORTER, *MISSED) <= 0.005


def test_mail_it_was_trained_on_is_redirected_and_spam_is_caught() -> None:
    assert share("not_security", SORTER, Outcome.NOT_SECURITY) >= 0.2
    assert share("not_security", OPEN, Outcome.NOT_SECURITY) >= 0.35
    assert share("spam", SORTER, Outcome.SPAM) >= 0.7


def test_encrypted_mail_is_a_report_until_read() -> None:
    verdict = SORTER.sort(Sortable("hello", (), encrypted=True))
    assert verdict.outcome is Outcome.SECURITY
    assert [reason.label for reason in verdict.reasons] == ["encrypted"]


def test_plain_mail_about_something_else_is_redirected() -> None:
    assert sort(SUPPORT, "LDAP").outcome is Outcome.NOT_SECURITY


@pytest.mark.parametrize(
    "mail",
    [
        Sortable("", ()),
        Sortable("", ("   \n\n",)),
        Sortable("How to configure", (SUPPORT,), opaque_attachments=True),
        Sortable("Aluth", ("ඔබගේ සේවාව ගැන ප්‍රශ්නයක් ඇත, කරුණාකර පිළිතුරු දෙන්න ස්තුතියි බොහොම",)),
        Sortable("How to configure", ((SUPPORT + "\n\n") * 2000,)),
        Sortable("How to configure", (SUPPORT + "\n\nAlso, the door at the back stands open.",)),
    ],
    ids=["nothing", "blanks", "opaque attachment", "unknown language", "too long", "another subject"],
)
def test_what_could_not_be_read_is_never_redirected(mail: Sortable) -> None:
    for sorter in (SORTER, OPEN):
        assert sorter.sort(mail).outcome not in MISSED


def test_where_the_tables_see_a_report_nothing_is_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    mail = Sortable("LDAP", (SUPPORT,))
    for outcome, expected in (
        (Outcome.SECURITY, Outcome.UNSURE),
        (Outcome.NOT_SECURITY, Outcome.NOT_SECURITY),
    ):
        verdict = Verdict(outcome, 0.0, 0.0, ())
        sorter = TrainedSorter()
        monkeypatch.setattr(sorter._tables, "judged", lambda mail, reading, verdict=verdict: verdict)
        assert sorter.sort(mail).outcome is expected


def test_a_report_in_a_postscript_outlives_any_amount_of_support_talk() -> None:
    report = "I changed the number in the link and saw somebody else's invoice, with his name and address."
    assert sort((SUPPORT + "\n\n") * 300 + report).outcome not in MISSED


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(REPORTS), st.lists(st.sampled_from(MAILS), min_size=1, max_size=3))
def test_what_follows_a_report_takes_nothing_from_its_parts(report: Labelled, more: list[Labelled]) -> None:
    reader, scorer = FeatureReader(), Scorer(shipped())
    body = "\n\n".join(report.mail.texts)
    longer = "\n\n".join([body, *(text for mail in more for text in mail.mail.texts)])
    before = reader.look(Sortable(report.mail.subject, (body,)))
    after = reader.look(Sortable(report.mail.subject, (longer,)))
    assert all(part in after.parts for part in before.parts)
    loudest = max((scorer.report(part) for part in before.parts), default=-LIMIT)
    assert scorer.scores(after).report >= min(LIMIT, loudest - PART_DISCOUNT) - 1e-9


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MAILS), st.sampled_from(MAILS))
def test_what_is_quoted_below_takes_nothing_from_a_report_and_makes_no_spam(report: Labelled, quoted: Labelled) -> None:
    scorer, reader = Scorer(shipped()), FeatureReader()
    first = "\n".join(line for line in report.mail.texts[0].splitlines() if not line.lstrip().startswith(">"))
    below = "\n".join(f"> {line}" for text in quoted.mail.texts for line in text.splitlines())
    before = scorer.scores(reader.look(Sortable(report.mail.subject, (first,))))
    look = reader.look(Sortable(report.mail.subject, (f"{first}\n\n{below}",)))
    after = scorer.scores(look)
    # Too few words beside a quotation are read with it; signals (payloads) are looked for in whole texts.
    if look.written is not look.whole and not any("signal" in mark for mark in look.written.marks):
        assert after.report >= before.report - 1e-9
        assert after.spam <= before.spam + 1e-9


@pytest.mark.parametrize(
    "question",
    [
        "How do I set it up?",
        'Is that what you call "secure"?',
        "Πώς το ρυθμίζω;",
        "كيف أضبطه؟",
        "設定はどこですか。",
        "这个怎么设置吗。",
        "如何设置？",
        "(can that be?)",
    ],
)
def test_questions_are_known_in_every_script(question: str) -> None:
    whole = FeatureReader().look(Sortable("", (f"I have installed it. {question}\n\nThanks",))).whole
    assert {ASKS, ASKS_AT_END} <= whole.marks and ASKS_TWICE not in whole.marks


@pytest.mark.parametrize("text", ["GET /login?next=//evil.example is followed.", "What a day. I saw; I went.", "Wow!"])
def test_what_is_no_question_is_none(text: str) -> None:
    assert not {ASKS, ASKS_AT_END} & FeatureReader().look(Sortable("", (text,))).whole.marks


def test_questions_count_for_the_part_they_are_in_and_for_the_whole_mail() -> None:
    report = "I changed the number in the link and saw somebody else's invoice, with his name."
    asking = "And how do I change the font? Or the colour? Where is the size? Is there a manual?"
    look = FeatureReader().look(
        Sortable("", (f"{report}\n\n{asking}\n\n" + "We have been users for ten years.\n\n" * 3,))
    )
    assert {ASKS, ASKS_TWICE, ASKS_MUCH} <= look.whole.marks
    assert ASKS not in look.parts[0].marks and ASKS in look.parts[1].marks
    assert ASKS_AT_END not in FeatureReader().look(Sortable("", (asking + "\n\nA.\n\nB.\n\nC.",))).whole.marks


def test_what_is_quoted_asks_nothing() -> None:
    text = "Anybody can read it without a password.\n\n> How do I set it up?\n> And where?\n\n> Is there a manual?"
    assert not {ASKS, ASKS_TWICE, ASKS_AT_END} & FeatureReader().look(Sortable("", (text,))).whole.marks


def test_marks_of_the_provider_make_spam_likelier() -> None:
    plain = SORTER.sort(Sortable("Invoice", (SUPPORT,)))
    assert SORTER.sort(Sortable("Invoice", (SUPPORT,), spam_marked=True)).spam > plain.spam
    assert SORTER.sort(Sortable("Invoice", (SUPPORT,), automatic=True)).spam > plain.spam


@pytest.mark.parametrize("subject", ["", "finding", "Hello"])
@pytest.mark.parametrize("marked", [False, True])
def test_a_mail_that_says_too_little_is_neither_redirected_nor_spam(subject: str, marked: bool) -> None:
    vague = "I attach what I found in your product. Please look."
    assert SORTER.sort(Sortable(subject, (vague,), spam_marked=marked)).outcome is Outcome.UNSURE


@pytest.mark.parametrize("subject", ["Sicherheitslücke in der Anmeldung", "Уязвимость: чтение чужих файлов", "XSS"])
def test_a_subject_that_names_a_flaw_is_never_redirected_whatever_stands_below(subject: str) -> None:
    assert SORTER.sort(Sortable("How to configure", (SUPPORT,))).outcome is Outcome.NOT_SECURITY
    assert SORTER.sort(Sortable(subject, (SUPPORT,))).outcome not in MISSED


def test_a_short_request_that_is_understood_is_redirected_all_the_same() -> None:
    assert sort("How do I install it with docker?").outcome is Outcome.NOT_SECURITY


def test_invisible_characters_and_compatibility_forms_hide_nothing() -> None:
    plain = sort("There is an sql injection in the search. XSS too.")
    assert sort("There is an sql inj\u200bection in the search. ＸＳＳ too.").security == plain.security


def test_reasons_speak_both_ways_heaviest_first() -> None:
    verdict = sort("How do I install it with docker? There is an sql injection in the setup page, attackers get in.")
    assert {reason.towards for reason in verdict.reasons} >= {"security", "not_security"}
    weights = [reason.weight for reason in verdict.reasons]
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0


def test_words_of_the_mail_are_reasons_only_if_the_model_knows_them() -> None:
    verdict = sort("zebrafishx-canaryq vulnerability ' OR 1=1 zebrafishx-canaryq")
    assert verdict.reasons
    assert all("zebra" not in reason.label and "canary" not in reason.label for reason in verdict.reasons)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.lists(st.text(max_size=600), max_size=3), st.booleans(), st.booleans())
def test_it_is_total_deterministic_and_bounded(subject: str, texts: list[str], marked: bool, opaque: bool) -> None:
    mail = Sortable(subject, tuple(texts), tuple(texts), opaque, False, marked, marked)
    verdict = SORTER.sort(mail)
    assert verdict == TrainedSorter().sort(mail)
    assert 0.0 <= verdict.security <= 1.0
    assert 0.0 <= verdict.spam <= 1.0
    assert len(verdict.reasons) <= module.REASON_LIMIT


def test_another_process_makes_its_own_from_the_intent() -> None:
    copy = pickle.loads(pickle.dumps(OPEN))
    assert (copy.intent, copy.thresholds, copy.version) == (OPEN.intent, OPEN.thresholds, OPEN.version)
    assert len(pickle.dumps(OPEN)) < 200


def test_an_intent_that_misses_less_redirects_less() -> None:
    at = {intent: thresholds(shipped(), intent).not_security for intent in (*INTENTS, "1/200", "1/1000")}
    assert at["1/1000"] <= at["strict"] < at["1/200"] < at["balanced"] < at["open"]


def test_one_in_n_takes_the_next_measured_number_that_promises_as_much() -> None:
    model = shipped()
    assert thresholds(model, "1/150") == thresholds(model, "1/200")
    assert thresholds(model, "1/100000") == thresholds(model, "1/1000")


@pytest.mark.parametrize("intent", ["lazy", "1/x", ""])
def test_no_other_intent_is_known(intent: str) -> None:
    with pytest.raises(ValueError, match=r"intent|invalid literal"):
        TrainedSorter(intent)


def test_what_the_tables_call_a_report_is_spam_in_plain_sight_only_and_never_where_it_is_strict() -> None:
    called = [mail.mail for mail in MAILS if TABLES_ALONE.sort(mail.mail).outcome is Outcome.SECURITY]
    assert called
    strict = TrainedSorter("strict")
    spammy = (
        "We are a leading SEO agency. Rank your website first on Google, guaranteed. Casino bonus, reply for a quote!"
    )
    for mail in called:
        louder = Sortable(mail.subject, (*mail.texts, *[spammy] * 5), spam_marked=True, automatic=True)
        if TABLES_ALONE.sort(louder).outcome is Outcome.SECURITY:
            verdict = SORTER.sort(louder)
            plain = verdict.spam >= PLAIN_SPAM and verdict.security < PLAIN_SPAM_REPORT["balanced"]
            assert plain or verdict.outcome is not Outcome.SPAM
            assert strict.sort(louder).outcome is not Outcome.SPAM


def test_who_begs_for_a_bounty_in_words_of_the_field_gets_no_answer_unless_it_is_strict() -> None:
    begging = Sortable(
        "Vulnerability report",
        (
            "Dear team,\n\nI am an ethical hacker and bug hunter. I found critical vulnerabilities in your domain. "
            "Before I share the proof of concept, confirm what bounty you pay. I accept PayPal and USDT. My last "
            "reports were rewarded with 500$. Waiting for your fast reply, many companies are waiting.\n",
        ),
    )
    assert TABLES_ALONE.sort(begging).outcome is Outcome.SECURITY
    assert SORTER.sort(begging).outcome is Outcome.SPAM
    assert TrainedSorter("strict").sort(begging).outcome is Outcome.UNSURE


@pytest.mark.parametrize(
    ("text", "is_english"),
    [
        ("I changed the number in the link and saw the invoice of somebody else.", True),
        ("Ich habe die Nummer im Link geändert und sah die Rechnung von jemand anderem.", False),
        ("J'ai changé le numéro dans le lien et j'ai vu la facture d'un autre client.", False),
        ("Cambié el número del enlace y vi la factura de otra persona.", False),
        ("リンクの番号を変えたら他人の請求書が見えました。", False),
        ("", True),
    ],
)
def test_english_is_told_from_other_languages(text: str, is_english: bool) -> None:
    look = FeatureReader().look(Sortable("", (text,)))
    assert english(look.whole.words) is is_english


def test_english_below_a_report_in_another_language_changes_nothing_of_its_chance() -> None:
    report = "Ich habe die Nummer im Link geändert und sah die Rechnung von jemand anderem, mit Namen und Adresse."
    alone, mixed = sort(report), sort(f"{report}\n\n{SUPPORT}")
    assert mixed.security >= alone.security - 1e-9 or mixed.outcome not in MISSED
