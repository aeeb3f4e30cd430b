"""What a text has of a good report, told by words and signs. Plain searches: some 0.1 ms for an ordinary mail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailbox_service.sorting.triage.vocabulary import (
    AI_DENIED,
    AI_MARKS,
    AI_TOLD,
    ASPECTS,
    COMMON,
    DETAILS,
    EVERYWHERE,
    MONEY,
    NO_MONEY,
    SCANNER_FINDINGS,
    SCANNERS,
)

# The language shows in so many words; below so few of them it does not.
WORDS_JUDGED: Final = 300
FEWEST_WORDS: Final = 20
SHARE_OF_COMMON: Final = 0.15
# In a short mail the report itself says what happens and how, in any words: "the code went to his phone".
STEPS_FROM_WORDS: Final = 40
IMPACT_FROM_WORDS: Final = 80
CHARACTERS_A_WORD: Final = 2  # of Chinese and Japanese
# Another language that has nearly as many of its own makes it doubtful.
AHEAD_OF_NEXT: Final = 1.25
FEWEST_CHARACTERS: Final = 30
FINDINGS_OF_A_SCANNER: Final = 2
SCANNERS_NAMED: Final = 3

_LANGUAGES: Final = {
    word: tuple(name for name, common in COMMON.items() if word in common)
    for common in COMMON.values()
    for word in common
}
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_KANA: Final = re.compile(r"[\u3040-\u30ff]")
_OTHER_ASIAN: Final = re.compile(r"[\uac00-\ud7af\u0e00-\u0eff]")
_WITHOUT_BLANKS: Final = ("zh", "ja")
_NUMBER: Final = re.compile(
    r"(?<!cvss:)(?<!cvss )(?<!cvss v)\b\d+\.\d|(?<!/)\bv\d|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}\b"
)
_LISTED: Final = re.compile(r"(?m)^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+\S")
# Letters that Russian has not: its relatives would pass for it.
_NOT_RUSSIAN: Final = re.compile(r"[іїєґўјљњћђѓќ]")


@dataclass(frozen=True, slots=True)
class Details:
    """What was found. `lacking` is empty where the text cannot be judged."""

    lacking: frozenset[str]  # of ASPECTS
    asks_for_money: bool
    scanners: tuple[str, ...]
    like_a_scanner: bool
    ai_told: bool
    ai_denied: bool
    ai_marks: bool


def look_into(text: str, *, has_files: bool, unread: bool, asks_about_ai: bool) -> Details:
    """`has_files`: something is attached; `unread`: and it may hold what is looked for here."""
    lowered = text.lower()
    language = None if unread else language_of(lowered)
    lacking = _lacking(lowered, language, has_files=has_files) if language else frozenset[str]()
    findings = sum(finding in lowered for finding in SCANNER_FINDINGS)
    return Details(
        lacking=lacking,
        asks_for_money=_any(MONEY, lowered) and not _any(NO_MONEY, lowered),
        scanners=tuple(name for name in SCANNERS if name in lowered)[:SCANNERS_NAMED],
        like_a_scanner=findings >= FINDINGS_OF_A_SCANNER and "proof" in lacking,
        ai_told=asks_about_ai and _any(AI_TOLD, lowered),
        ai_denied=asks_about_ai and _any(AI_DENIED, lowered),
        ai_marks=asks_about_ai and _any(AI_MARKS, lowered),
    )


def language_of(lowered: str) -> str | None:
    """The language of `lowered`, as its two letters, if it is one of ours and beyond doubt."""
    if not lowered.isascii() and (asian := _asian(lowered)) is not None:
        return asian or None
    words = lowered[: WORDS_JUDGED * 10].split()[:WORDS_JUDGED]
    if len(words) < FEWEST_WORDS:
        return None
    counts = dict.fromkeys(COMMON, 0)
    for word in words:
        for name in _LANGUAGES.get(word, ()):
            counts[name] += 1
    name = max(counts, key=counts.__getitem__)
    most, next_most = sorted(counts.values(), reverse=True)[:2]
    if most < SHARE_OF_COMMON * len(words) or most < AHEAD_OF_NEXT * next_most:
        return None
    if name == "ru" and ("ы" not in lowered or _NOT_RUSSIAN.search(lowered)):
        return None
    return name


def _asian(lowered: str) -> str | None:
    """zh or ja; "" for a script of Asia that we do not know; None where there is little of either."""
    kana, han = len(_KANA.findall(lowered)), len(_HAN.findall(lowered))
    if len(_OTHER_ASIAN.findall(lowered)) >= FEWEST_CHARACTERS:
        return ""
    if kana + han < FEWEST_CHARACTERS:
        return None
    if kana >= 0.1 * (kana + han):
        return "ja"
    return "zh" if kana <= 2 else ""


def _lacking(lowered: str, language: str, *, has_files: bool) -> frozenset[str]:
    words = len(lowered) // CHARACTERS_A_WORD if language in _WITHOUT_BLANKS else lowered.count(" ")
    present = {
        "version": _NUMBER.search(lowered) is not None,
        "steps": words < STEPS_FROM_WORDS or _LISTED.search(lowered) is not None,
        "impact": words < IMPACT_FROM_WORDS,
        "proof": has_files,
    }
    tables = (EVERYWHERE, DETAILS["en"], DETAILS[language])
    return frozenset(
        aspect
        for aspect in ASPECTS
        if not present[aspect] and not any(_any(table[aspect], lowered) for table in tables)
    )


def _any(parts: tuple[str, ...], lowered: str) -> bool:
    return any(part in lowered for part in parts)
