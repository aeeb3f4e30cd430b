"""Evidence C: we mail the registered address what is about to happen, and its answer carries it out.

Single use, 72 hours, void once what it is about has changed. A preview is the same: what would go out, and a line that
sends it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mailbox_service.core.authority import Demand, Permission, least
from mailbox_service.core.automatic import Automatic
from mailbox_service.core.bounce_address import reply_tokens
from mailbox_service.core.budget import second_address_keys
from mailbox_service.core.case import AddAddress, Event, Party, Refused, check_outdated
from mailbox_service.core.commands import Misread
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.services.conversation import answers, contexts
from mailbox_service.services.conversation.casework import Work
from mailbox_service.services.conversation.letters import Letters, Words
from mailbox_service.services.conversation.outgoing import NOTHING, Outgoing
from mailbox_service.services.conversation.requests import DOUBTS, Request, context_of, nothing, read_request
from mailbox_service.services.conversation.sealed import sealed_source
from mailbox_service.services.conversation.signatures import goes_outward, wanted
from mailbox_service.services.conversation.speakers import CANDIDATE, Speaker, demand_of
from mailbox_service.services.conversation.turn import Heard, Turn
from mailbox_service.services.mailboxes import clean, written_moment
from mailbox_service.services.ports import Confirmation
from mailbox_service.services.ports.casework import COMMANDS, SECOND_ADDRESS, SECONDED
from mailbox_service.services.ports.openpgp import pin_of, pins_for
from mailbox_service.services.understanding import delivered_to

LIFETIME = timedelta(hours=72)
ASKING = frozenset({"confirmation", "preview"})
CONFIRM = "confirm"
ADDRESSES_ASKED = 3  # because of one reporter, in three days
# Of questions that a person did not answer: who has a token of theirs must not fill their mailbox with more.
OPEN_QUESTIONS = 10


# --- asking ---------------------------------------------------------------------------------------------------------


def too_many_open(turn: Turn, letters: Letters) -> bool:
    """Whether this person was asked often enough, and answers none of it: somebody else writes in their name.

    What comes from their own account is always asked about, or a stolen token would keep them from it.
    """
    if turn.speaker.evidence.proven:
        return False
    return letters.tx.open_confirmations(turn.speaker.address, letters.now) >= OPEN_QUESTIONS


def ask(turn: Turn, letters: Letters, request: Request, out: Outgoing = NOTHING) -> None:
    """Ask the registered address whether the mail is theirs, with what it asks for and what would go `out`."""
    # What a reporter wrote may have been written by somebody else; a maintainer is shown what would go out.
    shown = turn.speaker.party is Party.MAINTAINER and not turn.record.sealed
    goes_out = [*(f"the file {name} goes along" for name in out.files), *(f"mind: {doubt}" for doubt in out.doubts)]
    context = _identity(turn, letters) | {
        "lines": contexts.command_lines(turn.record, request.lines),
        "what": [clean(line, 600) for line in goes_out] if shown else [],
        "text": contexts.shown(out.text or request.commands.text) if shown else "",
        "until": written_moment(letters.now + LIFETIME),
        "for_address": "",
        "by": "",
    }
    if turn.speaker.party is Party.MAINTAINER:
        context |= _for_the_key(turn, letters, request, out, context, bool(out.text or request.commands.text.strip()))
    evidence = turn.speaker.evidence
    if evidence.signature and evidence.demand is Demand.STRICT:
        _ask_the_others(turn, letters, context)
        return
    _ask(turn, letters, "confirmation", turn.speaker.address, turn.speaker.role, context, argument=_proof(turn))


def _ask_the_others(turn: Turn, letters: Letters, context: dict[str, object]) -> None:
    """Whoever has signed it is not asked once more; any one of the others can have it done."""
    others = [m for m in letters.mailbox.maintainers if m.address.lower() != turn.speaker.address]
    argument = f"{turn.speaker.address} {turn.speaker.signed_by}"
    for other in others:
        said = context | {"by": turn.speaker.name}
        _ask(turn, letters, "confirmation", other.address.lower(), turn.speaker.role, said, SECONDED, argument)
    answers.waits(turn, letters, [other.name for other in others])


def preview(turn: Turn, letters: Letters, request: Request, trial: Work, out: Outgoing) -> None:
    """Show what would go out, and to whom. `trial` is what would happen."""
    sealed = turn.record.sealed
    context = _identity(turn, letters) | {
        "lines": contexts.command_lines(turn.record, request.lines),
        "to": [contexts.going_to(p.send.mail, len(trial.state.reporters)) for p in trial.outward_posts()],
        "text": "" if sealed else contexts.shown(out.text),
        "doubts": [] if sealed else [clean(doubt, 600) for doubt in out.doubts],
        "files": [] if sealed else out.files,
        "until": written_moment(letters.now + LIFETIME),
    }
    context |= _for_the_key(turn, letters, request, out, context, bool(out.text)) if sealed else {}
    _ask(turn, letters, "preview", turn.speaker.address, turn.speaker.role, context, argument=_proof(turn))


def _for_the_key(
    turn: Turn, letters: Letters, request: Request, out: Outgoing, context: dict[str, object], with_text: bool
) -> dict[str, object]:
    """In a sealed case, what its writer is shown of it if we have their key."""
    source = sealed_source(turn, request)
    if source is None or not letters.mailbox.openpgp:
        return {}
    within: dict[str, object] = {}
    if "doubts" in context:
        # The others name files, or lines of the text.
        within["doubts"] = [doubt for doubt in out.doubts if doubt in DOUBTS.values()]
    shown = {"with_text": with_text, "with_files": "files" in context, "described": False, "enclosed": False}
    return {"within": within, "source": source | {"as": "outward"} | shown}


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
    _spend(turn, letters, address)
    for recipient, role in ((turn.speaker.address, turn.speaker.role), (address, CANDIDATE)):
        context = _identity(turn, letters) | {
            "lines": [],
            "what": [],
            "text": "",
            "until": written_moment(letters.now + LIFETIME),
            "for_address": address,
            "by": "",
            "party": Party.REPORTER.value,
        }
        _ask(turn, letters, "confirmation", recipient, role, context, SECOND_ADDRESS, address)


def _spend(turn: Turn, letters: Letters, address: str) -> None:
    """Nobody is to be pestered with our questions because a stranger names them. Raises: Refused."""
    by, of = second_address_keys(letters.mailbox.name, turn.speaker.address, address, letters.now)
    spent = letters.tx.budgets([by, of])
    if spent.get(by, 0) >= ADDRESSES_ASKED or spent.get(of, 0):
        raise Refused("no further address can be asked in these days; please tell us in your own words")
    letters.tx.spend({by: 1, of: 1})


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
    request = read_request(turn.understood.said, turn.message, letters.mailbox, context)
    if isinstance(request, Misread) or request.commands.named(CONFIRM) is None:
        return None
    if turn.speaker.evidence.disowned:
        return Heard(told=False, verified=False)
    asked = letters.tx.confirmation(turn.answered.message_id)
    try:
        if asked is None or asked.case_id != turn.record.id or asked.recipient.lower() != turn.speaker.address:
            raise Refused("this mail asked for no confirmation")
        if unsigned := wanted(turn.speaker):
            raise Refused(unsigned)  # and the question stays open, for the answer that is signed
        if asked.purpose == SECONDED and _used(letters, asked):
            raise Refused("another maintainer has confirmed this before; nothing is done twice")
        if asked.used_at is not None or not letters.tx.use_confirmation(asked.mail_id, letters.now):
            raise Refused("this was confirmed before; nothing is done twice")
        if asked.expires_at <= letters.now:
            raise Refused("it took longer than 72 hours; send what you want once more")
        if asked.purpose == SECOND_ADDRESS:
            return _second_address(turn, letters, asked)
        return _waiting(_seconded(turn, letters, asked) if asked.purpose == SECONDED else turn, letters, asked)
    except Refused as refused:
        if turn.speaker.party is not None:
            answers.refused(turn, letters, request.lines, refused)
        return Heard(told=True, verified=True)


def _used(letters: Letters, asked: Confirmation) -> bool:
    """Whether the same was asked of several and one of them has answered."""
    return any(one.used_at is not None for one in letters.tx.confirmations_of(asked.message))


def _seconded(turn: Turn, letters: Letters, asked: Confirmation) -> Turn:
    """The turn of who asked for it, proven by two signatures. Raises: Refused when theirs counts no longer."""
    address, _, fingerprint = asked.argument.partition(" ")
    author = next((m for m in letters.mailbox.maintainers if m.address.lower() == address), None)
    if author is None:
        raise Refused("who asked for this is no maintainer any more")
    pin = pin_of(pins_for(letters.tx, letters.mailbox.name, turn.record.id), address, by_hand=True)
    if pin is None or pin.key.fingerprint != fingerprint:
        raise Refused(f"the key that {author.name} signed it with is not pinned any more")
    if fingerprint == turn.speaker.signed_by:
        raise Refused(f"your key is the very key of {author.name}; this takes the keys of two people")
    evidence = replace(turn.speaker.evidence, seconded=True, demand=demand_of(letters.mailbox, author))
    speaker = Speaker(
        Party.MAINTAINER, author.name, address, evidence, signed_by=fingerprint, seconded_by=turn.speaker.name
    )
    return replace(turn, speaker=speaker)


def _waiting(turn: Turn, letters: Letters, asked: Confirmation) -> tuple[Turn, Request]:
    """The message that waited, with the proof of both mails. Raises: Refused."""
    reopened = letters.open(asked.message)
    context = context_of(letters.mailbox, turn.speaker.party, turn.speaker.name, on_case=True)
    tokens = reply_tokens(letters.mailbox.reply_to, delivered_to(reopened.message))
    # It was proven then; else nothing would have been asked.
    outward = any(token.outward for token in tokens) and goes_outward(
        turn.speaker.evidence, authenticated=bool(asked.argument)
    )
    request = read_request(reopened.said, asked.message, letters.mailbox, context, outward=outward)
    if isinstance(request, Misread):
        # Each begins with the line that is wrong, which is content where the case is sealed.
        sealed = turn.record.sealed
        raise Refused("; ".join(request.errors) if not sealed else "it can be done no longer as you wrote it")
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
        understood=replace(turn.understood, claim=claim, message=reopened.message, content=reopened.content),
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
