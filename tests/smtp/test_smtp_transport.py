"""The transport against a server that fails at each verb and each byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from mailbox_service.adapters.smtp import (
    CANNOT_CONNECT,
    LOGIN_FAILED,
    LOGIN_REFUSED,
    TLS_FAILED,
    SmtpAccount,
    SmtpTransport,
)
from mailbox_service.errors import ConfigurationError
from mailbox_service.services.ports import Delivery, DeliveryOutcome, Envelope
from tests.peers.postfix import make_certificates
from tests.peers.scripted_smtp import (
    CLOSE,
    CONTENT,
    DEFAULT_EHLO,
    GREETING,
    RESET,
    SILENCE,
    Script,
    ScriptedSmtp,
    scripted_smtp,
)

ENVELOPE = Envelope("security@example.org", "reporter@example.net")
MAIL = b"From: security@example.org\r\nSubject: x\r\n\r\n.starts with a dot\r\nHello\r\n"
# More than the buffers of both ends of a connection hold, so that a server that stops reading stops the client.
LARGE = MAIL + b"0123456789abcdef" * 4 + b"\r\n" + (b"x" * 76 + b"\r\n") * 100_000


def account(peer: ScriptedSmtp, **more: Any) -> SmtpAccount:
    return replace(SmtpAccount("127.0.0.1", peer.port, "none", timeout_seconds=5), **more)


async def send_once(script: Script, data: bytes = MAIL, **more: Any) -> tuple[Delivery, ScriptedSmtp]:
    async with scripted_smtp(script) as peer:
        transport = SmtpTransport(account(peer, **more))
        try:
            return await transport.send(ENVELOPE, data), peer
        finally:
            await transport.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder)
    return folder


@pytest.fixture
def server_tls(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context


async def test_an_accepted_mail_arrives_byte_for_byte() -> None:
    delivery, peer = await send_once(Script())
    assert delivery == Delivery(DeliveryOutcome.SENT, "250 2.0.0 ok")
    assert peer.accepted == [MAIL]
    assert f"MAIL FROM:<security@example.org> SIZE={len(MAIL)}" in peer.commands
    assert "RCPT TO:<reporter@example.net>" in peer.commands


@pytest.mark.parametrize("verb", [GREETING, "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_a_connection_lost_before_the_content_is_temporary(verb: str, end: str) -> None:
    delivery, peer = await send_once(Script({verb: end}))
    assert delivery.outcome is DeliveryOutcome.TEMPORARY
    assert peer.dots_seen == 0


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("read_bytes", [0, 1, 100, 70_000, 500_000])
async def test_a_connection_lost_amid_the_content_is_temporary(read_bytes: int, end: str) -> None:
    delivery, _ = await send_once(Script(read_content_bytes=read_bytes, then=end), LARGE)
    assert delivery.outcome is DeliveryOutcome.TEMPORARY
    assert "content" in delivery.reply


@pytest.mark.parametrize("read_bytes", range(len(MAIL) + 4))
async def test_whatever_byte_of_a_short_mail_is_the_last_the_outcome_never_denies_a_dot_that_left(
    read_bytes: int,
) -> None:
    delivery, _ = await send_once(Script(read_content_bytes=read_bytes, then=CLOSE))
    expected = {DeliveryOutcome.UNKNOWN}
    if read_bytes <= len(MAIL):  # one more for the stuffed dot; the server ended before it could have seen the last
        expected.add(DeliveryOutcome.TEMPORARY)
    assert delivery.outcome in expected


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_a_connection_lost_after_the_dot_is_unknown(end: str) -> None:
    delivery, peer = await send_once(Script({CONTENT: end}))
    assert delivery.outcome is DeliveryOutcome.UNKNOWN
    assert peer.dots_seen == 1


@pytest.mark.parametrize("sent", [b"", b"2", b"25", b"250", b"250 ok", b"250-ok\r\n", b"250 ok\r", b"nonsense\r\n"])
async def test_a_reply_cut_at_any_byte_is_unknown(sent: bytes) -> None:
    delivery, _ = await send_once(Script(raw_final_reply=sent))
    assert delivery.outcome is DeliveryOutcome.UNKNOWN


async def test_a_complete_reply_counts_even_when_the_connection_ends_with_it() -> None:
    delivery, _ = await send_once(Script(raw_final_reply=b"250-yes\r\n250 ok\r\n"))
    assert delivery.outcome is DeliveryOutcome.SENT


@pytest.mark.parametrize("verb", [GREETING, "EHLO", "MAIL", "RCPT", "DATA"])
async def test_silence_before_the_content_is_temporary(verb: str) -> None:
    delivery, _ = await send_once(Script({verb: SILENCE}), timeout_seconds=0.1)
    assert delivery.outcome is DeliveryOutcome.TEMPORARY


async def test_a_server_that_stops_reading_is_left_and_the_mail_is_temporary() -> None:
    delivery, _ = await send_once(Script(read_content_bytes=10, then=SILENCE), LARGE, timeout_seconds=0.2)
    assert delivery.outcome is DeliveryOutcome.TEMPORARY
    assert "stopped reading" in delivery.reply


async def test_a_late_250_is_never_taken_for_the_reply_to_the_next_mail() -> None:
    script = Script({CONTENT: [SILENCE, "450 4.3.0 not this one"]})
    async with scripted_smtp(script) as peer:
        transport = SmtpTransport(account(peer, deadline_seconds=0.3))
        first = await transport.send(ENVELOPE, MAIL)
        peer.release.set()
        second = await transport.send(ENVELOPE, MAIL)
        await transport.close()
    assert (first.outcome, second.outcome) == (DeliveryOutcome.UNKNOWN, DeliveryOutcome.TEMPORARY)
    assert peer.connections == 2


REPLIES = [
    ("MAIL", "451 4.3.0 later", DeliveryOutcome.TEMPORARY),
    ("MAIL", "421 4.3.2 shutting down", DeliveryOutcome.TEMPORARY),
    ("MAIL", "530 5.7.0 authentication required", DeliveryOutcome.TEMPORARY),
    ("MAIL", "550 5.1.8 bad sender", DeliveryOutcome.PERMANENT),
    ("MAIL", "552 5.3.4 too big", DeliveryOutcome.TOO_LARGE),
    ("MAIL", "354 what", DeliveryOutcome.TEMPORARY),
    ("RCPT", "450 4.2.1 greylisted", DeliveryOutcome.TEMPORARY),
    ("RCPT", "550 5.1.1 user unknown", DeliveryOutcome.PERMANENT),
    ("RCPT", "550 5.7.1 not allowed", DeliveryOutcome.PERMANENT),
    ("RCPT", "552 5.2.2 mailbox full", DeliveryOutcome.PERMANENT),
    ("RCPT", "550 5.2.3 too long for this mailbox", DeliveryOutcome.TOO_LARGE),
    ("DATA", "451 4.3.0 later", DeliveryOutcome.TEMPORARY),
    ("DATA", "554 5.5.1 no valid recipients", DeliveryOutcome.PERMANENT),
    ("DATA", "250 out of place", DeliveryOutcome.TEMPORARY),
    (CONTENT, "451 4.7.1 later", DeliveryOutcome.TEMPORARY),
    (CONTENT, "421 4.3.2 closing", DeliveryOutcome.TEMPORARY),
    (
        CONTENT,
        "552-5.7.0 This message was blocked because its content presents\r\n552 5.7.0 a risk",
        DeliveryOutcome.TOO_LARGE,
    ),
    (CONTENT, "554 5.7.1 attachment refused", DeliveryOutcome.TOO_LARGE),
    (CONTENT, "554 5.6.0 cannot be converted", DeliveryOutcome.TOO_LARGE),
    (CONTENT, "554 rejected", DeliveryOutcome.TOO_LARGE),
    (CONTENT, "550 5.7.26 unauthenticated sender", DeliveryOutcome.PERMANENT),
    (CONTENT, "550 5.1.1 user unknown", DeliveryOutcome.PERMANENT),
    (CONTENT, "552 5.2.2 over quota", DeliveryOutcome.PERMANENT),
    (CONTENT, "354 what", DeliveryOutcome.UNKNOWN),
    (GREETING, "554 5.7.1 go away", DeliveryOutcome.TEMPORARY),
    ("EHLO", "550 5.7.1 bad name", DeliveryOutcome.TEMPORARY),
]


@pytest.mark.parametrize(("verb", "reply", "outcome"), REPLIES)
async def test_each_reply_has_its_meaning(verb: str, reply: str, outcome: DeliveryOutcome) -> None:
    delivery, peer = await send_once(Script({verb: reply}))
    assert delivery.outcome is outcome
    assert peer.accepted == []
    if outcome is not DeliveryOutcome.UNKNOWN and "out of place" not in reply and "what" not in reply:
        assert reply.split("\r\n")[0][4:] in delivery.reply


async def test_a_refusal_in_the_midst_of_the_content_is_heard() -> None:
    script = Script(read_content_bytes=1000, then="552 5.3.4 enough")
    delivery, _ = await send_once(script, LARGE)
    assert delivery.outcome in {DeliveryOutcome.TOO_LARGE, DeliveryOutcome.TEMPORARY}
    assert delivery.outcome is DeliveryOutcome.TOO_LARGE or "content" in delivery.reply


async def test_an_early_250_amid_the_content_is_not_believed() -> None:
    delivery, _ = await send_once(Script(read_content_bytes=1000, then="250 already"), LARGE)
    assert delivery.outcome is DeliveryOutcome.TEMPORARY


async def test_a_mail_above_the_servers_size_limit_is_not_even_begun() -> None:
    delivery, peer = await send_once(Script(ehlo=("x", "SIZE 50")))
    assert delivery.outcome is DeliveryOutcome.TOO_LARGE
    assert not any(command.startswith("MAIL") for command in peer.commands)


@pytest.mark.parametrize("size", ["SIZE", "SIZE 0", "SIZE many", "SIZE ²"])
async def test_a_size_without_a_number_is_no_limit(size: str) -> None:
    delivery, _ = await send_once(Script(ehlo=("x", size)))
    assert delivery.outcome is DeliveryOutcome.SENT


@pytest.mark.parametrize(
    "address",
    [
        "a,b@example.org",
        "a@example.org\r\nRCPT TO:<x@example.org>",
        "a@example.org\r\n",
        "a@example.org ",
        "<a@example.org>",
        "A <a@example.org>",
        "a@b@example.org",
        "a@example.org> SIZE=1",
        "a\0@example.org",
        "a@",
        "@example.org",
        "",
        "a" * 65 + "@example.org",
    ],
)
async def test_what_is_not_exactly_one_address_never_reaches_a_server(address: str) -> None:
    async with scripted_smtp() as peer:
        transport = SmtpTransport(account(peer))
        delivery = await transport.send(Envelope("security@example.org", address), MAIL)
        assert delivery.outcome is DeliveryOutcome.PERMANENT
        if address:  # the empty sender is the null reverse-path
            delivery = await transport.send(Envelope(address, "a@example.org"), MAIL)
            assert delivery.outcome is DeliveryOutcome.PERMANENT
        await transport.close()
    assert peer.connections == 0


@pytest.mark.parametrize("data", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\n", b"no end", b"", b"x\r\n\r"])
async def test_bare_cr_and_lf_are_not_sent(data: bytes) -> None:
    delivery, peer = await send_once(Script(), data)
    assert delivery.outcome is DeliveryOutcome.PERMANENT
    assert peer.connections == 0


async def test_the_null_reverse_path_is_sent_as_it_is() -> None:
    async with scripted_smtp() as peer:
        transport = SmtpTransport(account(peer))
        assert (await transport.send(Envelope("", "a@example.org"), MAIL)).outcome is DeliveryOutcome.SENT
        await transport.close()
    assert any(command.startswith("MAIL FROM:<> ") for command in peer.commands)


async def test_an_address_beyond_ascii_needs_smtputf8() -> None:
    envelope = Envelope("security@example.org", "jörg@example.net")
    for ehlo, outcome in ((DEFAULT_EHLO, DeliveryOutcome.SENT), (("x",), DeliveryOutcome.PERMANENT)):
        async with scripted_smtp(Script(ehlo=ehlo)) as peer:
            transport = SmtpTransport(account(peer))
            assert (await transport.send(envelope, MAIL)).outcome is outcome
            await transport.close()
            assert any("SMTPUTF8" in command for command in peer.commands) is (outcome is DeliveryOutcome.SENT)


async def test_8_bit_content_needs_8bitmime() -> None:
    delivery, peer = await send_once(Script(), MAIL + "é\r\n".encode())
    assert delivery.outcome is DeliveryOutcome.SENT
    assert any("BODY=8BITMIME" in command for command in peer.commands)
    delivery, _ = await send_once(Script(ehlo=("x",)), MAIL + "é\r\n".encode())
    assert delivery.outcome is DeliveryOutcome.PERMANENT


# --- the pool ---------------------------------------------------------------------------------------------


async def test_one_connection_serves_many_mails_and_is_renewed_in_time() -> None:
    async with scripted_smtp() as peer:
        transport = SmtpTransport(account(peer), mails_per_connection=3)
        for _ in range(7):
            assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.SENT
        await transport.close()
        await asyncio.wait_for(peer.all_gone.wait(), 5)
    assert peer.connections == 3
    assert peer.commands.count("QUIT") == 3


async def test_concurrent_mails_use_different_connections_up_to_the_limit() -> None:
    async with scripted_smtp() as peer:
        transport = SmtpTransport(account(peer, connections=3))
        deliveries = await asyncio.gather(*(transport.send(ENVELOPE, MAIL) for _ in range(12)))
        await transport.close()
    assert {delivery.outcome for delivery in deliveries} == {DeliveryOutcome.SENT}
    assert len(peer.accepted) == 12
    assert peer.most_at_once == 3


async def test_a_connection_is_used_on_after_a_refusal_and_reset_first() -> None:
    async with scripted_smtp(Script({"RCPT": ["550 5.1.1 unknown", "250 ok"]})) as peer:
        transport = SmtpTransport(account(peer))
        assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.PERMANENT
        assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.SENT
        await transport.close()
    assert peer.connections == 1
    assert "RSET" in peer.commands


@pytest.mark.parametrize("ending", ["421 4.4.2 idle for too long", CLOSE, RESET])
async def test_a_kept_connection_that_the_server_ended_is_replaced_unnoticed(ending: str) -> None:
    async with scripted_smtp(Script({"MAIL": ["250 ok", ending, "250 ok"]})) as peer:
        transport = SmtpTransport(account(peer))
        for _ in range(2):
            assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.SENT
        await transport.close()
    assert peer.connections == 2
    assert len(peer.accepted) == 2


async def test_a_connection_closed_while_idle_is_replaced_unnoticed() -> None:
    async with scripted_smtp(Script(close_after_final_reply=True)) as peer:
        transport = SmtpTransport(account(peer))
        for _ in range(3):
            assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.SENT
            await asyncio.wait_for(peer.all_gone.wait(), 5)
        await transport.close()
    assert peer.connections == 3


async def test_a_long_idle_connection_is_questioned_before_use() -> None:
    async with scripted_smtp(Script({"RSET": CLOSE})) as peer:
        transport = SmtpTransport(account(peer), idle_check_seconds=-1)
        for _ in range(2):
            assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.SENT
        await transport.close()
    assert peer.connections == 2


async def test_an_unused_connection_is_closed_after_the_idle_limit() -> None:
    async with scripted_smtp() as peer:
        transport = SmtpTransport(account(peer), idle_limit_seconds=0.01)
        await transport.send(ENVELOPE, MAIL)
        await asyncio.wait_for(peer.all_gone.wait(), 5)
        assert peer.commands[-1] == "QUIT"
        await transport.close()


async def _cancelled(transport: SmtpTransport, peer: ScriptedSmtp, data: bytes) -> None:
    task = asyncio.create_task(transport.send(ENVELOPE, data))
    await asyncio.wait_for(peer.at.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    peer.release.set()
    await asyncio.wait_for(peer.all_gone.wait(), 5)


@pytest.mark.parametrize("verb", [GREETING, "EHLO", "MAIL", "RCPT", "DATA", CONTENT])
async def test_a_cancelled_mail_closes_its_connection_and_stays_cancelled(verb: str) -> None:
    async with scripted_smtp(Script({verb: [SILENCE, "250 ok"]})) as peer:
        transport = SmtpTransport(account(peer))
        await _cancelled(transport, peer, MAIL)
        await transport.close()


async def test_a_mail_cancelled_amid_its_content_does_not_go_out_afterwards() -> None:
    script = Script(read_content_bytes=10, then=SILENCE)
    async with scripted_smtp(script) as peer:
        transport = SmtpTransport(account(peer))
        await _cancelled(transport, peer, LARGE)
        script.read_content_bytes = None
        assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.SENT
        await transport.close()
    assert peer.accepted == [MAIL]


# --- encryption and login ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"host": "mail.example.org"}, "allow_plaintext"),
        ({"host": "192.0.2.1"}, "allow_plaintext"),
        ({"host": "192.0.2.1", "allow_plaintext": True, "username": "u"}, "clear"),
        ({"connections": 0}, "connections"),
    ],
)
def test_settings_that_would_send_in_clear_over_a_network_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        SmtpTransport(replace(SmtpAccount("127.0.0.1", 25, "none"), **change))


def test_plaintext_is_allowed_to_loopback_or_on_request() -> None:
    for host in ("localhost", "127.0.0.2", "::1"):
        SmtpTransport(SmtpAccount(host, 25, "none"))
    SmtpTransport(SmtpAccount("192.0.2.1", 25, "none", allow_plaintext=True))


async def test_a_server_that_offers_no_starttls_gets_neither_password_nor_mail() -> None:
    delivery, peer = await send_once(Script(), security="starttls", username="u", password=lambda: "secret")
    assert delivery.outcome is DeliveryOutcome.TEMPORARY
    assert delivery.reply.startswith(TLS_FAILED)
    assert not any(command.startswith(("AUTH", "MAIL")) for command in peer.commands)


async def test_a_certificate_of_an_unknown_authority_is_refused(server_tls: ssl.SSLContext) -> None:
    async with scripted_smtp(tls=server_tls) as peer:
        transport = SmtpTransport(account(peer, security="tls"))
        delivery = await transport.send(ENVELOPE, MAIL)
    assert delivery.outcome is DeliveryOutcome.TEMPORARY
    assert delivery.reply.startswith(TLS_FAILED)
    assert peer.commands == []


async def test_a_missing_file_of_authorities_is_temporary(tmp_path: Path) -> None:
    delivery, _ = await send_once(Script(), security="tls", ca_file=tmp_path / "none.pem")
    assert (delivery.outcome, delivery.reply.startswith(TLS_FAILED)) == (DeliveryOutcome.TEMPORARY, True)


async def test_nobody_listening_is_temporary() -> None:
    async with scripted_smtp() as peer:
        pass
    delivery = await SmtpTransport(account(peer)).send(ENVELOPE, MAIL)
    assert (delivery.outcome, delivery.reply.startswith(CANNOT_CONNECT)) == (DeliveryOutcome.TEMPORARY, True)


async def test_a_large_mail_over_tls_that_is_lost_amid_its_content_is_temporary(
    server_tls: ssl.SSLContext, certificates: Path
) -> None:
    async with scripted_smtp(Script(read_content_bytes=70_000), tls=server_tls) as peer:
        transport = SmtpTransport(account(peer, security="tls", ca_file=certificates / "ca.pem"))
        delivery = await transport.send(ENVELOPE, LARGE)
        await transport.close()
    assert delivery.outcome is DeliveryOutcome.TEMPORARY


async def test_mails_over_tls_share_a_connection_and_arrive_whole(
    server_tls: ssl.SSLContext, certificates: Path
) -> None:
    async with scripted_smtp(tls=server_tls) as peer:
        transport = SmtpTransport(account(peer, security="tls", ca_file=certificates / "ca.pem"))
        for data in (MAIL, LARGE):
            assert (await transport.send(ENVELOPE, data)).outcome is DeliveryOutcome.SENT
        await transport.close()
    assert peer.accepted == [MAIL, LARGE]
    assert peer.connections == 1


def passwords(*values: str) -> Callable[[], str]:
    remaining = list(values)
    return lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0]


@pytest.mark.parametrize("reply", ["535 5.7.8 bad credentials", "500 5.5.1 what", "538 5.7.11 encryption needed"])
async def test_a_refused_login_is_temporary_tried_once_and_not_hammered(reply: str) -> None:
    async with scripted_smtp(Script({"AUTH": reply})) as peer:
        transport = SmtpTransport(account(peer, username="u", password=lambda: "wrong"))
        for _ in range(5):
            delivery = await transport.send(ENVELOPE, MAIL)
            assert delivery.outcome is DeliveryOutcome.TEMPORARY
            assert delivery.reply.startswith(LOGIN_REFUSED)
            assert reply in delivery.reply
        await transport.close()
    assert sum(command.startswith("AUTH") for command in peer.commands) == 1


async def test_a_new_password_is_tried_at_once() -> None:
    async with scripted_smtp(Script({"AUTH": ["535 5.7.8 no", "235 yes"]})) as peer:
        transport = SmtpTransport(account(peer, username="u", password=passwords("old", "new")))
        assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.TEMPORARY
        assert (await transport.send(ENVELOPE, MAIL)).outcome is DeliveryOutcome.SENT
        await transport.close()


async def test_login_trouble_other_than_a_refusal_is_told_apart() -> None:
    def unreadable() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    more: dict[str, Any]
    for script, more in (
        (Script({"AUTH": "454 4.7.0 try later"}), {"password": lambda: "p"}),
        (Script({"AUTH": CLOSE}), {"password": lambda: "p"}),
        (Script(ehlo=("x",)), {"password": lambda: "p"}),
        (Script(), {"password": unreadable}),
    ):
        delivery, _ = await send_once(script, MAIL, username="u", **more)
        assert delivery.outcome is DeliveryOutcome.TEMPORARY
        assert delivery.reply.startswith(LOGIN_FAILED)


# --- what is told ---------------------------------------------------------------------------------------------


async def test_the_probe_reports_what_the_server_can_do() -> None:
    async with scripted_smtp() as peer:
        report = await SmtpTransport(account(peer, username="u", password=lambda: "p")).probe()
    assert report.problem == ""
    assert (report.tls, report.logged_in, report.size_limit_bytes) == (None, True, 10_485_760)
    assert "smtputf8" in report.extensions
    assert not any(command.startswith("MAIL") for command in peer.commands)


async def test_the_probe_reports_why_there_is_no_session() -> None:
    async with scripted_smtp(Script({"AUTH": "535 5.7.8 no"})) as peer:
        report = await SmtpTransport(account(peer, username="u", password=lambda: "p")).probe()
    assert report.problem == f"{LOGIN_REFUSED}: 535 5.7.8 no"
    async with scripted_smtp(Script({GREETING: SILENCE})) as peer:
        report = await SmtpTransport(account(peer, deadline_seconds=0.1)).probe()
    assert report.problem.startswith(CANNOT_CONNECT)


async def test_the_reply_is_short_and_harmless() -> None:
    delivery, _ = await send_once(Script({"RCPT": "550 5.1.1 \x1b[31m\u202e" + "x" * 2000}))
    assert len(delivery.reply) <= 400
    assert "\x1b" not in delivery.reply
    assert "\u202e" not in delivery.reply


async def test_the_log_never_holds_an_address_or_content() -> None:
    with structlog.testing.capture_logs() as events:
        for script in (Script({"RCPT": "550 no reporter@example.net"}), Script({GREETING: "554 reporter@example.net"})):
            with suppress(Exception):
                await send_once(script)
    assert events
    assert "example" not in repr(events)
    assert "Hello" not in repr(events)
