"""Which open case a new one may be about: the sketches of a mailbox's newest open cases, in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from mailbox_service.sorting.triage.sketches import Sketch, resemblance

# About 5 MB for a mailbox that has them all; nobody works on more at a time.
CASES_COMPARED: Final = 500
# How many cases a run or a name leads to. What stands in more of them tells no two apart, and a flood of equal mails
# must not make each of them dearer than the one before. The earliest are kept: of a copy the original is told.
CASES_PER_ENTRY: Final = 16
# A template of which a third is left as it was; two reports that somebody wrote for themselves share next to nothing.
ALIKE_FROM: Final = 0.3
# From here on it is the same text, and the earliest case is named.
SAME_FROM: Final = 0.8
# A name that more open cases have is one of the product's own.
RARE_NAME_CASES: Final = 4
NAMES_SHARED: Final = 3
SHARE_OF_NAMES: Final = 0.5
ANSWERS: Final = 3
# Cases are found by the smallest runs of a sketch, and weighed by all of it: of two texts of which a third is the same,
# some five of sixteen are.
RUNS_INDEXED: Final = 16
RUNS_SHARED: Final = 2


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A case that may be about the same: `copied` where much of the text is the same, else by the names in it."""

    key: int
    copied: bool
    weight: float


@dataclass(slots=True)
class Neighbours:
    """Sketches by key. A key is anything that the caller knows a case by."""

    _sketches: dict[int, Sketch] = field(default_factory=dict)
    _runs: dict[int, list[int]] = field(default_factory=dict)
    _names: dict[int, list[int]] = field(default_factory=dict)

    def __contains__(self, key: int) -> bool:
        return key in self._sketches

    def __len__(self) -> int:
        return len(self._sketches)

    def add(self, key: int, sketch: Sketch) -> list[int]:
        """Remember a case; beyond CASES_COMPARED the one added first is forgotten. The keys of those that are."""
        if key in self._sketches:
            return []
        self._sketches[key] = sketch
        for index, values in ((self._runs, sketch.runs[:RUNS_INDEXED]), (self._names, sketch.names)):
            for value in values:
                keys = index.setdefault(value, [])
                if len(keys) < CASES_PER_ENTRY:
                    keys.append(key)
        if len(self._sketches) <= CASES_COMPARED:
            return []
        oldest = next(iter(self._sketches))
        self.forget(oldest)
        return [oldest]

    def forget(self, key: int) -> None:
        sketch = self._sketches.pop(key, None)
        if sketch is None:
            return
        for index, values in ((self._runs, sketch.runs[:RUNS_INDEXED]), (self._names, sketch.names)):
            for value in values:
                keys = index.get(value, [])
                if key in keys:
                    keys.remove(key)
                if not keys:
                    index.pop(value, None)

    def near(self, sketch: Sketch) -> list[Neighbour]:
        """The likeliest first, at most ANSWERS."""
        copied, named = self._copies(sketch), self._namesakes(sketch)
        known = {one.key for one in copied}
        found = copied + [one for one in named if one.key not in known]
        return sorted(found, key=lambda one: (not one.copied, -min(one.weight, SAME_FROM), one.key))[:ANSWERS]

    def _copies(self, sketch: Sketch) -> list[Neighbour]:
        shared: Counter[int] = Counter()
        for run in sketch.runs[:RUNS_INDEXED]:
            if (keys := self._runs.get(run)) is not None:
                shared.update(keys)
        # Among those that share nearly all the earliest come first.
        most = SAME_FROM * min(len(sketch.runs), RUNS_INDEXED)
        likely = sorted((-min(count, most), key) for key, count in shared.items() if count >= RUNS_SHARED)[:ANSWERS]
        weighed = [(key, resemblance(sketch, self._sketches[key])) for _, key in likely]
        return [Neighbour(key, True, weight) for key, weight in weighed if weight >= ALIKE_FROM]

    def _namesakes(self, sketch: Sketch) -> list[Neighbour]:
        shared: Counter[int] = Counter()
        for name in sketch.names:
            if (keys := self._names.get(name)) is not None and len(keys) <= RARE_NAME_CASES:
                shared.update(keys)
        found = []
        for key, count in shared.most_common(ANSWERS):
            smaller = min(len(sketch.names), len(self._sketches[key].names))
            if count >= NAMES_SHARED or (count >= 2 and count >= SHARE_OF_NAMES * smaller):
                found.append(Neighbour(key, False, count / max(smaller, 1)))
        return found
