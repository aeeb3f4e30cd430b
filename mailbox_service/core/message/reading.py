"""The leaves of a message as texts and attachments, within the budgets of one message."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailbox_service.core.display import harmless
from mailbox_service.core.message import attachments as files
from mailbox_service.core.message import charsets, decoding, encryption, html, scanning
from mailbox_service.core.message.fields import Fields, decode_words, one_message_id, read_fields
from mailbox_service.core.message.structure import Entity, Structure, describe, message_start, walk
from mailbox_service.core.message.view import Attachment, Encryption, TextKind, TextPart

# A report with logs pasted in is some 100 KB; a mail client shows less of a text than this.
TEXT_LIMIT_CHARS = 1024 * 1024
TEXTS_LIMIT_CHARS = 4 * 1024 * 1024  # of all parts together: bounds memory and time for one message
RETURNED_IDS = 50  # a bounce returns one message
SUBJECT_CHARS = 500
# Lines of a non-standard bounce that are looked at for the header of the returned message.
_RETURNED_WITHIN_CHARS = 64 * 1024

_REPORT_TYPES = frozenset(
    {
        "message/delivery-status",
        "message/disposition-notification",
        "message/feedback-report",
        "message/global-delivery-status",
        "message/global-disposition-notification",
        "message/global-headers",
        "message/rfc822-headers",
        "text/rfc822-headers",
    }
)
_RETURNED_HEADERS = frozenset({"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"})
_STATUS_TYPES = _REPORT_TYPES - _RETURNED_HEADERS
_HTML_TYPES = frozenset({"text/html", "text/x-amp-html", "text/enriched", "text/richtext", "text/watch-html"})
_READ_IN_PLACE = _HTML_TYPES | {"text/plain", "text/markdown", "text/x-markdown"}
_DELIVERY_STATUS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_SMIME = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_RETURNED_ID = re.compile(
    r"^[ \t>|]{0,40}Message-ID:[ \t]*(?:\n[ \t>|]{0,40})?(<[^\n]{1,998})", re.IGNORECASE | re.MULTILINE
)


class Reader:
    """Collects what `structure.walk` found. One use, for one message."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.texts: list[TextPart] = []
        self.attachments: list[Attachment] = []
        self.files: list[tuple[Entity, str]] = []  # the parts that are files of this very mail, with their safe names
        self.encryption = Encryption.NONE
        self.signed = False
        self.is_report = False
        self.returned: list[str] = []
        self.delivery_status: list[str] = []
        self.defects = structure.defects
        self.truncated = structure.truncated
        self._chars_left = TEXTS_LIMIT_CHARS
        self._tags_left = html.TAGS
        self._heading = ""  # subject line of a nested message whose first text is still to come
        self._plain_alternatives: set[int] = set()  # multipart/alternatives that had a plain text with something in it

    def read(self) -> None:
        """Go through all leaves in document order."""
        for kind, nested in self.structure.containers:
            if not nested:
                self._read_container(kind)
        for entity in self.structure.entities:
            if entity.message:
                self._read_nested_header(entity)
            else:
                self._read_leaf(entity)
        self._flush_heading()
        if not self.texts:
            self._read_loose()

    def _read_container(self, kind: str) -> None:
        if kind == "multipart/report":
            self.is_report = True
        elif kind == "multipart/signed":
            self.signed = True
        elif kind == "multipart/encrypted":
            self.encryption = Encryption.PGP_MIME

    def _read_nested_header(self, entity: Entity) -> None:
        self._flush_heading()
        if entity.nested == 1 and entity.outer is not None:
            name = files.safe_filename(entity.outer.filename, len(self.files) + 1, "message/rfc822")
            self.files.append((entity.outer, name))
        subject = harmless(decode_words(entity.fields.get("subject")))[:SUBJECT_CHARS]
        self._heading = f"Subject: {subject}\n\n" if subject else ""
        self._note_returned(entity.fields.get("message-id"))

    def _flush_heading(self) -> None:
        if self._heading:
            self._add(TextKind.FORWARDED, "")

    def _read_leaf(self, entity: Entity) -> None:
        kind = entity.content_type
        if kind in _REPORT_TYPES:
            self._read_report(entity)
        elif kind == "application/pgp-encrypted" and entity.parent.startswith("multipart/"):
            # The control part of RFC 3156 §4. Exchange turns multipart/encrypted into multipart/mixed.
            if not entity.nested:
                self.encryption = Encryption.PGP_MIME
        elif kind in _READ_IN_PLACE and not entity.filename and entity.disposition != "attachment":
            self._read_text(entity)
        else:
            self._read_attachment(entity)

    def _read_report(self, entity: Entity) -> None:
        if not entity.nested and entity.content_type in _STATUS_TYPES:
            self.is_report = True
        text = self._decode(entity)
        if entity.content_type in _RETURNED_HEADERS:
            raw = text.lstrip("\n").encode("latin-1", "replace")
            self._note_returned(read_fields(raw, 0, len(raw)).get("message-id"))
        elif entity.content_type in _DELIVERY_STATUS and not entity.nested:
            self.delivery_status.append(text)
        self._add(TextKind.REPORT, text)

    def _read_text(self, entity: Entity) -> None:
        text = self._decode(entity)
        is_html = entity.content_type in _HTML_TYPES
        if is_html:
            text = self._visible(text)
        elif entity.parameters.get("format", "").lower() == "flowed":
            text = decoding.unflow(text, entity.parameters.get("delsp", "").lower() == "yes")
        if entity.nested:
            self._add(TextKind.FORWARDED, text)
            return
        self._look_for_pgp(text)
        if is_html and entity.alternative in self._plain_alternatives:
            self._add(TextKind.ALTERNATIVE, text, from_html=True)
            return
        if entity.alternative and not is_html and text.strip():
            self._plain_alternatives.add(entity.alternative)
        self._add(TextKind.BODY, text, from_html=is_html)

    def _look_for_pgp(self, text: str) -> None:
        if self.encryption is Encryption.NONE and encryption.holds_pgp_message(text):
            self.encryption = Encryption.PGP_INLINE
        self.signed |= encryption.holds_signed_text(text)

    def _visible(self, source: str) -> str:
        text, self._tags_left = html.html_to_text(source, self._tags_left)
        if not self._tags_left:
            self.defects.add("very many HTML tags")
        return text

    def _read_attachment(self, entity: Entity) -> None:
        kind = entity.content_type
        number = len(self.attachments) + 1
        head, _ = decoding.decoded(entity.buf, entity.start, entity.end, entity.encoding, files.HEAD_BYTES)
        name = files.safe_filename(entity.filename, number, kind)
        size = decoding.decoded_size(entity.buf, entity.start, entity.end, entity.encoding)
        sniffed = files.sniff(head)
        first = number == 1 and not entity.nested and not any(t.kind is TextKind.BODY for t in self.texts)
        in_place = kind in _READ_IN_PLACE and entity.disposition != "attachment" and first
        charset = entity.parameters.get("charset", "")
        readable = in_place or (
            files.looks_like_text(head, charset) if kind.startswith("text/") else files.is_text(head, name, kind)
        )
        self.attachments.append(Attachment(name, kind[:120], sniffed, size, readable))
        if not entity.nested:
            self._look_for_encryption(entity, head, name)
        if in_place:
            self._read_text(entity)  # some clients name the text of the mail itself
            return
        if not entity.nested:
            self.files.append((entity, name))
        if readable:
            self._add(TextKind.ATTACHMENT, self._decode(entity), name)

    def _look_for_encryption(self, entity: Entity, head: bytes, name: str) -> None:
        smime_type = entity.parameters.get("smime-type", "")
        if entity.content_type in _SMIME:
            self.signed |= smime_type.lower() == "signed-data" or encryption.is_signed_cms(head)
        if self.encryption is Encryption.NONE:
            self.encryption = encryption.of_attachment(head, name, entity.content_type, smime_type)

    def _read_loose(self) -> None:
        """Text outside of all parts, which no client shows, where there is no other."""
        for buf, start, end, nested in self.structure.loose:
            text = self._bounded(charsets.decode(buf[start : min(end, start + TEXT_LIMIT_CHARS)]))
            if text.strip() and not nested:
                self._add(TextKind.BODY, text)

    def _decode(self, entity: Entity) -> str:
        limit = min(TEXT_LIMIT_CHARS, self._chars_left)
        data, cut = decoding.decoded(entity.buf, entity.start, entity.end, entity.encoding, limit)
        if cut:
            self.truncated = True
        return self._bounded(charsets.decode(data, entity.parameters.get("charset", "")))

    def _bounded(self, text: str) -> str:
        """A tidy text, charged to the budget."""
        text = decoding.tidy(text)[: self._chars_left]
        self._chars_left -= len(text)
        return text

    def _add(self, kind: TextKind, text: str, filename: str = "", *, from_html: bool = False) -> None:
        if kind is TextKind.FORWARDED:
            text, self._heading = (self._heading + text)[:TEXT_LIMIT_CHARS], ""
        part = TextPart(kind, text[:TEXT_LIMIT_CHARS], filename, from_html)
        if len(text) > TEXT_LIMIT_CHARS:
            self.truncated = True
        if text.strip() and not any(_same(part, known) for known in self.texts[-20:]):
            self.texts.append(part)

    def _note_returned(self, value: str) -> None:
        found = one_message_id(value)
        if found and found not in self.returned and len(self.returned) < RETURNED_IDS:
            self.returned.append(found)

    def note_ids_in_text(self) -> None:
        """For bounces outside of RFC 3464: the Message-ID of a header that is returned as plain text."""
        for part in self.texts:
            if part.kind in (TextKind.BODY, TextKind.REPORT):
                for found in _RETURNED_ID.finditer(part.text[:_RETURNED_WITHIN_CHARS]):
                    self._note_returned(found[1].strip())


def _same(part: TextPart, known: TextPart) -> bool:
    return (part.kind, part.text, part.filename) == (known.kind, known.text, known.filename)


@dataclass(frozen=True, slots=True)
class Whole:
    """A message read to its end."""

    fields: Fields  # of its own header
    content_type: str
    odd_start: frozenset[str]  # the defects of what stands before its header
    reader: Reader


def read_whole(raw: bytes) -> Whole:
    """All of `raw`, which is not copied."""
    if b"\n" not in raw and b"\r" in raw:
        raw = scanning.replaced(raw, b"\r", b"\n")  # an old Macintosh; the only case in which bytes are copied
    odd_start: set[str] = set()
    root = Entity(raw, message_start(raw, 0, len(raw), odd_start), len(raw))
    fields = read_fields(raw, root.start, root.end)
    describe(root, fields, "text/plain")
    content_type = root.content_type  # the walk may correct it
    reader = Reader(walk(root))
    reader.read()
    return Whole(fields, content_type, frozenset(odd_start), reader)
