"""The files of a mail, decoded."""

from __future__ import annotations

import base64
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.message import extraction, parse
from mailbox_service.core.message.attachments import safe_filename
from mailbox_service.core.message.extraction import File, attached_files

MAILS = sorted((Path(__file__).resolve().parents[1] / "data" / "mail").glob("*.eml"))
HEAD = b"From: Ann <ann@example.org>\nSubject: s\nMessage-ID: <1@example.org>\n"
TEXT = b"Content-Type: text/plain\n\nHello\n"
HOSTILE = st.text(st.sampled_from("ab.é/\\\"'=?_:*~- \u202e\u200b\x1b\r\n\0;%😀"), max_size=200)


def mixed(*parts: bytes) -> bytes:
    inner = b"".join(b"--b\n" + part + b"\n" for part in parts)
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + inner + b"--b--\n"


def part(kind: str, content: bytes, *headers: str, name: str = "a.bin", disposition: str = "attachment") -> bytes:
    lines = [f"Content-Type: {kind}", f'Content-Disposition: {disposition}; filename="{name}"', *headers]
    return "\n".join(lines).encode() + b"\n\n" + content


def base64_part(content: bytes, kind: str = "application/octet-stream", name: str = "a.bin") -> bytes:
    return part(kind, base64.encodebytes(content), "Content-Transfer-Encoding: base64", name=name)


def datas(raw: bytes) -> list[bytes]:
    return [file.data for file in attached_files(raw)]


@given(st.lists(st.tuples(st.binary(max_size=3000), HOSTILE), max_size=6))
def test_files_are_those_that_parse_lists_and_their_bytes_are_identical(files: list[tuple[bytes, str]]) -> None:
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = "ann@example.org"
    mail.set_content("See below.\n")
    for data, name in files:
        clean = name.translate({13: None, 10: None, 0: None})
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=clean)
    raw = mail.as_bytes()
    found = attached_files(raw)
    assert [file.data for file in found] == [data for data, _ in files]
    listed = [(a.filename, a.content_type, a.size_bytes) for a in parse(raw).attachments]
    assert [(f.filename, f.content_type, len(f.data)) for f in found] == listed


@given(HOSTILE, st.integers(1, 50))
def test_a_name_made_safe_stays_as_it_is(name: str, number: int) -> None:
    safe = safe_filename(name.encode("utf-8").decode("latin-1"), number, "text/plain")
    assert safe_filename(safe.encode("utf-8").decode("latin-1"), number, "text/plain") == safe


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_the_files_of_real_mails_are_among_those_listed_in_the_same_order(path: Path) -> None:
    raw = path.read_bytes()
    listed = iter([a.filename for a in parse(raw).attachments])
    assert all(file.filename in listed for file in attached_files(raw) if file.content_type != "message/rfc822")


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(raw: bytes) -> None:
    attached_files(raw)
    attached_files(mixed(raw))
    assert len(attached_files(mixed(TEXT, base64_part(raw)))) == 1


def test_the_text_of_the_mail_is_no_file_even_with_a_name() -> None:
    named = part("text/plain", b"/patched\n\nAnna", name="mail.txt", disposition="inline")
    raw = mixed(named, base64_part(b"x", name="fix.patch"))
    assert [a.filename for a in parse(raw).attachments] == ["mail.txt", "fix.patch"]
    assert [file.filename for file in attached_files(raw)] == ["fix.patch"]


def test_a_forwarded_message_is_one_file_whatever_is_in_it() -> None:
    inner = mixed(TEXT, base64_part(b"inner", name="inner.zip")).replace(b"--b", b"--c").replace(b"=b\n", b"=c\n")
    assert [a.filename for a in parse(inner).attachments] == ["inner.zip"]
    raw = mixed(TEXT, part("message/rfc822", inner, name="old mail.eml"), base64_part(b"x", name="fix.patch"))
    files = attached_files(raw)
    assert [(file.filename, file.content_type) for file in files] == [
        ("old mail.eml", "message/rfc822"),
        ("fix.patch", "application/octet-stream"),
    ]
    assert files[0].data == inner
    encoded = part("message/rfc822", base64.encodebytes(inner), "Content-Transfer-Encoding: base64", name="old.eml")
    assert datas(mixed(TEXT, encoded)) == [inner]
    nameless = b"Content-Type: message/rfc822\n\n" + mixed(TEXT)
    assert [file.filename for file in attached_files(mixed(TEXT, nameless, nameless))] == [
        "attachment-1.eml",
        "attachment-2.eml",
    ]


def test_an_archive_stays_packed() -> None:
    archive = b"PK\x03\x04" + bytes(1000)
    assert datas(mixed(TEXT, base64_part(archive, "application/zip", "a.zip"))) == [archive]


def test_lines_of_a_text_are_the_files_own() -> None:
    patch = b"--- a\n+++ b\n"
    on_the_way = mixed(TEXT, part("text/x-patch", patch, name="fix.patch")).replace(b"\n", b"\r\n")
    assert datas(on_the_way) == [patch]
    windows = b"one\r\ntwo\r\n"
    assert datas(mixed(TEXT, base64_part(windows, "text/plain", "a.txt"))) == [windows]
    assert datas(mixed(TEXT, part("application/octet-stream", windows))) == [windows]


@pytest.mark.parametrize(
    ("piece", "incidental"),
    [
        (base64_part(b"x", "application/zip"), False),
        (part("image/png", b"x", disposition="inline"), False),  # how Apple Mail attaches
        (part("image/png", b"x", "Content-ID: <1@x>", disposition="inline"), True),  # the logo of a signature
        (part("image/png", b"x", "Content-ID: <1@x>"), False),  # Gmail gives one to every attachment
        (part("application/pgp-signature", b"x", name="signature.asc"), True),
        (part("application/pgp-keys", b"x", name="OpenPGP_0x1.asc"), True),
        (part("text/vcard", b"x", name="anna.vcf"), True),
        (part("application/ms-tnef", b"x", name="winmail.dat"), True),
    ],
)
def test_what_programs_add_is_told_from_what_people_attach(piece: bytes, incidental: bool) -> None:
    assert [file.incidental for file in attached_files(mixed(TEXT, piece))] == [incidental]


def test_a_picture_of_the_html_is_incidental() -> None:
    related = mixed(b"Content-Type: text/html\n\n<p>x</p>", part("image/png", b"x", disposition="inline"))
    (picture,) = attached_files(related.replace(b"multipart/mixed", b"multipart/related"))
    assert picture.incidental


def test_at_most_fifty_files() -> None:
    raw = mixed(TEXT, *(base64_part(b"x", name=f"{number}.bin") for number in range(60)))
    assert [file.filename for file in attached_files(raw)] == [f"{number}.bin" for number in range(50)]


def test_a_file_comes_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "FILES_BYTES", 1000)
    raw = mixed(TEXT, base64_part(bytes(900), name="1"), base64_part(bytes(101), name="2"), base64_part(b"x", name="3"))
    assert [(file.filename, len(file.data)) for file in attached_files(raw)] == [("1", 900), ("3", 1)]


def test_a_mail_that_cannot_be_read_has_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(raw: bytes) -> object:
        raise RecursionError

    monkeypatch.setattr(extraction, "read_whole", broken)
    assert attached_files(mixed(TEXT, base64_part(b"x"))) == ()


def test_a_plain_mail_has_no_files() -> None:
    assert attached_files(HEAD + b"\nHello\n") == ()
    assert attached_files(mixed(TEXT, base64_part(b""))) == (File("a.bin", "application/octet-stream", b""),)
