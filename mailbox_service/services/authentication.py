"""How the author of an answer is proven: by the mail server the operator trusts, or by ourselves."""

from __future__ import annotations

from mailbox_service.core import evidence
from mailbox_service.core.evidence import Authentication
from mailbox_service.core.message import ParsedMessage
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import Authenticator


async def authenticate_answer(
    mailbox: Mailbox, message: ParsedMessage, raw: bytes, authenticator: Authenticator
) -> Authentication:
    """What is proven of the From of `message`, whose bytes as received are `raw`: evidence M of the threat model.

    It may ask the DNS, for some seconds at most. So it is for answers to our mails, on whose author something depends,
    and not for every report; and it is not called inside a transaction. Never raises for what is in a mail.
    """
    # Where a server is declared, its word alone counts: it saw the mail arrive, and DMARC knows more than DKIM.
    if mailbox.authserv_id is not None or not mailbox.dkim:
        return evidence.authenticate(message, mailbox.authserv_id)
    return await authenticator.authenticate(message, raw)
