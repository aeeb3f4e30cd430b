"""What people read and decide through the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.casework_sql import NEVER
from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import (
    cases,
    folder,
    journal,
    mailbox,
    message,
    outbound,
    source,
)
from mailbox_service.core.case import Resolution, Stage
from mailbox_service.errors import NotFound
from mailbox_service.services.ports import CaseId, MessageId, OutboundId

Row = dict[str, Any]
# What people are shown as the state of a mail that came back, whatever T6 wrote.
BOUNCED = "bounced"


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages a listing shows; None means any."""

    mailbox: str | None = None
    disposition: str | None = None
    state: str | None = None
    case_id: int | None = None
    limit: int | None = None  # the newest so many


class ReadingSql(Sql):
    """Listings, and a person's decisions."""

    def list_messages(self, wanted: MessageFilter) -> list[Row]:
        m = message.c
        query = (
            sa.select(
                m.id,
                m.mailbox,
                m.source,
                m.received_at,
                m.sender,
                m.subject,
                m.sha256,
                m.state,
                m.disposition,
                cases.c.ref.label("case"),
                m.why,
            )
            .select_from(message.outerjoin(cases, m.case_id == cases.c.id))
            .order_by(m.id.desc())
        )
        for column, value in (
            (m.mailbox, wanted.mailbox),
            (m.disposition, wanted.disposition),
            (m.state, wanted.state),
            (m.case_id, wanted.case_id),
        ):
            if value is not None:
                query = query.where(column == value)
        if wanted.limit is not None:
            query = query.limit(wanted.limit)
        return [dict(row._mapping) for row in reversed(self.connection.execute(query).all())]

    def message_row(self, message_id: MessageId) -> Row:
        """Everything on file about one message but its bytes. Raises: NotFound."""
        row = self.connection.execute(
            sa.select(message, cases.c.ref.label("case"))
            .select_from(message.outerjoin(cases, message.c.case_id == cases.c.id))
            .where(message.c.id == message_id)
            # A decision that follows must not meet a worker half way (SQLite knows one writer at a time anyway).
            .with_for_update(of=message)
        ).one_or_none()
        if row is None:
            raise NotFound(f"no message {message_id}")
        return dict(row._mapping)

    def sources_of(self, message_id: MessageId) -> list[Row]:
        """Where the message came from, each with the name and UIDVALIDITY of its folder where it has one."""
        query = (
            sa.select(source, folder.c.name.label("folder"), folder.c.uidvalidity)
            .select_from(source.outerjoin(folder, source.c.folder_id == folder.c.id))
            .where(source.c.message_id == message_id)
            .order_by(source.c.id)
        )
        return [dict(row._mapping) for row in self.connection.execute(query)]

    def fates_of(self, ids: Sequence[int]) -> list[Row]:
        """State and disposition of each of the messages `ids`."""
        query = sa.select(message.c.id, message.c.state, message.c.disposition).where(message.c.id.in_(ids))
        return [dict(row._mapping) for row in self.connection.execute(query)]

    def list_cases(self, name_of_mailbox: str | None = None) -> list[Row]:
        c = cases.c
        count = sa.select(sa.func.count()).where(message.c.case_id == c.id).scalar_subquery().label("messages")
        query = sa.select(
            *(c.ref, c.mailbox, c.stage, c.reporter, c.subject, c.opened_at, c.unsure, c.sealed, c.owner, c.resolution),
            count,
        ).order_by(c.id)
        if name_of_mailbox is not None:
            query = query.where(c.mailbox == name_of_mailbox)
        return [dict(row._mapping) for row in self.connection.execute(query)]

    def case_row(self, reference: str) -> Row:
        """All columns; `next_due_at` is None where nothing falls due. Raises: NotFound."""
        row = self.connection.execute(
            sa.select(cases).where(sa.func.lower(cases.c.ref) == reference.lower())
        ).one_or_none()
        if row is None:
            raise NotFound(f"no case {reference}")
        return dict(row._mapping) | {"next_due_at": None if row.next_due_at == NEVER else row.next_due_at}

    def journal_of(self, case_id: CaseId) -> list[Row]:
        query = sa.select(journal).where(journal.c.case_id == case_id).order_by(journal.c.seq)
        return [dict(row._mapping) for row in self.connection.execute(query)]

    def list_outbound(
        self,
        *,
        name_of_mailbox: str | None = None,
        state: str | None = None,
        case_id: int | None = None,
        among: Sequence[int] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Mails of the outbox, oldest first; `among`: only these numbers."""
        o = outbound.c
        shown = sa.case((o.bounced_at.is_not(None), BOUNCED), else_=o.state)
        query = (
            sa.select(
                o.id,
                cases.c.ref.label("case"),
                o.kind,
                o.recipient,
                shown.label("state"),
                o.attempts,
                o.message_id,
                o.mailbox,
                o.due_at,
                o.created_at,
                o.finished_at,
                sa.func.coalesce(o.bounce, o.last_reply).label("last_reply"),
                o.unknown_outcomes,
            )
            .select_from(outbound.outerjoin(cases, o.case_id == cases.c.id))
            .order_by(o.id.desc())
        )
        for column, value in ((o.mailbox, name_of_mailbox), (shown, state), (o.case_id, case_id)):
            if value is not None:
                query = query.where(column == value)
        if among is not None:
            query = query.where(o.id.in_(among))
        if limit is not None:
            query = query.limit(limit)
        return [dict(row._mapping) for row in reversed(self.connection.execute(query).all())]

    def outbound_row(self, outbound_id: OutboundId) -> Row:
        """Raises: NotFound."""
        row = self.connection.execute(
            sa.select(outbound, cases.c.ref.label("case"))
            .select_from(outbound.outerjoin(cases, outbound.c.case_id == cases.c.id))
            .where(outbound.c.id == outbound_id)
        ).one_or_none()
        if row is None:
            raise NotFound(f"no outgoing mail {outbound_id}")
        return dict(row._mapping) | ({"state": BOUNCED} if row.bounced_at is not None else {})

    def decide(self, message_id: MessageId, disposition: str, by: str, now: datetime) -> None:
        """A person's decision: the message is worked again, and the decision outranks the sorter.

        The token moves on, because a worker that has the message in hand would finish it without the decision.
        """
        self.connection.execute(
            message.update()
            .where(message.c.id == message_id)
            .values(
                state="waiting",
                disposition=disposition,
                decided_by=by,
                attempts=0,
                lease_token=message.c.lease_token + 1,
                lease_until=None,
                due_at=now,
            )
        )

    def withdraw_mails(self, message_id: MessageId, now: datetime) -> None:
        """Mails about the message that have not left yet never leave."""
        self.connection.execute(
            outbound.update()
            .where(outbound.c.about_message_id == message_id, outbound.c.state == "waiting")
            .values(state="withdrawn", finished_at=now, lease_until=None, lease_token=outbound.c.lease_token + 1)
        )

    def work_again(self, message_id: MessageId, now: datetime) -> None:
        """A held message is worked once more from the start."""
        self.connection.execute(
            message.update()
            .where(message.c.id == message_id, message.c.state == "held")
            .values(state="waiting", attempts=0, lease_until=None, due_at=now)
        )

    def close_case(self, case_id: CaseId, resolution: Resolution, now: datetime) -> None:
        self.connection.execute(
            cases.update()
            .where(cases.c.id == case_id)
            .values(
                stage=Stage.CLOSED.value,
                stage_since=now,
                closed_at=now,
                resolution=resolution.value,
                reminded=False,
                next_due_at=None,  # what fell due of the open case does so no more
            )
        )

    def waiting(self, mailboxes: Sequence[str]) -> dict[str, int]:
        """How much is left of `mailboxes`: messages waiting and held, marks to make, mails to go and failed.

        What waits for a mailbox that is no longer configured is worked by nobody, and is not counted.
        """
        folders = sa.select(folder.c.id).where(folder.c.mailbox.in_(mailboxes))
        return {
            "messages": self._count(message.c.state == "waiting", message.c.mailbox.in_(mailboxes)),
            "held": self._count(message.c.state == "held", message.c.mailbox.in_(mailboxes)),
            "marks": self._count(source.c.mark_state == "waiting", source.c.folder_id.in_(folders)),
            "mails": self._count(outbound.c.state == "waiting", outbound.c.mailbox.in_(mailboxes)),
            "failed": self._count(outbound.c.state == "failed", outbound.c.mailbox.in_(mailboxes)),
        }

    def _count(self, *conditions: sa.ColumnElement[bool]) -> int:
        return int(self.connection.scalar(sa.select(sa.func.count()).where(*conditions)) or 0)

    def moment(self) -> datetime | None:
        """A time that the host's clock must not be behind: the server's own, or when mail was last stored."""
        if self.connection.dialect.name == "postgresql":
            query = sa.select(sa.func.now())
        else:
            query = sa.select(sa.func.max(message.c.stored_at))
        found: datetime | None = self.connection.scalar(query)
        return found

    def known_mailboxes(self) -> list[str]:
        return list(self.connection.scalars(sa.select(mailbox.c.name)))
