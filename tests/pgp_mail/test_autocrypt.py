"""Keys that come with a mail are candidates, and only where there is one way to read which and whose."""

from __future__ import annotations

import base64

import pytest

from mailbox_service.core.message import parse
from mailbox_service.core.openpgp import Refusal, attached_keys, header_field, offered_key
from mailbox_service.core.openpgp import autocrypt as module
from mailbox_service.core.openpgp.armour import PUBLIC_KEY, dearmour
from mailbox_service.core.openpgp.packets import SECRET_KEY, Packet
from tests.pgp_mail.samples import FINGERPRINT, KEY, crlf, multipart

BLOCK = dearmour(KEY.encode(), PUBLIC_KEY)
assert not isinstance(BLOCK, Refusal)
BINARY = BLOCK.data
DATA = "".join(KEY.split("\n\n")[1].split("\n=")[0].split())
HEAD = "From: Security <security@example.org>\n"


def offered(*values: str, head: str = HEAD) -> module.Offer | None:
    return module.offered_key(parse(crlf(head + "".join(f"Autocrypt: {value}\n" for value in values) + "\nHi\n")))


def test_one_header_of_the_author_offers_a_key() -> None:
    offer = offered(f"addr=security@example.org; prefer-encrypt=mutual; keydata=\n {DATA[:70]}\n {DATA[70:]}")
    assert offer is not None
    assert (offer.key.fingerprint, offer.preference) == (FINGERPRINT, "mutual")
    again = offered(f"addr=Security@EXAMPLE.org; _note=x; prefer-encrypt=later; keydata={DATA};")
    assert again is not None and again.key == offer.key and again.preference == "nopreference"


INVALID = {
    "another address": f"addr=rita@research.example; keydata={DATA}",
    "no address": f"keydata={DATA}",
    "no key": "addr=security@example.org",
    "an unknown attribute": f"addr=security@example.org; type=1; keydata={DATA}",
    "an attribute twice": f"addr=security@example.org; addr=security@example.org; keydata={DATA}",
    "no syntax": f"addr=security@example.org; mutual; keydata={DATA}",
    "no base64": f"addr=security@example.org; keydata=-{DATA}",
    "cut base64": f"addr=security@example.org; keydata={DATA[:-5]}",
    "two keys": f"addr=security@example.org; keydata={DATA.rstrip('=')}{DATA}",
    "no packets": "addr=security@example.org; keydata=AAAA",
    "longer than a field": f"addr=security@example.org; _x={'x' * 9000}; keydata={DATA}",
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_header_offers_nothing_and_does_not_count(name: str) -> None:
    assert offered(INVALID[name]) is None
    valid = f"addr=security@example.org; keydata={DATA}"
    if name != "another address":  # valid by itself, so there are two
        assert offered(INVALID[name], valid) is not None


def test_several_headers_offer_nothing() -> None:
    valid = f"addr=security@example.org; keydata={DATA}"
    assert offered(valid, valid) is None
    assert offered(valid, INVALID["another address"]) is None


def test_mail_without_one_author_and_reports_offer_nothing() -> None:
    valid = f"addr=security@example.org; keydata={DATA}"
    assert offered(valid, head=HEAD + HEAD) is None
    assert offered(valid, head="From: security@example.org, rita@research.example\n") is None
    assert offered(valid, head=HEAD + "Content-Type: multipart/report; boundary=b\n") is None


def test_our_own_header_is_read_back() -> None:
    name, value = header_field("security@example.org", BINARY)
    assert name == "Autocrypt" and max(map(len, value.split("\r\n"))) <= 78
    offer = offered_key(parse(f"{HEAD}{name}: {value}\n\n".encode()))
    assert offer is not None
    assert (offer.key.fingerprint, offer.preference) == (FINGERPRINT, "mutual")


def test_a_header_of_ours_at_its_limit_is_still_read() -> None:
    padded = BINARY + Packet(21, b"x" * (module.HEADER_KEY_BYTES - len(BINARY) - 6)).framed
    assert len(padded) == module.HEADER_KEY_BYTES
    name, value = header_field("security@example.org", padded)
    assert offered_key(parse(f"{HEAD}{name}: {value}\n\n".encode())) is not None
    with pytest.raises(ValueError, match="fits an Autocrypt header"):
        header_field("security@example.org", padded + Packet(21, b"").framed)


@pytest.mark.parametrize("address", ["a;b@example.org", "a b@example.org", "ü@example.org", "", "a@b\r\nBcc: c@d"])
def test_an_address_that_would_break_the_header_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        header_field(address, BINARY)


def test_only_one_public_key_goes_into_a_header() -> None:
    for key in (b"", BINARY + BINARY, Packet(SECRET_KEY, b"\x04" + b"x" * 50).framed):
        with pytest.raises(ValueError, match="not exactly one public key"):
            header_field("security@example.org", key)


# --- attached -----------------------------------------------------------------------------------------------

TEXT = "Content-Type: text/plain\n\nMy key is attached.\n"


def attached(*parts: str) -> list[str]:
    return [key.fingerprint for key in attached_keys(crlf(HEAD + multipart("multipart/mixed", TEXT, *parts)))]


def test_attached_keys_are_found_by_type_or_name_each_once() -> None:
    typed = f"Content-Type: application/pgp-keys; name=OpenPGP_0xFF2DA3.asc\nContent-Disposition: attachment\n\n{KEY}"
    named = f"Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=rita.asc\n\n{KEY}"
    raw = f"Content-Type: application/pgp-keys\nContent-Transfer-Encoding: base64\n\n{DATA}\n"
    assert attached(typed) == attached(named) == attached(raw) == [FINGERPRINT]
    assert attached(typed, named, raw) == [FINGERPRINT]


def test_what_is_no_key_is_no_candidate() -> None:
    other = f"Content-Disposition: attachment; filename=report.txt\n\n{KEY}"
    block = f"Content-Type: application/pgp-keys\n\n{KEY}{KEY}"
    huge = f"Content-Type: application/pgp-keys\n\n{' ' * module.ATTACHED_KEY_BYTES}{KEY}"
    assert attached(other) == attached(block) == attached(huge) == attached() == []


def test_a_key_in_the_text_or_in_a_forwarded_message_is_no_candidate() -> None:
    assert attached_keys(crlf(f"{HEAD}\n{KEY}")) == ()
    inner = f"Content-Type: message/rfc822\n\n{HEAD}Content-Type: application/pgp-keys\n\n{KEY}"
    assert attached(inner) == []


def test_at_most_ten_keys_of_a_mail_are_candidates() -> None:
    parts = []
    for number in range(14):
        body = b"\x04" + bytes(4) + bytes((number,)) * 40
        parts.append(
            "Content-Type: application/pgp-keys\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(Packet(6, body).framed).decode()
        )
    assert len(attached(*parts)) == 10
