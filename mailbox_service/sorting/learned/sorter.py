"""The trained sorter: what follows from the model's scores, and what it must never decide from silence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import exp
from typing import Final

from mailbox_service.sorting import Outcome, Reason, Sortable, Verdict
from mailbox_service.sorting.hints import POSTSCRIPT
from mailbox_service.sorting.learned.features import FeatureReader, Look, english
from mailbox_service.sorting.learned.model import Model, shipped
from mailbox_service.sorting.learned.scoring import LIMIT, REPORT, SPAM, Scorer, Scores
from mailbox_service.sorting.lexical import LexicalSorter
from mailbox_service.sorting.reading import MAIL_LIMIT_CHARS, TEXT_LIMIT_CHARS
from mailbox_service.sorting.tables import NOT_SECURITY, SECURITY
from mailbox_service.sorting.tables import SPAM as SPAM_MAIL

REASON_LIMIT: Final = 12
REASONS_EACH: Final = 4
# A weight below this is not worth a reason.
REASON_FROM: Final = 0.05
# What speaks for spam is looked up from this chance on.
SPAM_REASONS_FROM: Final = 0.3
# Set by hand, since no corpus holds them. Log-odds.
SPAM_MARKED: Final = 1.5
AUTOMATIC: Final = 0.3
ENCRYPTED: Final = 8.0
# A text of which less than this share of the words is known is in a language the model knows too little of.
KNOWN_SHARE: Final = 0.5
KNOWN_FROM_WORDS: Final = 5
# Fewer distinct words say nothing, unless the hand-made tables understood them: "I attach what I found. Please look."
SAID_FROM_WORDS: Final = 12
# A subject is too short to weigh by itself; from this chance on, by the tables, it names a flaw, whatever stands below.
SUBJECT_NAMES_IT: Final = 0.45
# Spam in plain sight: from this chance of spam on, beside a chance of a report below that.
PLAIN_SPAM: Final = 0.95
PLAIN_SPAM_REPORT: Final = {"open": 0.2, "balanced": 0.2, "strict": 0.0}
INTENTS: Final = ("balanced", "strict", "open")
# How far below the threshold the chance must lie, by what the hand-made tables alone make of the mail: where they see a
# report, nothing is redirected; where they understood what it asks for, more is.
TABLES_SECURITY: Final = 0.4  # from this chance on they decide that it is one
TABLES: Final = {Outcome.SECURITY: 0.0, Outcome.UNSURE: 1.0, Outcome.SPAM: 1.0, Outcome.NOT_SECURITY: 1.25}
_UNCLEAR: Final = (Outcome.UNSURE, Outcome.SECURITY)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The probabilities that part the outcomes, for one intent."""

    not_security: float  # below this chance of a report, a mail may be redirected
    security: float  # from this on it is called a report
    spam: float  # from this chance of spam
    spam_report: float  # ... unless the chance of a report is at least this


def thresholds(model: Model, intent: str) -> Thresholds:
    """The numbers behind `intent`: `strict`, `balanced`, `open`, or `1/N` for "miss at most one report in N".

    `1/N` takes the nearest measured one that promises at least as much, beyond these the strictest. `ValueError` for
    any other intent.
    """
    measured = sorted(int(name.partition("1/")[2]) for name in model.thresholds if name.startswith("not_security 1/"))
    name = intent
    if intent.startswith("1/"):
        wanted = int(intent[2:])
        step = next((n for n in measured if n >= wanted), measured[-1])
        intent, name = "balanced", f"1/{step}"
    elif intent not in INTENTS:
        raise ValueError(f"no intent {intent!r}")
    at = model.thresholds[f"not_security {name}"]
    return Thresholds(at, *(model.thresholds[f"{part} {intent}"] for part in ("security", "spam", "spam_report")))


@cache
def _loaded() -> tuple[Model, FeatureReader, Scorer]:
    model = shipped()
    return model, FeatureReader(), Scorer(model)


class TrainedSorter:
    """A `Sorter`: total, deterministic, linear in the size of the mail; safe to share between threads.

    All sorters of a process share the model, which is read from the package when the first is made. Reasons name words
    that the model knows, and entries of our own tables.
    """

    def __init__(self, intent: str = "balanced", model: Model | None = None) -> None:
        if model is None:
            self._model, self._reader, self._scorer = _loaded()
        else:
            self._model, self._reader, self._scorer = model, FeatureReader(), Scorer(model)
        self._tables = LexicalSorter()
        self.intent = intent
        self.thresholds = thresholds(self._model, intent)
        self.version = f"TrainedSorter {self._model.digest[:8]} {intent}"

    def __reduce__(self) -> tuple[object, ...]:
        return TrainedSorter, (self.intent,)  # every process reads the model for itself

    def sort(self, mail: Sortable) -> Verdict:
        """What the mail is. docs/sorting.md says how, and what it reaches."""
        if mail.encrypted:
            reason = Reason("encrypted", SECURITY, ENCRYPTED)
            return Verdict(Outcome.SECURITY, _probability(ENCRYPTED - 2), 0.0, (reason,))
        look = self._reader.look(mail)
        scores = self._scorer.scores(look)
        security, spam = self.probabilities(mail, scores)
        outcome = self._outcome(security, spam)
        if outcome is Outcome.NOT_SECURITY or (outcome is Outcome.UNSURE and security >= TABLES_SECURITY):
            outcome = self._with_tables(security, self._tables.judged(mail, look.reading).outcome)
        elif outcome is Outcome.SPAM and not self._plain_spam(security, spam):
            # What the tables see as a report is passed over in silence only if it is spam in plain sight.
            seen = self._tables.judged(mail, look.reading).outcome
            outcome = Outcome.UNSURE if seen is Outcome.SECURITY else outcome
        unread = None
        if outcome in (Outcome.NOT_SECURITY, Outcome.SPAM):
            unread = self._unread(mail, look)
            if unread is not None and not (outcome is Outcome.SPAM and self._plain_spam(security, spam)):
                outcome, security = Outcome.UNSURE, max(security, self.thresholds.not_security)
        return Verdict(outcome, security, spam, self._reasons(mail, look, scores, spam, unread))

    def probabilities(self, mail: Sortable, scores: Scores) -> tuple[float, float]:
        """The calibrated chances that it is a report, and that it is spam."""
        verdict = self._model.verdict
        spam = verdict["spam bias"] + verdict["spam share"] * scores.spam
        spam += SPAM_MARKED * mail.spam_marked + AUTOMATIC * mail.automatic
        share, bias = _calibration(scores)
        return _probability(verdict[bias] + verdict[share] * scores.report), _probability(spam)

    def _outcome(self, security: float, spam: float) -> Outcome:
        """What the chances say, before the tables and the rules on what could not be read have spoken."""
        at = self.thresholds
        if spam >= at.spam and security < at.spam_report:
            return Outcome.SPAM
        if security >= at.security:
            return Outcome.SECURITY
        return Outcome.UNSURE if security >= at.not_security * max(TABLES.values()) else Outcome.NOT_SECURITY

    def _with_tables(self, security: float, tables: Outcome) -> Outcome:
        """What becomes of a mail near a threshold, by what the hand-made tables alone make of it."""
        if security >= TABLES_SECURITY:
            return Outcome.SECURITY if tables is Outcome.SECURITY else Outcome.UNSURE
        lenient = self.thresholds.not_security * TABLES[tables]
        return Outcome.NOT_SECURITY if security < lenient else Outcome.UNSURE

    def _plain_spam(self, security: float, spam: float) -> bool:
        """Spam in plain sight stays spam, whatever is attached to it, and whatever terms of ours it uses: who begs for
        a bounty does."""
        report = PLAIN_SPAM_REPORT.get(self.intent, PLAIN_SPAM_REPORT["balanced"])
        return spam >= max(PLAIN_SPAM, self.thresholds.spam) and security < report

    def _unread(self, mail: Sortable, look: Look) -> str | None:
        """Why silence is no evidence here, or None: the mail could be read, and held nothing of a report."""
        if any(len(text) > TEXT_LIMIT_CHARS for text in mail.texts) or sum(map(len, mail.texts)) > MAIL_LIMIT_CHARS:
            return "a text too long to be read whole"
        if mail.opaque_attachments:
            return "an attachment that could not be read"
        words = look.whole.words
        if not words:
            return "no readable text"
        if len(words) < SAID_FROM_WORDS and self._tables.judged(mail, look.reading).outcome in _UNCLEAR:
            return "too little is said"
        if len(words) >= KNOWN_FROM_WORDS and self._scorer.share_known(words) < KNOWN_SHARE:
            return "a language the model does not know"
        if any(POSTSCRIPT.search(text) for text in look.reading.texts):
            return "a paragraph that changes the subject"
        if self._tables.sort(Sortable(mail.subject, ())).security >= SUBJECT_NAMES_IT:
            return "a subject that names a flaw"
        return None

    def _reasons(
        self, mail: Sortable, look: Look, scores: Scores, spam: float, unread: str | None
    ) -> tuple[Reason, ...]:
        """The heaviest, both ways; equal weights in the order of their labels."""
        verdict = self._model.verdict
        share = verdict[_calibration(scores)[0]]
        for_it, against = self._scorer.heaviest(scores.loudest, REPORT, REASON_FROM / share, REASONS_EACH)
        reasons = [Reason(_label(name), SECURITY, weight * share) for weight, name in for_it]
        reasons += [Reason(_label(name), NOT_SECURITY, -weight * share) for weight, name in against]
        if spam >= SPAM_REASONS_FROM:
            share = verdict["spam share"]
            for_it, _ = self._scorer.heaviest(look.whole, SPAM, REASON_FROM / share, REASONS_EACH)
            reasons += [Reason(_label(name), SPAM_MAIL, weight * share) for weight, name in for_it]
        marks = (
            ("marked as spam by the provider", SPAM_MAIL, SPAM_MARKED, mail.spam_marked),
            ("automatic or list mail", SPAM_MAIL, AUTOMATIC, mail.automatic),
            (unread or "", SECURITY, 1.0, unread is not None),
        )
        extra = [Reason(f"signal: {label}", towards, weight) for label, towards, weight, met in marks if met]
        reasons.sort(key=_order)
        return tuple(sorted([*extra, *reasons[: REASON_LIMIT - len(extra)]], key=_order))


def _calibration(scores: Scores) -> tuple[str, str]:
    """The names of the numbers by which a score becomes a chance: by the language of what decided."""
    language = "english" if english(scores.loudest.words) else "other"
    return f"report share {language}", f"report bias {language}"


def _order(reason: Reason) -> tuple[float, str]:
    return -reason.weight, reason.label


def _label(name: str) -> str:
    """`security: phrase "xss"` without what the tables say it speaks for: the model may have learned otherwise."""
    kind, colon, rest = name.partition(": ")
    return rest if colon and kind in (SECURITY, NOT_SECURITY, SPAM_MAIL, "hint", "ordinary") else name


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-max(-LIMIT, min(LIMIT, log_odds))))
