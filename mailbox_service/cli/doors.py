"""What the doctor finds about the doors for pushed mail. Nothing is changed: a port is taken for a moment at most."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from mailbox_service.adapters.lmtp import is_alive
from mailbox_service.cli.exits import Exit
from mailbox_service.cli.findings import Finding
from mailbox_service.config import Config, LmtpDoor, SmtpDoor

_GREETING_SECONDS = 5.0


def doors(config: Config) -> Iterator[Finding]:
    """Can the doors that are configured be opened, or are they open?"""
    if config.intake.lmtp is not None:
        yield _socket(config.intake.lmtp)
    if config.intake.smtp is not None:
        yield _port(config.intake.smtp)


def _socket(door: LmtpDoor) -> Finding:
    subject, path, folder = "door lmtp", door.socket, door.socket.parent
    if not folder.is_dir():
        remedy = f"create it, for example: install -d -m 2750 -o USER -g postfix {folder}"
        return Finding.error(subject, f"there is no folder {folder}", remedy, Exit.CONFIG)
    if path.exists() and not path.is_socket():
        remedy = "correct intake.lmtp.socket, or remove the file"
        return Finding.error(subject, f"{path} is there, and is no socket", remedy, Exit.CONFIG)
    if not os.access(folder, os.W_OK | os.X_OK):
        remedy = "let the service's user write to that folder"
        return Finding.error(subject, f"no socket can be made in {folder}", remedy, Exit.CONFIG)
    if is_alive(path):
        return Finding.ok(subject, f"{path} is open: the daemon runs")
    return Finding.ok(subject, f"{path} will be made with mode {door.mode}, group {_group(folder)}")


def _group(folder: Path) -> str:
    """The group that a new file in `folder` gets."""
    state = folder.stat()
    number = state.st_gid if state.st_mode & stat.S_ISGID else os.getegid()
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _port(door: SmtpDoor) -> Finding:
    subject = "door smtp"
    try:
        family, kind, _, _, address = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_ours(door):
            return Finding.ok(subject, f"{door.listen} is open: the daemon runs")
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "unknown host"
        remedy = "correct intake.smtp.listen; ports below 1024 need a capability, CAP_NET_BIND_SERVICE"
        return Finding.error(subject, f"{door.listen} cannot be opened: {reason}", remedy, Exit.CONFIG)
    return Finding.ok(subject, f"{door.listen} can be opened")


def _is_ours(door: SmtpDoor) -> bool:
    try:
        with socket.create_connection((door.host, door.port), _GREETING_SECONDS) as connection:
            return connection.recv(100).startswith(b"220 mailbox-service ")
    except OSError:
        return False
