"""The command line: one file per noun, for people, and with --json for programs. docs/cli.md describes it.

Only light modules are imported at the top of these files; what a verb needs it imports when it is called, so that
help comes at once and the daemon holds nothing in memory that it does not use.
"""

# ruff: noqa: E402 - typer, which the verbs import, brings rich along
from mailbox_service.lean import load_structlog_without_rich

load_structlog_without_rich()

from mailbox_service.cli.root import main as main
