"""What a mail of a sealed case says to somebody whose key we have: filled in when the mail is composed (T5).

The outbox holds values without content (`within`) and where the content is (`source`): a message of ours on file. It is
opened again here, read by the same functions as when it was worked, and never stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.header import Header
from typing import Any

from mailbox_service.core.case import Party
from mailbox_service.core.commands import Misread, TextFor
from mailbox_service.core.composition import OutFile
from mailbox_service.core.display import harmless
from mailbox_service.core.message import parse
from mailbox_service.core.newtext import anonymous
from mailbox_service.services.conversation import contexts
from mailbox_service.services.conversation.letters import described_file, meant_files
from mailbox_service.services.conversation.outgoing import names_of
from mailbox_service.services.conversation.requests import context_of, newly_written_in, read_request
from mailbox_service.services.correspondence import shown_of
from mailbox_service.services.kept import reread
from mailbox_service.services.mailboxes import Mailbox, clean
from mailbox_service.services.opening import Content, look, state_of
from mailbox_service.services.ports import MessageId, OutboundClaim
from mailbox_service.services.ports.openpgp import OpenPgp, Pin

_FIELD = re.compile(rb"[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*")
_OF_THE_ENTITY = (b"content-", b"mime-version:")
_OF_THE_MAIL = (b"from:", b"to:", b"cc:", b"date:", b"message-id:", b"in-reply-to:", b"references:")


@dataclass(frozen=True, slots=True)
class Filled:
    """Never stored or logged."""

    context: dict[str, object] = field(repr=False)
    attachment: bytes | None = field(default=None, repr=False)
    files: tuple[OutFile, ...] = field(default=(), repr=False)


def looked_at(row: OutboundClaim, raw: bytes | None, door: OpenPgp, pins: Sequence[Pin]) -> Content | None:
    """The message that a mail tells of, opened once more; None where it tells of none. Raises: TemporaryError."""
    if raw is None or not _values(row.context.get("source")):
        return None
    return look(raw, parse(raw), door, [pin.key for pin in pins], offers=False)


def said_on_host(row: OutboundClaim, door: OpenPgp) -> str | None:
    """Words that stand in no mail; None where there are none, or they cannot be read. Raises: TemporaryError."""
    words = _values(row.context.get("source")).get("kept")
    return reread(words, door) if isinstance(words, str) else None


def fill(
    row: OutboundClaim,
    raw: bytes | None,
    content: Content | None,
    mailbox: Mailbox,
    pins: Sequence[Pin],
    on_host: str | None = None,
) -> Filled | None:
    """The values of a mail to somebody who may know all of it; None where `content` (of `looked_at`) is not open.

    `on_host`: the words of `said_on_host`.
    """
    within, source = _values(row.context["within"]), _values(row.context.get("source"))
    if not source:
        return Filled(within)
    if "kept" in source:
        shown = source["as"] != "outward" or source["with_text"]
        return Filled(within | ({"text": contexts.shown(on_host)} if shown else {})) if on_host is not None else None
    if raw is None or content is None or content.unread:
        return None
    if source["as"] == "answer":
        return Filled(within | _answered(source, content, mailbox))
    if source["as"] == "outward":
        return _outward(within, source, raw, content, mailbox)
    values = (
        shown_of(content.view, content.subject, content.from_display)
        if source["as"] == "notice"
        else {"text": contexts.shown(_words(source, raw, content, mailbox))}
    )
    entity = relayed(raw, content)
    attached = len(entity) <= mailbox.notices.attachment_limit_bytes and not row.kind.endswith("_without_attachment")
    values |= {"sealed": False, "attached": attached, "remarks": [state_of(content, pins), *_remarks(row, within)]}
    values |= {"withheld": "" if attached else f"mailbox-service message export {row.about_message}"}
    return Filled(within | values, entity if attached else None)


def _remarks(row: OutboundClaim, within: dict[str, Any]) -> list[str]:
    """What was found out about the message when it was worked."""
    found = within.get("remarks", row.context.get("remarks"))
    return [str(line) for line in found] if isinstance(found, list) else []


def _values(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _words(source: dict[str, Any], raw: bytes, content: Content, mailbox: Mailbox) -> str:
    """What was newly written, as the maintainers are shown it."""
    if not source["by"]:
        return newly_written_in(content.view, mailbox).text
    if source["text_for"] != TextFor.NOTE:
        return _text(source, raw, content, mailbox)
    context = context_of(mailbox, Party.MAINTAINER, source["name"], on_case=True)
    request = read_request(content.view, MessageId(source["message"]), mailbox, context)
    return "" if isinstance(request, Misread) else request.commands.text


def _text(source: dict[str, Any], raw: bytes, content: Content, mailbox: Mailbox) -> str:
    """What leaves the house, as it was when the mail was worked. Raises: ValueError where it cannot be read again."""
    context = context_of(mailbox, Party.MAINTAINER, source["name"], on_case=True)
    request = read_request(content.view, MessageId(source["message"]), mailbox, context, outward=source["outward"])
    if isinstance(request, Misread):
        raise ValueError("the text that shall go out cannot be read")
    return anonymous(request.commands.text, names_of(source["by"], source["name"], parse(raw).from_, mailbox))[0]


def _answered(source: dict[str, Any], content: Content, mailbox: Mailbox) -> dict[str, object]:
    """What its writer is shown of their own mail."""
    context = context_of(mailbox, Party(source["party"]), source["name"], on_case=True)
    request = read_request(content.view, MessageId(source["message"]), mailbox, context, outward=source["outward"])
    values: dict[str, object] = (
        {"errors": [clean(error, 600) for error in request.errors]}
        if isinstance(request, Misread)
        else {
            "lines": request.lines,
            "misplaced": list(request.commands.misplaced),
            "text": contexts.shown(request.commands.text),
        }
    )
    return {name: value for name, value in values.items() if name in source["values"]}


def _outward(within: dict[str, Any], source: dict[str, Any], raw: bytes, content: Content, mailbox: Mailbox) -> Filled:
    values: dict[str, object] = {}
    if source["with_text"]:
        values["text"] = contexts.shown(_text(source, raw, content, mailbox))
    files = meant_files(content.entity or raw)[0] if source["with_files"] else ()
    if source["described"]:
        values["files"] = [described_file(file) for file in files]
    elif files:
        values["files"] = [file.filename for file in files]
    enclosed = files if source["enclosed"] else ()
    return Filled(within | values, None, tuple(OutFile(file.filename, file.data) for file in enclosed))


def relayed(raw: bytes, content: Content) -> bytes:
    """What was inside, as a mail that a program opens: with author and date of the mail it came in, and its subject."""
    if not content.entity:
        return raw
    outer = [line for line in _fields(raw)[0] if line.lower().startswith(_OF_THE_MAIL)]
    head, body = _fields(content.entity)
    subject = Header(harmless(content.subject), "utf-8" if not content.subject.isascii() else "us-ascii").encode()
    kept = [line for line in head if line.lower().startswith(_OF_THE_ENTITY)]
    lines = [*outer, f"Subject: {subject}\n".encode(), *kept]
    return b"".join(line.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for line in lines) + b"\r\n" + body


def _fields(data: bytes) -> tuple[list[bytes], bytes]:
    found = re.search(rb"\r?\n\r?\n", data)
    end = found.end() if found is not None else len(data)
    return _FIELD.findall(data[:end]), data[end:]
