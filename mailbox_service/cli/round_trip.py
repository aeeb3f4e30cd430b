"""`check --send-test`: two mails of the mailbox to itself, and what the provider made of them on the way.

They carry what every automatic mail of ours carries, and say that they are automatic replies: a daemon that sees
them files them as such and opens no case.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailbox_service.adapters.imap import ImapAccount
from mailbox_service.adapters.imap.folders import find_junk
from mailbox_service.adapters.imap.session import HIGHEST_UID, FolderMissing, Session
from mailbox_service.adapters.imap.settings import Deadlines
from mailbox_service.adapters.templates import Templates
from mailbox_service.app import now
from mailbox_service.cli.exits import Exit
from mailbox_service.cli.findings import Finding
from mailbox_service.config import Imap, Mailbox
from mailbox_service.core.bounce_address import LONGEST_TOKEN, PLACEHOLDER
from mailbox_service.core.composition import Outgoing, compose
from mailbox_service.core.message import ParsedMessage, parse
from mailbox_service.errors import MailboxServiceError
from mailbox_service.services.mailboxes import written_moment
from mailbox_service.services.ports import DeliveryOutcome, Envelope, Transport

WAIT_SECONDS = 60.0  # mail to oneself takes seconds; greylisting would take minutes, but no provider greylists itself
LOOK_SECONDS = 2.0
HEADER_BYTES = 64 * 1024
TOKEN_BYTES = 16
# A provider that rewrites the Message-ID leaves References alone; there we find the mail again.
WITNESS = "references"


@dataclass(frozen=True, slots=True)
class Trial:
    """One mail of the round trip."""

    name: str  # "the plain address", "the plus address"
    mail_from: str  # envelope sender
    recipient: str
    token: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Return:
    """How a mail came back."""

    folder: str
    junk: bool
    view: ParsedMessage


@dataclass(slots=True)
class _Watched:
    name: str
    junk: bool
    next_uid: int


async def examine(
    mailbox: Mailbox,
    imap: Imap,
    account: ImapAccount,
    transport: Transport,
    templates: Templates,
) -> list[Finding]:
    """Send, wait, compare. The mails stay in the mailbox: nothing is ever deleted."""
    subject = f"round trip {mailbox.name}"
    plain, plus = trials(mailbox.address, mailbox.smtp.envelope_from)
    try:
        async with Session(account, Deadlines()) as session:
            folders = await _folders(session, imap)
            refused = {}
            for trial in (plain, plus):
                refusal = await _send(mailbox, trial, transport, templates)
                if refusal and trial.mail_from != plain.mail_from:
                    # Perhaps it is the keyed sender that is refused, and not the address.
                    plus = trial = replace(plus, mail_from=plain.mail_from)
                    refusal = await _send(mailbox, trial, transport, templates)
                if refusal:
                    refused[trial] = refusal
            back = await _wait(session, folders, [t for t in (plain, plus) if t not in refused])
    except MailboxServiceError as error:
        return [Finding.error(subject, str(error), "see the IMAP lines above", Exit.UNAVAILABLE)]
    if plain in refused:
        remedy = "the server must let this login send from address and smtp.envelope_from"
        return [Finding.error(subject, f"the server refused the mail: {refused[plain]}", remedy, Exit.UNAVAILABLE)]
    if plain not in back:
        remedy = "look for the mail, subject “Test mail of …”, in other folders, and at the server's log"
        what = f"the mail did not come back within {WAIT_SECONDS:.0f} s"
        return [Finding.error(subject, what, remedy, Exit.UNAVAILABLE)]
    return [
        *compared(subject, plain, back[plain]),
        _plus(subject, plus, back.get(plus), refused.get(plus, "")),
        *_keyed(subject, mailbox, plain, plus, back.get(plus)),
    ]


def trials(address: str, envelope_from: str | None = None) -> tuple[Trial, Trial]:
    """The two mails: to the address itself, and to a plus address of it (RFC 5233) or where keyed bounces go.

    The second one leaves with a keyed envelope sender, whether these are configured or not.
    """
    local, _, domain = address.rpartition("@")
    tokens = [secrets.token_hex(TOKEN_BYTES) for _ in range(2)]
    ids = [f"<check.{token}@{domain}>" for token in tokens]
    keyed = envelope_from if envelope_from and PLACEHOLDER in envelope_from else None
    pattern = keyed or f"{local}+{PLACEHOLDER}@{domain}"
    first, second = (pattern.replace(PLACEHOLDER, token[: len(LONGEST_TOKEN)]) for token in tokens)
    plain_sender = first if keyed else envelope_from or address
    recipient = second if keyed else f"{local}+{tokens[1]}@{domain}"
    return (
        Trial("the plain address", plain_sender, address, tokens[0], ids[0]),
        Trial("the keyed bounce address" if keyed else "the plus address", second, recipient, tokens[1], ids[1]),
    )


async def _send(mailbox: Mailbox, trial: Trial, transport: Transport, templates: Templates) -> str:
    """Hand the mail to the server; returns why it was not taken, or ""."""
    moment = now()
    mail = templates.render(
        "check_round_trip",
        {
            "project_name": mailbox.project_name,
            "mailbox_address": mailbox.address,
            "team_address": mailbox.team_address,
            "policy_url": str(mailbox.policy_url) if mailbox.policy_url else None,
            "contacts": [{"label": contact.label, "value": contact.value} for contact in mailbox.contacts],
            "sent_at": written_moment(moment),
        },
    )
    data = compose(
        Outgoing(
            from_address=mailbox.address,
            from_name=f"{mailbox.project_name} security",
            to_address=trial.recipient,
            reply_to=None,
            subject=mail.subject,
            body=mail.body,
            message_id=trial.message_id,
            date=moment,
            in_reply_to=None,
            references=(trial.message_id,),
            auto_submitted="auto-replied",
            loop_marker=trial.token,
            attachment=None,
            attachment_name="",
        )
    )
    delivery = await transport.send(Envelope(trial.mail_from, trial.recipient), data)
    # UNKNOWN may have been taken; whether it comes back will tell.
    return "" if delivery.outcome in (DeliveryOutcome.SENT, DeliveryOutcome.UNKNOWN) else delivery.reply


# --- coming back -------------------------------------------------------------------------------------------


async def _folders(session: Session, imap: Imap) -> list[_Watched]:
    """Where the mail may turn up: what is watched, Junk, and where a running daemon would move it."""
    junk = await find_junk(session) if imap.junk in (None, "auto") else imap.junk
    names = dict.fromkeys(imap.folders, False) | ({junk: True} if junk else {})
    if imap.marks.processed.folder:
        names.setdefault(imap.marks.processed.folder, False)
    watched = []
    for name, is_junk in names.items():
        try:
            selected = await session.open(name)
        except FolderMissing:
            continue
        watched.append(_Watched(name, is_junk, selected.uidnext))
    return watched


async def _wait(session: Session, folders: Sequence[_Watched], sent: Sequence[Trial]) -> dict[Trial, Return]:
    loop = asyncio.get_running_loop()
    end = loop.time() + WAIT_SECONDS
    back: dict[Trial, Return] = {}
    while len(back) < len(sent) and loop.time() < end:
        for folder in folders:
            await _look(session, folder, sent, back)
        if len(back) < len(sent):
            await asyncio.sleep(min(LOOK_SECONDS, max(end - loop.time(), 0)))
    return back


async def _look(session: Session, folder: _Watched, sent: Sequence[Trial], back: dict[Trial, Return]) -> None:
    await session.open(folder.name)  # opened anew, so that the server shows what came meanwhile
    for uid in await session.search(folder.next_uid, HIGHEST_UID):
        header = await session.part(uid, "HEADER", 0, HEADER_BYTES)
        if header is None:
            continue
        folder.next_uid = uid + 1
        view = parse(header)
        for trial in sent:
            if any(trial.token in (view.header(name) or "") for name in ("message-id", WITNESS)):
                back.setdefault(trial, Return(folder.name, folder.junk, view))


# --- what it means -----------------------------------------------------------------------------------------


def compared(subject: str, trial: Trial, back: Return) -> list[Finding]:
    """What the provider changed about the mail to the plain address."""
    findings = []
    if back.junk:
        remedy = "tell the provider that it is no junk; until then reporters' programs may judge the same way"
        findings.append(Finding.warning(subject, f"our own mail came back in the Junk folder {back.folder}", remedy))
    else:
        findings.append(Finding.ok(subject, f"the mail came back in {back.folder}"))
    if back.view.message_id == trial.message_id:
        findings.append(Finding.ok(subject, "the Message-ID is kept: answers find their case"))
    else:
        remedy = "send through another server: answers to our mail are recognised by its Message-ID"
        findings.append(Finding.warning(subject, "the provider replaces our Message-ID", remedy))
    return [*findings, _envelope(subject, trial, back)]


def _envelope(subject: str, trial: Trial, back: Return) -> Finding:
    found = _return_path(back)
    if found == trial.mail_from.lower():
        return Finding.ok(subject, f"the envelope sender is kept: bounces come to {trial.mail_from}")
    if not found:
        remedy = "nothing to do; if bounces do not come in, ask the provider"
        return Finding.warning(
            subject, "the server shows no Return-Path, so nothing is known of the envelope sender", remedy
        )
    remedy = "set smtp.envelope_from to an address the provider keeps; bounces go there and not to us"
    return Finding.warning(subject, f"the provider replaces the envelope sender by {found}", remedy)


def _return_path(back: Return) -> str:
    return (back.view.header("return-path") or "").strip().strip("<>").lower()


def _plus(subject: str, trial: Trial, back: Return | None, refusal: str) -> Finding:
    keyed = trial.name == "the keyed bounce address"
    if back is not None:
        return Finding.ok(subject, f"mail to {trial.name} arrives" if keyed else "plus addresses arrive")
    reason = f"the server refused it: {refusal}" if refusal else "it did not arrive"
    if keyed:
        what = f"bounces get lost: mail to {trial.name} does not arrive ({reason})"
        remedy = f"let the server take smtp.envelope_from with anything in place of {PLACEHOLDER}, or remove the key"
        return Finding.warning(subject, what, remedy)
    what = f"plus addresses do not work ({reason})"
    return Finding.warning(subject, what, "nothing to do: answers are recognised by their Message-ID alone")


def _keyed(subject: str, mailbox: Mailbox, plain: Trial, plus: Trial, back: Return | None) -> list[Finding]:
    """Whether keyed envelope senders could be switched on, where they are not."""
    if PLACEHOLDER in (mailbox.smtp.envelope_from or "") or back is None:
        return []
    local, _, domain = mailbox.address.rpartition("@")
    if plus.mail_from != plain.mail_from and _return_path(back) == plus.mail_from.lower():
        what = f"keyed envelope senders work: smtp.envelope_from can be {local}+{PLACEHOLDER}@{domain}"
        return [Finding.ok(subject, what)]
    return [Finding.ok(subject, "keyed envelope senders do not work here: bounces are recognised by our Message-ID")]
