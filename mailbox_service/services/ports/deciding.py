"""What a person's decision about a message asks of the database."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mailbox_service.core.case import Resolution
from mailbox_service.services.ports.ids import CaseId, MessageId


class Deciding(Protocol):
    """Listings of one row, and decisions about it."""

    def message_row(self, message_id: MessageId) -> dict[str, object]:
        """What the listing shows of a message. Raises: NotFound."""
        ...

    def decide(self, message_id: MessageId, disposition: str, by: str, now: datetime) -> None:
        """The message is worked once more, with this disposition whatever the sorter says."""
        ...

    def withdraw_mails(self, message_id: MessageId, now: datetime) -> None:
        """What waits in the outbox because of the message does not go out."""
        ...

    def work_again(self, message_id: MessageId, now: datetime) -> None:
        """A message that used up its attempts gets new ones."""
        ...

    def case_row(self, reference: str) -> dict[str, object]:
        """What the listing shows of a case. Raises: NotFound."""
        ...

    def close_case(self, case_id: CaseId, resolution: Resolution, now: datetime) -> None: ...
    def correct_answers(self, case: CaseId, label: str, by: str, now: datetime) -> None:
        """The messages of a case become examples of something else than a report."""
        ...
