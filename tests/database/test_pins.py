"""Pinned keys on file."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.errors import TemporaryError
from mailbox_service.services.ports import CaseId, OpenCase
from mailbox_service.services.ports.openpgp import Pin, PublicKey
from tests.database.setting import NOW

ONE, TWO = PublicKey("A" * 40, b"\0key one"), PublicKey("B" * 40, b"key two")
BOB = Pin("security", "bob@y.example", ONE, None, "host", NOW, NOW + timedelta(days=9), "ada")


def put(database: Database, *pins: Pin) -> list[bool]:
    return [database.run(lambda tx: tx.pin(one)) for one in pins]  # noqa: B023


def pins(database: Database, case: CaseId | None = None, mailbox: str = "security") -> list[Pin]:
    return database.run(lambda tx: tx.pins(mailbox, case))


def opened(database: Database) -> CaseId:
    case = OpenCase("security", "bob@y.example", "A bug", False, False, False, reference_pattern="SEC-{number:04d}")
    database.run(lambda tx: tx.open_cases([case], NOW))
    assert case.id is not None
    return case.id


def test_a_pin_is_found_as_it_was_set(database: Database) -> None:
    assert put(database, BOB) == [True]
    assert pins(database) == [BOB]
    assert pins(database, mailbox="other") == []


def test_a_second_key_for_an_address_takes_the_place_of_the_first(database: Database) -> None:
    assert put(database, BOB, BOB, replace(BOB, key=TWO, address="Bob@Y.example")) == [True, False, True]
    assert pins(database) == [replace(BOB, key=TWO)]
    # The same key with a longer life is another pinning of the same fingerprint.
    newer = replace(BOB, key=replace(TWO, data=b"key two, renewed"))
    assert put(database, newer) == [True]
    assert pins(database) == [newer]
    assert database.run(lambda tx: tx.known_key(ONE.fingerprint)) == ONE
    assert database.run(lambda tx: tx.known_key("C" * 40)) is None


def test_a_pin_of_a_case_outranks_that_of_its_mailbox_there_and_nowhere_else(database: Database) -> None:
    case, other = opened(database), opened(database)
    there = replace(BOB, key=TWO, case_id=case, how="first use")
    put(database, there, BOB, replace(BOB, address="carol@y.example"))
    assert {pin.address: pin.key for pin in pins(database, case)} == {"bob@y.example": TWO, "carol@y.example": ONE}
    assert {pin.key for pin in pins(database, other)} == {pin.key for pin in pins(database)} == {ONE}
    assert database.run(lambda tx: tx.unpin("security", "bob@y.example", case, NOW)) == [TWO.fingerprint]
    assert {pin.key for pin in pins(database, case)} == {ONE}


def test_all_that_is_pinned_to_an_address_is_found_whatever_the_case(database: Database) -> None:
    case, other = opened(database), opened(database)
    elsewhere = replace(BOB, mailbox="other")
    in_one, in_other = (replace(BOB, key=TWO, case_id=one, how="first use") for one in (case, other))
    put(database, in_one, BOB, elsewhere, replace(BOB, address="carol@y.example"), in_other)

    def found(address: str, mailbox: str = "security") -> list[Pin]:
        return database.run(lambda tx: tx.pins_of(mailbox, address))

    assert found("bob@y.example") == found("BOB@Y.example") == [in_one, BOB, in_other]
    assert found("bob@y.example", "other") == [elsewhere]
    assert found("nobody@y.example") == found("bob@y.example%") == found("b\0b@y.example") == []
    database.run(lambda tx: tx.unpin("security", "bob@y.example", case, NOW))
    newer = replace(BOB, key=replace(TWO, data=b"key two, renewed"))
    put(database, newer)
    assert found("bob@y.example") == [in_other, newer]


def test_what_is_unpinned_is_gone_and_on_file(database: Database) -> None:
    put(database, BOB)
    assert database.run(lambda tx: tx.unpin("other", "bob@y.example", None, NOW)) == []
    assert database.run(lambda tx: tx.unpin("security", "BOB@y.example", None, NOW)) == [ONE.fingerprint]
    assert database.run(lambda tx: tx.unpin("security", "bob@y.example", None, NOW)) == []
    assert pins(database) == []
    rows = database.run(lambda tx: tx.connection.execute(sa.text("select fingerprint, unpinned_at from pin")).all())
    assert len(rows) == 1
    assert rows[0].unpinned_at is not None


def test_a_pin_of_a_case_names_one(database: Database) -> None:
    put(database, BOB)
    with pytest.raises(TemporaryError):
        database.run(lambda tx: tx.connection.execute(sa.text("update pin set scope = 'case'")))
