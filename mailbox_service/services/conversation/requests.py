"""What a mail asks for: its newly written text, and the commands at the top of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mailbox_service.core.case import Party
from mailbox_service.core.commands import Commands, Context, Misread, TextFor, Weight, parse
from mailbox_service.core.message import ParsedMessage
from mailbox_service.core.newtext import Doubt, NewText, newly_written
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import MessageId

# The foot of our mails, as far as no person writes it: what stands below one of these was not written now.
FOOT_OF_MAINTAINERS = "Only the maintainers of {project} see an answer to this mail"
FOOT_OF_REPORTERS = "Your answer goes to the maintainers of {project}"
FOOT_THAT_GOES_OUT = "Your answer to this mail goes to the reporter, unless"
FEET = (FOOT_OF_MAINTAINERS, FOOT_OF_REPORTERS, FOOT_THAT_GOES_OUT)
# Why a text is shown to its writer before it goes out, in the words of the preview.
DOUBTS = {
    Doubt.UNMARKED_QUOTE: "something that looks like a quoted mail without marks stands in it",
    Doubt.WRAPPED_QUOTE: "a line that may be part of a quote stands in it",
    Doubt.LONG_SIGNATURE: "a long text below `-- ` was taken for your signature and left out",
    Doubt.FORWARDED: "it seems to be nothing but a forwarded mail",
    Doubt.TOO_LONG: "it is too long, and only its beginning was read",
    Doubt.MARKER: "words of one of our own mails stand in it",
}
HTML_ONLY = "commands are read from plain text only, and this mail has none: please send it as plain text"


@dataclass(frozen=True, slots=True)
class Request:
    """One mail, read. `message` is where its files are; None on the host."""

    commands: Commands
    new: NewText
    message: MessageId | None
    kept: str = ""  # the text of a sealed case that stands in no mail, encrypted to ourselves (services/kept)

    @property
    def weights(self) -> list[Weight]:
        """How much proof each command needs, and the text without one."""
        weights = [command.verb.weight for command in self.commands.commands]
        return weights or [Weight.REVERSIBLE if self.commands.text_for is TextFor.REPORTER else Weight.NOTE]

    @property
    def lines(self) -> list[str]:
        """The commands as they were written."""
        return [command.line for command in self.commands.commands]


def nothing() -> Request:
    """No mail at all."""
    return Request(Commands((), False, False, "", TextFor.NOTE), NewText("", 0), None)


def context_of(mailbox: Mailbox, party: Party | None, name: str, *, on_case: bool) -> Context:
    """What the words of a person are measured by."""
    roster = tuple(maintainer.name for maintainer in mailbox.maintainers)
    return Context(party or Party.REPORTER, name, roster, mailbox.policy.zone, on_case)


def newly_written_in(message: ParsedMessage, mailbox: Mailbox) -> NewText:
    """The new text of a mail. In one that has only HTML no line counts as a command: it may show something else."""
    markers = [foot.format(project=mailbox.project_name) for foot in FEET]
    if message.text_is_html:
        return replace(newly_written(message.text, markers), head_lines=0)
    return newly_written(message.plain_text, markers)


def read_request(
    message: ParsedMessage, number: MessageId, mailbox: Mailbox, context: Context, *, outward: bool = False
) -> Request | Misread:
    """What the mail asks for, or why nothing of it counts.

    `outward`: it was sent to the address that answers the reporter.
    """
    new = newly_written_in(message, mailbox)
    if message.text_is_html and new.text.lstrip().startswith("/"):
        return Misread((HTML_ONLY,))
    commands = parse(new, context)
    if isinstance(commands, Misread):
        return commands
    goes_out = outward or mailbox.maintainer_reply is TextFor.REPORTER
    if context.party is Party.MAINTAINER and not commands.commands and goes_out:
        commands = replace(commands, text_for=TextFor.REPORTER)
    return Request(commands, new, number)


def doubts_of(new: NewText) -> list[str]:
    """Why the division into new and old text may be wrong, for its writer."""
    return [DOUBTS[doubt] for doubt in sorted(new.doubts)]
