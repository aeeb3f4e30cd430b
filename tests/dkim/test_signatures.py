"""Which signatures prove the author, with the keys at hand: no DNS here."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dkim
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.adapters.dkim.verification import MOST_EXPONENT, refusal_of
from mailbox_service.core.dkim import SIGNATURES, Candidate, Refusal, candidates, outcome, read_key
from mailbox_service.core.dkim.signature import SIGNED_FIELDS, is_aligned
from mailbox_service.core.dkim.tags import read_tags
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.core.message import parse
from tests.dkim.signing import KEY_NAME, MAIL, NOW, STAMP, EdKey, RsaKey, ed_key, rsa_key, signed, without_top_field

PASSED = Authentication(AuthResult.PASS, "dkim", "aligned DKIM signature verified by ourselves")
SHORT = Path(__file__).parents[1] / "data" / "rsa-768.pem"


def judged(raw: bytes, *records: bytes, domain: str = "example.org", now: datetime = NOW) -> Refusal | None:
    """What becomes of `raw` when these records are published at KEY_NAME: None for a pass."""
    refusals = []
    for one in candidates(raw, domain, now):
        if isinstance(one, Refusal):
            refusals.append(one)
            continue
        key = read_key(records if one.signature.key_name == KEY_NAME else (), one.signature)
        verdict = key if isinstance(key, Refusal) else refusal_of(key, one)
        if verdict is None:
            return None
        refusals.append(verdict)
    return refusals[0]


def verdict(key: RsaKey | EdKey | None = None, mail: bytes = MAIL, **changes: str | None) -> Refusal | None:
    key = key or rsa_key()
    return judged(signed(mail, key=key, **changes), key.record)


@pytest.fixture(params=["rsa", "ed25519"])
def key(request: pytest.FixtureRequest) -> RsaKey | EdKey:
    return rsa_key() if request.param == "rsa" else ed_key()


# --- what passes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("canonicalization", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
def test_a_signature_of_dkimpy_itself_passes(key: RsaKey | EdKey, canonicalization: str) -> None:
    policy = tuple(part.encode() for part in canonicalization.split("/"))
    with time_machine.travel(NOW, tick=False):
        top = dkim.sign(
            MAIL, b"s1", b"example.org", key.pem, canonicalize=policy, signature_algorithm=key.algorithm.encode()
        )
    assert judged(top + MAIL, key.record) is None
    assert judged((top + MAIL).replace(b"\r\n", b"\n"), key.record) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"c": None, "t": None},
        {"c": "relaxed"},
        {"c": "simple"},
        {"t": str(STAMP + 300)},  # clocks differ
        {"x": str(STAMP + 1)},
        {"i": "ann@example.org"},
        {"i": "@mail.example.org"},
        {"q": "dns/txt"},
        {"h": "From : to:from:from:subject\r\n\t:x-not-there"},
        {"z": "From:ann@example.org|To:b=c"},
        {"s": "S1"},
        {"d": "Example.ORG"},
    ],
)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_other_ways_to_write_a_signature_pass(changes: dict[str, str | None], line_end: bytes) -> None:
    raw = signed(MAIL, key=None, **changes).replace(b"\r\n", line_end)
    assert judged(raw, rsa_key().record) is None


@pytest.mark.parametrize(
    "record",
    [
        b"p=" + rsa_key().published,
        b"k=rsa; p=" + rsa_key().published_bare + b";",
        b"v=DKIM1; t=s; h=sha1:sha256; s=email; n=note; p=" + rsa_key().published,
        b"v=DKIM1 ; g=* ; s=tlsrpt:* ; p = " + rsa_key().published[:50] + b" " + rsa_key().published[50:],
    ],
)
def test_other_ways_to_publish_a_key_pass(record: bytes) -> None:
    assert judged(signed(), record) is None


def test_a_mail_without_a_body_passes() -> None:
    head = MAIL.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert verdict(mail=head + b"\r\n") is None
    assert judged(signed(head), rsa_key().record) is None


def test_fields_that_servers_add_on_top_and_empty_lines_at_the_end_change_nothing() -> None:
    raw = b"Received: from b by c\r\nDelivered-To: x@y\r\n" + signed() + b"\r\n\r\n"
    assert judged(raw, rsa_key().record) is None


def test_one_good_signature_among_others_is_enough() -> None:
    foreign = signed(d="provider.example")
    broken = signed(foreign, key=rsa_key(1024))
    assert judged(signed(broken), rsa_key().record) is None
    good_below = signed(signed(), d="list.example")
    assert judged(good_below, rsa_key().record) is None


def test_of_a_repeated_field_the_lowest_ones_are_signed() -> None:
    mail = b"Comments: upper\r\nComments: lower\r\n" + MAIL
    once, twice = "from:comments", "from:comments:comments"
    assert verdict(None, mail, h=once) is None
    assert verdict(None, mail, h=twice) is None
    assert judged(signed(mail, h=once).replace(b"upper", b"UPPER"), rsa_key().record) is None
    assert judged(signed(mail, h=once).replace(b"lower", b"LOWER"), rsa_key().record) is Refusal.SIGNATURE
    assert judged(signed(mail, h=twice).replace(b"upper", b"UPPER"), rsa_key().record) is Refusal.SIGNATURE
    # One more than there are: none may be added.
    full = signed(mail, h="from:comments:comments:comments")
    assert judged(full, rsa_key().record) is None
    assert judged(b"Comments: new\r\n" + full, rsa_key().record) is Refusal.SIGNATURE


def test_a_signature_may_cover_another_one_and_never_itself() -> None:
    raw = signed(signed(MAIL, d="provider.example"), h="from:dkim-signature:dkim-signature")
    assert judged(raw, rsa_key().record) is None
    assert judged(raw.replace(b"provider.", b"other."), rsa_key().record) is Refusal.SIGNATURE


# --- what does not -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"l": "10"}, Refusal.LENGTH),
        ({"l": str(len(MAIL))}, Refusal.LENGTH),
        ({"h": "to:subject:date"}, Refusal.FROM),
        ({"h": "x-from"}, Refusal.FROM),
        ({"a": "rsa-sha1"}, Refusal.ALGORITHM),
        ({"a": "ed25519-sha256"}, Refusal.UNFIT),
        ({"x": str(STAMP)}, Refusal.EXPIRED),
        ({"x": str(STAMP - 1), "t": str(STAMP - 100)}, Refusal.EXPIRED),
        ({"t": str(STAMP + 300), "x": str(STAMP + 200)}, Refusal.EXPIRED),
        ({"t": str(STAMP + 601)}, Refusal.FUTURE),
        ({"t": "soon"}, Refusal.MALFORMED),
        ({"x": "9" * 77}, Refusal.MALFORMED),
        ({"v": "2"}, Refusal.MALFORMED),
        ({"v": None}, Refusal.MALFORMED),
        ({"c": "nofws"}, Refusal.MALFORMED),
        ({"q": "http"}, Refusal.MALFORMED),
        ({"i": "@example.com"}, Refusal.MALFORMED),
        ({"i": "@badexample.org"}, Refusal.MALFORMED),
        ({"i": "example.org"}, Refusal.MALFORMED),
        ({"bh": "AAAA"}, Refusal.MALFORMED),
        ({"bh": "A" * 43 + "="}, Refusal.BODY),
        ({"bh": "not base64!"}, Refusal.MALFORMED),
        ({"s": "a..b"}, Refusal.MALFORMED),
        ({"s": "a/../b"}, Refusal.MALFORMED),
        ({"s": "other"}, Refusal.NO_KEY),
        ({"d": "org"}, Refusal.MALFORMED),
        ({"h": ":".join(["from"] * (SIGNED_FIELDS + 1))}, Refusal.MALFORMED),
        ({"z": "a" * 9000}, Refusal.MALFORMED),
        ({"z": "\x01"}, Refusal.MALFORMED),
        ({"d": "provider.example"}, Refusal.FOREIGN),
        ({"d": "mail.example.org"}, Refusal.FOREIGN),
        ({"d": "example.org.evil.example"}, Refusal.FOREIGN),
        ({"d": "ample.org"}, Refusal.FOREIGN),
    ],
)
def test_a_signature_that_says_this_is_refused(changes: dict[str, str | None], refusal: Refusal) -> None:
    assert verdict(None, MAIL, **changes) is refusal


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        (b"v=DKIM1; p=", Refusal.REVOKED),
        (b"v=DKIM1; t=y; p=" + rsa_key().published, Refusal.TEST),
        (b"v=DKIM1; t=s:y; p=" + rsa_key().published, Refusal.TEST),
        (b"v=DKIM1; k=ed25519; p=" + rsa_key().published, Refusal.UNFIT),
        (b"v=DKIM1; k=dsa; p=" + rsa_key().published, Refusal.UNFIT),
        (b"v=DKIM1; h=sha1; p=" + rsa_key().published, Refusal.UNFIT),
        (b"v=DKIM1; s=tlsrpt; p=" + rsa_key().published, Refusal.UNFIT),
        (b"v=DKIM1; g=ann; p=" + rsa_key().published, Refusal.UNFIT),
        (b"v=DKIM1; g=; p=" + rsa_key().published, Refusal.UNFIT),
        (b"v=DKIM2; p=" + rsa_key().published, Refusal.BAD_KEY),
        (b"p=" + rsa_key().published + b"; v=DKIM1", Refusal.BAD_KEY),
        (b"v=DKIM1; p=" + rsa_key().published + b"; p=", Refusal.BAD_KEY),
        (b"v=DKIM1; p=" + rsa_key().published[:-8], Refusal.BAD_KEY),
        (b"v=DKIM1; p=????", Refusal.BAD_KEY),
        (b"v=DKIM1; p=" + b"A" * 4096, Refusal.BAD_KEY),
        (b"v=DKIM1; n=\xff; p=" + rsa_key().published, Refusal.BAD_KEY),
        (b"v=spf1 -all", Refusal.BAD_KEY),
        (b"", Refusal.BAD_KEY),
        (rsa_key(1024).record, Refusal.SIGNATURE),
    ],
)
def test_a_key_that_is_published_like_this_is_refused(record: bytes, refusal: Refusal) -> None:
    assert judged(signed(), record) is refusal


def test_no_key_and_two_keys_are_refused() -> None:
    assert judged(signed()) is Refusal.NO_KEY
    assert judged(signed(), rsa_key().record, rsa_key().record) is Refusal.SEVERAL_KEYS


def test_a_strict_key_does_not_sign_for_domains_below_it() -> None:
    raw = signed(i="@mail.example.org")
    assert judged(raw, b"t=s; p=" + rsa_key().published) is Refusal.UNFIT
    assert judged(raw, b"p=" + rsa_key().published) is None


def test_keys_of_a_wrong_size_are_refused_although_they_fit() -> None:
    short = load_pem_private_key(SHORT.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(short, rsa.RSAPrivateKey)
    key = RsaKey(short)
    assert judged(signed(key=key), key.record) is Refusal.SIZE
    assert verdict(rsa_key(1024)) is None


def test_a_key_that_would_take_long_is_refused() -> None:
    numbers = [((1 << 8191) + 1, 65537), ((1 << 2047) + 1, MOST_EXPONENT + 1)]
    for modulus, exponent in numbers:
        data = rsa.RSAPublicNumbers(exponent, modulus).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        assert judged(signed(), b"p=" + base64.b64encode(data)) is Refusal.SIZE


def test_a_key_of_another_kind_is_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    data = base64.b64encode(curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert judged(signed(), b"p=" + data) is Refusal.BAD_KEY
    assert judged(signed(key=ed_key()), b"k=ed25519; p=" + data) is Refusal.BAD_KEY


# --- what is done to a signed mail on its way ----------------------------------------------------------------


def without_blank(raw: bytes) -> bytes:
    return raw.replace(b"\r\n\r\n", b"\r\n", 1)


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        (lambda raw: raw + b"/close\r\n", Refusal.BODY),
        (lambda raw: raw.replace(b"fix-works", b"fix-fails"), Refusal.BODY),
        (lambda raw: raw.replace(b"Subject: Re", b"Subject: Fw"), Refusal.SIGNATURE),
        (lambda raw: raw.replace(b"ann@example", b"bob@example"), Refusal.SIGNATURE),
        (lambda raw: raw.replace(b"To: sec", b"Cc: x@y\r\nTo: sec"), None),
        (lambda raw: b"From: boss@example.org\r\n" + raw, Refusal.HEADER),
        (lambda raw: raw.replace(b"\r\n\r\n", b"\r\nFrom: boss@example.org\r\n\r\n", 1), Refusal.HEADER),
        (lambda raw: b"From : boss@example.org\r\n" + raw, Refusal.HEADER),
        (lambda raw: b"From boss@example.org\r\n" + raw, Refusal.HEADER),
        (lambda raw: raw.replace(b"To: sec", b"From x\r\nTo: sec"), Refusal.HEADER),
        (lambda raw: b"X: y\rFrom: boss@example.org\r\n" + raw, Refusal.HEADER),
        (lambda raw: b"X: y\0\r\n" + raw, Refusal.HEADER),
        (lambda raw: b"X: y\r\n \t\r\n" + raw, Refusal.HEADER),
        (lambda raw: b" folded\r\n" + raw, Refusal.HEADER),
        (lambda raw: b"rubbish\r\n" + raw, Refusal.HEADER),
        (lambda raw: raw.replace(b"From: Ann", b"Nobody: Ann"), Refusal.HEADER),
        (lambda raw: b"\r\n" + raw, Refusal.HEADER),
        (without_blank, Refusal.HEADER),
        (lambda raw: b"Subject: other\r\n" + raw, Refusal.REPEATED),
        (lambda raw: b'Content-Type: multipart/mixed; boundary="x"\r\n' + raw, Refusal.REPEATED),
        (lambda raw: b"In-Reply-To: <other@project.example>\r\n" + raw, Refusal.REPEATED),
        (lambda raw: b"X-Long: " + b"a" * 300_000 + b"\r\n" + raw, Refusal.HEADER),
        (lambda raw: b"X: y\r\n" * 3000 + raw, Refusal.HEADER),
        (lambda raw: without_top_field(raw), Refusal.UNSIGNED),
        (lambda raw: b"", Refusal.HEADER),
    ],
)
def test_what_is_done_to_a_signed_mail(changed: object, refusal: Refusal | None) -> None:
    assert callable(changed)
    assert judged(changed(signed()), rsa_key().record) is refusal


@pytest.mark.parametrize("canonicalization", ["simple/simple", "relaxed/relaxed"])
def test_no_byte_can_be_changed(canonicalization: str) -> None:
    """Every byte of all that is signed, in three ways. A pass must mean that nothing changed for the signer."""
    key = ed_key()
    names = "received:from:to:subject:date:message-id:in-reply-to:content-type"
    raw = signed(key=key, c=canonicalization, h=names)
    begin = raw.index(b"Received:")
    assert judged(raw, key.record) is None
    passed = []
    for at in range(begin, len(raw)):
        for flip in (0x01, 0x20, 0x80):
            changed = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
            if judged(changed, key.record) is None:
                passed.append(changed)
    # Relaxed: the case of the fields' names. Simple: nothing at all.
    assert len(passed) == (sum(map(str.isalpha, names)) if canonicalization == "relaxed/relaxed" else 0)
    assert all(changed.lower() == raw.lower() and dkimpy_says(changed, key) for changed in passed)


def dkimpy_says(raw: bytes, key: EdKey) -> bool:
    with time_machine.travel(NOW, tick=False):
        return bool(dkim.verify(raw, dnsfunc=lambda name, timeout: key.record))


@given(at=st.integers(0, len(signed(key=ed_key())) - 1), byte=st.integers(0, 255), cut=st.integers(0, 40))
def test_what_passes_after_any_damage_passes_with_dkimpy_too(at: int, byte: int, cut: int) -> None:
    raw = signed(key=ed_key())
    damaged = raw[:at] + bytes([byte]) + raw[at + cut :]
    if judged(damaged, ed_key().record) is None:
        assert dkimpy_says(damaged, ed_key())
        author = parse(damaged).from_
        assert author is not None
        assert author.addr_spec == "ann@example.org"


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(rest: bytes) -> None:
    assert candidates(rest, "example.org", NOW)
    assert candidates(b"DKIM-Signature:" + rest, "example.org", NOW)
    assert candidates(signed()[:200] + rest, "example.org", NOW)
    read_tags(rest)


# --- who may speak for whom --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signer", "author", "aligned"),
    [
        ("example.org", "example.org", True),
        ("example.org", "mail.example.org", True),
        ("a.example.org", "b.a.example.org", True),
        ("mail.example.org", "example.org", False),  # a customer of example.org may have it
        ("a.example.org", "b.example.org", False),
        ("ample.org", "example.org", False),
        ("co.uk", "example.co.uk", False),
        ("duckdns.org", "me.duckdns.org", False),
        ("github.io", "github.io", True),
        ("org", "example.org", False),
    ],
)
def test_who_may_speak_for_a_domain(signer: str, author: str, aligned: bool) -> None:
    assert is_aligned(signer, author) is aligned


def test_a_domain_above_signs_for_the_ones_below_it() -> None:
    raw = MAIL.replace(b"ann@example.org", b"ann@mail.example.org")
    assert judged(signed(raw), rsa_key().record, domain="mail.example.org") is None


# --- how much is done, and what is said --------------------------------------------------------------------


def test_only_so_many_signatures_are_tried() -> None:
    raw = MAIL
    for selector in ("s1", "a", "b", "c"):
        raw = signed(raw, s=selector)
    found = candidates(raw, "example.org", NOW)
    assert [one.signature.selector for one in found if isinstance(one, Candidate)] == ["c", "b", "a"][:SIGNATURES]


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([Refusal.FOREIGN, Refusal.BODY], Refusal.BODY),
        ([Refusal.NO_KEY, Refusal.UNAVAILABLE], Refusal.UNAVAILABLE),
        ([Refusal.FOREIGN], Refusal.FOREIGN),
        ([Refusal.TEST, Refusal.BODY], Refusal.TEST),
    ],
)
def test_of_several_reasons_the_most_useful_is_said(verdicts: Sequence[Refusal], said: Refusal) -> None:
    assert outcome(verdicts) == Authentication(AuthResult.NONE, "", said.value)


def test_a_pass_counts_whatever_else_there_is() -> None:
    assert outcome([Refusal.UNAVAILABLE, None, Refusal.BODY]) == PASSED


def test_an_old_signature_without_an_end_still_counts() -> None:
    # A token is what makes an answer fresh (docs/security.md); mail may wait for days in a queue.
    assert judged(signed(), rsa_key().record, now=NOW + timedelta(days=30)) is None
    assert judged(signed(), rsa_key().record, now=datetime(2026, 11, 25, 11, 45, tzinfo=UTC)) is Refusal.FUTURE
