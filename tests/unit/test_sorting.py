"""The trained sorter: outcomes, what it never decides from silence, limits, and floors on the project's own mails."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.sorting import Outcome, Sortable, Verdict
from mailbox_service.sorting import reading as reading_module
from mailbox_service.sorting import trained as module
from mailbox_service.sorting.features import Namer
from mailbox_service.sorting.labelled import Labelled, read
from mailbox_service.sorting.lexicon import Lexicon, lexicon, normalise
from mailbox_service.sorting.model import shipped
from mailbox_service.sorting.reading import Reader, paragraphs
from mailbox_service.sorting.scoring import Scorer
from mailbox_service.sorting.trained import TrainedSorter, thresholds

DATA = Path(__file__).parent.parent / "data"
SORTER = TrainedSorter()
OPEN = TrainedSorter("open")
MISSED = (Outcome.NOT_SECURITY, Outcome.SPAM)
MAILS = [*read(DATA / "sorting" / "mailbox.jsonl"), *read(DATA / "mailbox_set" / "train")]
REPORTS = [mail for mail in MAILS if mail.label == "security"]
SUPPORT = (
    "How do I configure LDAP with docker compose? The documentation says nothing. Could you please send us a quote for "
    "a training, too? Thanks in advance for any help with the installation."
)


def sort(body: str, subject: str = "") -> Verdict:
    return SORTER.sort(Sortable(subject, (body,)))


def share(mails: list[Labelled], sorter: TrainedSorter, *wanted: Outcome) -> float:
    return sum(sorter.sort(mail.mail).outcome in wanted for mail in mails) / len(mails)


# Floors on mails that it was trained on: they hold a regression of the tables or the model, and say nothing of quality.
def test_reports_it_was_trained_on_are_hardly_missed() -> None:
    assert len(REPORTS) > 400
    assert share(REPORTS, SORTER, *MISSED) <= 0.01
    assert share(REPORTS, SORTER, Outcome.SPAM) <= 0.005


def test_mail_it_was_trained_on_is_redirected_and_spam_is_caught() -> None:
    assert share([m for m in MAILS if m.label == "not_security"], OPEN, Outcome.NOT_SECURITY) >= 0.25
    assert share([m for m in MAILS if m.label == "spam"], SORTER, Outcome.SPAM) >= 0.6


@pytest.mark.parametrize(
    "report",
    [
        "I changed the number in the link and saw somebody else's invoice.",
        "There is a stored XSS in the client name, <script>alert(1)</script> runs for every user. CVE-2024-1234",
        "Ich habe in der Adresse eine Zahl geändert und sehe die Rechnungen von anderen Kunden.",
        "他のユーザーの情報が見えてしまいました。ログインなしで表示されます。",
    ],
)
def test_reports_with_and_without_jargon_are_never_redirected(report: str) -> None:
    assert sort(report).outcome not in MISSED


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
def test_what_could_not_be_read_is_never_redirected(mail: Sortable) -> None:
    assert OPEN.sort(mail).outcome not in MISSED


def test_a_text_too_long_to_be_read_whole_is_never_redirected() -> None:
    assert OPEN.sort(Sortable("", ((SUPPORT + "\n\n") * 2000,))).outcome not in MISSED


def test_a_report_in_a_postscript_outlives_any_amount_of_support_talk() -> None:
    report = "PS: I changed the number in the link and saw somebody else's invoice."
    assert sort((SUPPORT + "\n\n") * 300 + report).outcome not in MISSED


def test_a_known_reporter_a_cert_and_a_patch_make_a_report_likelier() -> None:
    plain = SORTER.sort(Sortable("Question", (SUPPORT,)))
    for mail in (
        Sortable("Question", (SUPPORT,), known_reporter=True),
        Sortable("Question", (SUPPORT,), cert_sender=True),
        Sortable("Question", (SUPPORT,), filenames=("fix.patch",)),
    ):
        verdict = SORTER.sort(mail)
        assert verdict.security > plain.security
        assert any(reason.label.startswith("signal: ") for reason in verdict.reasons)


def test_marks_of_the_provider_and_bulk_mail_make_spam_likelier() -> None:
    plain = SORTER.sort(Sortable("Invoice", (SUPPORT,)))
    assert SORTER.sort(Sortable("Invoice", (SUPPORT,), spam_marked=True)).spam > plain.spam
    assert SORTER.sort(Sortable("Invoice", (SUPPORT,), bulk=True)).spam > plain.spam


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
    verdict = sort("zebrafish-canary vulnerability ' OR 1=1 zebrafish-canary")
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


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(REPORTS), st.lists(st.sampled_from(MAILS), min_size=1, max_size=3))
def test_what_follows_a_report_never_makes_it_not_security(report: Labelled, more: list[Labelled]) -> None:
    if not report.mail.texts or report.mail.encrypted:
        return
    alone = SORTER.sort(report.mail)
    body = "\n\n".join(["\n\n".join(report.mail.texts), *(text for mail in more for text in mail.mail.texts)])
    together = SORTER.sort(
        Sortable(report.mail.subject, (body,), report.mail.filenames, report.mail.opaque_attachments)
    )
    if alone.outcome in (Outcome.SECURITY, Outcome.UNSURE) and alone.security >= SORTER.thresholds.not_security:
        assert together.outcome is not Outcome.NOT_SECURITY


@pytest.mark.parametrize(
    "unit", ["other ", "de ", "> ", "> a\nb\n", "a\n\n", ". ", "他のユーザーの情報。", "<script>", "cve-2024-1 "]
)
def test_work_is_bounded_whatever_the_size(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    pieces: list[int] = []
    text_of = Reader.text

    def counted(self: Reader, text: str) -> list[reading_module.Segment]:
        segments = text_of(self, text)
        seen.append(len(text))
        pieces.append(len(segments))
        return segments

    monkeypatch.setattr(Reader, "text", counted)
    long = unit * (500_000 // len(unit))
    SORTER.sort(Sortable(long, (long, long, long, long)))
    assert sum(seen) <= reading_module.MAIL_LIMIT_CHARS + reading_module.SUBJECT_LIMIT_CHARS + 10
    assert max(pieces) <= reading_module.SEGMENT_LIMIT


def test_what_is_remembered_of_words_is_bounded() -> None:
    reader = Reader()
    for start in range(0, 3 * reading_module.MEMO_LIMIT, 500):
        reader.text(" ".join(f"w{number}x" for number in range(start, start + 500)))
    assert len(reader._masks) <= reading_module.MEMO_LIMIT


def test_paragraphs_are_cut_at_blank_lines_and_where_quoting_begins() -> None:
    text = "one\ntwo\n\n> three\n> four\nfive"
    assert list(paragraphs(text)) == [("one\ntwo", False), ("three\nfour", True), ("five", False)]


def test_one_rule_of_the_lexicon_covers_many_languages() -> None:
    reader = Reader()
    for text in ("somebody else saw it", "von anderen gesehen", "autre utilisateur vu", "他の人が見えました"):
        (segment,) = reader.text(normalise(text))
        assert {"other", "see"} <= set(lexicon().names(segment.mask)), text


def test_scores_are_the_weights_of_the_features_that_training_names() -> None:
    reader, model = Reader(), shipped()
    scorer, namer = Scorer(model, reader), Namer(reader.lexicon, reader.bits)
    for mail in MAILS[::37]:
        for segment in reader.segments(mail.mail):
            named = sum(model.segment.get(name, 0.0) * value for name, value in namer.all(segment).items())
            assert scorer.segment(segment)[0] == pytest.approx(named + model.segment["bias"])


def test_a_stricter_intent_redirects_less() -> None:
    model = shipped()
    steps = [thresholds(model, intent).not_security for intent in ("1/10", "open", "1/100", "balanced", "strict")]
    assert steps == sorted(steps, reverse=True)
    assert thresholds(model, "1/150") == thresholds(model, "1/200")
    assert thresholds(model, "1/100000") == thresholds(model, "1/1000")
    with pytest.raises(KeyError):
        thresholds(model, "lazy")


def test_a_sorter_can_be_handed_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(OPEN))
    assert copy.thresholds == OPEN.thresholds
    assert copy.sort(MAILS[0].mail) == OPEN.sort(MAILS[0].mail)


def test_stems_of_the_lexicon_are_long_enough() -> None:
    with pytest.raises(ValueError, match="too short"):
        Lexicon()._add("ab*", 1)
