"""From the bytes of a mail to what they prove, with a real name server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mailbox_service.adapters.dkim import DkimAuthenticator, DnsKeyLookup
from mailbox_service.core.dkim import SIGNATURES, Refusal
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.core.message import ParsedMessage, parse
from mailbox_service.services.authentication import authenticate_answer
from mailbox_service.services.mailboxes import Mailbox
from tests.dkim.signing import KEY_NAME, MAIL, NOW, ed_key, rsa_key, signed
from tests.peers.dns import Fault, NameServer, name_server

PASSED = Authentication(AuthResult.PASS, "dkim", "aligned DKIM signature verified by ourselves")
MAILBOX = Mailbox("security", "security@project.example", "Project", "team@project.example", ())


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with name_server() as running:
        running.publish(KEY_NAME, rsa_key().record)
        yield running


def authenticator(server: NameServer, deadline_seconds: float = 5.0) -> DkimAuthenticator:
    return DkimAuthenticator(DnsKeyLookup(server.endpoints, deadline_seconds=deadline_seconds), lambda: NOW)


async def proven(server: NameServer, raw: bytes, deadline_seconds: float = 5.0) -> Authentication:
    return await authenticator(server, deadline_seconds).authenticate(parse(raw), raw)


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
async def test_a_signature_proves_the_author_whatever_the_line_ends(server: NameServer, line_end: bytes) -> None:
    server.publish("ed._domainkey.example.org", ed_key().record)
    assert await proven(server, signed().replace(b"\r\n", line_end)) == PASSED
    assert await proven(server, signed(key=ed_key(), s="ed").replace(b"\r\n", line_end)) == PASSED


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (MAIL, Refusal.UNSIGNED),
        (signed() + b"/close\r\n", Refusal.BODY),
        (signed(l="5"), Refusal.LENGTH),
        (signed(d="provider.example"), Refusal.FOREIGN),
        (signed(s="missing"), Refusal.NO_KEY),
        (signed(s="gone"), Refusal.REVOKED),
        (signed(s="trial"), Refusal.TEST),
        (signed(s="huge"), Refusal.BAD_KEY),
        (signed(s="two"), Refusal.SEVERAL_KEYS),
        (signed(s="failing"), Refusal.UNAVAILABLE),
    ],
)
async def test_what_proves_nothing_says_why(server: NameServer, raw: bytes, refusal: Refusal) -> None:
    record = rsa_key().record
    server.publish("gone._domainkey.example.org", b"v=DKIM1; p=")
    server.publish("trial._domainkey.example.org", record.replace(b"k=rsa", b"t=y"))
    server.publish("huge._domainkey.example.org", record + b"; n=" + b"x" * 5000)
    server.publish("two._domainkey.example.org", record, b"v=spf1 -all")
    server.faults["failing._domainkey.example.org"] = Fault.SERVFAIL
    assert await proven(server, raw) == Authentication(AuthResult.NONE, "", refusal.value)


async def test_a_silent_name_server_is_not_waited_for(server: NameServer) -> None:
    server.faults[KEY_NAME] = Fault.SILENCE
    assert await proven(server, signed(), 0.2) == Authentication(AuthResult.NONE, "", Refusal.UNAVAILABLE.value)


async def test_a_second_author_is_a_failure_and_asks_nobody(server: NameServer) -> None:
    raw = b"From: boss@example.org\r\n" + signed()
    assert await proven(server, raw) == Authentication(AuthResult.FAIL, "", "no single clean From address")
    assert server.asked == []


async def test_nobody_is_asked_about_a_mail_whose_body_was_changed_or_whose_signer_is_foreign(
    server: NameServer,
) -> None:
    await proven(server, signed() + b"more\r\n")
    await proven(server, signed(d="provider.example"))
    assert server.asked == []


async def test_a_failing_signer_does_not_keep_another_from_proving(server: NameServer) -> None:
    server.faults["failing._domainkey.example.org"] = Fault.SERVFAIL
    assert await proven(server, signed(signed(), s="failing")) == PASSED


async def test_all_keys_are_asked_for_at_once_and_no_more_than_allowed(server: NameServer) -> None:
    raw = MAIL
    for number in range(6):
        raw = signed(raw, s=f"n{number}")
    asked: list[str] = []
    together = asyncio.Barrier(SIGNATURES)

    class Counting:
        async def text_records(self, name: str) -> tuple[bytes, ...]:
            asked.append(name)
            await together.wait()
            return ()

    found = await DkimAuthenticator(Counting(), lambda: NOW).authenticate(parse(raw), raw)
    assert (found.reason, len(asked)) == (Refusal.NO_KEY.value, SIGNATURES)


async def test_a_trusted_server_s_word_goes_first_and_dkim_can_be_switched_off(server: NameServer) -> None:
    raw = signed()
    ours = authenticator(server)

    async def proof(mailbox: Mailbox) -> Authentication:
        return await authenticate_answer(mailbox, parse(raw), raw, ours)

    assert await proof(MAILBOX) == PASSED
    asked = len(server.asked)
    assert (await proof(replace(MAILBOX, authserv_id="mx.example"))).reason == "no Authentication-Results header"
    assert (await proof(replace(MAILBOX, dkim=False))).reason == "no trusted server configured"
    assert len(server.asked) == asked


async def test_a_large_hostile_body_leaves_the_event_loop_free(server: NameServer) -> None:
    body = b" " * 8_000_000
    raw = signed(c="simple/relaxed").partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    message: ParsedMessage = parse(MAIL)
    assert (await authenticator(server).authenticate(message, raw)).reason == Refusal.BODY.value
    ticking.cancel()
    assert ticks > 10
