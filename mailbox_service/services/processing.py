"""The heavy part of a batch: understanding messages, composing mails. No database, no network, no clock.

It is pure work and therefore can be done anywhere: in a thread of this process, or in a process of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailbox_service.core import tokens
from mailbox_service.core.bounce_address import reply_address
from mailbox_service.core.composition import OutFile, Outgoing, compose
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.lean import RareLogger
from mailbox_service.services.mailboxes import Mailbox, Mailboxes
from mailbox_service.services.ports import Claim, OutboundClaim, Renderer
from mailbox_service.services.understanding import Understood, understand
from mailbox_service.sorting import Sorter

log = RareLogger()

AUTO_REPLIED = frozenset({"acknowledgement", "acknowledgement_collected", "redirect"})

Loaded = tuple[Claim, bytes]
Written = tuple[OutboundClaim, bytes | None]  # a row, and the inbound message that travels along
Understanding = tuple[list[Understood], list[tuple[Claim, str]]]  # and what failed, each with the type of its error
Composition = tuple[list[tuple[OutboundClaim, bytes]], list[tuple[OutboundClaim, str]]]


@dataclass(frozen=True, slots=True)
class Processing:
    """What it takes to understand messages and to compose mails. Can be pickled: another process can do it too."""

    mailboxes: Mailboxes
    sorter: Sorter
    renderer: Renderer
    key: tokens.TokenKey
    sorters: Mapping[str, Sorter] = field(default_factory=dict)  # by mailbox, where it is not `sorter`

    def understand(self, batch: Sequence[Loaded]) -> Understanding:
        """One bad message never fails its batch."""
        understood, failed = [], []
        for claim, data in batch:
            try:
                understood.append(understand(claim, data, self.mailboxes[claim.mailbox], self._sorter(claim)))
            except Exception as error:
                failed.append((claim, type(error).__name__))
        return understood, failed

    def _sorter(self, claim: Claim) -> Sorter:
        return self.sorters.get(claim.mailbox, self.sorter)

    def compose(self, batch: Sequence[Written]) -> Composition:
        """One bad mail never fails its batch."""
        composed, broken = [], []
        for row, attachment in batch:
            try:
                composed.append((row, self.compose_one(row, attachment)))
            except Exception as error:
                log.error("mail cannot be composed", outbound_id=int(row.id), error_type=type(error).__name__)
                broken.append((row, f"could not be composed: {type(error).__name__}"))
        return composed, broken

    def compose_one(self, row: OutboundClaim, attachment: bytes | None) -> bytes:
        """The bytes of one row, the same at every call. Raises: TemplateError, ValueError."""
        return compose(self.outgoing(row, attachment))

    def outgoing(self, row: OutboundClaim, attachment: bytes | None, own_key: str = "") -> Outgoing:
        """What is composed for one row; `own_key` is the fingerprint of the mailbox's key, for its readers.

        Raises: TemplateError, ValueError.
        """
        mailbox = self.mailboxes[row.mailbox]
        files: tuple[OutFile, ...] = ()
        names = row.context.get("pass_on")
        if attachment is not None and names is not None:
            # A mail of a maintainer: nothing of it but these files may reach anybody else.
            files, attachment = passed_on(attachment, names), None
        rendered = self.renderer.render(row.template, self._context(mailbox, row) | {"own_key": own_key})
        return Outgoing(
            from_address=mailbox.address,
            from_name=f"{mailbox.project_name} security",
            to_address=row.recipient,
            reply_to=self._reply_to(mailbox, row),
            subject=rendered.subject,
            body=rendered.body,
            message_id=row.message_id,
            date=row.created_at,
            in_reply_to=row.in_reply_to,
            references=row.references,
            auto_submitted="auto-replied" if row.kind in AUTO_REPLIED else "auto-generated",
            loop_marker=f"{tokens.loop_marker(self.key, mailbox.address)}.{row.kind}",
            attachment=attachment,
            attachment_name=f"message-{row.about_message}.eml",
            files=files,
        )

    def _reply_to(self, mailbox: Mailbox, row: OutboundClaim, *, outward: bool = False) -> str | None:
        if mailbox.reply_to is None or row.role == "mailbox":
            return None
        return reply_address(
            mailbox.reply_to,
            self.key,
            mailbox=mailbox.name,
            row=int(row.id),
            message_id=row.message_id,
            outward=outward,
        )

    def _context(self, mailbox: Mailbox, row: OutboundClaim) -> dict[str, object]:
        """What the template is given: beside what was put into the outbox an address that needs the row's number."""
        answers = row.role == "maintainer" and row.case_id is not None
        address = self._reply_to(mailbox, row, outward=True) if answers else None
        return row.context | {"answer_address": address or ""}


def passed_on(raw: bytes, names: object) -> tuple[OutFile, ...]:
    """Those files of a mail that are named (of several with one name: so many, the first first), in the mail's order.

    Raises: ValueError when the mail has not all of them, for what is written beside them says it has.
    """
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("pass_on is no list of file names")
    wanted = Counter(names)
    files = []
    for file in attached_files(raw):
        if wanted[file.filename] > 0:
            wanted[file.filename] -= 1
            files.append(OutFile(file.filename, file.data))
    if wanted.total():
        raise ValueError("a file that shall be passed on is not in the mail")
    return tuple(files)
