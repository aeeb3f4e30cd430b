"""One message of a conversation: who speaks, what they ask for, what is done, and who hears of it.

Runs inside T3, after the message has been recorded as belonging to the case. All commands of a mail are carried out in
that transaction or none is.
"""

from __future__ import annotations

from dataclasses import replace

from mailbox_service.core.authority import Permission, least
from mailbox_service.core.case import Event, Move, Party, Refused, Reply, Stage
from mailbox_service.core.commands import Command, Misread, Read, TextFor
from mailbox_service.core.message import ParsedMessage
from mailbox_service.services.conversation import answers, confirmations
from mailbox_service.services.conversation.casework import Work, carry_out, reporter_wrote
from mailbox_service.services.conversation.letters import Letters, Words
from mailbox_service.services.conversation.outgoing import Outgoing, outgoing
from mailbox_service.services.conversation.requests import (
    Request,
    context_of,
    newly_written_in,
    read_request,
)
from mailbox_service.services.conversation.sealed import sealed_source
from mailbox_service.services.conversation.signatures import wanted
from mailbox_service.services.conversation.speakers import CANDIDATE
from mailbox_service.services.conversation.turn import Heard, Turn


def take_turn(turn: Turn, letters: Letters) -> Heard:
    """Do what the message asks for, as far as its proof allows."""
    speaker = turn.speaker
    if turn.understood.content is not None and turn.understood.content.unread:
        # Nobody could read what they say: a message for people, with no guess at what it asks for.
        return Heard(told=False, verified=speaker.party is not None and speaker.evidence.proven)
    if turn.answered.kind in confirmations.ASKING:
        redeemed = confirmations.redeemed(turn, letters)
        if redeemed is not None:
            heard = redeemed if isinstance(redeemed, Heard) else _fulfil(*redeemed, letters)
            return replace(heard, told=heard.told and not _reporter_says_more(turn, letters))
    if speaker.party is None:
        invited = turn.answered.role != CANDIDATE
        return Heard(told=False, verified=invited and speaker.evidence.proven)
    context = context_of(letters.mailbox, speaker.party, speaker.name, on_case=True)
    request = read_request(turn.understood.said, turn.message, letters.mailbox, context, outward=turn.outward)
    if isinstance(request, Misread):
        return _misread(turn, letters, request.errors)
    if request.commands.named(confirmations.CONFIRM) is not None:
        return _misread(turn, letters, ("the mail that you answer asked for no confirmation",))
    match least(request.weights, speaker.evidence):
        case Permission.DO:
            return _fulfil(turn, request, letters)
        case Permission.CONFIRM:
            return _ask(turn, request, letters)
        case Permission.UNVERIFIED:
            return _unproven(turn, request, letters)


def _reporter_says_more(turn: Turn, letters: Letters) -> bool:
    """Whether a reporter wrote something below the line that confirms; it is for the maintainers like all they say."""
    if turn.speaker.party is not Party.REPORTER:
        return False
    lines = newly_written_in(turn.understood.said, letters.mailbox).text.strip().split("\n")
    return any(line.strip() for line in lines[1:])


def _ask(turn: Turn, request: Request, letters: Letters) -> Heard:
    """Nobody's word yet. The maintainers are shown a reporter's message all the same, marked as unproven."""
    if confirmations.too_many_open(turn, letters):
        return Heard(told=False, verified=False)
    if turn.speaker.party is not Party.MAINTAINER:
        confirmations.ask(turn, letters, request)
        return Heard(told=False, verified=False)
    trial = _work(turn, letters)
    try:
        meant, out = _prepared(turn, request, letters)
        # What cannot be done is said at once; also that somebody else has done something else meanwhile.
        carry_out(trial, meant, letters.tx)
    except Refused as refused:
        return _refused(turn, letters, request, refused)
    confirmations.ask(turn, letters, meant, out)
    return Heard(told=True, verified=False)


def _unproven(turn: Turn, request: Request, letters: Letters) -> Heard:
    """Shown as nobody's word. Who has to sign is told so, where the mail seems to come from their own account."""
    unsigned = wanted(turn.speaker)
    if unsigned and turn.speaker.evidence.authenticated and not turn.understood.automatic.suppress_answer:
        answers.refused(turn, letters, request.lines, unsigned)
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
    said = request.new.text.strip() or turn.understood.said.attachments
    gives_information = not request.commands.commands and said
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
    source = sealed_source(turn, request)
    words = Words(request.new.text, source=turn.message, source_attached=turn.attached, sealed_source=source)
    sent = letters.tell(work, words, "the reporter")
    work.write(letters.tx, turn.proof)
    if request.commands.commands and not sent:
        answers.done(turn, letters, work, request, sent)
    return Heard(told=True, verified=True)


# --- maintainers ----------------------------------------------------------------------------------------------------


def _by_maintainer(turn: Turn, asked: Request, letters: Letters) -> Heard:
    request, out = _prepared(turn, asked, letters)
    work = _work(turn, letters)
    carry_out(work, request, letters.tx)
    if (asked.commands.preview or out.doubts) and turn.confirmed_by is None:
        confirmations.preview(turn, letters, request, work, out)
        return Heard(told=True, verified=True)
    _look(turn, request, letters)
    if not work.entries:
        return Heard(told=True, verified=True)
    waits = _reporter_waits(turn, letters)
    sent = letters.tell(work, _words(turn, request, out), turn.speaker.name)
    written: dict[str, object] = {"message": int(request.message or turn.message)}
    if request is not asked:
        written["sent_note"] = written["message"]
    work.write(letters.tx, turn.proof | written)
    if asked.commands.commands or asked.commands.misplaced:
        answers.done(turn, letters, work, request, sent)
    elif waits and request.commands.text_for is TextFor.NOTE:
        answers.kept_internal(turn, letters, work.record, request.commands.text)
    return Heard(told=True, verified=True)


def _prepared(turn: Turn, asked: Request, letters: Letters) -> tuple[Request, Outgoing]:
    """The request with the text that it means, and what of it would leave the house. Raises: Refused."""
    if asked.commands.named("send") is None:
        return asked, outgoing(turn, asked, letters, [turn.answered.id])
    request, note = _with_last_note(turn, asked, letters)
    # Of our mails since the note no line is a quote: they show the note itself.
    named = letters.tx.outbound_named(sorted({*note.in_reply_to, *note.references}))
    answered = [mail.id for mail in named if mail.recipient.lower() == turn.speaker.address]
    return request, outgoing(turn, request, letters, answered)


def _with_last_note(turn: Turn, request: Request, letters: Letters) -> tuple[Request, ParsedMessage]:
    """/send: the request with the text and the files of the writer's last note, to the reporter. Raises: Refused."""
    if request.commands.text.strip():
        raise Refused("/send sends your last note and no other text; write /reply above a new text")
    number = letters.tx.last_note(turn.record.id, turn.speaker.name)
    if number is None:
        raise Refused("there is no note of yours that was not sent already")
    context = context_of(letters.mailbox, turn.speaker.party, turn.speaker.name, on_case=True)
    reopened = letters.open(number)
    note = read_request(reopened.said, number, letters.mailbox, context)
    if isinstance(note, Misread):
        raise Refused("your last note cannot be read any more; write it once more with /reply")
    commands = tuple(
        Command(command.verb, command.line, Read(Reply())) if command.verb.name == "send" else command
        for command in request.commands.commands
    )
    sending = replace(request.commands, commands=commands, text=note.commands.text, text_for=TextFor.REPORTER)
    return replace(note, commands=sending), reopened.message


def _words(turn: Turn, request: Request, out: Outgoing) -> Words:
    commands = request.commands
    text_for = commands.text_for.value if commands.text.strip() else ""
    source = sealed_source(turn, request)
    return Words(commands.text, text_for, out.text, out.enclosure, turn.message, turn.attached, source)


def _reporter_waits(turn: Turn, letters: Letters) -> bool:
    """Whether the reporter has written something that nobody answered yet."""
    state = turn.record.state
    if state.stage is Stage.CLOSED:
        return False
    if state.told_at is None:
        return True
    return reporter_wrote(letters.tx, turn.record, state.told_at)


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
    answered = evidence.proven or (maintainer and not evidence.disowned)
    if turn.understood.automatic.suppress_answer:
        answered = False  # a machine learns nothing from it, and may answer in turn
    if answered:
        answers.misread(turn, letters, errors)
    return Heard(told=answered and maintainer, verified=evidence.proven)


def _refused(turn: Turn, letters: Letters, request: Request, refused: Refused) -> Heard:
    """Nothing of the mail was done. What a reporter wrote is a message for the maintainers all the same."""
    answers.refused(turn, letters, request.lines, refused)
    evidence = turn.speaker.evidence
    return Heard(told=turn.speaker.party is Party.MAINTAINER, verified=evidence.proven or evidence.confirmed)
