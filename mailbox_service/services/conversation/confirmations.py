"""Evidence C: we mail the registered address what is about to happen, and its answer carries it out.

Single use, 72 hours, void once what it is about has changed. A preview is the same: what would go out, and a line that
sends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from mailbox_service.core.authority import Permission, least
from mailbox_service.core.automatic import Automatic
from mailbox_service.core.bounce_address import reply_tokens
from mailbox_service.core.budget import asked_key
from mailbox_service.core.case import AddAddress, Event, Party, Refused, check_outdated
from mailbox_service.core.commands import Misread, TextFor
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.core.message import parse
from mailbox_service.services.conversation import answers, contexts
from mailbox_service.services.conversation.casework import Work
from mailbox_service.services.conversation.letters import Letters, Words, enclosure_of
from mailbox_service.services.conversation.requests import Request, context_of, nothing, read_request
from mailbox_service.services.conversation.speakers import CANDIDATE, Speaker
from mailbox_service.services.conversation.turn import Heard, Turn
from mailbox_service.services.mailboxes import written_moment
from mailbox_service.services.ports import Confirmation
from mailbox_service.services.understanding import delivered_to

LIFETIME = timedelta(hours=72)
ASKED_A_DAY = 10  # of one address
ASKING = frozenset({"confirmation", "preview"})
CONFIRM = "confirm"
COMMANDS, SECOND_ADDRESS = "commands", "second_address"


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(turn: Turn, letters: Letters, request: Request) -> bool:
    """Ask the registered address whether the mail is theirs, with what it asks for.

    False where it was asked often enough today: whoever has a token of theirs must not fill their mailbox with it.
    """
    if not _may_be_asked(turn.speaker.address, letters):
        return False
    maintainer = turn.speaker.party is Party.MAINTAINER
    record = turn.record
    context = _identity(turn, letters) | {
        "lines": request.lines,
        "what": [],
        # What a reporter wrote may have been written by somebody else; a maintainer is shown what would go out.
        "text": request.commands.text if maintainer and not record.sealed else "",
        "until": written_moment(letters.now + LIFETIME),
        "for_address": "",
    }
    _ask(turn, letters, "confirmation", turn.speaker.address, turn.speaker.role, context, argument=_proof(turn))
    return True


def _may_be_asked(address: str, letters: Letters) -> bool:
    key = asked_key(letters.mailbox.name, address, letters.now)
    if letters.tx.budgets([key]).get(key, 0) >= ASKED_A_DAY:
        return False
    letters.tx.spend({key: 1})
    return True


def preview(turn: Turn, letters: Letters, request: Request, trial: Work, outward: str, doubts: Sequence[str]) -> None:
    """Show what would go out, and to whom. `trial` is what would happen."""
    goes_out = request.commands.text_for is not TextFor.NOTE and request.message is not None
    enclosure = enclosure_of(letters.tx, request.message) if goes_out and request.message is not None else None
    context = _identity(turn, letters) | {
        "lines": request.lines,
        "to": [contexts.going_to(p.send.mail, len(trial.state.reporters)) for p in trial.outward_posts()],
        "text": "" if turn.record.sealed else outward,
        "doubts": list(doubts),
        "files": enclosure.names if enclosure is not None else [],
        "until": written_moment(letters.now + LIFETIME),
    }
    _ask(turn, letters, "preview", turn.speaker.address, turn.speaker.role, context, argument=_proof(turn))


def _proof(turn: Turn) -> str:
    """What proved the author of the mail that waits: its bytes alone do not say it again, where the DNS said it."""
    authentication = turn.speaker.evidence.authentication
    return authentication.reason if authentication.result is AuthResult.PASS else ""


def ask_both(turn: Turn, letters: Letters, address: str) -> None:
    """Ask both addresses whether the second shall be added. Raises: Refused."""
    known = {one.lower() for one in turn.record.state.reporters}
    if address.lower() in known:
        raise Refused("this address is in the case already")
    if letters.mailbox.is_maintainer(address) or address.lower() in letters.mailbox.own_addresses:
        raise Refused("this address belongs to the project")
    if not _may_be_asked(address, letters):
        raise Refused("this address was asked often enough today; try again tomorrow")
    for recipient, role in ((turn.speaker.address, turn.speaker.role), (address, CANDIDATE)):
        context = _identity(turn, letters) | {
            "lines": [],
            "what": [],
            "text": "",
            "until": written_moment(letters.now + LIFETIME),
            "for_address": address,
            "party": Party.REPORTER.value,
        }
        _ask(turn, letters, "confirmation", recipient, role, context, SECOND_ADDRESS, address)


def _identity(turn: Turn, letters: Letters) -> dict[str, object]:
    maintainer = turn.speaker.party is Party.MAINTAINER
    return letters.mailbox.identity() | {
        "reference": turn.record.state.ref,
        "unsure": turn.record.unsure and maintainer,
        "party": contexts.party_of(turn.speaker.role),
    }


def _ask(
    turn: Turn,
    letters: Letters,
    kind: str,
    recipient: str,
    role: str,
    context: dict[str, object],
    purpose: str = COMMANDS,
    argument: str = "",
) -> None:
    letters.to_person(turn.record, kind, recipient, role, context)
    letters.tx.add_confirmation(
        Confirmation(
            message=turn.message,
            case_id=turn.record.id,
            case_version=turn.record.state.version,
            mail_id=letters.mails[-1].message_id,
            recipient=recipient,
            purpose=purpose,
            argument=argument,
            expires_at=letters.now + LIFETIME,
        )
    )


# --- the answer -----------------------------------------------------------------------------------------------------


def redeemed(turn: Turn, letters: Letters) -> tuple[Turn, Request] | Heard | None:
    """What the answer to a question of ours allows: the turn that waited, with its request.

    None where the message confirms nothing: it is a message like any other. `Heard` where all is done already.
    """
    if turn.understood.automatic.kind is not Automatic.NO or turn.understood.automatic.suppress_answer:
        return None  # no machine confirms
    context = context_of(letters.mailbox, turn.speaker.party, turn.speaker.name, on_case=True)
    request = read_request(turn.understood.message, turn.message, letters.mailbox, context)
    if isinstance(request, Misread) or request.commands.named(CONFIRM) is None:
        return None
    if turn.speaker.evidence.authentication.result is AuthResult.FAIL:
        return Heard(told=False, verified=False)
    asked = letters.tx.confirmation(turn.answered.message_id)
    try:
        if asked is None or asked.case_id != turn.record.id or asked.recipient.lower() != turn.speaker.address:
            raise Refused("this mail asked for no confirmation")
        if asked.used_at is not None or not letters.tx.use_confirmation(asked.mail_id, letters.now):
            raise Refused("this was confirmed before; nothing is done twice")
        if asked.expires_at <= letters.now:
            raise Refused("it took longer than 72 hours; send what you want once more")
        if asked.purpose == SECOND_ADDRESS:
            return _second_address(turn, letters, asked)
        return _waiting(turn, letters, asked)
    except Refused as refused:
        if turn.speaker.party is not None:
            answers.refused(turn, letters, request.lines, [str(refused)])
        return Heard(told=True, verified=True)


def _waiting(turn: Turn, letters: Letters, asked: Confirmation) -> tuple[Turn, Request]:
    """The message that waited, with the proof of both mails. Raises: Refused."""
    message = parse(letters.tx.raw(asked.message))
    context = context_of(letters.mailbox, turn.speaker.party, turn.speaker.name, on_case=True)
    tokens = reply_tokens(letters.mailbox.reply_to, delivered_to(message))
    outward = any(token.outward for token in tokens)  # it was proven then; else nothing would have been asked
    request = read_request(message, asked.message, letters.mailbox, context, outward=outward)
    if isinstance(request, Misread):
        raise Refused("; ".join(request.errors))
    asked_at = asked.expires_at - LIFETIME
    journal = tuple(letters.tx.journal_after(turn.record.id, asked_at))
    for command in request.commands.commands:
        if command.read.action is not None:
            check_outdated(command.read.action, journal)
    if request.commands.named("send") and any(
        entry.event is Event.NOTED and entry.actor == turn.speaker.name for entry in journal
    ):
        raise Refused("meanwhile you wrote another note; write /send once more")
    now_proven = turn.speaker.evidence.authentication
    proof = Authentication(AuthResult.PASS, "", asked.argument) if asked.argument else now_proven
    evidence = replace(turn.speaker.evidence, authentication=proof, confirmed=True)
    if least(request.weights, evidence) is not Permission.DO:
        raise Refused("this needs a mail whose author address your mail server vouches for, and this one has none")
    claim = replace(turn.understood.claim, id=asked.message)
    waited = replace(
        turn,
        understood=replace(turn.understood, claim=claim, message=message),
        speaker=replace(turn.speaker, evidence=evidence),
        journal=journal,
        confirmed_by=turn.message,
    )
    return waited, request


def _second_address(turn: Turn, letters: Letters, asked: Confirmation) -> Heard:
    """Add the address once both have confirmed."""
    both = {asked.recipient.lower(), asked.argument.lower()}
    others = letters.tx.confirmations_of(asked.message)
    confirmed = {one.recipient.lower() for one in others if one.used_at is not None} | {asked.recipient.lower()}
    names = {one.recipient.lower() for one in others if one.argument.lower() == asked.argument.lower()}
    if not names <= confirmed:
        return Heard(told=True, verified=True)
    reporter = next((name for name in names - {asked.argument.lower()}), "")
    if reporter not in {one.lower() for one in turn.record.state.reporters} or not both <= names:
        raise Refused("whoever asked for it is in the case no longer")
    speaker = Speaker(Party.REPORTER, "", reporter, replace(turn.speaker.evidence, confirmed=True))
    work = Work(turn.record, speaker, letters.mailbox, letters.now)
    work.do(AddAddress(asked.argument))
    sent = letters.tell(work, Words(), "the reporter")
    work.write(letters.tx, replace(turn, speaker=speaker, confirmed_by=turn.message).proof)
    done_turn = replace(turn, speaker=speaker, record=work.record)
    request = nothing()
    answers.done(done_turn, letters, work, request, sent)
    return Heard(told=True, verified=True)
