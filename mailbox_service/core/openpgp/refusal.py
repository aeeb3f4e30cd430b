"""Why something of OpenPGP in a mail is not given to gpg."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Each is shown to maintainers as it stands; none is ever told to the sender."""

    NONE = "nothing of OpenPGP in it"
    SMIME = "S/MIME"

    # Where it stands.
    SHAPE_ENCRYPTED = "not the two parts of RFC 3156 §4"
    SHAPE_SIGNED = "not the two parts of RFC 3156 §5"
    NOT_OUTERMOST = "the encrypted part stands inside of something else"
    SIGNED_INSIDE = "the signed part stands inside of something else"
    ATTACHED = "an encrypted file is attached"
    AROUND = "something stands around the encrypted block"
    SEVERAL = "several encrypted parts or blocks"
    CLEARSIGNED = "a cleartext signature, which says nothing about the text around it"
    AMBIGUOUS = "programs disagree on how its structure is to be read"
    TWICE = "encrypted inside of encrypted, or signed inside of signed"
    UNREADABLE = "not readable"

    # What it is made of.
    ARMOUR = "damaged armour"
    PACKETS = "damaged packets"
    TOO_LARGE = "too large or too many packets"
    NOT_ENCRYPTED = "an OpenPGP message that is not encrypted"
    NO_INTEGRITY = "encrypted without protection against changes"
    SEVERAL_MESSAGES = "several messages in one"
    NO_RECIPIENT = "encrypted to no key, only to a passphrase"
    NO_SIGNATURE = "no detached signature"
    SEVERAL_SIGNATURES = "several signatures"
    SIGNATURE_TYPE = "not a signature over a document"
    TRAILING_BLANKS = "blanks at line ends, which a signature over text leaves open"
    NO_KEY = "not exactly public keys"
