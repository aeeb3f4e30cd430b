"""Coverage-guided fuzzing of one target with Atheris; see docs/fuzzing.md.

python -m tests.fuzz TARGET [libFuzzer options, such as -max_total_time=60 -seed=1 CORPUS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

# What is imported here is instrumented: the fuzzer sees which branches an input takes.
with atheris.instrument_imports(include=["mailbox_service.core"]):
    from tests.fuzz.targets import TARGETS, seeds


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(TARGETS)} [libFuzzer options]")
    name, options = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds(name)):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        # New inputs go into the first folder named; the seeds are only read.
        corpora = [option for option in options if not option.startswith("-")] or [tempfile.mkdtemp(dir=folder)]
        flags = [option for option in options if option.startswith("-")]
        atheris.Setup([sys.argv[0], "-max_len=4096", "-rss_limit_mb=1024", *flags, *corpora, folder], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
