"""What `parse` makes of the structure, the texts and the attachments of a message."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailbox_service.core.message import Encryption, ParsedMessage, TextKind, parse
from mailbox_service.core.message.attachments import FILENAME_CHARS

MAIL = Path(__file__).resolve().parents[1] / "data" / "mail"
HEAD = b"From: Ann <ann@example.org>\nTo: security@example.test\nSubject: s\nMessage-ID: <1@example.org>\n"


def load(name: str) -> ParsedMessage:
    return parse((MAIL / f"{name}.eml").read_bytes())


def texts(message: ParsedMessage, kind: TextKind) -> list[str]:
    return [t.text for t in message.texts if t.kind is kind]


def mixed(*parts: bytes) -> bytes:
    return (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\n\n"
        + b"".join(b"--b\n" + p + b"\n" for p in parts)
        + b"--b--\n"
    )


def alternative(*parts: bytes) -> bytes:
    return mixed(*parts).replace(b"multipart/mixed", b"multipart/alternative")


def attached(name: bytes, content: bytes, kind: bytes = b"application/octet-stream") -> bytes:
    return (
        b"Content-Type: " + kind + b"\nContent-Disposition: attachment; filename=" + name
        + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(content)
    )  # fmt: skip


def test_a_plain_message_gives_its_fields_and_text() -> None:
    message = parse(HEAD + b"Date: Mon, 3 Jun 2024 10:00:00 +0200\nIn-Reply-To: <0@x.example>\n\nHello\nworld\n")
    assert message.from_ is not None
    assert (message.from_.addr_spec, message.from_.display_name, message.from_.domain) == (
        "ann@example.org",
        "Ann",
        "example.org",
    )
    assert [a.addr_spec for a in message.to] == ["security@example.test"]
    assert message.date == datetime(2024, 6, 3, 8, tzinfo=UTC)
    assert (message.subject, message.message_id, message.in_reply_to) == ("s", "<1@example.org>", ("<0@x.example>",))
    assert (message.text, message.content_type, message.defects) == ("Hello\nworld\n", "text/plain", ())
    assert not message.truncated


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r\r\n", b"\r"])
def test_every_kind_of_line_end_is_read(line_end: bytes) -> None:
    raw = mixed(b"Content-Type: text/plain\n\none\ntwo", attached(b"a.bin", b"\x00\x01"))
    message = parse(raw.replace(b"\n", line_end))
    assert message.text.split() == ["one", "two"]
    assert [(a.filename, a.size_bytes) for a in message.attachments] == [("a.bin", 2)]


def test_mac_line_ends_are_read() -> None:
    message = load("own_mac_line_ends")
    assert (message.subject, message.text) == ("mac", "first\nsecond\n")


def test_a_folded_message_id_is_malformed_and_never_another_id() -> None:
    message = load("own_folded_message_id")
    assert message.message_id is None
    assert message.references == ("<one@x.example>",)
    assert {"malformed Message-ID", "malformed reference"} <= set(message.defects)


@pytest.mark.parametrize(
    "value", [b"<a@b> <c@d>", b"<a b@c>", b"<a@b", b"<ab>", b"<>", b"a@b", b"<a\x00@b>", b"<<a@b>", b"<a@b>x"]
)
def test_anything_but_one_clean_id_is_no_message_id(value: bytes) -> None:
    assert parse(b"From: a@b.example\nMessage-ID: " + value + b"\n\nx").message_id is None


def test_two_message_ids_are_none() -> None:
    assert parse(b"Message-ID: <a@b>\nMessage-ID: <c@d>\n\nx").message_id is None


def test_references_keep_the_newest_hundred() -> None:
    ids = [f"<{i}@x.example>" for i in range(150)]
    message = parse(b"References: " + "\n ".join(ids).encode() + b"\n\nx")
    assert list(message.references) == ids[50:]


def test_encoded_words_split_inside_a_character_are_joined() -> None:
    message = load("own_encoded_words_split_in_a_character")
    assert message.subject == "ööö end"
    assert message.from_ is not None and message.from_.display_name == "Jürgen"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        (b"=?utf-8?q?a?=\n =?iso-8859-1?q?=E9?=", "aé"),
        (b"=?x-nonsense?b?w7Y=?=", "ö"),
        (b"=?utf-8?b?!!!?=", ""),
        (b"=?utf-8*de?q?x?=", "x"),
        (b"=?utf-8?q?broken", "=?utf-8?q?broken"),
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("latin-1"), "Grüße"),
        (b"=?utf-8?b?YQ0KQmNjOiB4?=", "a Bcc: x"),
        (b"=?utf-8?q?=E2=80=AEevil?=", "evil"),
    ],
)
def test_a_subject_is_decoded_and_harmless(raw: bytes, shown: str) -> None:
    assert parse(b"Subject: " + raw + b"\n\nx").subject == shown


def test_a_subject_without_words_is_empty_text_in_base64_rubbish() -> None:
    assert parse(b"Subject: =?utf-8?b?A?= x\n\nx").subject == "x"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own_charset_wrongly_declared", "Grüße aus Köln"),
        ("own_koi8_undeclared", "Здравствуйте, я нашёл уязвимость в вашем продукте"),
        ("own_iso_2022_jp_undeclared", "脆弱性の報告です"),
    ],
)
def test_texts_in_wrong_or_missing_charsets_are_readable(name: str, text: str) -> None:
    assert load(name).text.strip() == text


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("windows-1251", "cp1251"),
        ("koi8-r", "koi8-r"),
        ("shift_jis", "shift_jis"),
        ("gb2312", "gbk"),
        ("ks_c_5601-1987", "cp949"),
        ("iso-8859-8-i", "iso-8859-8"),
        ("UTF8", "utf-8"),
        ("utf-16", "utf-16"),
    ],
)
def test_declared_charsets_are_used(charset: str, codec: str) -> None:
    samples = {"cp1251": "Привет", "koi8-r": "Привет", "shift_jis": "報告", "gbk": "漏洞", "cp949": "취약점"}
    text = samples.get(codec, "שלום" if "8859-8" in codec else "Größe")
    raw = HEAD + f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n".encode()
    assert parse(raw + base64.b64encode(text.encode(codec))).text == text


@pytest.mark.parametrize(
    "charset", ["rot13", "zip", "punycode", "idna", "unicode_escape", "undefined", "../x", "\x00", "x" * 5000]
)
def test_dangerous_or_unknown_charsets_fall_back(charset: str) -> None:
    assert (
        parse(HEAD + f"Content-Type: text/plain; charset={charset}\n\nplain \\u0041\n".encode()).text
        == "plain \\u0041\n"
    )


def test_a_few_damaged_bytes_do_not_turn_utf8_into_mojibake() -> None:
    body = "Größe und Übergröße\n".encode() * 50
    message = parse(HEAD + b"Content-Type: text/plain; charset=utf-8\n\n" + body + b"\xff\n")
    assert message.text.startswith("Größe und Übergröße\n")


def test_flowed_text_is_unfolded_and_its_signature_kept_apart() -> None:
    assert load("own_flowed").text == "A long line thatwas folded.\n> quotedtext\n-- \nsignature\n"


def test_a_dummy_plain_part_does_not_hide_the_html() -> None:
    message = load("own_dummy_plain_part")
    assert texts(message, TextKind.BODY) == ["Your client does not show HTML."]
    assert texts(message, TextKind.ALTERNATIVE) == ["Stored XSS in the profile <https://app.example/x>"]


def test_an_empty_plain_part_leaves_the_html_as_the_body() -> None:
    raw = (
        HEAD
        + b"Content-Type: multipart/alternative; boundary=b\n\n--b\n\n \n--b\nContent-Type: text/html\n\n<p>x\n--b--"
    )
    assert texts(parse(raw), TextKind.BODY) == ["x"]


HTML = b"Content-Type: text/html\n\n<p>/close spam</p>"
PLAIN = b"Content-Type: text/plain\n\nHello\n"


@pytest.mark.parametrize(
    ("raw", "plain", "is_html"),
    [
        (HEAD + b"\nHello\n", "Hello\n", False),
        (HEAD + HTML, "", True),
        (HEAD + b"Content-Type: text/enriched\n\n/close spam\n", "", True),
        (alternative(PLAIN, HTML), "Hello\n", False),
        (alternative(HTML, PLAIN), "", True),  # upside down: which of them a person saw is unknown
        (alternative(b"Content-Type: text/plain\n\n \n", HTML), "", True),
        (alternative(HTML), "", True),
        (mixed(PLAIN, HTML), "Hello\n", False),
        (mixed(HTML, PLAIN), "", True),  # below HTML nothing is at the top
        (mixed(HTML, b"Content-Type: text/plain\n\n/close spam\n"), "", True),  # the same words once more
        (mixed(b'Content-Type: text/html; name="mail.html"\n\n<p>/close spam</p>'), "", True),
        (mixed(attached(b"a.txt", b"/close spam\n", b"text/plain")), "", False),
        (HEAD + b"\n \n", "", False),
    ],
)
def test_plain_text_is_told_from_text_made_of_html(raw: bytes, plain: str, is_html: bool) -> None:
    message = parse(raw)
    assert (message.plain_text, message.text_is_html) == (plain, is_html)


def test_a_forwarded_report_is_readable_with_its_subject_first() -> None:
    message = load("own_forwarded_report")
    assert message.text == "see below"
    forwarded = texts(message, TextKind.FORWARDED)
    assert forwarded[0] == "Subject: SQL injection in login\n\nThe parameter id is not escaped."
    assert message.returned_message_ids == ("<inner@example.net>",)


def test_a_nested_message_in_base64_is_read_all_the_same() -> None:
    inner = base64.encodebytes(b"Subject: inner\n\nhidden report\n")
    message = parse(mixed(b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + inner))
    assert texts(message, TextKind.FORWARDED) == ["Subject: inner\n\nhidden report\n"]
    assert "encoded nested message" in message.defects


def test_text_files_declared_as_bytes_are_texts_and_names_are_safe() -> None:
    message = load("own_text_files_as_octet_stream")
    assert texts(message, TextKind.ATTACHMENT) == ["import os\nprint('pwned')\n"]
    assert [(a.filename, a.sniffed_type, a.size_bytes) for a in message.attachments] == [
        ("poc.py", "", 25),
        ("Bildgnp.exe", "application/vnd.microsoft.portable-executable", 204),
    ]


@pytest.mark.parametrize(
    ("declared", "safe"),
    [
        (b'"../../etc/passwd"', "passwd"),
        (b'"C:\\\\temp\\\\x.txt"', "x.txt"),
        (b'"-rf"', "rf"),
        (b'".bashrc"', "bashrc"),
        (b'"con.txt"', "_con.txt"),
        (b'"a<b>|c.txt"', "a_b_c.txt"),
        (b'"x\x1b[31m.txt"', "x[31m.txt"),
        (b'""', "attachment-1.bin"),
        (b'"///"', "attachment-1.bin"),
        (b"a b.txt", "a b.txt"),
        (b"x; filename*=utf-8''%E2%82%AC%20rates.txt", "€ rates.txt"),
        (b"x; filename*0*=iso-8859-1'de'Gr%FC; filename*1=sse; filename*2=.txt", "Grüsse.txt"),
        ('"Größe.txt"'.encode(), "Größe.txt"),
        (b'"' + b"a" * 300 + b'.tar"', "a" * (FILENAME_CHARS - 4) + ".tar"),
    ],
)
def test_file_names_are_decoded_and_made_safe(declared: bytes, safe: str) -> None:
    assert parse(mixed(attached(declared, b"\x00"))).attachments[0].filename == safe


def test_an_inline_text_with_a_name_is_an_attachment_too() -> None:
    message = parse(mixed(b"\nbody", b'Content-Type: text/x-patch; name="fix.patch"\n\n--- a\n+++ b'))
    assert [(t.kind, t.filename) for t in message.texts] == [(TextKind.BODY, ""), (TextKind.ATTACHMENT, "fix.patch")]
    assert [a.filename for a in message.attachments] == ["fix.patch"]


def test_the_named_text_of_the_mail_itself_is_its_body() -> None:
    assert parse(HEAD + b'Content-Type: text/plain; name="mail.txt"\n\nI am the report').text == "I am the report"


def test_html_attachments_are_kept_as_source() -> None:
    message = parse(mixed(b"\nx", attached(b"poc.html", b"<script>alert(1)</script>", b"text/html")))
    assert texts(message, TextKind.ATTACHMENT) == ["<script>alert(1)</script>"]


@pytest.mark.parametrize("encoded_line", [76, 60, 1000])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 57, 58, 1000])
def test_the_size_of_base64_is_exact_without_decoding(size: int, encoded_line: int) -> None:
    encoded = base64.b64encode(bytes(size)).decode()
    lines = "\n".join(encoded[i : i + encoded_line] for i in range(0, len(encoded), encoded_line))
    part = b"Content-Type: image/png; name=x.png\nContent-Transfer-Encoding: base64\n\n" + lines.encode() + b"\n"
    sizes = [a.size_bytes for a in parse(mixed(b"\nbody", part)).attachments]
    assert sizes == [size]


def test_pasted_base64_and_rubbish_in_it_are_decoded() -> None:
    body = base64.b64encode(b"one ") + b"\n*!\xff" + base64.b64encode(b"two") + b"\n"
    padded = base64.b64encode(b"a") + b"\n" + base64.b64encode(b"bc") + b"\n"
    head = HEAD + b"Content-Transfer-Encoding: base64\n\n"
    assert parse(head + body).text == "one two"
    assert parse(head + padded).text == "abc"


def test_text_wrongly_declared_as_base64_is_shown_as_it_is() -> None:
    message = parse(HEAD + b"Content-Transfer-Encoding: base64\n\nThis is plain prose, not base64 at all.\n")
    assert message.text == "This is plain prose, not base64 at all.\n"
    assert message.defects == ("declared base64 and is not",)


def test_damaged_quoted_printable_is_read() -> None:
    raw = HEAD + b"Content-Transfer-Encoding: quoted-printable\n\nsoft=\nbreak =zz =C3=A9 =\n"
    assert parse(raw).text.strip() == "softbreak =zz é"


def test_a_missing_closing_boundary_loses_nothing() -> None:
    message = load("own_no_closing_boundary")
    assert [t.text for t in message.texts] == ["first\n--b bb\nstill first", "second"]
    assert "no closing boundary" in message.defects


@pytest.mark.parametrize("boundary", [b"", b"; boundary=wrong"])
def test_a_missing_or_wrong_boundary_is_guessed(boundary: bytes) -> None:
    raw = (
        HEAD
        + b"Content-Type: multipart/mixed"
        + boundary
        + b"\n\n--real\nContent-Type: text/plain\n\nreport\n--real--\n"
    )
    assert parse(raw).text == "report"


def test_a_multipart_without_any_boundary_is_shown_as_text() -> None:
    assert parse(HEAD + b"Content-Type: multipart/mixed; boundary=x\n\nreport\n").text == "report\n"


def test_text_outside_of_all_parts_is_shown_when_there_is_no_other() -> None:
    raw = (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\n\nbefore\n--b\nContent-Type: image/png\n\n\x89PNG\n--b--\nafter"
    )
    assert [t.text for t in parse(raw).texts] == ["before", "after"]
    assert [t.text for t in parse(mixed(b"\nbody") + b"footer\n").texts] == ["body"]


def test_a_missing_blank_line_makes_the_rest_the_body() -> None:
    message = load("own_missing_blank_line")
    assert message.text.startswith("This is the body, and there is no blank line.\nMore.\n")
    assert "no blank line after the header" in message.defects


def test_an_mbox_line_and_a_byte_order_mark_are_skipped() -> None:
    message = load("own_mbox_line_and_bom")
    assert (message.subject, message.text) == ("x", "body\n")
    assert "byte order mark" in message.defects


def test_rubbish_between_header_fields_is_skipped() -> None:
    message = parse(b"Subject: x\nrubbish here\nContent-Type: text/html\n\n<b>y</b>")
    assert (message.text, message.content_type) == ("y", "text/html")


@pytest.mark.parametrize(
    ("part", "encryption"),
    [
        (b"Content-Type: text/plain\n\n-----BEGIN PGP MESSAGE-----\n\nx\n", Encryption.PGP_INLINE),
        (b"Content-Type: text/plain\n\n> -----BEGIN PGP MESSAGE-----\n> x\n", Encryption.NONE),
        (attached(b"r.asc", b"-----BEGIN PGP MESSAGE-----\n\nx"), Encryption.PGP_INLINE),
        (attached(b"r.asc", b"-----BEGIN PGP SIGNATURE-----\n\nx"), Encryption.NONE),
        (attached(b"r.asc", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx"), Encryption.NONE),
        (attached(b"r.gpg", bytes.fromhex("85010c03") + bytes(40)), Encryption.PGP_INLINE),
        (attached(b"r.gpg", bytes.fromhex("8c0d0407") + bytes(40)), Encryption.PGP_INLINE),
        (attached(b"r.pgp", bytes.fromhex("d2ffc00001") + bytes(40)), Encryption.NONE),
        (attached(b"r.pgp", bytes.fromhex("d2ff0000400001") + bytes(40)), Encryption.PGP_INLINE),
        (attached(b"k.gpg", bytes.fromhex("99010d04") + bytes(40)), Encryption.NONE),
        (attached(b"r.txt", bytes.fromhex("85010c03") + bytes(40)), Encryption.NONE),
        (attached(b"smime.p7m", bytes.fromhex("308006092a864886f70d010703a080")), Encryption.SMIME),
        (attached(b"smime.p7m", bytes.fromhex("3080060b2a864886f70d0109100117a0")), Encryption.SMIME),
        (attached(b"smime.p7m", bytes.fromhex("308006092a864886f70d010702a080")), Encryption.NONE),
        (attached(b"x", b"?", b"application/pkcs7-mime; smime-type=enveloped-data"), Encryption.SMIME),
        (attached(b"x", b"?", b"application/pkcs7-mime; smime-type=signed-data"), Encryption.NONE),
    ],
)
def test_encryption_is_recognised_by_content(part: bytes, encryption: Encryption) -> None:
    assert parse(mixed(b"\nhello", part)).encryption is encryption


def test_pgp_mime_is_recognised_also_as_exchange_breaks_it() -> None:
    raw = HEAD + b"Content-Type: multipart/encrypted; protocol=x; boundary=b\n\n--b\n\nVersion: 1\n--b\n\nx\n--b--\n"
    assert parse(raw).encryption is Encryption.PGP_MIME
    assert load("own_exchange_broken_pgp_mime").encryption is Encryption.PGP_MIME


def test_signatures_are_noticed() -> None:
    signed = HEAD + b"Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: image/png\n\ny\n--b--"
    assert parse(signed).signed
    assert parse(HEAD + b"\n-----BEGIN PGP SIGNED MESSAGE-----\n").signed
    assert not parse(HEAD + b"\n> -----BEGIN PGP SIGNED MESSAGE-----\n").signed


def test_a_bounce_shows_its_report_and_the_returned_id() -> None:
    message = load("bounce_sendmail_nested")
    assert message.is_report
    assert any("Final-Recipient" in text for text in texts(message, TextKind.REPORT))
    assert message.returned_message_ids == ("<01040616033903.00962@server>",)


def test_a_non_standard_bounce_shows_the_returned_id() -> None:
    assert load("own_qmail_bounce").returned_message_ids == ("<returned@example.test>",)


def test_message_ids_in_the_text_of_people_are_not_returned_ones() -> None:
    assert parse(HEAD + b"\nMessage-ID: <x@y.example>\n").returned_message_ids == ()


def test_the_same_text_twice_is_kept_once() -> None:
    assert len(parse(mixed(b"\nsame", b"\nsame", b"\nother")).texts) == 2


def test_dates_that_make_no_sense_are_none() -> None:
    for value in (
        b"Mon, 99 Jun 2024 10:00:00 +0000",
        b"x",
        b"Mon, 1 Foo 2024 10:00:00 +0000",
        b"1 Jan 2024 10:00:00 +9999",
    ):
        assert parse(b"Date: " + value + b"\n\n").date is None
    odd = parse(b"Date: 1 Jan 69 10:00 EST\n\n").date
    assert odd is not None and (odd.year, odd.utcoffset()) == (1969, timedelta(hours=-5))
