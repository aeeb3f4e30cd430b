"""The case whole, its thread with one person, and questions that wait (ports.Casework)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import (
    UtcDateTime,
    cases,
    confirmation,
    journal,
    message,
    outbound,
    storable,
)
from mailbox_service.core.case import (
    Ask,
    CaseState,
    Entry,
    Event,
    Facts,
    Resolution,
    Stage,
    facts_from,
    journaled,
)
from mailbox_service.core.routing import Disposition
from mailbox_service.errors import CaseChanged, NotFound
from mailbox_service.services import ports
from mailbox_service.services.ports import CaseId, MessageId, OutboundId

# "Nothing falls due": NULL says that nobody has looked yet. Far from the last day a datetime can hold, because a
# server in another zone writes it in its own time.
EPOCH, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
OPEN_SHOWN = 500
REFERENCES_SENT = 10  # besides the first

_c = cases.c
# All but the sketch, which is large, and nobody here looks at.
_RECORD = sa.select(*(column for column in _c if column is not _c.sketch))
_ONE = _RECORD.where(_c.id == sa.bindparam("b_id")).with_for_update()
_OPEN = (
    _RECORD.where(_c.mailbox == sa.bindparam("b_mailbox"), _c.stage != Stage.CLOSED.value)
    .order_by(_c.opened_at, _c.id)
    .limit(OPEN_SHOWN)
)
_DUE = (
    sa.select(_c.id)
    .where(
        sa.or_(_c.next_due_at.is_(None), _c.next_due_at <= sa.bindparam("b_now")),
        # Each coalesce() keeps SQLite from going through all cases, by mailbox or by date: few of them are due.
        sa.func.coalesce(_c.mailbox, "").in_(sa.bindparam("b_mailboxes", expanding=True)),
        _c.quiet.is_(sa.false()),
    )
    .order_by(sa.func.coalesce(_c.next_due_at, sa.literal(EPOCH, UtcDateTime)), _c.id)
    .limit(sa.bindparam("b_limit"))
    .with_for_update(skip_locked=True)
)


def _is_of(column: sa.ColumnElement[Any], address: str) -> sa.ColumnElement[bool]:
    # lower() of SQLite knows ASCII only: other addresses must be written alike, and none is taken for another one.
    return sa.or_(column == address, sa.func.lower(column) == address.lower())


class CaseworkSql(Sql):
    """What the conversation about a case, and its clocks, ask of the database."""

    # --- the case ------------------------------------------------------------------------------------------

    def case_for_update(self, case: CaseId) -> ports.CaseRecord:
        row = self.connection.execute(_ONE, {"b_id": case}).one_or_none()
        if row is None:
            raise NotFound(f"no case with the number {case}")
        return _record(row)

    def case_named(self, mailbox: str, ref: str) -> CaseId | None:
        ref = storable(ref)  # it comes out of a mail
        of_mailbox = sa.select(_c.id).where(_c.mailbox == mailbox)
        # As it is written in nearly every mail, by the unique index; the other way looks at all cases of the mailbox.
        for alike in (_c.ref == ref, sa.func.lower(_c.ref) == ref.lower()):
            found = self.connection.scalar(of_mailbox.where(alike).order_by(_c.id).limit(1))
            if found is not None:
                return CaseId(found)
        return None

    def save_case(self, record: ports.CaseRecord, expected_version: int, next_due_at: datetime | None) -> None:
        values = _values(record.state) | {"next_due_at": next_due_at or NEVER}
        saved = self.connection.execute(
            cases.update().where(_c.id == record.id, _c.version == expected_version).values(values)
        )
        if not saved.rowcount:
            raise CaseChanged(f"{record.state.ref} was changed in the meantime")

    def open_cases_of(self, mailbox: str) -> list[ports.CaseRecord]:
        return [_record(row) for row in self.connection.execute(_OPEN, {"b_mailbox": mailbox})]

    def cases_to_look_at(self, now: datetime, mailboxes: Sequence[str], limit: int) -> list[CaseId]:
        due = self.connection.scalars(_DUE, {"b_now": now, "b_mailboxes": list(mailboxes), "b_limit": limit})
        return [CaseId(id_) for id_ in due]

    def set_next_due(self, case: CaseId, at: datetime | None) -> None:
        self.connection.execute(cases.update().where(_c.id == case).values(next_due_at=at or NEVER))

    # --- its journal ---------------------------------------------------------------------------------------

    def journal_after(self, case: CaseId, moment: datetime) -> list[Entry]:
        j = journal.c
        rows = self.connection.execute(
            sa.select(j.event, j.actor, j.at, j.data).where(j.case_id == case, j.at > moment).order_by(j.seq)
        )
        return [Entry(Event(row.event), row.actor, row.at, row.data) for row in rows]

    def last_note(self, case: CaseId, actor: str) -> MessageId | None:
        j = journal.c
        of_case = sa.select(j.seq, j.data).where(j.case_id == case)
        note = self.connection.execute(
            of_case.where(j.event == Event.NOTED.value, j.actor == actor).order_by(j.seq.desc()).limit(1)
        ).one_or_none()
        if note is None or not isinstance(note.data.get("message"), int):
            return None
        later = self.connection.execute(of_case.add_columns(j.event).where(j.seq > note.seq))
        found: int = note.data["message"]
        replied = Event.REPLIED.value
        sent = (
            row.data.get("sent_note") == found or (row.event == replied and row.data.get("message") == found)
            for row in later
        )
        return None if any(sent) else MessageId(found)

    # --- its messages and mails ----------------------------------------------------------------------------

    def first_message(self, case: CaseId) -> MessageId | None:
        # A message that joined later may be older than the one that opened the case.
        opened = sa.case((message.c.disposition == Disposition.CASE.value, 0), else_=1)
        found = self.connection.scalar(
            sa.select(message.c.id).where(message.c.case_id == case).order_by(opened, message.c.id).limit(1)
        )
        return None if found is None else MessageId(found)

    def messages_of(self, case: CaseId) -> list[MessageId]:
        found = sa.select(message.c.id).where(message.c.case_id == case).order_by(message.c.id)
        return [MessageId(id_) for id_ in self.connection.scalars(found)]

    def thread_with(self, case: CaseId, recipient: str) -> ports.ThreadIds:
        m, o = message.c, outbound.c
        theirs = sa.select(m.header_message_id.label("name"), m.stored_at.label("at"), m.id).where(
            m.case_id == case, m.header_message_id.is_not(None), _is_of(m.sender, recipient)
        )
        ours = sa.select(o.message_id.label("name"), o.created_at.label("at"), o.id).where(
            o.case_id == case, o.state.in_(("waiting", "sent")), _is_of(o.recipient, recipient)
        )
        said = [(at, 0, id_, name) for name, at, id_ in self._ends(theirs, m.stored_at, m.id)]
        told = [(at, 1, id_, name) for name, at, id_ in self._ends(ours, o.created_at, o.id)]
        # Of what came at the same moment, theirs is first: ours answers it.
        exchanged = sorted(said + told)
        names = list(dict.fromkeys(name for _, _, _, name in exchanged))
        newest = (said or told)[-1][3] if exchanged else None
        return ports.ThreadIds(newest, tuple(names[:1] + names[1:][-REFERENCES_SENT:]))

    def _ends(
        self, query: sa.Select[Any], at: sa.ColumnElement[Any], id_: sa.ColumnElement[Any]
    ) -> list[tuple[str, datetime, int]]:
        """The first row and the newest ones, oldest first."""
        newest = self.connection.execute(query.order_by(at.desc(), id_.desc()).limit(REFERENCES_SENT + 1)).all()
        first = self.connection.execute(query.order_by(at, id_).limit(1)).all() if len(newest) > REFERENCES_SENT else []
        rows = {row.id: (row.name, row.at, row.id) for row in [*first, *reversed(newest)]}
        return list(rows.values())

    def sent_words(self, mail: OutboundId) -> str | ports.MessageId:
        context = self.connection.scalar(sa.select(outbound.c.context).where(outbound.c.id == mail)) or {}
        words, source = context.get("text"), context.get("source")
        if isinstance(source, dict) and "kept" in source:
            return str(source["kept"])
        if not words and isinstance(source, dict) and "text" in source.get("values", ["text"]):
            return ports.MessageId(source["message"])
        return words if isinstance(words, str) else ""

    # --- questions -----------------------------------------------------------------------------------------

    def add_confirmation(self, asked: ports.Confirmation) -> None:
        self.connection.execute(
            self.or_leave(confirmation),
            {
                "message_id": asked.message,
                "case_id": asked.case_id,
                "case_version": asked.case_version,
                "mail_id": asked.mail_id,
                "recipient": asked.recipient,
                "purpose": asked.purpose,
                "argument": asked.argument,
                "expires_at": asked.expires_at,
                "used_at": asked.used_at,
            },
        )

    def confirmation(self, mail_id: str) -> ports.Confirmation | None:
        row = self.connection.execute(
            sa.select(confirmation).where(confirmation.c.mail_id == storable(mail_id)).with_for_update()
        ).one_or_none()
        return None if row is None else _confirmation(row)

    def confirmations_of(self, asking: MessageId) -> list[ports.Confirmation]:
        rows = sa.select(confirmation).where(confirmation.c.message_id == asking).order_by(confirmation.c.id)
        return [_confirmation(row) for row in self.connection.execute(rows)]

    def open_confirmations(self, recipient: str, now: datetime) -> int:
        c = confirmation.c
        unanswered = (_is_of(c.recipient, recipient), c.used_at.is_(None), c.expires_at > now)
        found = self.connection.scalar(sa.select(sa.func.count()).select_from(confirmation).where(*unanswered))
        return int(found or 0)

    def use_confirmation(self, mail_id: str, now: datetime) -> bool:
        unused = (confirmation.c.mail_id == storable(mail_id), confirmation.c.used_at.is_(None))
        return bool(self.connection.execute(confirmation.update().where(*unused).values(used_at=now)).rowcount)


def _record(row: sa.Row[Any]) -> ports.CaseRecord:
    reporter = () if row.reporter is None else (row.reporter,)
    return ports.CaseRecord(
        id=CaseId(row.id),
        mailbox=row.mailbox,
        subject=row.subject,
        sealed=row.sealed,
        unsure=row.unsure,
        quiet=row.quiet,
        state=CaseState(
            ref=row.ref,
            opened_at=row.opened_at,
            stage=Stage(row.stage),
            version=row.version,
            facts=facts_from(row.facts or {}),
            owner=row.owner,
            reporters=(*reporter, *(row.reporters or ())),
            participants=tuple(row.participants or ()),
            resolution=None if row.resolution is None else Resolution(row.resolution),
            duplicate_of=row.duplicate_of,
            stage_since=row.stage_since,
            answered_at=row.answered_at,
            told_at=row.told_at,
            promised_at=row.promised_at,
            released_at=row.released_at,
            published_at=row.published_at,
            details_at=row.details_at,
            asked=frozenset(Ask(one) for one in row.asked or ()),
            reminded=row.reminded,
        ),
    )


def _confirmation(row: sa.Row[Any]) -> ports.Confirmation:
    return ports.Confirmation(
        message=MessageId(row.message_id),
        case_id=CaseId(row.case_id),
        case_version=row.case_version,
        mail_id=row.mail_id,
        recipient=row.recipient,
        purpose=row.purpose,
        argument=row.argument,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


def _values(state: CaseState) -> dict[str, Any]:
    known = {field.name: journaled(getattr(state.facts, field.name)) for field in fields(Facts)}
    return {
        "stage": state.stage.value,
        "closed_at": state.since if state.stage is Stage.CLOSED else None,
        "reporter": state.reporters[0] if state.reporters else None,
        "reporters": list(state.reporters[1:]),
        "participants": list(state.participants),
        "owner": state.owner,
        "resolution": None if state.resolution is None else state.resolution.value,
        "duplicate_of": state.duplicate_of,
        "stage_since": state.stage_since,
        "answered_at": state.answered_at,
        "told_at": state.told_at,
        "promised_at": state.promised_at,
        "released_at": state.released_at,
        "published_at": state.published_at,
        "details_at": state.details_at,
        "facts": {name: value for name, value in known.items() if value is not None},
        "asked": sorted(one.value for one in state.asked),
        "reminded": state.reminded,
    }
