"""The tables. `migrations/` makes the same; a test compares the two."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. A naive one is refused, because nobody knows what it means."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SafeText(TypeDecorator[str]):
    """Text that may come from mail. PostgreSQL stores neither NUL nor lone surrogates, so they are replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def storable(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


class SafeJson(TypeDecorator[Any]):
    """JSON whose strings may come from mail; `safe_json` writes it, which every engine has to be told."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(postgresql.JSONB() if dialect.name == "postgresql" else sa.JSON())


def safe_json(value: Any) -> str:
    """`value` as JSON; what PostgreSQL cannot store in its strings is replaced."""
    text = json.dumps(value)
    # Nearly no mail has either, and looking at the finished text costs little.
    if "\\u0000" in text or "\\ud" in text:
        text = json.dumps(_storable_json(value))
    return text


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _storable_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable_json(item) for item in value]
    return value


# BIGINT on PostgreSQL; on SQLite only INTEGER PRIMARY KEY numbers itself.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id() -> sa.Column[int]:
    return sa.Column("id", Id, primary_key=True, autoincrement=True)


def _fk(name: str, target: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Id, sa.ForeignKey(target), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, SafeText, nullable=nullable)


def _int(name: str, default: int = 0) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UtcDateTime, nullable=nullable)


def _lease() -> tuple[sa.Column[Any], ...]:
    """A claim on a row: who holds it, until when, and the fencing token that every later write must show."""
    return (
        _int("attempts"),
        _int("lease_token"),
        sa.Column("lease_owner", sa.Text),
        _time("lease_until", nullable=True),
        _time("due_at"),
    )


setting = sa.Table(
    "setting",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

counter = sa.Table(
    "counter",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

mailbox = sa.Table(
    "mailbox",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _time("first_contact_at"),
)

folder = sa.Table(
    "folder",
    metadata,
    _id(),
    sa.Column("mailbox", sa.Text, sa.ForeignKey("mailbox.name"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("uidvalidity", sa.BigInteger, nullable=False),
    sa.Column("first_uidnext", sa.BigInteger, nullable=False),
    _flag("junk"),
    _time("caught_up_at", nullable=True),
    sa.UniqueConstraint("mailbox", "name", "uidvalidity"),
)

cases = sa.Table(
    "cases",  # CASE is a word of SQL
    metadata,
    _id(),
    sa.Column("ref", sa.Text, nullable=False, unique=True),
    sa.Column("mailbox", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    _int("version"),
    _text("reporter", nullable=True),
    _text("subject"),
    _flag("unsure"),
    _flag("sealed"),
    _flag("quiet"),
    _time("opened_at"),
    _time("closed_at", nullable=True),
    # What its first message is compared by (sorting/triage/sketches.py); none where it came encrypted.
    sa.Column("sketch", sa.LargeBinary),
    # The rest of core.case.CaseState. NULL in a list is an empty one; `reporters` are those beside `reporter`.
    _text("owner", nullable=True),
    sa.Column("resolution", sa.Text),
    _text("duplicate_of", nullable=True),
    _time("stage_since", nullable=True),
    _time("answered_at", nullable=True),
    _time("told_at", nullable=True),
    _time("promised_at", nullable=True),
    _time("released_at", nullable=True),
    _time("published_at", nullable=True),
    _time("details_at", nullable=True),
    _flag("reminded"),
    *(sa.Column(name, SafeJson) for name in ("facts", "reporters", "participants", "asked")),
    _time("next_due_at", nullable=True),  # NULL: nobody has looked yet what falls due when
    sa.Index(None, "mailbox", "opened_at"),
    sa.Index(None, "next_due_at"),
)

message = sa.Table(
    "message",
    metadata,
    _id(),
    sa.Column("mailbox", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    _flag("partial"),
    sa.Column("source", sa.Text, nullable=False),
    _flag("junk"),
    _flag("quiet"),
    _text("envelope_from", nullable=True),
    _text("envelope_to", nullable=True),
    _time("received_at"),
    _time("stored_at"),
    sa.Column("state", sa.Text, nullable=False),
    *_lease(),
    sa.Column("disposition", sa.Text),
    _text("why"),
    _text("no_answer"),
    sa.Column("decided_by", sa.Text),
    _fk("case_id", "cases.id", nullable=True),
    # What follows is a view of the raw bytes, made when the message is worked; it can be made again.
    sa.Column("outcome", sa.Text),
    sa.Column("security", sa.Float),
    sa.Column("spam", sa.Float),
    sa.Column("reasons", SafeJson),
    _text("sender"),
    _text("subject"),
    _text("header_message_id", nullable=True),
    sa.Column("content_sha256", sa.Text),
    _flag("encrypted"),
    sa.Column("model", sa.Text),  # which sorter said so
    sa.UniqueConstraint("mailbox", "sha256"),
    sa.CheckConstraint("state in ('waiting', 'done', 'held')", "state"),
    sa.Index(None, "state", "due_at"),
    sa.Index(None, "header_message_id"),
    sa.Index(None, "case_id"),
)

message_chunk = sa.Table(
    "message_chunk",
    metadata,
    sa.Column("message_id", Id, sa.ForeignKey("message.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

source = sa.Table(
    "source",
    metadata,
    _id(),
    _fk("message_id", "message.id"),
    sa.Column("kind", sa.Text, nullable=False),
    _fk("folder_id", "folder.id", nullable=True),
    sa.Column("uid", sa.BigInteger),
    _text("note"),
    _time("seen_at"),
    sa.Column("mark", sa.Text),
    sa.Column("mark_state", sa.Text, nullable=False),
    _int("mark_attempts"),
    _time("mark_due_at", nullable=True),
    sa.Column("mark_owner", sa.Text),
    sa.UniqueConstraint("folder_id", "uid"),
    sa.CheckConstraint("mark_state in ('none', 'waiting', 'done', 'gone')", "mark_state"),
    sa.Index(None, "message_id"),
    sa.Index(None, "mark_state", "folder_id", "mark_due_at"),
)

journal = sa.Table(
    "journal",
    metadata,
    _id(),
    _fk("case_id", "cases.id"),
    sa.Column("seq", sa.Integer, nullable=False),
    _time("at"),
    sa.Column("event", sa.Text, nullable=False),
    _text("actor"),
    sa.Column("data", SafeJson, nullable=False),
    sa.UniqueConstraint("case_id", "seq"),
)

outbound = sa.Table(
    "outbound",
    metadata,
    _id(),
    sa.Column("mailbox", sa.Text, nullable=False),
    _fk("case_id", "cases.id", nullable=True),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    _text("recipient"),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False, unique=True),
    sa.Column("template", sa.Text, nullable=False),
    sa.Column("context", SafeJson),
    _text("in_reply_to", nullable=True),
    sa.Column("reference_ids", SafeJson, nullable=False),
    _fk("attached_message_id", "message.id", nullable=True),
    _fk("about_message_id", "message.id", nullable=True),
    _int("priority"),
    sa.Column("state", sa.Text, nullable=False),
    *_lease(),
    _int("unknown_outcomes"),
    _time("created_at"),
    _time("expires_at"),
    _time("frozen_at", nullable=True),
    _time("finished_at", nullable=True),
    _text("last_reply"),
    # A mail that was taken may come back; that is a fact of its own, since it may arrive before T6 has settled the row.
    _time("bounced_at", nullable=True),
    _text("bounce", nullable=True),
    sa.UniqueConstraint("cause", "kind", "recipient"),
    sa.CheckConstraint("state in ('waiting', 'sent', 'failed', 'shadow', 'withdrawn')", "state"),
    sa.Index(None, "state", "priority", "due_at"),
    sa.Index(None, "case_id"),
)

confirmation = sa.Table(
    "confirmation",  # a question by mail whether what a mail asks for shall be done
    metadata,
    _id(),
    _fk("message_id", "message.id"),
    _fk("case_id", "cases.id"),
    _int("case_version"),
    sa.Column("mail_id", sa.Text, nullable=False, unique=True),
    _text("recipient"),
    sa.Column("purpose", sa.Text, nullable=False),
    _text("argument"),
    _time("expires_at"),
    _time("used_at", nullable=True),
)

pin = sa.Table(
    "pin",  # which OpenPGP key belongs to whom; the key itself is here too, so that a backup has it
    metadata,
    _id(),
    sa.Column("mailbox", sa.Text, nullable=False),
    _text("address"),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    _fk("case_id", "cases.id", nullable=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("how", sa.Text, nullable=False),
    _text("by"),
    _time("pinned_at"),
    _time("expires_at", nullable=True),
    _time("unpinned_at", nullable=True),
    sa.CheckConstraint("scope in ('mailbox', 'case') and (scope = 'case') = (case_id is not null)", "scope"),
    sa.Index(None, "mailbox", "address"),
    sa.Index(None, "case_id"),
)

ciphertext = sa.Table(
    "ciphertext",  # in which message an encrypted content came first: it is opened for no other
    metadata,
    sa.Column("mailbox", sa.Text, primary_key=True),
    sa.Column("data_digest", sa.Text, primary_key=True),
    _fk("message_id", "message.id"),
)

signed = sa.Table(
    "signed",  # which message used a signature up: it proves nothing of another
    metadata,
    sa.Column("mailbox", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    _fk("message_id", "message.id"),
)

outbound_chunk = sa.Table(
    "outbound_chunk",
    metadata,
    sa.Column("outbound_id", Id, sa.ForeignKey("outbound.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

budget = sa.Table(
    "budget",
    metadata,
    sa.Column("name", SafeText, primary_key=True),
    sa.Column("window_start", UtcDateTime, primary_key=True),
    sa.Column("used", sa.Integer, nullable=False),
    sa.Index(None, "window_start"),
)

collected = sa.Table(
    "collected",  # what waits for the next collected mail: digest, summary, many new cases, owed acknowledgements
    metadata,
    _id(),
    sa.Column("mailbox", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    _text("recipient"),
    _time("at"),
    _fk("message_id", "message.id", nullable=True),
    _fk("case_id", "cases.id", nullable=True),
    sa.Column("section", sa.Text, nullable=False),
    _text("line"),
    sa.Column("cause", sa.Text),
    sa.Index(None, "cause", "mailbox", "channel", "at"),
)

example = sa.Table(
    "example",  # what people say that a message is, and what the sorter had said; the text stays with the message
    metadata,
    _id(),
    _fk("message_id", "message.id"),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("said", sa.Text, nullable=False),
    _text("said_by"),
    _time("at"),
    sa.Column("outcome", sa.Text),
    sa.Column("security", sa.Float),
    sa.Column("spam", sa.Float),
    sa.Column("model", sa.Text),
    sa.CheckConstraint("label in ('security', 'not_security', 'spam')", "label"),
    sa.CheckConstraint("said in ('sorted', 'closed', 'answered')", "said"),
    sa.Index(None, "message_id"),
)
