"""What the database says, read from outside with plain SQL: no code of the service has a part in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

Query = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class MessageRow:
    id: int
    sha256: str
    state: str
    disposition: str | None
    why: str
    no_answer: str  # why its sender is not answered, if so
    data: bytes | None  # None: there is a row and no bytes


@dataclass(frozen=True, slots=True)
class SourceRow:
    message: int
    folder: str
    uidvalidity: int
    uid: int
    mark_state: str


@dataclass(frozen=True, slots=True)
class MailRow:
    message_id: str
    recipient: str
    kind: str
    state: str
    about: int | None  # the message that caused it
    unknown_outcomes: int
    frozen: bytes | None


@dataclass(frozen=True, slots=True)
class Records:
    """Everything the judge wants to know, as of one moment."""

    messages: tuple[MessageRow, ...]
    sources: tuple[SourceRow, ...]
    mails: tuple[MailRow, ...]
    cases: tuple[str, ...]  # their references
    opened: tuple[str, ...]  # references of cases, one for each event "opened"

    def recorded_as_sent(self) -> frozenset[str]:
        return frozenset(mail.message_id for mail in self.mails if mail.state == "sent")


def read(url: str) -> Records:
    with _open(url) as query:
        return Records(_messages(query), _sources(query), _mails(query), *_cases(query))


def _messages(query: Query) -> tuple[MessageRow, ...]:
    bodies = _joined(query("select message_id, data from message_chunk order by message_id, seq"))
    rows = query("select id, sha256, state, disposition, why, no_answer from message order by id")
    return tuple(MessageRow(*[*row, bodies.get(row[0])]) for row in rows)


def _sources(query: Query) -> tuple[SourceRow, ...]:
    rows = query(
        "select s.message_id, f.name, f.uidvalidity, s.uid, s.mark_state"
        " from source s join folder f on f.id = s.folder_id order by s.id"
    )
    return tuple(SourceRow(*row) for row in rows)


def _mails(query: Query) -> tuple[MailRow, ...]:
    frozen = _joined(query("select outbound_id, data from outbound_chunk order by outbound_id, seq"))
    rows = query(
        "select id, message_id, recipient, kind, state, about_message_id, unknown_outcomes from outbound order by id"
    )
    return tuple(MailRow(*[*values, frozen.get(id_)]) for id_, *values in rows)


def _cases(query: Query) -> tuple[tuple[str, ...], tuple[str, ...]]:
    opened = query("select c.ref from journal j join cases c on c.id = j.case_id where j.event = 'opened'")
    return tuple(row[0] for row in query("select ref from cases order by id")), tuple(row[0] for row in opened)


def finished(url: str, folder: str, uidvalidity: int) -> dict[int, str]:
    """UID -> SHA-256 of the messages in a folder whose bytes and fate are committed at this moment."""
    with _open(url) as query:
        rows = query(
            "select f.name, f.uidvalidity, s.uid, m.sha256 from source s join folder f on f.id = s.folder_id"
            " join message m on m.id = s.message_id where m.state in ('done', 'held')"
            " and exists (select 1 from message_chunk c where c.message_id = m.id)"
        )
    return {uid: digest for name, validity, uid, digest in rows if (name, validity) == (folder, uidvalidity)}


def _joined(rows: list[tuple[Any, ...]]) -> dict[int, bytes]:
    pieces: dict[int, list[bytes]] = {}
    for id_, data in rows:
        pieces.setdefault(id_, []).append(bytes(data))
    return {id_: b"".join(parts) for id_, parts in pieces.items()}


@contextmanager
def _open(url: str) -> Iterator[Query]:
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
        try:
            file.execute("begin")  # all of it as of one moment
            yield lambda statement: file.execute(statement).fetchall()
        finally:
            file.close()
        return
    with psycopg.connect(url) as server:
        server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield lambda statement: server.execute(statement.encode()).fetchall()
