"""What the mails of a case are given to say: to reporters facts and dates, to maintainers all of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mailbox_service.core.case import CaseState, Entry, Event, Mail, Party, Stage, legal_commands, spoken
from mailbox_service.core.case import clocks as deadlines
from mailbox_service.core.case.stages import MOVES
from mailbox_service.core.display import harmless
from mailbox_service.services.mailboxes import Mailbox, clean, written_date, written_moment
from mailbox_service.services.ports import CaseRecord

TEXT_CHARS = 60_000  # of one mail; what goes out is refused beyond it, and maintainers get the whole message
NEXT_LINES = 7  # a phone's screen


def shown(text: str) -> str:
    """A text that a person wrote, as our mails have it: a preview is what then goes out."""
    return harmless(text[:TEXT_CHARS], keep_newlines=True).strip("\n")


def for_reporter(
    record: CaseRecord,
    mailbox: Mailbox,
    now: datetime,
    *,
    text: str = "",
    asks: Sequence[str] = (),
    files: Sequence[dict[str, object]] = (),
) -> dict[str, object]:
    """Nothing here names a maintainer, and nothing comes from anybody's mail but `text`, which a maintainer sends."""
    state, facts = record.state, record.state.facts
    answer_by = None
    if state.stage is Stage.NEEDS_INFO:
        answer_by = state.since + mailbox.policy.info_close
    elif state.stage is Stage.PATCHED:
        answer_by = deadlines.verdict_by(state, mailbox.policy)
    public = state.duplicate_of or ""
    # Before it is printed, the name of one reporter is none of the other's business.
    alone = len(state.reporters) == 1 or state.published_at is not None
    return mailbox.identity() | {
        "reference": state.ref,
        "stage": spoken(state.stage),
        "text": shown(text),
        "asks": list(asks),
        "credit": facts.credit if alone else None,
        "next_by": _date(deadlines.update_by(state, mailbox.policy), mailbox),
        "answer_by": _date(answer_by, mailbox),
        "embargo": written_moment(facts.embargo) if facts.embargo and state.published_at is None else "",
        "severity": facts.severity or "",
        "cve": facts.cve or "",
        "affects": facts.affects or "",
        "fixed": facts.fixed or "",
        "advisory": facts.advisory or "",
        "patch": facts.patch or "",
        "released_on": _date(state.released_at, mailbox),
        "published_on": _date(state.published_at, mailbox),
        "files": list(files),
        "resolution": spoken(state.resolution) if state.resolution else "",
        # A reference of ours is somebody else's report.
        "duplicate_of": public if public.startswith(("CVE-", "http://", "https://")) else "",
        "sealed": False,
    }


def for_maintainers(
    record: CaseRecord,
    mailbox: Mailbox,
    *,
    who: str,
    what: Sequence[str] = (),
    text: str = "",
    text_for: str = "",
    sent: Sequence[str] = (),
    message: int = 0,
    attached: bool = False,
    verified: bool = True,
) -> dict[str, object]:
    """Of a sealed case only that something happened."""
    state = record.state
    withheld = f"mailbox-service message export {message}" if message and not attached else ""
    return mailbox.identity() | {
        "reference": state.ref,
        "unsure": record.unsure,
        "stage": spoken(state.stage),
        "owner": state.owner or "",
        "who": "" if record.sealed and "@" in who else clean(who),
        "what": [] if record.sealed else [clean(line, 600) for line in what],
        "text": "" if record.sealed else shown(text),
        "text_for": text_for,
        "sent": [clean(line, 600) for line in sent],
        "due": due_lines(state, mailbox),
        "next": next_lines(state),
        "sealed": record.sealed,
        "message_number": message,
        "attached": attached,
        "withheld": withheld,
        "verified": verified,
    }


def next_lines(state: CaseState) -> list[str]:
    """Ready-made lines to answer with: what moves the case on from here, and how to write to the reporter."""
    moves = [line for line in legal_commands(state) if line not in ("/verified", "/fix-fails")]
    if state.stage is Stage.PATCHED:
        moves = ["/verified", "/fix-fails", *moves]
    examples = {
        "/released": "/released VERSION",
        "/published": "/published URL",
        "/details-published": "/details-published URL",
        "/close": "/close RESOLUTION",
    }
    # Near ones first: from `received` hardly anybody jumps to `published`.
    kept = moves[: NEXT_LINES - 3] + [line for line in moves[NEXT_LINES - 3 :] if line == "/close"]
    return [*(examples.get(line, line) for line in kept), "/reply", "/help"]


def command_lines(record: CaseRecord, lines: Sequence[str]) -> list[str]:
    """The commands of a mail, for its writer; of a sealed case without what stands behind them, which is content."""
    return [line.split(" ", 1)[0] for line in lines] if record.sealed else list(lines)


def due_lines(state: CaseState, mailbox: Mailbox) -> list[str]:
    """What is due, as sentences."""
    policy = mailbox.policy
    lines = []
    if (by := deadlines.update_by(state, policy)) is not None:
        what = "first answer to the reporter" if state.answered_at is None else "next word to the reporter"
        lines.append(f"{what} by {_date(by, mailbox)}")
    if state.stage is Stage.NEEDS_INFO:
        lines.append(f"closes without an answer on {_date(state.since + policy.info_close, mailbox)}")
    if (by := deadlines.verdict_by(state, policy)) is not None:
        lines.append(f"the reporter was asked to try the fix by {_date(by, mailbox)}")
    if (by := deadlines.publication_by(state, policy)) is not None:
        lines.append(f"the advisory follows the release on {_date(by, mailbox)}")
    if (by := deadlines.embargo_end(state, policy)) is not None:
        lines.append(f"the embargo ends {written_moment(by)}")
    return lines


# What entries say that have nothing to add.
_PLAIN = {
    Event.ADDRESS_ADDED: "added a further address of the reporter",
    Event.NOTED: "wrote a note",
    Event.REPLIED: "answered the reporter",
    Event.WITHDRAWAL_ASKED: "asks to withdraw the report",
    Event.REMINDED: "reminded the reporter of our questions",
}

# What a reporter's answer says, where a maintainer's command would only move the case.
_BY_REPORTER = {
    Event.INFO_GIVEN: "answered our questions: the case is in reviewing again",
    Event.FIX_VERIFIED: "says that the fix works: fix verified",
    Event.FIX_FAILED: "says that the fix does not hold: back to reproduced",
}


def described(entry: Entry) -> str:
    """What an entry of the journal says, without its subject: `moved the case to reproduced`."""
    data = entry.data
    if entry.event is Event.REPLIED and data.get("address"):
        return f"wrote to {data['address']}"
    if entry.event in _PLAIN:
        return _PLAIN[entry.event]
    if entry.event in MOVES:
        return _moved(entry)
    match entry.event:
        case Event.FACT_RECORDED:
            value = data.get("value")
            return f"set {data.get('fact')} to {value if value else 'anonymous' if value == '' else 'nothing'}"
        case Event.ASSIGNED:
            return f"gave the case to {data['owner']}" if data.get("owner") else "left the case without an owner"
        case Event.PARTICIPANT_INVITED:
            return f"invited {data.get('address')}"
        case Event.PARTICIPANT_REMOVED:
            return f"removed {data.get('address')}"
        case Event.MERGED:
            return f"took in {data.get('ref')}"
        case Event.SPLIT:
            return f"let {data.get('ref')} go its own way again"
        case _:
            return spoken(entry.event)


def _moved(entry: Entry) -> str:
    data = entry.data
    if entry.event is Event.CLOSED:
        text = f"closed the case as {spoken(str(data.get('resolution')))}"
        return f"{text} of {data['duplicate_of']}" if data.get("duplicate_of") else text
    if entry.actor == Party.REPORTER and entry.event in _BY_REPORTER:
        return _BY_REPORTER[entry.event]
    facts = [f"{name} {data[name]}" for name in ("fixed", "advisory", "patch") if data.get(name)]
    moved = f"moved the case to {spoken(str(data.get('to')))}"
    return f"{moved} ({', '.join(facts)})" if facts else moved


def going_to(mail: Mail, people: int) -> str:
    """A mail to the reporters and its kind, for a list of what would go out."""
    return f"{_reporters(people)}: {spoken(mail)}"


def sent_to(mail: Mail, people: int) -> str:
    """The same once it is on its way, as a sentence."""
    return f"{_reporters(people)} {'was' if people == 1 else 'were'} sent: {spoken(mail)}"


def cannot_read(unserved: int, people: int) -> str:
    """Of a sealed case, to whom of the people that were written to nothing of it could be said."""
    whom = "they" if unserved == people else f"{unserved} of the {people}"
    return f"{whom} cannot read it, for want of a key that can be used: they were told that there is news, and no more"


def _reporters(people: int) -> str:
    return "the reporter" if people == 1 else f"the {people} reporters, each alone,"


def listed(record: CaseRecord, mailbox: Mailbox) -> dict[str, object]:
    """A case as one line of a list; of a sealed one no subject."""
    by = deadlines.update_by(record.state, mailbox.policy)
    return {
        "reference": record.state.ref,
        "stage": spoken(record.state.stage),
        "owner": record.state.owner or "",
        "due": f"next word by {_date(by, mailbox)}" if by is not None else "",
        "subject": "" if record.sealed else clean(record.subject, 120),
    }


def party_of(role: str) -> str:
    """The `party` that templates know: whom a mail is for."""
    return Party.MAINTAINER.value if role == Party.MAINTAINER else Party.REPORTER.value


def _date(moment: datetime | None, mailbox: Mailbox) -> str:
    return written_date(moment.astimezone(mailbox.policy.zone)) if moment is not None else ""
