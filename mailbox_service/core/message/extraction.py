"""The files that came with a mail, decoded. Nothing is unpacked, opened or run."""

from __future__ import annotations

from dataclasses import dataclass

from mailbox_service.core.message import decoding
from mailbox_service.core.message.attachments import HEAD_BYTES, sniff
from mailbox_service.core.message.reading import read_whole
from mailbox_service.core.message.structure import Entity

FILES = 50  # a mail with a photo album goes elsewhere
FILES_BYTES = 50 * 1000 * 1000  # decoded, of one mail: as much as the largest mail usually accepted

# What programs add to a mail, and what says who wrote it: signatures, keys, business cards, Outlook's wrapping.
_ADDED = frozenset(
    {
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-keys",
        "application/ms-tnef",
        "text/vcard",
        "text/x-vcard",
    }
)
# The same by their names.
_ADDED_NAMES = (".vcf", ".p7s", "winmail.dat")


@dataclass(frozen=True, slots=True)
class File:
    """One file as it was attached. `incidental`: no person attached it on purpose (a signature, a picture in HTML)."""

    filename: str  # safe for a terminal, a header and a file system; never empty; not unique
    content_type: str  # as declared, lower case
    data: bytes
    incidental: bool = False


def attached_files(raw: bytes) -> tuple[File, ...]:
    """The files of a mail, named as in `ParsedMessage.attachments` and in the same order.

    The text of the mail itself is none, even where it has a name; a forwarded message is one, whatever is in it. A file
    comes whole or not at all: those beyond `FILES` or `FILES_BYTES` are left out. Total: returns for any bytes.
    """
    try:
        found = read_whole(raw).reader.files
    except Exception:
        return ()  # `parse` shows such a mail as one text
    files: list[File] = []
    left = FILES_BYTES
    for entity, name in found:
        if len(files) == FILES:
            break
        data, cut = decoding.decoded(entity.buf, entity.start, entity.end, entity.encoding, left)
        if cut:
            continue
        left -= len(data)
        files.append(
            File(name, entity.content_type[:120], _with_own_lines(entity, data), _is_incidental(entity, name, data))
        )
    return tuple(files)


def _with_own_lines(entity: Entity, data: bytes) -> bytes:
    """Lines of a text end in CRLF on the way (RFC 2046 §4.1.1), unless it is base64, which has the file's own."""
    if entity.content_type.startswith("text/") and entity.encoding != "base64":
        return data.replace(b"\r\n", b"\n")
    return data


def _is_incidental(entity: Entity, name: str, data: bytes) -> bool:
    # Gateways call all files application/octet-stream: then the name and the bytes say what it is.
    if entity.content_type in _ADDED or sniff(data[:HEAD_BYTES]) in _ADDED or name.lower().endswith(_ADDED_NAMES):
        return True
    if entity.parent == "multipart/alternative":
        return True  # the text once more, in a form that we do not read, with all its quotes
    shown_in_html = entity.parent == "multipart/related" or bool(entity.fields.get("content-id"))
    return shown_in_html and entity.disposition != "attachment"
