"""gpg behind the door: what counts as opened, as verified, as encrypted."""

from __future__ import annotations

import subprocess

import pytest

from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.runner import Bounds
from mailbox_service.core.gpg.status import DecryptionFlaw, SignatureFlaw
from mailbox_service.errors import Refused
from mailbox_service.services.ports.openpgp import NotOpened, NotVerified, Opened, PublicKey, Verified
from tests.openpgp.conftest import ADDRESS
from tests.openpgp.keys import People, Person

TEXT = b"Content-Type: text/plain\r\n\r\nThe login form has a hole.\r\n"


@pytest.fixture(scope="module")
def ours(door: GpgDoor, homes: Homes) -> PublicKey:
    (key,) = door.own_keys()
    data = subprocess.run(
        ["gpg", "--homedir", homes.refreshed(), "--export", key.fingerprint], capture_output=True, check=True
    ).stdout
    return PublicKey(key.fingerprint, data)


def test_a_signed_and_encrypted_mail_is_opened_with_its_signer(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    opened = door.open(bob.seal(TEXT, ours), [bob.public])
    assert isinstance(opened, Opened)
    assert opened.data == TEXT
    assert isinstance(opened.signature, Verified)
    assert opened.signature.fingerprint == bob.fingerprint


def test_an_unknown_signer_keeps_nobody_from_reading(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    assert door.open(bob.seal(TEXT, ours)) == Opened(TEXT, NotVerified(SignatureFlaw.UNKNOWN_KEY))


def test_a_mail_that_is_encrypted_alone_is_signed_by_nobody(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    opened = door.open(bob.seal(TEXT, ours, sign=False), [bob.public])
    assert opened == Opened(TEXT, NotVerified(SignatureFlaw.NONE))


def test_what_is_not_encrypted_to_us_is_not_opened(door: GpgDoor, bob: Person, people: People) -> None:
    other = people.join("Carol <carol@z.example>")
    for data, why in (
        (bob.seal(TEXT, other.public), DecryptionFlaw.NO_KEY),
        (bob.gpg("-a", "--sign", data=TEXT), DecryptionFlaw.NOT_ENCRYPTED),
        (bob.gpg("-a", "--store", data=TEXT), DecryptionFlaw.NOT_ENCRYPTED),
        (TEXT, DecryptionFlaw.NOT_ENCRYPTED),
        (b"", DecryptionFlaw.NOT_ENCRYPTED),
    ):
        assert door.open(data) == NotOpened(why)


def test_what_is_encrypted_by_a_password_is_not_opened(door: GpgDoor, bob: Person) -> None:
    sealed = bob.gpg("--passphrase", "x", "-a", "--symmetric", data=TEXT)
    assert isinstance(door.open(sealed), NotOpened)


def test_a_damaged_or_unprotected_or_doubled_message_shows_nothing(door: GpgDoor, ours: PublicKey, bob: Person) -> None:
    sealed = bob.gpg("--dearmor", data=bob.seal(TEXT * 50, ours))
    for at in (-1, -30, len(sealed) // 2):
        broken = bytearray(sealed)
        broken[at] ^= 1
        assert isinstance(door.open(bytes(broken)), NotOpened), at
    for cut in (len(sealed) // 2, len(sealed) - 1, len(sealed) - 25):
        assert isinstance(door.open(sealed[:cut]), NotOpened), cut
    assert isinstance(door.open(sealed + sealed), NotOpened)
    unprotected = bob.seal(TEXT, ours, "--rfc2440", "--cipher-algo", "3DES", "--disable-mdc", sign=False)
    assert isinstance(door.open(unprotected), NotOpened)


def test_a_bomb_is_cut_off_and_nothing_of_it_shown(homes: Homes, ours: PublicKey, bob: Person) -> None:
    small = GpgDoor(homes, frozenset({ADDRESS}), bounds=Bounds(output_bytes=1_000_000))
    bomb = bob.seal(bytes(50_000_000), ours, "--compress-algo", "zip", sign=False)
    assert len(bomb) < 100_000
    assert small.open(bomb) == NotOpened(DecryptionFlaw.TOO_LARGE)


def test_what_takes_too_long_is_ended(homes: Homes, ours: PublicKey, bob: Person) -> None:
    hasty = GpgDoor(homes, frozenset({ADDRESS}), bounds=Bounds(seconds=0.0))
    assert hasty.open(bob.seal(TEXT, ours)) == NotOpened(DecryptionFlaw.TOO_SLOW)


# --- signatures --------------------------------------------------------------------------------------------


def test_a_detached_signature_holds_for_exactly_its_bytes_and_allowed_keys(
    door: GpgDoor, bob: Person, people: People
) -> None:
    signature, other = bob.sign(TEXT), people.join("Carol <carol@z.example>")
    good = door.verify_detached(TEXT, signature, [other.public, bob.public])
    assert isinstance(good, Verified)
    assert good.fingerprint == bob.fingerprint
    assert door.verify_detached(TEXT + b"\n", signature, [bob.public]) == NotVerified(SignatureFlaw.BAD)
    for allowed in ([other.public], []):
        assert door.verify_detached(TEXT, signature, allowed) == NotVerified(SignatureFlaw.UNKNOWN_KEY)
    assert isinstance(door.verify_detached(TEXT, b"", [bob.public]), NotVerified)
    assert isinstance(door.verify_detached(TEXT, b"no signature", [bob.public]), NotVerified)
    assert isinstance(door.verify_detached(TEXT, bytes(10**6), [bob.public]), NotVerified)


def test_a_key_under_the_name_of_another_proves_nothing_for_it(door: GpgDoor, bob: Person, people: People) -> None:
    """A keyring is made of what was handed over; the fingerprint that gpg names decides."""
    mallory = people.join("Bob <bob@y.example>")
    swapped = PublicKey(bob.fingerprint, mallory.public.data)
    assert door.verify_detached(TEXT, mallory.sign(TEXT), [swapped]) == NotVerified(SignatureFlaw.UNKNOWN_KEY)


def test_two_signatures_prove_nothing(door: GpgDoor, bob: Person, people: People) -> None:
    carol = people.join("Carol <carol@z.example>")
    raw = [p.gpg("--dearmor", data=p.sign(TEXT)) for p in (bob, carol)]
    for pair in (raw[0] + raw[1], raw[1] + raw[0], raw[0] + raw[0]):
        found = door.verify_detached(TEXT, pair, [bob.public, carol.public])
        assert found == NotVerified(SignatureFlaw.SEVERAL)
        assert isinstance(door.verify_detached(TEXT, pair, [bob.public]), NotVerified)


def test_a_signed_message_is_no_detached_signature(door: GpgDoor, bob: Person) -> None:
    for words in (("--sign",), ("--clearsign",)):
        signed = bob.gpg("-a", *words, data=TEXT)
        assert isinstance(door.verify_detached(TEXT, signed, [bob.public]), NotVerified)


def test_expired_and_revoked_keys_prove_nothing_and_get_nothing(door: GpgDoor, people: People) -> None:
    old = people.join("Old <old@y.example>", expires="1y", at="20200101T000000")
    signature = old.sign(TEXT, at="20200201T000000")
    assert door.verify_detached(TEXT, signature, [old.public]) == NotVerified(SignatureFlaw.EXPIRED)
    gone = people.join("Gone <gone@y.example>")
    signature = gone.sign(TEXT)
    assert isinstance(door.verify_detached(TEXT, signature, [gone.public]), Verified)
    certificate = (gone.home / "openpgp-revocs.d" / f"{gone.fingerprint}.rev").read_bytes()
    gone.gpg("--import", data=certificate.replace(b":-----BEGIN", b"-----BEGIN"))
    assert door.verify_detached(TEXT, signature, [gone.public]) == NotVerified(SignatureFlaw.REVOKED)
    for person in (old, gone):
        with pytest.raises(Refused, match=person.fingerprint):
            door.encrypt(TEXT, [person.public], sign=False)


def test_a_signature_that_has_expired_proves_nothing(door: GpgDoor, people: People) -> None:
    person = people.join(at="20200101T000000")
    signature = person.sign(TEXT, "--default-sig-expire", "1d", at="20200201T000000")
    assert door.verify_detached(TEXT, signature, [person.public]) == NotVerified(SignatureFlaw.EXPIRED)


def test_signatures_by_weak_digests_prove_nothing(door: GpgDoor, people: People) -> None:
    rsa = people.join("Rosa <rosa@y.example>", kind="rsa1024")
    for digest in ("SHA1", "RIPEMD160", "MD5"):
        signature = rsa.sign(TEXT, "--digest-algo", digest, "--allow-weak-digest-algos")
        assert isinstance(door.verify_detached(TEXT, signature, [rsa.public]), NotVerified), digest


# --- writing -----------------------------------------------------------------------------------------------


def test_what_we_send_is_read_and_verified_by_its_recipient(
    door: GpgDoor, ours: PublicKey, bob: Person, people: People
) -> None:
    sent = door.encrypt(TEXT, [bob.public], sign=True)
    assert sent.startswith(b"-----BEGIN PGP MESSAGE-----\n\n")
    bob.know(ours)
    assert bob.gpg("--decrypt", data=sent) == TEXT
    said = bob.gpg("--status-fd", "1", "-o", "/dev/null", "--yes", "--decrypt", data=sent).decode()
    assert f"VALIDSIG {ours.fingerprint}" in said
    # To this key alone: not to ourselves, nor to anybody else.
    assert said.count("ENC_TO") == 1
    signature = door.sign_detached(TEXT)
    assert isinstance(door.verify_detached(TEXT, signature, [ours]), Verified)
    assert bob.gpg("--list-packets", data=signature).count(b"digest algo 10") == 1
    carol = people.join("Carol <carol@z.example>")
    assert carol.gpg("--decrypt", data=sent, fails=True) == b""


def test_one_bad_key_among_the_recipients_refuses_the_whole(door: GpgDoor, bob: Person, people: People) -> None:
    old = people.join("Old <old@y.example>", expires="1y", at="20200101T000000")
    with pytest.raises(Refused):
        door.encrypt(TEXT, [bob.public, old.public], sign=False)
    with pytest.raises(Refused):
        door.encrypt(TEXT, [], sign=False)


@pytest.mark.parametrize("name", ["--output=/tmp/x", "bob@y.example", "", "a" * 40, "0x" + "A" * 40, "A" * 40 + "\n"])
def test_a_key_is_named_by_its_full_fingerprint_alone(name: str, door: GpgDoor, bob: Person) -> None:
    key = PublicKey(name, bob.public.data)
    with pytest.raises(Refused):
        door.encrypt(TEXT, [key], sign=False)
    with pytest.raises(Refused):
        door.verify_detached(TEXT, bob.sign(TEXT), [key])


def test_without_a_key_of_ours_nothing_is_signed(homes: Homes) -> None:
    other = GpgDoor(homes, frozenset({"other@demo.example"}))
    assert other.own_keys() == []
    with pytest.raises(Refused, match="no key to sign with"):
        other.sign_detached(TEXT)


def test_one_mailbox_does_not_open_what_was_sent_to_another(homes: Homes, ours: PublicKey, bob: Person) -> None:
    other = GpgDoor(homes, frozenset({"other@demo.example"}))
    assert other.open(bob.seal(TEXT, ours)) == NotOpened(DecryptionFlaw.NO_KEY)
