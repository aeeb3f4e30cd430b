"""One unit of work in SQL (ports.Transaction). Set statements throughout: a batch costs little more than one row."""

from __future__ import annotations

import sqlalchemy as sa

from mailbox_service.adapters.database.case_sql import CaseSql
from mailbox_service.adapters.database.casework_sql import CaseworkSql
from mailbox_service.adapters.database.collecting_sql import CollectingSql
from mailbox_service.adapters.database.example_sql import ExampleSql
from mailbox_service.adapters.database.intake_sql import IntakeSql
from mailbox_service.adapters.database.pin_sql import PinSql
from mailbox_service.adapters.database.reading_sql import ReadingSql
from mailbox_service.adapters.database.restored_sql import RestoredSql
from mailbox_service.adapters.database.seen_sql import SeenSql
from mailbox_service.adapters.database.standing_sql import StandingSql
from mailbox_service.adapters.database.watching_sql import WatchingSql


class SqlTransaction(
    IntakeSql,
    CaseSql,
    CaseworkSql,
    ExampleSql,
    CollectingSql,
    PinSql,
    RestoredSql,
    SeenSql,
    StandingSql,
    ReadingSql,
    WatchingSql,
):
    """What the services and the command line ask of the database, inside one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
