"""Labelled mails: JSON lines of texts, or a folder of raw mails with an index. For evaluation and training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mailbox_service.core.automatic import recognise
from mailbox_service.core.message import parse
from mailbox_service.errors import MailboxServiceError
from mailbox_service.sorting import Sortable
from mailbox_service.sorting.sortable import sortable

LABELS: Final = ("security", "not_security", "spam", "either", "automatic")
INDEX: Final = "index.jsonl"
PLAIN: Final = "mails.jsonl"


class LabelledError(MailboxServiceError):
    """A file of labelled mails cannot be used; the text says which line, and why."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One mail and what a person says it is."""

    id: str
    source: str  # who collected or wrote it
    project: str  # what must not be in training and judging at once
    label: str
    kind: str
    language: str
    form: str  # "email", "issue", "platform_report" ...
    mail: Sortable


def read(path: Path) -> list[Labelled]:
    """The labelled mails of a file of JSON lines, or of a folder: of every `index.jsonl` (raw mails) and `mails.jsonl`
    (texts) in it or below it."""
    if path.is_dir():
        found = [labelled for index in sorted(path.rglob(INDEX)) for labelled in _folder(index)]
        found += [labelled for plain in sorted(path.rglob(PLAIN)) for labelled in read(plain)]
        if not found:
            raise LabelledError(f"{path}: no {INDEX} and no {PLAIN} in it")
        return found
    name = path.parent.name if path.name == PLAIN else path.stem
    return [_text(row, name, where) for row, where in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelledError(f"{path}: cannot be read: {type(error).__name__}") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise LabelledError(f"{where}: not JSON") from None
            if not isinstance(row, dict) or row.get("label") not in LABELS:
                raise LabelledError(f"{where}: not an object with a label of {', '.join(LABELS)}")
            yield row, where


def _text(row: dict[str, Any], name: str, where: str) -> Labelled:
    subject, body = row.get("subject", ""), row.get("body", "")
    if not (isinstance(subject, str) and isinstance(body, str)):
        raise LabelledError(f"{where}: subject and body must be text")
    source = str(row.get("source") or row.get("part") or row.get("writer") or name)
    return Labelled(
        id=str(row.get("id", where)),
        source=source,
        project=f"{source}/{row.get('project', '')}",
        label=row["label"],
        kind=str(row.get("subtype") or row.get("kind") or row.get("theme") or ""),
        language=str(row.get("lang") or row.get("language") or "en"),
        form=str(row.get("form", "email")),
        mail=Sortable(subject, (body,)),
    )


def _folder(index: Path) -> Iterator[Labelled]:
    for row, where in _rows(index):
        try:
            raw = (index.parent / str(row["file"])).read_bytes()
        except (KeyError, OSError) as error:
            raise LabelledError(f"{where}: its mail cannot be read: {type(error).__name__}") from None
        message = parse(raw)
        writer = str(row.get("writer") or index.parent.name)
        yield Labelled(
            id=str(row["file"]),
            source=writer,
            project=writer,
            label=row["label"],
            kind=str(row.get("kind", "")),
            language=str(row.get("language", "")),
            form="email",
            mail=sortable(message, recognise(message)),
        )
