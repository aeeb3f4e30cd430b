"""The model as a file: weights by feature, the numbers that make probabilities of scores, thresholds by intent.

A text file, so that a change of it can be read: a first line with the format's version, sections in brackets, a line
for each name with its numbers, and a last line with the count and the digest of all that stands above.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from mailbox_service.errors import MailboxServiceError

_FIRST: Final = "mailbox-service sorter model"
VERSION: Final = 1
_SECTIONS: Final = ("segment", "spam", "verdict", "thresholds")


class ModelError(MailboxServiceError):
    """The file is no model, was cut short or changed, or is of another version."""


@dataclass(frozen=True, slots=True)
class Model:
    """Weights are log-odds. The bias of each part stands under the name `bias`."""

    segment: Mapping[str, float]  # for a report, by feature of one segment
    spam: Mapping[str, float]  # for spam, by feature of the whole mail
    verdict: Mapping[str, float]  # how the scores above become two probabilities
    thresholds: Mapping[str, float]  # `not_security 1/200` and the like: the probabilities that part the outcomes


def dumps(model: Model) -> str:
    """The model as text: sorted, so that the same model is the same bytes."""
    lines = [f"{_FIRST} {VERSION}"]
    for section in _SECTIONS:
        lines.append(f"[{section}]")
        values: Mapping[str, float] = getattr(model, section)
        lines += [f"{name}\t{value:.6g}" for name, value in sorted(values.items())]
    text = "\n".join(lines) + "\n"
    return f"{text}end {len(lines)} {hashlib.sha256(text.encode()).hexdigest()}\n"


def loads(text: str) -> Model:
    """The model in `text`; `ModelError` says what is wrong with it."""
    first = text.partition("\n")[0]
    if not first.startswith(_FIRST):
        raise ModelError("this is no model of the sorter")
    if first != f"{_FIRST} {VERSION}":
        raise ModelError(f"the model is of another version: {first.removeprefix(_FIRST).strip()[:20]!r}, not {VERSION}")
    body, end, last = text.rpartition("\nend ")
    body += "\n"
    if not end or last.split() != [str(body.count("\n")), hashlib.sha256(body.encode()).hexdigest()]:
        raise ModelError("the model was cut short or changed: its last line does not match")
    parts: dict[str, dict[str, float]] = {}
    current: dict[str, float] = {}
    try:
        for line in body.split("\n")[1:-1]:
            name, tab, value = line.partition("\t")
            if tab:
                current[name] = float(value)
            else:
                current = parts[line.strip("[]")] = {}
        return Model(**{section: parts[section] for section in _SECTIONS})
    except (KeyError, ValueError) as error:
        raise ModelError(f"the model cannot be read: {error}") from None


def shipped() -> Model:
    """The model in the package."""
    return loads((files("mailbox_service.sorting") / "model.txt").read_text("utf-8"))
