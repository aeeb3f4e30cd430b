"""What an Authentication-Results header proves, and all the ways in which it proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.core.evidence import (
    Authentication,
    AuthResult,
    MethodResult,
    authenticate,
    organisational_domain,
    parse_results,
)
from mailbox_service.core.message import parse

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "eml"
SERVER = "mx.example.test"
PASS, FAIL, NONE = AuthResult.PASS, AuthResult.FAIL, AuthResult.NONE


def judged(results: str, *, sender: str = "ann@mail.example.org", server: str | None = SERVER) -> Authentication:
    raw = f"Authentication-Results: {results}\nFrom: {sender}\nSubject: x\n\nbody\n"
    return authenticate(parse(raw.encode()), server)


@pytest.mark.parametrize(
    ("results", "method"),
    [
        ("mx.example.test; dmarc=pass header.from=mail.example.org", "dmarc"),
        ("MX.example.TEST; DMARC=PASS header.from=Mail.Example.org", "dmarc"),
        ("mx.example.test 1; spf=fail smtp.helo=y.example; dmarc=pass (p=NONE) header.from=mail.example.org;", "dmarc"),
        ('"mx.example.test"; dmarc=pass reason="a; b=\\"c\\"" header.from="mail.example.org"', "dmarc"),
        ("mx.example.test;\n\tdmarc=pass action=none header.from=mail.example.org", "dmarc"),
        ("mx.example.test; dkim=pass header.d=mail.example.org", "dkim"),
        ("mx.example.test; dkim=pass header.d=example.org header.s=s1 header.b=aB+/3=", "dkim"),
        ("mx.example.test; dkim=pass header.i=@lists.example.org", "dkim"),
        ("mx.example.test; dkim=pass header.i=ann@example.org", "dkim"),
        ("mx.example.test; dkim=fail header.d=example.org; dkim=pass header.d=example.org", "dkim"),
        ("mx.example.test; dkim/1 (RFC 6376) = pass header.d=example.org", "dkim"),
        ("mx.example.test; spf=pass smtp.mailfrom=b+a=x.example@y.example; dkim=pass header.d=example.org", "dkim"),
        ("mx.example.test; (a (nested) comment) dkim=pass (ok \\) still) header.d=example.org", "dkim"),
        ("mx.example.test; dmarc=none header.from=mail.example.org; dkim=pass header.d=example.org", "dkim"),
    ],
)  # fmt: skip
def test_an_aligned_pass_of_the_trusted_server_passes(results: str, method: str) -> None:
    found = judged(results)
    assert (found.result, found.method) == (PASS, method)


@pytest.mark.parametrize(
    "results",
    [
        "mx.example.test; dmarc=fail header.from=mail.example.org",
        "mx.example.test; dmarc=fail header.from=mail.example.org; dkim=pass header.d=mail.example.org",
        "mx.example.test; dmarc=pass header.from=mail.example.org; dmarc=fail header.from=mail.example.org",
    ],
)
def test_a_dmarc_failure_fails_whatever_else_passes(results: str) -> None:
    assert judged(results).result is FAIL


@pytest.mark.parametrize(
    "results",
    [
        "mx.example.test; none",
        "mx.example.test",
        "mx.example.test;",
        "other.example; dmarc=pass header.from=mail.example.org",
        "mx.example.test.evil.example; dmarc=pass header.from=mail.example.org",
        "dmarc=pass header.from=mail.example.org",
        "mx.example.test; dmarc=pass",
        "mx.example.test; dmarc=pass header.from=example.org",
        "mx.example.test; dmarc=pass header.from=ann@mail.example.org",
        "mx.example.test; dmarc=pass header.from=mail.example.org header.from=evil.example",
        "mx.example.test; dmarc=pass header.from=mail.example.org; dmarc=pass header.from=evil.example",
        "mx.example.test; dmarc=none header.from=mail.example.org",
        "mx.example.test; dmarc=temperror header.from=mail.example.org",
        "mx.example.test; dmarc=bestguesspass header.from=mail.example.org",
        "mx.example.test; dkim=pass header.d=evil.example",
        "mx.example.test; dkim=pass header.d=org",
        "mx.example.test; dkim=pass header.d=notexample.org",
        "mx.example.test; dkim=pass header.d=example.org.evil.example",
        "mx.example.test; dkim=pass header.d=example.org header.d=evil.example",
        "mx.example.test; dkim=neutral header.d=example.org",
        "mx.example.test; dkim=pass",
        "mx.example.test; spf=pass smtp.mailfrom=mail.example.org",
        "mx.example.test; arc=pass header.d=example.org",
        "mx.example.test; x-dmarc=pass header.from=mail.example.org",
    ],
)
def test_anything_less_proves_nothing(results: str) -> None:
    assert judged(results).result is NONE


@pytest.mark.parametrize(
    "results",
    [
        # espoofer A4: a DKIM domain with a quote; A5: a parenthesis; A7: a route and a quote.
        "mx.example.test; dkim=pass header.d=mail.example.org'a.attack.example",
        "mx.example.test; dkim=pass header.d=mail.example.org(.attack.example; dmarc=none",
        "mx.example.test; spf=pass smtp.mailfrom=any@mail.example.org(a.attack.example; dmarc=pass",
        "mx.example.test; spf=pass smtp.mailfrom=@mail.example.org,@any.example:'any@attack.example",
        'mx.example.test; spf=pass smtp.mailfrom="open; dmarc=pass header.from=mail.example.org',
        "mx.example.test; dmarc=pass header.from=mail.example.org )",
        "mx.example.test; dmarc=pass header.from=mail.example.org (",
        "mx.example.test; dmarc=pass header.from=mail.example.org extra",
        "mx.example.test; dmarc=pass header.from =",
        "mx.example.test; dmarc=pass from=mail.example.org",
        "mx.example.test;; dmarc=pass header.from=mail.example.org",
        "mx.example.test two words; dmarc=pass header.from=mail.example.org",
        "mx.example.test; dkim=none header.d=none;outlook.com; dmarc=pass header.from=mail.example.org",
        "mx.example.test; dmarc=pass header.from=\"mail\"example.org",
        "mx.example.test; dmarc=pass header.from=mail.example.orgä",
        "mx.example.test; dmarc=pass header.from=mail.example.org \\",
        "mx.example.test, x; dmarc=pass header.from=mail.example.org",
        "; dmarc=pass header.from=mail.example.org",
        "mx.example.test; dmarc=pass header.from=mail.example.org; " + "(" * 5_000,
        "mx.example.test; dmarc=pass header.from=mail.example.org; " + "x=y " * 1_500,
        "mx.example.test; dmarc=pass header.from=mail.example.org (" + "x" * 9_000 + ")",
    ],
)  # fmt: skip
def test_any_syntax_error_proves_nothing(results: str) -> None:
    found = judged(results)
    assert (found.result, found.reason) == (NONE, "malformed Authentication-Results header")


def test_only_the_topmost_header_counts() -> None:
    good = "Authentication-Results: mx.example.test; dmarc=pass header.from=mail.example.org\n"
    other = "Authentication-Results: other.example; none\n"
    rest = "From: ann@mail.example.org\n\nbody\n"
    assert authenticate(parse((good + other + rest).encode()), SERVER).result is PASS
    assert authenticate(parse((other + good + rest).encode()), SERVER).result is NONE
    assert authenticate(parse(("Authentication-Results : x; none\n" + good + rest).encode()), SERVER).result is NONE


def test_a_header_inside_of_a_nested_message_or_the_body_does_not_count() -> None:
    good = "Authentication-Results: mx.example.test; dmarc=pass header.from=mail.example.org\n"
    nested = f"From: ann@mail.example.org\nContent-Type: message/rfc822\n\n{good}From: ann@mail.example.org\n\nx"
    assert authenticate(parse(nested.encode()), SERVER).result is NONE
    assert authenticate(parse(f"From: ann@mail.example.org\n\n{good}".encode()), SERVER).result is NONE


def test_without_a_configured_server_nothing_is_trusted() -> None:
    assert judged("mx.example.test; dmarc=pass header.from=mail.example.org", server=None).result is NONE


@pytest.mark.parametrize("sender", ["ann@mail.example.org, eve@evil.example", "group:;", ""])
def test_an_ambiguous_from_fails(sender: str) -> None:
    assert judged("mx.example.test; dmarc=pass header.from=mail.example.org", sender=sender).result is FAIL


@pytest.mark.parametrize(
    ("domain", "organisation"),
    [
        ("a.b.example.org", "example.org"),
        ("example.org", "example.org"),
        ("org", None),
        ("a.b.co.uk", "b.co.uk"),
        ("co.uk", None),
        ("x.duckdns.org", "x.duckdns.org"),
    ],
)
def test_organisational_domains_follow_the_public_suffix_list(domain: str, organisation: str | None) -> None:
    assert organisational_domain(domain) == organisation


def test_customers_of_one_provider_do_not_sign_for_each_other() -> None:
    found = judged("mx.example.test; dkim=pass header.d=eve.duckdns.org", sender="ann@ann.duckdns.org")
    assert found.result is NONE


def test_results_keep_their_properties() -> None:
    assert parse_results("a.example 1; dkim/2=pass header.d=x.example Header.S=s1; none") is None
    assert parse_results("a.example 1; dkim/2=pass header.d=x.example Header.S=s1") == (
        "a.example",
        [MethodResult("dkim", "pass", (("header.d", "x.example"), ("header.s", "s1")))],
    )


@settings(deadline=None)
@given(st.text(alphabet="a.;=() \"\\1dkimpsheadrf@<>'\n\t", max_size=200))
def test_any_text_is_read(value: str) -> None:
    read = parse_results(value)
    assert read is None or read[0]


@pytest.mark.skipif(not CORPORA.is_dir(), reason="corpora not here")
def test_real_headers_are_read_and_grant_nothing_to_another_server() -> None:
    seen = well_formed = 0
    for path in CORPORA.rglob("*"):
        message = parse(path.read_bytes()) if path.is_file() else None
        for value in message.header_all("authentication-results") if message else ():
            seen += 1
            well_formed += parse_results(value) is not None
        assert message is None or authenticate(message, SERVER).result is not PASS
    assert seen > 50
    # The rest is Exchange without an authserv-id, Yahoo, and test cases of broken headers.
    assert well_formed > 0.6 * seen
