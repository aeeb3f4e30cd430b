"""What the templates of a case's mails are given: made-up examples, as in `contexts`, which takes them in.

Nearly all mails to people outside share one context, and nearly all mails to maintainers another.
"""

from __future__ import annotations

from typing import Any

Context = dict[str, Any]

PROJECT: Context = {"project_name": "Example", "mailbox_address": "security@example.org"}
CONTACTS = [{"label": "Matrix", "value": "#example:example.org"}]
CASE: Context = {**PROJECT, "reference": "SEC-2026-0042"}
NEXT = ["/reviewing", "/needs-info", "/reproduced", "/close"]
DUE = ["first answer by Friday, 27 November 2026 (UTC)"]

_IDENTITY: Context = {
    **PROJECT,
    "team_address": "team@example.org",
    "policy_url": "https://example.org/security",
    "contacts": CONTACTS,
}
_NEWS: Context = {**_IDENTITY, "reference": CASE["reference"]}
_FILES = [
    {
        "filename": "upload-handler.patch",
        "size": 2048,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }
]

# --- to reporters and invited people ------------------------------------------------------------------------------

_BARE: Context = {
    **_NEWS,
    "policy_url": None,
    "contacts": [],
    "stage": "reviewing",
    "text": "",
    "asks": [],
    "credit": None,
    "next_by": "",
    "answer_by": "",
    "embargo": "",
    "severity": "",
    "cve": "",
    "affects": "",
    "fixed": "",
    "advisory": "",
    "patch": "",
    "released_on": "",
    "published_on": "",
    "files": [],
    "resolution": "",
    "duplicate_of": "",
    "sealed": False,
}
_TOLD: Context = {
    **_BARE,
    **_NEWS,
    "text": "The handler takes the name from the header as it is.\nWe found a second place that does the same.",
    "next_by": "Thursday, 10 December 2026 (UTC)",
    "embargo": "2027-02-21 14:00 UTC",
    "credit": "Jane Doe <https://jane.example>",
}
_ASKED: Context = {**_TOLD, "credit": None, "asks": ["credit", "severity", "ai_disclosure"]}
_QUESTIONS: Context = {
    **_TOLD,
    "stage": "needs info",
    "text": "1. Which version, or which commit, did you look at?\n\n2. What does an attacker need to send the name?",
    "answer_by": "Friday, 25 December 2026 (UTC)",
    "next_by": "",
}
_TRUE: Context = {
    **_TOLD,
    "stage": "reproduced",
    "severity": "8.6 (high): CVSS:4.0/AV:N/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    "affects": "4.0.0 to 4.38.0",
    "cve": "CVE-2026-12345",
}
_TO_TRY: Context = {
    **_TRUE,
    "stage": "patched",
    "text": "Apply it to 4.38.0 with git am, and build as usual.",
    "answer_by": "Thursday, 17 December 2026 (UTC)",
    "next_by": "Thursday, 24 December 2026 (UTC)",
}
_OUT: Context = {**_TRUE, "stage": "released", "text": "", "fixed": "4.38.1", "released_on": "2027-02-21"}
_PUBLIC: Context = {
    **_OUT,
    "stage": "published",
    "advisory": "https://example.org/advisories/1",
    "published_on": "2027-02-21",
    "embargo": "",
    "next_by": "",
}
_ENDED: Context = {**_TOLD, "stage": "closed", "next_by": "", "embargo": ""}

_TO_PEOPLE: dict[str, tuple[Context, ...]] = {
    "reviewing": (_TOLD, {**_ASKED, "text": ""}, _BARE),
    "needs_info": (_QUESTIONS, {**_QUESTIONS, "asks": ["severity", "ai_disclosure"]}, _BARE),
    "info_received": (_TOLD, _BARE),
    "info_reminder": (_QUESTIONS, _BARE),
    "reproduced": (
        {**_TRUE, "asks": ["credit"], "credit": None},
        {**_TRUE, "asks": ["severity"], "severity": "", "cve": ""},
        _BARE,
    ),
    "fix_to_verify": (
        {**_TO_TRY, "files": _FILES},
        {**_TO_TRY, "patch": "https://example.org/fix.patch", "asks": ["credit"], "credit": None},
        _BARE,
    ),
    "fix_verified": (_TRUE, {**_TRUE, "credit": ""}, {**_ASKED, "asks": ["credit"]}, _BARE),
    "fix_failed": (_TOLD, _BARE),
    "released": (_OUT, {**_OUT, "embargo": ""}, _PUBLIC, _BARE),
    "published": (_PUBLIC, {**_PUBLIC, "credit": "", "text": "The exploit itself stays with us for a week."}, _BARE),
    "details_published": (_PUBLIC, _BARE),
    "resolved": ({**_PUBLIC, "stage": "closed", "resolution": "resolved"}, _BARE),
    "rejected": (
        {**_ENDED, "resolution": "not reproducible", "text": "We tried 4.38.0 and 4.37.5, each as a container."},
        {**_ENDED, "resolution": "not a vulnerability"},
        {**_ENDED, "resolution": "out of scope"},
        {**_BARE, "stage": "closed"},
    ),
    "duplicate": (
        {**_ENDED, "resolution": "duplicate", "text": ""},
        {**_ENDED, "resolution": "duplicate", "duplicate_of": "CVE-2026-12345"},
        _BARE,
    ),
    "withdrawn": ({**_ENDED, "resolution": "withdrawn", "text": ""}, _BARE),
    "unanswered": ({**_ENDED, "resolution": "no answer", "text": ""}, _BARE),
    "redirected": ({**_ENDED, "resolution": "redirected", "text": ""}, _BARE),
    "reopened": ({**_TOLD, "text": ""}, _BARE),
    "reply": ({**_TOLD, "text": "Hello Jane,\n\nyes, 4.37 is affected as well.\n\nThank you for asking."}, _BARE),
    "embargo": ({**_TOLD, "text": ""}, {**_TOLD, "embargo": ""}, _BARE),
    "invitation": (
        {**_TOLD, "text": "It seems to come from a function of your library."},
        _BARE,
        {**_BARE, "sealed": True},
    ),
    "goodbye": ({**_TOLD, "text": ""}, _BARE),
}

# --- to maintainers -------------------------------------------------------------------------------------------------

_CHANGED: Context = {
    **CASE,
    "unsure": False,
    "stage": "reproduced",
    "owner": "Ada",
    "who": "Ada",
    "what": ["moved the case to reproduced"],
    "text": "It works against 4.38.0 as well.\nThe second place is in the importer.",
    "text_for": "the reporter",
    "sent": ["the reporter was sent: reproduced"],
    "due": ["a word to the reporter by Thursday, 10 December 2026 (UTC)"],
    "next": ["/patched", "/needs-info", "/released", "/close"],
    "sealed": False,
    "message_number": 0,
    "attached": False,
    "withheld": "",
    "verified": True,
}
_ANSWERED: Context = {
    **_CHANGED,
    "who": "the reporter",
    "what": ["answered the questions", "moved the case to reviewing"],
    "stage": "reviewing",
    "owner": "",
    "text_for": "",
    "sent": ["the reporter was sent: info received"],
    "message_number": 23,
}
_WITHHELD: Context = {"attached": False, "withheld": "mailbox-service message export 23"}
_OF_MAINTAINERS: dict[str, tuple[Context, ...]] = {
    "changed": (
        _CHANGED,
        {**_ANSWERED, "attached": True, "unsure": True},
        {**_ANSWERED, **_WITHHELD, "verified": False, "sent": []},
        {**_ANSWERED, "sealed": True, "attached": True},
        {**_CHANGED, "text": "", "text_for": "", "sent": [], "due": [], "next": []},
    ),
    "withdrawal": (
        {**_ANSWERED, "what": ["asked to drop the report"], "sent": [], "text": "I was wrong, sorry for the noise."},
        {**_ANSWERED, "what": ["asked to drop the report"], "sent": [], "verified": False, "text": ""},
        {**_ANSWERED, "sealed": True, "due": [], "attached": True},
    ),
    "reminder": (
        {
            **_CHANGED,
            "who": "the service",
            "text": "",
            "text_for": "",
            "sent": [],
            "clock": "the reporter waits for a word from you",
            "end": "Thursday, 10 December 2026 (UTC)",
            "overdue": False,
        },
        {
            **_CHANGED,
            "who": "the service",
            "owner": "",
            "stage": "received",
            "text": "",
            "clock": "the reporter waits for the first answer of a person",
            "end": "Friday, 27 November 2026 (UTC)",
            "overdue": True,
            "unsure": True,
        },
    ),
    "kept_internal": ({**_CHANGED, "text_for": "the maintainers", "sent": []}, {**_CHANGED, "sealed": True, "due": []}),
}

# --- to one person who wrote to us ------------------------------------------------------------------------------------

_ANSWER: Context = {**CASE, "unsure": False, "party": "maintainer"}
_OF_REPORTER: Context = {"party": "reporter", "next": ["/fix-works", "/fix-fails"]}
_DONE: Context = {**_CHANGED, "party": "maintainer", "misplaced": []}
_REFUSED: Context = {
    **_ANSWER,
    "errors": ["/patched is not possible while SEC-2026-0042 is closed; possible now: /reopen"],
    "lines": ["/patched https://example.org/fix.patch", "/own"],
    "next": ["/reopen"],
}
_CONFIRMATION: Context = {
    **_ANSWER,
    "lines": ["/published https://example.org/advisories/1"],
    "what": ["the case is published, and the embargo ends", "the reporter is told"],
    "text": "Thank you all.",
    "until": "2026-11-26 09:15 UTC",
    "for_address": "",
    "by": "",
}
_PREVIEW: Context = {
    **_ANSWER,
    "to": ["the reporter: reviewing"],
    "files": [],
    "until": "2026-11-26 09:15 UTC",
    "text": "Hello,\n\nwe are looking into your report SEC-2026-0042 now.",
    "doubts": [],
    "lines": ["/reviewing"],
}
_STATUS: Context = {**_TRUE, **_ANSWER, "text": "", "owner": "Ada", "due": _CHANGED["due"], "next": _CHANGED["next"]}
OPEN_CASES: list[Context] = [
    {
        "reference": "SEC-2026-0042",
        "stage": "reproduced",
        "owner": "Ada",
        "due": "a word to the reporter by Thursday, 10 December 2026 (UTC)",
        "subject": "Path traversal in the upload handler",
    },
    {"reference": "SEC-2026-0043", "stage": "received", "owner": "", "due": "", "subject": "XSS in the login page"},
]
_HELP: Context = {
    **_ANSWER,
    "commands": [
        {"usage": "/reviewing", "summary": "somebody looks into it, or does so again", "example": "/reviewing"},
        {
            "usage": "/severity CVSS-VECTOR",
            "summary": "the severity, as a CVSS 4.0 or 3.1 vector",
            "example": "/severity CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        },
        {"usage": "/status", "summary": "where the case stands, and what comes next", "example": ""},
    ],
}
_HELP_OF_REPORTER: Context = {
    **_HELP,
    "party": "reporter",
    "commands": [
        {
            "usage": "/credit NAME [URL]",
            "summary": "how the reporter is named when it is published, or `anonymous`",
            "example": "/credit Jane Doe <https://jane.example>",
        },
        {"usage": "/withdraw", "summary": "asks the maintainers to drop the report", "example": "/withdraw"},
    ],
}
_TO_ONE: dict[str, tuple[Context, ...]] = {
    "done": (
        _DONE,
        {**_DONE, "what": ["moved the case to patched", "took the case"], "misplaced": ["/quiet", "/severity 9"]},
        {**_DONE, **_OF_REPORTER, "what": ["asked to be credited as Jane Doe"], "sent": [], "owner": "", "due": []},
        {
            **_DONE,
            "reference": "",
            "stage": "",
            "owner": "",
            "text": "",
            "text_for": "",
            "sent": [],
            "due": [],
            "next": [],
            "what": ["made M-17 a case", "released M-19"],
        },
        {**_DONE, "what": [], "sent": [], "owner": "", "unsure": True, "misplaced": ["/spam"]},
        {**_DONE, "sealed": True, "what": [], "sent": [], "misplaced": ["/spam"]},
        {**_DONE, **_OF_REPORTER, "sealed": True, "what": [], "sent": [], "owner": "", "due": [], "next": []},
    ),
    "refused": (
        _REFUSED,
        {
            **_REFUSED,
            "reference": "",
            "errors": ["/case: there is no message M-99"],
            "lines": ["/case M-99"],
            "next": [],
        },
        {**_REFUSED, **_OF_REPORTER, "errors": ["/fix-holds is no command; perhaps /fix-works?"], "lines": []},
    ),
    "confirmation": (
        _CONFIRMATION,
        {
            **_CONFIRMATION,
            "party": "reporter",
            "lines": ["/withdraw"],
            "what": ["the maintainers are told"],
            "text": "",
        },
        {
            **_CONFIRMATION,
            "party": "reporter",
            "lines": [],
            "what": ["jane@work.example gets our mails on SEC-2026-0042 too"],
            "text": "",
            "for_address": "jane@work.example",
        },
        {**_CONFIRMATION, "by": "Ada"},
    ),
    "preview": (
        _PREVIEW,
        {
            **_PREVIEW,
            "unsure": True,
            "doubts": ["lines of the internal mail that you answered stand in it"],
            "files": ["fix.patch"],
            "lines": [],
        },
    ),
    "case_status": (
        _STATUS,
        {**_STATUS, **_OF_REPORTER, **_PUBLIC, "party": "reporter", "owner": "", "due": []},
        {**_STATUS, **_QUESTIONS, "party": "reporter", "owner": "", "due": [], "next": [], "text": ""},
        {**_STATUS, **_BARE, "stage": "closed", "resolution": "duplicate", "duplicate_of": "SEC-2026-0001", "next": []},
    ),
    "case_list": ({**_IDENTITY, "cases": OPEN_CASES}, {**_IDENTITY, "policy_url": None, "cases": []}),
    "reminders": ({**PROJECT, "cases": OPEN_CASES, "more": 0}, {**PROJECT, "cases": OPEN_CASES, "more": 7}),
    "help": (_HELP, _HELP_OF_REPORTER, {**_HELP, "reference": ""}, {**_HELP_OF_REPORTER, "reference": ""}),
}

CASE_CONTEXTS: dict[str, tuple[Context, ...]] = {
    **_TO_PEOPLE,
    "sealed_news": (_NEWS, {**_NEWS, "policy_url": None, "contacts": []}),
    **_OF_MAINTAINERS,
    **_TO_ONE,
}
