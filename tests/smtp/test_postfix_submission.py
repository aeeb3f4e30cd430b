"""The transport against a real Postfix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailbox_service.adapters.smtp import LOGIN_REFUSED, SmtpAccount, SmtpTransport
from mailbox_service.core.composition import Outgoing, compose
from mailbox_service.services.ports import DeliveryOutcome, Envelope
from tests.peers.postfix import MESSAGE_SIZE_LIMIT_BYTES, PASSWORD, Postfix

ORIGINAL = b"From: r@example.net\r\nSubject: y\r\n\r\n\xff 8-bit, bare\nLF\r\n"


def outgoing(number: str, attachment: bytes | None = None) -> Outgoing:
    return Outgoing(
        from_address="security@example.org",
        from_name="Example Säcurity",
        to_address="reporter@example.org",
        reply_to=None,
        subject="[SEC-2026-0001] Your report to Example",
        body="Hello,\n\n.dot\nFrom here on\nGrüße\n",
        message_id=f"<{number}@example.org>",
        date=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
        in_reply_to="<r@example.net>",
        references=("<r@example.net>",),
        auto_submitted="auto-replied",
        loop_marker="marker",
        attachment=attachment,
        attachment_name="original.eml",
    )


Accounts = dict[str, SmtpAccount]
ENVELOPE = Envelope("security@example.org", "reporter@example.org")


@pytest.fixture
def accounts(postfix: Postfix) -> Accounts:
    plain = SmtpAccount("127.0.0.1", postfix.port, "none", timeout_seconds=20)
    tls = replace(plain, security="tls", ca_file=postfix.ca_file, username="security", password=lambda: PASSWORD)
    return {
        "plain": plain,
        "tls": replace(tls, port=postfix.tls_port),
        "starttls": replace(tls, port=postfix.starttls_port, security="starttls"),
    }


@pytest.mark.parametrize("kind", ["plain", "tls", "starttls"])
@pytest.mark.parametrize("attachment", [None, ORIGINAL])
async def test_a_composed_mail_arrives_unchanged(
    postfix: Postfix, accounts: Accounts, kind: str, attachment: bytes | None
) -> None:
    number = f"{kind}-{attachment is None}"
    data = compose(outgoing(number, attachment))
    transport = SmtpTransport(accounts[kind])
    delivery = await transport.send(ENVELOPE, data)
    await transport.close()
    assert delivery.outcome is DeliveryOutcome.SENT, delivery.reply
    arrived = await asyncio.to_thread(postfix.wait_for, "reporter", f"Message-ID: <{number}@".encode())
    assert arrived.endswith(data.replace(b"\r\n", b"\n"))


async def test_an_unknown_user_is_permanent_and_the_connection_goes_on(accounts: Accounts) -> None:
    transport = SmtpTransport(accounts["starttls"])
    refused = await transport.send(Envelope("security@example.org", "nobody@example.org"), compose(outgoing("no")))
    taken = await transport.send(ENVELOPE, compose(outgoing("goes-on")))
    await transport.close()
    assert refused.outcome is DeliveryOutcome.PERMANENT
    assert "5.1.1" in refused.reply
    assert taken.outcome is DeliveryOutcome.SENT


async def test_a_mail_above_the_limit_is_too_large(accounts: Accounts) -> None:
    transport = SmtpTransport(accounts["tls"])
    delivery = await transport.send(ENVELOPE, compose(outgoing("big", b"\xff" * MESSAGE_SIZE_LIMIT_BYTES)))
    await transport.close()
    assert delivery.outcome is DeliveryOutcome.TOO_LARGE


async def test_many_mails_at_once_all_arrive_once(postfix: Postfix, accounts: Accounts) -> None:
    transport = SmtpTransport(accounts["starttls"])
    mails = [compose(outgoing(f"many-{number}-")) for number in range(40)]
    deliveries = await asyncio.gather(*(transport.send(ENVELOPE, mail) for mail in mails))
    await transport.close()
    assert {delivery.outcome for delivery in deliveries} == {DeliveryOutcome.SENT}
    for number in range(40):
        await asyncio.to_thread(postfix.wait_for, "reporter", f"Message-ID: <many-{number}-@".encode())


async def test_the_probe_names_tls_and_limits(accounts: Accounts) -> None:
    for kind in ("tls", "starttls"):
        report = await SmtpTransport(accounts[kind]).probe()
        assert report.problem == ""
        assert (report.tls, report.logged_in) == ("TLSv1.3", True)
        assert report.size_limit_bytes == MESSAGE_SIZE_LIMIT_BYTES


@pytest.mark.parametrize("kind", ["tls", "starttls"])
async def test_a_wrong_password_is_a_refused_login(accounts: Accounts, kind: str) -> None:
    wrong: Callable[[], str] = lambda: "wrong"  # noqa: E731
    transport = SmtpTransport(replace(accounts[kind], password=wrong))
    delivery = await transport.send(ENVELOPE, compose(outgoing("wrong")))
    await transport.close()
    assert delivery.outcome is DeliveryOutcome.TEMPORARY
    assert delivery.reply.startswith(f"{LOGIN_REFUSED}: 535")


async def test_a_killed_server_is_temporary_and_service_resumes_by_itself() -> None:
    own = Postfix()
    try:
        await asyncio.to_thread(own.start)
        transport = SmtpTransport(SmtpAccount("127.0.0.1", own.port, "none", timeout_seconds=20))
        assert (await transport.send(ENVELOPE, compose(outgoing("one")))).outcome is DeliveryOutcome.SENT
        await asyncio.to_thread(own.kill)
        assert (await transport.send(ENVELOPE, compose(outgoing("two")))).outcome is DeliveryOutcome.TEMPORARY
        await asyncio.to_thread(own.start)
        assert (await transport.send(ENVELOPE, compose(outgoing("three")))).outcome is DeliveryOutcome.SENT
        await asyncio.to_thread(own.wait_for, "reporter", b"Message-ID: <three@")
        await transport.close()
    finally:
        await asyncio.to_thread(own.stop)
