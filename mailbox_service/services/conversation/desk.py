"""Answers to mails of ours that belong to no case, such as a digest: a line for each message that it names."""

from __future__ import annotations

from collections.abc import Sequence

from mailbox_service.core.authority import Permission, least
from mailbox_service.core.case import Party
from mailbox_service.core.commands import Command, Misread, Place
from mailbox_service.core.commands.pages import help_lines
from mailbox_service.core.message import Encryption
from mailbox_service.errors import NotFound, Refused
from mailbox_service.services import decisions
from mailbox_service.services.conversation import answers, contexts
from mailbox_service.services.conversation.letters import Letters
from mailbox_service.services.conversation.requests import context_of, read_request
from mailbox_service.services.conversation.signatures import wanted
from mailbox_service.services.conversation.speakers import Speaker
from mailbox_service.services.conversation.turn import Heard
from mailbox_service.services.mailboxes import clean
from mailbox_service.services.ports import KnownOutbound, MessageId, ThreadIds, Transaction
from mailbox_service.services.understanding import Understood

SORTS = {"case": "case", "spam": "spam"}
CLOSED = "your mail is encrypted and could not be opened; please send it unencrypted"
NO_PROOF = "this needs a mail whose author address your mail server vouches for; the host can do it too"


def take_desk_turn(
    tx: Transaction, understood: Understood, answered: KnownOutbound, speaker: Speaker, letters: Letters
) -> Heard:
    """All lines or none, as everywhere. Nobody else is written to but who wrote."""
    heard = Heard(told=True, verified=speaker.evidence.proven)
    context = context_of(letters.mailbox, Party.MAINTAINER, speaker.name, on_case=False)
    if understood.content is not None and understood.content.unread:
        if not speaker.evidence.disowned and not understood.automatic.suppress_answer:
            _answer(answered, speaker, letters, "refused", _refusal([], [CLOSED]))
        return heard
    # Words that came encrypted are repeated to nobody in clear.
    hidden = understood.message.encryption is not Encryption.NONE
    request = read_request(understood.said, understood.claim.id, letters.mailbox, context)
    if speaker.evidence.disowned:
        return heard
    if isinstance(request, Misread):
        _answer(answered, speaker, letters, "refused", _refusal([], [_told(error, hidden) for error in request.errors]))
        return heard
    if not request.commands.commands:
        return heard
    lines = [line.split(" ", 1)[0] for line in request.lines] if hidden else request.lines
    if least(request.weights, speaker.evidence) is not Permission.DO:
        _answer(answered, speaker, letters, "refused", _refusal(lines, [wanted(speaker) or NO_PROOF]))
        return heard
    commands = request.commands.commands
    try:
        for command in commands:
            _check(tx, command, letters)
        what = [done for command in commands if (done := _done(tx, command, speaker, letters))]
    except (Refused, NotFound) as error:
        _answer(answered, speaker, letters, "refused", _refusal(lines, [str(error)]))
        return heard
    for name in {command.verb.name for command in commands} & {"list", "help"}:
        _show(answered, speaker, letters, name)
    if what:
        _answer(
            answered,
            speaker,
            letters,
            "done",
            _confirmation(speaker, what, () if hidden else request.commands.misplaced),
        )
    return Heard(told=True, verified=heard.verified, more=bool(what))


def _told(error: str, hidden: bool) -> str:
    """An error begins with the line that is wrong."""
    return error.partition(": ")[2] or error if hidden else error


def _check(tx: Transaction, command: Command, letters: Letters) -> None:
    """Raises: Refused, NotFound: where one line cannot be done none is."""
    if command.verb.place is Place.ANY and not command.read.argument:
        if command.verb.name not in ("list", "help"):
            raise Refused(f"/{command.verb.name}: this mail belongs to no case")
        return
    number = MessageId(int(command.read.argument))
    if tx.message_row(number)["mailbox"] != letters.mailbox.name:
        raise NotFound(f"no message {number}")
    if command.verb.name == "release":
        decisions.check_release(tx, number)
    else:
        decisions.check_sort(tx, number, SORTS[command.verb.name])


def _done(tx: Transaction, command: Command, speaker: Speaker, letters: Letters) -> str:
    if not command.read.argument:
        return ""
    number = MessageId(int(command.read.argument))
    if command.verb.name == "release":
        decisions.release_message(tx, number, speaker.name, letters.now)
        return f"released M-{number}"
    decisions.sort_message(tx, number, SORTS[command.verb.name], speaker.name, letters.now)
    return f"made M-{number} a case" if command.verb.name == "case" else f"called M-{number} spam"


# --- the answers ----------------------------------------------------------------------------------------------------


def _refusal(lines: Sequence[str], errors: Sequence[str]) -> dict[str, object]:
    return {"errors": [clean(error, 600) for error in errors], "lines": list(lines), "next": []}


def _confirmation(speaker: Speaker, what: Sequence[str], misplaced: Sequence[str]) -> dict[str, object]:
    nothing = {"stage": "", "owner": "", "text": "", "text_for": "", "withheld": "", "message_number": 0}
    flags = {"sealed": False, "attached": False, "verified": True}
    lists: dict[str, object] = {"what": list(what), "sent": [], "due": [], "next": [], "misplaced": list(misplaced)}
    return {**nothing, **flags, **lists, "who": speaker.name}


def _show(answered: KnownOutbound, speaker: Speaker, letters: Letters, name: str) -> None:
    if name == "list":
        found = letters.tx.open_cases_of(letters.mailbox.name)[: answers.LISTED_CASES]
        cases = [contexts.listed(record, letters.mailbox) for record in found]
        _answer(answered, speaker, letters, "case_list", {"cases": cases})
        return
    commands = [
        {"usage": usage, "summary": summary.replace("`", ""), "example": ""}
        for usage, summary in help_lines(Party.MAINTAINER, on_case=False)
    ]
    _answer(answered, speaker, letters, "help", {"commands": commands})


def _answer(answered: KnownOutbound, speaker: Speaker, letters: Letters, kind: str, context: dict[str, object]) -> None:
    """To the maintainer who wrote, in the thread of what they answered."""
    outside = {"reference": "", "unsure": False, "party": Party.MAINTAINER.value}
    thread = ThreadIds(answered.message_id, (answered.message_id,))
    letters.outside(letters.cause, kind, speaker.address, letters.mailbox.identity() | outside | context, thread)
