"""Two ways to listen to IMAP: a client that waits in IDLE as the service does, and a proxy that counts bytes."""

from __future__ import annotations

import queue
import socket
import threading
import time
from types import TracebackType
from typing import Self

PIECE_BYTES = 1 << 16


class Notices:
    """A context: a client in IDLE, which keeps when the server told it of new mail (CLOCK_MONOTONIC)."""

    def __init__(self, port: int, user: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lines = self._socket.makefile("rb")
        self._told: queue.Queue[tuple[float, int]] = queue.Queue()
        for number, command in enumerate((f"LOGIN {user} pw", "SELECT INBOX"), start=1):
            self._socket.sendall(f"{number} {command}\r\n".encode())
            while not self._lines.readline().startswith(b"%d OK" % number):
                pass
        self._socket.sendall(b"3 IDLE\r\n")
        self._lines.readline()
        self._listener = threading.Thread(target=self._listen, name="idle", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._lines:
            words = line.split()
            if len(words) == 3 and words[2] == b"EXISTS":
                self._told.put((time.monotonic(), int(words[1])))

    def await_count(self, count: int, seconds: float = 30.0) -> float:
        """When the server told that the folder holds `count` messages. Raises: queue.Empty."""
        while True:
            at, exists = self._told.get(timeout=seconds)
            if exists >= count:
                return at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._listener.join()
        self._lines.close()
        self._socket.close()


class Wire:
    """A context: a proxy before a server on this machine, which counts what the server sends and notes words."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.from_server_bytes = 0
        self.asked: list[tuple[float, bytes]] = []  # when (CLOCK_MONOTONIC), and what the client sent
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="wire", daemon=True)]
        self._threads[0].start()

    def first(self, words: bytes) -> float | None:
        """When the client first sent `words`."""
        return next((at for at, data in list(self.asked) if words in data.upper()), None)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pass_on, args=(source, target, source is server), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, from_server: bool) -> None:
        try:
            while data := source.recv(PIECE_BYTES):
                if from_server:
                    self.from_server_bytes += len(data)
                else:
                    self.asked.append((time.monotonic(), data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has gone

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed before
            one.close()
        for thread in self._threads:
            thread.join()
