"""Severity vectors in a text: CVSS 4.0, 3.1 and 3.0, checked, spelled anew and scored (FIRST's specifications)."""

from __future__ import annotations

import re
from typing import Final

from mailbox_service.core import cvss

VECTORS_SCORED: Final = 5
# A vector has at most 32 metrics. With a prefix any shape is tried; without one only the whole base of CVSS 3.
_VECTOR: Final = re.compile(
    r"CVSS:(3\.[01]|4\.0)((?:/[A-Z]{1,3}:[A-Z]{1,6}){1,40})(?![/:A-Z0-9])"
    r"|(?<![/A-Z0-9:])(AV:[NALP]/AC:[LH]/PR:[NLH]/UI:[NR]/S:[UC](?:/[CIA]:[NLH]){3}(?:/[A-Z]{1,3}:[A-Z]{1,6}){0,16})(?![/:A-Z0-9])",
    re.IGNORECASE,
)


def severities(text: str) -> list[str]:
    """What vectors the text gives, each once: `gives a severity of 9.8 (critical): CVSS:3.1/AV:N/…`.

    One that is no vector of its version is named by the version only.
    """
    if "AV:" not in text and "av:" not in text.lower():
        return []
    found: dict[str, None] = {}
    for match in _VECTOR.finditer(text):
        version, metrics, bare = match.groups()
        found[_told(version or "3.1", metrics or f"/{bare}")] = None
        if len(found) >= VECTORS_SCORED:
            break
    return list(found)


def _told(version: str, metrics: str) -> str:
    try:
        vector = cvss.vector(f"CVSS:{version}{metrics}")
    except cvss.NoVector:
        return f"gives a CVSS {version} vector that is not valid"
    score, rating = _rated(vector)
    return f"gives a severity of {score} ({str(rating).lower()}): {vector}"


def _rated(vector: str) -> tuple[object, object]:
    # Few mails hold a vector, and memory is for those who use it. The library only counts: it refuses what people
    # write, such as small letters, and does not say what belongs there.
    from cvss import CVSS3, CVSS4

    if vector.startswith("CVSS:4.0"):
        four = CVSS4(vector)
        return four.base_score, four.severity
    three = CVSS3(vector)
    return three.scores()[0], three.severities()[0]
