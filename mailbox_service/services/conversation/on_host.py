"""What `mailbox-service case` does on the host: the same commands, by whoever may run them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mailbox_service.core.authority import Evidence
from mailbox_service.core.case import Party, Refused, spoken
from mailbox_service.core.commands import Misread, TextFor, parse
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.core.newtext import NewText
from mailbox_service.errors import NotFound
from mailbox_service.services.conversation import contexts
from mailbox_service.services.conversation.casework import Work, carry_out
from mailbox_service.services.conversation.letters import Letters, Words
from mailbox_service.services.conversation.requests import Request, context_of
from mailbox_service.services.conversation.speakers import Speaker
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.kept import kept
from mailbox_service.services.mailboxes import Mailboxes
from mailbox_service.services.ports import Transaction
from mailbox_service.services.ports.openpgp import OpenPgp

# Commands that answer a mail, or that the host has verbs of its own for.
BY_MAIL_ONLY = frozenset({"send", "preview", "confirm", "status", "list", "help", "second-address", "release"})


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: sentences, and what went to whom."""

    reference: str
    stage: str
    what: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)


def carry_out_on_host(
    tx: Transaction,
    mailboxes: Mailboxes,
    correspondence: Correspondence,
    reference: str,
    lines: list[str],
    text: str,
    by: str,
    now: datetime,
    doors: Mapping[str, OpenPgp] = {},
) -> Done:
    """The command `lines` and the `text` below them, as if a maintainer had sent them with every proof.

    `by` is a maintainer's name, or another word for the journal. Of a sealed case the text is kept encrypted, for which
    gpg runs. Raises: NotFound; Refused, and nothing has changed; TemporaryError.
    """
    mailbox, number = next(
        ((m, found) for m in mailboxes.values() if (found := tx.case_named(m.name, reference)) is not None),
        (None, None),
    )
    if mailbox is None or number is None:
        raise NotFound(f"no case {reference}")
    record = tx.case_for_update(number)
    evidence = Evidence(False, Authentication(AuthResult.NONE, "", "on the host"), obtainable=False, on_host=True)
    address = next((m.address.lower() for m in mailbox.maintainers if m.name == by), "")
    speaker = Speaker(Party.MAINTAINER, by, address, evidence)
    new = NewText("\n".join([*lines, text]).strip("\n"), len(lines))
    commands = parse(new, context_of(mailbox, Party.MAINTAINER, by, on_case=True))
    if isinstance(commands, Misread):
        raise Refused("; ".join(commands.errors))
    if wrong := [c.line for c in commands.commands if c.verb.name in BY_MAIL_ONLY]:
        raise Refused(f"{', '.join(wrong)}: only in an answer to a mail")
    sealed = record.sealed and bool(commands.text.strip())
    request = Request(commands, new, None, kept(commands.text, doors.get(mailbox.name)) if sealed else "")
    work = Work(record, speaker, mailbox, now)
    carry_out(work, request, tx)
    letters = Letters(tx, correspondence, mailbox, f"case:{reference}/v{record.state.version}", now)
    outward = commands.text if commands.text_for is not TextFor.NOTE else ""
    text_for = commands.text_for.value if commands.text.strip() else ""
    source: dict[str, object] | None = {"kept": request.kept} if request.kept else None
    words = Words(commands.text, text_for, outward, sealed_source=source)
    sent = letters.tell(work, words, by)
    said: dict[str, object] = source or ({"text": commands.text} if commands.text.strip() else {})
    work.write(tx, said | {"evidence": evidence.label})
    tx.add_mails(letters.mails, now, now + correspondence.lifetime)
    what = [contexts.described(entry) for entry in work.entries]
    return Done(reference, spoken(work.state.stage), what, [*sent, *letters.unserved])
