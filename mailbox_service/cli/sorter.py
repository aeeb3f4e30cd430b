"""`sorter`: why a mail is what we say it is. These verbs need neither configuration nor database."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.cli.invocation import AsJson
from mailbox_service.cli.output import complain, facts, heading, passage, write_bytes, write_json
from mailbox_service.core.display import harmless

if TYPE_CHECKING:
    from mailbox_service.sorting import Sorter

app = typer.Typer(
    name="sorter", help="Security, not security, spam or unsure: the sorter by itself.", no_args_is_help=True
)

# Far above any mail; a line without an end must not fill the memory.
LINE_LIMIT_BYTES = 100_000_000


@app.command()
def explain(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A mail, or - for standard input.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """What the sorter makes of one mail, and what weighed."""
    from mailbox_service.core.automatic import recognise
    from mailbox_service.core.message import parse
    from mailbox_service.sorting.learned.sorter import TrainedSorter
    from mailbox_service.sorting.sortable import sortable

    with _opened(file) as stream:
        message = parse(stream.read())
    verdict = TrainedSorter().sort(sortable(message, recognise(message)))
    if as_json:
        reasons = [{"label": r.label, "towards": r.towards, "weight": round(r.weight, 2)} for r in verdict.reasons]
        values = {"outcome": verdict.outcome.value, "security": verdict.security, "spam": verdict.spam}
        write_json(values | {"reasons": reasons})
        return
    facts([("outcome", verdict.outcome.value), ("report", verdict.security), ("spam", verdict.spam)])
    heading("What weighed (log-odds):")
    for reason in verdict.reasons:
        passage(harmless(f"{reason.weight:+6.2f} {reason.towards}: {reason.label}"))


@app.command()
def classify(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines; - is standard input.")] = "-",
) -> None:
    """Sort many: JSON lines {"id", "subject", "body"} in, {"id", "outcome", "security", "spam"} out.

    Each answer is written before the next line is read. A line that cannot be understood is answered with
    {"id", "error"}, and the exit code is 65 in the end.
    """
    from mailbox_service.sorting.learned.sorter import TrainedSorter

    sorter = TrainedSorter()
    bad = False
    with _opened(file) as stream:
        while line := stream.readline(LINE_LIMIT_BYTES):
            if line.strip():
                answer = classified(line, sorter)
                bad |= "error" in answer
                write_bytes(json.dumps(answer).encode() + b"\n")
    if bad:
        raise typer.Exit(Exit.DATAERR)


@app.command()
def evaluate(
    path: Annotated[str, typer.Argument(metavar="FILE|DIR", help="JSON lines with labels, or a folder of mails.")],
    as_json: AsJson = False,
    html: Annotated[str, typer.Option("--html", metavar="FILE", help="Write a page of plots, too.")] = "",
    intent: Annotated[str, typer.Option(help="balanced, strict, open, or 1/N.")] = "balanced",
) -> None:
    """How good it is on labelled mails: what was missed, redirected and caught, per source, kind and language.

    FILE has lines {"subject", "body", "label"} and, if wanted, {"id", "source", "lang", "subtype"}; DIR has mails and
    an index.jsonl of {"file", "label", "kind", "language", "writer"}.
    """
    from mailbox_service.sorting.evaluation import judge, labelled, page, report
    from mailbox_service.sorting.learned.sorter import TrainedSorter

    try:
        sorter = TrainedSorter(intent)
        judged = judge(labelled.read(Path(path)), sorter)
    except (labelled.LabelledError, ValueError) as error:
        complain(f"mailbox-service: {error}")
        raise typer.Exit(Exit.DATAERR) from None
    figures = report(judged)
    if html:
        text = page.page(figures, judged, sorter.thresholds.not_security)
        Path(html).write_text(text, encoding="utf-8", errors="replace")
    if as_json:
        write_json(figures)
        return
    for group in ("source", "language", "kind"):
        heading(f"By {group}:")
        for name, row in figures[group].items():
            passage(harmless(f"{name}: {_line(row)}"))
    heading("Calibration (chance said: mails, share of reports):")
    for row in figures["calibration"]:
        passage(f"{row['said']:.2f}: {row['mails']}, {row['reports']:.2f}")
    heading("In all:")
    passage(_line(figures["all"]))


def _line(row: dict[str, Any]) -> str:
    from mailbox_service.sorting.evaluation.page import number

    shown = [("missed", f"of {row['reports']} reports missed"), ("redirected", f"of {row['others']} others redirected")]
    shown += [("spam_caught", f"of {row['spam']} spam caught"), ("unsure", "unsure"), ("precision", "precision")]
    shown += [("auc", "AUC"), ("milliseconds", "ms")]
    return ", ".join(f"{number(name, row[name])} {text}" for name, text in shown if row[name] is not None)


def classified(line: bytes, sorter: Sorter) -> dict[str, object]:
    """The answer to one line."""
    from mailbox_service.sorting import Sortable

    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        return {"id": None, "error": "not JSON in UTF-8"}
    if not isinstance(asked, dict):
        return {"id": None, "error": "not an object with id, subject and body"}
    known, subject, body = asked.get("id"), asked.get("subject", ""), asked.get("body", "")
    if not isinstance(known, str | int | float | None):
        return {"id": None, "error": "id is neither text nor number"}
    if not ({"subject", "body"} & asked.keys() and isinstance(subject, str) and isinstance(body, str)):
        return {"id": known, "error": "subject and body must be text"}
    verdict = sorter.sort(Sortable(subject=subject, texts=(body,)))
    return {"id": known, "outcome": verdict.outcome.value, "security": verdict.security, "spam": verdict.spam}


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as stream:
            yield stream
    except OSError as error:
        complain(f"mailbox-service: cannot read {file}: {error.strerror}")
        raise typer.Exit(Exit.NOINPUT) from None
