"""Which points a campaign kills at. A dry run tells all of them; the usual run takes a sample, `FAULTS=all` takes all.

FAULTS=all        every point, in place of a sample of FAULTS_POINTS (16) beside those that always count
FAULTS_PAIRS=200  so many pairs of deaths in place of 8, for each database
FAULTS_SEED=7     another sample: the seed stands in each failure
FAULTS_REPORT=f   a line for each part of a campaign is appended to the file f
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.failpoints import ANY, Fault

ALL = os.environ.get("FAULTS", "") == "all"
POINTS = int(os.environ.get("FAULTS_POINTS", "16"))
PAIRS = int(os.environ.get("FAULTS_PAIRS", "8"))
SEED = int(os.environ.get("FAULTS_SEED", "1"))
REPORT = os.environ.get("FAULTS_REPORT", "")

# Always part of a sample, the first time each is reached: the steps of a message's way, and where the outside is told.
CRITICAL = (
    *(
        f"{when} commit {step}"
        for step in ("T1", "T3", "T4", "T5", "T6", "MARKING", "MARKED")
        for when in ("before", "after")
    ),
    *(f"after write {what}" for what in ("imap UID STORE", "imap UID MOVE", "smtp content", "smtp dot")),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a life, and for the how-manieth time it is reached."""

    name: str
    nth: int

    def fault(self, do: str) -> Fault:
        return Fault(do, self.name, self.nth)


@dataclass(slots=True)
class Tally:
    """What a part of a campaign did."""

    deaths: int = 0
    not_reached: int = 0  # the life took another course, as several threads and sockets may
    repeated: int = 0  # mails that went out once more, in the window that SMTP leaves

    def report(self, what: str) -> None:
        if REPORT:
            with Path(REPORT).open("a") as file:
                file.write(f"{what} seed={SEED}: {self}\n")


def points_of(trace: Path) -> list[Point]:
    """All points of the life that wrote `trace`, in their order."""
    reached: Counter[str] = Counter()
    points = []
    for name in trace.read_text().splitlines():
        reached[name] += 1
        points.append(Point(name, reached[name]))
    return points


def sample(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    """The critical points, and `count` more: names drawn in turn, so that a frequent one does not crowd out a rare."""
    random = Random(seed)
    critical = [Point(name, 1) for name in CRITICAL]
    by_name: defaultdict[str, list[Point]] = defaultdict(list)
    for point in points:
        if point not in critical:
            by_name[point.name].append(point)
    names = sorted(by_name)
    random.shuffle(names)
    drawn: list[Point] = []
    while len(drawn) < count and names:
        for name in names[: count - len(drawn)]:
            drawn.append(by_name[name].pop(random.randrange(len(by_name[name]))))
        names = [name for name in names if by_name[name]]
    return critical + drawn


def chosen(points: Sequence[Point]) -> list[Point]:
    """What this campaign kills at, as its switches say."""
    return list(points) if ALL else sample(points, POINTS, SEED)


def pairs(points: Sequence[Point], count: int, seed: int) -> list[tuple[Fault, Fault]]:
    """Two deaths each: at a point drawn as above, and at any point of the recovery from it."""
    random = Random(seed)
    firsts = sample(points, max(count - len(CRITICAL), 0), seed)
    random.shuffle(firsts)
    return [(first.fault("kill"), Fault("kill", ANY, random.randint(1, len(points)))) for first in firsts[:count]]
