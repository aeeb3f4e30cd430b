"""OpenPGP in mail, without gpg: what of a mail may be decrypted or verified, and how our own is put together.

`adapters/openpgp` runs gpg; what it gets is decided here, from bytes alone. All functions that read are total and
bounded; all that write raise ValueError for what should never have come to them.

Reading, in the order of use:

1. `read(raw)` says what gpg may do with a mail: `Encrypted`, `Signed`, or `Refused` with the reason. gpg gets
   `Encrypted.message.octets`, or `Signed.signature.octets` and `Signed.content`; never bytes of the mail itself.
2. `Encrypted.message.data_digest` and `.digest` recognise a ciphertext that was seen before in other armour, or with
   other recipients. They are compared before anything is decrypted.
3. What gpg gave back becomes an entity by `entity_of(plaintext, form)`; `read(entity, (Layer.ENCRYPTED,))` says what to
   do with that, and so on: `Signed.content` is an entity too. A signature counts only when its `Signed` was the last
   layer, or was made inside of the encryption: one over a ciphertext says nothing about the plaintext.
4. `protected_headers(entity, outer, encrypted=…)`, for the last entity, says which subject, author and date to show,
   and gives the view of it without what was repeated for old programs. Commands are read from that view and from
   nothing else of the mail.
5. `offered_key` and `attached_keys` find keys that came along: candidates, whatever they claim.

Writing: `payload` gives the bytes to sign or encrypt; `encrypted` or `signed` the mail around what gpg made of them;
`header_field` the Autocrypt field that may go with it.
"""

from __future__ import annotations

from mailbox_service.core.openpgp.armour import armoured
from mailbox_service.core.openpgp.autocrypt import Offer, attached_keys, header_field, offered_key
from mailbox_service.core.openpgp.packets import CandidateKey, DetachedSignature, EncryptedMessage
from mailbox_service.core.openpgp.protected import ProtectedHeaders, Scheme, protected_headers
from mailbox_service.core.openpgp.reading import Encrypted, Form, Layer, Reading, Refused, Signed, entity_of, read
from mailbox_service.core.openpgp.refusal import Refusal
from mailbox_service.core.openpgp.writing import encrypted, payload, signed

__all__ = [
    "DetachedSignature",
    "Encrypted",
    "EncryptedMessage",
    "Form",
    "Layer",
    "Offer",
    "ProtectedHeaders",
    "CandidateKey",
    "armoured",
    "Reading",
    "Refusal",
    "Refused",
    "Scheme",
    "Signed",
    "attached_keys",
    "encrypted",
    "entity_of",
    "header_field",
    "offered_key",
    "payload",
    "protected_headers",
    "read",
    "signed",
]
