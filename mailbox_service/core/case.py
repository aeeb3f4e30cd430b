"""A case: its stages and the events that make its journal."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where a case stands in the disclosure process (architecture.md "The stages")."""

    RECEIVED = "received"
    REVIEWING = "reviewing"
    NEEDS_INFO = "needs_info"
    REPRODUCED = "reproduced"
    PATCHED = "patched"
    FIX_VERIFIED = "fix_verified"
    RELEASED = "released"
    PUBLISHED = "published"
    CLOSED = "closed"


class Event(StrEnum):
    """What the journal records. Each event adds one to the version of its case."""

    OPENED = "opened"
    MESSAGE_ADDED = "message_added"
    AUTOMATIC_REPLY = "automatic_reply"
    BOUNCED = "bounced"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERY_UNKNOWN = "delivery_unknown"
    CLOSED = "closed"
