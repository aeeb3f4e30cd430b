"""Hostile mail by name: each shape makes about `size` bytes that once cost some mail program dearly, or would.

A shape is a function of the size, so that linearity can be measured; its docstring says whom it is meant to hurt.
`python -m tests.hostile.measure` prints what each one costs.
"""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable

Shape = Callable[[int], bytes]

SHAPES: dict[str, Shape] = {}

TO = b"To: security@demo.example\n"
HEAD = b"From: a@b.example\n" + TO + b"Subject: s\nMessage-ID: <1@b.example>\n"
HTML = HEAD + b"Content-Type: text/html; charset=utf-8\n\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n"


def shape(function: Shape) -> Shape:
    SHAPES[function.__name__.replace("_", " ")] = function
    return function


def filled(size: int, *pieces: bytes) -> bytes:
    """The pieces in turn, until `size` bytes are there."""
    unit = b"".join(pieces)
    return unit * max(1, size // len(unit))


# --- the header -------------------------------------------------------------------------------------------------


@shape
def comments_in_the_author(size: int) -> bytes:
    """RecursionError in `email` with policy.default."""
    return b"From: " + b"(" * size + b" a@b.example\n" + TO + b"\nx"


@shape
def quotes_in_the_author(size: int) -> bytes:
    """A search for the end of each quoted string runs to the end of the value."""
    return b'From: "' + filled(size, b'\\"') + b"\n" + TO + b"\nx"


@shape
def authors_by_the_thousand(size: int) -> bytes:
    """Quadratic in `email`: 5.5 s at 320 kB."""
    return b"From: " + filled(size, b"u@x.example,\n ") + b"a@b.example\n" + TO + b"\nx"


@shape
def recipients_by_the_thousand(size: int) -> bytes:
    return HEAD + b"Cc: " + filled(size, b"user <user@x.example>,\n ") + b"a@b.example\n\nx"


@shape
def recipient_fields_by_the_thousand(size: int) -> bytes:
    """A list of lists: every field is short, their sum is not."""
    return HEAD + filled(size, b"Cc: a@b.example, c@d.example\n") + b"\nx"


@shape
def groups_in_groups(size: int) -> bytes:
    return HEAD + b"To: " + filled(size, b"g:<") + b"\n\nx"


@shape
def encoded_words_in_the_subject(size: int) -> bytes:
    """Quadratic in `email`: 5.2 s at 320 kB."""
    return HEAD + b"Subject: " + filled(size, b"=?utf-8?q?=41=42?=\n ") + b"\n\nx"


@shape
def subjects_of_many_charsets(size: int) -> bytes:
    """Every word another charset, none of which exists: a look-up that imports a module for each."""
    rng = random.Random(size)
    names = (b"=?x-%06x?b?QUJD?= " % rng.getrandbits(24) for _ in range(size // 22))
    return b"From: a@b.example\n" + TO + b"Subject: " + b"".join(names) + b"\n\nx"


@shape
def unfinished_encoded_words(size: int) -> bytes:
    return b"From: a@b.example\n" + TO + b"Subject: " + filled(size, b"=?utf-8?b?") + b"\n\nx"


@shape
def header_lines(size: int) -> bytes:
    return HEAD + filled(size, b"X: y\n") + b"\nx"


@shape
def continuation_lines(size: int) -> bytes:
    return HEAD + b"X: y\n" + filled(size, b" b\n") + b"\nx"


@shape
def a_header_of_one_line(size: int) -> bytes:
    return HEAD + b"X: " + b"a" * size + b"\n\nx"


@shape
def a_header_without_an_end(size: int) -> bytes:
    """Nothing but fields, to the last byte."""
    return HEAD + filled(size, b"Received: from x by y; Mon, 23 Nov 2026 12:00:00 +0000\n")


@shape
def rubbish_lines_in_the_header(size: int) -> bytes:
    return HEAD + filled(size, b"rubbish\nX-A: b\n") + b"\nx"


@shape
def bare_carriage_returns_in_the_header(size: int) -> bytes:
    return HEAD + b"X: " + b"\r" * size + b"\n\nx"


@shape
def carriage_returns_before_each_line_end(size: int) -> bytes:
    """A pattern such as `\\r*\\n` tried at every one of them."""
    return HEAD + b"\n" + b"\r" * size


@shape
def a_header_end_that_never_comes(size: int) -> bytes:
    """`\\n\\r*` without the line feed that would end the header, again and again."""
    return HEAD + b"X: " + filled(size, b"\n" + b"\r" * 5_000 + b"x: y")


@shape
def empty_lines_before_the_header(size: int) -> bytes:
    return b"\r\n" * (size // 2) + HEAD + b"\nx"


@shape
def from_lines(size: int) -> bytes:
    """mbox separators, at the top and in the text."""
    return filled(size // 2, b"From a@b Mon Nov 23 12:00:00 2026\n") + HEAD + b"\n" + filled(size // 2, b"From x\n")


@shape
def message_ids(size: int) -> bytes:
    return HEAD + b"References: " + filled(size, b"<a@b.example>\n ") + b"\n\nx"


@shape
def angles_in_the_references(size: int) -> bytes:
    return HEAD + b"References: " + b"<" * size + b"\nIn-Reply-To: " + b"<a" * (size // 4) + b"\n\nx"


@shape
def angles_in_the_message_id(size: int) -> bytes:
    """IndexError in `email`."""
    return b"From: a@b.example\n" + TO + b"Message-ID: " + b"<" * size + b"\n\nx"


@shape
def dates_without_sense(size: int) -> bytes:
    return HEAD + b"Date: " + filled(size, b"Mon, 1 Jan ") + b"\n\nx"


@shape
def parameters_without_an_end(size: int) -> bytes:
    return HEAD + b"Content-Type: text/plain" + filled(size, b';a="') + b"\n\nx"


@shape
def continued_filenames(size: int) -> bytes:
    """RFC 2231 segments: quadratic in `email`."""
    pieces = b"; ".join(b"filename*%d*=utf-8''a" % n for n in range(size // 26))
    return HEAD + b"Content-Disposition: attachment; " + pieces + b"\n\nx"


@shape
def authentication_results(size: int) -> bytes:
    """Comments in comments, where the verdict of the trusted server should stand."""
    return b"Authentication-Results: mx.demo.example; dmarc=pass " + b"((" * (size // 2) + b"\n" + HEAD + b"\nx"


@shape
def authentication_results_by_the_thousand(size: int) -> bytes:
    field = b"Authentication-Results: mx.demo.example; dmarc=pass header.from=b.example; " + b"spf=none; " * 300 + b"\n"
    return filled(size, field) + HEAD + b"\nx"


@shape
def automatic_fields_by_the_thousand(size: int) -> bytes:
    """Each name that a rule looks for, again and again."""
    field = b"Auto-Submitted: (((\nX-Auto-Response-Suppress: OOF, DR\nPrecedence: first\nX-Autoreply: no\n"
    return filled(size, field) + HEAD + b"\nx"


@shape
def one_long_domain(size: int) -> bytes:
    return b"From: a@" + b"a." * (size // 2) + b"example\n" + TO + b"\nx"


@shape
def bidi_and_controls(size: int) -> bytes:
    """Each character is looked up by its category."""
    subject = "\u202e\u2066\x1b[31m\U000e0041\ufe0f".encode() * (size // 32)
    return b"From: a@b.example\n" + TO + b"Subject: " + subject + b"\n\n" + subject


# --- the structure ----------------------------------------------------------------------------------------------


@shape
def nested_multiparts(size: int) -> bytes:
    """RecursionError in `email` at 67 kB."""
    level = (b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(size // 60))
    return HEAD + b"".join(level)


@shape
def nested_multiparts_of_one_boundary(size: int) -> bytes:
    """Every level looks for the same delimiter, to the end of the mail."""
    return HEAD + filled(size, b"Content-Type: multipart/mixed; boundary=b\n\n--b\n")


@shape
def nested_messages(size: int) -> bytes:
    return HEAD + filled(size, b"Content-Type: message/rfc822\n\n")


@shape
def nested_messages_in_base64(size: int) -> bytes:
    """RFC 2046 forbids it; who decodes all the same may do so once a level."""
    inner = HEAD + b"\n" + b"x" * 40
    for _ in range(18):
        encoded = base64.encodebytes(inner)
        if len(encoded) > size:
            break
        inner = HEAD + b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + encoded
        inner += b"A" * max(0, min(size // 19, 200_000))
    return inner


@shape
def empty_parts(size: int) -> bytes:
    """100,000 parts in 800 kB: 13 s in `email` for 2 MB."""
    return MIXED + filled(size, b"--b\n\nx\n")


@shape
def parts_with_headers(size: int) -> bytes:
    """Each of the 500 parts that are looked at has a header as long as may be."""
    part = b"--b\n" + filled(max(size // 500, 60), b"X: y\n") + b"\nx\n"
    return MIXED + part * max(1, size // len(part))


@shape
def parts_of_html(size: int) -> bytes:
    part = b"--b\nContent-Type: text/html\n\n" + filled(max(size // 500, 60), b"<p>x") + b"\n"
    return MIXED + part * max(1, size // len(part))


@shape
def parts_that_nearly_end(size: int) -> bytes:
    """Lines that begin like the boundary and are none."""
    return MIXED + b"--b\n\nx" + filled(size, b"\n--bX")


@shape
def parts_inside_of_parts(size: int) -> bytes:
    """Twenty levels, each with the whole rest as its second part: what is looked at again at every level."""
    body = b"x" * (size // 2)
    for level in range(19):
        body = b"--b%d\n\n%b\n--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n%b" % (
            level,
            b"y" * (size // 40),
            level,
            level - 1,
            body,
        )
    return HEAD + b"Content-Type: multipart/mixed; boundary=b18\n\n" + body


@shape
def a_boundary_that_nothing_begins(size: int) -> bytes:
    return MIXED + b"a" * size


@shape
def dashes_only(size: int) -> bytes:
    return HEAD + b"Content-Type: multipart/mixed; boundary=--------\n\n" + b"-" * size


@shape
def lines_of_dashes(size: int) -> bytes:
    """Each is a candidate for a boundary, and for a guess at one."""
    return HEAD + b"Content-Type: multipart/mixed\n\n" + filled(size, b"--b\n")


@shape
def delivery_reports(size: int) -> bytes:
    part = b"--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@b.example\nAction: failed\n\n"
    return HEAD + b"Content-Type: multipart/report; boundary=b\n\n" + filled(size, part)


@shape
def returned_ids(size: int) -> bytes:
    """What a bounce outside of RFC 3464 returns is searched for in its text."""
    return HEAD.replace(b"a@b", b"mailer-daemon@b") + b"\n" + filled(size, b"> > Message-ID:\n")


@shape
def old_macintosh_line_ends(size: int) -> bytes:
    """No line feed at all: the one case in which the bytes are copied."""
    return (HEAD + b"\n").replace(b"\n", b"\r") + b"\r" * size


@shape
def carriage_returns_in_the_headers_of_parts(size: int) -> bytes:
    part = b"--b\nX: " + b"\r" * max(size // 500, 60) + b"\n\nx\n"
    return MIXED + part * max(1, size // len(part))


@shape
def continuation_lines_in_parts(size: int) -> bytes:
    part = b"--b\nX: y\n" + filled(max(size // 500, 60), b" b\n") + b"\nx\n"
    return MIXED + part * max(1, size // len(part))


@shape
def rubbish_in_the_headers_of_parts(size: int) -> bytes:
    part = b"--b\n" + filled(max(size // 500, 60), b"rubbish\nX-A: b\n") + b"\nx\n"
    return MIXED + part * max(1, size // len(part))


@shape
def boundaries_alike_at_every_level(size: int) -> bytes:
    """Nineteen searches through the whole mail, each past lines that are nearly its boundary."""
    levels = b"".join(
        b"--%b%02d\nContent-Type: multipart/mixed; boundary=%b%02d\n\n" % (b"b" * 60, n, b"b" * 60, n + 1)
        for n in range(19)
    )
    head = HEAD + b"Content-Type: multipart/mixed; boundary=%b00\n\n" % (b"b" * 60)
    return head + levels + filled(size, b"\n--" + b"b" * 60 + b"99")


@shape
def a_boundary_that_repeats_itself(size: int) -> bytes:
    """The worst needle for a search: a period of its own, by a parameter in percent signs."""
    head = b"Content-Type: multipart/mixed; boundary*=utf-8''" + b"%0A--" * 40 + b"X\n\n"
    return HEAD + head + filled(size, b"\n--")


@shape
def blanks_behind_boundaries(size: int) -> bytes:
    return MIXED + b"--b\n\nx" + filled(size, b"\n--b" + b" " * 5_000 + b"x")


@shape
def one_boundary_and_blanks(size: int) -> bytes:
    return MIXED + b"--b\n\nx\n--b" + b" " * size


# --- the content ------------------------------------------------------------------------------------------------


@shape
def one_line(size: int) -> bytes:
    return HEAD + b"\n" + b"a" * size


@shape
def line_ends_only(size: int) -> bytes:
    return HEAD + b"\n" + b"\r\n" * (size // 2)


@shape
def nuls(size: int) -> bytes:
    return HEAD + b"\n" + b"\0" * size


@shape
def every_byte(size: int) -> bytes:
    return HEAD + b"\n" + filled(size, bytes(range(256)))


@shape
def nothing_but_noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@shape
def words_that_nobody_knows(size: int) -> bytes:
    """A memory of words met is filled with words that never come again."""
    rng = random.Random(size)
    return HEAD + b"\n" + b" ".join(b"w%08x" % rng.getrandbits(32) for _ in range(size // 10))


@shape
def paragraphs_of_one_word(size: int) -> bytes:
    return HEAD + b"\n" + filled(size, b"injection\n\n")


@shape
def quotes_of_quotes(size: int) -> bytes:
    return HEAD + b"Content-Type: text/plain; format=flowed\n\n" + filled(size, b"> \n>> \n")


@shape
def signatures_of_armour(size: int) -> bytes:
    return HEAD + b"\n" + filled(size, b"-----BEGIN PGP MESSAGE----- \n x-----BEGIN PGP MESSAGE, PART 1\n")


@shape
def broken_base64(size: int) -> bytes:
    return HEAD + b"Content-Transfer-Encoding: base64\n\n" + filled(size, b"QUJD=\n=A===")


@shape
def base64_of_nothing(size: int) -> bytes:
    return HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"=" * size


@shape
def a_large_attachment(size: int) -> bytes:
    part = b"--b\nContent-Type: application/zip; name=x.zip\nContent-Transfer-Encoding: base64\n\n"
    return MIXED + b"--b\n\ntext\n" + part + base64.encodebytes(b"\0" * (size * 3 // 4)) + b"--b--\n"


@shape
def a_large_attached_text(size: int) -> bytes:
    part = b"--b\nContent-Type: text/plain; name=x.log\nContent-Disposition: attachment\n\n"
    return MIXED + b"--b\n\ntext\n" + part + filled(size, b"2026-11-23 12:00:00 GET /index.html 200\n") + b"--b--\n"


@shape
def quoted_printable(size: int) -> bytes:
    return HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + filled(size, b"=E2=80=8F=\n")


@shape
def quoted_printable_that_is_none(size: int) -> bytes:
    return HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * size


@shape
def a_decompression_bomb(size: int) -> bytes:
    """A gzip of nothing but zeros: a thousand times its size, for whoever unpacks it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(max(1, size // 1_400))) + packer.flush()
    part = b"--b\nContent-Type: application/gzip; name=log.gz\nContent-Transfer-Encoding: base64\n\n"
    return MIXED + b"--b\n\ntext\n" + part + base64.encodebytes(bomb) + b"--b--\n"


def in_charset(name: str, unit: bytes) -> None:
    def made(size: int) -> bytes:
        return HEAD + b"Content-Type: text/plain; charset=" + name.encode() + b"\n\n" + filled(size, unit)

    SHAPES[f"text in {name}"] = made


# Codecs that are slow, keep state, or do not exist.
in_charset("utf-7", b"+AGE-+2D3cqQ-")
in_charset("hz", b"~{<:Ky2;~}")
in_charset("iso-2022-jp-ext", b"\x1b$B0!\x1b(B")
in_charset("utf-16", b"\xd8\x00\xdc\x00")
in_charset("utf-32", b"\x00\x11\x00\x00")
in_charset("punycode", b"a-b-c")
in_charset("idna", b"xn--a.")
in_charset("unicode_escape", b"\\u0041")
in_charset("gb18030", b"\x81\x30\x81\x30")
in_charset("koi8-r", bytes(range(192, 256)))
in_charset("x-no-such-charset", b"\xff\xfe\xe4")


def in_html(name: str, unit: bytes, before: bytes = b"", behind: bytes = b"") -> None:
    SHAPES[f"html of {name}"] = lambda size: HTML + before + filled(size, unit) + behind


in_html("angles", b"<")
in_html("open comments", b"<!--")
in_html("open quotes", b"<a '>")
in_html("crossed quotes", b'<a "><" ', behind=b"'")
in_html("divisions", b"<div>")
in_html("tables", b"<table><tr><td>")
in_html("block quotes", b"<blockquote>x<br>")
in_html("open links", b"<a href='https://x.example/y'>z")
in_html("closed links", b"<a href='https://x.example/y'>z</a>")
in_html("attributes", b'style=" ', before=b"<a ", behind=b">")
in_html("blank attributes", b"style  ", before=b"<a ", behind=b">")
in_html("open styles", b"<style>")
in_html("half-closed scripts", b"<script></scrip")
in_html("style comments", b"/*", before=b"<p style='", behind=b"'>x")
in_html("references", b"&")
in_html("numeric references", b"&#x1f600;")
in_html("one long reference", b"9", before=b"&#", behind=b";")
in_html("blanks", b" \xc2\xa0")
in_html("preformatted lines", b"\n", before=b"<blockquote>" * 20 + b"<pre>")
in_html("hidden paragraphs", b"<p hidden>x")
in_html("words and tags", b"x<b>y</b>")
in_html("words in one line", b"word ")
in_html("images", b"<img alt='a picture of a thing'>")
