"""What a client says and what it is answered, over both doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mailbox_service.adapters.lmtp.session import Session
from mailbox_service.errors import StorageFull, TemporaryError
from mailbox_service.services.ports import RawMessage, SourceKind
from tests.lmtp.setting import LIMIT_BYTES, NOW, House, open_house

MAIL = b"From: eve@example.com\r\nSubject: x\r\n\r\nHello\r\n"


@pytest.fixture(params=["lmtp", "smtp"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(request.param, tmp_path) as opened:
        yield opened


async def test_a_message_is_stored_as_it_was_sent_with_its_envelope(house: House) -> None:
    async with house.client() as client:
        assert await client.send(MAIL, b"security+case7@EXAMPLE.org") == "250 2.0.0 Stored"
    (raw,) = house.shelf.kept
    assert (raw.data, raw.envelope_from, raw.envelope_to) == (MAIL, "eve@example.com", "security+case7@EXAMPLE.org")
    assert (raw.origin.kind, raw.origin.mailbox, raw.received_at) == (SourceKind.LMTP, "security", NOW)
    assert not raw.origin.quiet
    assert (house.listener.status.stored, house.listener.status.last_stored_at) == (1, NOW)


async def test_the_null_reverse_path_is_the_empty_one(house: House) -> None:
    async with house.client() as client:
        await client.begin(sender=b"")
        assert await client.ask(MAIL + b".") == "250 2.0.0 Stored"
        assert await client.send(MAIL + b"second\r\n") == "250 2.0.0 Stored"
    assert [raw.envelope_from for raw in house.shelf.kept] == ["", "eve@example.com"]


@pytest.mark.parametrize(
    ("recipient", "mailbox"),
    [
        (b"Security@Example.ORG", "security"),
        (b"vuln+a+b@example.org", "security"),
        (b'"security"@example.org', "security"),
        (b'"sec\\urity+x y"@example.org', "security"),
        (b"@relay.example,@other.example:psirt@example.net", "psirt"),
        (b"psirt@example.org", None),
        (b"securityx@example.org", None),
        (b"+security@example.org", None),
        (b"security@example.org.", None),
        (b"security", None),
        (b"postmaster", None),
        (b"", None),
        (b"security@example.org@example.com", None),
        ("sécurity@example.org".encode(), None),
    ],
)
async def test_addresses_and_aliases_with_any_detail_are_recipients_and_nothing_else_is(
    house: House, recipient: bytes, mailbox: str | None
) -> None:
    async with house.client() as client:
        await client.ask(b"MAIL FROM:<eve@example.com>")
        reply = await client.ask(b"RCPT TO:<" + recipient + b">")
        if mailbox is None:
            assert reply == "550 5.1.1 No such recipient here"
            assert (await client.ask(b"DATA"))[:3] == "503"
        else:
            assert reply == "250 2.1.5 OK"
            assert (await client.ask(b"DATA"))[:3] == "354"
            assert (await client.ask(MAIL + b"."))[:3] == "250"
    assert [raw.origin.mailbox for raw in house.shelf.kept] == ([mailbox] if mailbox else [])


async def test_a_second_recipient_waits_for_a_transaction_of_its_own(house: House) -> None:
    async with house.client() as client:
        await client.ask(b"MAIL FROM:<eve@example.com>")
        assert await client.ask(b"RCPT TO:<security@example.org>") == "250 2.1.5 OK"
        assert await client.ask(b"RCPT TO:<psirt@example.net>") == "452 4.5.3 One recipient per transaction"
        assert (await client.ask(b"DATA"))[:3] == "354"
        client.write(MAIL + b".\r\nNOOP\r\n")
        # One reply to the message, then that to NOOP.
        assert await client.replies(2) == ["250 2.0.0 Stored", "250 2.0.0 OK"]
    assert [raw.origin.mailbox for raw in house.shelf.kept] == ["security"]


async def test_the_greeting_names_what_is_offered_and_nothing_of_the_host(house: House) -> None:
    client = await house.raw_client()
    greeting = await client.reply()
    offered = await client.ask(b"LHLO me" if house.listener.kind == "lmtp" else b"EHLO me")
    client.writer.close()
    assert greeting == f"220 mailbox-service {'LMTP' if house.listener.kind == 'lmtp' else 'ESMTP'}"
    words = {line[4:] for line in offered.splitlines()}
    assert words == {
        "mailbox-service", "PIPELINING", f"SIZE {LIMIT_BYTES}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"
    }  # fmt: skip


async def test_each_protocol_has_its_own_greeting(tmp_path: Path) -> None:
    async with open_house("lmtp", tmp_path) as house, house.client() as client:
        assert (await client.ask(b"EHLO me"))[:3] == (await client.ask(b"HELO me"))[:3] == "500"
    async with open_house("smtp", tmp_path) as house, house.client() as client:
        assert (await client.ask(b"LHLO me"))[:3] == "500"
        assert await client.ask(b"HELO me") == "250 mailbox-service"
        assert await client.send(MAIL) == "250 2.0.0 Stored"


async def test_nobody_is_told_who_has_a_mailbox_and_nobody_can_log_in(house: House) -> None:
    async with house.client() as client:
        known = [await client.ask(b"VRFY security@example.org"), await client.ask(b"EXPN security@example.org")]
        unknown = [await client.ask(b"VRFY nobody@example.org"), await client.ask(b"EXPN nobody@example.org")]
        assert known == unknown
        assert [reply[:3] for reply in known] == ["252", "502"]
        assert await client.ask(b"HELP MAIL") == await client.ask(b"HELP") == "214 2.0.0 See RFC 5321 and RFC 2033"
        assert (await client.ask(b"AUTH PLAIN AGEAYg=="))[:3] == "500"
        assert (await client.ask(b"STARTTLS"))[:3] == "500"
        assert await client.send(MAIL) == "250 2.0.0 Stored"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"MAIL", "501"),
        (b"MAIL FROM:", "501"),
        (b"MAIL FROM:eve@example.com", "501"),
        (b"MAIL FROM:<eve@example.com", "501"),
        (b"MAIL FROM:<eve@example.com>x", "501"),
        (b"MAIL FROM:<a b@example.com>", "501"),
        (b"MAIL FROM:<eve@example.com> SIZE=1 SIZE=2", "501"),
        (b"MAIL FROM:<eve@example.com> SIZE=x", "501"),
        (b"MAIL FROM:<eve@example.com> SIZE=", "501"),
        (b"MAIL FROM:<eve@example.com> BODY=BINARYMIME", "555"),
        (b"MAIL FROM:<eve@example.com> RET=FULL", "555"),
        (b"MAIL FROM:<eve@example.com> SIZE=%d" % (LIMIT_BYTES + 1), "552"),
        (b"MAIL FROM:<eve@example.com> SIZE=99999999999999999999", "552"),
        (b"mail from:<eve@example.com> size=%d body=8bitmime smtputf8" % LIMIT_BYTES, "250"),
        (b"MAIL FROM: <eve@example.com>", "250"),
        (b'MAIL FROM:<"a b>\\"c"@example.com>', "250"),
        ("MAIL FROM:<jörg@exämple.com> SMTPUTF8".encode(), "250"),
        (b"MAIL FROM:<\xff\xfe@example.com>", "250"),
        (b"MAIL FROM:<" + b"x" * 1000 + b"@example.com>", "250"),
        (b"RCPT TO:<security@example.org>", "503"),
        (b"DATA", "503"),
        (b"DATA x", "501"),
        (b"RSET x", "501"),
        (b"QUIT x", "501"),
        (b"NOOP whatever", "250"),
        (b"", "500"),
        (b"\xff\xff", "500"),
        (b"BDAT 5 LAST", "500"),
    ],
)
async def test_each_command_gets_the_reply_of_the_rfcs(house: House, command: bytes, code: str) -> None:
    async with house.client() as client:
        reply = await client.ask(command)
        assert reply.startswith(f"{code} {code[0]}."), reply  # RFC 2034: each reply has its extended code
        # And the session goes on, with nothing left behind.
        await client.ask(b"RSET")
        assert await client.send(MAIL) == "250 2.0.0 Stored"


async def test_odd_bytes_of_an_envelope_sender_become_text_that_a_database_takes(house: House) -> None:
    async with house.client() as client:
        await client.begin(sender=b"\xff\x01" + "ö@example.com".encode())
        assert (await client.ask(MAIL + b"."))[:3] == "250"
    assert house.shelf.kept[0].envelope_from == "\ufffd\ufffdö@example.com"


async def test_commands_before_the_greeting_and_in_the_wrong_order_are_refused(house: House) -> None:
    client = await house.raw_client()
    await client.reply()
    assert (await client.ask(b"MAIL FROM:<a@example.com>"))[:3] == "503"
    client.writer.close()
    async with house.client() as greeted:
        assert (await greeted.ask(b"MAIL FROM:<a@example.com>"))[:3] == "250"
        assert (await greeted.ask(b"MAIL FROM:<b@example.com>"))[:3] == "503"
        assert (await greeted.ask(b"RCPT TO:<security@example.org> NOTIFY=NEVER"))[:3] == "555"


# --- faults of ours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (TemporaryError("database: secret words"), "451 4.3.0 Not stored; try again later"),
        (StorageFull("database: secret words"), "452 4.3.1 No room to store it; try again later"),
        (ValueError("secret words"), "451 4.3.0 Not stored; try again later"),
        (RecursionError("secret words"), "451 4.3.0 Not stored; try again later"),
        (MemoryError(), "451 4.3.0 Not stored; try again later"),
    ],
)
async def test_a_fault_of_ours_is_temporary_says_nothing_and_leaves_no_envelope_behind(
    house: House, error: Exception, reply: str
) -> None:
    async def failing(raw: RawMessage) -> None:
        raise error

    house.shelf.store = failing
    async with house.client() as client:
        await client.begin(b"psirt@example.net", b"first@example.com")
        assert await client.ask(MAIL + b".") == reply
        house.shelf.store = None
        # aiosmtpd would answer "nested MAIL", and deliver the next message to the former recipient as well.
        assert (await client.ask(b"RCPT TO:<security@example.org>"))[:3] == "503"
        assert await client.send(MAIL + b"again\r\n") == "250 2.0.0 Stored"
    assert [(raw.origin.mailbox, raw.envelope_from) for raw in house.shelf.kept] == [("security", "eve@example.com")]
    assert (house.listener.status.failed, house.listener.status.stored) == (1, 1)


async def test_a_fault_in_a_verb_is_temporary_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.client() as client:
        monkeypatch.setattr("mailbox_service.adapters.lmtp.session.read_path", _raise)
        assert await client.ask(b"MAIL FROM:<eve@example.com>") == "451 4.3.0 Not stored; try again later"
        monkeypatch.undo()
        assert await client.send(MAIL) == "250 2.0.0 Stored"


def _raise(*_: object) -> None:
    raise UnboundLocalError("secret words")


async def test_storing_that_takes_too_long_is_answered_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailbox_service.adapters.lmtp.session.COMMIT_SECONDS", 0.01)

    async def stuck(raw: RawMessage) -> None:
        await asyncio.Event().wait()

    house.shelf.store = stuck
    async with house.client() as client:
        assert (await client.send(MAIL))[:3] == "451"


async def test_nothing_is_answered_before_the_commit(house: House) -> None:
    committed, reached = asyncio.Event(), asyncio.Event()

    async def slow(raw: RawMessage) -> None:
        reached.set()
        await committed.wait()

    house.shelf.store = slow
    async with house.client() as client:
        await client.begin()
        client.write(MAIL + b".\r\n")
        answer = asyncio.create_task(client.reply())
        await reached.wait()
        assert not answer.done()
        committed.set()
        assert await answer == "250 2.0.0 Stored"


# --- size --------------------------------------------------------------------------------------------------


async def test_a_message_of_just_the_limit_is_taken_and_one_byte_more_is_not(house: House) -> None:
    dotted = b".." + b"x" * (LIMIT_BYTES - 5) + b"\r\n.." + b"\r\n"  # transparent dots do not count (RFC 1870)
    async with house.client() as client:
        await client.begin()
        assert await client.ask(b"x" * (LIMIT_BYTES - 2) + b"\r\n.") == "250 2.0.0 Stored"
        await client.begin()
        assert await client.ask(b"x" * (LIMIT_BYTES - 1) + b"\r\n.") == "552 5.3.4 Message larger than the limit"
        await client.begin()
        assert len(dotted) == LIMIT_BYTES + 3
        assert await client.ask(dotted[:2] + dotted[4:] + b".") == "250 2.0.0 Stored"
        assert await client.send(MAIL) == "250 2.0.0 Stored"
    assert [len(data) for data in house.contents()] == [LIMIT_BYTES, LIMIT_BYTES - 1, len(MAIL)]


async def test_what_is_too_large_is_not_kept_while_it_is_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []

    class Pieces(list[bytes]):
        def append(self, piece: bytes) -> None:
            super().append(piece)
            held.append(sum(map(len, self)))

    async def receive(self: Session, pieces: list[bytes], lane: Any) -> str:
        return await original(self, Pieces(), lane)

    original = Session._receive
    monkeypatch.setattr(Session, "_receive", receive)
    async with house.client() as client:
        await client.begin()
        for _ in range(100):
            client.write(b"x" * LIMIT_BYTES)
            await client.writer.drain()
        assert (await client.ask(b"\r\n."))[:3] == "552"
    assert max(held) < 2 * LIMIT_BYTES
    assert house.shelf.kept == []


async def test_an_empty_message_is_refused(house: House) -> None:
    async with house.client() as client:
        await client.begin()
        assert await client.ask(b".") == "554 5.6.0 Message is empty"
        assert await client.send(MAIL) == "250 2.0.0 Stored"
