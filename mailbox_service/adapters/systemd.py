"""What the service manager hears from us: the protocol of sd_notify(3), a datagram a message."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import structlog

log = structlog.get_logger()


class Notifier:
    """Tells systemd, where it listens; without NOTIFY_SOCKET every call does nothing. No method fails or waits."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._status = ""
        pid = environ.get("WATCHDOG_PID", "")
        usec = environ.get("WATCHDOG_USEC", "")
        ours = not pid or pid == str(os.getpid())
        # How long systemd waits for the next `watchdog()` before it kills us; None: it does not look.
        self.watchdog_seconds = int(usec) / 1e6 if ours and usec.isdecimal() and int(usec) else None

    def ready(self) -> None:
        """All that was to be started or reloaded runs."""
        self._tell("READY=1")

    def reloading(self) -> None:
        # The kernel's monotonic clock, which is what systemd compares it with.
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def watchdog(self) -> None:
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; told when it is another one."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def _tell(self, message: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # "@" stands for the NUL of Linux' abstract names.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as to:
                to.sendto(message.encode(), address)
        except OSError as error:
            log.warning("service manager not told", error_type=type(error).__name__)
