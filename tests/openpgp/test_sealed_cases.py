"""A case that came encrypted: whoever has a key reads all of it, nobody else anything, and it is nowhere in clear."""

from __future__ import annotations

from datetime import timedelta
from email import policy
from email.message import EmailMessage
from typing import Any

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.tables import metadata
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.automatic import LOOP_MARKER
from mailbox_service.core.composition import OutFile, Outgoing
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.core.openpgp import Encrypted, encrypted, entity_of, payload, protected_headers, read
from mailbox_service.services import key_news
from mailbox_service.services.ports import CaseId, MessageId
from mailbox_service.services.ports.openpgp import Pin
from tests.database.setting import NOW
from tests.openpgp.keys import People, Person
from tests.openpgp.test_sealing import ADA, ADDRESS, door, ours, pinned
from tests.services.bench import BOX, TRUSTED, Bench, changed, letter

__all__ = ["door"]  # fixtures

JANE = "jane@research.example"
CANARY = "Kanarienvogel"
PROOF = f"Authentication-Results: {TRUSTED}; dmarc=pass header.from="


@pytest.fixture(scope="module")
def ada(people: People, door: GpgDoor) -> Person:
    person = people.join(f"Ada <{ADA}>")
    person.know(ours(door))
    return person


@pytest.fixture(scope="module")
def jane(people: People, door: GpgDoor) -> Person:
    person = people.join(f"Jane <{JANE}>")
    person.know(ours(door))
    return person


@pytest.fixture
def house(database: Database, door: GpgDoor, ada: Person) -> Bench:
    """Ada's key is pinned, and Grace's is not."""
    house = Bench(database, mailbox=changed(openpgp=True), doors={BOX.name: door})
    pinned(house, ADA, ada.public)
    return house


def secret_mail(
    who: Person,
    sender: str,
    to: GpgDoor,
    body: str,
    *,
    subject: str = f"report: {CANARY} subject",
    answers: str | None = None,
    files: tuple[OutFile, ...] = (),
    number: int = 1,
) -> bytes:
    """A mail to the mailbox, encrypted and signed, as the trusted server hands it over."""
    mail = Outgoing(
        from_address=sender,
        from_name=sender.partition("@")[0].title(),
        to_address=ADDRESS,
        reply_to=None,
        subject=subject,
        body=body,
        message_id=f"<{number}.{sender}>",
        date=NOW,
        in_reply_to=answers,
        references=(answers,) if answers else (),
        auto_submitted="auto-replied",
        loop_marker="none",
        attachment=None,
        attachment_name="m.eml",
        files=files,
    )
    inner = payload(mail, "[...]")
    data = encrypted(mail, "[...]", who.seal(inner, ours(to), "--rfc4880"))
    lines = [
        line
        for line in data.decode().split("\r\n")
        if not line.startswith(("Auto-Submitted", "X-Auto-Response", "X-Mailbox-Service"))
    ]
    return f"{PROOF}{sender.partition('@')[2]}\r\n".encode() + "\r\n".join(lines).encode()


def opened(who: Person, data: bytes) -> tuple[str, str, bytes]:
    """Subject, text and entity of a mail as its recipient reads it; our signature is looked at."""
    found = read(data)
    assert isinstance(found, Encrypted)
    # gpg fails where our signature inside is not good.
    plain = who.gpg("--decrypt", data=found.message.octets)
    shown = protected_headers(entity_of(plain, found.form), parse(data), encrypted=True)
    return shown.subject, " ".join(shown.view.text.split()), shown.entity


def stored(database: Database) -> bytes:
    """All that the database holds, but the mails that came in."""

    def rows(tx: Any) -> bytes:
        tables = [table for table in metadata.sorted_tables if table.name not in ("raw_chunk", "message_chunk")]
        return b"\n".join(repr(tx.connection.execute(sa.select(table)).all()).encode() for table in tables)

    return database.run(rows)


def newest(house: Bench, address: str) -> bytes:
    """News of a key apart: they go out beside another mail, in the order in which gpg has done them."""
    mails = [data for recipient, data in house.office.taken if recipient == address]
    news = f".{key_news.TO_PERSON}"
    return next(
        (data for data in reversed(mails) if not str(parse(data).header(LOOP_MARKER)).endswith(news)), mails[-1]
    )


async def test_maintainers_with_a_key_read_the_report_and_the_others_learn_that_there_is_one(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    report = secret_mail(jane, JANE, door, f"{CANARY} text", files=(OutFile("poc.txt", f"{CANARY} file".encode()),))
    assert CANARY.encode() not in report
    await house.post(report)
    await house.deliver()
    subject, text, entity = opened(ada, newest(house, ADA))
    assert subject.startswith("[SEC-2026-0001]")
    assert f"{CANARY} text" in text and f"{CANARY} subject" in text and "poc.txt" in text and JANE in text
    assert "Grace cannot read this: no key is pinned to them." in text
    assert "It came encrypted and is shown opened. Its signature proves nothing" in text
    (whole,) = [file for file in attached_files(entity) if file.filename.endswith(".eml")]
    relayed = parse(whole.data)
    assert relayed.subject == f"report: {CANARY} subject" and f"{CANARY} text" in relayed.text
    assert relayed.from_ is not None and relayed.from_.addr_spec == JANE
    assert [file.data for file in attached_files(whole.data)] == [f"{CANARY} file".encode()]
    grace = newest(house, "grace@example.org")
    assert b"arrived encrypted" in grace
    assert CANARY.encode() not in stored(house.database)
    assert not any(CANARY.encode() in data for _, data in house.office.taken)


async def test_a_key_that_expires_before_the_mail_is_made_gets_a_notice_without_content(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    house.database.run(lambda tx: tx.unpin(BOX.name, ADA, None, NOW))
    pinned(house, ADA, ada.public, expires_at=NOW + timedelta(hours=1))
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    house.now += timedelta(hours=2)
    await house.deliver()
    notice = newest(house, ADA)
    assert b"arrived encrypted" in notice and b"It came encrypted" not in notice


async def test_a_text_for_the_reporter_goes_out_encrypted_to_them_alone(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    pinned(house, JANE, jane.public)
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    await house.deliver()
    notice = parse(newest(house, ADA)).message_id
    await house.post(
        letter(
            "Re", ADA, references=str(notice), message_id="<a1@example.org>", body="/reply\nThe cage is open.\n\nAda"
        )
    )
    await house.deliver()
    data = newest(house, JANE)
    subject, text, _ = opened(jane, data)
    assert "SEC-2026-0001" in subject and "The cage is open." in text and "Ada" not in text
    assert not any(b"The cage is open" in mail for _, mail in house.office.taken)
    assert b"The cage is open" not in stored(house.database)
    assert parse(data).subject == "[SEC-2026-0001]"


async def test_without_a_key_of_the_reporter_nothing_is_sent_and_it_is_said(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    await house.deliver()
    notice = parse(newest(house, ADA)).message_id
    await house.post(letter("Re", ADA, references=str(notice), message_id="<a1@example.org>", body="/reply\nThe cage."))
    before = len([r for r, _ in house.office.taken if r == JANE])
    await house.deliver()
    assert len([r for r, _ in house.office.taken if r == JANE]) == before
    _, text, _ = opened(ada, newest(house, ADA))
    assert "nothing was sent" in text and "key" in text


async def test_the_message_stays_ciphertext_on_file(house: Bench, door: GpgDoor, jane: Person) -> None:
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    assert CANARY.encode() not in house.database.run(lambda tx: tx.raw(MessageId(1)))


def written(body: str, answers: str, number: int, files: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    """A mail of Ada's in clear, which the trusted server vouches for."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f"Ada <{ADA}>", ADDRESS, "Re"
    mail["Message-ID"], mail["In-Reply-To"], mail["References"] = f"<a{number}@example.org>", answers, answers
    mail.set_content(body)
    for name, data in files:
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return f"{PROOF}example.org\r\n".encode() + mail.as_bytes(policy=policy.SMTP)


async def test_files_go_along_and_a_second_maintainer_reads_what_was_written(
    house: Bench, door: GpgDoor, ada: Person, jane: Person, people: People
) -> None:
    grace = people.join("Grace <grace@example.org>")
    grace.know(ours(door))
    pinned(house, "grace@example.org", grace.public)
    pinned(house, JANE, jane.public)
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    await house.deliver()
    notice = str(parse(newest(house, ADA)).message_id)
    await house.post(written("/reply\nThe cage is open.\n", notice, 1, (("cage.bin", b"\x00\x01bars"),)))
    await house.deliver()
    _, text, entity = opened(jane, newest(house, JANE))
    assert "The cage is open." in text
    assert [(file.filename, file.data) for file in attached_files(entity)] == [("cage.bin", b"\x00\x01bars")]
    _, text, entity = opened(grace, newest(house, "grace@example.org"))
    assert "The cage is open." in text and "Ada answered the reporter" in text and "It is not signed." in text
    for word in (b"The cage is open", b"cage.bin"):
        assert word not in stored(house.database)
        assert not any(word in mail for _, mail in house.office.taken)


async def test_a_preview_shows_its_writer_what_would_go_out(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    pinned(house, JANE, jane.public)
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    await house.deliver()
    notice = str(parse(newest(house, ADA)).message_id)
    before = len(house.office.taken)
    await house.post(written("/preview\n/reply\nThe cage is open.\n", notice, 1, (("cage.bin", b"\x00\x01bars"),)))
    await house.deliver()
    assert [recipient for recipient, _ in house.office.taken[before:]] == [ADA]
    _, text, entity = opened(ada, newest(house, ADA))
    assert "The cage is open." in text and "cage.bin" in text and not attached_files(entity)
    await house.post(written("/confirm\n", str(parse(newest(house, ADA)).message_id), 2))
    await house.deliver()
    assert "The cage is open." in opened(jane, newest(house, JANE))[1]
    assert b"The cage is open" not in stored(house.database) and b"cage.bin" not in stored(house.database)


async def test_a_key_that_came_by_mail_is_never_a_maintainers(
    house: Bench, door: GpgDoor, ada: Person, jane: Person, people: People
) -> None:
    """Who writes in the name of Ada, with a key, must not be sent what only she may read."""
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    other = people.join(f"Ada <{ADA}>")
    pin = Pin(BOX.name, ADA, other.public, CaseId(1), "first use", NOW)
    house.database.run(lambda tx: tx.pin(pin))
    await house.deliver()
    assert f"{CANARY} text" in opened(ada, newest(house, ADA))[1]


async def test_an_encrypted_answer_reaches_the_reporter_and_is_nowhere_in_clear(
    house: Bench, door: GpgDoor, ada: Person, jane: Person
) -> None:
    pinned(house, JANE, jane.public)
    await house.post(secret_mail(jane, JANE, door, f"{CANARY} text"))
    await house.deliver()
    assert "It is signed by the key pinned to jane@research.example" in opened(ada, newest(house, ADA))[1]
    notice = str(parse(newest(house, ADA)).message_id)
    files = (OutFile("cage.txt", f"{CANARY} bars".encode()),)
    await house.post(secret_mail(ada, ADA, door, f"/reply\n{CANARY} sings.\n", answers=notice, files=files, number=2))
    await house.deliver()
    _, text, entity = opened(jane, newest(house, JANE))
    assert f"{CANARY} sings." in text
    assert [(file.filename, file.data) for file in attached_files(entity)] == [(f.filename, f.data) for f in files]
    assert CANARY.encode() not in stored(house.database) and b"cage.txt" not in stored(house.database)
    assert not any(CANARY.encode() in data for _, data in house.office.taken)
