"""What the services need from outside, and the values that cross that border.

Adapters implement the protocols; `app/` puts the two together. Times are aware `datetime`s in UTC.
"""

from mailbox_service.services.ports.casework import CaseRecord, Casework, Confirmation, ThreadIds
from mailbox_service.services.ports.doors import DeliveryDoor, IntakeDoor
from mailbox_service.services.ports.evidence import Authenticator, KeyLookup
from mailbox_service.services.ports.ids import CaseId, Clock, FolderId, MessageId, OutboundId, T
from mailbox_service.services.ports.incoming import (
    MARK_OF,
    FolderState,
    Mark,
    MarkJob,
    MarkResult,
    Origin,
    RawMessage,
    SourceKind,
)
from mailbox_service.services.ports.outgoing import (
    Delivery,
    DeliveryOutcome,
    Envelope,
    RenderedMail,
    Renderer,
    Transport,
)
from mailbox_service.services.ports.rows import (
    Bounced,
    Claim,
    CollectedItem,
    CollectedLine,
    Finished,
    JournalEntry,
    KnownMessage,
    KnownOutbound,
    KnownSketch,
    Lease,
    NewMail,
    NewMessage,
    OpenCase,
    OutboundClaim,
    Settled,
    Settlement,
)
from mailbox_service.services.ports.storage import Storage, Transaction

__all__ = [
    "Authenticator",
    "Bounced",
    "CaseId",
    "CaseRecord",
    "Casework",
    "Claim",
    "Clock",
    "CollectedItem",
    "CollectedLine",
    "Confirmation",
    "Delivery",
    "DeliveryDoor",
    "DeliveryOutcome",
    "Envelope",
    "Finished",
    "FolderId",
    "FolderState",
    "IntakeDoor",
    "JournalEntry",
    "KeyLookup",
    "KnownMessage",
    "KnownOutbound",
    "KnownSketch",
    "Lease",
    "MARK_OF",
    "Mark",
    "MarkJob",
    "MarkResult",
    "MessageId",
    "NewMail",
    "NewMessage",
    "OpenCase",
    "Origin",
    "OutboundClaim",
    "OutboundId",
    "RawMessage",
    "RenderedMail",
    "Renderer",
    "Settled",
    "Settlement",
    "SourceKind",
    "Storage",
    "T",
    "ThreadIds",
    "Transaction",
    "Transport",
]
