"""Connecting, logging in, and what a session does when its server fails it."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailbox_service.adapters.imap import ImapAccount, InsecureConnection
from mailbox_service.adapters.imap.protocol import AnswerTooLarge, ConnectionLost
from mailbox_service.adapters.imap.session import FolderMissing, Refusal, Session
from mailbox_service.errors import AuthenticationError, TemporaryError
from tests.imap.setting import QUICK, account, mail
from tests.peers.certificates import make_certificates
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_imap import Line, ScriptedImap


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedImap]:
    async with ScriptedImap({1: mail("one"), 2: mail("two")}) as server:
        yield server


def tls(server: Dovecot, user: str, password: str = "pw") -> ImapAccount:
    return ImapAccount("localhost", server.tls_port, "tls", user, lambda: password, ca_file=server.ca_file)


async def log_in(to: ImapAccount) -> frozenset[str]:
    async with Session(to, QUICK) as session:
        return session.capabilities


# --- transport security ---------------------------------------------------------------------------------------


async def test_tls_with_a_verified_certificate(dovecot: Dovecot) -> None:
    assert "MOVE" in await log_in(tls(dovecot, dovecot.add_user()))


async def test_starttls_is_used_before_the_login(dovecot: Dovecot) -> None:
    to = replace(tls(dovecot, dovecot.add_user()), port=dovecot.port, security="starttls")
    assert "STARTTLS" not in await log_in(to)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_certificate_of_another_authority_is_refused(dovecot: Dovecot, tmp_path: Path, security: str) -> None:
    other = make_certificates(tmp_path).ca_file
    to = replace(tls(dovecot, dovecot.add_user()), ca_file=other)
    if security == "starttls":
        to = replace(to, port=dovecot.port, security="starttls")
    with pytest.raises(InsecureConnection, match="certificate"):
        await log_in(to)


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate_file, certificates.key_file)
    async with ScriptedImap(tls=context) as server:
        to = ImapAccount("127.0.0.2", server.port, "tls", "u", lambda: "pw", ca_file=certificates.ca_file)
        server._server.close()
        moved = await asyncio.start_server(server._accept, "127.0.0.2", 0, ssl=context)
        async with moved:
            with pytest.raises(InsecureConnection, match="certificate"):
                await log_in(replace(to, port=moved.sockets[0].getsockname()[1]))
    assert server.commands == []


async def test_stripped_starttls_ends_before_the_password_is_sent(scripted: ScriptedImap) -> None:
    with pytest.raises(InsecureConnection, match="STARTTLS"):
        await log_in(replace(account(scripted), security="starttls"))
    assert scripted.commands == ["CAPABILITY"]


@pytest.mark.parametrize("answer", ["NO", "PREAUTH"])
async def test_starttls_refused_or_evaded_ends_the_connection(scripted: ScriptedImap, answer: str) -> None:
    scripted.capabilities += " STARTTLS"
    scripted.script["STARTTLS"] = lambda line: line.no()
    if answer == "PREAUTH":
        scripted.greeting = b"* PREAUTH welcome"
    with pytest.raises(InsecureConnection):
        await log_in(replace(account(scripted), security="starttls"))
    assert not scripted.count("AUTHENTICATE")


async def test_data_injected_before_tls_is_never_read(scripted: ScriptedImap) -> None:
    scripted.capabilities += " STARTTLS"
    scripted.script["STARTTLS"] = lambda line: (
        line.raw(f"{line.tag} OK go\r\n* CAPABILITY IMAP4rev1\r\n".encode()) is not None
    )
    with pytest.raises(ConnectionLost, match="STARTTLS"):
        await log_in(replace(account(scripted), security="starttls"))


async def test_plaintext_to_another_machine_needs_permission() -> None:
    to = ImapAccount("192.0.2.1", 143, "none", "u", lambda: "pw")
    with pytest.raises(InsecureConnection, match="plaintext"):
        await log_in(to)
    with pytest.raises(TemporaryError) as failure:
        async with Session(replace(to, allow_plaintext=True), replace(QUICK, connect=0.01)):
            pass
    assert not isinstance(failure.value, InsecureConnection)


# --- logging in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["päss wörd", 'a"b\\c', "{5}", "(*%"])
async def test_any_password_works_with_plain(dovecot: Dovecot, password: str) -> None:
    await log_in(tls(dovecot, dovecot.add_user(password=password), password))


@pytest.mark.parametrize("password", ["päss wörd", 'a"b\\c', "{5}", "(*%"])
async def test_any_password_works_with_login(dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    # Dovecot has no way to take LOGIN without also offering PLAIN.
    monkeypatch.setattr(Session, "can", lambda session, name: name != "AUTH=PLAIN" and name in session.capabilities)
    await log_in(tls(dovecot, dovecot.add_user(password=password), password))
    with pytest.raises(AuthenticationError):
        await log_in(tls(dovecot, dovecot.add_user(password=password), password + "x"))


async def test_plain_without_initial_response(scripted: ScriptedImap) -> None:
    scripted.capabilities = "IMAP4rev1 AUTH=PLAIN"
    tags: list[str] = []

    def challenge(line: Line) -> bool:
        tags.append(line.tag)
        return line.send(b"+ ").hang()

    def response(line: Line) -> bool:
        # What answers a challenge has no tag of its own: the server took its one word for a tag.
        right = line.tag == base64.b64encode(b"\0u\0pw").decode()
        return line.send(f"{tags[0]} {'OK' if right else 'NO'} done".encode()).hang()

    scripted.script["AUTHENTICATE"] = challenge
    scripted.script[""] = response
    await log_in(account(scripted))


async def test_a_server_that_keeps_challenging_is_told_to_stop(scripted: ScriptedImap) -> None:
    scripted.script["AUTHENTICATE"] = lambda line: line.send(b"+ more").hang()
    scripted.script[""] = lambda line: line.drop() if line.tag == "*" else line.hang()
    with pytest.raises(ConnectionLost):
        await log_in(account(scripted))


async def test_a_refused_login_is_an_authentication_error(dovecot: Dovecot) -> None:
    with pytest.raises(AuthenticationError) as failure:
        await log_in(tls(dovecot, dovecot.add_user(), "wrong"))
    assert "wrong" not in str(failure.value)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INUSE", "LIMIT"])
async def test_a_passing_trouble_at_login_is_no_refusal(scripted: ScriptedImap, code: str) -> None:
    scripted.script["AUTHENTICATE"] = lambda line: line.no(f"[{code}] try later")
    with pytest.raises(Refusal):
        await log_in(account(scripted))


async def test_a_server_that_never_answers_the_login_is_left(scripted: ScriptedImap) -> None:
    scripted.script["AUTHENTICATE"] = lambda line: line.hang()
    with pytest.raises(ConnectionLost):
        async with Session(account(scripted), replace(QUICK, login=0.1)):
            pass


async def test_a_server_that_never_greets_is_left(scripted: ScriptedImap) -> None:
    scripted.greeting = b""
    with pytest.raises(TemporaryError, match="greeting"):
        async with Session(account(scripted), replace(QUICK, connect=0.1)):
            pass


async def test_nobody_listening_is_a_temporary_error(unused_tcp_port: int) -> None:
    with pytest.raises(TemporaryError, match="no connection"):
        await log_in(ImapAccount("127.0.0.1", unused_tcp_port, "none", "u", lambda: "pw"))


# --- failing servers ------------------------------------------------------------------------------------------


async def test_a_late_answer_is_never_taken_for_another(scripted: ScriptedImap) -> None:
    scripted.script["NOOP"] = lambda line: line.hang()
    async with Session(account(scripted), replace(QUICK, silence=0.1)) as session:
        with pytest.raises(ConnectionLost):
            await session.noop()
        assert not session.alive
        with pytest.raises(ConnectionLost):
            await session.search(1, 9)
    assert not scripted.count("UID SEARCH")


async def test_a_cancelled_command_ends_the_session(scripted: ScriptedImap) -> None:
    scripted.script["NOOP"] = lambda line: line.hang()
    async with Session(account(scripted), QUICK) as session:
        task = asyncio.create_task(session.noop())
        await scripted.until(lambda: scripted.count("NOOP") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not session.alive


@pytest.mark.parametrize(
    "nonsense",
    [b"A999 OK done", b"what is this", b"* BYE shutting down", b"+ more?"],
)
async def test_what_cannot_be_an_answer_ends_the_session(scripted: ScriptedImap, nonsense: bytes) -> None:
    scripted.script["UID SEARCH"] = lambda line: line.send(nonsense).hang()
    async with Session(account(scripted), replace(QUICK, silence=0.3)) as session:
        await session.open("INBOX")
        with pytest.raises(ConnectionLost):
            await session.search(1, 9)


async def test_a_server_may_not_send_more_than_was_asked_for(scripted: ScriptedImap) -> None:
    scripted.script["UID FETCH"] = lambda line: line.send(b"* 1 FETCH (UID 1 BODY[] {4000000000}").hang()
    async with Session(account(scripted), QUICK) as session:
        await session.open("INBOX")
        with pytest.raises(AnswerTooLarge):
            await session.bodies([1], 1000)


async def test_bytes_that_keep_coming_keep_a_command_alive_but_not_for_ever(scripted: ScriptedImap) -> None:
    async def drip() -> None:
        while True:
            scripted.tell(b"* OK still here")
            await asyncio.sleep(0.05)

    scripted.script["NOOP"] = lambda line: line.hang()
    dripping = asyncio.create_task(drip())
    loop = asyncio.get_running_loop()
    async with Session(account(scripted), replace(QUICK, silence=0.2, command=0.6)) as session:
        start = loop.time()
        with pytest.raises(ConnectionLost):
            await session.noop()
        assert loop.time() - start >= 0.55
    dripping.cancel()


async def test_unasked_notices_do_not_confuse_an_answer(scripted: ScriptedImap) -> None:
    scripted.script["UID FETCH"] = lambda line: (
        line.send(b"* 3 EXISTS", b"* 1 FETCH (FLAGS (\\Seen))", b"* 9 FETCH (UID 9 BODY[] {3}", b"abc)") is None
    )
    async with Session(account(scripted), QUICK) as session:
        await session.open("INBOX")
        before = session.notices
        bodies, refusal = await session.bodies([1, 2], 1000)
        assert bodies == scripted.mail
        assert refusal is None
        assert session.notices == before + 1


async def test_a_folder_without_uidvalidity_cannot_be_used(scripted: ScriptedImap) -> None:
    scripted.script["EXAMINE"] = lambda line: line.send(b"* 1 EXISTS").ok()
    async with Session(account(scripted), QUICK) as session:
        with pytest.raises(TemporaryError, match="UIDVALIDITY"):
            await session.open("INBOX")


async def test_a_server_that_tells_no_uidnext_is_asked_for_its_last_uid(scripted: ScriptedImap) -> None:
    scripted.script["EXAMINE"] = lambda line: line.send(b"* 2 EXISTS", b"* OK [UIDVALIDITY 5] ok").ok()
    scripted.script["UID FETCH"] = lambda line: line.send(b"* 2 FETCH (UID 41)").ok()
    async with Session(account(scripted), QUICK) as session:
        assert (await session.open("INBOX")).uidnext == 42


@pytest.mark.parametrize(
    ("name", "wire"),
    [("Processed Mail", "Processed Mail"), ("Größe", "Gr&APYA3w-e"), ("A&B", "A&-B"), ('say "hi"', 'say \\"hi\\"')],
)
async def test_folders_with_odd_names_are_opened_and_made(dovecot: Dovecot, name: str, wire: str) -> None:
    user = dovecot.add_user()
    dovecot.append(user, mail("elsewhere"))
    async with Session(account(dovecot, user), QUICK) as session:
        with pytest.raises(FolderMissing):
            await session.open(name)
        await session.create(name)
        await session.create(name)
        assert (await session.open(name)).exists == 0
    dovecot.append(user, mail("here"), folder=wire)
    async with Session(account(dovecot, user), QUICK) as session:
        assert (await session.open(name)).exists == 1


async def test_a_search_over_a_sparse_million_takes_few_commands() -> None:
    uids = [*range(1, 30_001), 4_000_000_000, 4_000_000_001]
    async with ScriptedImap(dict.fromkeys(uids, b"x")) as server, Session(account(server), QUICK) as session:
        selected = await session.open("INBOX")
        found = [u async for part in session.uids(1, selected.uidnext, selected.exists) for u in part]
    assert found == uids
    assert server.count("UID SEARCH") < 20
