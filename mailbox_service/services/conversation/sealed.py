"""Where the words of a sealed case stand, in place of the words: they are read again when a mail is composed."""

from __future__ import annotations

from mailbox_service.core.case import Party
from mailbox_service.services.conversation.requests import Request
from mailbox_service.services.conversation.turn import Turn


def sealed_source(turn: Turn, request: Request) -> dict[str, object] | None:
    """What services/filling needs to read the words of a request again; None where they are in no mail, or in clear."""
    if not turn.record.sealed or request.message is None:
        return None
    maintainer = turn.speaker.party is Party.MAINTAINER
    return {
        "message": int(request.message),
        "by": turn.speaker.address if maintainer else "",
        "name": turn.speaker.name if maintainer else "",
        "text_for": request.commands.text_for.value,
        "outward": turn.outward,
    }
