"""How much proof each command needs, as a table."""

from __future__ import annotations

import pytest

from mailbox_service.core.authority import Demand, Evidence, Permission, least, permission
from mailbox_service.core.commands import Weight
from mailbox_service.core.evidence import Authentication, AuthResult

DO, CONFIRM, UNVERIFIED = Permission.DO, Permission.CONFIRM, Permission.UNVERIFIED
WEIGHTS = (Weight.NOTE, Weight.READ, Weight.REVERSIBLE, Weight.IRREVERSIBLE)


def evidence(
    kinds: str, *, obtainable: bool = True, failed: bool = False, demand: Demand = Demand.STANDARD
) -> Evidence:
    """2 is a second maintainer's signature."""
    result = AuthResult.FAIL if failed else AuthResult.PASS if "M" in kinds else AuthResult.NONE
    return Evidence(
        "T" in kinds,
        Authentication(result, "", ""),
        obtainable,
        confirmed="C" in kinds,
        signature="P" in kinds,
        seconded="2" in kinds,
        demand=demand,
    )


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (evidence(""), (UNVERIFIED, UNVERIFIED, UNVERIFIED, UNVERIFIED)),
        (evidence("M"), (UNVERIFIED, UNVERIFIED, UNVERIFIED, UNVERIFIED)),
        (evidence("T"), (UNVERIFIED, CONFIRM, CONFIRM, CONFIRM)),
        (evidence("TM"), (DO, DO, DO, CONFIRM)),
        (evidence("TMC"), (DO, DO, DO, DO)),
        (evidence("TC"), (DO, DO, DO, UNVERIFIED)),
        (evidence("TC", obtainable=False), (DO, DO, DO, DO)),
        (evidence("T", obtainable=False), (UNVERIFIED, CONFIRM, CONFIRM, CONFIRM)),
        (evidence("TC", failed=True), (UNVERIFIED, UNVERIFIED, UNVERIFIED, UNVERIFIED)),
        (evidence("PT"), (DO, DO, DO, DO)),
        (evidence("PT", failed=True), (DO, DO, DO, DO)),
        (evidence("PM"), (UNVERIFIED, UNVERIFIED, UNVERIFIED, UNVERIFIED)),
        (evidence("TMC", demand=Demand.SIGNED), (UNVERIFIED, UNVERIFIED, UNVERIFIED, UNVERIFIED)),
        (evidence("PT", demand=Demand.SIGNED), (DO, DO, DO, DO)),
        (evidence("PMC", demand=Demand.SIGNED), (UNVERIFIED, UNVERIFIED, UNVERIFIED, UNVERIFIED)),
        (evidence("T", demand=Demand.STRICT), (UNVERIFIED, CONFIRM, UNVERIFIED, UNVERIFIED)),
        (evidence("TMC", demand=Demand.STRICT), (UNVERIFIED, DO, UNVERIFIED, UNVERIFIED)),
        (evidence("PT", demand=Demand.STRICT), (DO, DO, DO, CONFIRM)),
        (evidence("PTMC", demand=Demand.STRICT), (DO, DO, DO, CONFIRM)),
        (evidence("PT2", demand=Demand.STRICT), (DO, DO, DO, DO)),
        (evidence("TMC2", demand=Demand.STRICT), (UNVERIFIED, DO, UNVERIFIED, UNVERIFIED)),
    ],
)
def test_what_proof_allows(proof: Evidence, expected: tuple[Permission, ...]) -> None:
    assert tuple(permission(weight, proof) for weight in WEIGHTS) == expected


def test_all_commands_of_a_mail_are_allowed_no_more_than_the_heaviest() -> None:
    assert least([Weight.READ, Weight.IRREVERSIBLE, Weight.NOTE], evidence("TM")) is CONFIRM
    assert least([Weight.NOTE, Weight.READ], evidence("T")) is UNVERIFIED


def test_what_counts_as_somebodys_word_and_how_the_journal_names_it() -> None:
    assert evidence("TM").proven and evidence("PT").proven
    assert not evidence("TC").proven
    assert not evidence("TM", demand=Demand.SIGNED).proven
    assert evidence("TC", failed=True).disowned and not evidence("PT", failed=True).disowned
    assert [evidence(kinds).label for kinds in ("", "TM", "PTM", "PTC2")] == ["none", "T+M", "P+T+M", "P+T+C+P2"]
