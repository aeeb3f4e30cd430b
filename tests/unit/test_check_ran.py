"""What continuous integration takes for a complete run of the tests."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / ".ci" / "check_ran.py"))
problems: Callable[..., list[str]] = SCRIPT["problems"]
cases: Callable[[Path], tuple[set[str], dict[str, str]]] = SCRIPT["cases"]

ALL_PARTS = {
    "tests.unit.test_case::test_a",
    "tests.imap.test_poller::test_a",
    "tests.smtp.test_transport::test_a",
    "tests.database.test_storage::test_a[sqlite]",
    "tests.database.test_storage::test_a[postgres]",
    "tests.openpgp.test_door::test_a_bomb",
    "tests.end_to_end.test_flow::test_a",
    "tests.faults.test_campaign::test_a",
    "tests.demo.test_servers.TestClass::test_a",
}
MODULES = ["tests.unit.test_case", "tests.demo.test_servers"]


def complete(**changes: Any) -> list[str]:
    values: dict[str, Any] = {"ran": ALL_PARTS, "skipped": {}, "expected_modules": MODULES, "corpora": False}
    values |= changes
    return problems(values["ran"], values["skipped"], values["expected_modules"], corpora=values["corpora"])


def test_a_complete_run_has_no_problems() -> None:
    assert complete() == []


@pytest.mark.parametrize("left_out", sorted(ALL_PARTS - {"tests.openpgp.test_door::test_a_bomb"}))
def test_a_part_that_did_not_run_is_found(left_out: str) -> None:
    part = left_out.rsplit("::", 1)[0].split(".")[1]
    remaining = {name for name in ALL_PARTS if name != left_out and f".{part}.test_check" not in name}
    assert any(line.startswith("no test ran") for line in complete(ran=remaining))


def test_a_skipped_test_and_a_file_without_tests_are_found() -> None:
    assert complete(skipped={"tests.unit.test_x::test_y": "no reason"}) == [
        "skipped: tests.unit.test_x::test_y (no reason)"
    ]
    assert complete(expected_modules=["tests.unit.test_cases"]) == ["no test of this file: tests.unit.test_cases"]


def test_corpora_may_be_skipped_only_where_they_are_absent() -> None:
    skipped = {"tests.unit.test_message::test_corpora": "absent"}
    assert complete(skipped=skipped) == []
    assert len(complete(skipped=skipped, corpora=True)) == 2


def test_the_report_of_pytest_is_understood(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n\ndef test_ran(): pass\n\ndef test_not(): pytest.skip('because')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml"]
    subprocess.run([*command, "--rootdir", tmp_path], cwd=tmp_path, check=True, capture_output=True)
    ran, skipped = cases(tmp_path / "report.xml")
    assert ran == {"test_some::test_ran"}
    assert skipped == {"test_some::test_not": "because"}
