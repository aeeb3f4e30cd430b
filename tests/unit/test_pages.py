"""What documents show of the grammar and of the stages is what the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailbox_service.core.case import COMMANDS, Party
from mailbox_service.core.commands import VERBS
from tests.pages import BLOCK, DOCS, PARTS, pages, renewed


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_is_current(page: Path) -> None:
    text = page.read_text("utf-8")
    assert renewed(text) == text, "run python -m tests.pages"


def test_every_part_stands_in_some_page() -> None:
    shown = {found[2] for page in DOCS.glob("*.md") for found in BLOCK.finditer(page.read_text("utf-8"))}
    assert shown == set(PARTS)


def test_each_command_that_moves_a_case_is_in_the_grammar() -> None:
    of_maintainers = {f"/{verb.name}" for verb in VERBS if Party.MAINTAINER in verb.who}
    assert set(COMMANDS.values()) <= of_maintainers
