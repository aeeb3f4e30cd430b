"""Encrypted mail on its way through the services."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.openpgp import encrypted
from mailbox_service.services.ports import CaseId
from mailbox_service.services.ports.openpgp import Pin
from tests.openpgp.keys import Person
from tests.openpgp.test_opening import BOB, mail
from tests.openpgp.test_sealing import ADDRESS, door, house, ours
from tests.services.bench import BOX, Bench

__all__ = ["door", "house"]

CANARY = "canary-of-the-content"


def with_key(bob: Person, text: str) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
        + text.encode()
        + b"\r\n--b\r\nContent-Type: application/pgp-keys; name=key.asc\r\n"
        b"Content-Disposition: attachment; filename=key.asc\r\n\r\n"
        + bob.gpg("--armor", "--export", bob.fingerprint)
        + b"\r\n--b--\r\n"
    )


def sealed(door: GpgDoor, bob: Person, number: int, data: bytes) -> bytes:
    # As a person's program writes it: without the marks of ours.
    one = replace(mail(), to_address=ADDRESS, message_id=f"<m{number}@y.example>")
    raw = encrypted(one, "[...]", bob.seal(data, ours(door), sign=False))
    lines = raw.split(b"\r\n")
    head = lines.index(b"")
    marks = (b"auto-submitted", b"x-", b"precedence", b"x-auto", b"mailbox-service")
    return b"\r\n".join([*(x for x in lines[:head] if not x.lower().startswith(marks)), *lines[head:]])


def pins(house: Bench) -> list[Pin]:
    return house.database.run(lambda tx: tx.pins(BOX.name, CaseId(1)))


async def test_a_sealed_report_pins_its_key_and_leaves_nothing_of_its_content(
    house: Bench, door: GpgDoor, bob: Person
) -> None:
    await house.post(sealed(door, bob, 1, with_key(bob, CANARY)))
    assert house.dispositions() == ["case"]
    assert [(p.address, p.key.fingerprint, p.how, p.case_id) for p in pins(house)] == [
        (BOB, bob.fingerprint, "first use", 1)
    ]
    assert "key_pinned" in house.events("SEC-2026-0001")
    rows = [str(house.context(row)) for row in house.mails()] + [str(house.journal("SEC-2026-0001"))]
    assert CANARY not in "".join(rows) + str(house.row(0))


async def test_a_token_alone_puts_no_key_into_a_case_that_exists(house: Bench, door: GpgDoor, bob: Person) -> None:
    await house.post(sealed(door, bob, 1, b"Content-Type: text/plain\r\n\r\nA flaw.\r\n"))
    ack = str(house.mails("acknowledgement")[0]["message_id"])
    answer = sealed(door, bob, 2, with_key(bob, CANARY)).replace(
        b"\r\n\r\n", f"\r\nIn-Reply-To: {ack}\r\n\r\n".encode(), 1
    )
    await house.post(answer)
    assert house.dispositions() == ["case", "attached"]
    assert pins(house) == []


async def test_the_same_ciphertext_from_somebody_else_is_a_case_that_nobody_is_shown(
    house: Bench, door: GpgDoor, bob: Person
) -> None:
    first = sealed(door, bob, 1, with_key(bob, CANARY))
    await house.post(first)
    stolen = first.replace(b"bob@y.example", b"eve@evil.example").replace(b"m1@", b"m2@")
    await house.post(stolen)
    assert house.dispositions() == ["case", "case"]
    assert {p.address for p in house.database.run(lambda tx: tx.pins(BOX.name, CaseId(2)))} == set()
    notices = [one for row in house.mails("notice_case") if (one := house.context(row))["reference"] == "SEC-2026-0002"]
    assert notices and all("message 1" in str(one["remarks"]) and "source" not in one for one in notices)


@pytest.mark.parametrize("batch", [True, False])
async def test_of_two_in_one_batch_only_the_first_is_opened(
    house: Bench, door: GpgDoor, bob: Person, database: Database, batch: bool
) -> None:
    first = sealed(door, bob, 1, with_key(bob, CANARY))
    stolen = first.replace(b"bob@y.example", b"eve@evil.example").replace(b"m1@", b"m2@")
    if batch:
        await house.post(first, stolen)
    else:
        await house.post_each(first, stolen)
    assert database.run(lambda tx: len(tx.pins(BOX.name, CaseId(1)) + tx.pins(BOX.name, CaseId(2)))) == 1
