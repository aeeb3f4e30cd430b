"""Bodies made to cost: finding the new text takes time in proportion to their size, and little of it."""

from __future__ import annotations

import time

import pytest

from mailbox_service.core.message.reading import TEXT_LIMIT_CHARS
from mailbox_service.core.newtext import anonymous, echoes, newly_written

CPU_SECONDS = 1.0

BODIES = {
    "one line": "a",
    "empty lines": "\n",
    "carriage returns": "\r",
    "quotes": "> a\n",
    "quote marks": ">" * 500 + "\n",
    "attributions": "On 23 Nov 2026 at 12:00 Jane <j@x.example> wrote:\n",
    "attributions that never end": "On 23 Nov 2026 at 12:00 Jane <j@x.example>\n",
    "attributions without verbs": "on 1 @\n",
    "verbs": "wrote schrieb\n",
    "attributions in one line": "On 23 Nov 2026 at 12:00 wrote ",
    "headers": "From: a\n",
    "headers in turn": "From: a\nTo: b\nCc: c\n",
    "headers and blanks": "From: a\n\n",
    "rules": "_" * 40 + "\n",
    "rules and blank lines": "_" * 40 + "\n\n\n\n",
    "delimiters": "-- \n",
    "phones": "Sent from my iPhone\n",
    "separators": "----- a -----\n",
    "times": "1:1 " * 100 + "@\n",
    "bars": "|\n",
    "names": "anna> \n",
    "marks": "*" * 400 + "\n",
    "invisible": "\u200b" * 400 + "\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_costs_less_than_a_second(name: str) -> None:
    unit = BODIES[name]
    body = unit * (TEXT_LIMIT_CHARS // len(unit))
    begun = time.thread_time()
    new = newly_written(body, markers=["nobody writes this"])
    anonymous(new.text, ["Anna Berg"])
    echoes(new.text, body[:20_000])
    assert time.thread_time() - begun < CPU_SECONDS
