"""`template`: the mails' texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailbox_service.cli.invocation import AsJson, Invocation
from mailbox_service.cli.output import Column, facts, listing, write, write_json
from mailbox_service.errors import NotFound

if TYPE_CHECKING:
    from mailbox_service.adapters.templates import Templates

app = typer.Typer(name="template", help="The texts of the mails; docs/templates.md.", no_args_is_help=True)

KEYS = ("name", "source")
COLUMNS = (Column("NAME", "name"), Column("SOURCE", "source"))


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """All mails, and whether the text is the built-in one or your own."""
    templates = _templates(context)
    rows = [{"name": name, "source": str(templates.source(name))} for name in templates.names()]
    listing(rows, COLUMNS, KEYS, as_json=as_json, empty="No templates.")


@app.command()
def preview(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="As in `template list`.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """One mail, filled with made-up facts."""
    templates = _templates(context)
    if name not in templates.names():
        raise NotFound(f"no template {name}; there are: {', '.join(templates.names())}")
    mail = templates.preview(name)
    if as_json:
        write_json({"name": name, "subject": mail.subject, "body": mail.body})
        return
    facts([("Subject:", mail.subject)])
    write(f"\n{mail.body}".rstrip("\n"))


def _templates(context: typer.Context) -> Templates:
    from mailbox_service.adapters.templates import Templates

    return Templates.load(Invocation.of(context).config().templates)
