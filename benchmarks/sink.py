"""An SMTP server that accepts everything and keeps nothing: the far end of the benchmarks.

    python -m benchmarks.sink PORT [--log FILE]

A private verb, XCOUNT, tells how many mails it has accepted. With --log each accepted mail is a line: the time of
CLOCK_MONOTONIC, which all processes of a machine share, and the recipient.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from pathlib import Path
from typing import IO, cast


class Sink(asyncio.Protocol):
    """One connection; pipelining, 8BITMIME and SMTPUTF8 as real servers have."""

    accepted = 0
    log: IO[str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer, self.in_data, self.recipient = b"", False, ""
        self.transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self._data() if self.in_data else self._command():
            pass

    def _data(self) -> bool:
        end = 0 if self.buffer.startswith(b".\r\n") else self.buffer.find(b"\r\n.\r\n")
        if end < 0:
            return False
        self.buffer, self.in_data = self.buffer[end + (3 if end == 0 else 5) :], False
        Sink.accepted += 1
        if Sink.log is not None:
            print(f"{time.monotonic():.6f} {self.recipient}", file=Sink.log, flush=True)
        self.transport.write(b"250 2.0.0 taken\r\n")
        return True

    def _command(self) -> bool:
        line, found, rest = self.buffer.partition(b"\r\n")
        if not found:
            return False
        self.buffer = rest
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.transport.write(
                b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 104857600\r\n"
            )
        elif verb == b"DATA":
            self.in_data = True
            self.transport.write(b"354 go\r\n")
        elif verb == b"QUIT":
            self.transport.write(b"221 bye\r\n")
            self.transport.close()
            return False
        elif verb == b"XCOU":
            self.transport.write(b"250 %d\r\n" % Sink.accepted)
        else:
            if verb == b"RCPT":
                self.recipient = line.partition(b"<")[2].partition(b">")[0].decode("utf-8", "replace")
            self.transport.write(b"250 ok\r\n")
        return True


async def serve(port: int) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Sink, "127.0.0.1", port)
    print("ready", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    if arguments.log:
        Sink.log = arguments.log.open("a", encoding="utf-8")
    asyncio.run(serve(arguments.port))


if __name__ == "__main__":
    main()
