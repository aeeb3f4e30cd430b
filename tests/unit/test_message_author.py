"""When a message has an author, and when it has none because some parser would see another one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mailbox_service.core.message import ADDRESSES, Address, parse
from mailbox_service.core.message.addresses import read_addresses

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = ROOT.parent / "shared" / "corpora" / "eml" / "attack"
REST = b"To: security@example.test\r\nSubject: x\r\n\r\nbody\r\n"


def author(header: bytes) -> Address | None:
    return parse(header + b"\r\n" + REST).from_


@pytest.mark.parametrize(
    ("value", "addr_spec", "name"),
    [
        ("a@example.org", "a@example.org", ""),
        ("<a@EXAMPLE.org>", "a@example.org", ""),
        ("Ann B. Clark <A.B@example.org>", "A.B@example.org", "Ann B. Clark"),
        ('"Clark, Ann" <a@example.org>', "a@example.org", "Clark, Ann"),
        ('"a \\"b\\" c" <a@example.org>', "a@example.org", 'a "b" c'),
        ("a@example.org (Ann Clark)", "a@example.org", "Ann Clark"),
        ("Ann (via Docs) <a@example.org>", "a@example.org", "Ann (via Docs)"),
        ("a@example.org <a@example.org>", "a@example.org", "a@example.org"),
        ("[Bug] Tracker <a@example.org>", "a@example.org", "[Bug] Tracker"),
        ("=?utf-8?q?J=C3=BCrgen?= <j@example.org>", "j@example.org", "Jürgen"),
        ('"=?utf-8?b?SsO8cmdlbg==?=" <j@example.org>', "j@example.org", "Jürgen"),
        ("\r\n Ann\r\n <a@example.org>", "a@example.org", "Ann"),
        ('"john doe"@example.org', '"john doe"@example.org', ""),
        ("a@münchen.example", "a@münchen.example", ""),
        ("a@xn--mnchen-3ya.example", "a@xn--mnchen-3ya.example", ""),
        ("root@localhost", "root@localhost", ""),
        ("a+b=c@example.org", "a+b=c@example.org", ""),
    ],
)
def test_one_clean_address_is_the_author(value: str, addr_spec: str, name: str) -> None:
    assert author(f"From: {value}".encode()) == Address(addr_spec, name)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"a@b.example, c@d.example",
        b"a@b.example,",
        b",a@b.example",
        b"a@b.example c@d.example",
        b"<a@b.example> <c@d.example>",
        b"<a@b.example>\\,<c@d.example>",
        b"<@r.example:a@b.example>",
        b"group: a@b.example;",
        b"a@b.example;",
        b"<a@b.example",
        b"a@b.example>",
        b"(a@b.example)",
        b"(hi)<a@b.example>",
        b"x <a@b.example> (see c@d.example)",
        b"admin@legit.example <c@d.example>",
        b"x(<a@b.example>) <c@d.example>",
        b"(open <a@b.example>",
        b'"open <a@b.example>',
        b"<a(c)@b.example>",
        b"<a @b.example>",
        b"a@b.example(c).d.example",
        b"=?utf-8?q?a=40b.example?=",
        b"<=?utf-8?q?a?=@b.example>",
        b"<a@b.example\x00@c.example>",
        b"<a@b.example\x00>",
        b"\x01a@b.example",
        b"a@b.example\r<c@d.example>",
        b"<a@[10.0.0.1]>",
        b"<a@b_c.example>",
        b"<a@-b.example>",
        b"<a@b..example>",
        b"<a@b.example.>",
        b"<.a@b.example>",
        b"<a..b@b.example>",
        b'<"a@legit.example"@b.example>',
        b"<a@b@c.example>",
        b"<a@" + b"b" * 64 + b".example>",
        b"<" + b"a" * 250 + b"@b.example>",
        b"<a@b.example\xff>",
        "<a@b\u202e.example>".encode(),
        b"MAILER-DAEMON",
        b"<>",
        b"x" * 40_000 + b" <a@b.example>",
    ],
)
def test_anything_ambiguous_or_broken_is_no_author(value: bytes) -> None:
    message = parse(b"From: " + value + b"\r\n" + REST)
    assert message.from_ is None
    assert "bad From" in message.defects


@pytest.mark.parametrize(
    "header",
    [
        b"From: a@b.example\r\nFrom: c@d.example",
        b"From: a@b.example\r\nfROM: c@d.example",
        b"From : c@d.example\r\nFrom: a@b.example",
        b"From\t: c@d.example\r\nFrom: a@b.example",
        b"From\xff: c@d.example\r\nFrom: a@b.example",
        b"From\x00: c@d.example\r\nFrom: a@b.example",
        b" From: c@d.example\r\nFrom: a@b.example",
        b"From\r\n : c@d.example\r\nFrom: a@b.example",
        b"From: a@b.example\r\nSubject: x\r\n From: c@d.example",
        b"From: a@b.example\r\nX: y\rFrom: c@d.example",
        b"From: a@b.example\r\nnot a field\r\nFrom: c@d.example",
        b"From: a@b.example\r\nnot a field\r\nnor this\r\nFrom: c@d.example",
    ],
)
def test_a_second_from_that_any_parser_may_see_leaves_no_author(header: bytes) -> None:
    message = parse(header + b"\r\n" + REST)
    assert message.from_ is None
    assert "multiple From" in message.defects


@pytest.mark.parametrize(
    "header",
    [b"From : a@b.example", b"From\r\n : a@b.example", b"\r\nFrom: a@b.example", b"\xef\xbb\xbfFrom: a@b.example"],
)
def test_a_malformed_from_alone_is_no_author(header: bytes) -> None:
    assert author(header) is None


def test_fact_ten_the_vanishing_first_line_is_seen() -> None:
    raw = (ROOT / "tests" / "data" / "mail" / "own_space_before_the_colon.eml").read_bytes()
    assert {"malformed header field name", "multiple From"} <= set(parse(raw).defects)


@pytest.mark.parametrize("name", [b"DKIM-Signature", b"X-SONIC-DKIM-SIGN", b"ARC-Message-Signature"])
def test_the_signed_fields_of_a_dkim_signature_are_no_from(name: bytes) -> None:
    header = name + b": v=1; d=b.example; h=date:\r\n from:to:subject; b=x\r\nFrom: a@b.example"
    assert author(header) == Address("a@b.example")


def test_a_header_too_long_to_be_read_whole_leaves_no_author() -> None:
    message = parse(b"From: a@b.example\r\n" + b"X: y\r\n" * 60_000 + REST)
    assert message.from_ is None
    assert message.truncated


def test_lists_are_read_leniently_and_bounded() -> None:
    value = "A <a@b.example>, grp: c@d.example, e@f.example;, broken <, (x) g@h.example, g@h.example>"
    assert {"a@b.example", "c@d.example", "e@f.example"} <= {a.addr_spec for a in read_addresses(value).addresses}
    many = read_addresses(",".join(f"u{i}@x.example" for i in range(400)))
    assert len(many.addresses) == ADDRESSES
    assert many.truncated


def test_all_to_fields_count() -> None:
    message = parse(b"To: a@b.example\nTo: c@d.example\nCc: e@f.example\nReply-To: g@h.example\n\n")
    assert [a.addr_spec for a in message.to] == ["a@b.example", "c@d.example"]
    assert [a.addr_spec for a in (*message.cc, *message.reply_to)] == ["e@f.example", "g@h.example"]


def test_address_keys_compare_in_lower_case() -> None:
    assert Address("Ann@example.org").key == "ann@example.org"


@pytest.mark.skipif(not ATTACKS.is_dir(), reason="corpora not here")
def test_espoofer_mails_have_an_author_only_where_it_is_unambiguous() -> None:
    # A1, A5, A7 and client A3 attack other layers: their From is one clean address.
    clean = {"client_a3.eml", "server_a1.eml", "server_a5.eml", "server_a7.eml"}
    found = {p.name for p in (ATTACKS / "espoofer-eml").glob("*.eml") if parse(p.read_bytes()).from_ is not None}
    assert found == clean


@pytest.mark.skipif(not ATTACKS.is_dir(), reason="corpora not here")
def test_fuzzed_froms_have_an_author_only_where_there_is_one_plain_address() -> None:
    plain = re.compile(r"From: ?(?:<[\w.]+@[\w.]+>\(\)|[\w.]+@[\w.]+)\r\n")
    for header in json.loads((ATTACKS / "EmailTestTools" / "from_fuzz.json").read_text()):
        found = parse(header.encode("latin-1") + REST).from_
        assert (found is not None) == bool(plain.fullmatch(header)), header
