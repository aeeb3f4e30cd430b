"""Where commands and messages end: at CRLF and CRLF.CRLF, however the bytes arrive."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.adapters.lmtp.session import MAX_ERRORS
from mailbox_service.adapters.lmtp.wire import COMMAND_BYTES, Wire
from tests.lmtp.setting import House, open_house, until

MAIL = b"From: eve@example.com\r\nSubject: x\r\n\r\nHello\r\n"


async def drip(pieces: Sequence[bytes], commands: int) -> tuple[bytes, list[bytes]]:
    """The message and the commands behind it, where `pieces` arrive one after the other."""
    stream = asyncio.StreamReader()
    wire = Wire(stream)

    async def feed() -> None:
        for piece in pieces:
            stream.feed_data(piece)
            await asyncio.sleep(0)
        stream.feed_eof()

    feeding = asyncio.create_task(feed())
    message = b"".join([piece async for piece in wire.message()])
    lines = [await wire.readuntil() for _ in range(commands)]
    await feeding
    return message, lines


def stuffed(data: bytes) -> bytes:
    """As a client sends it (RFC 5321 §4.5.2)."""
    return (b"\r\n" + data).replace(b"\r\n.", b"\r\n..")[2:]


# Bytes that matter, and a few that do not.
_awkward = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"x", b"\0", b"\xff"]), max_size=25).map(
    b"".join
)


@settings(max_examples=200, deadline=None)
@given(data=_awkward, cuts=st.lists(st.integers(0, 60), max_size=8))
def test_any_message_in_any_pieces_comes_out_as_it_was(data: bytes, cuts: list[int]) -> None:
    data = data + b"\r\n" if data else data
    sent = stuffed(data) + b".\r\nNOOP\r\nQUIT\r\n"
    places = sorted({0, *(cut for cut in cuts if cut < len(sent)), len(sent)})
    pieces = [sent[a:b] for a, b in pairwise(places)]
    message, lines = asyncio.run(drip(pieces, 2))
    assert message == data
    assert lines == [b"NOOP", b"QUIT"]


@pytest.mark.parametrize("line", [b"\r\n", b".\r\n", b"\r\n.", b"\r", b"\n", b"x"])
async def test_large_messages_of_one_pattern_are_read_in_bounded_pieces(line: bytes) -> None:
    data = line * 300_000 + b"\r\n"
    sent = stuffed(data) + b".\r\n"
    message, _ = await drip([sent[at : at + 65536] for at in range(0, len(sent), 65536)], 0)
    assert message == data


# --- smuggling ---------------------------------------------------------------------------------------------

# What some servers take for the end of a message, or a client's library for its lines.
FALSE_ENDS = [
    b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\r\r\n.\r\r\n",
    b"\n\n.\n\n", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\n.\x20\r\n", b"\r\n.\t\r\n", b"\x85.\x85", b"\r\n.\r\r\n",
]  # fmt: skip


@pytest.fixture(params=["lmtp", "smtp"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(request.param, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
async def test_nothing_but_crlf_dot_crlf_ends_a_message(house: House, end: bytes) -> None:
    smuggled = b"MAIL FROM:<admin@example.com>\r\nRCPT TO:<psirt@example.net>\r\nDATA\r\nFrom: forged\r\n\r\nforged\r\n"
    data = MAIL + b"last line" + end + smuggled
    async with house.client() as client:
        await client.begin()
        # All at once, with more commands behind the true end.
        client.write(data + b".\r\nNOOP\r\nQUIT\r\n")
        assert await client.replies(3) == ["250 2.0.0 Stored", "250 2.0.0 OK", "221 2.0.0 Bye"]
        assert await client.closed()
    (raw,) = house.shelf.kept
    assert raw.data == data.replace(b"\r\n.", b"\r\n")
    assert (raw.envelope_from, raw.origin.mailbox) == ("eve@example.com", "security")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\n\r", b"\0\n", b"\r\r", b"\x0b", b"\x85", b"\x1b\n"], ids=repr)
async def test_no_line_end_but_crlf_begins_a_command(house: House, end: bytes) -> None:
    async with house.client() as client:
        for first in (b"RSET", b"NOOP x", b"MAIL FROM:<a@example.com>", b"FOO"):
            reply = await client.ask(first + end + b"MAIL FROM:<b@example.com>" + end + b"QUIT")
            assert reply[:1] in "25"
            assert await client.ask(b"NOOP") == "250 2.0.0 OK"  # one line, one reply
            await client.ask(b"RSET")
    assert house.shelf.kept == []


async def test_a_bare_line_end_in_a_command_is_refused_whatever_the_command(house: House) -> None:
    async with house.client() as client:
        for line in (b"NOOP\nNOOP", b"NOOP\rNOOP", b"RSET\r", b"\nNOOP", b"NO\0OP", b"MAIL FROM:<a\n@b>"):
            assert (await client.ask(line)).startswith("500 5.5.2 ")


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 1000 + b"\r\n",
        b"Subject: \0\r\n\r\n\0\r\n",
        b"x" * 150_000 + b"\r\n",
        b"bare\nlines\nonly\n\r\n",
        b"bare\rreturns\r\r\n",
        bytes(range(256)) * 50 + b"\r\n",
        b".\r\n..\r\n...\r\n",
        b"\r\n",
        b"From eve Mon Jan  1 00:00:00 2026\r\n\r\n",
    ],
    ids=["nul", "nul in header", "long line", "lf", "cr", "all bytes", "dots", "blank", "from line"],
)
async def test_odd_bytes_are_stored_and_not_judged(house: House, data: bytes) -> None:
    async with house.client() as client:
        await client.begin()
        assert await client.ask(stuffed(data) + b".") == "250 2.0.0 Stored"
    assert house.contents() == [data]


async def test_pipelined_transactions_are_each_answered_in_order(house: House) -> None:
    one = b"MAIL FROM:<e@example.com>\r\nRCPT TO:<%b>\r\nDATA\r\n%b.\r\n"
    async with house.client() as client:
        client.write(one % (b"security@example.org", b"1\r\n") + one % (b"nobody@example.org", b"NOOP\r\n"))
        client.write(b"RSET\r\n" + one % (b"psirt@example.net", b"3\r\n"))
        replies = await client.replies(14)
    assert [reply[:3] for reply in replies] == [
        *("250", "250", "354", "250"),
        # DATA was refused, so that what follows are commands; one of them is a single dot.
        *("250", "550", "503", "250", "500"),
        *("250", "250", "250", "354", "250"),
    ]
    assert house.contents() == [b"1\r\n", b"3\r\n"]


# --- the end of patience -----------------------------------------------------------------------------------


async def test_a_line_that_never_ends_is_not_kept_and_not_obeyed(house: House) -> None:
    async with house.client() as client:
        client.write(b"MAIL FROM:<" + b"x" * COMMAND_BYTES)
        for _ in range(50):
            client.write(b"x" * 100_000)
            await client.writer.drain()
        (session,) = house.listener._reception.sessions
        await until(lambda: len(session._wire._ahead) > COMMAND_BYTES)
        assert len(session._wire._ahead) < 2 * 65536
        assert (await client.ask(b"@example.com>"))[:3] == "500"
        assert await client.send(MAIL) == "250 2.0.0 Stored"


async def test_too_many_errors_end_the_session(house: House) -> None:
    async with house.client() as client:
        client.write(b"RCPT TO:<x@example.com>\r\n" * (MAX_ERRORS + 5))
        replies = await client.replies(MAX_ERRORS + 1)
        assert {reply[:3] for reply in replies[:-1]} == {"503"}
        assert replies[-1] == "421 4.7.0 Too many errors"
        assert await client.closed()


async def test_a_browser_that_was_made_to_write_here_is_cut_off(house: House) -> None:
    client = await house.raw_client()
    await client.reply()
    body = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<security@example.org>\r\nDATA\r\nx\r\n.\r\n"
    greeting = b"EHLO a\r\n" if house.listener.kind == "smtp" else b"LHLO a\r\n"
    client.write(b"POST / HTTP/1.1\r\n" + greeting + body)
    assert await client.reply() == "421 4.7.0 This is no web server"
    assert await client.closed()
    client.writer.close()
    assert house.shelf.kept == []


_verbs = st.sampled_from(
    [b"MAIL FROM:", b"RCPT TO:", b"NOOP", b"RSET", b"LHLO", b"EHLO ", b"HELO ", b"VRFY ", b"EXPN ", b"HELP ", b"AUTH "]
)
_arguments = st.binary(max_size=60) | st.sampled_from(
    [
        b"<>",
        b"<a@b>",
        b"<security@example.org>",
        b'<"',
        b'<"\\',
        b"<(c)a@b>",
        b"<@a:b@c>",
        b"<a@[1.2.3.4]>",
        b"\xff" * 9,
    ]
)
_lines = st.lists(st.binary(max_size=80) | st.tuples(_verbs, _arguments).map(b"".join), max_size=8)


@settings(max_examples=40, deadline=None)
@given(lines=_lines)
def test_any_garbage_gets_one_reply_a_line_and_never_a_fault(lines: list[bytes], tmp_path_factory: object) -> None:
    asyncio.run(_say_garbage(lines, tmp_path_factory.mktemp("s")))  # type: ignore[attr-defined]


async def _say_garbage(lines: list[bytes], folder: Path) -> None:
    async with open_house("lmtp", folder) as house, house.client() as client:
        for line in lines:
            # What would start a message or end the session is tried elsewhere.
            line = re.sub(rb"(?i)\A\s*(data|quit|get|post|put|head|connect|options)\b|\r\n", b"x", line)
            reply = await client.ask(line)
            if reply[:3] in ("421", "") or "Too many" in reply or reply[:3] == "502":
                return
            assert re.match(r"[25]\d\d[ -]|452 4\.5\.3 ", reply), (line, reply)
    assert house.listener.status.failed == 0
    assert house.shelf.kept == []


async def test_a_message_of_many_megabytes_does_not_keep_the_loop_busy_line_by_line(tmp_path: Path) -> None:
    async with open_house("lmtp", tmp_path, max_message_size_bytes=50_000_000) as house, house.client() as client:
        data = b"short line\r\n..dots\r\n" * 1_000_000
        await client.begin()
        client.write(data + b".\r\n")
        await client.writer.drain()
        assert await client.reply() == "250 2.0.0 Stored"
    assert house.contents() == [data.replace(b"\r\n..", b"\r\n.")]
