"""What the operator may choose about one IMAP account, and the limits we keep towards its server."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mailbox_service.services.ports import Mark

Security = Literal["tls", "starttls", "none"]

MIB = 1 << 20

# RFC 3501 §9: a keyword is an atom, a system flag an atom behind a backslash.
_FLAG = re.compile(r"\\?[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+")


@dataclass(frozen=True, slots=True)
class ImapAccount:
    """One login on one server."""

    host: str
    port: int
    security: Security
    username: str
    password: Callable[[], str]  # called before each login, so that a rotated secret works without a restart
    ca_file: str | None = None  # PEM; the system's authorities when None
    allow_plaintext: bool = False  # permits security "none" to a host that is not this machine
    idle: bool = True  # use IDLE where the server offers it
    poll_interval: float = 60.0  # seconds; a poll happens at least this often, IDLE or not
    max_message_size_bytes: int = 50 * MIB  # of larger mail only the header is fetched

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine, judged without asking a resolver."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """One folder to watch. `name` is as people write it; None with `junk` means: find the server's Junk folder."""

    name: str | None
    junk: bool = False


@dataclass(frozen=True, slots=True)
class MarkPlan:
    """What the server is told about a message of one mark: flags, and a folder to move it to (None: stays)."""

    flags: tuple[str, ...] = ("\\Seen",)
    folder: str | None = None

    def __post_init__(self) -> None:
        for flag in self.flags:
            if not _FLAG.fullmatch(flag):
                raise ValueError(f"not an IMAP flag: {flag!r}")


DEFAULT_MARKS: dict[Mark, MarkPlan] = {
    Mark.PROCESSED: MarkPlan(),
    Mark.REDIRECTED: MarkPlan(),
    Mark.SPAM: MarkPlan(),
    Mark.HELD: MarkPlan(flags=("\\Flagged",)),
}


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long we wait for a server, and between attempts; all in seconds. Tests shorten them."""

    connect: float = 30.0  # TCP and TLS together, and again for the greeting
    login: float = 60.0  # Dovecot and others delay answers after failed logins
    silence: float = 60.0  # no byte at all while a command runs: the connection is half-open
    command: float = 900.0  # any one command, even if bytes trickle in
    idle: float = 300.0  # longest IDLE; middleboxes forget silent connections soon after
    idle_done: float = 30.0  # from DONE to its answer
    logout: float = 2.0
    full_comparison: float = 900.0  # all UIDs against what is on file, at least this often
    folder_search: float = 900.0  # a folder that was not there is looked for again
    quick_look: float = 2.0  # during a long pass, how often we look for mail newer than the pass
    marker_linger: float = 60.0  # the marker keeps its connection this long without work
    marker_pause: float = 0.1  # lets jobs gather, so that one STORE serves many, and answers go first
    retry_first: float = 1.0
    retry_limit: float = 300.0
    refused_first: float = 60.0  # after a refused login; hammering locks accounts
    refused_limit: float = 1800.0
    unread_first: float = 30.0  # a message the server does not hand out, from the second failure on
    unread_limit: float = 900.0
