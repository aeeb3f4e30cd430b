"""The demo's mail servers from outside: imaplib and smtplib in threads, and the daemon's own aioimaplib."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email import message_from_bytes
from typing import Any, TypeVar

import aioimaplib
import pytest

from mailbox_service.demo.servers import DemoMailServer, only_author, without_results

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECURITY = "security@demo.example"
REPORTER = "reporter@research.example"
MAIL = b"From: reporter@research.example\r\nTo: security@demo.example\r\nSubject: a\r\n\r\nbody\r\n"

T = TypeVar("T")


@pytest.fixture
async def server() -> AsyncIterator[DemoMailServer]:
    async with DemoMailServer(clock=lambda: NOW) as running:
        yield running


async def with_imap(server: DemoMailServer, conversation: Callable[[imaplib.IMAP4], T], login: str = "security") -> T:
    def talk() -> T:
        with imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10) as client:
            client.login(login, "demo")
            return conversation(client)

    return await asyncio.to_thread(talk)


async def submit(
    server: DemoMailServer,
    message: bytes,
    *,
    sender: str = REPORTER,
    to: str | list[str] = SECURITY,
    login: str | None = "reporter",
) -> None:
    def talk() -> None:
        with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=10) as client:
            if login is not None:
                client.login(login, "demo")
            client.sendmail(sender, to, message)

    await asyncio.to_thread(talk)


def result_of(message: bytes) -> str:
    results = message_from_bytes(message).get_all("Authentication-Results", [])
    assert len(results) == 1
    return str(results[0])


# --- IMAP --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        MAIL,
        b"",
        b"no header at all",
        b"Subject: bare line feeds\n\nand\na bare\rreturn\n",
        b"Subject: octets\r\n\r\n" + bytes(range(256)) * 8,
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed",
    ],
)
async def test_delivered_bytes_are_fetched_unchanged(server: DemoMailServer, data: bytes) -> None:
    uid = await server.deliver(SECURITY, data)

    def fetch(client: imaplib.IMAP4) -> Any:
        client.select("INBOX", readonly=True)
        return client.uid("FETCH", str(uid), "(UID BODY.PEEK[])")

    status, items = await with_imap(server, fetch)
    assert status == "OK"
    # An empty literal leaves imaplib nothing to pair with the line; every other one comes as (line, literal).
    assert [item[1] for item in items if isinstance(item, tuple)] == [data]
    assert await server.messages(SECURITY) == [data]


async def test_a_mailbox_opens_to_login_name_and_address_and_to_nobody_else(server: DemoMailServer) -> None:
    await server.deliver(SECURITY, MAIL)

    def count(client: imaplib.IMAP4) -> Any:
        return client.select("INBOX")

    assert await with_imap(server, count, "security") == ("OK", [b"1"])
    assert await with_imap(server, count, SECURITY) == ("OK", [b"1"])
    assert await with_imap(server, count, "reporter") == ("OK", [b"0"])

    def wrong_password() -> None:
        with imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10) as client:
            client.login("security", "wrong")

    with pytest.raises(imaplib.IMAP4.error):
        await asyncio.to_thread(wrong_password)


async def test_seen_and_flagged_stay_and_peek_does_not_set_seen(server: DemoMailServer) -> None:
    await server.deliver(SECURITY, MAIL)

    def flags(client: imaplib.IMAP4) -> bytes:
        client.select("INBOX")
        _, data = client.uid("FETCH", "1:*", "(FLAGS)")
        return bytes(data[0])

    def store(client: imaplib.IMAP4) -> None:
        client.select("INBOX")
        assert client.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Seen \\Flagged)")[0] == "OK"

    def peek(client: imaplib.IMAP4) -> None:
        client.select("INBOX")
        client.uid("FETCH", "1:*", "(BODY.PEEK[])")

    await with_imap(server, peek)
    assert b"\\Seen" not in await with_imap(server, flags)
    await with_imap(server, store)
    after = await with_imap(server, flags)
    assert b"\\Seen" in after
    assert b"\\Flagged" in after


async def test_uids_grow_and_a_move_reports_the_new_one(server: DemoMailServer) -> None:
    first = await server.deliver(SECURITY, MAIL)
    second = await server.deliver(SECURITY, MAIL.replace(b"Subject: a", b"Subject: b"))
    assert second == first + 1

    def move(client: imaplib.IMAP4) -> tuple[Any, Any, Any]:
        assert {b"UIDPLUS", b"MOVE", b"IDLE"} <= set(client.capability()[1][0].split())
        _, status = client.status("INBOX", "(UIDNEXT UIDVALIDITY MESSAGES)")
        client.create("Processed")
        client.select("INBOX")
        client.untagged_responses.clear()
        assert client.uid("MOVE", str(first), "Processed")[0] == "OK"
        copied = client.untagged_responses.get("COPYUID")
        return status[0], copied, client.uid("SEARCH", "ALL")[1][0]

    imaplib.Commands.setdefault("MOVE", ("SELECTED",))
    status, copied, left = await with_imap(server, move)
    assert b"UIDNEXT %d" % (second + 1) in status
    assert b"UIDVALIDITY" in status
    assert copied is not None
    assert copied[0].split()[1] == b"%d" % first
    assert left == b"%d" % second
    assert len(await server.messages(SECURITY)) == 1
    assert await server.messages(SECURITY, "Processed") == [MAIL]


async def test_uidvalidity_is_the_same_for_every_connection(server: DemoMailServer) -> None:
    def uidvalidity(client: imaplib.IMAP4) -> Any:
        client.select("INBOX")
        return client.response("UIDVALIDITY")[1]

    assert await with_imap(server, uidvalidity) == await with_imap(server, uidvalidity) != [None]


async def aio_client(server: DemoMailServer) -> aioimaplib.IMAP4:
    client = aioimaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10)
    await client.wait_hello_from_server()
    assert (await client.login("security", "demo")).result == "OK"
    assert (await client.select("INBOX")).result == "OK"
    return client


async def test_idle_tells_of_each_mail_also_when_several_come_in_a_row(server: DemoMailServer) -> None:
    client = await aio_client(server)
    idle = await client.idle_start(timeout=30)
    seen: list[bytes] = []
    for _ in range(3):
        await server.deliver(SECURITY, MAIL)
    while b"3 EXISTS" not in seen:
        seen.extend(line for line in await asyncio.wait_for(client.wait_server_push(), 10) if b"EXISTS" in line)
    client.idle_done()
    assert (await asyncio.wait_for(idle, 10)).result == "OK"
    assert (await client.uid_search("ALL", charset=None)).lines[0].split() == [b"101", b"102", b"103"]
    await client.logout()


async def test_mail_that_came_just_before_idle_is_told_of_in_idle(server: DemoMailServer) -> None:
    client = await aio_client(server)
    await server.deliver(SECURITY, MAIL)
    idle = await client.idle_start(timeout=30)
    while not any(b"EXISTS" in line for line in await asyncio.wait_for(client.wait_server_push(), 10)):
        pass
    client.idle_done()
    await asyncio.wait_for(idle, 10)
    await client.logout()


async def test_folders_asked_for_are_there_and_others_are_made_by_delivery() -> None:
    async with DemoMailServer(clock=lambda: NOW, folders=["Junk"]) as server:
        assert await server.folders(SECURITY) == ["INBOX", "Junk"]
        await server.deliver(SECURITY, MAIL, "Archive/2026")
        await server.deliver(SECURITY, MAIL, "Archive/2026")
        assert await server.messages(SECURITY, "Archive/2026") == [MAIL, MAIL]
        assert await server.messages(SECURITY, "Nowhere") == []
        with pytest.raises(KeyError):
            await server.deliver("nobody@demo.example", MAIL)


# --- SMTP --------------------------------------------------------------------------------------------------


async def test_submitted_mail_arrives_with_the_fields_of_a_provider(server: DemoMailServer) -> None:
    await submit(server, MAIL)
    (arrived,) = await server.messages(SECURITY)
    assert arrived.endswith(MAIL)
    header = message_from_bytes(arrived)
    assert header["Return-Path"] == f"<{REPORTER}>"
    assert header["Authentication-Results"] == "mx.demo.example; dmarc=pass header.from=research.example"
    received = str(header["Received"])
    assert "by mx.demo.example with ESMTPA" in received
    assert received.endswith("; Mon, 23 Nov 2026 12:00:00 +0000")


async def test_dots_and_long_lines_survive_submission(server: DemoMailServer) -> None:
    message = MAIL + b".\r\n..\r\n.a\r\n" + b"x" * 5000 + b"\r\n"
    await submit(server, message)
    (arrived,) = await server.messages(SECURITY)
    assert arrived.endswith(message)


@pytest.mark.parametrize(
    ("author", "login", "result"),
    [
        (b"reporter@research.example", "reporter", "dmarc=pass header.from=research.example"),
        (b"A. Reporter <Reporter@Research.Example>", "reporter", "dmarc=pass header.from=research.example"),
        (b"reporter@research.example", REPORTER, "dmarc=pass header.from=research.example"),
        (b"team@demo.example", "reporter", "dmarc=fail header.from=demo.example"),
        (b"team@demo.example", None, "dmarc=fail header.from=demo.example"),
        (b"someone@elsewhere.example", None, "dmarc=none header.from=elsewhere.example"),
        (b"someone@elsewhere.example", "reporter", "dmarc=fail header.from=elsewhere.example"),
        (b"reporter@research.example, team@demo.example", "reporter", "dmarc=none"),
    ],
)
async def test_dmarc_passes_only_for_the_submitters_own_address(
    server: DemoMailServer, author: bytes, login: str | None, result: str
) -> None:
    await submit(server, b"From: " + author + b"\r\n\r\nx\r\n", login=login)
    (arrived,) = await server.messages(SECURITY)
    assert result_of(arrived) == f"mx.demo.example; {result}"


async def test_a_forged_authentication_result_is_taken_out(server: DemoMailServer) -> None:
    forged = b"authentication-results: mx.demo.example;\r\n dmarc=pass header.from=demo.example\r\n"
    await submit(server, forged + b"From: team@demo.example\r\n\r\nx\r\n", login=None)
    (arrived,) = await server.messages(SECURITY)
    assert result_of(arrived) == "mx.demo.example; dmarc=fail header.from=demo.example"
    assert b"dmarc=pass" not in arrived


async def test_only_header_fields_are_taken_out() -> None:
    body = b"Subject: x\r\n\r\nAuthentication-Results: quoted\r\n"
    assert without_results(body) == body
    assert without_results(b"Authentication-Results: no end of header\r\n") == b""


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"From: \r\n",
        b"From: a@b.example\r\nFrom: a@b.example\r\n",
        b'From: "x)@y"@b.example\r\n',
        b"From: \xff@b\r\n",
    ],
)
async def test_an_unclear_author_is_no_author(header: bytes) -> None:
    assert only_author(header + b"\r\nbody") is None


async def test_unknown_recipients_are_refused_and_the_others_get_their_mail(server: DemoMailServer) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await submit(server, MAIL, to="nobody@demo.example")
    assert refused.value.recipients["nobody@demo.example"][0] == 550
    await submit(server, MAIL, to=["nobody@demo.example", "team@demo.example", SECURITY])
    assert len(await server.messages(SECURITY)) == len(await server.messages("team@demo.example")) == 1


async def test_mail_to_a_plus_address_arrives_and_names_it(server: DemoMailServer) -> None:
    await submit(server, MAIL, sender="", to="security+token@demo.example", login=None)
    (arrived,) = await server.messages(SECURITY)
    assert b"for <security+token@demo.example>" in arrived
    assert arrived.startswith(b"Return-Path: <>\r\n")


async def test_wrong_credentials_are_refused(server: DemoMailServer) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await submit(server, MAIL, login="nobody")


# --- the end -----------------------------------------------------------------------------------------------


async def test_nothing_is_left_running_after_the_end_even_with_clients_connected() -> None:
    before = asyncio.all_tasks()
    async with DemoMailServer(clock=lambda: NOW) as server:
        ports = (server.imap_port, server.smtp_port)
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", server.imap_port)
        idle_writer.write(b"a LOGIN security demo\r\nb SELECT INBOX\r\nc IDLE\r\n")
        await asyncio.wait_for(idle_reader.readuntil(b"+ Idling"), 10)
        smtp_reader, smtp_writer = await asyncio.open_connection("127.0.0.1", server.smtp_port)
        smtp_writer.write(b"EHLO client\r\nMAIL FROM:<a@b.example>\r\n")
        await asyncio.wait_for(smtp_reader.readuntil(b"220 "), 10)
    assert asyncio.all_tasks() == before
    for writer in (idle_writer, smtp_writer):
        writer.close()
        with contextlib.suppress(ConnectionError):  # which end saw the end first is of no matter
            await writer.wait_closed()
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_two_servers_side_by_side_share_nothing() -> None:
    async with DemoMailServer(clock=lambda: NOW) as one, DemoMailServer(clock=lambda: NOW) as other:
        await submit(one, MAIL)
        assert len(await one.messages(SECURITY)) == 1
        assert await other.messages(SECURITY) == []
