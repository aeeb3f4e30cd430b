"""Proof that every part of the tests ran: reads pytest's JUnit report, exits 1 and says what did not run.

A green run in which half of the tests were skipped, or never collected, is a red one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]

# The parts that must have run at least one test each, by what its id (module::name) looks like.
PARTS = {
    "unit": r"^tests\.unit\.",
    "IMAP, against Dovecot": r"^tests\.imap\.",
    "SMTP, against Postfix": r"^tests\.smtp\.",
    "database, on SQLite": r"^tests\.database\..*sqlite",
    "database, on PostgreSQL": r"^tests\.database\..*postgres",
    "OpenPGP, with gpg": r"^tests\.openpgp\.",
    "end to end": r"^tests\.end_to_end\.",
    "demo": r"^tests\.demo\.",
    "faults": r"^tests\.faults\.",
}

# Beside the repository, and not everywhere: the tests over it may be skipped where it is absent, and only there.
CORPORA = ROOT.parent / "shared" / "corpora"
CORPORA_TESTS = r"corpora|corpus"


def cases(report: Path) -> tuple[set[str], dict[str, str]]:
    """The ids of the tests that ran, and of those that did not with the reason."""
    ran: set[str] = set()
    skipped: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        reason = case.find("skipped")
        if reason is None:
            ran.add(name)
        else:
            skipped[name] = reason.get("message", "")
    return ran, skipped


def modules(tests: Path) -> list[str]:
    return sorted(
        ".".join(("tests", *path.relative_to(tests).with_suffix("").parts)) for path in tests.rglob("test_*.py")
    )


def problems(
    ran: Iterable[str], skipped: dict[str, str], expected_modules: Iterable[str], *, corpora: bool
) -> list[str]:
    """One line for each thing that should have run and did not."""
    ran = set(ran)
    found = []
    for name, reason in sorted(skipped.items()):
        if corpora or not re.search(CORPORA_TESTS, name):
            found.append(f"skipped: {name} ({reason})")
    parts = PARTS | ({"corpora": CORPORA_TESTS} if corpora else {})
    for part, pattern in parts.items():
        if not any(re.search(pattern, name) for name in ran):
            found.append(f"no test ran: {part}")
    seen = {name.partition("::")[0] for name in (*ran, *skipped)}
    for module in expected_modules:
        # A test in a class has the class behind its module.
        if not any(name == module or name.startswith(f"{module}.") for name in seen):
            found.append(f"no test of this file: {module}")
    return found


def main() -> int:
    ran, skipped = cases(Path(sys.argv[1]))
    found = problems(ran, skipped, modules(ROOT / "tests"), corpora=CORPORA.is_dir())
    print(*(f"did not run: {line}" for line in found), sep="\n", end="\n" if found else "")  # noqa: T201
    print(f"{len(ran)} tests ran, {len(skipped)} were skipped, in {len(PARTS)} parts")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
