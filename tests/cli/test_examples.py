"""What people said of messages, counted and exported."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest

from tests.cli.desk import QUESTION, REPORT, Desk

SEALED = (
    b"From: Eve <eve@research.example>\r\nTo: security@demo.example\r\nSubject: secret words\r\n"
    b"Message-ID: <9@research.example>\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA0000\r\n=abcd\r\n"
    b"-----END PGP MESSAGE-----\r\n"
)
# What `sorter evaluate` reads, and what is told beside it.
READ = ["id", "source", "project", "label", "subtype", "form", "date", "subject", "body"]
BESIDE = ["said_by", "said_at", "sorted_as"]


@pytest.fixture
def judged(desk: Desk) -> Desk:
    """Three mails, of which a person judged all; the first one twice."""
    mails = [desk.mail(f"{n}.eml", data) for n, data in enumerate((QUESTION, REPORT, SEALED))]
    desk.done("ingest", "--answer", *mails)
    for number, what in ((1, "case"), (1, "spam"), (2, "redirect"), (3, "spam")):
        desk.done("message", "sort", str(number), "--as", what)
    return desk


def lines(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_examples_are_lines_that_the_sorter_can_be_judged_by(judged: Desk) -> None:
    found = lines(judged.done("sorter", "examples").out)
    assert [list(one) for one in found] == [READ + BESIDE] * 3
    assert [(one["id"], one["label"], one["source"]) for one in found] == [
        ("1", "spam", "closed"), ("2", "not_security", "closed"), ("3", "spam", "closed"),
    ]  # fmt: skip
    question, report, _ = found
    assert (question["project"], question["subject"]) == ("security", "How do I configure LDAP?")
    assert "docker compose" in question["body"] and question["subtype"] == question["sorted_as"]["outcome"]
    assert report["sorted_as"]["outcome"] == "security" and report["sorted_as"]["model"]
    assert report["said_by"].endswith(" on the host")


def test_an_encrypted_message_is_an_example_without_text(judged: Desk) -> None:
    sealed = lines(judged.done("sorter", "examples").out)[-1]
    assert (sealed["form"], sealed["subject"], sealed["body"]) == ("encrypted", "", "")
    assert b"secret words" not in judged.done("sorter", "examples").out


def test_examples_are_counted(judged: Desk) -> None:
    assert judged.rows("sorter", "examples", "--count") == [
        {"mailbox": "security", "label": "not_security", "said": "closed", "count": 1},
        {"mailbox": "security", "label": "spam", "said": "closed", "count": 2},
    ]
    assert "not_security" in judged.done("sorter", "examples", "--count", "--mailbox", "security").text


def test_examples_go_into_a_new_file_that_nobody_else_can_read(judged: Desk) -> None:
    path = judged.folder / "history.jsonl"
    assert judged.done("sorter", "examples", "-o", str(path)).out == b""
    assert len(lines(path.read_bytes())) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert judged.run("sorter", "examples", "-o", str(path)).code == 73


def test_where_nobody_judged_there_are_none(desk: Desk) -> None:
    desk.done("ingest", desk.mail("a.eml", REPORT))
    assert desk.done("sorter", "examples").out == b""
    assert desk.done("sorter", "examples", "--count").text == "No examples.\n"
    assert desk.run("sorter", "examples", "--mailbox", "nope").code == 66
