"""Pinned OpenPGP keys (services.ports.openpgp.Pins). What is unpinned stays on file, as what was once believed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import cases, pin, storable
from mailbox_service.services.ports import CaseId
from mailbox_service.services.ports.openpgp import Pin, PublicKey

_p = pin.c


class PinSql(Sql):
    """One row is one pinning; at most one for an address and a scope is in force."""

    def pin(self, one: Pin) -> bool:
        # Whoever pins takes this row first: of two at once, the second sees what the first has pinned.
        self.put_setting("pins", one.how)
        there = self.connection.execute(sa.select(pin).where(*_of(one.mailbox, one.address, one.case_id))).all()
        if [(row.fingerprint, bytes(row.data)) for row in there] == [(one.key.fingerprint, one.key.data)]:
            return False
        self.unpin(one.mailbox, one.address, one.case_id, one.pinned_at)
        values = {
            "mailbox": one.mailbox,
            "address": one.address.lower(),
            "fingerprint": one.key.fingerprint,
            "scope": "mailbox" if one.case_id is None else "case",
            "case_id": one.case_id,
            "data": one.key.data,
            "how": one.how,
            "by": one.by,
            "pinned_at": one.pinned_at,
            "expires_at": one.expires_at,
        }
        self.connection.execute(pin.insert().values(values))
        return True

    def unpin(self, mailbox: str, address: str, case_id: CaseId | None, now: datetime) -> list[str]:
        where = _of(mailbox, address, case_id)
        gone = list(self.connection.scalars(sa.select(_p.fingerprint).where(*where).order_by(_p.id)))
        self.connection.execute(pin.update().where(*where).values(unpinned_at=now))
        return gone

    def pins(self, mailbox: str, case_id: CaseId | None = None) -> list[Pin]:
        query = (
            sa.select(pin)
            .where(_p.mailbox == mailbox, _p.unpinned_at.is_(None))
            .where(sa.or_(_p.case_id.is_(None), _p.case_id == case_id))
            .order_by(_p.case_id.is_not(None), _p.id)
        )
        # Those of the case come last, and take the place of the mailbox's.
        return list({row.address: _pin(row) for row in self.connection.execute(query)}.values())

    def pins_of(self, mailbox: str, address: str) -> list[Pin]:
        query = (
            sa.select(pin)
            .where(_p.mailbox == mailbox, _p.address == storable(address.lower()), _p.unpinned_at.is_(None))
            .order_by(_p.id)
        )
        return [_pin(row) for row in self.connection.execute(query)]

    def pin_rows(self, mailbox: str | None = None) -> list[dict[str, Any]]:
        """What is pinned now, for people: with the references of cases."""
        query = (
            sa.select(pin, cases.c.ref.label("case"))
            .select_from(pin.outerjoin(cases, _p.case_id == cases.c.id))
            .where(_p.unpinned_at.is_(None))
            .order_by(_p.mailbox, _p.address, _p.id)
        )
        if mailbox is not None:
            query = query.where(_p.mailbox == mailbox)
        return [dict(row._mapping) for row in self.connection.execute(query)]

    def known_key(self, fingerprint: str) -> PublicKey | None:
        """The key as it was last pinned to anybody, whether it still is or not."""
        query = sa.select(_p.data).where(_p.fingerprint == fingerprint).order_by(_p.id.desc()).limit(1)
        data = self.connection.scalar(query)
        return None if data is None else PublicKey(fingerprint, bytes(data))


def _of(mailbox: str, address: str, case_id: CaseId | None) -> list[sa.ColumnElement[bool]]:
    scope = _p.case_id.is_(None) if case_id is None else _p.case_id == case_id
    return [_p.mailbox == mailbox, _p.address == storable(address.lower()), scope, _p.unpinned_at.is_(None)]


def _pin(row: Any) -> Pin:
    key = PublicKey(row.fingerprint, bytes(row.data))
    case = None if row.case_id is None else CaseId(row.case_id)
    return Pin(row.mailbox, row.address, key, case, row.how, row.pinned_at, row.expires_at, row.by)
