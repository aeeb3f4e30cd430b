"""Words of a sealed case that stand in no mail, since somebody wrote them on the host: kept encrypted to ourselves.

What people mail is on file as it came, and is read there again. What is typed on the host has no such place, and must
not lie in the database in clear either.
"""

from __future__ import annotations

from mailbox_service.core.openpgp.armour import MESSAGE, Armoured, dearmour
from mailbox_service.services.ports.openpgp import Opened, OpenPgp


def kept(text: str, door: OpenPgp | None) -> str:
    """`text` encrypted to the mailbox's own key; "" where it has none. Blocks. Raises: Refused, TemporaryError."""
    own = door.public_key() if door is not None else None
    return door.encrypt(text.encode(), [own], sign=False).decode() if door is not None and own is not None else ""


def reread(words: str, door: OpenPgp) -> str | None:
    """What was kept as `words`; None where it cannot be opened, or is nothing of the kind. Blocks.

    Raises: TemporaryError.
    """
    found = dearmour(words.encode(), MESSAGE)
    opened = door.open(found.data) if isinstance(found, Armoured) else None
    return opened.data.decode("utf-8", "replace") if isinstance(opened, Opened) else None
