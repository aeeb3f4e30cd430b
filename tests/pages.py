"""The parts of documents that are made from the code: `python -m tests.pages` writes them, a test compares them."""

from __future__ import annotations

import re
from pathlib import Path

from mailbox_service import logs
from mailbox_service.core.case import Party
from mailbox_service.core.case import pages as case_pages
from mailbox_service.core.commands import pages as command_pages
from tests import mails_shown

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"(<!-- begin: ([a-z-]+), by python -m tests\.pages -->\n).*?(<!-- end -->)", re.DOTALL)

PARTS = {
    "commands-of-maintainers": lambda: command_pages.table(Party.MAINTAINER),
    "commands-of-reporters": lambda: command_pages.table(Party.REPORTER),
    "resolutions-to-write": command_pages.resolutions,
    "diagram": case_pages.diagram,
    "stages": case_pages.stages,
    "moves": case_pages.moves,
    "matrix": case_pages.matrix,
    "resolutions": case_pages.resolutions,
    "story-of-maintainers": mails_shown.for_maintainers,
    "story-of-reporters": mails_shown.for_reporters,
    **mails_shown.SCENES,
}


def pages() -> list[Path]:
    """The documents that have such parts."""
    return [page for page in sorted(DOCS.glob("*.md")) if BLOCK.search(page.read_text("utf-8"))]


def renewed(text: str) -> str:
    """The document with every part as the code makes it now."""
    return BLOCK.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", text)


def main() -> None:
    logs.configure(level="error")
    for page in pages():
        page.write_text(renewed(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
