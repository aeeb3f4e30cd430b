"""A name server for TXT records, on UDP and TCP of one free port, that can be made to fail name by name."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT


class Fault(Enum):
    """What happens to a question instead of its answer."""

    SERVFAIL = auto()
    REFUSED = auto()
    SILENCE = auto()
    RUBBISH = auto()  # bytes that are no message
    FORGERY = auto()  # first an answer with another number, as who cannot see the question has to guess it


@dataclass
class NameServer:
    """What it knows, and what it was asked."""

    texts: dict[str, list[bytes]] = field(default_factory=dict)  # by name in lower case, without the last dot
    aliases: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    forged: bytes = b""
    lifetime_seconds: int = 300
    udp_bytes: int = 1232
    port: int = 0
    asked: list[str] = field(default_factory=list)
    asked_by_tcp: list[str] = field(default_factory=list)

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", self.port)]

    def publish(self, name: str, *texts: bytes) -> None:
        self.texts[name] = list(texts)

    def answers(self, question: bytes, *, tcp: bool) -> Iterable[bytes]:
        """What goes back for a question, in this order."""
        query = dns.message.from_wire(question)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        (self.asked_by_tcp if tcp else self.asked).append(name)
        fault = self.faults.get(name)
        if fault is Fault.SILENCE:
            return
        if fault is Fault.RUBBISH:
            yield b"\xff" * 7
            return
        if fault is Fault.FORGERY:
            forgery = self._answer(query, name, [self.forged])
            forgery.id ^= 1
            yield forgery.to_wire()
        response = self._answer(query, name, self.texts.get(self.aliases.get(name, name)))
        if fault in (Fault.SERVFAIL, Fault.REFUSED):
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.SERVFAIL if fault is Fault.SERVFAIL else dns.rcode.REFUSED)
        wire = response.to_wire(max_size=65535)
        if not tcp and len(wire) > self.udp_bytes:
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        yield wire

    def _answer(self, query: dns.message.Message, name: str, texts: list[bytes] | None) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        asked = query.question[0].name
        if name in self.aliases:
            target = f"{self.aliases[name]}."
            alias = dns.rrset.from_text(asked, self.lifetime_seconds, "IN", "CNAME", target)
            response.answer.append(alias)
            asked = dns.name.from_text(target)
        if texts is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif texts:
            response.answer.append(
                dns.rrset.from_rdata_list(asked, self.lifetime_seconds, [_text(text) for text in texts])
            )
        return response


def _text(text: bytes) -> TXT:
    strings = [text[at : at + 255] for at in range(0, len(text), 255)] or [b""]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self._server.answers(data, tcp=False):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """Running on 127.0.0.1 until the end of the block."""
    server = NameServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            for answer in server.answers(await reader.readexactly(size), tcp=True):
                writer.write(struct.pack("!H", len(answer)) + answer)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    # The same number must be free for both.
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        try:
            stream = await asyncio.start_server(serve, "127.0.0.1", port)
        except OSError:
            continue
        try:
            datagrams, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), local_addr=("127.0.0.1", port))
        except OSError:
            stream.close()
            continue
        break
    server.port = port
    try:
        yield server
    finally:
        datagrams.close()
        stream.close()
        await stream.wait_closed()
