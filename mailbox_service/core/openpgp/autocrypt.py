"""Keys that come with a mail: Autocrypt headers (Autocrypt 1.1 §2.1) and attached ones. All are candidates.

An attacker who can change a mail can change the key in it, and anybody may attach a key of anybody. Nothing here makes
a key trusted, and a pinned one is never replaced by what is found here.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import Literal

from mailbox_service.core.gpg.publishing import autocrypt_header
from mailbox_service.core.message import ParsedMessage
from mailbox_service.core.message.addresses import ADDR_SPEC_CHARS
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.core.message.fields import HEADER_VALUE_CHARS
from mailbox_service.core.openpgp.armour import PUBLIC_KEY, dearmour
from mailbox_service.core.openpgp.packets import KEYS, CandidateKey, read_keys
from mailbox_service.core.openpgp.refusal import Refusal

Preference = Literal["mutual", "nopreference"]

ATTACHED_KEY_BYTES = 256 * 1024  # armoured; the limit of the import (a key of a large team's certifications has 100 kB)
# Of our own header: its lines, folds included, stay below what our reader takes for one field (8 kB). Ed25519 keys have
# some 400 bytes, RSA with 4096 bits and one subkey 3,300.
HEADER_KEY_BYTES = 5_800

_KEY_TYPE = "application/pgp-keys"
_KEY_NAMES = (".asc", ".pgp", ".gpg", ".key")
_ATTRIBUTE = re.compile(r"[ \t]*(_?[a-z][a-z0-9-]{0,40})[ \t]*=([^;]*)")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PLAIN_ADDRESS = re.compile(r"[^\s;=<>\"]+@[^\s;=<>\"]+")


@dataclass(frozen=True, slots=True)
class Offer:
    """A key that a header offers for the author of its mail."""

    key: CandidateKey
    address: str  # as in the header; the author's, but for upper and lower case
    preference: Preference


def offered_key(message: ParsedMessage) -> Offer | None:
    """The one key that a mail offers by Autocrypt. None where there are several, and for mail that has no one author.

    Autocrypt 1.1 §2.3: invalid headers do not count; automatic reports offer nothing.
    """
    if message.from_ is None or message.is_report:
        return None
    valid = [offer for value in message.header_all("autocrypt") if (offer := _offer(value)) is not None]
    if len(valid) != 1 or valid[0].address.lower() != message.from_.key:
        return None
    return valid[0]


def _offer(value: str) -> Offer | None:
    """Strict, as the specification wants it: an attribute that is not known and not marked as optional spoils all."""
    if len(value) >= HEADER_VALUE_CHARS:
        return None  # cut off by the reader
    attributes: dict[str, str] = {}
    for piece in value.rstrip(" \t;").split(";"):
        found = _ATTRIBUTE.fullmatch(piece)
        if found is None or found[1] in attributes:
            return None
        attributes[found[1]] = found[2].strip()
    if any(name not in ("addr", "prefer-encrypt", "keydata") and name[0] != "_" for name in attributes):
        return None
    address = attributes.get("addr", "")
    encoded = "".join(attributes.get("keydata", "").split())
    if not address or len(address) > ADDR_SPEC_CHARS or not _BASE64.fullmatch(encoded) or len(encoded) % 4:
        return None
    keys = read_keys(binascii.a2b_base64(encoded))
    if isinstance(keys, Refusal) or len(keys) != 1:
        return None
    mutual = attributes.get("prefer-encrypt", "") == "mutual"
    return Offer(keys[0], address, "mutual" if mutual else "nopreference")


def attached_keys(raw: bytes) -> tuple[CandidateKey, ...]:
    """The public keys attached to a mail, or to an entity that was decrypted; at most `KEYS`, each once.

    Total. A file with anything secret in it, or of more than `ATTACHED_KEY_BYTES`, counts for nothing.
    """
    found: dict[bytes, CandidateKey] = {}
    for file in attached_files(raw):
        name = file.filename.lower()
        if file.content_type != _KEY_TYPE and not name.endswith(_KEY_NAMES):
            continue
        if len(file.data) > ATTACHED_KEY_BYTES:
            continue
        block = dearmour(file.data, PUBLIC_KEY)
        keys = read_keys(file.data if isinstance(block, Refusal) else block.data)
        if not isinstance(keys, Refusal):
            found |= {key.octets: key for key in keys}
    return tuple(found.values())[:KEYS]


def header_field(address: str, key: bytes) -> tuple[str, str]:
    """Name and folded value of the header that offers our own public key, `key` in binary; we prefer encryption.

    Raises: ValueError where `key` is not exactly one public key of at most `HEADER_KEY_BYTES`, or the address has
    characters that the header's syntax uses.
    """
    keys = read_keys(key)
    if isinstance(keys, Refusal) or len(keys) != 1 or len(key) > HEADER_KEY_BYTES:
        raise ValueError("not exactly one public key that fits an Autocrypt header")
    if not address.isascii() or not _PLAIN_ADDRESS.fullmatch(address):
        raise ValueError("the address does not fit an Autocrypt header")
    name, _, value = autocrypt_header(address, key).partition(": ")
    return name, value.removesuffix("\r\n")
