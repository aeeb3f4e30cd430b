"""Of a sealed case: where its words stand, which are read again when a mail is composed, and who cannot read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mailbox_service.core.case import Party
from mailbox_service.services.conversation.requests import Request
from mailbox_service.services.conversation.turn import Turn
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports.openpgp import Pin, pin_of


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


def in_full(
    turn: Turn, mailbox: Mailbox, whole: dict[str, object], read_again: Sequence[str] = ()
) -> dict[str, object]:
    """Beside the values of an answer in a sealed case: the `whole` ones, for a writer whose key we have by then.

    What stands in their mail is no part of them. `read_again` names those values that are made from it when the answer
    is composed (services/filling).
    """
    if not turn.record.sealed or not mailbox.openpgp or turn.speaker.party is None:
        return {}
    if not read_again:
        return {"within": whole}
    source: dict[str, object] = {
        "as": "answer",
        "message": int(turn.message),
        "party": turn.speaker.party.value,
        "name": turn.speaker.name,
        "outward": turn.outward,
        "values": list(read_again),
    }
    return {"within": whole, "source": source}


def why_unread(pins: Sequence[Pin], address: str, now: datetime, *, by_hand: bool = False) -> str:
    """Why nothing of a sealed case can go to `address`, as the end of a sentence; "" where it can. `by_hand`: as for a
    maintainer, whose key no mail may bring."""
    pin = pin_of(pins, address, by_hand=by_hand)
    if pin is None:
        return "no key is pinned to them"
    return "" if pin.lasts(now) else "the key pinned to them has expired"
