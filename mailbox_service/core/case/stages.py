"""The stages of a case and the one table of what leads from one to another. Pages and tests are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a case stands in the disclosure process."""

    RECEIVED = "received"
    REVIEWING = "reviewing"
    NEEDS_INFO = "needs_info"
    REPRODUCED = "reproduced"
    PATCHED = "patched"
    FIX_VERIFIED = "fix_verified"
    RELEASED = "released"
    PUBLISHED = "published"
    CLOSED = "closed"


class Event(StrEnum):
    """What the journal records. Each event adds one to the version of its case."""

    OPENED = "opened"
    MESSAGE_ADDED = "message_added"
    AUTOMATIC_REPLY = "automatic_reply"
    BOUNCED = "bounced"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERY_UNKNOWN = "delivery_unknown"
    # What moves a case from stage to stage, see `TABLE`.
    REVIEWING = "reviewing"
    INFO_REQUESTED = "info_requested"
    INFO_GIVEN = "info_given"
    REPRODUCED = "reproduced"
    PATCHED = "patched"
    FIX_VERIFIED = "fix_verified"
    FIX_FAILED = "fix_failed"
    RELEASED = "released"
    PUBLISHED = "published"
    DETAILS_PUBLISHED = "details_published"
    CLOSED = "closed"
    REOPENED = "reopened"
    # What is done to a case without moving it.
    FACT_RECORDED = "fact_recorded"
    ASSIGNED = "assigned"
    NOTED = "noted"
    REPLIED = "replied"
    REMINDED = "reminded"
    WITHDRAWAL_ASKED = "withdrawal_asked"
    PARTICIPANT_INVITED = "participant_invited"
    PARTICIPANT_REMOVED = "participant_removed"
    ADDRESS_ADDED = "address_added"
    MERGED = "merged"
    SPLIT = "split"
    KEY_PINNED = "key_pinned"  # the OpenPGP key of a person of the case
    KEY_UNPINNED = "key_unpinned"


class Party(StrEnum):
    """Who does something to a case."""

    MAINTAINER = "maintainer"
    REPORTER = "reporter"
    SERVICE = "service"


class Mail(StrEnum):
    """The mails that a case causes."""

    # To the reporter.
    REVIEWING = "reviewing"
    NEEDS_INFO = "needs_info"
    INFO_RECEIVED = "info_received"
    INFO_REMINDER = "info_reminder"
    REPRODUCED = "reproduced"
    FIX_TO_VERIFY = "fix_to_verify"
    FIX_VERIFIED = "fix_verified"
    FIX_FAILED = "fix_failed"
    RELEASED = "released"
    PUBLISHED = "published"
    DETAILS_PUBLISHED = "details_published"
    RESOLVED = "resolved"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    WITHDRAWN = "withdrawn"
    UNANSWERED = "unanswered"
    REDIRECTED = "redirected"
    REOPENED = "reopened"
    REPLY = "reply"
    EMBARGO = "embargo"  # the agreed date, with hour and UTC, whenever it changes
    # To people who are, or shall be, part of the case.
    INVITATION = "invitation"
    GOODBYE = "goodbye"
    # To maintainers.
    CHANGED = "changed"  # what another maintainer, the reporter or the service did
    WITHDRAWAL = "withdrawal"
    REMINDER = "reminder"


class Resolution(StrEnum):
    """Why a case is closed."""

    RESOLVED = "resolved"
    NOT_REPRODUCIBLE = "not_reproducible"
    NOT_A_VULNERABILITY = "not_a_vulnerability"
    OUT_OF_SCOPE = "out_of_scope"
    DUPLICATE = "duplicate"
    WITHDRAWN = "withdrawn"
    NO_ANSWER = "no_answer"
    REDIRECTED = "redirected"
    SPAM = "spam"


# The mail that tells the reporter why. Spam alone is never answered: naming it is as explicit as /quiet.
CLOSING_MAIL: Mapping[Resolution, Mail | None] = {
    Resolution.RESOLVED: Mail.RESOLVED,
    Resolution.NOT_REPRODUCIBLE: Mail.REJECTED,
    Resolution.NOT_A_VULNERABILITY: Mail.REJECTED,
    Resolution.OUT_OF_SCOPE: Mail.REJECTED,
    Resolution.DUPLICATE: Mail.DUPLICATE,
    Resolution.WITHDRAWN: Mail.WITHDRAWN,
    Resolution.NO_ANSWER: Mail.UNANSWERED,
    Resolution.REDIRECTED: Mail.REDIRECTED,
    Resolution.SPAM: None,
}


class Milestone(StrEnum):
    """A date of the case that a transition sets; the value is its name in the case."""

    RELEASED = "released_at"
    PUBLISHED = "published_at"
    DETAILS = "details_at"


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of the table: where an event leads, who may cause it, and what the reporter hears."""

    to: Stage
    mail: Mail | None  # None: the resolution decides, see `CLOSING_MAIL`
    by: frozenset[Party] = frozenset({Party.MAINTAINER})
    sets: Milestone | None = None
    first: bool = False  # refused where the date is set already


_MR = frozenset({Party.MAINTAINER, Party.REPORTER})
_MS = frozenset({Party.MAINTAINER, Party.SERVICE})
_R = frozenset({Party.REPORTER})

_REVIEWING = Transition(Stage.REVIEWING, Mail.REVIEWING)
_NEEDS_INFO = Transition(Stage.NEEDS_INFO, Mail.NEEDS_INFO)
_REPRODUCED = Transition(Stage.REPRODUCED, Mail.REPRODUCED)
_PATCHED = Transition(Stage.PATCHED, Mail.FIX_TO_VERIFY)
_FIX_VERIFIED = Transition(Stage.FIX_VERIFIED, Mail.FIX_VERIFIED)
_FIX_FAILED = Transition(Stage.REPRODUCED, Mail.FIX_FAILED)
_RELEASED = Transition(Stage.RELEASED, Mail.RELEASED, sets=Milestone.RELEASED)
_PUBLISHED = Transition(Stage.PUBLISHED, Mail.PUBLISHED, sets=Milestone.PUBLISHED)
_CLOSED = Transition(Stage.CLOSED, None)

# What is not here is refused. A maintainer may skip ahead from everywhere, and go back as long as nothing is public;
# from `released` and `published` back leads only a fix that turns out to be none.
TABLE: Mapping[Stage, Mapping[Event, Transition]] = {
    Stage.RECEIVED: {
        Event.REVIEWING: _REVIEWING,
        Event.INFO_REQUESTED: _NEEDS_INFO,
        Event.REPRODUCED: _REPRODUCED,
        Event.PATCHED: _PATCHED,
        Event.FIX_VERIFIED: _FIX_VERIFIED,
        Event.RELEASED: _RELEASED,
        Event.PUBLISHED: _PUBLISHED,
        Event.CLOSED: _CLOSED,
    },
    Stage.REVIEWING: {
        Event.INFO_REQUESTED: _NEEDS_INFO,
        Event.REPRODUCED: _REPRODUCED,
        Event.PATCHED: _PATCHED,
        Event.FIX_VERIFIED: _FIX_VERIFIED,
        Event.RELEASED: _RELEASED,
        Event.PUBLISHED: _PUBLISHED,
        Event.CLOSED: _CLOSED,
    },
    Stage.NEEDS_INFO: {
        Event.REVIEWING: _REVIEWING,
        Event.INFO_REQUESTED: _NEEDS_INFO,  # more questions; the 30 days begin again
        Event.INFO_GIVEN: Transition(Stage.REVIEWING, Mail.INFO_RECEIVED, _R),
        Event.REPRODUCED: _REPRODUCED,
        Event.PATCHED: _PATCHED,
        Event.FIX_VERIFIED: _FIX_VERIFIED,
        Event.RELEASED: _RELEASED,
        Event.PUBLISHED: _PUBLISHED,
        Event.CLOSED: Transition(Stage.CLOSED, None, _MS),
    },
    Stage.REPRODUCED: {
        Event.REVIEWING: _REVIEWING,
        Event.INFO_REQUESTED: _NEEDS_INFO,
        Event.PATCHED: _PATCHED,
        Event.FIX_VERIFIED: _FIX_VERIFIED,
        Event.RELEASED: _RELEASED,
        Event.PUBLISHED: _PUBLISHED,
        Event.CLOSED: _CLOSED,
    },
    Stage.PATCHED: {
        Event.REVIEWING: _REVIEWING,
        Event.REPRODUCED: _REPRODUCED,
        Event.PATCHED: _PATCHED,  # another build to try
        Event.FIX_VERIFIED: Transition(Stage.FIX_VERIFIED, Mail.FIX_VERIFIED, _MR),
        Event.FIX_FAILED: Transition(Stage.REPRODUCED, Mail.FIX_FAILED, _MR),
        Event.RELEASED: _RELEASED,
        Event.PUBLISHED: _PUBLISHED,
        Event.CLOSED: _CLOSED,
    },
    Stage.FIX_VERIFIED: {
        Event.REVIEWING: _REVIEWING,
        Event.REPRODUCED: _REPRODUCED,
        Event.PATCHED: _PATCHED,
        Event.FIX_FAILED: Transition(Stage.REPRODUCED, Mail.FIX_FAILED, _MR),
        Event.RELEASED: _RELEASED,
        Event.PUBLISHED: _PUBLISHED,
        Event.CLOSED: _CLOSED,
    },
    Stage.RELEASED: {
        Event.FIX_FAILED: _FIX_FAILED,
        Event.PUBLISHED: _PUBLISHED,
        Event.CLOSED: _CLOSED,
    },
    Stage.PUBLISHED: {
        Event.FIX_FAILED: _FIX_FAILED,
        # The advisory came first: the case is as far as it gets, and the release is told of all the same.
        Event.RELEASED: Transition(Stage.PUBLISHED, Mail.RELEASED, sets=Milestone.RELEASED, first=True),
        Event.DETAILS_PUBLISHED: Transition(
            Stage.PUBLISHED, Mail.DETAILS_PUBLISHED, sets=Milestone.DETAILS, first=True
        ),
        Event.CLOSED: _CLOSED,
    },
    Stage.CLOSED: {
        Event.DETAILS_PUBLISHED: Transition(Stage.CLOSED, Mail.DETAILS_PUBLISHED, sets=Milestone.DETAILS, first=True),
        Event.REOPENED: Transition(Stage.REVIEWING, Mail.REOPENED),
    },
}

# The events that move a case, and how a maintainer writes each; `info_given` comes of the reporter's answer alone.
COMMANDS: Mapping[Event, str] = {
    Event.REVIEWING: "/reviewing",
    Event.INFO_REQUESTED: "/needs-info",
    Event.REPRODUCED: "/reproduced",
    Event.PATCHED: "/patched",
    Event.FIX_VERIFIED: "/verified",
    Event.FIX_FAILED: "/fix-fails",
    Event.RELEASED: "/released",
    Event.PUBLISHED: "/published",
    Event.DETAILS_PUBLISHED: "/details-published",
    Event.CLOSED: "/close",
    Event.REOPENED: "/reopen",
}
# A reporter's verdict on a fix has words of its own.
REPORTER_COMMANDS: Mapping[Event, str] = {Event.FIX_VERIFIED: "/fix-works", Event.FIX_FAILED: "/fix-fails"}
MOVES = frozenset({*COMMANDS, Event.INFO_GIVEN})


def moves_from(stage: Stage, party: Party, done: frozenset[Milestone] = frozenset()) -> dict[Event, Transition]:
    """What `party` may do in `stage`, the dates in `done` being set already."""
    return {
        event: transition
        for event, transition in TABLE[stage].items()
        if party in transition.by and not (transition.first and transition.sets in done)
    }


def spoken(name: str) -> str:
    """The name of a stage, an event, a mail or a resolution as it stands in a sentence."""
    return name.replace("_", " ")
