"""A service manager: the socket of sd_notify(3), and what was said to it."""

from __future__ import annotations

import socket
import time
from pathlib import Path


class Manager:
    """Listens at `address`; "@name" is an abstract one."""

    def __init__(self, address: str) -> None:
        self.environ = {"NOTIFY_SOCKET": address}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    @classmethod
    def at(cls, folder: Path) -> Manager:
        return cls(str(folder / "notify"))

    def listen(self) -> list[str]:
        """All that was said so far, each message's lines joined by a blank."""
        while True:
            try:
                self.heard.append(self._socket.recv(65536).decode().replace("\n", " "))
            except BlockingIOError:
                return self.heard

    def states(self) -> list[str]:
        """What was said of beginning, reloading and ending."""
        return [said.split("=")[0] for said in self.listen() if not said.startswith(("STATUS=", "WATCHDOG="))]

    def forget(self) -> None:
        self.listen()
        self.heard.clear()

    def close(self) -> None:
        self._socket.close()


def until(done: object, seconds: float = 60.0) -> None:
    """Wait until `done()` is true."""
    assert callable(done)
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
