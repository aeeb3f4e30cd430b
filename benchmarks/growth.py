"""What a message costs when a hundred thousand are on file, against an empty database.

The old ones are real: a part of the corpus goes through the whole service, and its rows are then copied within the
database until there are enough, with keys of their own and bodies cut at 4 kB. Full and empty take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from benchmarks.intake import ServiceRun, run_service
from benchmarks.options import Options
from benchmarks.results import Result, listed, median
from benchmarks.stage import Above, Sink, Stage, engine, expect
from mailbox_service.adapters.database.tables import (
    cases,
    collected,
    journal,
    message,
    message_chunk,
    outbound,
    outbound_chunk,
    source,
)

GOAL = 1.2
SEED_MESSAGES, MEASURED_MESSAGES = 2_000, 2_000
BODY_BYTES = 4_096
COPIED = (cases, message, message_chunk, source, journal, outbound, outbound_chunk, collected)


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    for database in options.databases:
        yield _measure(stage, options, database)


def _measure(stage: Stage, options: Options, database: str) -> Result:
    result = Result(f"growth-{database}")
    sink = stage.sink()
    seeds, count = (40, 40) if options.quick else (SEED_MESSAGES, MEASURED_MESSAGES)
    empty = stage.database(database)
    seed = stage.mail(seeds)
    run_service(stage, sink, seed, seeds, empty)
    full = empty
    on_file = prefill(full, options.on_file, seeds)
    options.tell(f"{result.measure}: {on_file} messages on file")
    # Later messages of the corpus, which are not on file.
    later = stage.mail(seeds + count)
    mails = lambda: (data for number, data in enumerate(later()) if number >= seeds)  # noqa: E731
    pairs = [_pair(stage, options, sink, mails, count, database, full) for _ in range(options.rounds)]
    _rows(result, database, on_file, pairs)
    return result


def _pair(
    stage: Stage,
    options: Options,
    sink: Sink,
    mails: Callable[[], Iterator[bytes]],
    count: int,
    database: str,
    full: str,
) -> tuple[ServiceRun, ServiceRun]:
    before = run_service(stage, sink, mails, count, stage.database(database))
    url = stage.copy(full)
    after = run_service(stage, sink, mails, count, url, above=top(url))
    told = f"{before.run.cpu_ms:.2f} and {after.run.cpu_ms:.2f} CPU ms, {before.run.rate:.0f} and {after.run.rate:.0f}"
    options.tell(f"growth, {database}: empty and full: {told} msgs/s")
    return before, after


def _rows(result: Result, database: str, on_file: int, pairs: list[tuple[ServiceRun, ServiceRun]]) -> None:
    cpu = [full.run.cpu_ms / empty.run.cpu_ms for empty, full in pairs]
    wall = [empty.run.rate / full.run.rate for empty, full in pairs]
    reached = f"{median(wall):.2f} x (rounds {listed(wall)}), by CPU of the service {median(cpu):.2f} x"
    what = f"cost per message with {on_file:,} on file, {database}"
    result.add(what, f"<= {GOAL} x that of an empty database", reached, median(wall) <= GOAL)
    peak = max(full.run.peak_mb for _, full in pairs)
    result.add(f"peak memory meanwhile, {database}", "<= 200 MB", f"{peak:.0f} MB", peak <= 200)


def top(url: str) -> Above:
    """The highest ids of a database."""
    database = engine(url)
    try:
        with database.connect() as connection:
            return Above(*(_highest(connection, table) for table in (message, outbound, source)))
    finally:
        database.dispose()


def _highest(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.scalar(sa.select(sa.func.max(table.c.id))) or 0)


def prefill(url: str, count: int, seeds: int) -> int:
    """Copies the `seeds` messages on file, and all that hangs on them, until `count` are on file; how many are."""
    numbered = [table for table in COPIED if "id" in table.c]
    database = engine(url)
    try:
        with database.begin() as connection:
            stride = max(_highest(connection, table) for table in numbered) + 1
            for number in range(1, -(-count // seeds)):
                for table in COPIED:
                    connection.execute(_copy(table, number * stride, stride))
            if database.dialect.name == "postgresql":
                for name in (table.name for table in numbered):
                    newest = f"(select max(id) from {name})"
                    connection.execute(sa.text(f"select setval(pg_get_serial_sequence('{name}', 'id'), {newest})"))
            on_file = int(connection.scalar(sa.select(sa.func.count()).select_from(message)) or 0)
        with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # As a database of that size that has been in use would be: written back, and known to its planner.
            after = "VACUUM ANALYZE" if database.dialect.name == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)"
            connection.execute(sa.text(after)).close()
    finally:
        database.dispose()
    expect(on_file >= count, f"{on_file} of {count} messages are on file")
    return on_file


def _copy(table: sa.Table, offset: int, seeds_below: int) -> sa.Insert:
    """INSERT ... SELECT of the first rows of `table`, every key moved on by `offset`."""
    key = next(iter(table.primary_key.columns))
    columns = list(table.c)
    values = [_moved(column, offset) for column in columns]
    return table.insert().from_select(columns, sa.select(*values).where(key < seeds_below))


def _moved(column: sa.Column[Any], offset: int) -> sa.ColumnElement[Any]:
    targets = {key.column.table.name for key in column.foreign_keys}
    ids = column.name == "id" or bool(targets & {table.name for table in COPIED})
    if ids or column.name == "uid":
        return column + offset
    if column.name == "sha256":
        return sa.func.substr(column, 1, 54).concat(f"{offset:010x}")
    if column is collected.c.cause:
        return sa.func.coalesce(column, "told").concat(f"#{offset}")  # a digest has told of it long ago
    if column.name in ("ref", "cause", "message_id", "header_message_id"):
        return column.concat(f"#{offset}")
    if column.name == "data" and isinstance(column.type, sa.LargeBinary):
        return sa.func.substr(column, 1, BODY_BYTES)
    return column
