"""One message of a conversation: who speaks, what they ask for, what is done, and who hears of it.

Runs inside T3, after the message has been recorded as belonging to the case. All commands of a mail are carried out in
that transaction or none is.
"""

from __future__ import annotations

from dataclasses import replace

from mailbox_service.core.authority import Permission, least
from mailbox_service.core.case import Event, Move, Party, Refused, Reply, Stage
from mailbox_service.core.commands import Command, Misread, Read, TextFor
from mailbox_service.core.evidence import AuthResult
from mailbox_service.core.message import parse
from mailbox_service.core.newtext import anonymous, echoes
from mailbox_service.services.conversation import answers, confirmations
from mailbox_service.services.conversation.casework import Work, carry_out
from mailbox_service.services.conversation.letters import Letters, Words, enclosure_of
from mailbox_service.services.conversation.requests import (
    Request,
    context_of,
    doubts_of,
    read_request,
)
from mailbox_service.services.conversation.speakers import CANDIDATE
from mailbox_service.services.conversation.turn import Heard, Turn


def take_turn(turn: Turn, letters: Letters) -> Heard:
    """Do what the message asks for, as far as its proof allows."""
    speaker = turn.speaker
    if turn.answered.kind in confirmations.ASKING:
        redeemed = confirmations.redeemed(turn, letters)
        if isinstance(redeemed, Heard):
            return redeemed
        if redeemed is not None:
            return _fulfil(*redeemed, letters)
    if speaker.party is None:
        invited = turn.answered.role != CANDIDATE
        return Heard(told=False, verified=invited and speaker.evidence.authenticated)
    context = context_of(letters.mailbox, speaker.party, speaker.name, on_case=True)
    request = read_request(turn.understood.message, turn.message, letters.mailbox, context, outward=turn.outward)
    if isinstance(request, Misread):
        return _misread(turn, letters, request.errors)
    if request.commands.named(confirmations.CONFIRM) is not None:
        return _misread(turn, letters, ("the mail that you answer asked for no confirmation",))
    match least(request.weights, speaker.evidence):
        case Permission.DO:
            return _fulfil(turn, request, letters)
        case Permission.CONFIRM:
            asked = confirmations.ask(turn, letters, request)
            # Nobody's word yet. The other maintainers are shown a reporter's message all the same, marked as unproven.
            return Heard(told=asked and speaker.party is Party.MAINTAINER, verified=False)
        case Permission.UNVERIFIED:
            return Heard(told=False, verified=False)


def _fulfil(turn: Turn, request: Request, letters: Letters) -> Heard:
    """Carry out a request whose proof is enough."""
    written = len(letters.mails)
    try:
        if turn.speaker.party is Party.REPORTER:
            return _by_reporter(turn, request, letters)
        return _by_maintainer(turn, request, letters)
    except Refused as refused:
        del letters.mails[written:]
        return _refused(turn, letters, request, refused)


# --- reporters ------------------------------------------------------------------------------------------------------


def _by_reporter(turn: Turn, request: Request, letters: Letters) -> Heard:
    work = _work(turn, letters)
    # What a reporter writes is for the maintainers whatever the command, and is in their notice.
    carry_out(work, replace(request, commands=replace(request.commands, text="")), letters.tx)
    gives_information = not request.commands.commands and request.new.text.strip()
    if gives_information and work.state.stage is Stage.NEEDS_INFO:
        work.do(Move(Event.INFO_GIVEN), with_text=True)
    for command in request.commands.commands:
        if command.verb.name == "second-address":
            confirmations.ask_both(turn, letters, command.read.argument)
    _look(turn, request, letters)
    if not work.entries:
        if request.commands.misplaced:
            answers.done(turn, letters, work, request, [])
        return Heard(told=False, verified=True)
    words = Words(request.new.text, source=turn.message, source_attached=turn.attached)
    sent = letters.tell(work, words, "the reporter")
    work.write(letters.tx, turn.proof)
    if request.commands.commands and not sent:
        answers.done(turn, letters, work, request, sent)
    return Heard(told=True, verified=True)


# --- maintainers ----------------------------------------------------------------------------------------------------


def _by_maintainer(turn: Turn, asked: Request, letters: Letters) -> Heard:
    request = _with_last_note(turn, asked, letters)
    outward, doubts = _outward(turn, request, letters)
    work = _work(turn, letters)
    carry_out(work, request, letters.tx)
    if (asked.commands.preview or doubts) and turn.confirmed_by is None:
        confirmations.preview(turn, letters, request, work, outward, doubts)
        return Heard(told=True, verified=True)
    _look(turn, request, letters)
    if not work.entries:
        return Heard(told=True, verified=True)
    waits = _reporter_waits(turn, letters)
    sent = letters.tell(work, _words(turn, request, outward, letters), turn.speaker.name)
    work.write(letters.tx, turn.proof | {"message": int(request.message or turn.message)})
    if asked.commands.commands or asked.commands.misplaced:
        answers.done(turn, letters, work, request, sent)
    elif waits and request.commands.text_for is TextFor.NOTE:
        answers.kept_internal(turn, letters, work.record, request.commands.text)
    return Heard(told=True, verified=True)


def _with_last_note(turn: Turn, request: Request, letters: Letters) -> Request:
    """/send: the request with the text and the files of the writer's last note, to the reporter. Raises: Refused."""
    if request.commands.named("send") is None:
        return request
    if request.commands.text.strip():
        raise Refused("/send sends your last note and no other text; write /reply above a new text")
    number = letters.tx.last_note(turn.record.id, turn.speaker.name)
    if number is None:
        raise Refused("there is no note of yours that was not sent already")
    context = context_of(letters.mailbox, turn.speaker.party, turn.speaker.name, on_case=True)
    note = read_request(parse(letters.tx.raw(number)), number, letters.mailbox, context)
    if isinstance(note, Misread):
        raise Refused("your last note cannot be read any more; write it once more with /reply")
    commands = tuple(
        Command(command.verb, command.line, Read(Reply())) if command.verb.name == "send" else command
        for command in request.commands.commands
    )
    sending = replace(request.commands, commands=commands, text=note.commands.text, text_for=TextFor.REPORTER)
    return replace(note, commands=sending)


def _outward(turn: Turn, request: Request, letters: Letters) -> tuple[str, list[str]]:
    """The text as it leaves the house, and why its writer should see it first."""
    commands = request.commands
    if commands.text_for is TextFor.NOTE or not commands.text.strip():
        return "", []
    me, others = turn.speaker, [m for m in letters.mailbox.maintainers if m.name != turn.speaker.name]
    text, named = anonymous(commands.text, (me.name, me.address))
    doubts = doubts_of(request.new)
    if named:
        doubts.append("your name or address stands in it")
    if anonymous(text, [word for m in others for word in (m.name, m.address)])[1]:
        doubts.append("the name or address of another maintainer stands in it")
    if not _is_note(request, turn) and echoes(text, letters.tx.sent_words(turn.answered.id)):
        doubts.append("lines of the internal mail that you answered stand in it")
    return text, doubts + [f"`{line}` stands below your text and was taken for text" for line in commands.misplaced]


def _is_note(request: Request, turn: Turn) -> bool:
    """Whether the text is that of an earlier mail: what our mails since then show of it is no quote."""
    return request.message is not None and request.message != turn.message


def _words(turn: Turn, request: Request, outward: str, letters: Letters) -> Words:
    commands = request.commands
    out = commands.text_for is not TextFor.NOTE or any(c.verb.name == "patched" for c in commands.commands)
    return Words(
        commands.text,
        commands.text_for.value if commands.text.strip() else "",
        outward,
        enclosure_of(letters.tx, request.message) if out and request.message is not None else None,
        turn.message,
        turn.attached,
    )


def _reporter_waits(turn: Turn, letters: Letters) -> bool:
    """Whether the reporter has written something that nobody answered yet."""
    state = turn.record.state
    if state.stage is Stage.CLOSED:
        return False
    if state.told_at is None:
        return True
    theirs = {address.lower() for address in state.reporters}
    since = letters.tx.journal_after(turn.record.id, state.told_at)
    return any(entry.event is Event.MESSAGE_ADDED and entry.actor.lower() in theirs for entry in since)


# --- both -----------------------------------------------------------------------------------------------------------


def _work(turn: Turn, letters: Letters) -> Work:
    return Work(turn.record, turn.speaker, letters.mailbox, letters.now, turn.journal)


def _look(turn: Turn, request: Request, letters: Letters) -> None:
    for command in request.commands.commands:
        if command.verb.name in answers.LOOKING:
            answers.looked(turn, letters, command.verb.name)


def _misread(turn: Turn, letters: Letters, errors: tuple[str, ...]) -> Heard:
    """A reporter without proof is never answered; a maintainer is, at the address that the host knows."""
    evidence, maintainer = turn.speaker.evidence, turn.speaker.party is Party.MAINTAINER
    answered = evidence.authenticated or (maintainer and evidence.authentication.result is not AuthResult.FAIL)
    if answered:
        answers.refused(turn, letters, [], errors)
    return Heard(told=answered and maintainer, verified=evidence.authenticated)


def _refused(turn: Turn, letters: Letters, request: Request, refused: Refused) -> Heard:
    """Nothing of the mail was done. What a reporter wrote is a message for the maintainers all the same."""
    answers.refused(turn, letters, request.lines, [str(refused)])
    return Heard(told=turn.speaker.party is Party.MAINTAINER, verified=True)
