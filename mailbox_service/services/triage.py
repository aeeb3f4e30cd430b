"""The hints about a new case: what its mail says by itself, and which open case it may be about.

The mail was looked at when it was understood, outside of any transaction (sorting/triage). Here it is compared with
the open cases of its mailbox. They are kept in memory: a batch that opens cases reads only what came since the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from mailbox_service.core.routing import Disposition, Outcome
from mailbox_service.services.ports import CaseId, KnownSketch, OpenCase, Transaction
from mailbox_service.sorting.triage import Hint
from mailbox_service.sorting.triage.neighbours import CASES_COMPARED, Neighbours
from mailbox_service.sorting.triage.sketches import Sketch, read_sketch


def may_open_a_case(outcome: Outcome, decided: str | None, *, refers: bool) -> bool:
    """Whether routing can still make a case of such a message. `refers`: it names some mail, ours or another."""
    return refers or outcome in (Outcome.SECURITY, Outcome.UNSURE) or decided == Disposition.CASE


class OpenCases:
    """The open cases of each mailbox, as far as one process knows them; several transactions may ask at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, Neighbours] = {}
        self._refs: dict[CaseId, str] = {}
        self._read_to: dict[str, CaseId] = {}

    def compare(self, tx: Transaction, new: Sequence[OpenCase]) -> None:
        """Write into each of `new`, which has no row yet, the open case that it may be about.

        Only what others have committed is remembered, so that a transaction may be rolled back and run again.
        """
        sketched = [(case, sketch) for case in new if (sketch := read_sketch(case.sketch)) is not None]
        for mailbox in sorted({case.mailbox for case, _ in sketched}):
            self._catch_up(tx, mailbox)
            self._compare(tx, mailbox, [one for one in sketched if one[0].mailbox == mailbox])

    def _catch_up(self, tx: Transaction, mailbox: str) -> None:
        # Cases of one mailbox are numbered one transaction after the other: none appears behind the last one read.
        rows = tx.open_sketches(mailbox, self._read_to.get(mailbox), CASES_COMPARED)
        with self._lock:
            known = self._known.setdefault(mailbox, Neighbours())
            for row in rows:
                sketch = read_sketch(row.sketch)
                if sketch is not None and row.id not in known:
                    for forgotten in known.add(row.id, sketch):
                        self._refs.pop(CaseId(forgotten), None)
                    self._refs[row.id] = row.ref
            if rows:
                self._read_to[mailbox] = max(self._read_to.get(mailbox, CaseId(0)), rows[-1].id)

    def _compare(self, tx: Transaction, mailbox: str, new: Sequence[tuple[OpenCase, Sketch]]) -> None:
        with self._lock:
            known = self._known[mailbox]
            found = [known.near(sketch) for _, sketch in new]
            refs = {CaseId(one.key): self._refs.get(CaseId(one.key), "") for near in found for one in near}
        closed = tx.closed_among(sorted(refs)) if refs else set[CaseId]()
        # Two mails of one batch may be about the same; the earlier one has no reference yet.
        batch = Neighbours()
        for at, ((case, sketch), near) in enumerate(zip(new, found, strict=True)):
            best = next((one for one in near if CaseId(one.key) not in closed), None)
            earlier = next(iter(batch.near(sketch)), None)
            if best is not None and not (earlier is not None and earlier.copied and not best.copied):
                case.resembles, case.copied = KnownSketch(CaseId(best.key), refs[CaseId(best.key)], b""), best.copied
            elif earlier is not None:
                case.resembles, case.copied = new[earlier.key][0], earlier.copied
            batch.add(at, sketch)
        with self._lock:
            for id_ in closed:
                known.forget(id_)
                self._refs.pop(id_, None)


def hints_written(hints: Sequence[Hint]) -> list[dict[str, str]]:
    """As the journal and the notice keep them."""
    return [{"kind": hint.kind, "text": hint.text} for hint in hints]


def duplicate_hint(case: OpenCase) -> Hint | None:
    """Of the other case nothing is said but its reference: it may be sealed by now."""
    if case.resembles is None:
        return None
    how = "much of the text is the same" if case.copied else "both name the same things"
    return Hint("duplicate", f"may be about the same as {case.resembles.ref}: {how}")
