"""What each mail's template is given: made-up examples, which are at once the list of the keys and their types.

The first context of each is the preview; an operator's override is tried on all of them, so that a mistake in a branch
shows at start. `docs/templates.md` says what the keys mean, and a test holds the two together.
"""

from __future__ import annotations

from mailbox_service.adapters.templates.case_contexts import (
    CASE,
    CASE_CONTEXTS,
    CONTACTS,
    DUE,
    NEXT,
    OPEN_CASES,
    PROJECT,
    Context,
)

_SENT: Context = {
    "received_at": "2026-11-23 09:15 UTC",
    "sender": "mallory@example.net",
    "sender_display": "Mallory Example",
    "subject": "Path traversal in the upload handler",
    "text": "Hello,\n\nthe upload handler does not check for ../ in names.\n\nSteps: see the attached file.\n",
    "text_cut": False,
    "attachments": [{"filename": "poc.py", "type": "text/x-python", "size": "2 kB"}],
    "message_number": 17,
    "attached": True,
    "withheld": "",
}
_NOTICE_CASE: Context = {
    **CASE,
    **_SENT,
    "unsure": False,
    "sealed": False,
    "proof": "DMARC pass for example.net, says mx.example.org",
    "authenticated": True,
    "reasons": ["'path traversal' in the subject", "an attachment that looks like a proof of concept"],
    "sorted_as": "a report (report 97%, spam 1%)",
    "reasons_for": ["'path traversal' in the subject", "an attachment that looks like a proof of concept"],
    "reasons_against": ["words of a support question"],
    "hints": [
        "seems to lack the affected version",
        "gives a severity of 8.6 (high): CVSS:4.0/AV:N/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
        "may be about the same as SEC-2026-0031: much of the text is the same",
    ],
    "relation": None,
    "answered": "was acknowledged",
    "due": DUE,
    "next": NEXT,
}
_WITHHELD: Context = {
    "attached": False,
    "withheld": "mailbox-service message export 17",
}
_UNPROVEN: Context = {
    "authenticated": False,
    "proof": "no authentication result",
    "text_cut": True,
    "relation": "possibly SEC-2026-0007, which it refers to",
    "answered": "was not answered because the sender's limit for today is reached",
}
_NOTICE_MESSAGE: Context = {
    **CASE,
    **_SENT,
    "unsure": False,
    "from_maintainer": False,
    "verified": True,
    "sealed": False,
    "again": False,
    "proof": "reply token and DMARC pass",
    "subject": "Re: [SEC-2026-0042] Your report to Example",
    "due": DUE,
    "next": NEXT,
}
_COLLECTED: list[Context] = [
    {
        "reference": "SEC-2026-0042",
        "received_at": "2026-11-23 09:15 UTC",
        "sender": "mallory@example.net",
        "unsure": False,
    },
    {
        "reference": "SEC-2026-0043",
        "received_at": "2026-11-23 09:16 UTC",
        "sender": "trudy@example.com",
        "unsure": True,
    },
]
_LINE: Context = {
    "number": 17,
    "received_at": "2026-11-23 09:15 UTC",
    "sender": "trudy@example.com",
    "subject": "How do I reset my password?",
    "why": "no word of a vulnerability",
    "reference": None,
}
_DIGEST: Context = {
    **PROJECT,
    "redirect": [_LINE],
    "redirect_more": 0,
    "spam_count": 3,
    "unsure": [{**_LINE, "number": 18, "subject": "Ticket 4711: security", "why": "automatic reply"}],
    "unsure_more": 0,
    "hold": [{**_LINE, "number": 19, "subject": "(unreadable)", "why": "found in Junk, and unsure"}],
    "hold_more": 0,
    "unanswered": [{**_LINE, "number": 20, "why": "10 answers to this sender today", "reference": "SEC-2026-0042"}],
    "unanswered_more": 0,
    "undelivered": [{**_LINE, "number": 21, "why": "our redirect could not be delivered: 550 user unknown"}],
    "undelivered_more": 0,
    "open": [],
}
_MONDAY_DIGEST: Context = {**_DIGEST, "open": OPEN_CASES}
_LONG_DIGEST: Context = {
    **_DIGEST,
    "redirect_more": 5,
    "unsure_more": 5,
    "hold_more": 5,
    "unanswered_more": 5,
    "undelivered_more": 5,
}
_SPAM_DIGEST: Context = {**_DIGEST, "redirect": [], "unsure": [], "hold": [], "unanswered": [], "undelivered": []}
_OWN_KEY = "AC3F 5D1B 0E6C 7A42 9B1D 33C4 F2E8 6A70 5D9C 1B2E"
_ACKNOWLEDGEMENT: Context = {
    **CASE,
    "answer_by": "Wednesday, 25 November 2026 (UTC)",
    "policy_url": "https://example.org/security",
    "contacts": CONTACTS,
    "sealed_hint": False,
    "smime": False,
    "own_key": "",
}
_ACKNOWLEDGEMENT_COLLECTED: Context = {
    **PROJECT,
    "references": ["SEC-2026-0042", "SEC-2026-0043"],
    "more": 0,
    "answer_by": "Wednesday, 25 November 2026 (UTC)",
    "policy_url": "https://example.org/security",
    "contacts": CONTACTS,
    "own_key": "",
}
_REDIRECT: Context = {
    **PROJECT,
    "team_address": "team@example.org",
    "contacts": [*CONTACTS, {"label": "Issues", "value": "https://example.org/issues"}],
}
_SUMMARY: Context = {
    **PROJECT,
    "total": 128,
    "counts": {"case": 2, "redirect": 96, "spam": 30},
    "cases": _COLLECTED,
    "more": 0,
}
_FAILURE: Context = {
    **CASE,
    "kind": "acknowledgement",
    "role": "reporter",
    "recipient": "mallory@example.net",
    "reply": "550 5.1.1 user unknown",
    "outbound_number": 4,
}
_BOUNCE: Context = {
    **CASE,
    "kind": "acknowledgement",
    "role": "reporter",
    "recipient": "mallory@example.net",
    "status": "5.1.1",
    "permanent": True,
    "diagnostic": "550 5.1.1 <mallory@example.net>: user unknown",
    "outbound_number": 4,
    "message_number": 23,
}
_BOUNCE_OF_MAINTAINER: Context = {
    **_BOUNCE,
    "kind": "notice_case",
    "role": "maintainer",
    "recipient": "ada@example.org",
    "status": "4.2.2",
    "permanent": False,
    "diagnostic": "452 4.2.2 mailbox full",
}
_ALARM: Context = {
    **PROJECT,
    "name": "imap_login",
    "change": "raised",
    "what": "the IMAP server refuses the login",
    "meaning": "The IMAP server refuses our login, so no mail is fetched.",
    "remedy": "Correct the user name, the password or the server.",
    "since": "2026-11-23 09:15 UTC",
    "at": "2026-11-23 09:15 UTC",
}

_KEY: Context = {
    **CASE,
    "unsure": False,
    "old": _OWN_KEY,
    "new": "7710 E462 4C77 9DA0 84FC E98D 2858 0EB6 E309 5A45",
    "how": "It was done on the host, by ada on the host.",
    "at": "2026-11-23 09:15 UTC",
}
_KEY_OF_PERSON: Context = {
    **_KEY,
    "contacts": CONTACTS,
    "party": "reporter",
    "how": "The new key came with a mail that is signed by the one until now.",
}
_BY_HAND: Context = {"how": "Somebody who runs this service did it by hand."}
_NOTICE_KEY: Context = {**_KEY, "sealed": False, "address": "mallory@example.net"}

# What a mail was not given that an older version put into the outbox; it goes out without.
_UNTOLD: Context = {"sorted_as": "", "reasons": [], "reasons_for": [], "reasons_against": [], "hints": []}
_NO_CLOCKS: Context = {"due": [], "next": []}
_FOOT: Context = {"replies_go_out": False}
# The mails whose foot says who sees an answer: those to maintainers that belong to a case.
FOOTED = frozenset(
    {
        "notice_case",
        "notice_message",
        "notice_failure",
        "notice_bounce",
        "notice_key",
        "changed",
        "withdrawal",
        "reminder",
        "kept_internal",
        "preview",
        "done",
        "refused",
        "confirmation",
        "case_status",
        "help",
    }
)
# The mails that name the address by which the reporter is answered; it is known when they are composed.
ADDRESSED = frozenset({"notice_case", "notice_message", "changed", "withdrawal", "kept_internal"})
_ADDRESS: Context = {"answer_address": ""}
_REMARKS: Context = {"remarks": []}
_REMARKED = [
    "It came encrypted and is shown opened. It is not signed.",
    "Grace cannot read this: no key is pinned to them.",
]

SINCE: dict[str, Context] = {
    "acknowledgement": {"own_key": "", "smime": False},
    "acknowledgement_collected": {"own_key": ""},
    "changed": _REMARKS,
    "withdrawal": _REMARKS,
    "kept_internal": _REMARKS,
    "notice_failure": _FOOT,
    "notice_bounce": _FOOT,
    "notice_case": {key: value for key, value in _UNTOLD.items() if key != "reasons"} | _NO_CLOCKS | _FOOT | _REMARKS,
    "notice_message": {"unsure": False, "again": False, **_NO_CLOCKS, **_FOOT, **_REMARKS},
    "digest": {"open": []},
}

_EXAMPLES: dict[str, tuple[Context, ...]] = {
    "acknowledgement": (
        _ACKNOWLEDGEMENT,
        {**_ACKNOWLEDGEMENT, "policy_url": None, "contacts": [], "sealed_hint": True},
        {**_ACKNOWLEDGEMENT, "own_key": _OWN_KEY},
        {**_ACKNOWLEDGEMENT, "own_key": _OWN_KEY, "smime": True},
    ),
    "acknowledgement_collected": (
        _ACKNOWLEDGEMENT_COLLECTED,
        {**_ACKNOWLEDGEMENT_COLLECTED, "policy_url": None, "contacts": []},
        {**_ACKNOWLEDGEMENT_COLLECTED, "own_key": _OWN_KEY},
    ),
    "redirect": (_REDIRECT, {**_REDIRECT, "contacts": []}),
    "notice_case": (
        _NOTICE_CASE,
        {**_NOTICE_CASE, **_UNPROVEN, **_WITHHELD, **_UNTOLD, **_NO_CLOCKS, "unsure": True, "attachments": []},
        {**_NOTICE_CASE, "sealed": True},
        {**_NOTICE_CASE, **_WITHHELD, "sealed": True},
        {**_NOTICE_CASE, "remarks": _REMARKED},
    ),
    "notice_message": (
        _NOTICE_MESSAGE,
        {**_NOTICE_MESSAGE, **_WITHHELD, "verified": False, "text_cut": True, "attachments": [], "unsure": True},
        {**_NOTICE_MESSAGE, "from_maintainer": True},
        {**_NOTICE_MESSAGE, "sealed": True},
        {**_NOTICE_MESSAGE, **_WITHHELD, "sealed": True},
        {**_NOTICE_MESSAGE, "again": True, "remarks": _REMARKED},
        {**_NOTICE_MESSAGE, "again": True, "sealed": True, "attached": False},
    ),
    "notice_failure": (_FAILURE, {**_FAILURE, "reference": None}),
    "notice_bounce": (
        _BOUNCE,
        {**_BOUNCE, "status": "", "permanent": False, "diagnostic": "", "recipient": ""},
        _BOUNCE_OF_MAINTAINER,
        {**_BOUNCE_OF_MAINTAINER, "kind": "digest", "reference": None},
    ),
    "cases_collected": ({**PROJECT, "cases": _COLLECTED, "more": 0}, {**PROJECT, "cases": _COLLECTED, "more": 7}),
    "digest": (
        _DIGEST,
        _LONG_DIGEST,
        _SPAM_DIGEST,
        _MONDAY_DIGEST,
        {**_SPAM_DIGEST, "spam_count": 0, "open": OPEN_CASES},
    ),
    "summary": (_SUMMARY, {**_SUMMARY, "more": 5}, {**_SUMMARY, "cases": [], "counts": {}}),
    "alarm": (_ALARM, {**_ALARM, "change": "reminder", "at": "2026-11-24 09:15 UTC"}),
    "alarm_over": ({**_ALARM, "change": "over", "at": "2026-11-23 11:40 UTC"},),
    "held": (
        {
            **PROJECT,
            "message_number": 19,
            "received_at": "2026-11-23 09:15 UTC",
            "size": "12 kB",
            "why": "could not be worked in five attempts",
            "partial": False,
        },
    ),
    "canary": ({**PROJECT, "token": "canary-20261123T091500000000-0123456789abcdef0123456789abcdef"},),
    **CASE_CONTEXTS,
    "key_changed": (
        _KEY_OF_PERSON,
        {**_KEY_OF_PERSON, "old": "", "how": "The key came with a mail of yours.", "contacts": []},
        {**_KEY_OF_PERSON, **_BY_HAND, "new": "", "reference": "", "party": "maintainer", "unsure": True},
        {**_KEY_OF_PERSON, **_BY_HAND, "party": "maintainer", "unsure": True},
    ),
    "notice_key": (
        _NOTICE_KEY,
        {**_NOTICE_KEY, "sealed": True, "unsure": True},
        {**_NOTICE_KEY, "reference": "", "old": ""},
    ),
    "check_round_trip": ({**PROJECT, "sent_at": "2026-11-23 09:15 UTC"},),
}

SINCE = {name: SINCE.get(name, {}) | (_ADDRESS if name in ADDRESSED else {}) for name in SINCE.keys() | ADDRESSED}

REMARKED = frozenset({"notice_case", "notice_message", "changed", "withdrawal", "kept_internal"})

CONTEXTS: dict[str, tuple[Context, ...]] = {
    name: tuple(
        (_REMARKS if name in REMARKED else {})
        | context
        | (_FOOT if name in FOOTED else {})
        | (_ADDRESS if name in ADDRESSED else {})
        for context in examples
    )
    for name, examples in _EXAMPLES.items()
}
