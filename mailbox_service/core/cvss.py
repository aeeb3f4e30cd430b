"""CVSS vectors: whether one is valid, and its one canonical spelling (FIRST, CVSS v3.1 and v4.0 specifications).

The one reader of vectors, from commands and from reports. No score is computed here: of CVSS 4.0 that takes a table of
270 entries, for which `sorting/triage/severity.py` has a library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

VECTOR_CHARS = 400  # all 32 metrics of version 4.0 take some 200

_HLN, _XHML = ("H", "L", "N"), ("X", "H", "M", "L")
_XHLN, _XSHLN = ("X", *_HLN), ("X", "S", *_HLN)

_V4: Mapping[str, tuple[str, ...]] = {
    "AV": ("N", "A", "L", "P"),
    "AC": ("L", "H"),
    "AT": ("N", "P"),
    "PR": ("N", "L", "H"),
    "UI": ("N", "P", "A"),
    **dict.fromkeys(("VC", "VI", "VA", "SC", "SI", "SA"), _HLN),
    "E": ("X", "A", "P", "U"),
    **dict.fromkeys(("CR", "IR", "AR"), _XHML),
    "MAV": ("X", "N", "A", "L", "P"),
    "MAC": ("X", "L", "H"),
    "MAT": ("X", "N", "P"),
    "MPR": ("X", "N", "L", "H"),
    "MUI": ("X", "N", "P", "A"),
    **dict.fromkeys(("MVC", "MVI", "MVA", "MSC"), _XHLN),
    **dict.fromkeys(("MSI", "MSA"), _XSHLN),
    "S": ("X", "N", "P"),
    "AU": ("X", "N", "Y"),
    "R": ("X", "A", "U", "I"),
    "V": ("X", "D", "C"),
    "RE": ("X", "L", "M", "H"),
    "U": ("X", "Clear", "Green", "Amber", "Red"),
}
_V3: Mapping[str, tuple[str, ...]] = {
    "AV": ("N", "A", "L", "P"),
    "AC": ("L", "H"),
    "PR": ("N", "L", "H"),
    "UI": ("N", "R"),
    "S": ("U", "C"),
    **dict.fromkeys(("C", "I", "A"), _HLN),
    "E": ("X", "U", "P", "F", "H"),
    "RL": ("X", "O", "T", "W", "U"),
    "RC": ("X", "U", "R", "C"),
    **dict.fromkeys(("CR", "IR", "AR"), _XHML),
    "MAV": ("X", "N", "A", "L", "P"),
    "MAC": ("X", "L", "H"),
    "MPR": ("X", "N", "L", "H"),
    "MUI": ("X", "N", "R"),
    "MS": ("X", "U", "C"),
    **dict.fromkeys(("MC", "MI", "MA"), _XHLN),
}
_VERSIONS = {"4.0": (_V4, 11), "3.1": (_V3, 8), "3.0": (_V3, 8)}  # the metrics, and how many of the first are required
_PREFIX = re.compile(r"cvss:?(3\.0|3\.1|4\.0)/", re.IGNORECASE)


class NoVector(ValueError):
    """The text is no CVSS vector; `str()` says what is wrong, for the person who wrote it."""


def vector(text: str) -> str:
    """The vector in its canonical spelling: metrics in the order of the specification, none twice, no `X`.

    Raises: NoVector.
    """
    text = text.strip().strip("()/")
    found = _PREFIX.match(text) if len(text) <= VECTOR_CHARS else None
    if found is None:
        raise NoVector("a CVSS vector begins with CVSS:4.0/ (or 3.1, 3.0), as in CVSS:4.0/AV:N/AC:L/…")
    metrics, required = _VERSIONS[found[1]]
    given: dict[str, str] = {}
    for piece in text[found.end() :].split("/"):
        name, value = _metric(piece, metrics)
        if name in given:
            raise NoVector(f"{name} stands twice in the vector")
        given[name] = value
    missing = [name for name in list(metrics)[:required] if name not in given]
    if missing:
        raise NoVector(f"the vector lacks {', '.join(missing)}")
    written = [f"{name}:{given[name]}" for name in metrics if given.get(name, "X") != "X"]
    return "/".join([f"CVSS:{found[1]}", *written])


def _metric(piece: str, metrics: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    name, _, value = piece.strip().partition(":")
    name = name.upper()
    allowed = metrics.get(name)
    if allowed is None:
        raise NoVector("the vector has a part that is no metric of its version")
    for known in allowed:
        if known.upper() == value.upper():
            return name, known
    raise NoVector(f"{name} is one of {', '.join(allowed)}")
