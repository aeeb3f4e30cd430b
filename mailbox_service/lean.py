"""What keeps our processes small.

The process for heavy work (adapters/processor) needs neither an event loop nor a logger, but for the day on which
something goes wrong: together they are half of its memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import cast


def load_structlog_without_rich() -> None:
    """structlog loads rich where that is installed (typer brings it along), for tracebacks that show the locals of a
    frame. Those may hold mail and are never printed here; left out, each process is 6 MB smaller and starts sooner."""
    if {"rich", "structlog"} & sys.modules.keys():
        return
    sys.modules["rich"] = cast(ModuleType, None)  # the import system's word for "there is none"
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


class RareLogger:
    """A logger for code that hardly ever has anything to say: structlog is loaded with the first word."""

    before_the_first: Callable[[], None] | None = None  # sets logging up, where nobody has done so

    def error(self, event: str, **fields: object) -> None:
        """As structlog's."""
        load_structlog_without_rich()
        import structlog

        if RareLogger.before_the_first is not None:
            RareLogger.before_the_first()
            RareLogger.before_the_first = None
        structlog.get_logger().error(event, **fields)
