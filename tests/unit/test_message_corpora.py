"""Our reading of real mail against the standard library's, where that one reads it without complaint."""

from __future__ import annotations

import email
from email.message import Message
from pathlib import Path

import pytest

from mailbox_service.core import message as module
from mailbox_service.core.message import TextKind

ROOT = Path(__file__).resolve().parents[2]
MAIL = ROOT / "tests" / "data" / "mail"
CORPORA = ROOT.parent / "shared" / "corpora" / "eml"


def by_the_standard_library(raw: bytes) -> tuple[str, int] | None:
    """The first plain text and the number of named parts; None where the library finds a defect or gives up."""
    text, named = "", 0
    try:
        root = email.message_from_bytes(raw)
        stack: list[Message] = [root]
        while stack:
            part = stack.pop()
            if part.defects or not root.keys():
                return None
            if part.is_multipart():
                if part.get_content_maintype() == "multipart":
                    children = [p for p in part.get_payload() if isinstance(p, Message)]
                    stack.extend(reversed(children))
            elif part.get_filename() is not None:
                named += 1
            elif (
                not text and part.get_content_type() == "text/plain" and part.get_content_disposition() != "attachment"
            ):
                payload = part.get_payload(decode=True)
                text = payload.decode(part.get_content_charset() or "utf-8") if isinstance(payload, bytes) else ""
    except (LookupError, ValueError, AttributeError, RecursionError):
        return None
    return text, named


def agreement(paths: list[Path]) -> tuple[int, int, int]:
    """How many mails could be compared, in how many the text is the same, in how many no named part is missing."""
    compared = same_text = same_files = 0
    for path in paths:
        raw = path.read_bytes()
        theirs = by_the_standard_library(raw)
        if theirs is None:
            continue
        ours = module._parse(raw)
        compared += 1
        bodies = {squeezed(t.text) for t in ours.texts if t.kind is TextKind.BODY}
        same_text += not squeezed(theirs[0]) or squeezed(theirs[0]) in bodies
        same_files += theirs[1] <= len(ours.attachments)
    return compared, same_text, same_files


def squeezed(text: str) -> str:
    """Without what format=flowed changes."""
    return "".join(text.replace("\0", "").replace(">", "").split())


def test_free_mails_read_as_the_standard_library_reads_them() -> None:
    compared, same_text, same_files = agreement(sorted(MAIL.glob("*.eml")))
    assert compared >= 20
    # Differences are meant: undeclared charsets and wrong encodings are read here, and replaced or left there.
    assert same_text >= compared - 3
    assert same_files == compared


@pytest.mark.skipif(not CORPORA.is_dir(), reason="corpora not here")
def test_the_corpora_read_as_the_standard_library_reads_them() -> None:
    paths = sorted(p for p in CORPORA.rglob("*") if p.is_file())
    compared, same_text, same_files = agreement(paths)
    assert compared > 1000
    assert same_text >= 0.99 * compared
    assert same_files >= 0.99 * compared
