"""What a sorter gets to see of a message."""

from __future__ import annotations

import pytest

from mailbox_service.core.automatic import Automatic, AutomaticMail
from mailbox_service.core.message import parse
from mailbox_service.sorting import Sortable
from mailbox_service.sorting.sortable import LOGO_LIMIT_BYTES, sortable

WRITTEN = AutomaticMail(Automatic.NO, (), False)
HEAD = b"From: a@example.org\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n"


def seen(raw: bytes) -> Sortable:
    return sortable(parse(raw), WRITTEN)


def mixed(content_type: str, filename: str, content: bytes = b"%PDF-1.4 x") -> bytes:
    return (
        HEAD
        + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee attached.\r\n'
        + f'--b\r\nContent-Type: {content_type}; name="{filename}"\r\n'.encode()
        + f'Content-Disposition: attachment; filename="{filename}"\r\n\r\n'.encode()
        + content
        + b"\r\n--b--\r\n"
    )


def test_plain_text_is_taken_with_its_subject() -> None:
    mail = seen(HEAD + b"\r\nSomething odd.\r\n")
    assert (mail.subject, mail.opaque_attachments, mail.encrypted, mail.automatic) == ("Hello", False, False, False)
    assert [text.strip() for text in mail.texts] == ["Something odd."]


@pytest.mark.parametrize(
    ("content_type", "filename", "content"),
    [
        ("application/pdf", "report.pdf", b"%PDF-1.4 x"),
        ("application/zip", "poc.zip", b"PK\x03\x04xxxx"),
        ("application/octet-stream", "notes.bin", b"\x01\x02"),
        ("image/png", "screen.png", b"\x89PNG\r\n\x1a\n" + b"x" * LOGO_LIMIT_BYTES),
    ],
)
def test_substance_may_hide_in_an_attachment(content_type: str, filename: str, content: bytes) -> None:
    mail = seen(mixed(content_type, filename, content))
    assert mail.opaque_attachments
    assert filename in mail.filenames


@pytest.mark.parametrize(
    ("content_type", "filename", "content"),
    [
        ("application/pgp-signature", "signature.asc", b"-----BEGIN PGP SIGNATURE-----"),
        ("text/vcard", "me.vcf", b"BEGIN:VCARD"),
        ("text/calendar", "invite.ics", b"BEGIN:VCALENDAR"),
        ("image/png", "logo.png", b"\x89PNG\r\n\x1a\nxx"),
    ],
)
def test_signatures_cards_and_logos_hide_nothing(content_type: str, filename: str, content: bytes) -> None:
    assert not seen(mixed(content_type, filename, content)).opaque_attachments


def test_a_text_attachment_is_read() -> None:
    mail = seen(mixed("text/plain", "poc.txt", b"curl with sql injection"))
    assert any("sql injection" in text for text in mail.texts)
    assert not mail.opaque_attachments


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        (b"X-Spam-Flag: YES", True),
        (b"X-Spam-Status: Yes, score=9", True),
        (b"X-Spam: yes", True),
        (b"X-Spam-Flag: NO", False),
        (b"X-Other: yes", False),
    ],
)
def test_the_providers_mark_is_passed_on(line: bytes, marked: bool) -> None:
    assert seen(HEAD + line + b"\r\n\r\nHi\r\n").spam_marked is marked


def test_automatic_and_encrypted_mail_is_known_as_such() -> None:
    raw = HEAD + (
        b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx\r\n--b--\r\n"
    )
    mail = sortable(parse(raw), AutomaticMail(Automatic.LIST, (), True))
    assert (mail.encrypted, mail.automatic) == (True, True)
