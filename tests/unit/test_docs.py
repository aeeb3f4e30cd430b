"""What the documents show is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mailbox_service.cli.root import app
from mailbox_service.config import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
VERB = re.compile(r"mailbox-service(?: --config \S+)? ((?:[a-z]+)(?: [a-z]+)?)")


def test_the_shortest_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "secret").chmod(0o600)
    config = tmp_path / "config.yaml"
    config.write_text(re.sub(r"/run/secrets/\w+", "secret", block))
    imap = load(config, {}).mailboxes[0].imap
    assert imap is not None
    assert imap.port == 993


def verbs() -> set[str]:
    """All verbs of the command line, a noun's as `noun verb`."""
    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            names.add(f"{group.typer_instance.info.name} {command.name or command.callback.__name__}")
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_verbs_that_exist_and_pages_that_are_there(page: Path) -> None:
    text = page.read_text()
    known = verbs()
    for found in VERB.findall(text):
        assert found in known or found.split()[0] in known, found
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link


def test_the_help_names_each_verb() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(name.split()[0] in shown for name in verbs())


def test_the_proofs_that_are_named_exist() -> None:
    page = (ROOT / "docs" / "proofs.md").read_text()
    named = re.findall(r"`([a-z_]+/test_[a-z_]+\.py)::(test_\w+)`", page)
    assert len(named) > 60 and page.count("::test_") == len(named)
    for module, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / "tests" / module).read_text(), re.MULTILINE), test
    for number in (*range(1, 11), *range(1, 13)):
        assert f"\n| {number} | " in page
