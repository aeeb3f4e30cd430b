"""What each mail's template is given: made-up examples, which are at once the list of the keys and their types.

The first context of each is the preview; an operator's override is tried on all of them, so that a mistake in a branch
shows at start. `docs/templates.md` says what the keys mean, and a test holds the two together.
"""

from __future__ import annotations

from typing import Any

Context = dict[str, Any]

_PROJECT: Context = {"project_name": "Example", "mailbox_address": "security@example.org"}
_CONTACTS = [{"label": "Matrix", "value": "#example:example.org"}]
_CASE: Context = {**_PROJECT, "reference": "SEC-2026-0042"}
_SENT: Context = {
    "received_at": "2026-11-23 09:15 UTC",
    "sender": "mallory@example.net",
    "sender_display": "Mallory Example",
    "subject": "Path traversal in the upload handler",
    "text": "Hello,\n\nthe upload handler does not check for ../ in names.\n\nSteps: see the attached file.\n",
    "text_cut": False,
    "attachments": [{"filename": "poc.py", "type": "text/x-python", "size": 2048}],
    "message_number": 17,
    "attached": True,
    "withheld": "",
}
_NOTICE_CASE: Context = {
    **_CASE,
    **_SENT,
    "unsure": False,
    "sealed": False,
    "proof": "DMARC pass for example.net, says mx.example.org",
    "authenticated": True,
    "reasons": ["'path traversal' in the subject", "an attachment that looks like a proof of concept"],
    "relation": None,
    "answered": "was acknowledged",
}
_WITHHELD: Context = {
    "attached": False,
    "withheld": "the mail server refused it for its size or its content (552 5.3.4 message too big).",
}
_UNPROVEN: Context = {
    "authenticated": False,
    "proof": "no authentication result",
    "text_cut": True,
    "relation": "possibly SEC-2026-0007, which it refers to",
    "answered": "was not answered because the sender's limit for today is reached",
}
_NOTICE_MESSAGE: Context = {
    **_CASE,
    **_SENT,
    "author": "reporter",
    "verified": True,
    "sealed": False,
    "proof": "reply token and DMARC pass",
    "subject": "Re: [SEC-2026-0042] Your report to Example",
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
}
_DIGEST: Context = {
    **_PROJECT,
    "date": "2026-11-23",
    "redirected": [_LINE],
    "spam": 3,
    "unsure": [{**_LINE, "number": 18, "subject": "Urgent", "why": "found in Junk, sender not authenticated"}],
    "held": [{**_LINE, "number": 19, "subject": "(unreadable)", "why": "five attempts failed"}],
    "unanswered": [{**_LINE, "number": 20, "why": "10 answers to this sender today"}],
    "failures": [{**_LINE, "number": 4, "subject": "acknowledgement", "why": "550 5.1.1 user unknown"}],
}
_EMPTY_DIGEST: Context = {
    **_DIGEST,
    "redirected": [],
    "spam": 0,
    "unsure": [],
    "held": [],
    "unanswered": [],
    "failures": [],
}
_ACKNOWLEDGEMENT: Context = {
    **_CASE,
    "answer_by": "Wednesday, 25 November 2026 (UTC)",
    "policy_url": "https://example.org/security",
    "contacts": _CONTACTS,
    "sealed_hint": False,
}
_ACKNOWLEDGEMENT_COLLECTED: Context = {
    **_PROJECT,
    "references": ["SEC-2026-0042", "SEC-2026-0043"],
    "answer_by": "Wednesday, 25 November 2026 (UTC)",
    "policy_url": "https://example.org/security",
    "contacts": _CONTACTS,
}
_REDIRECT: Context = {
    **_PROJECT,
    "team_address": "team@example.org",
    "contacts": [*_CONTACTS, {"label": "Issues", "value": "https://example.org/issues"}],
}
_SUMMARY: Context = {
    **_PROJECT,
    "imported": False,
    "found": 128,
    "outcomes": [
        {"label": "reports", "count": 2},
        {"label": "not about security", "count": 96},
        {"label": "spam", "count": 30},
    ],
    "cases": _COLLECTED,
}
_ALARM: Context = {
    **_PROJECT,
    "what": "the IMAP server refuses the login",
    "since": "2026-11-23 09:15 UTC",
    "detail": "imap.example.org: [AUTHENTICATIONFAILED] Authentication failed.",
    "remedy": "check the user name and the password file, then run the doctor.",
}

CONTEXTS: dict[str, tuple[Context, ...]] = {
    "acknowledgement": (
        _ACKNOWLEDGEMENT,
        {**_ACKNOWLEDGEMENT, "policy_url": None, "contacts": [], "sealed_hint": True},
    ),
    "acknowledgement_collected": (
        _ACKNOWLEDGEMENT_COLLECTED,
        {**_ACKNOWLEDGEMENT_COLLECTED, "policy_url": None, "contacts": []},
    ),
    "redirect": (_REDIRECT, {**_REDIRECT, "contacts": []}),
    "notice_case": (
        _NOTICE_CASE,
        {**_NOTICE_CASE, **_UNPROVEN, **_WITHHELD, "unsure": True, "reasons": [], "attachments": []},
        {**_NOTICE_CASE, "sealed": True},
        {**_NOTICE_CASE, **_WITHHELD, "sealed": True},
    ),
    "notice_message": (
        _NOTICE_MESSAGE,
        {**_NOTICE_MESSAGE, **_WITHHELD, "author": "unknown", "verified": False, "text_cut": True, "attachments": []},
        {**_NOTICE_MESSAGE, "author": "maintainer"},
        {**_NOTICE_MESSAGE, "sealed": True},
        {**_NOTICE_MESSAGE, **_WITHHELD, "sealed": True},
    ),
    "notice_failure": (
        {
            **_CASE,
            "kind": "acknowledgement",
            "recipient_role": "reporter",
            "server_reply": "550 5.1.1 user unknown",
            "attempts": 1,
            "outbound_number": 4,
        },
    ),
    "cases_collected": ({**_PROJECT, "cases": _COLLECTED},),
    "digest": (_DIGEST, _EMPTY_DIGEST),
    "summary": (_SUMMARY, {**_SUMMARY, "imported": True, "cases": [], "outcomes": []}),
    "alarm": (_ALARM, {**_ALARM, "detail": ""}),
    "held": (
        {
            **_PROJECT,
            "message_number": 19,
            "received_at": "2026-11-23 09:15 UTC",
            "attempts": 5,
            "why": "the parser ran out of time",
        },
    ),
    "check_round_trip": ({**_PROJECT, "sent_at": "2026-11-23 09:15 UTC"},),
}
