"""What a sorter may look at, taken from a parsed message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mailbox_service.core.automatic import Automatic, AutomaticMail
from mailbox_service.core.message import Attachment, Encryption, ParsedMessage, TextKind
from mailbox_service.sorting import Sortable

# Texts a person may have written. The machine part of a bounce says nothing about what its reader wants.
_READ: Final = frozenset({TextKind.BODY, TextKind.ALTERNATIVE, TextKind.ATTACHMENT, TextKind.FORWARDED})

# Pictures below this size are logos of a signature, unless there are many; a screenshot that shows a flaw is larger.
LOGO_LIMIT_BYTES: Final = 20_000
LOGOS_LIMIT_BYTES: Final = 60_000

# Recognised by their first bytes; or declared, and neither recognised nor readable: a signature in binary form.
_SIGNATURES: Final = frozenset({"application/pgp-signature", "application/pgp-keys"})
_BINARY_SIGNATURES: Final = _SIGNATURES | {"application/pkcs7-signature", "application/x-pkcs7-signature"}
# Text that somebody's program should have decoded.
_ENCODED: Final = re.compile(
    "|".join(
        (
            r"(?:^[A-Za-z0-9+/]{60,}={0,2}[ \t]*\n){3}",  # lines of base64
            r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{300}",  # all of it in one
            r"^begin [0-7]{3,4} \S+\n[M-`]",  # uuencode
            r"(?:=[0-9A-F]{2}[^=\n]{0,2}){12}",  # quoted-printable
            r"(?:&#[xX]?[0-9A-Fa-f]{1,6};[^&\n]{0,2}){12}",  # HTML
            r"(?:\\u[0-9A-Fa-f]{4}[^\\\n]{0,2}){12}",  # JSON
        )
    ),
    re.MULTILINE,
)
_ARMOUR, _ARMOUR_END = "-----BEGIN ", "-----END "


def sortable(message: ParsedMessage, automatic: AutomaticMail) -> Sortable:
    """The texts, names and marks of `message` that a sorter weighs. A view cut by a limit counts as not fully read."""
    names = [attachment.filename for attachment in message.attachments]
    names += [text.filename for text in message.texts if text.filename and text.filename not in names]
    texts = tuple(text.text for text in message.texts if text.kind in _READ and text.text.strip())
    return Sortable(
        subject=message.subject,
        texts=texts,
        filenames=tuple(names),
        opaque_attachments=message.truncated or _hidden_in(message.attachments) or any(map(_encoded, texts)),
        encrypted=message.encryption is not Encryption.NONE,
        automatic=automatic.kind is not Automatic.NO,
        spam_marked=_spam_marked(message),
    )


def _hidden_in(attachments: Sequence[Attachment]) -> bool:
    """May the substance hide in one of them? What is text was read; signatures and a few logos hold none."""
    unread = [one for one in attachments if not one.read and one.size_bytes]
    pictures = [one.size_bytes for one in unread if _is_picture(one)]
    if sum(pictures) >= LOGOS_LIMIT_BYTES or max(pictures, default=0) >= LOGO_LIMIT_BYTES:
        return True
    return any(not _is_signature(one) for one in unread if not _is_picture(one))


def _is_picture(attachment: Attachment) -> bool:
    # The first bytes outweigh the name and the type, but text that begins like a picture was not read.
    return attachment.sniffed_type.startswith("image/") and not attachment.content_type.startswith("text/")


def _is_signature(attachment: Attachment) -> bool:
    if attachment.sniffed_type:
        return attachment.sniffed_type in _SIGNATURES
    return attachment.content_type in _BINARY_SIGNATURES and attachment.size_bytes < LOGO_LIMIT_BYTES


def _encoded(text: str) -> bool:
    """Does it hold lines in an encoding that nobody has undone? Armoured keys, certificates and signatures are none."""
    return _ENCODED.search(_without_armour(text)) is not None


def _without_armour(text: str) -> str:
    kept, position = [], 0
    while (start := text.find(_ARMOUR, position)) >= 0 and (end := text.find(_ARMOUR_END, start)) >= 0:
        kept.append(text[position:start])
        position = end + len(_ARMOUR_END)
    return "".join([*kept, text[position:]])


def _spam_marked(message: ParsedMessage) -> bool:
    """Did the provider's filter say spam (X-Spam-Flag, X-Spam-Status, X-Spam)? Anybody may write these: a weak sign."""
    values = (message.header(name) for name in ("x-spam-flag", "x-spam-status", "x-spam"))
    return any(value.strip().lower().startswith(("yes", "true")) for value in values if value)
