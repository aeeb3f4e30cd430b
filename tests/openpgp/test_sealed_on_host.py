"""What is written on the host in a sealed case: kept encrypted, and sent encrypted or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.errors import Refused
from mailbox_service.services.conversation.on_host import Done, carry_out_on_host
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.kept import reread
from mailbox_service.services.ports import CaseId, Transaction
from tests.openpgp.keys import People, Person
from tests.openpgp.test_sealed_answers import GRACE, house, named, nowhere, said
from tests.openpgp.test_sealed_cases import CANARY, JANE, ada, jane, newest, opened, written
from tests.openpgp.test_sealing import ADA, door, keyless, ours, pinned
from tests.services.bench import BOX, KEY, Bench

__all__ = ["ada", "door", "house", "jane", "keyless"]  # fixtures

REF, SECOND, UPSTREAM = "SEC-2026-0001", "jane@work.example", "dev@upstream.example"


def on_host(house: Bench, door: GpgDoor, *lines: str, text: str = "") -> Done:
    boxes, correspondence = {BOX.name: house.mailbox}, Correspondence(KEY)
    return house.database.run(
        lambda tx: carry_out_on_host(
            tx, boxes, correspondence, REF, list(lines), text, "root", house.now, {BOX.name: door}
        )
    )


async def test_a_reporter_with_a_key_is_answered_and_the_text_is_nowhere_in_clear(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    pinned(house, JANE, jane.public, case=1)
    done = on_host(house, door, "/reply", text=f"{CANARY} sings.\n\nBye")
    assert done.sent == ["the reporter was sent: reply"]
    await house.deliver()
    _, text, entity = opened(jane, newest(house, JANE))
    assert f"{CANARY} sings." in text and "root" not in text and not attached_files(entity)
    text = opened(ada, newest(house, ADA))[1]
    assert "root answered the reporter" in text and f"{CANARY} sings." in text
    assert CANARY not in said(newest(house, GRACE))
    assert nowhere(house, CANARY)
    (entry,) = (entry for entry in house.journal(REF) if entry["event"] == "replied")
    assert reread(entry["data"]["kept"], door) == f"{CANARY} sings.\n\nBye"


async def test_without_a_key_nothing_is_done_and_it_is_said_who_has_none_and_what_to_do(
    house: Bench, door: GpgDoor
) -> None:
    before = house.events(REF), len(house.mails())
    with pytest.raises(Refused) as refused:
        on_host(house, door, "/reply", text=CANARY)
    assert f"no key that can be used is pinned to {JANE}; nothing was sent" in str(refused.value)
    assert f"mailbox-service key pin {JANE} FINGERPRINT --file FILE --case {REF}" in str(refused.value)
    assert (house.events(REF), len(house.mails())) == before


async def test_an_invited_person_needs_a_key_and_so_does_the_reporter_of_a_close(
    house: Bench, door: GpgDoor, jane: Person, people: People
) -> None:
    pinned(house, JANE, jane.public, case=1)
    on_host(house, door, f"/invite {UPSTREAM}")
    await house.deliver()
    with pytest.raises(Refused, match=f"pinned to {UPSTREAM}"):
        on_host(house, door, f"/invite {UPSTREAM}", text=CANARY)
    upstream = people.join(f"Dev <{UPSTREAM}>")
    upstream.know(ours(door))
    pinned(house, UPSTREAM, upstream.public, case=1)
    on_host(house, door, f"/invite {UPSTREAM}", text=f"{CANARY} for you")
    await house.deliver()
    assert f"{CANARY} for you" in opened(upstream, newest(house, UPSTREAM))[1]
    house.database.run(lambda tx: tx.unpin(BOX.name, JANE, CaseId(1), house.now))
    on_host(house, door, "/reproduced")  # says nothing but that there is news
    with pytest.raises(Refused, match=f"pinned to {JANE}"):
        on_host(house, door, "/close out-of-scope", text=CANARY)
    assert nowhere(house, CANARY)


async def test_of_several_reporters_nobody_is_sent_anything_while_one_has_no_key(
    house: Bench, door: GpgDoor, jane: Person
) -> None:
    pinned(house, JANE, jane.public, case=1)

    def add(tx: Transaction) -> None:
        record = tx.case_for_update(CaseId(1))
        state = replace(record.state, reporters=(*record.state.reporters, SECOND))
        tx.save_case(replace(record, state=state), record.state.version, None)

    house.database.run(add)
    with pytest.raises(Refused, match=f"pinned to {SECOND}; nothing was sent to anybody"):
        on_host(house, door, "/reply", text=CANARY)
    assert not house.mails("sealed_news")


async def test_a_note_is_kept_encrypted_and_shown_to_who_has_a_key(house: Bench, door: GpgDoor, ada: Person) -> None:
    on_host(house, door, "/note", text=f"{CANARY} looks real.")
    await house.deliver()
    assert f"{CANARY} looks real." in opened(ada, newest(house, ADA))[1]
    assert CANARY not in said(newest(house, GRACE)) and nowhere(house, CANARY)


async def test_its_lines_in_a_mail_to_the_reporter_are_noticed(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    pinned(house, JANE, jane.public, case=1)
    note = "The hole is in the parser of the third module, and nobody has seen it before."
    on_host(house, door, "/note", text=note)
    await house.deliver()
    await house.post(written(f"/reply\nThank you.\n\n{note}\n", named(house, ADA), 1))
    await house.deliver()
    assert "Nothing was sent and nothing was changed." in opened(ada, newest(house, ADA))[1]


async def test_a_mailbox_without_a_key_of_its_own_has_nothing_to_keep_it_under(
    house: Bench, keyless: GpgDoor, jane: Person
) -> None:
    pinned(house, JANE, jane.public, case=1)
    with pytest.raises(Refused, match="has no key of its own"):
        on_host(house, keyless, "/reply", text=CANARY)
