"""What a sorter may look at, taken from a parsed message."""

from __future__ import annotations

import re
from typing import Final

from mailbox_service.core.automatic import Automatic, AutomaticMail
from mailbox_service.core.message import Attachment, Encryption, ParsedMessage, TextKind
from mailbox_service.sorting import Sortable

# Texts a person may have written. The machine part of a bounce says nothing about what its reader wants.
_READ: Final = frozenset({TextKind.BODY, TextKind.ALTERNATIVE, TextKind.ATTACHMENT, TextKind.FORWARDED})

# A picture below this size is a logo of a signature; a screenshot that shows a flaw is larger.
LOGO_LIMIT_BYTES: Final = 20_000

_SIGNATURES: Final = frozenset(
    {
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-keys",
        "text/calendar",
        "text/vcard",
        "text/x-vcard",
        "application/ics",
    }
)
_SIGNATURE_ENDINGS: Final = (".asc", ".sig", ".vcf", ".ics", ".p7s")
# "certificates@" is none.
_CERT: Final = re.compile(r"(?:^|[@.\-_])(?:cert|csirt|psirt|cirt)(?:[@.\-_]|$)")
# Attached messages and text are among the texts; every other type may hold what nobody has read.
_READABLE_TYPES: Final = ("text/", "message/", "multipart/")


def sortable(message: ParsedMessage, automatic: AutomaticMail) -> Sortable:
    """The texts, names and marks of `message` that a sorter weighs. A view cut by a limit counts as not fully read."""
    names = [attachment.filename for attachment in message.attachments]
    names += [text.filename for text in message.texts if text.filename and text.filename not in names]
    return Sortable(
        subject=message.subject,
        texts=tuple(text.text for text in message.texts if text.kind in _READ and text.text.strip()),
        filenames=tuple(names),
        opaque_attachments=message.truncated or any(_opaque(a, message) for a in message.attachments),
        encrypted=message.encryption is not Encryption.NONE,
        automatic=automatic.kind is not Automatic.NO,
        spam_marked=_spam_marked(message),
        bulk=automatic.kind is Automatic.LIST,
        cert_sender=message.from_ is not None and _CERT.search(message.from_.key) is not None,
    )


def _opaque(attachment: Attachment, message: ParsedMessage) -> bool:
    """May the substance hide in it? Text is read elsewhere; signatures, cards, dates and logos hold none."""
    declared, sniffed, name = attachment.content_type, attachment.sniffed_type, attachment.filename.lower()
    if sniffed.startswith("image/") or (not sniffed and declared.startswith("image/")):
        return attachment.size_bytes >= LOGO_LIMIT_BYTES
    if sniffed and not sniffed.startswith(_READABLE_TYPES) and sniffed not in _SIGNATURES:
        # The first bytes outweigh the name: an archive called notes.txt is an archive.
        return not (declared in _SIGNATURES and name.endswith(_SIGNATURE_ENDINGS))
    if declared in _SIGNATURES or name.endswith(_SIGNATURE_ENDINGS):
        return False
    if declared.startswith(_READABLE_TYPES):
        return False
    return all(text.filename != attachment.filename for text in message.texts)


def _spam_marked(message: ParsedMessage) -> bool:
    """Did the provider's filter say spam (X-Spam-Flag, X-Spam-Status, X-Spam)? Anybody may write these: a weak sign."""
    values = (message.header(name) for name in ("x-spam-flag", "x-spam-status", "x-spam"))
    return any(value.strip().lower().startswith(("yes", "true")) for value in values if value)
