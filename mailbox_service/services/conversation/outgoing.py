"""What a maintainer's mail would let out of the house: text and files, and why its writer should see them first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailbox_service.core.commands import TextFor
from mailbox_service.core.message import Address
from mailbox_service.core.message.attachments import words
from mailbox_service.core.message.extraction import File
from mailbox_service.core.newtext import anonymous, echoes, names_any
from mailbox_service.services.conversation.letters import Enclosure, Letters, enclosure_of
from mailbox_service.services.conversation.requests import Request, doubts_of
from mailbox_service.services.conversation.turn import Turn
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import OutboundId

FILE_BYTES_LOOKED_AT = 1_000_000  # of one file, for names: a patch has its author at its top
# In names that mail programs send, these name no person; many of them stand in every answer.
_NO_NAMES = words(
    """
    a an and at by for from in of on the via von van de der mr mrs ms dr security team support info admin mail list
    project project's
    """
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    text: str = ""
    enclosure: Enclosure | None = None
    doubts: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        return self.enclosure.names if self.enclosure is not None else []


NOTHING = Outgoing()


def outgoing(turn: Turn, request: Request, letters: Letters, answered: Sequence[OutboundId]) -> Outgoing:
    """`answered`: the mails of ours that the text may quote."""
    commands = request.commands
    text, doubts = _text(turn, request, letters, answered)
    enclosure: Enclosure | None = None
    left: tuple[str, ...] = ()
    goes_out = commands.text_for is not TextFor.NOTE or any(c.verb.name == "patched" for c in commands.commands)
    if goes_out and request.message is not None:
        enclosure, left = enclosure_of(letters, request.message)
    doubts += [f"{name} is a whole mail and does not go out" for name in left]
    everybody = _names(turn, letters.mailbox) | _of_others(turn, letters.mailbox)
    doubts += [
        f"the name or address of a maintainer stands in {file.filename}"
        for file in (enclosure.files if enclosure is not None else ())
        if _names_somebody(file, everybody)
    ]
    return Outgoing(text, enclosure, tuple(doubts))


def _text(turn: Turn, request: Request, letters: Letters, answered: Sequence[OutboundId]) -> tuple[str, list[str]]:
    commands = request.commands
    if commands.text_for is TextFor.NOTE or not commands.text.strip():
        return "", []
    text, named = anonymous(commands.text, _names(turn, letters.mailbox))
    doubts = doubts_of(request.new)
    if named:
        doubts.append("your name or address stands in it")
    if names_any(text, _of_others(turn, letters.mailbox)):
        doubts.append("the name or address of another maintainer stands in it")
    if names_any(text, _of_reporters(turn, letters.mailbox)):
        doubts.append("it goes to several reporters, and may name one to another")
    if any(echoes(text, letters.words_of(mail)) for mail in answered):
        doubts.append("lines of the internal mail that you answered stand in it")
    return text, doubts + [f"`{line}` stands below your text and was taken for text" for line in commands.misplaced]


def names_of(address: str, name: str, author: Address | None, mailbox: Mailbox) -> set[str]:
    """What names the writer of a mail. Their mail program, which wrote `author`, may know a name that the roster does
    not."""
    shown = author.display_name if author is not None else ""
    return {address, *_parts((name, shown), mailbox)}


def _names(turn: Turn, mailbox: Mailbox) -> set[str]:
    return names_of(turn.speaker.address, turn.speaker.name, turn.understood.message.from_, mailbox)


def _of_others(turn: Turn, mailbox: Mailbox) -> set[str]:
    others = [m for m in mailbox.maintainers if m.name != turn.speaker.name]
    return {*(m.address for m in others), *_parts((m.name for m in others), mailbox)}


def _of_reporters(turn: Turn, mailbox: Mailbox) -> set[str]:
    """Of a case with several reporters, what is known of how they are called."""
    state = turn.record.state
    if len(state.reporters) < 2:
        return set()
    called = [re.sub(r"[._+-]", " ", address.partition("@")[0]) for address in state.reporters]
    return {*state.reporters, *_parts([*called, state.facts.credit or ""], mailbox)}


def _parts(names: Iterable[str], mailbox: Mailbox) -> set[str]:
    """Whole names, and each part of them that people are called by."""
    ours = {word.casefold() for word in (*mailbox.project_name.split(), mailbox.name)} | _NO_NAMES
    parts: set[str] = set()
    for name in names:
        called_by = [word.strip("\"'(),.;:<>") for word in name.split()]
        called = {word for word in called_by if word.casefold() not in ours}
        # A letter of an initial names nobody; a whole name of two may be somebody's.
        parts |= {word for word in called if len(word) > 2 or len(called_by) == 1 or not word.isascii()}
        parts |= {name} if called else set()
    return parts


def _names_somebody(file: File, names: set[str]) -> bool:
    text = file.data[:FILE_BYTES_LOOKED_AT].decode("utf-8", "replace")
    return names_any(f"{file.filename}\n{text}".replace("_", " "), names)
