"""Intake end to end: IMAP -> evidence stored -> sorted -> case, journal, outbox -> answer accepted by SMTP -> flagged.

    python -m benchmarks.intake [--n 10000] [--database sqlite|postgres] [--floor PYTHON] [--profile FILE]

Against a real Dovecot and a sink that speaks SMTP, both on this machine. Prints one table. `--floor` also measures
the bare path of `../shared/bench/floor_e2e.py` (where it lies beside the repository) in the same run, with the
interpreter of an environment that has what its README asks for: quote the ratio, because machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import corpus
from tests.peers.dovecot import Dovecot, free_port
from tests.peers.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "bench"


def generated(count: int, folder: Path) -> list[bytes]:
    """The messages of the shared generator where it is there, else of our own."""
    if not (SHARED / "corpus.py").is_file():
        return list(corpus.messages(count))
    subprocess.run(
        [sys.executable, SHARED / "corpus.py", folder / "corpus", "--n", str(count)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return [path.read_bytes() for path in sorted((folder / "corpus" / "eml").iterdir())]


def configuration(folder: Path, dovecot: Dovecot, user: str, smtp_port: int, url: str) -> Path:
    (folder / "password").write_text("pw\n")
    (folder / "password").chmod(0o600)
    path = folder / "config.yaml"
    caps = 100_000  # the largest that can be configured: every message is answered
    path.write_text(
        f"""\
database: {{url: "{url}"}}
mailboxes:
  - name: security
    address: security@example.test
    team_address: team@example.test
    project_name: Example
    answer_backlog: true
    authserv_id: mx.example.test
    imap: {{host: 127.0.0.1, port: {dovecot.port}, security: none, username: {user}, password_file: password}}
    smtp: {{host: 127.0.0.1, port: {smtp_port}, security: none}}
    maintainers: [{{name: Ada, address: ada@example.test}}]
    limits: {{sender_per_day: {caps}, domain_per_day: {caps}, per_hour: {caps}}}
outbox: {{max_per_hour: 1000000}}
logging: {{format: json, level: warning}}
"""
    )
    return path


def run_daemon(config: Path, profile: str | None) -> dict[str, float]:
    """Run the service in a process of its own until the backlog is done; its own figures."""
    command = [sys.executable, "-m", "benchmarks.daemon", str(config)]
    if profile:
        command += ["--profile", profile]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def sink(stack: ExitStack) -> int:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.sink", str(port)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return port


def floor(
    python: str, count: int, dovecot: Dovecot, user: str, smtp_port: int, url: str, folder: Path
) -> dict[str, float]:
    """The yardstick: the same libraries without sorting, evidence or templates."""
    command = [
        python, str(SHARED / "floor_e2e.py"), "batched", "--n", str(count), "--parser", "compat32",
        "--user", user, "--imap", str(dovecot.port), "--smtp", str(smtp_port), "--url", url,
    ]  # fmt: skip
    (folder / "bench-work").mkdir(exist_ok=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(arguments: argparse.Namespace) -> Iterator[tuple[str, float, float, float]]:
    """Rows of the table: what, messages a second, peak RSS in MB, CPU milliseconds a message."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        mails = generated(arguments.n, folder)
        dovecot = Dovecot()
        stack.callback(dovecot.remove)
        stack.callback(dovecot.stop)
        dovecot.start()
        smtp_port = sink(stack)
        urls = {"sqlite": lambda name: f"sqlite:///{folder / name}.db"}
        if arguments.database == "postgres":
            server = PostgresServer()
            stack.callback(server.remove)
            stack.callback(server.stop)
            server.start()
            urls["postgres"] = lambda _name: server.database()
        for round_ in range(arguments.rounds):
            if arguments.floor:
                user = dovecot.add_user()
                dovecot.fill(user, mails)
                url = urls[arguments.database](f"floor{round_}").replace("postgresql://", "postgresql+psycopg://")
                figures = floor(arguments.floor, arguments.n, dovecot, user, smtp_port, url, folder)
                yield (
                    "floor (batched, compat32)",
                    figures["msgs_s"],
                    figures["rss_mb"],
                    figures["cpu_s"] / arguments.n * 1e3,
                )
            user = dovecot.add_user()
            dovecot.fill(user, mails)
            state = folder / f"state{round_}"
            state.mkdir()
            config = configuration(state, dovecot, user, smtp_port, urls[arguments.database](f"service{round_}"))
            figures = run_daemon(config, arguments.profile)
            assert figures["messages"] == arguments.n, figures
            yield (
                "mailbox-service",
                arguments.n / figures["seconds"],
                figures["rss_mb"],
                figures["cpu_s"] / arguments.n * 1e3,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--floor", metavar="PYTHON")
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    print(f"{arguments.n} messages, {arguments.database}, {os.cpu_count()} cores")
    print(f"{'what':28} {'msgs/s':>8} {'RSS MB':>8} {'CPU ms':>8} {'of floor':>9}")
    last_floor = 0.0
    for what, rate, rss, cpu in measure(arguments):
        if what.startswith("floor"):
            last_floor = rate
        share = f"{rate / last_floor:9.2f}" if last_floor and not what.startswith("floor") else ""
        print(f"{what:28} {rate:8.0f} {rss:8.0f} {cpu:8.2f} {share}", flush=True)


if __name__ == "__main__":
    main()
