"""A turn of a conversation, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from mailbox_service.core.case import Entry
from mailbox_service.services.conversation.speakers import Speaker
from mailbox_service.services.correspondence import NO_OUTLOOK, Outlook
from mailbox_service.services.ports import CaseRecord, KnownOutbound, MessageId
from mailbox_service.services.understanding import Understood


@dataclass(frozen=True, slots=True)
class Turn:
    """A message that answers a mail of ours in a case, by a person who belongs to it."""

    understood: Understood
    record: CaseRecord
    speaker: Speaker
    answered: KnownOutbound
    attached: bool  # whether the whole message may travel along with notices
    journal: tuple[Entry, ...] = ()  # what happened since the answered mail was made
    outward: bool = False  # it came to the address that answers the reporter
    confirmed_by: MessageId | None = None  # the answer to our question, where it took one

    @property
    def message(self) -> MessageId:
        """The message that asks for something."""
        return self.understood.claim.id

    @property
    def proof(self) -> dict[str, object]:
        """What every entry of the journal says of where it comes from."""
        evidence = self.speaker.evidence
        said: dict[str, object] = {
            "message": int(self.message),
            "evidence": evidence.label,
            "proof": evidence.authentication.reason,
        }
        if self.speaker.signed_by:
            said["signed_by"] = self.speaker.signed_by
        if self.speaker.seconded_by:
            said["seconded_by"] = self.speaker.seconded_by
        return said | ({"confirmed_by": int(self.confirmed_by)} if self.confirmed_by is not None else {})


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a turn. `told`: whoever shall hear of the message does so by a mail of the turn, if at all."""

    told: bool
    verified: bool
    more: bool = False  # other messages wait to be worked again because of it
    outlook: Outlook = NO_OUTLOOK  # for a plain notice
    sealed: bool = False  # the case it was heard in is sealed, so a notice of it says nothing either
    remark: str = ""  # what a notice of it says beside
