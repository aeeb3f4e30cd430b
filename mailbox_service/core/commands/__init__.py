"""The commands that reporters and maintainers write into mails: one grammar, its parser and its pages.

A command is a line that begins with `/` at the top of the newly written text. `verbs` holds the grammar, `written`
undoes what clients do to lines, `arguments` and `reading` parse, `pages` writes the tables of the documents.
"""

from __future__ import annotations

from mailbox_service.core.commands.arguments import RESOLUTIONS, Context, Read
from mailbox_service.core.commands.reading import Command, Commands, Misread, parse
from mailbox_service.core.commands.verbs import VERBS, Place, TextFor, Verb, Weight

__all__ = [
    "RESOLUTIONS",
    "VERBS",
    "Command",
    "Commands",
    "Context",
    "Misread",
    "Place",
    "Read",
    "TextFor",
    "Verb",
    "Weight",
    "parse",
]
