"""An SMTP server that accepts everything and keeps nothing: the far end of the benchmarks."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import cast


class Sink(asyncio.Protocol):
    """One connection; pipelining, 8BITMIME and SMTPUTF8 as real servers have."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer, self.in_data = b"", False
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
        else:
            self.transport.write(b"250 ok\r\n")
        return True


async def main(port: int) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Sink, "127.0.0.1", port)
    print("ready", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
