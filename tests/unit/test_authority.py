"""How much proof each command needs, as a table."""

from __future__ import annotations

import pytest

from mailbox_service.core.authority import Evidence, Permission, least, permission
from mailbox_service.core.commands import Weight
from mailbox_service.core.evidence import Authentication, AuthResult

DO, CONFIRM, UNVERIFIED = Permission.DO, Permission.CONFIRM, Permission.UNVERIFIED
WEIGHTS = (Weight.NOTE, Weight.READ, Weight.REVERSIBLE, Weight.IRREVERSIBLE)


def evidence(kinds: str, *, obtainable: bool = True, failed: bool = False) -> Evidence:
    result = AuthResult.FAIL if failed else AuthResult.PASS if "M" in kinds else AuthResult.NONE
    return Evidence("T" in kinds, Authentication(result, "", ""), obtainable, confirmed="C" in kinds)


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
    ],
)
def test_what_proof_allows(proof: Evidence, expected: tuple[Permission, ...]) -> None:
    assert tuple(permission(weight, proof) for weight in WEIGHTS) == expected


def test_all_commands_of_a_mail_are_allowed_no_more_than_the_heaviest() -> None:
    assert least([Weight.READ, Weight.IRREVERSIBLE, Weight.NOTE], evidence("TM")) is CONFIRM
    assert least([Weight.NOTE, Weight.READ], evidence("T")) is UNVERIFIED
