"""With Sequoia, which shares no code with GnuPG: each reads, and verifies, what the other wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from email import message_from_bytes
from email.policy import default

import pytest
from pysequoia import Cert, CipherSuite, Sig, SignatureMode, Tsk, decrypt, encrypt, sign, verify

from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.openpgp import Encrypted, Signed, encrypted, entity_of, payload, read, signed
from mailbox_service.services.ports.openpgp import Opened, PublicKey, Verified
from tests.openpgp.test_door import ours
from tests.openpgp.test_whole_mails import MAIL, REFERENCE

__all__ = ["ours"]

SUITES = [CipherSuite.Cv25519, CipherSuite.RSA3k, CipherSuite.P256, CipherSuite.P384, CipherSuite.P521]


@pytest.fixture(scope="module", params=SUITES, ids=str)
def sue(request: pytest.FixtureRequest) -> Tsk:
    return Tsk.generate("Sue <sue@y.example>", cipher_suite=request.param)


@pytest.fixture(scope="module")
def public(sue: Tsk, door: GpgDoor) -> PublicKey:
    """Her key as it is pinned: examined by gpg, made small."""
    (offered,) = door.examine(bytes(sue.extract_certificate()))
    assert offered.facts.addresses == {"sue@y.example"}
    return offered.key


def test_sequoia_reads_what_we_encrypt(door: GpgDoor, ours: PublicKey, sue: Tsk, public: PublicKey) -> None:
    inner = payload(MAIL, REFERENCE)
    raw = encrypted(MAIL, REFERENCE, door.encrypt(inner, [public], sign=True))
    _, data = message_from_bytes(raw, policy=default).iter_parts()
    opened = decrypt(data.get_content(), decryptor=sue.decryptor(), store=_store(ours))
    assert opened.bytes == inner
    assert [valid.certificate.upper() for valid in opened.valid_sigs] == [ours.fingerprint]


def test_sequoia_verifies_what_we_sign(door: GpgDoor, ours: PublicKey) -> None:
    inner = payload(MAIL)
    raw = signed(MAIL, inner, door.sign_detached(inner), "pgp-sha512")
    _, part = message_from_bytes(raw, policy=default).iter_parts()
    found = read(raw)
    assert isinstance(found, Signed) and found.content in raw
    signature = Sig.from_bytes(part.get_content())
    good = verify(bytes=found.content, store=_store(ours), signature=signature)
    assert [valid.certificate.upper() for valid in good.valid_sigs] == [ours.fingerprint]
    with pytest.raises(Exception, match=r"(?i)signature|verif"):
        verify(bytes=found.content + b"\r\n", store=_store(ours), signature=signature)


def test_we_read_and_verify_what_sequoia_encrypts(door: GpgDoor, ours: PublicKey, sue: Tsk, public: PublicKey) -> None:
    mail = replace(MAIL, from_address="sue@y.example", to_address="security@demo.example")
    inner = payload(mail, REFERENCE)
    sealed = encrypt(bytes=inner, recipients=[Cert.from_bytes(ours.data)], signer=sue.signer())
    found = read(encrypted(mail, REFERENCE, sealed))
    assert isinstance(found, Encrypted)
    opened = door.open(found.message.octets, [public])
    assert isinstance(opened, Opened) and entity_of(opened.data, found.form) == inner
    assert isinstance(opened.signature, Verified) and opened.signature.fingerprint == public.fingerprint


def test_we_verify_what_sequoia_signs(door: GpgDoor, ours: PublicKey, sue: Tsk, public: PublicKey) -> None:
    mail = replace(MAIL, from_address="sue@y.example", to_address="security@demo.example")
    inner = payload(mail)
    found = read(signed(mail, inner, sign(sue.signer(), inner, mode=SignatureMode.DETACHED), "pgp-sha512"))
    assert isinstance(found, Signed)
    good = door.verify_detached(found.content, found.signature.octets, [public])
    assert isinstance(good, Verified) and good.fingerprint == public.fingerprint
    assert not isinstance(door.verify_detached(found.content, found.signature.octets, [ours]), Verified)


def _store(key: PublicKey) -> Callable[[list[str]], list[Cert]]:
    """Where Sequoia asks for certificates; there is one."""
    certificate = Cert.from_bytes(key.data)
    return lambda _: [certificate]
