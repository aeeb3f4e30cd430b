"""The triage hints of a case, as its journal keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mailbox_service.cli.output import heading, passage
from mailbox_service.core.case import Event
from mailbox_service.core.display import harmless


def hints_in(journal: Iterable[Mapping[str, Any]], message_id: int | None = None) -> list[dict[str, str]]:
    """What was hinted when the case was opened; with `message_id` only where that message opened it."""
    opened = (entry["data"] for entry in journal if entry["event"] == Event.OPENED)
    return [hint for data in opened if message_id in (None, data.get("message")) for hint in data.get("hints", ())]


def show_hints(hints: Sequence[Mapping[str, str]]) -> None:
    if hints:
        heading("Hints, not verdicts:")
        for hint in hints:
            passage(harmless(hint["text"]))
