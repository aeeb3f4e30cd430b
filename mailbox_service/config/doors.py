"""The section `intake`: ways in for mail servers that push."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from mailbox_service.config.section import Section
from mailbox_service.config.values import AnyPath, endpoint, is_host, is_loopback, problem


class LmtpDoor(Section):
    """A unix socket on which a mail server of this machine pushes mail."""

    socket: AnyPath = Field(default=Path("mailbox.lmtp"), validate_default=True)
    mode: str = "0660"

    @field_validator("socket")
    @classmethod
    def _fits(cls, path: Path) -> Path:
        # struct sockaddr_un has 108 bytes, the last of them NUL (unix(7)).
        if len(os.fsencode(path)) > 107:
            raise problem("is longer than the 107 bytes a socket's path may have; put it into another folder")
        return path

    @field_validator("mode", mode="before")
    @classmethod
    def _octal(cls, mode: object) -> object:
        if not isinstance(mode, str) or not re.fullmatch(r"0?6[0-7]{2}", mode, re.ASCII):
            raise problem('is no mode of a socket; write it in quotes, for example "0660" or "0600"')
        return mode

    @property
    def mode_bits(self) -> int:
        return int(self.mode, 8)

    @property
    def open_to_everyone(self) -> bool:
        """Whether every user of this machine may push mail."""
        return bool(self.mode_bits & 0o002)


class SmtpDoor(Section):
    """A TCP port on which a mail server pushes mail."""

    listen: str = "127.0.0.1:2525"
    allow_remote: bool = Field(default=False, validate_default=True)

    @field_validator("listen")
    @classmethod
    def _endpoint(cls, listen: str) -> str:
        host, _ = endpoint(listen, "127.0.0.1:2525")
        if not is_host(host):
            raise problem('is no address with a port; write for example "127.0.0.1:2525"')
        return listen

    @field_validator("allow_remote")
    @classmethod
    def _only_on_purpose(cls, allowed: bool, info: ValidationInfo) -> bool:
        listen = info.data.get("listen")
        if listen is not None and not allowed and not is_loopback(endpoint(listen, "")[0]):
            raise problem(
                "listens beyond this machine, and asks nobody for a password: whoever reaches it can forge reports; "
                "listen on 127.0.0.1, or set allow_remote: true behind a firewall that lets only your mail server in",
                about_parent=True,
            )
        return allowed

    @property
    def host(self) -> str:
        """The address without brackets."""
        return endpoint(self.listen, "")[0]

    @property
    def port(self) -> int:
        """The port; 0 takes a free one."""
        return endpoint(self.listen, "")[1]


class Doors(Section):
    """Ways in for mail servers that push, beside the IMAP servers we ask."""

    lmtp: LmtpDoor | None = None
    smtp: SmtpDoor | None = None
