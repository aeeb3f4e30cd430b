"""A message as the rest of the service sees it: `parse(raw)` turns any bytes into a `ParsedMessage`.

Why no parser of the standard library is used: docs/decisions/001-own-mime-walk.md.
"""

from __future__ import annotations

from mailbox_service.core.display import harmless
from mailbox_service.core.message import fields as header
from mailbox_service.core.message.addresses import ADDRESSES, Listed, read_addresses
from mailbox_service.core.message.charsets import decode
from mailbox_service.core.message.reading import SUBJECT_CHARS, TEXT_LIMIT_CHARS, read_whole
from mailbox_service.core.message.structure import DEPTH, PARTS
from mailbox_service.core.message.view import (
    Address,
    Attachment,
    Encryption,
    ParsedMessage,
    TextKind,
    TextPart,
)

__all__ = [
    "ADDRESSES",
    "DEPTH",
    "PARTS",
    "TEXT_LIMIT_CHARS",
    "Address",
    "Attachment",
    "Encryption",
    "ParsedMessage",
    "TextKind",
    "TextPart",
    "parse",
]

FROM_DISPLAY_CHARS = 500  # what a notice shows of a From
_CONTROLS = frozenset(map(chr, [*range(9), *range(10, 32), 127]))
# Local parts that report failures of delivery; only for where to look for returned headers, no decision.
_BOUNCERS = ("mailer-daemon", "postmaster", "mail-daemon", "mdaemon", "bounce", "delivery", "double-bounce")


def parse(raw: bytes) -> ParsedMessage:
    """The view of `raw`. Total: returns for any bytes, and bounded in time and memory; `raw` is never copied.

    Limits are the constants of this package; where one cut something off, `truncated` is True.
    """
    try:
        return _parse(raw)
    except Exception:
        # A fault of ours must cost a person's look, never the mail: it is shown as plain text and held.
        return _unparsed(raw)


def _parse(raw: bytes) -> ParsedMessage:
    whole = read_whole(raw)
    fields, reader = whole.fields, whole.reader
    defects = reader.defects | fields.defects | whole.odd_start
    author = _author(fields, bool(whole.odd_start), defects)
    if reader.is_report or _may_be_bounce(fields):
        reader.note_ids_in_text()
    to, cc, reply_to = (read_addresses(_all(fields, name)) for name in ("to", "cc", "reply-to"))
    message_id = _message_id(fields, defects)
    in_reply_to, odd_reply = header.message_ids(fields.get("in-reply-to"))
    references, odd_references = header.message_ids(fields.get("references"))
    if odd_reply or odd_references:
        defects.add("malformed reference")
    cut = fields.truncated or reader.truncated or to.truncated or cc.truncated or reply_to.truncated
    return ParsedMessage(
        headers=tuple(fields.items),
        from_=author,
        from_display=_shown(fields.get("from"), FROM_DISPLAY_CHARS),
        to=to.addresses,
        cc=cc.addresses,
        reply_to=reply_to.addresses,
        subject=_shown(fields.get("subject"), SUBJECT_CHARS),
        date=header.parse_date(fields.get("date")),
        message_id=message_id,
        in_reply_to=in_reply_to,
        references=references,
        content_type=whole.content_type[:120],
        texts=tuple(reader.texts),
        attachments=tuple(reader.attachments),
        encryption=reader.encryption,
        is_report=reader.is_report,
        returned_message_ids=tuple(reader.returned),
        signed=reader.signed,
        defects=tuple(sorted(defects)),
        truncated=cut,
        delivery_status=tuple(reader.delivery_status),
    )


def _shown(value: str, limit_chars: int) -> str:
    return harmless(header.decode_words(value)).strip()[:limit_chars]


def _all(fields: header.Fields, name: str) -> str:
    """All fields of that name as one list: a second To is forbidden, but its people are people all the same."""
    values = [v for n, v in fields.items if n == name]
    return ",".join(values)[: header.HEADER_LIST_CHARS]


def _author(fields: header.Fields, odd_start: bool, defects: set[str]) -> Address | None:
    """The one author of threat-model rule 17: one From, one mailbox, and no way to read it otherwise."""
    if fields.authors == 0:
        defects.add("no From")
        return None
    if fields.authors > 1:
        defects.add("multiple From")
        return None
    value = fields.get("from")
    listed: Listed = read_addresses(value)
    odd = fields.odd_author or odd_start or not _CONTROLS.isdisjoint(value)
    if odd or not listed.clean or len(listed.addresses) != 1:
        defects.add("bad From")
        return None
    return listed.addresses[0]


def _message_id(fields: header.Fields, defects: set[str]) -> str | None:
    if fields.count("message-id") > 1:
        defects.add("multiple Message-ID")
        return None
    value = fields.get("message-id")
    found = header.one_message_id(value)
    if found is None:
        defects.add("malformed Message-ID" if value else "no Message-ID")
    return found


def _may_be_bounce(fields: header.Fields) -> bool:
    if fields.get("return-path") == "<>" or fields.get("x-failed-recipients"):
        return True
    sender = fields.get("from").lower()
    return any(word in sender for word in _BOUNCERS)


def _unparsed(raw: bytes) -> ParsedMessage:
    text = decode(raw[:TEXT_LIMIT_CHARS]).replace("\0", "")
    return ParsedMessage(
        headers=(),
        from_=None,
        from_display="",
        to=(),
        cc=(),
        reply_to=(),
        subject="",
        date=None,
        message_id=None,
        in_reply_to=(),
        references=(),
        content_type="",
        texts=(TextPart(TextKind.BODY, text),),
        attachments=(),
        encryption=Encryption.NONE,
        is_report=False,
        returned_message_ids=(),
        signed=False,
        defects=("not parsed",),
        truncated=True,
    )
