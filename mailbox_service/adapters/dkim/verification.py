"""Keys and signatures compared, by OpenSSL."""

from __future__ import annotations

import hashlib

from mailbox_service.core.dkim import Candidate, PublishedKey, Refusal

# RFC 8301 §3.2: verifiers must take 1024 to 4096 bits; longer keys only cost time.
LEAST_BITS, MOST_BITS = 1024, 4096
# 65537 in practice. A large exponent makes each check as dear as a signature.
MOST_EXPONENT = 1 << 32


def refusal_of(key: PublishedKey, candidate: Candidate) -> Refusal | None:
    """None when `key` made the signature of `candidate`; else why not."""
    digest = hashlib.sha256(candidate.signed).digest()
    if key.algorithm == "ed25519":
        return _ed25519(key.data, candidate.signature.signature, digest)
    return _rsa(key.data, candidate.signature.signature, digest)


def _ed25519(data: bytes, signature: bytes, digest: bytes) -> Refusal | None:
    """RFC 8463 §3: PureEdDSA of the SHA-256 digest."""
    # Loaded with the first signature that needs it.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(data).verify(signature, digest)
    except InvalidSignature:
        return Refusal.SIGNATURE
    except (ValueError, UnsupportedAlgorithm):
        return Refusal.BAD_KEY
    return None


def _rsa(data: bytes, signature: bytes, digest: bytes) -> Refusal | None:
    """RFC 8017 RSASSA-PKCS1-v1_5. `data` is a SubjectPublicKeyInfo (RFC 6376 errata 3017), or an RSAPublicKey."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return Refusal.BAD_KEY
    if not isinstance(key, rsa.RSAPublicKey):
        return Refusal.BAD_KEY
    if not LEAST_BITS <= key.key_size <= MOST_BITS or key.public_numbers().e > MOST_EXPONENT:
        return Refusal.SIZE
    try:
        key.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))
    except InvalidSignature:
        return Refusal.SIGNATURE
    return None
