"""The sorter: a trained linear model over words and concepts, and what it must never decide from silence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import exp
from typing import Final

from mailbox_service.sorting import Outcome, Reason, Sortable, Verdict
from mailbox_service.sorting.features import discount
from mailbox_service.sorting.lexicon import languages
from mailbox_service.sorting.model import Model, shipped
from mailbox_service.sorting.reading import MAIL_LIMIT_CHARS, TEXT_LIMIT_CHARS, Reader, Segment
from mailbox_service.sorting.scoring import Scorer

SECURITY: Final = "security"
NOT_SECURITY: Final = "not_security"
SPAM: Final = "spam"
REASON_LIMIT: Final = 12
# Set by hand, since no corpus holds them: what is known of the sender, and the marks of the provider. Log-odds.
KNOWN_REPORTER: Final = 2.0
CERT_SENDER: Final = 2.5
TELLING_FILENAME: Final = 1.5
SPAM_MARKED: Final = 1.5
BULK: Final = 0.5
ENCRYPTED: Final = 8.0
# A weight below this is not worth a reason.
REASON_FROM: Final = 0.05
REASONS_EACH: Final = REASON_LIMIT // 2
# What speaks for spam is looked up from this chance on.
SPAM_REASONS_FROM: Final = 0.3
# The strongest segments that are scored at all: what stands beyond them in the score is the same for all.
_SCORE_LIMIT: Final = 30.0
# What a file is called that somebody sends to show a flaw.
_FILENAMES: Final = ("poc", "exploit", "vuln", "advisory", "security", "cve-", "crash", "asan", "pentest", "disclosure")
_PATCHES: Final = (".patch", ".diff", ".pcap", ".har", ".sarif")

# A text with fewer common words than this share is in a language the model does not know.
UNKNOWN_FROM_WORDS: Final = 5
UNKNOWN_KNOWN_SHARE: Final = 0.08
# Scripts in which only the lexicon's literals are known, so that silence says little.
_SILENT_SCRIPTS: Final = "a language the model does not know"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The probabilities that part the outcomes, for one intent."""

    not_security: float  # below this chance of a report, a mail may be redirected
    security: float  # from this on it is called a report
    spam: float  # from this chance of spam
    spam_report: float  # ... unless the chance of a report is at least this


INTENTS: Final = ("balanced", "strict", "open")


def thresholds(model: Model, intent: str) -> Thresholds:
    """The numbers behind `intent`: `strict`, `balanced`, `open`, or `1/N` for "miss at most one report in N".

    `1/N` takes the nearest measured one that promises at least as much.
    """
    measured = sorted(int(name.partition("1/")[2]) for name in model.thresholds if name.startswith("not_security 1/"))
    if intent.startswith("1/"):
        wanted = int(intent[2:])
        step = next((n for n in measured if n >= wanted), measured[-1])
        intent, at = "balanced", model.thresholds[f"not_security 1/{step}"]
    else:
        at = model.thresholds[f"not_security {intent}"]
    return Thresholds(at, *(model.thresholds[f"{name} {intent}"] for name in ("security", "spam", "spam_report")))


@cache
def _loaded() -> tuple[Model, Reader, Scorer]:
    model = shipped()
    reader = Reader()
    return model, reader, Scorer(model, reader)


class TrainedSorter:
    """A `Sorter`: total, deterministic, linear in the size of the mail; safe to share between threads.

    All sorters of a process share the model, which is read from the package when the first is made.
    """

    def __init__(self, intent: str = "balanced", model: Model | None = None) -> None:
        if model is None:
            self._model, self._reader, self._scorer = _loaded()
        else:
            self._model, self._reader = model, _loaded()[1]
            self._scorer = Scorer(model, self._reader)
        self.intent = intent
        self.thresholds = thresholds(self._model, intent)

    def __reduce__(self) -> tuple[object, ...]:
        return TrainedSorter, (self.intent,)  # every process reads the model for itself

    def sort(self, mail: Sortable) -> Verdict:
        """What the mail is. docs/sorting.md says how, and what it reaches."""
        if mail.encrypted:
            return Verdict(
                Outcome.SECURITY, _probability(ENCRYPTED - 2), 0.0, (Reason("encrypted", SECURITY, ENCRYPTED),)
            )
        scores = self.score(mail)
        security, spam = self.probabilities(mail, scores)
        at = self.thresholds
        outcome = self._outcome(security, spam)
        unread = None
        if outcome in (Outcome.NOT_SECURITY, Outcome.SPAM) and (unread := self._unread(mail, scores)) is not None:
            # Spam in plain sight stays spam, whatever is attached to it.
            outcome = Outcome.SPAM if outcome is Outcome.SPAM and spam >= (1.0 + at.spam) / 2 else Outcome.UNSURE
            security = max(security, at.not_security) if outcome is Outcome.UNSURE else security
        return Verdict(outcome, security, spam, self._reasons(mail, scores, spam, unread))

    def score(self, mail: Sortable) -> Scores:
        """The scores of the mail's segments and of the whole, before they become probabilities."""
        segments = self._reader.segments(mail)
        words: set[str] = set()
        best, top = -_SCORE_LIMIT, None
        for place, segment in enumerate(segments):
            score, distinct = self._scorer.segment(segment)
            score -= discount(place)
            words |= distinct
            if top is None or score > best:
                best, top = score, segment
        return Scores(segments, top, max(-_SCORE_LIMIT, best), self._scorer.spam(segments, words), words)

    def probabilities(self, mail: Sortable, scores: Scores) -> tuple[float, float]:
        """The calibrated chances that it is a report, and that it is spam."""
        verdict = self._model.verdict
        security = verdict["security bias"] + verdict["security segment"] * scores.segment + _senders(mail)
        spam = verdict["spam bias"] + verdict["spam mail"] * scores.spam
        spam += SPAM_MARKED * mail.spam_marked + BULK * mail.bulk
        return _probability(security), _probability(spam)

    def _outcome(self, security: float, spam: float) -> Outcome:
        at = self.thresholds
        if spam >= at.spam and security < at.spam_report:
            return Outcome.SPAM
        if security >= at.security:
            return Outcome.SECURITY
        return Outcome.UNSURE if security >= at.not_security else Outcome.NOT_SECURITY

    def _unread(self, mail: Sortable, scores: Scores) -> str | None:
        """Why silence is no evidence here, or None: the text could be read, and held nothing of a report."""
        if any(len(text) > TEXT_LIMIT_CHARS for text in mail.texts) or sum(map(len, mail.texts)) > MAIL_LIMIT_CHARS:
            return "a text too long to be read whole"
        if mail.opaque_attachments:
            return "an attachment that could not be read"
        if not scores.words:
            return "no readable text"
        return _SILENT_SCRIPTS if _unknown_language(scores) else None

    def _reasons(self, mail: Sortable, scores: Scores, spam: float, unread: str | None) -> tuple[Reason, ...]:
        """The heaviest, both ways; equal weights in the order of their labels."""
        verdict = self._model.verdict
        found = self._scorer.parts(scores.top) if scores.top is not None else {}
        reasons = _heaviest(found, verdict["security segment"], SECURITY, NOT_SECURITY)
        if spam >= SPAM_REASONS_FROM:
            found = self._scorer.spam_parts(scores.segments, scores.words)
            reasons += _heaviest(found, verdict["spam mail"], SPAM, None)
        marks = (
            ("known reporter", SECURITY, KNOWN_REPORTER, mail.known_reporter),
            ("sender is a CERT", SECURITY, CERT_SENDER, mail.cert_sender),
            ("name of a file", SECURITY, TELLING_FILENAME, _telling_filename(mail)),
            ("marked as spam by the provider", SPAM, SPAM_MARKED, mail.spam_marked),
            ("bulk or list mail", SPAM, BULK, mail.bulk),
            (unread or "", SECURITY, 1.0, unread is not None),
        )
        extra = [Reason(f"signal: {label}", towards, weight) for label, towards, weight, met in marks if met]
        return tuple(sorted([*extra, *reasons], key=_order)[:REASON_LIMIT])


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of one mail before calibration."""

    segments: list[Segment]
    top: Segment | None  # the segment that says "report" the loudest
    segment: float  # its score
    spam: float  # the score of the whole mail for spam
    words: set[str]  # the distinct ones


def _senders(mail: Sortable) -> float:
    marks = KNOWN_REPORTER * mail.known_reporter + CERT_SENDER * mail.cert_sender
    return marks + TELLING_FILENAME * _telling_filename(mail)


def _telling_filename(mail: Sortable) -> bool:
    names = [name[:200].lower() for name in mail.filenames[:100]]
    return any(name.endswith(_PATCHES) or any(part in name for part in _FILENAMES) for name in names)


def _unknown_language(scores: Scores) -> bool:
    """Is it in a language of which the model knows little? By common words where words are known, else by script."""
    known, other = languages()
    words = scores.words
    if not words:
        return True
    commonest = len(words & known)
    few = len(words) >= UNKNOWN_FROM_WORDS and commonest < UNKNOWN_KNOWN_SHARE * len(words)
    foreign = len(words & other)
    return (few or foreign > commonest) and not _known_script(words)


def _known_script(words: set[str]) -> bool:
    """Do Han, Kana, Hangul or Arabic letters make up most of it? The lexicon and the set hold these."""
    seen = sum(1 for word in words if "\u0620" <= word[0] <= "\u06ff" or "\u3040" <= word[0] <= "\ud7af")
    return seen * 2 > len(words)


def _heaviest(parts: dict[str, float], share: float, towards: str, against: str | None) -> list[Reason]:
    """The heaviest of `parts` for and against; `share` is what their score counts in the chance."""
    found = sorted((-weight, name) for name, weight in parts.items() if abs(weight) * share >= REASON_FROM)
    reasons = [Reason(_label(name), towards, -weight * share) for weight, name in found[:REASONS_EACH] if weight < 0]
    if against is not None:
        reasons += [Reason(_label(n), against, w * share) for w, n in found[-REASONS_EACH:] if w > 0]
    return reasons


def _order(reason: Reason) -> tuple[float, str]:
    return -reason.weight, reason.label


def _label(name: str) -> str:
    kind, rest = name[0], name[2:]
    if kind == "w":
        return f'word "{rest}"'
    if kind == "p":
        return f'word "{rest}…"'
    if kind == "b":
        return f'words "{rest}"'
    if kind == "x":
        return "ideas: " + " and ".join(part.replace("_", " ") for part in rest.split("+"))
    if rest.startswith("signal "):
        return f"signal: {rest.removeprefix('signal ')}"
    if rest.startswith("shape_"):
        return f"signal: {rest.removeprefix('shape_')}"
    return f"idea: {rest.replace('_', ' ')}" + (" (more than once)" if kind == "d" else "")


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-max(-_SCORE_LIMIT, min(_SCORE_LIMIT, log_odds))))
