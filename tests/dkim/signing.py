"""Mails signed by dkimpy, an implementation that has nothing in common with ours."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache

import dkim
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from dkim.canonicalization import CanonicalizationPolicy
from dkim.crypto import HASH_ALGORITHMS, RSASSA_PKCS1_v1_5_sign, parse_pem_private_key
from nacl.encoding import Base64Encoder
from nacl.signing import SigningKey

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
STAMP = int(NOW.timestamp())
KEY_NAME = "s1._domainkey.example.org"

MAIL = (
    b"Received: from a.example by b.example; Wed, 25 Nov 2026 12:00:00 +0000\r\n"
    b"From: Ann Reporter <ann@example.org>\r\n"
    b"To: security@project.example\r\n"
    b"Subject: Re: SEC-2026-0007\r\n"
    b"In-Reply-To: <abc@project.example>\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"Date: Wed, 25 Nov 2026 12:00:00 +0000\r\n"
    b"Content-Type: text/plain; charset=utf-8;\r\n\tformat=flowed\r\n"
    b"\r\n"
    b"/fix-works\r\n"
    b"\r\n"
    b"Thank  you,\tall \r\n"
    b"Ann\r\n"
)


class RsaKey:
    """What signs, and what is published for it."""

    algorithm = "rsa-sha256"

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        bare = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        self.published, self.published_bare = base64.b64encode(spki), base64.b64encode(bare)

    @property
    def record(self) -> bytes:
        return b"v=DKIM1; k=rsa; p=" + self.published

    def sign(self, hasher: object) -> bytes:
        return bytes(RSASSA_PKCS1_v1_5_sign(hasher, parse_pem_private_key(self.pem)))


class EdKey:
    """The same of Ed25519."""

    algorithm = "ed25519-sha256"

    def __init__(self) -> None:
        self.pem = base64.b64encode(
            ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        )
        self._key = SigningKey(self.pem, encoder=Base64Encoder)

    @property
    def record(self) -> bytes:
        return b"v=DKIM1; k=ed25519; p=" + self._key.verify_key.encode(Base64Encoder)

    def sign(self, hasher: hashlib._Hash) -> bytes:
        return bytes(self._key.sign(hasher.digest()).signature)


@cache
def rsa_key(bits: int = 2048) -> RsaKey:
    return RsaKey(rsa.generate_private_key(65537, bits))


@cache
def ed_key() -> EdKey:
    return EdKey()


def signed(raw: bytes = MAIL, *, key: RsaKey | EdKey | None = None, **changes: str | None) -> bytes:
    """`raw` with a signature on top whose tags are the usual ones, but for `changes`; None leaves a tag out.

    Lists of fields and hashes are made of what the tags say, so that only the one thing is wrong that a test is about.
    """
    key = key or rsa_key()
    usual: dict[str, str | None] = {
        "v": "1",
        "a": key.algorithm,
        "c": "relaxed/relaxed",
        "d": "example.org",
        "s": "s1",
        "t": str(STAMP),
        "h": "from:to:subject:date:message-id:in-reply-to:content-type",
    }
    tags = {name: value for name, value in {**usual, **changes}.items() if value is not None}
    fields, body = dkim.rfc822_parse(raw)
    try:
        policy = CanonicalizationPolicy.from_c_value(tags.get("c", "simple/simple").encode())
    except dkim.InvalidCanonicalizationPolicyError:
        policy = CanonicalizationPolicy.from_c_value(b"simple/simple")
    digest = HASH_ALGORITHMS.get(tags.get("a", "").encode(), hashlib.sha256)
    content = policy.canonicalize_body(body)[: int(tags["l"]) if "l" in tags else None]
    tags.setdefault("bh", base64.b64encode(digest(content).digest()).decode())
    value = " " + "; ".join(f"{name}={text}" for name, text in tags.items()) + ";\r\n\tb="
    names = [name.strip().lower().encode() for name in tags.get("h", "").split(":")]
    hasher = digest()
    own = (b"DKIM-Signature", value.encode())
    dkim.hash_headers(hasher, policy, policy.canonicalize_headers(fields), names, own, None)
    signature = base64.b64encode(key.sign(hasher)).decode()
    folded = "\r\n\t".join(signature[at : at + 70] for at in range(0, len(signature), 70))
    return b"DKIM-Signature:" + value.encode() + folded.encode() + b"\r\n" + raw


def without_top_field(raw: bytes) -> bytes:
    """The mail below its topmost field."""
    lines = raw.split(b"\r\n")
    end = next(i for i, line in enumerate(lines) if i and line[:1] not in (b" ", b"\t"))
    return b"\r\n".join(lines[end:])
