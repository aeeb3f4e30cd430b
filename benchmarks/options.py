"""What the caller of the benchmarks may choose."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import SHARED


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of all measures; `quick` makes each as small as it can be and still go its whole way."""

    quick: bool = False
    n: int = 10_000
    rounds: int = 3
    databases: tuple[str, ...] = ("sqlite", "postgres")
    floor: str | None = None
    shared: Path = SHARED
    profile: str | None = None
    deliveries: int = 100
    on_file: int = 100_000
    sealed: int = 60  # encrypted reports at once
    backlogs: tuple[int, ...] = (100, 1_000, 3_000, 10_000)

    @staticmethod
    def tell(line: str) -> None:
        """How far it is; the table comes at the end."""
        print(line, file=sys.stderr, flush=True)
