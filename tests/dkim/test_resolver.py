"""Keys from a real name server, and from ones that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mailbox_service.adapters.dkim import DnsKeyLookup, resolver
from mailbox_service.core.dkim import RECORD_BYTES
from mailbox_service.errors import TemporaryError
from tests.peers.dns import Fault, NameServer, name_server

NAME = "s1._domainkey.example.org"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with name_server() as running:
        yield running


async def test_the_strings_of_a_record_are_joined(server: NameServer) -> None:
    server.publish(NAME, b"p=" + b"A" * 600)
    assert await DnsKeyLookup(server.endpoints).text_records(NAME) == (b"p=" + b"A" * 600,)
    assert server.asked == [NAME]


async def test_a_name_elsewhere_is_followed(server: NameServer) -> None:
    server.aliases[NAME] = "keys.provider.example"
    server.publish("keys.provider.example", b"p=x")
    assert await DnsKeyLookup(server.endpoints).text_records(NAME) == (b"p=x",)


async def test_a_large_answer_is_fetched_by_tcp_and_cut(server: NameServer) -> None:
    server.publish(NAME, b"x" * 60_000)
    (record,) = await DnsKeyLookup(server.endpoints).text_records(NAME)
    assert (len(record), server.asked_by_tcp) == (RECORD_BYTES + 1, [NAME])


async def test_of_many_records_two_are_enough(server: NameServer) -> None:
    server.publish(NAME, *(b"p=%d" % n for n in range(50)))
    assert len(await DnsKeyLookup(server.endpoints).text_records(NAME)) == 2


@pytest.mark.parametrize("name", ["nothing.example.org", "x" * 70 + ".example.org", ".".join(["a" * 60] * 5), "a..b"])
async def test_a_name_that_does_not_exist_has_no_records(server: NameServer, name: str) -> None:
    assert await DnsKeyLookup(server.endpoints).text_records(name) == ()


async def test_a_name_without_texts_has_no_records(server: NameServer) -> None:
    server.publish(NAME)
    assert await DnsKeyLookup(server.endpoints).text_records(NAME) == ()


@pytest.mark.parametrize("fault", [Fault.SILENCE, Fault.RUBBISH])
async def test_no_answer_in_time_is_a_temporary_error(server: NameServer, fault: Fault) -> None:
    server.publish(NAME, b"p=x")
    server.faults[NAME] = fault
    with pytest.raises(TemporaryError, match="no answer from the DNS"):
        await DnsKeyLookup(server.endpoints, deadline_seconds=0.2).text_records(NAME)


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.REFUSED])
async def test_a_refusal_is_a_temporary_error_and_is_not_kept(server: NameServer, fault: Fault) -> None:
    server.publish(NAME, b"p=x")
    server.faults[NAME] = fault
    lookup = DnsKeyLookup(server.endpoints)
    with pytest.raises(TemporaryError, match="no answer from the DNS"):
        await lookup.text_records(NAME)
    del server.faults[NAME]
    assert await lookup.text_records(NAME) == (b"p=x",)


async def test_nobody_listening_is_a_temporary_error() -> None:
    async with name_server() as server:
        endpoints = server.endpoints
    with pytest.raises(TemporaryError):
        await DnsKeyLookup(endpoints, deadline_seconds=0.3).text_records(NAME)


async def test_an_answer_to_another_question_is_not_taken(server: NameServer) -> None:
    server.publish(NAME, b"p=true")
    server.faults[NAME], server.forged = Fault.FORGERY, b"p=forged"
    assert await DnsKeyLookup(server.endpoints).text_records(NAME) == (b"p=true",)


async def test_the_next_server_is_asked_when_one_fails(server: NameServer) -> None:
    async with name_server() as broken:
        broken.faults[NAME] = Fault.SERVFAIL
        server.publish(NAME, b"p=x")
        lookup = DnsKeyLookup([*broken.endpoints, *server.endpoints])
        assert await lookup.text_records(NAME) == (b"p=x",)
        assert broken.asked == [NAME]


async def test_an_answer_is_kept_as_long_as_its_lifetime_and_an_hour_at_most(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(NAME, b"p=x")
    server.lifetime_seconds = 86_400
    lookup = DnsKeyLookup(server.endpoints)
    started = asyncio.get_running_loop().time()
    for later, questions in ((0, 1), (3000, 1), (3599, 1), (3601, 2)):
        monkeypatch.setattr(resolver, "_now", lambda later=later: started + later)
        assert await lookup.text_records(NAME) == (b"p=x",)
        assert len(server.asked) == questions


async def test_a_short_lifetime_is_kept_to(server: NameServer) -> None:
    server.publish(NAME, b"p=x")
    server.lifetime_seconds = 0
    lookup = DnsKeyLookup(server.endpoints)
    for _ in range(2):
        assert await lookup.text_records(NAME) == (b"p=x",)
    assert len(server.asked) == 2


async def test_only_so_many_names_are_kept(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "CACHED_NAMES", 2)
    lookup = DnsKeyLookup(server.endpoints)
    for name in ("a.example", "b.example", "c.example"):
        server.publish(name, b"p=x")
        await lookup.text_records(name)
    await lookup.text_records("c.example")
    await lookup.text_records("a.example")
    assert server.asked == ["a.example", "b.example", "c.example", "a.example"]


async def test_a_system_without_name_servers_is_a_temporary_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import dns.asyncresolver

    def unreadable(self: object, *_: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver.Resolver, "read_resolv_conf", unreadable)
    with pytest.raises(TemporaryError):
        await DnsKeyLookup().text_records(NAME)
