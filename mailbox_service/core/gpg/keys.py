"""Facts about OpenPGP keys, from gpg's listings in colons (GnuPG, doc/DETAILS, "Format of the colon listings")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile

from mailbox_service.core.display import harmless, shorten
from mailbox_service.core.gpg.status import FINGERPRINT, WEAK_DIGESTS

USER_IDS_SHOWN, USER_ID_CHARS = 20, 200
# What people are told ahead of an expiry.
WARNED_DAYS = (30, 14, 3)
# RFC 4880 §9.1 and RFC 6637 §5: RSA, Elgamal, DSA; those by curves are named by the curve.
_BY_SIZE = {"1": "rsa", "2": "rsa", "3": "rsa", "16": "elg", "17": "dsa"}
# NIST SP 800-131A: less than 112 bits of strength.
_LEAST_BITS = 2048
_STRONG_CURVES = re.compile(r"(?:ed|cv|x)(?:25519|448)|nistp(?:256|384|521)|brainpoolP(?:256|384|512)r1", re.ASCII)
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
_ADDRESS = re.compile(r"[^\s<>@\"(),:;\\\[\]]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SubkeyFacts:
    """A key below the primary one, or the primary one itself."""

    fingerprint: str
    algorithm: str  # "ed25519", "rsa4096"
    capabilities: str  # of e, s, c and a
    created_at: datetime
    expires_at: datetime | None
    usable: bool  # neither expired nor revoked nor invalid
    weakness: str = ""
    secret: bool = False  # the secret part is there


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A whole key as gpg found it at one moment. Texts are made harmless."""

    primary: SubkeyFacts
    subkeys: tuple[SubkeyFacts, ...] = ()
    user_ids: tuple[str, ...] = ()
    addresses: frozenset[str] = frozenset()  # of the valid user ids, in lower case
    revoked: bool = False
    expired: bool = False
    weakness: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        return self.primary.fingerprint

    @property
    def algorithm(self) -> str:
        return self.primary.algorithm

    @property
    def created_at(self) -> datetime:
        return self.primary.created_at

    def can(self, capability: str) -> bool:
        """Can it encrypt ("e") or sign ("s") now, strongly enough?"""
        return self.primary.usable and not self.weakness and bool(self._able(capability))

    def _able(self, capability: str) -> list[SubkeyFacts]:
        return [one for one in (self.primary, *self.subkeys) if one.usable and capability in one.capabilities]

    def can_secretly(self, capability: str) -> bool:
        """As `can`, with the secret part of the key that does it at hand."""
        return self.can(capability) and any(one.secret for one in self._able(capability))

    @property
    def expires_at(self) -> datetime | None:
        """When it stops to be good for something it is good for now; None for never."""
        ends = [self.primary.expires_at]
        for capability in "es":
            able = self._able(capability)
            if able and all(one.expires_at for one in able):
                ends.append(max(one.expires_at for one in able if one.expires_at))
        return min((end for end in ends if end is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Record:
    kind: str
    fields: tuple[str, ...]

    def __getitem__(self, number: int) -> str:
        """The field by its number in DETAILS, which counts from 1; "" where there is none."""
        return self.fields[number - 1] if number <= len(self.fields) else ""


def read_keys(listing: bytes) -> list[KeyFacts]:
    """The keys in a listing made with --with-colons, --fixed-list-mode and --list-sigs (or -K). What is no key in full
    is left out."""
    records = []
    for line in listing.decode("utf-8", "replace").split("\n"):
        fields = tuple(line.split(":"))
        records.append(_Record(fields[0], fields))
    heads = [at for at, record in enumerate(records) if record.kind in ("pub", "sec")]
    found = (_key(records[a:b]) for a, b in pairwise([*heads, len(records)]))
    return [key for key in found if key is not None]


def _key(records: Sequence[_Record]) -> KeyFacts | None:
    primary = _part(records)
    if primary is None:
        return None
    starts = [at for at, record in enumerate(records) if record.kind in ("sub", "ssb")]
    parts = [(records[at], _part(records[at:]), _until_next(records[at + 1 :])) for at in starts]
    subkeys = [
        replace(sub, weakness=sub.weakness or _weak_binding(below, primary))
        for _, sub, below in parts
        if sub is not None
    ]
    uids = [at for at, record in enumerate(records) if record.kind == "uid"]
    valid = [at for at in uids if records[at][2] not in ("r", "i", "n")]
    texts = [_text(records[at][10]) for at in uids]
    weakness = [one.weakness for one in (primary, *(s for s in subkeys if s.usable)) if one.weakness]
    if valid and all(_weak_binding(_until_next(records[at + 1 :]), primary) for at in valid):
        weakness.append("self-signatures by SHA-1 or worse")
    return KeyFacts(
        primary,
        tuple(subkeys),
        tuple(shorten(harmless(text), USER_ID_CHARS) for text in texts[:USER_IDS_SHOWN]),
        frozenset(a for at in valid if (a := address_of(_text(records[at][10])))),
        revoked=records[0][2] == "r",
        expired=records[0][2] == "e",
        weakness=tuple(dict.fromkeys(weakness)),
    )


def _until_next(records: Sequence[_Record]) -> list[_Record]:
    return list(takewhile(lambda record: record.kind not in ("uid", "uat", "sub", "ssb", "pub", "sec"), records))


def _part(records: Sequence[_Record]) -> SubkeyFacts | None:
    head = records[0]
    fingerprint = next((record[10] for record in _until_next(records[1:]) if record.kind == "fpr"), "")
    created, expires = _moment(head[6]), _moment(head[7])
    if FINGERPRINT.fullmatch(fingerprint) is None or created is None:
        return None
    algorithm = f"{_BY_SIZE[head[4]]}{head[3]}" if head[4] in _BY_SIZE else head[17]
    return SubkeyFacts(
        fingerprint,
        algorithm or f"algorithm {head[4]}",
        "".join(letter for letter in head[12] if letter in "esca"),
        created,
        expires,
        usable=head[2] not in ("i", "d", "r", "e", "n"),
        weakness=_weakness(head),
        # "+" or a token's serial number; "#" stands for a primary key that was left elsewhere.
        secret=head.kind in ("sec", "ssb") and head[15] != "#",
    )


def _weakness(head: _Record) -> str:
    if head[4] in _BY_SIZE:
        bits = int(head[3]) if head[3].isascii() and head[3].isdigit() else 0
        return f"{_BY_SIZE[head[4]]}{bits}" if bits < _LEAST_BITS else ""
    return "" if _STRONG_CURVES.fullmatch(head[17]) else f"unknown algorithm {head[4]}"


def _weak_binding(below: Iterable[_Record], primary: SubkeyFacts) -> str:
    """Are all of the primary key's signatures among these weak? None at all, as in listings of secret keys, are not."""
    own = [r for r in below if r.kind == "sig" and r[5] == primary.fingerprint[-16:] and r[16]]
    return "self-signatures by SHA-1 or worse" if own and all(r[16] in WEAK_DIGESTS for r in own) else ""


def _moment(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if re.fullmatch(r"[0-9]{1,11}", text, re.ASCII) else None


def _text(field: str) -> str:
    data = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), field)
    try:
        # gpg escapes single bytes of what it wrote in UTF-8.
        return data if data == field else data.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return data


def address_of(user_id: str) -> str:
    """The mail address of a user id, in lower case; "" where there is none, or it is not plain."""
    _, bracket, rest = user_id.rpartition("<")
    text = rest.removesuffix(">") if bracket and rest.endswith(">") else user_id.strip()
    return text.lower() if _ADDRESS.fullmatch(text) else ""


def days_warned(expires_at: datetime | None, now: datetime) -> int | None:
    """The narrowest of WARNED_DAYS that an expiry lies within; 0 when it is past; None when there is time."""
    if expires_at is None:
        return None
    if expires_at <= now:
        return 0
    return min((days for days in WARNED_DAYS if expires_at - now <= timedelta(days=days)), default=None)
