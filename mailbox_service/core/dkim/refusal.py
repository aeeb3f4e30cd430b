"""Why a DKIM signature proves nothing."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """One short constant text each, for the journal. None of them means that a mail is forged (RFC 6376 §6.1)."""

    # of the message
    HEADER = "the header is not well formed, so that a signature of it proves nothing"
    REPEATED = "a header field that may occur once occurs twice"
    UNSIGNED = "no DKIM signature"
    FOREIGN = "no DKIM signature by the From domain"
    # of one signature
    MALFORMED = "malformed DKIM signature"
    ALGORITHM = "the DKIM signature uses an algorithm that is not accepted"
    LENGTH = "the DKIM signature has l= and may cover a part of the body only"
    FROM = "the DKIM signature does not cover From"
    EXPIRED = "the DKIM signature has expired"
    FUTURE = "the DKIM signature is dated in the future"
    BODY = "the body is not what was signed by DKIM"
    SIGNATURE = "the DKIM signature does not fit the message"
    # of its key
    UNAVAILABLE = "the signer's key could not be looked up"
    NO_KEY = "the signer has published no such key"
    SEVERAL_KEYS = "the signer has published several records where one key should be"
    REVOKED = "the signer's key has been revoked"
    TEST = "the signer's key is for tests only"
    SIZE = "the signer's key is too short or too long"
    UNFIT = "the signer's key is not for this use"
    BAD_KEY = "the signer's key is malformed"
