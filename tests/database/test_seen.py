"""Ciphertexts and signatures that came before, on file."""

from __future__ import annotations

from mailbox_service.adapters.database.storage import Database
from mailbox_service.services.ports import MessageId
from tests.database.setting import NOW, new


def stored(database: Database) -> list[MessageId]:
    claims = database.run(lambda tx: tx.store([new(b"one"), new(b"two")], NOW, None))
    return [claim.id for claim in claims]


def test_the_message_in_which_a_ciphertext_came_first_has_it_for_ever(database: Database) -> None:
    one, two = stored(database)
    assert database.run(lambda tx: tx.add_ciphertexts("security", [("b", one), ("a", one)])) == {"a": one, "b": one}
    assert database.run(lambda tx: tx.add_ciphertexts("security", [("a", two), ("c", two)])) == {"a": one, "c": two}
    assert database.run(lambda tx: tx.ciphertexts("security", ["a", "b", "d"])) == {"a": one, "b": one}
    # Two mailboxes have nothing to do with each other.
    assert database.run(lambda tx: tx.ciphertexts("other", ["a"])) == {}
    assert database.run(lambda tx: tx.add_ciphertexts("other", [("a", two)])) == {"a": two}


def test_of_two_in_one_batch_the_first_has_it(database: Database) -> None:
    one, two = stored(database)
    assert database.run(lambda tx: tx.add_ciphertexts("security", [("a", one), ("a", two)])) == {"a": one}


def test_a_signature_is_used_up_by_one_message(database: Database) -> None:
    one, two = stored(database)
    assert database.run(lambda tx: tx.burned_by("security", "a")) is None
    assert [database.run(lambda tx: tx.burn("security", "a", m)) for m in (one, one, two, one)] == [  # noqa: B023
        True,
        True,
        False,
        True,
    ]
    assert database.run(lambda tx: tx.burned_by("security", "a")) == one
    assert database.run(lambda tx: tx.burn("other", "a", two))
