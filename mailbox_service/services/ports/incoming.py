"""What comes in, where from, and what its server is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mailbox_service.core.routing import Disposition
from mailbox_service.services.ports.ids import FolderId


class SourceKind(StrEnum):
    IMAP = "imap"
    IMPORT = "import"
    LMTP = "lmtp"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where raw bytes came from; `folder_id` and `uid` are the source key of IMAP (RFC 3501 §2.3.1.1)."""

    kind: SourceKind
    mailbox: str
    folder_id: FolderId | None = None
    uid: int | None = None
    junk: bool = False  # found in a Junk folder
    quiet: bool = False  # older than the first contact, or imported: causes no mail to a reporter
    note: str = ""  # file name of an import, for people


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as a source hands it over. `data` is byte for byte what the source has."""

    data: bytes
    origin: Origin
    received_at: datetime
    envelope_from: str | None = None  # reverse-path where the source knows it; "" is the null reverse-path
    envelope_to: str | None = None
    full_size_bytes: int | None = None  # set when `data` is only the header of a message too large to fetch


@dataclass(frozen=True, slots=True)
class FolderState:
    """What is on file about one IMAP folder in one UIDVALIDITY."""

    id: FolderId
    mailbox: str
    name: str  # as people write it (decoded)
    uidvalidity: int
    first_uidnext: int  # UIDNEXT at the mailbox's first contact; 0 when the folder was met later
    first_contact_at: datetime  # of the mailbox, not of the folder
    restored_at: datetime | None = None  # when the database came from a backup: what is older was answered before


class Mark(StrEnum):
    """What the server is told about a message once its fate is committed."""

    PROCESSED = "processed"  # a case, attached, automatic mail, a bounce
    REDIRECTED = "redirected"
    SPAM = "spam"
    HELD = "held"


# What the server is told of each disposition. By its plain value too, as the database has it.
MARK_OF: dict[str, Mark] = {
    Disposition.CASE: Mark.PROCESSED,
    Disposition.ATTACHED: Mark.PROCESSED,
    Disposition.AUTOMATIC: Mark.PROCESSED,
    Disposition.ANSWER: Mark.PROCESSED,
    Disposition.BOUNCE: Mark.PROCESSED,
    Disposition.REDIRECT: Mark.REDIRECTED,
    Disposition.SPAM: Mark.SPAM,
    Disposition.HOLD: Mark.HELD,
}


@dataclass(frozen=True, slots=True)
class MarkJob:
    """One message on the server that still has to be flagged or moved."""

    source_id: int
    folder_id: FolderId
    uid: int
    mark: Mark
    attempts: int
    until: datetime  # then it is anybody's again


class MarkResult(StrEnum):
    DONE = "done"
    GONE = "gone"  # no longer on the server (moved or expunged by somebody else)
    RETRY = "retry"
