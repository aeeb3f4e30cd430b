"""What proves the author of a mail, where it takes more than the mail itself."""

from __future__ import annotations

from typing import Protocol

from mailbox_service.core.evidence import Authentication
from mailbox_service.core.message import ParsedMessage


class Authenticator(Protocol):
    """Proves the From of a mail without the word of any mail server."""

    async def authenticate(self, message: ParsedMessage, raw: bytes) -> Authentication:
        """What is proven of the From of `message`, whose bytes as received are `raw`.

        It takes seconds at most: what cannot be had in time is no proof. Never raises for what is in a mail or does
        not come from a network, and holds no transaction.
        """
        ...


class KeyLookup(Protocol):
    """The keys that signers of mail publish."""

    async def text_records(self, name: str) -> tuple[bytes, ...]:
        """The TXT records of `name`, each with its strings joined; () when there are none.

        Raises: TemporaryError when there is no answer, or none in time.
        """
        ...
