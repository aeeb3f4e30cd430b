"""Evidence P: what a signature by the pinned key is enough for, and every way in which one is not that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.core.case import Stage
from mailbox_service.services.mailboxes import Mailbox, Maintainer
from mailbox_service.services.ports import CaseId
from mailbox_service.services.ports.openpgp import Pin, PublicKey
from tests.conversation.people import Mail, Story, said
from tests.end_to_end.openpgp_people import Correspondent
from tests.openpgp.keys import People
from tests.openpgp.keys import Person as Keyholder
from tests.openpgp.test_sealing import keyrings
from tests.services.bench import BOX, Bench

# gpg believes in no signature from days to come, so the story plays in days that are over.
BEGINNING = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
BEFORE = f"{BEGINNING - timedelta(days=2):%Y%m%dT%H%M%S}"
SIGNED_ONLY = replace(BOX, maintainers=(replace(BOX.maintainers[0], signed_only=True), BOX.maintainers[1]))
STRICT = replace(BOX, strict=True)
INVITE = "/invite friend@elsewhere.example\n"


@pytest.fixture(scope="module")
def door() -> Iterator[GpgDoor]:
    with keyrings() as homes:
        generate(homes, "Example security", BOX.address, "2y")
        yield GpgDoor(homes, frozenset({BOX.address}))


@pytest.fixture(scope="module")
def keys(people: People) -> dict[str, Keyholder]:
    return {
        name: people.join(f"{name} <{address}>", at=BEFORE)
        for name, address in (
            ("Ada", "ada@example.org"),
            ("Grace", "grace@example.org"),
            ("Jane", "jane@research.example"),
            ("Mallory", "ada@example.org"),
        )
    }


class Signing(Story):
    """Ada, Grace and Jane have keys, and read what came encrypted."""

    def __init__(self, bench: Bench, keys: dict[str, Keyholder], ours: PublicKey) -> None:
        bench.now = BEGINNING
        super().__init__(
            bench,
            jane=Correspondent("jane@research.example", "Jane Doe", key=keys["Jane"], ours=ours),
            ada=Correspondent("ada@example.org", "Ada", key=keys["Ada"], ours=ours),
            grace=Correspondent("grace@example.org", "Grace", key=keys["Grace"], ours=ours),
        )
        for name in ("Ada", "Grace"):
            self.pin(f"{name.lower()}@example.org", keys[name].public)

    def pin(
        self, address: str, key: PublicKey, *, case: int | None = None, how: str = "host", expires_in: float = 0
    ) -> None:
        expires = self.bench.now + timedelta(days=expires_in) if expires_in else None
        pin = Pin(BOX.name, address, key, None if case is None else CaseId(case), how, self.bench.now, expires)
        self.bench.database.run(lambda tx: tx.pin(pin))

    async def delivered(self) -> list[tuple[str, Mail]]:
        before = len(self.bench.office.taken)
        await self.bench.deliver()
        out = []
        for recipient, data in self.bench.office.taken[before:]:
            person = self.people.get(recipient)
            if isinstance(person, Correspondent):
                mail = person.receive(data)
                outer = person.letters[-1].outside
                out.append((recipient, _with_ids(mail, outer)))
                person.got.append(out[-1][1])
        await self.bench.later(seconds=60)
        return out

    async def signs(
        self, who: Any, body: str, to: str = "", *, by: Keyholder | None = None, shift: timedelta = timedelta()
    ) -> list[tuple[str, Mail]]:
        """An answer that nothing but its signature proves."""
        return await self.send(self.signed(who, body, to, by=by, shift=shift))

    def signed(
        self, who: Any, body: str, to: str = "", *, by: Keyholder | None = None, shift: timedelta = timedelta()
    ) -> bytes:
        mail = who.write(body, answering=who.newest(to), proven=False)
        at = self.bench.now + shift
        signed: bytes = who.sign(mail, by=by, at=f"{at:%Y%m%dT%H%M%S}")
        return signed

    @property
    def kinds(self) -> list[str]:
        return [str(mail["kind"]) for mail in self.bench.mails()]

    def last_data(self) -> dict[str, Any]:
        rows = self.bench.database.run(lambda tx: tx.journal_of(CaseId(1)))
        found: dict[str, Any] = rows[-1]["data"]
        return found


def _with_ids(mail: Mail, outer: bytes) -> Mail:
    """What a program shows of a mail that was encrypted, with the header that answers go by."""
    from email import message_from_bytes
    from email.policy import default

    around = message_from_bytes(outer, policy=default)
    for name in ("Message-ID", "References", "Subject", "From"):
        if mail[name] is None and around[name] is not None:
            mail[name] = str(around[name])
    return mail


async def begun(database: Database, door: GpgDoor, keys: dict[str, Keyholder], mailbox: Mailbox = BOX) -> Signing:
    key = door.public_key()
    assert key is not None
    story = Signing(Bench(database, mailbox=mailbox, doors={mailbox.name: door}), keys, key)
    await story.begin()
    return story


@pytest.fixture
async def story(database: Database, door: GpgDoor, keys: dict[str, Keyholder]) -> AsyncIterator[Signing]:
    yield await begun(database, door, keys)


@pytest.fixture
async def careful(database: Database, door: GpgDoor, keys: dict[str, Keyholder]) -> AsyncIterator[Signing]:
    """Ada must sign."""
    yield await begun(database, door, keys, SIGNED_ONLY)


@pytest.fixture
async def strict(database: Database, door: GpgDoor, keys: dict[str, Keyholder]) -> AsyncIterator[Signing]:
    yield await begun(database, door, keys, STRICT)


# --- standard -------------------------------------------------------------------------------------------------------


async def test_a_signature_is_enough_for_what_cannot_be_undone(story: Signing, keys: dict[str, Keyholder]) -> None:
    await story.signs(story.ada, INVITE)
    assert "invitation" in story.kinds and "confirmation" not in story.kinds
    data = story.last_data()
    assert data["evidence"] == "P+T" and data["signed_by"] == keys["Ada"].fingerprint


async def test_without_one_it_is_confirmed_as_before(story: Signing) -> None:
    await story.answer(story.ada, INVITE)
    assert "invitation" not in story.kinds and "confirmation" in story.kinds


async def test_who_has_no_key_works_as_before(story: Signing) -> None:
    story.bench.database.run(lambda tx: tx.unpin(BOX.name, "ada@example.org", None, story.bench.now))
    await story.answer(story.ada, "/reviewing\n")
    assert story.state().stage is Stage.REVIEWING


async def test_a_reporter_is_proven_by_the_key_of_the_case(story: Signing, keys: dict[str, Keyholder]) -> None:
    await story.signs(story.jane, "/withdraw\n")
    assert "withdrawal" not in story.kinds
    story.pin("jane@research.example", keys["Jane"].public, case=1, how="first use")
    await story.signs(story.jane, "/withdraw\n")
    assert "withdrawal" in story.kinds
    assert story.last_data()["evidence"] == "P+T"


# --- signed_only, and every way to fail it --------------------------------------------------------------------------


async def test_who_must_sign_is_told_what_is_missing_and_nothing_is_done(careful: Signing) -> None:
    out = await careful.answer(careful.ada, "/reviewing\n")
    assert careful.state().stage is Stage.RECEIVED
    told = [said(mail) for recipient, mail in out if recipient == "ada@example.org"]
    assert any("this needs your signature: it is not signed" in text for text in told)
    await careful.signs(careful.ada, "/reviewing\n")
    assert careful.state().stage is Stage.REVIEWING


async def test_it_is_asked_of_nobody_else(careful: Signing) -> None:
    await careful.answer(careful.grace, "/reviewing\n")
    assert careful.state().stage is Stage.REVIEWING


@pytest.mark.parametrize(
    ("shift", "why"),
    [
        (timedelta(minutes=-30), "before the mail that it answers"),
        (timedelta(minutes=30), "still to come"),
        (timedelta(seconds=-90), ""),
        (timedelta(minutes=5), ""),
    ],
)
async def test_the_moment_of_a_signature_counts(careful: Signing, shift: timedelta, why: str) -> None:
    signed = careful.signed(careful.ada, "/reviewing\n", shift=shift)
    out = await careful.send(_proven(signed))
    assert (careful.state().stage is Stage.RECEIVED) == bool(why)
    assert any(why in said(mail) for recipient, mail in out if recipient == "ada@example.org")


async def test_a_signature_grows_old(careful: Signing) -> None:
    signed = careful.signed(careful.ada, "/reviewing\n")
    careful.bench.now += timedelta(days=7, minutes=1)
    out = await careful.send(_proven(signed))
    assert careful.state().stage is Stage.RECEIVED
    assert any("seven days ago" in said(mail) for recipient, mail in out if recipient == "ada@example.org")


async def test_the_key_of_somebody_else_proves_nothing(careful: Signing, keys: dict[str, Keyholder]) -> None:
    for other in ("Mallory", "Grace", "Jane"):
        await careful.signs(careful.ada, "/reviewing\n", by=keys[other])
        assert careful.state().stage is Stage.RECEIVED


async def test_a_key_that_a_mail_brought_is_no_maintainers(careful: Signing, keys: dict[str, Keyholder]) -> None:
    careful.pin("ada@example.org", keys["Mallory"].public, case=1, how="first use")
    await careful.signs(careful.ada, "/reviewing\n", by=keys["Mallory"])
    assert careful.state().stage is Stage.RECEIVED
    await careful.signs(careful.ada, "/reviewing\n")
    assert careful.state().stage is Stage.REVIEWING


async def test_a_pin_that_has_expired_proves_nothing(careful: Signing, keys: dict[str, Keyholder]) -> None:
    careful.bench.database.run(lambda tx: tx.unpin(BOX.name, "ada@example.org", None, careful.bench.now))
    careful.pin("ada@example.org", keys["Ada"].public, expires_in=1)
    careful.bench.now += timedelta(days=2)
    await careful.signs(careful.ada, "/reviewing\n")
    assert careful.state().stage is Stage.RECEIVED


async def test_the_same_signed_text_counts_once(careful: Signing) -> None:
    first = careful.signed(careful.ada, "/affects 1.0\n")
    await careful.send(first)
    assert careful.state().facts.affects is not None
    await careful.signs(careful.ada, "/affects 2.0\n")
    newer = careful.state().facts.affects
    again = first.replace(b"Message-ID: <ada.", b"Message-ID: <again.", 1)
    assert again != first
    await careful.send(_proven(again))
    assert careful.state().facts.affects == newer


async def test_what_was_changed_under_its_signature_proves_nothing(careful: Signing) -> None:
    signed = careful.signed(careful.ada, "/reviewing\n").replace(b"/reviewing", b"/close spam")
    await careful.send(_proven(signed))
    assert careful.state().stage is Stage.RECEIVED


async def test_a_command_outside_of_what_is_signed_is_none(careful: Signing) -> None:
    """The signed mail as one part of another, with a command before it."""
    inner = careful.signed(careful.ada, "I agree.\n")
    head, _, _ = inner.partition(b"MIME-Version: 1.0")
    part = inner[len(head) :]
    body = b"--outer\r\nContent-Type: text/plain\r\n\r\n/close spam\r\n--outer\r\n" + part + b"\r\n--outer--\r\n"
    await careful.send(
        _proven(head + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="outer"\r\n\r\n' + body)
    )
    assert careful.state().stage is Stage.RECEIVED


# --- strict ---------------------------------------------------------------------------------------------------------


async def test_strict_takes_a_signature_for_what_can_be_undone(strict: Signing) -> None:
    await strict.answer(strict.ada, "/reviewing\n")
    assert strict.state().stage is Stage.RECEIVED
    out = await strict.answer(strict.ada, "/status\n")
    assert "case_status" in strict.kinds and [r for r, _ in out] == ["ada@example.org"]
    await strict.signs(strict.ada, "/reviewing\n")
    assert strict.state().stage is Stage.REVIEWING


async def test_strict_takes_two_people_for_what_cannot_be_undone(strict: Signing, keys: dict[str, Keyholder]) -> None:
    out = await strict.signs(strict.ada, INVITE)
    assert "invitation" not in strict.kinds
    asked = [recipient for recipient, mail in out if "/confirm" in said(mail)]
    assert asked == ["grace@example.org"]
    assert any("asked Grace to confirm it" in said(mail) for _, mail in out)
    # An answer without a signature confirms nothing, and takes nothing from the one that has it.
    refused = await strict.answer(strict.grace, "/confirm\n", "has signed")
    assert "invitation" not in strict.kinds
    assert any("this needs your signature" in said(mail) for _, mail in refused)
    await strict.signs(strict.grace, "/confirm\n", "has signed")
    assert "invitation" in strict.kinds
    data = strict.last_data()
    assert data["evidence"].startswith("P+T") and data["evidence"].endswith("P2")
    assert (data["signed_by"], data["seconded_by"]) == (keys["Ada"].fingerprint, "Grace")
    count = strict.kinds.count("invitation")
    await strict.signs(strict.grace, "/confirm\n", "has signed")
    assert strict.kinds.count("invitation") == count


async def test_the_first_one_cannot_confirm_in_the_name_of_the_second(
    strict: Signing, keys: dict[str, Keyholder]
) -> None:
    await strict.signs(strict.ada, INVITE)
    await strict.signs(strict.grace, "/confirm\n", "has signed", by=keys["Ada"])
    assert "invitation" not in strict.kinds


async def test_one_key_is_not_two_people(strict: Signing, keys: dict[str, Keyholder]) -> None:
    strict.pin("grace@example.org", keys["Ada"].public)
    assert isinstance(strict.grace, Correspondent)
    strict.grace.key = keys["Ada"]
    await strict.signs(strict.ada, INVITE)
    out = await strict.signs(strict.grace, "/confirm\n", "has signed")
    assert "invitation" not in strict.kinds
    assert any("takes the keys of two people" in said(mail) for _, mail in out)


async def test_a_key_that_was_taken_away_meanwhile_asks_for_nothing(strict: Signing) -> None:
    await strict.signs(strict.ada, INVITE)
    strict.bench.database.run(lambda tx: tx.unpin(BOX.name, "ada@example.org", None, strict.bench.now))
    out = await strict.signs(strict.grace, "/confirm\n", "has signed")
    assert "invitation" not in strict.kinds
    assert any("is not pinned any more" in said(mail) for _, mail in out)


async def test_of_several_who_are_asked_the_first_one_does_it(
    database: Database, door: GpgDoor, keys: dict[str, Keyholder]
) -> None:
    third = replace(STRICT, maintainers=(*STRICT.maintainers, Maintainer("Lin", "lin@example.org")))
    story = await begun(database, door, keys, third)
    lin = Correspondent("lin@example.org", "Lin", key=keys["Mallory"], ours=door.public_key())
    story.others[lin.address] = lin
    story.pin(lin.address, keys["Mallory"].public)
    await story.signs(story.ada, INVITE)
    await story.signs(story.grace, "/confirm\n", "has signed")
    count = story.kinds.count("invitation")
    assert count == 1
    await story.signs(lin, "/confirm\n", "has signed")
    assert story.kinds.count("invitation") == count


def _proven(mail: bytes) -> bytes:
    """With the word of the mail server for its From: what is missing is the signature alone."""
    return b"Authentication-Results: mx.example.org; dmarc=pass header.from=example.org\r\n" + mail
