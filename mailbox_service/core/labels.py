"""What people say that a message is, kept as examples to judge a sorter by."""

from __future__ import annotations

from enum import StrEnum


class Label(StrEnum):
    """What the message is."""

    SECURITY = "security"
    NOT_SECURITY = "not_security"
    SPAM = "spam"


class Said(StrEnum):
    """How it came to be said."""

    SORTED = "sorted"  # a person sorted the message
    CLOSED = "closed"  # a person closed the case that it had opened: it is none
    ANSWERED = "answered"  # its sender answered our redirect: it is about security after all; nobody has checked that
