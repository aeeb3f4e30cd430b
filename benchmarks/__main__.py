"""All measures of speed and memory, as one table.

    python -m benchmarks [MEASURE ...] [--quick] [--floor PYTHON] [--write]

Against a real Dovecot, an SMTP sink and real databases, all on this machine and gone afterwards; the mail comes
from the generator in ../shared/bench (or --shared) where that lies beside the repository. --floor names the
interpreter of an environment that has what the README there asks for: then the bare path is measured in the same run,
and the ratio counts, because machines are noisy. --write keeps the results in benchmarks/results.json and renders
benchmarks/report.html and the table of docs/performance.md from them; measures that did not run keep their last
results.

A measure that finds a message missing, unanswered or not flagged fails the run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import attachment, backlog, growth, hostile, idle, intake, latency, openpgp, report, results
from benchmarks.corpus import SHARED
from benchmarks.options import Options
from benchmarks.results import Result
from benchmarks.stage import Stage

Measure = Callable[[Stage, Options], Iterator[Result]]
MEASURES: dict[str, Measure] = {
    "intake": intake.measure,
    "backlog": backlog.measure,
    "latency": latency.measure,
    "attachment": attachment.measure,
    "growth": growth.measure,
    "hostile": hostile.measure,
    "openpgp": openpgp.measure,
    "idle": idle.measure,
}
DATABASES = {"sqlite": ("sqlite",), "postgres": ("postgres",), "both": ("sqlite", "postgres")}


def run(names: Sequence[str], options: Options, command: str) -> list[Result]:
    found = []
    with Stage(options.shared) as stage:
        for name in names:
            conditions = results.conditions(command)
            began = time.monotonic()
            for result in MEASURES[name](stage, options):
                after = {"load_after": round(os.getloadavg()[0], 1), "seconds": round(time.monotonic() - began)}
                result.conditions = conditions | after
                found.append(result)
    return found


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of: {', '.join(MEASURES)}. Default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything still run?")
    parser.add_argument("--n", type=int, help="messages of the intake")
    parser.add_argument("--sealed", type=int, help="encrypted reports at once, of openpgp")
    parser.add_argument("--rounds", type=int, help="of floor and service in turn")
    parser.add_argument("--backlogs", type=int, nargs="+", metavar="N", help="sizes of the backlogs")
    parser.add_argument("--database", choices=sorted(DATABASES), default="both")
    parser.add_argument("--floor", metavar="PYTHON")
    parser.add_argument("--shared", type=Path, default=SHARED, metavar="DIR", help="where generator and floor lie")
    parser.add_argument("--profile", metavar="FILE", help="profile the service of the intake with cProfile (slower)")
    parser.add_argument("--write", action="store_true", help="keep the results, and render report and table")
    arguments = parser.parse_args(words)
    names = arguments.measures or list(MEASURES)
    if unknown := sorted(set(names) - set(MEASURES)):
        parser.error(f"no measure {', '.join(unknown)}; there are: {', '.join(MEASURES)}")
    options = options_of(arguments)
    command = "python -m benchmarks " + shlex.join(sys.argv[1:] if words is None else words)
    for path, name in ((arguments.floor or "", "PYTHON"), (str(arguments.shared), "DIR")):
        command = command.replace(path, name) if path else command
    found = run(names, options, command)
    print(results.table(found))
    if arguments.write:
        results.save(found)
        report.write()
    return 0


def options_of(arguments: argparse.Namespace) -> Options:
    small = Options(quick=True, n=40, rounds=1, deliveries=2, on_file=120, sealed=4, backlogs=(20,))
    usual = small if arguments.quick else Options()
    return Options(
        quick=arguments.quick,
        n=arguments.n or usual.n,
        rounds=arguments.rounds or usual.rounds,
        databases=DATABASES[arguments.database],
        floor=arguments.floor,
        shared=arguments.shared,
        profile=arguments.profile,
        deliveries=usual.deliveries,
        on_file=usual.on_file,
        sealed=arguments.sealed or usual.sealed,
        backlogs=tuple(arguments.backlogs or usual.backlogs),
    )


if __name__ == "__main__":
    sys.exit(main())
