"""The benchmarks still run, fail when something is missing, and their page and table say what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import report, results
from benchmarks.__main__ import MEASURES, main
from benchmarks.plot import Chart, Goal, Line, ticks
from benchmarks.results import Figure, Result
from benchmarks.stage import Failed, Ledger, check

WHOLE = Ledger(
    messages=3,
    waiting=0,
    undecided=0,
    held=0,
    unanswered=0,
    acknowledged=2,
    marks_waiting=0,
    mails_waiting=0,
    mails_sent=5,
    mails_failed=0,
)


@pytest.mark.timeout(300)  # a busy machine
@pytest.mark.parametrize("measures", [list(MEASURES)[::2], list(MEASURES)[1::2]], ids=" ".join)
def test_each_measure_goes_its_whole_way(
    measures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Small sizes, on SQLite, with mail of our own: the measures themselves check that nothing is missing."""
    assert main([*measures, "--quick", "--database", "sqlite", "--shared", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) > len(measures)


def test_a_run_that_lacks_anything_fails() -> None:
    check(WHOLE, 3, flagged=(3, 3), accepted=5)
    for short in (
        replace(WHOLE, messages=2),
        replace(WHOLE, waiting=1),
        replace(WHOLE, undecided=1),
        replace(WHOLE, unanswered=1),
        replace(WHOLE, marks_waiting=1),
        replace(WHOLE, mails_failed=1),
        replace(WHOLE, mails_sent=4),
    ):
        with pytest.raises(Failed):
            check(short, 3, flagged=(3, 3), accepted=5)
    with pytest.raises(Failed):
        check(WHOLE, 3, flagged=(3, 2), accepted=5)


def test_a_measure_replaces_its_own_last_results_only(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    results.save(
        [Result("intake-sqlite", [Figure("a", "", "1")]), Result("idle", [Figure("b", "", "2", met=False)])], file
    )
    results.save([Result("intake-sqlite", [Figure("a", "", "3", met=True)])], file)
    assert [figure.reached for result in results.load(file).values() for figure in result.figures] == ["3", "2"]


def test_the_page_asks_nobody_for_anything() -> None:
    page = report.page(results.load())
    assert page.count("<svg") == page.count("</svg>") >= 3
    assert not re.search(r"https?:|\bsrc=|@import|url\(", page)


def test_page_and_table_are_those_of_the_results_on_file() -> None:
    found = results.load()
    assert report.PAGE.read_text("utf-8") == report.page(found)
    assert f"{report.BEGIN}\n\n{report.markdown(found)}\n\n{report.END}" in report.DOCUMENT.read_text("utf-8")


def test_text_in_a_chart_is_text() -> None:
    chart = Chart("a < b", "x & y", "z", [Line("<b>", [(0.0, 1.0), (2.0, 3.0)], "one")], [Goal("5 > 4", None, 4.0)])
    assert "<b>" not in chart.svg()
    assert "&lt;b&gt;" in chart.svg()
    assert "5 &gt; 4" in chart.svg()


@pytest.mark.parametrize(
    ("top", "expected"), [(100.0, [0, 20, 40, 60, 80, 100]), (7.3, [0, 2, 4, 6, 8]), (0.9, [0, 0.2, 0.4, 0.6, 0.8, 1])]
)
def test_axes_are_divided_as_people_count(top: float, expected: list[float]) -> None:
    assert ticks(top) == pytest.approx(expected)
