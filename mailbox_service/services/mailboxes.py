"""What the services know of a watched mailbox: its identity, its people and its policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from mailbox_service.core.budget import AnswerLimits
from mailbox_service.core.case import Ask, Policy
from mailbox_service.core.commands import TextFor
from mailbox_service.core.display import harmless


@dataclass(frozen=True, slots=True)
class Contact:
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Maintainer:
    name: str
    address: str
    signed_only: bool = False  # nothing less than a signature counts (core/authority, Demand.SIGNED)


@dataclass(frozen=True, slots=True)
class Notices:
    """How maintainers are told."""

    attachment_limit_bytes: int = 5_000_000
    collect_above_per_hour: int = 20
    collect_every: timedelta = timedelta(minutes=15)
    digest_at: time = time(7, 0)  # UTC


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """How often the mailbox writes to itself, and when that mail must have come back."""

    interval: timedelta
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One watched address."""

    name: str
    address: str
    project_name: str
    team_address: str
    maintainers: tuple[Maintainer, ...]
    strict: bool = False  # maintainers sign what they ask for (core/authority, Demand.STRICT)
    aliases: tuple[str, ...] = ()
    contacts: tuple[Contact, ...] = ()
    policy_url: str | None = None
    reference: str = "SEC-{year}-{number:04d}"
    policy: Policy = field(default_factory=Policy)  # of its cases
    maintainer_reply: TextFor = TextFor.NOTE  # where a maintainer's answer without a command goes
    authserv_id: str | None = None
    dkim: bool = True  # without an authserv_id, DKIM signatures of answers are verified by ourselves
    answer_backlog: bool = False
    ack_unauthenticated: bool = True
    shadow: bool = False
    limits: AnswerLimits = field(default_factory=AnswerLimits)
    notices: Notices = field(default_factory=Notices)
    canary: CanaryPlan | None = None
    openpgp: bool = False  # it has keyrings, so what is sealed can be read and written
    reply_to: str | None = None  # the Reply-To, with a place for the token of each mail
    bounce_address: str | None = None  # the envelope sender, perhaps with a place for the token of each mail

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def asks_about_ai(self) -> bool:
        """Whether reporters are asked to say if they used AI."""
        return Ask.AI_DISCLOSURE in self.policy.asks

    @property
    def envelope_from(self) -> str:
        """The envelope sender, or the pattern that makes one for each mail (core/bounce_address.py)."""
        return self.bounce_address or self.address

    @property
    def own_addresses(self) -> frozenset[str]:
        """Lower-cased addresses that are ours."""
        return frozenset(a.lower() for a in (self.address, *self.aliases))

    def is_maintainer(self, address: str) -> bool:
        return any(m.address.lower() == address.lower() for m in self.maintainers)

    def identity(self) -> dict[str, object]:
        """What every mail template may say of the mailbox."""
        return {
            "project_name": self.project_name,
            "mailbox_address": self.address,
            "team_address": self.team_address,
            "policy_url": self.policy_url,
            "replies_go_out": self.maintainer_reply is TextFor.REPORTER,
            "contacts": [{"label": c.label, "value": c.value} for c in self.contacts],
        }

    def answer_by(self, now: datetime) -> str:
        """The promised date of the first human answer, as mails write it."""
        return written_date(self.policy.first_response_after(now))


Mailboxes = Mapping[str, Mailbox]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


def written_date(moment: datetime) -> str:
    """`Wednesday, 25 November 2026 (UTC)`, with the moment's own zone; no locale changes what reporters read."""
    return f"{_DAYS[moment.weekday()]}, {moment.day} {_MONTHS[moment.month - 1]} {moment.year} ({moment.tzinfo})"


def written_moment(moment: datetime) -> str:
    """`2026-12-24 14:00 UTC`, of a moment in UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def clean(text: str, limit_chars: int = 300) -> str:
    """One harmless line of text from mail."""
    return harmless(text)[:limit_chars].strip()
