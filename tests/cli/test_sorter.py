"""The sorter by itself: one mail explained, many classified."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest

from mailbox_service.cli import main
from tests.cli.desk import QUESTION, REPORT, Desk


def classify(text: bytes, monkeypatch: pytest.MonkeyPatch, desk: Desk) -> tuple[int, list[dict[str, Any]]]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    answer = desk.run("sorter", "classify")
    return answer.code, [json.loads(line) for line in answer.out.splitlines()]


def test_lines_are_answered_in_order_with_exactly_the_documented_keys(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        {"id": 7, "subject": "SQL injection in login", "body": "I found an SQL injection in the login form."},
        {"id": "b", "subject": "LDAP", "body": "How do I configure LDAP with docker compose?"},
    ]
    code, answers = classify(b"\n".join(json.dumps(one).encode() for one in asked), monkeypatch, desk)
    assert code == 0
    assert [list(answer) for answer in answers] == [["id", "outcome", "security", "spam"]] * 2
    assert [(a["id"], a["outcome"]) for a in answers] == [(7, "security"), ("b", "not_security")]
    assert all(0 <= a[p] <= 1 for a in answers for p in ("security", "spam"))


@pytest.mark.parametrize(
    ("line", "known"),
    [
        (b"not json", None),
        (b"[1]", None),
        (b'{"id": 3}', 3),
        (b'{"id": 3, "subject": 4}', 3),
        (b'{"id": {"a": 1}, "subject": "x"}', None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_bad_line_is_answered_too_and_the_rest_goes_on(
    line: bytes, known: object, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, answers = classify(line + b'\n\n{"id": 1, "body": "\\ud800 x"}\n', monkeypatch, desk)
    assert code == 65
    assert list(answers[0]) == ["id", "error"]
    assert answers[0]["id"] == known
    assert (len(answers), answers[1]["id"]) == (2, 1)


def test_each_line_is_answered_before_the_next_is_written() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mailbox_service", "sorter", "classify"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(json.dumps({"id": number, "subject": "x", "body": "y"}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_a_mail_is_explained(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = desk.done("sorter", "explain", desk.mail("a.eml", REPORT)).text
    assert text.startswith("outcome  security\n")
    assert "security: idea: term strong" in text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(QUESTION)))
    assert desk.done("sorter", "explain", "-", "--json").json["outcome"] == "not_security"


def test_neither_needs_a_configuration(desk: Desk, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    desk.config.unlink()
    assert main(["sorter", "explain", desk.mail("a.eml", REPORT)]) == 0
    assert main(["sorter", "explain", "nope"]) == 66
    assert main(["sorter", "classify", "nope"]) == 66
