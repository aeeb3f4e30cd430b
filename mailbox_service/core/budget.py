"""How often senders are answered automatically (RFC 3834 §2)."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from mailbox_service.core.evidence import organisational_domain
from mailbox_service.core.message import Address

Key = tuple[str, datetime]  # name of the budget, start of its window
# Domains of one provider under which a user has the same mailbox.
_SAME_MAILBOX = {
    "googlemail.com": "gmail.com",
    "protonmail.com": "proton.me",
    "protonmail.ch": "proton.me",
    "pm.me": "proton.me",
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
    "ya.ru": "yandex.ru",
    "yandex.com": "yandex.ru",
    "yandex.by": "yandex.ru",
    "yandex.kz": "yandex.ru",
}
# What these providers overlook in a local part; Yandex takes "-" and "." for one another, which comes to the same here.
_OVERLOOKED = {"gmail.com": ".", "proton.me": "._-", "yandex.ru": ".-"}


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Caps for authenticated mail; mail without an authentication result has half of each, counted apart."""

    sender_per_day: int = 10
    domain_per_day: int = 20
    per_hour: int = 200
    public_providers: frozenset[str] = frozenset()  # domains of many strangers: no cap per domain


SENDER_LIMIT = "the sender's daily limit is reached"
# Apart from SENDER_LIMIT, after which one mail a day follows: a forger could have one for each spelling.
SPELLING_LIMIT = "the sender's daily limit is reached, under this and other spellings of the address"
DOMAIN_LIMIT = "the daily limit of the sender's domain is reached"
SUBJECT_LIMIT = "the sender's weekly limit for one subject is reached"
HOUR_LIMIT = "the hourly limit is reached"


@dataclass(slots=True)
class AnswerBudget:
    """Counts answers against the limits. `used` is what is on file; `spent` what this unit of work adds."""

    used: Mapping[Key, int] = field(default_factory=dict)
    spent: dict[Key, int] = field(default_factory=dict)

    def take(
        self, mailbox: str, limits: AnswerLimits, sender: Address, subject: str, authenticated: bool, now: datetime
    ) -> str:
        """Take one answer out of the budgets, or say which limit forbids it ("" when it was taken)."""
        keys = answer_keys(mailbox, sender, subject, authenticated, now)
        share = 1 if authenticated else 2
        caps: tuple[tuple[Key, int, str], ...] = (
            (keys[0], limits.sender_per_day, SENDER_LIMIT if _person(sender) == sender.key else SPELLING_LIMIT),
            (keys[1], limits.domain_per_day, DOMAIN_LIMIT),
            (keys[2], limits.per_hour, HOUR_LIMIT),
            (keys[3], limits.sender_per_day, SUBJECT_LIMIT),
        )
        if ascii_domain(sender.domain) in limits.public_providers:
            caps = (caps[0], *caps[2:])
        for key, cap, refusal in caps:
            # At least one, so that halving a small cap does not silence everybody.
            if self._count(key) >= (max(cap // share, 1) if cap else 0):
                return refusal
        for key, _, _ in caps:
            self.spent[key] = self.spent.get(key, 0) + 1
        return ""

    def count(self, key: Key) -> int:
        """Add one to a plain counter and return what it stands at now."""
        self.spent[key] = self.spent.get(key, 0) + 1
        return self._count(key)

    def _count(self, key: Key) -> int:
        return self.used.get(key, 0) + self.spent.get(key, 0)


# Asked for twice in each batch: to read the budgets, and to take from them.
@lru_cache(maxsize=128)
def answer_keys(
    mailbox: str, sender: Address, subject: str, authenticated: bool, now: datetime
) -> tuple[Key, Key, Key, Key]:
    """The budgets that one answer counts against.

    The sender's day, the domain's day, the mailbox's hour, and the week of one subject of the sender: a robot that
    answers every mail and carries no sign of being one repeats its subject, and must come to rest.
    """
    kind = "authenticated" if authenticated else "unauthenticated"
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    domain = ascii_domain(sender.domain)
    return (
        (f"{mailbox}/{kind}/sender/{_person(sender)}", day),
        (f"{mailbox}/{kind}/domain/{organisational_domain(domain) or domain}", day),
        (f"{mailbox}/{kind}/hour", hour_of(now)),
        (f"{mailbox}/{kind}/subject/{sender.key}/{_alike(subject)}", day - timedelta(days=day.weekday())),
    )


def _alike(subject: str) -> str:
    """The same for subjects that differ in numbers, case and reply prefixes only."""
    words = "".join(c for c in subject.casefold() if not c.isdigit()).replace("[", " ").replace("]", " ").split()
    while words and words[0].endswith(":"):
        del words[0]
    return hashlib.sha256(" ".join(words).encode("utf-8", "replace")).hexdigest()[:16]


def _person(sender: Address) -> str:
    """One key for all the spellings that reach one person; else a forger fills a mailbox by varying them."""
    local, _, domain = sender.key.rpartition("@")
    domain = ascii_domain(domain)
    domain = _SAME_MAILBOX.get(domain, domain)
    if local.startswith('"') and local.endswith('"'):
        local = local[1:-1]  # the quotes are no part of it (RFC 5321 §4.1.2)
    local = unicodedata.normalize("NFKC", local).casefold()
    local = local.partition("+")[0] or local  # a detail (RFC 5233)
    for character in _OVERLOOKED.get(domain, ""):
        local = local.replace(character, "")
    return f"{local}@{domain}"


@lru_cache(maxsize=1024)
def ascii_domain(domain: str) -> str:
    """The domain that mail servers make of this one: width, case and dots mapped, then A-labels (RFC 5890, UTS 46)."""
    mapped = unicodedata.normalize("NFKC", domain).casefold().replace("\u3002", ".").strip(".")
    try:
        return mapped.encode("idna").decode("ascii")
    except UnicodeError:
        return mapped


def new_cases_key(mailbox: str, now: datetime) -> Key:
    """The counter of what maintainers are told at once in this hour: new cases, holds."""
    return (f"{mailbox}/cases", hour_of(now))


def messages_added_key(mailbox: str, now: datetime) -> Key:
    """The same for messages added to cases: a flood of new cases must not hide a conversation that is going on."""
    return (f"{mailbox}/messages", hour_of(now))


def in_maintainers_name_key(mailbox: str, maintainer: str, now: datetime) -> Key:
    """The counter of what came unproven in the name of a maintainer on this day."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return (f"{mailbox}/maintainer/{maintainer.lower()}", day)


def turns_key(mailbox: str, case: str, person: str, now: datetime) -> Key:
    """The counter of what one person wrote in one case in this hour."""
    return (f"{mailbox}/turns/{case}/{person.lower()}", hour_of(now))


def second_address_keys(mailbox: str, reporter: str, address: str, now: datetime) -> tuple[Key, Key]:
    """The counters of what a reporter has other addresses asked, and of what one address was asked, in three days."""
    window = hour_of(now).replace(hour=0) - timedelta(days=now.toordinal() % 3)
    return (
        (f"{mailbox}/second-address/by/{reporter.lower()}", window),
        (f"{mailbox}/second-address/of/{address.lower()}", window),
    )


def failures_key(mailbox: str, now: datetime) -> Key:
    """The counter of our mails that failed for good in this hour."""
    return (f"{mailbox}/failures", hour_of(now))


def bounces_key(mailbox: str, recipient: str, now: datetime) -> Key:
    """The counter of our mails to one maintainer that came back on this day."""
    return (f"{mailbox}/bounces/{recipient.lower()}", now.replace(hour=0, minute=0, second=0, microsecond=0))


def hour_of(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
