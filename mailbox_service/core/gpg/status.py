"""What gpg's status lines prove (GnuPG, doc/DETAILS, "Format of the --status-fd output").

Only what is said completely and without a contradiction counts: any line that is not expected beside a good result,
and any line that cannot be read, makes it none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

FINGERPRINT = re.compile(r"[0-9A-F]{40}", re.ASCII)
_LINE = re.compile(rb"\[GNUPG:\] ([A-Z][A-Z0-9_]*)((?: [^\r\n]*)?)")
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
# RFC 4880 §9.4: MD5, SHA-1 and RIPEMD-160 can be made to collide, or are as short as what can.
WEAK_DIGESTS = frozenset({"1", "2", "3"})

_KEY_NOISE = frozenset({"KEY_CONSIDERED", "PROGRESS", "TRUST_UNDEFINED", "TRUST_FULLY", "TRUST_ULTIMATE"})
_SIGNATURE = frozenset(
    {
        *("NEWSIG", "SIG_ID", "GOODSIG", "VALIDSIG", "VERIFICATION_COMPLIANCE_MODE"),
        *("NOTATION_NAME", "NOTATION_FLAGS", "NOTATION_DATA", "POLICY_URL"),
    }
)
_BAD_SIGNATURE = frozenset({"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY", "SIGEXPIRED"})
_DECRYPTION = frozenset(
    {
        *("ENC_TO", "DECRYPTION_KEY", "BEGIN_DECRYPTION", "DECRYPTION_INFO", "PLAINTEXT", "PLAINTEXT_LENGTH"),
        *("DECRYPTION_OKAY", "GOODMDC", "END_DECRYPTION", "DECRYPTION_COMPLIANCE_MODE"),
        # Of other recipients, and of keys of ours that have a passphrase or have expired: what came is to be read.
        *("NO_SECKEY", "USERID_HINT", "NEED_PASSPHRASE", "GOOD_PASSPHRASE", "INQUIRE_MAXLEN", "KEYEXPIRED"),
    }
)
_ORDER = ("BEGIN_DECRYPTION", "DECRYPTION_INFO", "PLAINTEXT", "DECRYPTION_OKAY", "GOODMDC", "END_DECRYPTION")


@dataclass(frozen=True, slots=True)
class Status:
    """One line."""

    keyword: str
    arguments: tuple[str, ...] = ()


class SignatureFlaw(StrEnum):
    """Why a signature proves nothing."""

    NONE = "none"  # there is no signature
    BAD = "bad"  # these bytes were not signed, or the signature is damaged
    UNKNOWN_KEY = "unknown key"  # by a key that is none of those allowed
    EXPIRED = "expired"  # the key or the signature
    REVOKED = "revoked"
    SEVERAL = "several"  # more than one; who would be the signer?
    WEAK = "weak"  # by a digest that can be forged
    UNREADABLE = "unreadable"  # gpg said something else than it says of good signatures
    REPEATED = "repeated"  # it was good once, on another mail; gpg never says this


class DecryptionFlaw(StrEnum):
    """Why a message could not be opened."""

    NO_KEY = "no key"
    NOT_ENCRYPTED = "not encrypted"
    DAMAGED = "damaged"
    UNPROTECTED = "unprotected"  # nothing would show that it was changed on the way
    SEVERAL = "several"  # more than one plaintext
    UNREADABLE = "unreadable"
    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"


@dataclass(frozen=True, slots=True)
class GoodSignature:
    fingerprint: str  # of the primary key
    made_at: datetime


def read_status(output: bytes) -> tuple[Status, ...] | None:
    """The lines that gpg wrote on its status descriptor; None where a single one is none, or is not complete."""
    if output and not output.endswith(b"\n"):
        return None
    lines = []
    for line in output.split(b"\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        words = match[2].decode("utf-8", "replace").split(" ")[1:]
        lines.append(Status(match[1].decode("ascii"), tuple(words)))
    return tuple(lines)


def judge_signature(
    lines: Sequence[Status] | None, returncode: int, allowed: Collection[str]
) -> GoodSignature | SignatureFlaw:
    """Whether exactly one good signature by one of the primary fingerprints `allowed` was found, and nothing else."""
    if lines is None:
        return SignatureFlaw.UNREADABLE
    words = [line.keyword for line in lines]
    if any(word in words for word in ("NEWSIG", "GOODSIG", "VALIDSIG", *_BAD_SIGNATURE)):
        if len(_of(lines, "NEWSIG")) > 1 or len(_of(lines, "GOODSIG")) > 1 or len(_of(lines, "VALIDSIG")) > 1:
            return SignatureFlaw.SEVERAL
    else:
        return SignatureFlaw.NONE if returncode == 0 or "NODATA" in words else SignatureFlaw.UNREADABLE
    if (flaw := _flaw_told(lines)) is not None:
        return flaw
    if returncode != 0 or not set(words) <= _SIGNATURE | _KEY_NOISE:
        return SignatureFlaw.UNREADABLE
    return _signer(lines, allowed)


def _flaw_told(lines: Sequence[Status]) -> SignatureFlaw | None:
    words = {line.keyword for line in lines}
    if "BADSIG" in words:
        return SignatureFlaw.BAD
    if words & {"REVKEYSIG", "KEYREVOKED"}:
        return SignatureFlaw.REVOKED
    if words & {"EXPSIG", "EXPKEYSIG", "KEYEXPIRED", "SIGEXPIRED"}:
        return SignatureFlaw.EXPIRED
    if "NO_PUBKEY" in words:
        return SignatureFlaw.UNKNOWN_KEY
    if errors := _of(lines, "ERRSIG"):
        # keyid pkalgo hashalgo sigclass time rc fpr
        weak = len(errors[0].arguments) > 2 and errors[0].arguments[2] in WEAK_DIGESTS
        return SignatureFlaw.WEAK if weak else SignatureFlaw.BAD
    return None


def _signer(lines: Sequence[Status], allowed: Collection[str]) -> GoodSignature | SignatureFlaw:
    new, good, valid = (_of(lines, word) for word in ("NEWSIG", "GOODSIG", "VALIDSIG"))
    if not len(new) == len(good) == len(valid) == 1 or not good[0].arguments or len(valid[0].arguments) != 10:
        return SignatureFlaw.UNREADABLE
    fingerprint, _, made, _, _, _, _, digest, kind, primary = valid[0].arguments
    if FINGERPRINT.fullmatch(fingerprint) is None or FINGERPRINT.fullmatch(primary) is None:
        return SignatureFlaw.UNREADABLE
    # The two lines must speak of one key; 00 and 01 are signatures over data (RFC 4880 §5.2.1).
    if fingerprint[-16:] != good[0].arguments[0] or kind not in ("00", "01") or _SECONDS.fullmatch(made) is None:
        return SignatureFlaw.UNREADABLE
    if digest in WEAK_DIGESTS:
        return SignatureFlaw.WEAK
    if primary not in allowed:
        return SignatureFlaw.UNKNOWN_KEY
    return GoodSignature(primary, datetime.fromtimestamp(int(made), UTC))


def judge_decryption(
    lines: Sequence[Status] | None, returncode: int, own: Collection[str]
) -> DecryptionFlaw | tuple[Status, ...]:
    """The status lines about signatures inside, where one plaintext was decrypted, whole, protected from changes, and
    by a key whose primary fingerprint is one of `own`."""
    if lines is None:
        return DecryptionFlaw.UNREADABLE
    words = [line.keyword for line in lines]
    if words.count("PLAINTEXT") > 1 or words.count("BEGIN_DECRYPTION") > 1 or words.count("END_DECRYPTION") > 1:
        return DecryptionFlaw.SEVERAL
    if "BEGIN_DECRYPTION" not in words:
        return DecryptionFlaw.NO_KEY if "ENC_TO" in words else DecryptionFlaw.NOT_ENCRYPTED
    keys = _of(lines, "DECRYPTION_KEY")
    if not keys:
        return DecryptionFlaw.NO_KEY
    info = _of(lines, "DECRYPTION_INFO")
    if len(info) == 1 and _unprotected(info[0]):
        return DecryptionFlaw.UNPROTECTED
    if "DECRYPTION_FAILED" in words or "BADMDC" in words or "DECRYPTION_OKAY" not in words:
        return DecryptionFlaw.DAMAGED
    inner = tuple(line for line in lines if line.keyword in _SIGNATURE | _BAD_SIGNATURE)
    rest = [line for line in lines if line not in inner]
    if returncode != 0 or not {line.keyword for line in rest} <= _DECRYPTION | _KEY_NOISE:
        return DecryptionFlaw.UNREADABLE
    if [word for word in words if word in _ORDER] != list(_ORDER) or not _within(words):
        return DecryptionFlaw.UNREADABLE
    if len(keys) != 1 or len(keys[0].arguments) < 2 or keys[0].arguments[1] not in own:
        return DecryptionFlaw.NO_KEY
    return inner


def _unprotected(info: Status) -> bool:
    # mdc_method sym_algo [aead_algo]; gpg 2.1 and older do not know the last.
    return all(word == "0" for word in (*info.arguments[:1], *info.arguments[2:3]))


def _within(words: Sequence[str]) -> bool:
    """Do the lines about signatures lie between the plaintext and the end of its encryption? Outside of it a signature
    would not be over what was encrypted."""
    first, last = words.index("PLAINTEXT"), words.index("DECRYPTION_OKAY")
    about = _SIGNATURE | _BAD_SIGNATURE
    return all(first < at < last for at, word in enumerate(words) if word in about)


def encrypted_whole(lines: Sequence[Status] | None, returncode: int) -> bool:
    """Did gpg encrypt everything, to each recipient?"""
    if lines is None or returncode != 0:
        return False
    words = [line.keyword for line in lines]
    allowed = {"BEGIN_ENCRYPTION", "END_ENCRYPTION", "BEGIN_SIGNING", "SIG_CREATED", *_KEY_NOISE, *_DECRYPTION}
    return words.count("BEGIN_ENCRYPTION") == words.count("END_ENCRYPTION") == 1 and set(words) <= allowed


def signed_by(lines: Sequence[Status] | None, returncode: int) -> str | None:
    """The fingerprint of the key that made the one signature; None where none, or more than one, was made."""
    if lines is None or returncode != 0:
        return None
    made = _of(lines, "SIG_CREATED")
    return made[0].arguments[-1] if len(made) == 1 and made[0].arguments else None


def failure(lines: Sequence[Status] | None, returncode: int) -> str:
    """What gpg's exit code and its codes of errors were, for a log: nothing that it took from a message."""
    codes = {line.arguments[1] for line in _of(lines or (), "FAILURE") if len(line.arguments) > 1}
    named = (f"error {int(code) & 0xFFFF}" for code in sorted(codes) if _SECONDS.fullmatch(code))
    return ", ".join([f"exit code {returncode}", *named])


def _of(lines: Sequence[Status], keyword: str) -> list[Status]:
    return [line for line in lines if line.keyword == keyword]
