"""The software behind a security@ address."""

import sys
from types import ModuleType
from typing import cast

__version__ = "0.1.0"


def _load_structlog_without_rich() -> None:
    """structlog loads rich where that is installed (typer brings it along), for tracebacks that show the locals of a
    frame. Those may hold mail and are never printed here; left out, each process is 6 MB smaller and starts sooner."""
    if {"rich", "structlog"} & sys.modules.keys():
        return
    sys.modules["rich"] = cast(ModuleType, None)  # the import system's word for "there is none"
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


_load_structlog_without_rich()
