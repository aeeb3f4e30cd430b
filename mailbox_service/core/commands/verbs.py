"""The one grammar: each command, who may write it, what stands behind it. Parser and pages are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailbox_service.core.case import Event, Party

MAINTAINERS = frozenset({Party.MAINTAINER})
REPORTERS = frozenset({Party.REPORTER})
BOTH = MAINTAINERS | REPORTERS


class Takes(StrEnum):
    """What stands behind a command on its line; the value is how pages write it."""

    NOTHING = ""
    TEXT = "[text]"
    STAGE = "STAGE"
    RESOLUTION = "RESOLUTION [text]"
    ORIGINAL = "REF [text]"
    CASE = "REF"
    PERSON = "NAME"
    VECTOR = "CVSS-VECTOR"
    CVE = "CVE-ID"
    RANGE = "RANGE"
    VERSIONS = "VERSION"
    MAYBE_VERSION = "[VERSION]"
    URL = "URL"
    MAYBE_URL = "[URL]"
    CREDIT = "NAME [URL]"
    MOMENT = "DATE [TIME] [ZONE]"
    ADDRESS = "ADDRESS"
    MESSAGE = "M-NUMBER"
    MAYBE_MESSAGE = "[M-NUMBER]"


class TextFor(StrEnum):
    """Where the text below the commands goes; the value is how pages say it."""

    NOTE = "the maintainers"
    REPORTER = "the reporter"
    INVITED = "the invited person"


class Weight(StrEnum):
    """How much proof of the author a command needs (docs/security.md has what each means)."""

    READ = "read"
    NOTE = "note"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


class Place(StrEnum):
    """Which mails of ours a command may answer."""

    CASE = "case"
    DIGEST = "digest"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Verb:
    """One command. `moves` is the transition that it asks for, `text_for` says whom the text below it is for."""

    name: str
    takes: Takes
    summary: str
    example: str
    weight: Weight = Weight.REVERSIBLE
    who: frozenset[Party] = MAINTAINERS
    place: Place = Place.CASE
    moves: Event | None = None
    text_for: TextFor | None = None
    text_required: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """`/name ARGUMENT`, as pages and errors write it."""
        return f"/{self.name} {self.takes.value}".rstrip()


_R, _I = Weight.REVERSIBLE, Weight.IRREVERSIBLE

VERBS: tuple[Verb, ...] = (
    # --- the stages
    Verb(
        "stage",
        Takes.STAGE,
        "moves the case; each stage has a short form of its own, below",
        "/stage reviewing",
    ),
    Verb(
        "reviewing",
        Takes.NOTHING,
        "somebody looks into it, or does so again",
        "/reviewing",
        moves=Event.REVIEWING,
        aliases=("review",),
    ),
    Verb(
        "needs-info",
        Takes.TEXT,
        "asks the reporter the questions written below; after 7 days they are reminded, after 30 "
        "the case closes with a way back",
        "/needs-info",
        moves=Event.INFO_REQUESTED,
        text_for=TextFor.REPORTER,
        text_required=True,
        aliases=("needsinfo", "need-info"),
    ),
    Verb(
        "reproduced",
        Takes.NOTHING,
        "the report is true; asks once how the reporter wants to be credited",
        "/reproduced",
        moves=Event.REPRODUCED,  # no alias "confirmed": a slip in writing /confirm must not move the case
    ),
    Verb(
        "patched",
        Takes.MAYBE_URL,
        "gives the reporter the fix to try: attached, or at the address",
        "/patched https://example.org/fix.patch",
        moves=Event.PATCHED,
        text_for=TextFor.REPORTER,
    ),
    Verb(
        "verified",
        Takes.NOTHING,
        "the fix holds",
        "/verified",
        moves=Event.FIX_VERIFIED,
        aliases=("fix-verified",),
    ),
    Verb(
        "fix-fails",
        Takes.NOTHING,
        "the fix does not hold: back to reproduced",
        "/fix-fails",
        who=BOTH,
        moves=Event.FIX_FAILED,
        aliases=("fix-failed", "fix-fail"),
    ),
    Verb(
        "fix-works",
        Takes.NOTHING,
        "the fix holds; your verdict on the fix that we sent you",
        "/fix-works",
        who=REPORTERS,
        moves=Event.FIX_VERIFIED,
        aliases=("fix-worked", "fix-work"),
    ),
    Verb(
        "released",
        Takes.MAYBE_VERSION,
        "the fixed version is out",
        "/released 4.38.1",
        moves=Event.RELEASED,
    ),
    Verb(
        "published",
        Takes.URL,
        "the advisory is out; ends the embargo",
        "/published https://example.org/advisories/1",
        _I,
        moves=Event.PUBLISHED,
    ),
    Verb(
        "details-published",
        Takes.URL,
        "what was held back at first is public now",
        "/details-published https://example.org/details",
        _I,
        moves=Event.DETAILS_PUBLISHED,
    ),
    Verb(
        "close",
        Takes.RESOLUTION,
        "closes the case, with the reason; see below for the resolutions",
        "/close not-reproducible",
        moves=Event.CLOSED,
        text_for=TextFor.REPORTER,
        aliases=("closed",),
    ),
    Verb(
        "duplicate",
        Takes.ORIGINAL,
        "closes it as a duplicate of a case of ours, of a CVE id, or of something public",
        "/duplicate SEC-2026-0001",
        moves=Event.CLOSED,
        text_for=TextFor.REPORTER,
        aliases=("dup", "duplicate-of"),
    ),
    Verb(
        "reopen",
        Takes.NOTHING,
        "a closed case is reviewed again",
        "/reopen",
        moves=Event.REOPENED,
        aliases=("reopened",),
    ),
    Verb(
        "not-security",
        Takes.NOTHING,
        "closes it and shows the writer the way to the team",
        "/not-security",
        moves=Event.CLOSED,
        aliases=("not-a-security-issue", "redirect"),
    ),
    Verb(
        "spam",
        Takes.MAYBE_MESSAGE,
        "closes the case as spam, or calls the message of a digest spam; nobody is answered",
        "/spam",
        place=Place.ANY,
        moves=Event.CLOSED,
    ),
    # --- what is known
    Verb("own", Takes.NOTHING, "you look after the case", "/own", aliases=("mine",)),
    Verb("assign", Takes.PERSON, "a maintainer looks after it, or nobody", "/assign Anna"),
    Verb(
        "severity",
        Takes.VECTOR,
        "the severity, as a CVSS 4.0 or 3.1 vector",
        "/severity CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        aliases=("cvss",),
    ),
    Verb("cve", Takes.CVE, "the CVE id", "/cve CVE-2026-12345"),
    Verb("affects", Takes.RANGE, "the affected versions", "/affects 4.0.0 to 4.38.0", aliases=("affected",)),
    Verb("fixed", Takes.VERSIONS, "the fixed version or versions", "/fixed 4.38.1", aliases=("fixed-in",)),
    Verb(
        "credit",
        Takes.CREDIT,
        "how the reporter is named when it is published, or `anonymous`",
        "/credit Jane Doe <https://jane.example>",
        who=BOTH,
    ),
    Verb(
        "embargo",
        Takes.MOMENT,
        "until when it is kept confidential, or `none`; the reporter hears of it",
        "/embargo 2026-12-24 14:00 Europe/Berlin",
        _I,
    ),
    # --- words
    Verb(
        "note",
        Takes.TEXT,
        "the text stays with the maintainers, also with a command that would send it",
        "/note",
        Weight.NOTE,
        text_for=TextFor.NOTE,
        text_required=True,
    ),
    Verb(
        "reply",
        Takes.TEXT,
        "the text goes to the reporter, without your name, signature and quotes",
        "/reply",
        text_for=TextFor.REPORTER,
        text_required=True,
        aliases=("answer",),
    ),
    Verb("send", Takes.NOTHING, "your last internal note goes to the reporter after all", "/send"),
    Verb(
        "preview", Takes.NOTHING, "sends nothing and shows you what would go to the reporter", "/preview", Weight.READ
    ),
    Verb("quiet", Takes.NOTHING, "the stage of this mail changes without a mail to the reporter", "/quiet"),
    # --- people and cases
    Verb(
        "invite",
        Takes.ADDRESS,
        "somebody else takes part, such as an upstream developer; once they do, the text below goes to them",
        "/invite dev@upstream.example",
        _I,
        text_for=TextFor.INVITED,
    ),
    Verb(
        "remove",
        Takes.ADDRESS,
        "an invited person takes part no longer",
        "/remove dev@upstream.example",
        aliases=("uninvite",),
    ),
    Verb(
        "merge",
        Takes.CASE,
        "takes in a case about the same thing; each reporter sees only their own thread",
        "/merge SEC-2026-0002",
    ),
    Verb(
        "withdraw",
        Takes.NOTHING,
        "asks the maintainers to drop the report",
        "/withdraw",
        who=REPORTERS,
    ),
    Verb(
        "second-address",
        Takes.ADDRESS,
        "adds another address of yours; both are asked to confirm",
        "/second-address jane@work.example",
        who=REPORTERS,
        aliases=("address", "add-address"),
    ),
    # Alone in its mail: it says yes to commands of another mail, and must not be mistaken for some of its own.
    Verb(
        "confirm",
        Takes.NOTHING,
        "yes, do what we asked you about; answers that mail of ours, alone, and counts once",
        "/confirm",
        Weight.READ,  # by itself; what waits for it has a weight of its own
        BOTH,
        Place.ANY,
    ),
    # --- looking
    Verb("status", Takes.NOTHING, "where the case stands, and what comes next", "/status", Weight.READ, BOTH),
    Verb("list", Takes.NOTHING, "your open cases", "/list", Weight.READ, place=Place.ANY),
    Verb("help", Takes.NOTHING, "what you can do", "/help", Weight.READ, BOTH, Place.ANY, aliases=("?",)),
    # --- answers to a digest
    Verb("case", Takes.MESSAGE, "the message is a report: a case is opened", "/case M-12", place=Place.DIGEST),
    Verb("release", Takes.MESSAGE, "a held message goes on", "/release M-13", place=Place.DIGEST),
)
