"""Cases and their journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import cases, counter, journal, message
from mailbox_service.core.case import Stage
from mailbox_service.core.routing import Disposition
from mailbox_service.services import ports
from mailbox_service.services.ports import MessageId

# A mail has one Message-ID, and a copy or two by other ways. Whoever sends thousands with one id must not make every
# later mail that names it as slow as they are many; the oldest are kept, since nobody can be earlier than the first.
NAMED_ALIKE = 20
# Nothing of a new case falls due within half a day (core/case/clocks.py): a flood of them is not looked at one by one.
FIRST_LOOK = timedelta(hours=6)
ANSWERED = (Disposition.CASE, Disposition.ATTACHED, Disposition.REDIRECT)


_place = sa.func.row_number().over(partition_by=message.c.header_message_id, order_by=message.c.id)
_oldest = (
    sa.select(message.c.id, _place.label("place"))
    .where(message.c.header_message_id.in_(sa.bindparam("b_names", expanding=True)))
    .subquery()
)
# Built once: that costs as much as the database does to carry it out.
_NAMED = (
    sa.select(
        message.c.header_message_id,
        message.c.id,
        message.c.mailbox,
        message.c.sender,
        message.c.case_id,
        cases.c.ref,
        cases.c.sealed,
        cases.c.stage,
        message.c.disposition,
        message.c.no_answer,
        message.c.content_sha256,
    )
    .select_from(_oldest.join(message, message.c.id == _oldest.c.id).outerjoin(cases, message.c.case_id == cases.c.id))
    .where(_oldest.c.place <= NAMED_ALIKE)
    .order_by(message.c.id)
)


_SKETCHES = (
    sa.select(cases.c.id, cases.c.ref, cases.c.sketch)
    # coalesce() keeps SQLite from the index of all the mailbox's cases: what is asked for are the last few rows.
    .where(
        cases.c.id > sa.bindparam("b_after"),
        sa.func.coalesce(cases.c.mailbox, "") == sa.bindparam("b_of"),
        cases.c.sketch.is_not(None),
        cases.c.stage != Stage.CLOSED.value,
    )
    .order_by(cases.c.id.desc())
    .limit(sa.bindparam("b_limit"))
)
_IDS = cases.c.id.in_(sa.bindparam("b_ids", expanding=True))
_CLOSED = sa.select(cases.c.id).where(_IDS, cases.c.stage == Stage.CLOSED.value)
# In the order of their ids, so that two workers never wait for each other.
_VERSIONS = sa.select(cases.c.id, cases.c.version).where(_IDS).order_by(cases.c.id).with_for_update()
_ADD_TO_VERSION = cases.update().where(_IDS).values(version=cases.c.version + sa.bindparam("b_count"))
_JOURNAL = journal.insert()


class CaseSql(Sql):
    """What T3 asks of and writes about cases."""

    def messages_named(self, message_ids: Sequence[str]) -> list[ports.KnownMessage]:
        rows = self.connection.execute(_NAMED, {"b_names": list(message_ids)})
        return [
            ports.KnownMessage(
                r.header_message_id,
                MessageId(r.id),
                r.mailbox,
                r.sender,
                r.case_id,
                r.ref,
                bool(r.sealed),
                r.case_id is not None and r.stage != Stage.CLOSED,
                r.disposition in ANSWERED and not r.no_answer,
                r.content_sha256,
            )
            for r in rows
        ]

    def open_sketches(self, of: str, after: ports.CaseId | None, limit: int) -> list[ports.KnownSketch]:
        rows = self.connection.execute(_SKETCHES, {"b_of": of, "b_after": after or 0, "b_limit": limit})
        return [ports.KnownSketch(ports.CaseId(r.id), r.ref, r.sketch) for r in reversed(rows.all())]

    def closed_among(self, ids: Sequence[ports.CaseId]) -> set[ports.CaseId]:
        return {ports.CaseId(id_) for id_ in self.connection.scalars(_CLOSED, {"b_ids": list(ids)})}

    def open_cases(self, new: Sequence[ports.OpenCase], now: datetime) -> None:
        if not new:
            return
        # Mailboxes that write their references alike share one sequence, so that no two cases look the same.
        for pattern in sorted({case.reference_pattern for case in new}):
            alike = [case for case in new if case.reference_pattern == pattern]
            year = f"/{now.year}" if "{year" in pattern else ""
            last = self._advance(f"cases/{pattern}{year}", len(alike))
            for number, case in enumerate(alike, start=last - len(alike) + 1):
                case.ref = pattern.format(year=now.year, number=number)
        rows = [
            {
                "ref": case.ref,
                "mailbox": case.mailbox,
                "stage": Stage.RECEIVED.value,
                "version": 0,
                "reporter": case.reporter,
                "subject": case.subject,
                "unsure": case.unsure,
                "sealed": case.sealed,
                "quiet": case.quiet,
                "opened_at": now,
                "sketch": case.sketch or None,
                "next_due_at": now + FIRST_LOOK,
            }
            for case in new
        ]
        ids = self.insert_numbered(cases, rows)
        for case, id_ in zip(new, ids, strict=True):
            case.id = ports.CaseId(id_)

    def _advance(self, name: str, by: int) -> int:
        """The counter's new value. The row stays locked until the commit, so numbers have no gaps."""
        advanced = self.or_add(counter, "value").returning(counter.c.value)
        return int(self.connection.scalar(advanced, {"name": name, "value": by}) or 0)

    def add_journal(self, entries: Sequence[ports.JournalEntry], now: datetime) -> None:
        if not entries:
            return
        added: dict[int, int] = {}
        for entry in entries:
            added[entry.case_id] = added.get(entry.case_id, 0) + 1
        versions = {row.id: row.version for row in self.connection.execute(_VERSIONS, {"b_ids": list(added)})}
        for count in sorted(set(added.values())):
            alike = [id_ for id_, entries_added in added.items() if entries_added == count]
            self.connection.execute(_ADD_TO_VERSION, {"b_ids": alike, "b_count": count})
        rows = []
        for entry in entries:
            versions[entry.case_id] += 1
            rows.append(
                {
                    "case_id": entry.case_id,
                    "seq": versions[entry.case_id],
                    "at": now,
                    "event": entry.event.value,
                    "actor": entry.actor,
                    "data": entry.data,
                }
            )
        self.connection.execute(_JOURNAL, rows)

    def seal(self, sealed: Sequence[ports.CaseId]) -> None:
        if sealed:
            self.connection.execute(cases.update().where(cases.c.id.in_(sealed)).values(sealed=True))

    def cases_of(self, ids: Sequence[ports.CaseId]) -> list[ports.OpenCase]:
        c = cases.c
        columns = (c.id, c.ref, c.mailbox, c.reporter, c.subject, c.unsure, c.sealed, c.quiet)
        rows = self.connection.execute(sa.select(*columns).where(c.id.in_(ids)).order_by(c.id))
        return [
            ports.OpenCase(
                r.mailbox, r.reporter, r.subject, r.unsure, r.sealed, r.quiet, id=ports.CaseId(r.id), ref=r.ref
            )
            for r in rows
        ]

    def send_into_case(self, message_id: MessageId, case: ports.CaseId, now: datetime) -> None:
        self.connection.execute(
            message.update()
            .where(message.c.id == message_id, message.c.state == "done", message.c.case_id.is_(None))
            .values(
                state="waiting",
                disposition=Disposition.ATTACHED.value,
                case_id=case,
                decided_by="thread",
                attempts=0,
                lease_until=None,
                due_at=now,
            )
        )
