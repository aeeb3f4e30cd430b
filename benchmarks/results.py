"""What was measured, as a table and as a file that the next run adds to."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT

# As issue and readers ask for them.
ORDER = (
    *("intake-sqlite", "intake-postgres", "backlog", "latency", "attachment", "growth-sqlite", "growth-postgres"),
    *("hostile", "openpgp", "idle"),
)
FILE = ROOT / "benchmarks" / "results.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `met` is None for what has no goal of its own."""

    what: str
    wanted: str
    reached: str
    met: bool | None = None


@dataclass(slots=True)
class Result:
    """What one measure found: lines of the table, data for plots, and under which conditions."""

    measure: str
    figures: list[Figure] = field(default_factory=list)
    plots: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)

    def add(self, what: str, wanted: str, reached: str, met: bool | None = None) -> None:
        self.figures.append(Figure(what, wanted, reached, met))


def conditions(command: str) -> dict[str, Any]:
    """When and on what it was measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "machine": machine(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def machine() -> str:
    lines = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = lines[0].partition(":")[2].strip() if lines else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    dovecot = _said("dovecot", "--version").partition(" ")[0]
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, {platform.freedesktop_os_release()['PRETTY_NAME']}, "
        f"Python {platform.python_version()}, Dovecot {dovecot}"
    )


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def load(file: Path = FILE) -> dict[str, Result]:
    """What was written last, by measure."""
    if not file.exists():
        return {}
    kept: list[dict[str, Any]] = json.loads(file.read_text())
    return {
        one["measure"]: Result(
            one["measure"], [Figure(**figure) for figure in one["figures"]], one["plots"], one["conditions"]
        )
        for one in kept
    }


def save(results: Iterable[Result], file: Path = FILE) -> None:
    """Put `results` in the place of those of the same measures."""
    merged = load(file) | {result.measure: result for result in results}
    ordered = sorted(merged.values(), key=lambda result: ORDER.index(result.measure))
    file.write_text(json.dumps([asdict(result) for result in ordered], indent=1) + "\n")


def table(results: Iterable[Result]) -> str:
    rows = [figure for result in results for figure in result.figures]
    width = max((len(row.what) for row in rows), default=0)
    wanted = max((len(row.wanted) for row in rows), default=0)
    return "\n".join(f"{verdict(row):6}  {row.what:{width}}  {row.wanted:{wanted}}  {row.reached}" for row in rows)


def verdict(figure: Figure) -> str:
    return {True: "met", False: "MISSED", None: ""}[figure.met]


# --- few numbers from many ---------------------------------------------------------------------------------------


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def listed(values: Sequence[float], places: int = 2) -> str:
    return ", ".join(f"{value:.{places}f}" for value in values)
