"""What a database that came from a backup may do: first nothing that a former life may have done already.

Mails that waited when the backup was made, and lines that waited for a collected mail, may have gone out since. The
outbox is frozen until a person has decided about them. What the backup does not know of may have been answered: it
is taken in quietly. New names never repeat those that were given after the backup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.outbox_sql import FROZEN, INSTANCE, PAUSED
from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import collected, counter, folder, message, outbound

RESTORED_AT = "restored_at"
FORMER_INSTANCES = "former_instances"
# The highest ids that came from the backup, until the outbox is released.
RESTORED_MAILS, RESTORED_LINES = "restored_mails", "restored_lines"
# In place of a folder's first UIDNEXT: it is set at the first look after the restore.
UNOPENED = -1
# Case references given between backup and restore must not be given to others: far more than anybody opens meanwhile.
REFERENCES_SKIPPED = 1000
WITHDRAWN_LINES = "withdrawn after a restore"


def moment_of(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


class RestoredSql(Sql):
    """The first transaction after a restore, and a person's decisions about what it holds back."""

    def begin_anew(self, now: datetime, instance: str) -> None:
        """Make the rows of a backup a database that mails nobody twice. `instance` is its new name."""
        former = [*self.former_instances(), *filter(None, [self.setting(INSTANCE)])]
        self.put_setting(FORMER_INSTANCES, json.dumps(former))
        self.put_setting(INSTANCE, instance)
        self.put_setting(RESTORED_AT, now.isoformat())
        self.put_setting(FROZEN, "yes")
        self.put_setting(RESTORED_MAILS, str(self._highest(outbound)))
        self.put_setting(RESTORED_LINES, str(self._highest(collected)))
        # They were worked and answered after the backup.
        self.connection.execute(message.update().where(message.c.state == "waiting").values(quiet=True))
        current = sa.select(sa.func.max(folder.c.id)).group_by(folder.c.mailbox, folder.c.name)
        self.connection.execute(folder.update().where(folder.c.id.in_(current)).values(first_uidnext=UNOPENED))
        self.connection.execute(counter.update().values(value=counter.c.value + REFERENCES_SKIPPED))

    def former_instances(self) -> list[str]:
        """The names that this database had before it was restored; what they signed still counts."""
        return [str(name) for name in json.loads(self.setting(FORMER_INSTANCES) or "[]")]

    def frozen_since(self) -> datetime | None:
        return moment_of(self.setting(RESTORED_AT)) if self.setting(FROZEN) == "yes" else None

    def undecided_mails(self) -> list[int]:
        """The mails that waited when the backup was made and still wait: they may have gone out since."""
        found = sa.select(outbound.c.id).where(self._undecided(outbound, RESTORED_MAILS), outbound.c.state == "waiting")
        return list(self.connection.scalars(found.order_by(outbound.c.id)))

    def undecided_lines(self) -> int:
        """How many lines from the backup wait for a digest, a summary or another collected mail."""
        lines = sa.select(sa.func.count()).where(
            self._undecided(collected, RESTORED_LINES), collected.c.cause.is_(None)
        )
        return int(self.connection.scalar(lines) or 0)

    def withdraw_restored(self, now: datetime) -> tuple[int, int]:
        """What waited when the backup was made never leaves. The numbers of mails and of lines."""
        mails = self.withdraw_outbound(self.undecided_mails(), now)
        lines = self.connection.execute(
            collected.update()
            .where(self._undecided(collected, RESTORED_LINES), collected.c.cause.is_(None))
            .values(cause=WITHDRAWN_LINES)
        ).rowcount
        return len(mails), lines

    def withdraw_outbound(self, ids: Sequence[int], now: datetime) -> list[int]:
        """Waiting mails never leave. Returns the numbers of those that did wait."""
        withdrawn = self.connection.scalars(
            outbound.update()
            .where(outbound.c.id.in_(ids), outbound.c.state == "waiting")
            .values(state="withdrawn", finished_at=now, lease_until=None, lease_token=outbound.c.lease_token + 1)
            .returning(outbound.c.id)
        )
        return sorted(withdrawn)

    def release_outbox(self) -> None:
        """Send again: neither paused nor frozen."""
        for name in (PAUSED, FROZEN):
            self.put_setting(name, "no")
        for name in (RESTORED_MAILS, RESTORED_LINES):
            self.put_setting(name, "0")

    def _undecided(self, table: sa.Table, setting: str) -> sa.ColumnElement[bool]:
        return table.c.id <= int(self.setting(setting) or 0)

    def _highest(self, table: sa.Table) -> Any:
        return self.connection.scalar(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0)))
