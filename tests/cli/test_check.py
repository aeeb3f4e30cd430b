"""The doctor, against servers that are well and servers that are not."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from mailbox_service.adapters.lmtp import Listener, TcpDoor, UnixDoor
from mailbox_service.adapters.templates import Templates
from mailbox_service.app import imap_account, now
from mailbox_service.cli import doctor, round_trip
from mailbox_service.cli.findings import Level
from mailbox_service.cli.round_trip import Return, compared, trials
from mailbox_service.config import load
from mailbox_service.core.message import parse
from mailbox_service.demo.servers import DemoMailServer
from mailbox_service.services.ports import Delivery, DeliveryOutcome, Envelope, RawMessage
from tests.cli.desk import Answer, Desk
from tests.peers.dns import Fault, NameServer, name_server
from tests.peers.dovecot import Dovecot
from tests.peers.postgres import PostgresServer


@pytest.fixture
async def server(desk: Desk) -> AsyncIterator[DemoMailServer]:
    async with DemoMailServer(clock=now) as running:
        desk.configure(imap_port=running.imap_port, smtp_port=running.smtp_port)
        yield running


async def check(desk: Desk, *words: str) -> Answer:
    return await asyncio.to_thread(desk.run, "check", *words)


def errors(answer: Answer) -> list[tuple[str, str]]:
    return [(row["subject"], row["what"]) for row in answer.json if row["level"] == "error"]


async def test_all_well(desk: Desk, server: DemoMailServer) -> None:
    answer = await check(desk)
    assert answer.code == 0
    assert "error" not in answer.text
    assert "ok       imap security: login works" in answer.text
    assert "ok       smtp security: login works" in answer.text


async def test_it_changes_nothing(desk: Desk, server: DemoMailServer) -> None:
    before = sorted(path.name for path in desk.folder.iterdir())
    await check(desk)
    assert sorted(path.name for path in desk.folder.iterdir()) == before


async def test_json_has_the_same_findings_with_exactly_the_documented_keys(desk: Desk, server: DemoMailServer) -> None:
    rows: list[dict[str, Any]] = (await check(desk, "--json")).json
    assert {tuple(row) for row in rows} == {("level", "subject", "what", "remedy")}
    assert {row["level"] for row in rows} <= {"ok", "warning", "error"}
    text = (await check(desk)).text
    assert all(row["subject"] in text for row in rows)


async def test_a_wrong_password_is_told_with_its_remedy(desk: Desk, server: DemoMailServer) -> None:
    (desk.folder / "password").write_text("wrong\n")
    answer = await check(desk, "--json")
    assert answer.code == 69
    assert [subject for subject, _ in errors(answer)] == ["imap security", "smtp security"]
    assert all("app password" in row["remedy"] for row in answer.json if row["level"] == "error")


def test_servers_that_are_away(desk: Desk) -> None:
    answer = desk.run("check", "--json")
    assert answer.code == 69
    assert [subject for subject, _ in errors(answer)] == ["imap security", "smtp security"]
    assert desk.run("check", "--offline").code == 0


async def test_a_missing_folder_is_an_error_of_the_configuration(desk: Desk, server: DemoMailServer) -> None:
    desk.config.write_text(
        desk.config.read_text().replace("username: security, ", "username: security, folders: [INBOX, Reports], ", 1)
    )
    answer = await check(desk, "--json")
    assert (answer.code, errors(answer)) == (78, [("imap security", "there is no folder Reports")])


def test_a_broken_template_is_told_with_file_and_line(desk: Desk) -> None:
    (desk.folder / "own").mkdir()
    (desk.folder / "own" / "redirect.txt.j2").write_text("Subject: x\n\n{{ nope }\n")
    desk.configure(templates="own")
    answer = desk.run("check", "--offline", "--json")
    assert answer.code == 78
    ((subject, what),) = errors(answer)
    assert subject == "templates"
    assert "redirect.txt.j2:3" in what
    assert desk.run("run").code == 78


def test_a_damaged_secret_file_is_an_error_of_the_configuration(desk: Desk) -> None:
    secret = desk.folder / "mailbox.secret"
    secret.write_text("garbage\n")
    secret.chmod(0o600)
    answer = desk.run("check", "--offline", "--json")
    assert answer.code == 78
    assert [subject for subject, _ in errors(answer)] == ["secret file"]
    assert secret.read_text() == "garbage\n"


@pytest.mark.parametrize(
    ("dkim", "answers"),
    [("true", "are proven by their DKIM signatures"), ("false", "each command by mail is first confirmed")],
)
def test_a_missing_authserv_id_is_a_warning(desk: Desk, dkim: str, answers: str) -> None:
    desk.configure(authserv_id="null")
    desk.config.write_text(desk.config.read_text().replace("    authserv_id:", f"    dkim: {dkim}\n    authserv_id:"))
    answer = desk.run("check", "--offline")
    assert (answer.code, "warning  mailbox security: authserv_id is not set" in answer.text) == (0, True)
    assert "remedy: set authserv_id" in answer.text
    assert answers in answer.text
    assert "no new report counts as authenticated" in answer.text


@pytest.mark.parametrize(("authserv_id", "dkim"), [("mx.demo.example", "true"), ("null", "false")])
async def test_no_name_server_is_asked_where_no_key_is_wanted(desk: Desk, authserv_id: str, dkim: str) -> None:
    async with name_server() as running:
        ask(desk, running, authserv_id, dkim)
        assert not [row for row in (await check(desk, "--json")).json if row["subject"] == "dns"]
        assert running.asked == []


@pytest.mark.parametrize(
    ("fault", "level", "what"),
    [
        (None, "ok", "answers; DKIM signatures of answers can be verified"),
        (Fault.SERVFAIL, "warning", "no answer from the DNS (NoNameservers)"),
    ],
)
async def test_whether_name_servers_answer_is_told(desk: Desk, fault: Fault | None, level: str, what: str) -> None:
    async with name_server() as running:
        if fault is not None:
            running.faults["check._domainkey.demo.example"] = fault
        ask(desk, running, "null", "true")
        rows = [row for row in (await check(desk, "--json")).json if row["subject"] == "dns"]
        assert [(row["level"], row["what"]) for row in rows] == [(level, what)]
        assert running.asked == ["check._domainkey.demo.example"]


def ask(desk: Desk, server: NameServer, authserv_id: str, dkim: str) -> None:
    desk.configure(authserv_id=authserv_id)
    written = desk.config.read_text().replace("    authserv_id:", f"    dkim: {dkim}\n    authserv_id:")
    desk.config.write_text(f'{written}dns: {{nameservers: ["127.0.0.1:{server.port}"]}}\n')


def test_a_database_changed_by_hand_is_an_error(desk: Desk) -> None:
    desk.done("migrate")
    with sqlite3.connect(desk.folder / "mailbox.db") as connection:
        connection.execute("drop table budget")
    connection.close()
    answer = desk.run("check", "--offline", "--json")
    assert answer.code == 1
    assert [subject for subject, _ in errors(answer)] == ["database"]


def test_a_file_that_is_no_database_is_an_error(desk: Desk) -> None:
    (desk.folder / "mailbox.db").write_bytes(b"no database at all" * 100)
    answer = desk.run("check", "--offline", "--json")
    assert answer.code == 69
    assert [subject for subject, _ in errors(answer)] == ["database"]


def test_a_clock_that_is_behind_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.done("ingest", desk.mail("a.eml", b"Subject: x\n\ny\n"))
    yesterday = now().replace(year=now().year - 1)
    monkeypatch.setattr(doctor, "now", lambda: yesterday)
    answer = desk.run("check", "--offline", "--json")
    assert answer.code == 1
    assert ("clock" in {subject for subject, _ in errors(answer)}) is True
    assert any("behind the time at which mail was last stored" in what for _, what in errors(answer))


def test_a_missing_gpg_is_a_warning(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    answer = desk.run("check", "--offline")
    assert (answer.code, "warning  gpg: is not installed" in answer.text) == (0, True)


def test_the_database_server_is_asked_for_its_time(
    desk: Desk, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.database()
    desk.config.write_text(desk.config.read_text().replace("sqlite:///mailbox.db", url))
    desk.done("migrate")
    assert "database: reachable, writable, schema" in desk.done("check", "--offline").text
    monkeypatch.setattr(doctor, "now", lambda: now() + timedelta(minutes=5))
    answer = desk.run("check", "--offline", "--json")
    assert answer.code == 1
    ((subject, what),) = errors(answer)
    assert subject == "clock"
    assert what.startswith("differs from the database server's by 0:0")


def test_a_database_server_that_is_away_is_an_error(desk: Desk) -> None:
    desk.config.write_text(desk.config.read_text().replace("sqlite:///mailbox.db", "postgresql://nobody@127.0.0.1:1/x"))
    answer = desk.run("check", "--offline", "--json")
    assert (answer.code, [subject for subject, _ in errors(answer)]) == (69, ["database"])
    assert desk.run("message", "list").code == 75


# --- a real IMAP server ---------------------------------------------------------------------------------------


def point_at(desk: Desk, dovecot: Dovecot, user: str, *, port: int, security: str, ca_file: bool = True) -> None:
    """Let the mailbox be `user` of a real Dovecot."""
    desk.configure()
    (desk.folder / "password").write_text("pw\n")
    ca = f"ca_file: {dovecot.ca_file}, " if ca_file else ""
    imap = f"{{host: localhost, port: {port}, security: {security}, {ca}username: {user}, password_file: password}}"
    lines = desk.config.read_text().splitlines()
    lines = [f"    imap: {imap}" if line.startswith("    imap:") else line for line in lines]
    desk.config.write_text("\n".join(lines) + "\n")


def about_imap(answer: Answer) -> list[dict[str, str]]:
    return [row for row in answer.json if row["subject"] == "imap security"]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_real_server_is_described(desk: Desk, dovecot: Dovecot, security: str) -> None:
    user = dovecot.add_user()
    dovecot.append(user, b"Subject: x\r\n\r\ny\r\n")
    dovecot.create(user, "Junk")
    point_at(desk, dovecot, user, port=dovecot.tls_port if security == "tls" else dovecot.port, security=security)
    found = about_imap(desk.run("check", "--json"))
    assert {row["level"] for row in found} == {"ok"}
    assert "login works; new mail is told at once (IDLE)" in found[0]["what"]
    assert [row["what"] for row in found[1:]] == ["folder INBOX: 1 messages", "Junk folder Junk: 0 messages"]


def test_a_certificate_of_nobody_we_know_is_told_with_its_remedy(desk: Desk, dovecot: Dovecot) -> None:
    point_at(desk, dovecot, dovecot.add_user(), port=dovecot.tls_port, security="tls", ca_file=False)
    answer = desk.run("check", "--json")
    (finding,) = about_imap(answer)
    assert (answer.code, finding["level"]) == (69, "error")
    assert "certificate is not valid" in finding["what"]
    assert "ca_file" in finding["remedy"]


class Meddler:
    """A provider that delivers to `user` of a Dovecot, with another Message-ID, and knows no plus addresses."""

    def __init__(self, dovecot: Dovecot, user: str) -> None:
        self._dovecot, self._user = dovecot, user

    async def send(self, envelope: Envelope, data: bytes) -> Delivery:
        if "+" in envelope.rcpt_to:
            return Delivery(DeliveryOutcome.PERMANENT, "550 5.1.1 no such user")
        data = re.sub(rb"Message-ID: [^\r]*", b"Message-ID: <new@provider.example>", data)
        await asyncio.to_thread(self._dovecot.append, self._user, data, folder="Junk")
        return Delivery(DeliveryOutcome.SENT)

    async def close(self) -> None: ...


async def test_what_a_provider_changes_is_found_out(desk: Desk, dovecot: Dovecot) -> None:
    user = dovecot.add_user()
    dovecot.create(user, "Junk")
    point_at(desk, dovecot, user, port=dovecot.tls_port, security="tls")
    config = load(desk.config, {})
    (mailbox,) = config.mailboxes
    assert mailbox.imap is not None
    account = imap_account(mailbox.imap, config)
    found = await round_trip.examine(mailbox, mailbox.imap, account, Meddler(dovecot, user), Templates.load())
    assert [(finding.level, finding.what) for finding in found] == [
        (Level.WARNING, "our own mail came back in the Junk folder Junk"),
        (Level.WARNING, "the provider replaces our Message-ID"),
        (Level.WARNING, "the server shows no Return-Path, so nothing is known of the envelope sender"),
        (Level.WARNING, "plus addresses do not work (the server refused it: 550 5.1.1 no such user)"),
    ]


# --- the round trip ----------------------------------------------------------------------------------------


async def test_the_round_trip_finds_message_id_envelope_and_plus_address_kept(
    desk: Desk, server: DemoMailServer
) -> None:
    answer = await check(desk, "--send-test", "--json")
    assert answer.code == 0
    found = [(row["level"], row["what"]) for row in answer.json if row["subject"] == "round trip security"]
    assert found == [
        ("ok", "the mail came back in INBOX"),
        ("ok", "the Message-ID is kept: answers find their case"),
        ("ok", "the envelope sender is kept: bounces come to security@demo.example"),
        ("ok", "plus addresses arrive"),
        ("ok", "keyed envelope senders work: smtp.envelope_from can be security+{token}@demo.example"),
    ]


async def test_the_round_trip_tries_a_keyed_bounce_address(desk: Desk, server: DemoMailServer) -> None:
    text = desk.config.read_text()
    desk.config.write_text(text.replace("smtp: {", 'smtp: {envelope_from: "security+{token}@demo.example", '))
    answer = await check(desk, "--send-test", "--json")
    found = [(row["level"], row["what"]) for row in answer.json if row["subject"] == "round trip security"]
    assert [level for level, _ in found] == ["ok"] * 4
    assert found[2][1].startswith("the envelope sender is kept: bounces come to security+")
    assert found[3][1] == "mail to the keyed bounce address arrives"


class OwnerOnly:
    """A provider that takes mail from the account's own address alone, and writes it into every envelope."""

    def __init__(self, dovecot: Dovecot, user: str) -> None:
        self._dovecot, self._user = dovecot, user

    async def send(self, envelope: Envelope, data: bytes) -> Delivery:
        if "+" in envelope.mail_from:
            return Delivery(DeliveryOutcome.PERMANENT, "553 5.7.1 sender address is not yours")
        data = b"Return-Path: <" + envelope.mail_from.encode() + b">\r\n" + data
        await asyncio.to_thread(self._dovecot.append, self._user, data)
        return Delivery(DeliveryOutcome.SENT)

    async def close(self) -> None: ...


async def test_a_provider_that_refuses_keyed_senders_is_found_out(desk: Desk, dovecot: Dovecot) -> None:
    user = dovecot.add_user()
    point_at(desk, dovecot, user, port=dovecot.tls_port, security="tls")
    config = load(desk.config, {})
    (mailbox,) = config.mailboxes
    assert mailbox.imap is not None
    account = imap_account(mailbox.imap, config)
    found = await round_trip.examine(mailbox, mailbox.imap, account, OwnerOnly(dovecot, user), Templates.load())
    assert {finding.level for finding in found} == {Level.OK}
    assert [finding.what for finding in found][-2:] == [
        "plus addresses arrive",
        "keyed envelope senders do not work here: bounces are recognised by our Message-ID",
    ]


async def test_the_mails_of_the_round_trip_open_no_case(desk: Desk, server: DemoMailServer) -> None:
    await check(desk, "--send-test")
    mails = [desk.mail(f"{n}.eml", m) for n, m in enumerate(await server.messages("security@demo.example"))]
    assert len(mails) == 2
    answer = await asyncio.to_thread(desk.done, "ingest", "--answer", *mails)
    assert answer.text == "2 new messages (2 automatic), 0 known already.\n"
    assert await asyncio.to_thread(desk.rows, "outbox", "list") == []


def test_what_a_provider_changes_is_told(desk: Desk) -> None:
    (mailbox,) = load(desk.config, {}).mailboxes
    plain, _ = trials(mailbox.address)
    header = f"Return-Path: <bounce@provider.example>\r\nMessage-ID: <new@x>\r\nReferences: {plain.message_id}\r\n\r\n"
    found = compared("x", plain, Return("Spam", True, parse(header.encode())))
    assert [finding.level for finding in found] == [Level.WARNING] * 3
    assert "Junk folder Spam" in found[0].what
    assert "replaces our Message-ID" in found[1].what
    assert "by bounce@provider.example" in found[2].what


async def test_a_mail_that_never_comes_back_is_an_error(
    desk: Desk, server: DemoMailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_trip, "WAIT_SECONDS", 0.0)
    answer = await check(desk, "--send-test", "--json")
    assert answer.code == 69
    assert errors(answer) == [("round trip security", "the mail did not come back within 0 s")]


def test_a_test_mail_needs_the_servers(desk: Desk) -> None:
    assert desk.run("check", "--offline", "--send-test").code == 64


# --- doors for pushed mail ---------------------------------------------------------------------------------


def with_doors(desk: Desk, doors: str) -> None:
    desk.config.write_text(desk.config.read_text() + f"intake: {doors}\n")


def findings(desk: Desk, subject: str) -> list[tuple[str, str]]:
    rows = desk.run("check", "--offline", "--json").json
    return [(row["level"], row["what"]) for row in rows if row["subject"] == subject]


def test_a_door_that_can_be_opened_is_told(desk: Desk) -> None:
    with_doors(desk, '{lmtp: {socket: s}, smtp: {listen: "127.0.0.1:0"}}')
    ((lmtp_level, lmtp),) = findings(desk, "door lmtp")
    assert lmtp_level == "ok"
    assert "s will be made with mode 0660, group " in lmtp
    assert findings(desk, "door smtp") == [("ok", "127.0.0.1:0 can be opened")]
    assert not (desk.folder / "s").exists()


@pytest.mark.parametrize(
    ("socket", "what"), [("none/s", "there is no folder"), ("password", "is there, and is no socket")]
)
def test_a_socket_that_cannot_be_made_is_told(desk: Desk, socket: str, what: str) -> None:
    with_doors(desk, f"{{lmtp: {{socket: {socket}}}}}")
    ((level, found),) = findings(desk, "door lmtp")
    assert (level, what in found) == ("error", True)
    assert desk.run("check", "--offline").code == 78


async def test_open_doors_are_told_from_a_port_that_somebody_else_has(desk: Desk) -> None:
    async def deliver(raw: RawMessage) -> None: ...

    shelf = type("Shelf", (), {"deliver": staticmethod(deliver)})()
    places: list[UnixDoor | TcpDoor] = [UnixDoor(desk.folder / "s", 0o600), TcpDoor("127.0.0.1", 0)]
    listeners = [Listener(place, shelf, {}, max_message_size_bytes=1000, clock=now) for place in places]
    serving = [asyncio.create_task(listener.serve()) for listener in listeners]
    while not all(listener.status.listening for listener in listeners):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    with_doors(desk, f'{{lmtp: {{socket: s}}, smtp: {{listen: "127.0.0.1:{listeners[1].port}"}}}}')
    for subject in ("door lmtp", "door smtp"):
        ((level, what),) = await asyncio.to_thread(findings, desk, subject)
        assert (level, what.endswith("is open: the daemon runs")) == ("ok", True)
    for listener in listeners:
        await listener.close()
    await asyncio.gather(*serving)


async def test_a_port_that_somebody_else_has_is_an_error(desk: Desk) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with_doors(desk, f'{{smtp: {{listen: "127.0.0.1:{port}"}}}}')
        found = await asyncio.to_thread(findings, desk, "door smtp")
    assert found == [("error", f"127.0.0.1:{port} cannot be opened: Address already in use")]


def test_a_mailbox_without_imap_is_not_asked_for_it(desk: Desk) -> None:
    desk.config.write_text(re.sub(r"    imap: .*\n", "", desk.config.read_text()))
    with_doors(desk, "{lmtp: {socket: s}}")
    answer = desk.run("check", "--json")
    assert [subject for subject, _ in errors(answer)] == ["smtp security"]
    sent = desk.run("check", "--send-test", "--json").json
    ((level, what),) = [(r["level"], r["what"]) for r in sent if r["subject"] == "round trip security"]
    assert (level, "only where it is fetched by IMAP" in what) == ("warning", True)
