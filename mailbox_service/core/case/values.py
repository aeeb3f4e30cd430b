"""A case as the rules see it, what may be done to it, and what comes of it: all of it plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from mailbox_service import errors
from mailbox_service.core.case.facts import Fact, Facts
from mailbox_service.core.case.stages import Event, Mail, Milestone, Party, Resolution, Stage
from mailbox_service.core.schedule import MONDAY_TO_FRIDAY, add_working_days


class Refused(errors.Refused):
    """The case does not allow it now. `legal` are the commands that it does allow, best for a person to read.

    `outside` is the text for who must not hear what somebody else did: it names nobody and no fact.
    """

    def __init__(self, text: str, legal: tuple[str, ...] = (), *, outside: str = "") -> None:
        super().__init__(text)
        self.legal = legal
        self.outside = outside or text


class Ask(StrEnum):
    """What a reporter is asked once in the life of a case, with the mail that fits."""

    CREDIT = "credit"
    SEVERITY = "severity"
    AI_DISCLOSURE = "ai_disclosure"


# The credit is asked when the report proved true; what the mailbox's policy asks, with the first question or answer.
ASKED_WITH: dict[Ask, frozenset[Mail]] = {
    Ask.CREDIT: frozenset({Mail.REPRODUCED, Mail.FIX_TO_VERIFY, Mail.FIX_VERIFIED}),
    Ask.SEVERITY: frozenset({Mail.REVIEWING, Mail.NEEDS_INFO, Mail.REPRODUCED}),
    Ask.AI_DISCLOSURE: frozenset({Mail.REVIEWING, Mail.NEEDS_INFO}),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a mailbox promises and asks. Times of day and working days are those of `zone`."""

    zone: tzinfo = UTC
    working_days: frozenset[int] = MONDAY_TO_FRIDAY  # of datetime.weekday()
    first_response_working_days: int = 2
    update_interval: timedelta = timedelta(days=7)
    info_reminder: timedelta = timedelta(days=7)
    info_close: timedelta = timedelta(days=30)
    embargo: timedelta = timedelta(days=90)
    verdict_within: timedelta = timedelta(days=7)  # the reporter's answer to a fix; without one the maintainers decide
    publication_delay: timedelta | None = None  # from the release to the advisory; None: not watched
    asks: frozenset[Ask] = frozenset({Ask.CREDIT})

    def first_response_after(self, opened_at: datetime) -> datetime:
        """By when a person answers what came in at `opened_at`, in `zone`."""
        local = opened_at.astimezone(self.zone)
        return add_working_days(local, self.first_response_working_days, self.working_days)


@dataclass(frozen=True, slots=True)
class CaseState:
    """One case. All times are UTC. What a mail to the reporter promised stands in `promised_at`."""

    ref: str
    opened_at: datetime
    stage: Stage = Stage.RECEIVED
    version: int = 0
    facts: Facts = field(default_factory=Facts)
    owner: str | None = None  # a maintainer's name
    reporters: tuple[str, ...] = ()  # addresses; of a merged case all of them, each sees only their own thread
    participants: tuple[str, ...] = ()  # invited addresses
    resolution: Resolution | None = None
    duplicate_of: str | None = None
    stage_since: datetime | None = None  # None: since it was opened
    answered_at: datetime | None = None  # the first mail that a person caused
    told_at: datetime | None = None  # the last one
    promised_at: datetime | None = None
    released_at: datetime | None = None
    published_at: datetime | None = None
    details_at: datetime | None = None
    asked: frozenset[Ask] = frozenset()
    reminded: bool = False  # the reporter, of what this `needs_info` asks

    @property
    def since(self) -> datetime:
        """When it came to its stage."""
        return self.stage_since or self.opened_at

    @property
    def done(self) -> frozenset[Milestone]:
        """The dates that are set."""
        return frozenset(date for date in Milestone if getattr(self, date.value) is not None)


# --- what may be done ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """To another stage. `facts` are recorded with it: the fixed version of a release, the address of an advisory."""

    event: Event  # one of `stages.MOVES`, but `closed`
    facts: tuple[tuple[Fact, str | datetime | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Close:
    """The end, with its reason. `duplicate_of` is a reference of ours, a CVE id or the address of something public."""

    resolution: Resolution
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A fact, read by `facts.READERS` or `facts.moment`; None takes it back."""

    fact: Fact
    value: str | datetime | None


@dataclass(frozen=True, slots=True)
class Assign:
    """Who looks after the case; None is nobody."""

    owner: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """Text for the maintainers."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Text for the reporters (of a maintainer), without a move. `promised_at`: the next word is promised by then."""

    promised_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The reporter would rather have it undone; the maintainers decide."""


@dataclass(frozen=True, slots=True)
class Invite:
    address: str


@dataclass(frozen=True, slots=True)
class Remove:
    address: str


@dataclass(frozen=True, slots=True)
class AddAddress:
    """A second address of a reporter, once both confirmed."""

    address: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Another case is taken in: its reporters hear of this one from now on, each in their own thread."""

    ref: str
    reporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A case that was taken in goes its own way again: `reporters`, who came with it, hear of this one no longer."""

    ref: str
    reporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remind:
    """The reporter is reminded of our questions (by the service, see `clocks`)."""


Action = (
    Move | Close | Record | Assign | Note | Reply | Withdraw | Invite | Remove | AddAddress | Merge | Split | Remind
)


# --- what comes of it ---------------------------------------------------------------------------------------------


class Audience(StrEnum):
    """To whom a mail goes. Addresses come from the database, never from a mail that came in."""

    REPORTERS = "reporters"  # each alone, in their own thread
    OTHER_MAINTAINERS = "other_maintainers"  # all but who acted; all when no maintainer did
    MAINTAINERS = "maintainers"
    OWNER = "owner"  # all maintainers where there is none
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Send:
    """One kind of mail to one audience. `with_text`: the text that came with the action stands in it."""

    mail: Mail
    to: Audience
    address: str = ""
    with_text: bool = False
    asks: tuple[Ask, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the journal. `actor` is a maintainer's name, `reporter` or `service`; `at` is when it was done."""

    event: Event
    actor: str
    at: datetime
    data: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `name` is a maintainer's; a reporter's stays out of the journal."""

    party: Party
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.party.value


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `apply` made. The state is stored only if the case still has `expected_version` (else: apply anew)."""

    state: CaseState
    expected_version: int
    entries: tuple[Entry, ...]
    mails: tuple[Send, ...]
