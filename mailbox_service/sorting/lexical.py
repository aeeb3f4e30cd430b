"""The first sorter: a hand-weighted, explainable score over words, ideas and signals. No training, no dependencies."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, fsum
from typing import Final

from mailbox_service.sorting import Outcome, Reason, Sortable, Verdict
from mailbox_service.sorting.hints import CODE, HINT_FROM, POSTSCRIPT
from mailbox_service.sorting.reading import (
    MAIL_LIMIT_CHARS,
    TEXT_LIMIT_CHARS,
    Piece,
    Reading,
    filename_hits,
    signals_in,
)
from mailbox_service.sorting.tables import (
    HINT,
    HINT_WEIGHT,
    NOT_SECURITY,
    ORDINARY_SUBJECT,
    SECURITY,
    SPAM,
    Hit,
    Lexicon,
    hit_of,
    lexicon,
)

# --- limits and thresholds ------------------------------------------------------------------------------------------

REASON_LIMIT: Final = 12

# Log-odds before any evidence. Mail to a security address is a report far more often than other mail is; still most of
# what says nothing of the kind is support and sales.
SECURITY_BASE: Final = -2.7
SPAM_BASE: Final = -4.8
# Each further piece of evidence counts this much of the one before: many weak words are not a proof.
SECURITY_DECAY: Final = 0.65
PIECE_DECAY: Final = 0.6
SPAM_DECAY: Final = 0.9
# What speaks against a report never takes away more than this from its own paragraph.
AGAINST_LIMIT: Final = 1.6
# Extortion and phishing speak of attacks too: a strong word of spam counts so much against a report beside it.
SPAM_AGAINST_FROM: Final = 4.0
SPAM_AGAINST: Final = 0.8
QUOTED_DISCOUNT: Final = 0.8
# Ordinary subjects weigh this much and do not speak against a report beside them. A mail is called "not security" only
# when they add up to this: it was understood, and it is about something else.
ORDINARY: Final = 0.3
ORDINARY_FROM: Final = 0.75
# What lies among code and addresses must say twice as clearly that it is about something else.
ORDINARY_FROM_WITH_CODE: Final = 1.0
# One subject must be as clear as this.
PURPOSE_FROM: Final = 0.6
# A report may be one sentence among thanks and questions: none of this many words may pass without a word we know.
SILENT_WORDS: Final = 12
# In a long mail such a sentence is told apart by its share of the whole: long mail is full of words no table has.
SILENT_SHARE: Final = 0.2

# Missing a report is far worse than an extra case: already one chance in ten of a report is "unsure".
SECURITY_FROM: Final = 0.6
UNSURE_FROM: Final = 0.1
SPAM_FROM: Final = 0.85
# Beside a hint of a report only the clearest spam is spam.
SPAM_FROM_WITH_HINT: Final = 0.97
SPAM_SECURITY_BELOW: Final = 0.35
# The probability given to what nobody could read: another language, an attachment, nothing at all.
UNREAD_LOG_ODDS: Final = -1.2


def _decayed(weights: Iterable[float], decay: float) -> float:
    """The weights summed, heaviest first, each at `decay` times the share of the one before."""
    total, share = 0.0, 1.0
    for weight in sorted(weights, reverse=True):
        total += weight * share
        share *= decay
    return total


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-log_odds))


# --- the sorter -----------------------------------------------------------------------------------------------------

_TOWARDS: Final = {HINT: SECURITY, ORDINARY_SUBJECT: NOT_SECURITY}


class LexicalSorter:
    """A `Sorter` from word lists: total, deterministic, linear in the size of the mail; safe to share between threads.

    Reasons name entries of our own tables only, never words of the mail, so they may be shown and logged anywhere.
    """

    version = "LexicalSorter"

    def __init__(self) -> None:
        self._lexicon = lexicon()

    def __reduce__(self) -> tuple[object, ...]:
        return LexicalSorter, ()  # every process compiles the tables for itself

    def sort(self, mail: Sortable) -> Verdict:
        """What the mail is. See docs/sorting.md for the rules and for what they reach."""
        if mail.encrypted:
            reason = Reason("encrypted", SECURITY, 8.0)
            return Verdict(Outcome.SECURITY, _probability(SECURITY_BASE + 8.0), _probability(SPAM_BASE), (reason,))
        return self.judged(mail, Reading(self._lexicon).of(mail))

    def judged(self, mail: Sortable, reading: Reading) -> Verdict:
        """What a mail is that was read, and is not encrypted."""
        texts = reading.texts
        pools = [*map(signals_in, texts), filename_hits(mail, self._lexicon)]
        evidence = _Evidence(self._lexicon, reading.pieces, pools)
        security = _probability(SECURITY_BASE + evidence.security)
        marks = 1.5 * mail.spam_marked + 0.3 * mail.automatic
        spam = _probability(SPAM_BASE + evidence.spam + marks)
        unread = None
        if security < UNSURE_FROM and not evidence.hints:
            unread = unread_because(mail, reading) or _unclear(evidence, reading, texts)
        if unread or evidence.hints:
            security = max(security, _probability(UNREAD_LOG_ODDS))
        sure = SPAM_FROM_WITH_HINT if evidence.hints else SPAM_FROM
        outcome = _outcome(security, spam, sure, unread)
        return Verdict(outcome, security, spam, evidence.reasons(mail, unread))


def _outcome(security: float, spam: float, spam_from: float, unread: str | None) -> Outcome:
    if security >= SECURITY_FROM:
        return Outcome.SECURITY
    if spam >= spam_from and security < SPAM_SECURITY_BELOW:
        return Outcome.SPAM
    if security >= UNSURE_FROM or unread:
        return Outcome.UNSURE
    return Outcome.NOT_SECURITY


class _Evidence:
    """What was found, weighed. A thing counts once in a mail, and never less because more paragraphs follow."""

    def __init__(self, lexicon: Lexicon, pieces: list[Piece], pools: list[set[Hit]]) -> None:
        self._found: dict[Hit, float] = {}
        self.ordinary = 0.0
        self.hints: set[Hit] = set()
        nets: list[float] = []
        spam: set[Hit] = set()
        # First what belongs to no paragraph: a paragraph added later cannot take it over and weaken it.
        for pool in pools:
            fresh = {hit for hit in pool if hit not in self._found}
            if fresh:
                nets.append(_decayed((hit.weight for hit in fresh), SECURITY_DECAY))
                self._found.update((hit, hit.weight) for hit in fresh)
        for piece in pieces:
            hits = piece.hits.union(*map(lexicon.ideas_met, piece.masks))
            spam.update(hit for hit in hits if hit.towards == SPAM)
            self.hints |= {hit for hit in hits if hit.towards == HINT}
            self.hints |= {hit for hit in hits if hit.towards == SECURITY and hit.weight >= HINT_FROM}
            net = self._piece(hits, piece.quoted)
            if net > 0:
                nets.append(net)
        self.security = _decayed(nets, PIECE_DECAY)
        # Exact: 0.1 + 0.3 + 0.6 must be 1.0 in whatever order they come.
        self.ordinary = fsum(h.weight for h in self._found if h.towards in (NOT_SECURITY, ORDINARY_SUBJECT))
        self.purpose = any(
            h.weight >= PURPOSE_FROM and h.towards in (NOT_SECURITY, ORDINARY_SUBJECT) for h in self._found
        )
        self.spam = _decayed((hit.weight for hit in spam), SPAM_DECAY)
        self._found.update((hit, hit.weight) for hit in spam)
        self._found.update(
            (hit_of(hit.label, SECURITY, hit.weight), HINT_WEIGHT) for hit in self.hints if hit not in self._found
        )

    def _piece(self, hits: set[Hit], quoted: bool) -> float:
        fresh = [hit for hit in hits if hit.towards == SECURITY and hit not in self._found]
        against = [hit for hit in hits if hit.towards == NOT_SECURITY]
        if not quoted:
            self._found.update((hit, hit.weight) for hit in hits if hit.towards == ORDINARY_SUBJECT)
        contrary = [hit.weight for hit in against if hit.weight > ORDINARY]
        contrary += [SPAM_AGAINST for hit in hits if hit.towards == SPAM and hit.weight >= SPAM_AGAINST_FROM]
        weight = min(AGAINST_LIMIT, _decayed(contrary, SECURITY_DECAY))
        net = _decayed((hit.weight for hit in fresh), SECURITY_DECAY) - weight - QUOTED_DISCOUNT * quoted
        if net > 0:
            self._found.update((hit, hit.weight) for hit in fresh)
        self._found.update((hit, hit.weight) for hit in against)
        return net

    def reasons(self, mail: Sortable, unread: str | None) -> tuple[Reason, ...]:
        """The heaviest, both ways; equal weights in the order of their labels."""
        found = [
            Reason(hit.label, _TOWARDS.get(hit.towards, hit.towards), weight) for hit, weight in self._found.items()
        ]
        if mail.spam_marked:
            found.append(Reason("signal: marked as spam by the provider", SPAM, 1.5))
        if mail.automatic:
            found.append(Reason("signal: automatic or list mail", SPAM, 0.3))
        if unread:
            found.append(Reason(f"signal: {unread}", SECURITY, UNREAD_LOG_ODDS - SECURITY_BASE))
        found.sort(key=lambda reason: (-reason.weight, reason.label))
        return tuple(found[:REASON_LIMIT])


# A paragraph this long with fewer common words than this share is in a language the tables do not know.
UNKNOWN_FROM_WORDS: Final = 5
UNKNOWN_KNOWN_SHARE: Final = 0.08


def unread_because(mail: Sortable, reading: Reading) -> str | None:
    """Why silence is no evidence here, or None: the text could be read, and held nothing of a report."""
    if any(len(text) > TEXT_LIMIT_CHARS for text in mail.texts) or sum(map(len, mail.texts)) > MAIL_LIMIT_CHARS:
        return "a text too long to be read whole"
    if mail.opaque_attachments:
        return "an attachment that could not be read"
    words = sum(piece.words for piece in reading.pieces)
    if words == 0 and not reading.known_script:
        return "no readable text"
    if reading.other_script > max(10, reading.known_script // 10):
        return "a language the lexicon does not know"
    counts = [reading.common(piece) for piece in reading.pieces]
    known = sum(known for known, _ in counts)
    other = sum(other for _, other in counts)
    foreign = any(other >= 3 and other > known for known, other in counts)
    unknown = words >= UNKNOWN_FROM_WORDS and known < UNKNOWN_KNOWN_SHARE * words and reading.known_script < 6
    if foreign or unknown or (other > known):
        return "a language the lexicon does not know"
    return None


def _unclear(evidence: _Evidence, reading: Reading, texts: list[str]) -> str | None:
    """Why a mail that was read is still not known to be about something else, or None."""
    if evidence.ordinary < ORDINARY_FROM or not evidence.purpose:
        return "no subject that the lexicon knows"
    if evidence.ordinary < ORDINARY_FROM_WITH_CODE and any(CODE.search(text) for text in texts):
        return "code, and no clear subject that the lexicon knows"
    if reading.silent >= SILENT_WORDS and reading.silent >= SILENT_SHARE * sum(p.words for p in reading.pieces):
        return "a sentence in which the lexicon knows nothing"
    if any(POSTSCRIPT.search(text) for text in texts):
        return "a paragraph that changes the subject"
    return None
