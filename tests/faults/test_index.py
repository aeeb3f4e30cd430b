"""Each of the 25 fault points has a test that exists, as docs/faults.md says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) .*\| ([^|]*) \|$", re.MULTILINE)
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_fault_point_names_tests_that_exist() -> None:
    rows = ROW.findall((ROOT / "docs" / "faults.md").read_text())
    assert [int(number) for number, _ in rows] == list(range(1, 26))
    for number, cell in rows:
        named = NODE.findall(cell)
        assert named, number
        for file, name in named:
            assert name in functions_in(file), f"fault point {number}: {file}::{name}"


def test_every_test_of_a_fault_point_is_in_the_table() -> None:
    listed = {name for _, name in NODE.findall((ROOT / "docs" / "faults.md").read_text())}
    for file in (ROOT / "tests" / "faults").glob("test_fault_points_*.py"):
        assert {name for name in functions_in(str(file)) if name.startswith("test_fault_")} <= listed
