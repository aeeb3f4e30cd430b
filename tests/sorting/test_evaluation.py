"""The figures of an evaluation, the page of it, and what may be evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mailbox_service.cli.sorter import app
from mailbox_service.sorting import Outcome, Reason, Sortable, Verdict
from mailbox_service.sorting.evaluation import Judged, auc, figures, report, worst
from mailbox_service.sorting.evaluation.labelled import Labelled, LabelledError, read
from mailbox_service.sorting.evaluation.page import page

ROOT = Path(__file__).parents[2]
OLD_SET = ROOT / "tests" / "data" / "sorting" / "mailbox.jsonl"
TRAINING = ROOT / "training" / "mailbox_set" / "train"


def judged(label: str, outcome: Outcome, security: float, subject: str = "s") -> Judged:
    mail = Labelled("id", "writer", "writer", label, "support", "de", "email", Sortable(subject, ("<b>text</b>",)))
    return Judged(mail, Verdict(outcome, security, 0.0, (Reason('word "<i>"', "security", 1.0),)), 0.001)


MAILS = [
    judged("security", Outcome.SECURITY, 0.9),
    judged("security", Outcome.NOT_SECURITY, 0.01, "<script>alert(1)</script>"),
    judged("not_security", Outcome.NOT_SECURITY, 0.02),
    judged("not_security", Outcome.SECURITY, 0.8),
    judged("spam", Outcome.SPAM, 0.03),
    judged("either", Outcome.UNSURE, 0.3),
    judged("automatic", Outcome.NOT_SECURITY, 0.01),
]


def test_the_figures_are_counted_by_label() -> None:
    found = figures(MAILS)
    assert (found["missed"], found["redirected"], found["spam_caught"]) == (0.5, 0.5, 1.0)
    assert (found["precision"], found["either_right"], found["unsure"]) == (0.5, 1.0, 0.0)
    assert (found["mails"], found["automatic"]) == (7, 1)


def test_a_share_of_nothing_is_no_number() -> None:
    found = figures([])
    assert (found["missed"], found["auc"], found["precision"]) == (None, None, None)


def test_auc_counts_ties_half() -> None:
    assert auc([(0.1, False), (0.9, True)]) == 1.0
    assert auc([(0.5, False), (0.5, True)]) == 0.5
    assert auc([(0.9, False), (0.1, True)]) == 0.0


def test_the_worst_mistake_is_a_missed_report() -> None:
    assert [one.mail.label for one in worst(MAILS)] == ["security", "not_security"]


def test_the_page_shows_mistakes_and_runs_nothing_of_a_mail() -> None:
    text = page(report(MAILS), MAILS, 0.05)
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text
    assert text.count("<svg") == 2


def test_the_old_and_the_new_form_of_a_set_are_read() -> None:
    assert len(read(OLD_SET)) == 585
    mails = read(TRAINING)
    assert len({mail.source for mail in mails}) == 50
    assert all(mail.label and mail.language for mail in mails)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ('{"label": "bad"}', "label"),
        ('{"label": "spam", "body": 1}', "must be text"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n" + content)
    with pytest.raises(LabelledError, match=f"x.jsonl:2: .*{reason}"):
        read(path)


def test_a_folder_without_index_and_an_index_without_mail_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelledError, match=r"no index\.jsonl"):
        read(tmp_path)
    (tmp_path / "index.jsonl").write_text('{"file": "gone.eml", "label": "spam"}')
    with pytest.raises(LabelledError, match="cannot be read"):
        read(tmp_path)


def test_the_command_prints_figures_and_writes_a_page(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [
        {"subject": "hole", "body": "There is an XSS vulnerability in the login.", "label": "security"},
        {"subject": "quote", "body": "Could you please send us a quote?", "label": "not_security"},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    result = CliRunner().invoke(app, ["evaluate", str(path), "--json", "--html", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["all"]["reports"] == 1
    assert "<svg" in (tmp_path / "page.html").read_text()
    text = CliRunner().invoke(app, ["evaluate", str(path)])
    assert text.exit_code == 0
    assert "reports missed" in text.output


@pytest.mark.parametrize("arguments", [["/nowhere"], ["--intent", "lazy", str(OLD_SET)]])
def test_the_command_says_what_it_cannot_do(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["evaluate", *arguments]).exit_code == 65
