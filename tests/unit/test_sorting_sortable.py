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
        # What is declared as text, or as what holds nothing, and could not be read.
        ("text/plain", "poc.txt", b"the steps\0 of it"),
        ("text/calendar", "invite.ics", b"PK\x03\x04xxxx"),
        ("application/pgp-signature", "report.asc", b"PK\x03\x04xxxx"),
        ("application/pkcs7-signature", "smime.p7s", b"\x30\x82" + b"\0" * LOGO_LIMIT_BYTES),
        ("message/partial", "part", b"\1\2 of a message"),
        ("image/png", "screen.png", b"this is a text"),
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
        ("application/pkcs7-signature", "smime.p7s", b"\x30\x82\0\1"),
        ("text/plain", "nothing.txt", b""),
    ],
)
def test_signatures_cards_and_logos_hide_nothing(content_type: str, filename: str, content: bytes) -> None:
    assert not seen(mixed(content_type, filename, content)).opaque_attachments


def test_many_logos_may_be_a_page_of_pictures() -> None:
    logo = b"--b\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n" + b"x" * (LOGO_LIMIT_BYTES - 100) + b"\r\n"
    head = HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nSee below.\r\n'
    assert [seen(head + logo * count + b"--b--\r\n").opaque_attachments for count in (1, 4)] == [False, True]


BASE64 = "aGUgc3RlcHMgb2YgdGhlIGZsYXcgYXJlIHRoZXNlIGFuZCBub2JvZHkgaGFzIHJlYWQgdGhlbSB5\n"


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        (BASE64 * 3, True),
        (BASE64.strip() * 4, True),
        ("begin 644 poc.txt\nM5&AE('-T97!S(&]F(&ET\n`\nend\n", True),
        ("=D0=A3=D1=8F=D0=B7=D0=B2=D0=B8=D0=BC=D0=BE=D1=81=D1=82=D1=8C", True),
        ("&#1059;&#1103;&#1079;&#1074;&#1080;&#1084;&#1086;&#1089;&#1090;&#1100; &#1074; &#1095;", True),
        (r"\u0423\u044f\u0437\u0432\u0438\u043c\u043e\u0441\u0442\u044c \u0432 \u0447\u0435", True),
        (f"-----BEGIN CERTIFICATE-----\n{BASE64 * 9}-----END CERTIFICATE-----\n", False),
        (f"-----BEGIN CERTIFICATE-----\n{BASE64}-----END CERTIFICATE-----\n{BASE64 * 3}", True),
        (f"-----BEGIN CERTIFICATE-----\n{BASE64 * 3}", True),
        (BASE64 * 2, False),
        ("a=1&b=2; if x==0: y=A0", False),
        ("sha256 " + "0123456789abcdef" * 4 + "\n" + "0123456789abcdef" * 4 + "\n", False),
    ],
)
def test_what_nobody_has_decoded_was_not_read(text: str, encoded: bool) -> None:
    raw = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + f"Dear team,\n\n{text}\n\nThanks\n".encode()
    assert seen(raw).opaque_attachments is encoded


@pytest.mark.parametrize(
    ("content_type", "filename", "content"),
    [
        ("text/plain", "poc.txt", "\ufeffcurl with sql injection".encode("utf-16-le")),
        ("text/plain; charset=utf-16-le", "poc.txt", "curl with sql injection".encode("utf-16-le")),
        ("application/octet-stream", "report.txt.asc", b"-----BEGIN PGP SIGNED MESSAGE-----\n\nsql injection\n"),
        ("application/ics", "invite.ics", b"BEGIN:VCALENDAR\nDESCRIPTION:sql injection"),
        ("application/octet-stream", "me.vcf", b"BEGIN:VCARD\nNOTE:sql injection"),
    ],
)
def test_text_in_other_clothes_is_read(content_type: str, filename: str, content: bytes) -> None:
    mail = seen(mixed(content_type, filename, content))
    assert any("sql injection" in text for text in mail.texts)
    assert not mail.opaque_attachments


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
