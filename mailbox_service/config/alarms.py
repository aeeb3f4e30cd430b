"""How the service notices that it is deaf, and whom it tells beside by mail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from mailbox_service.config.password import WithPassword
from mailbox_service.config.section import Section
from mailbox_service.config.values import (
    Duration,
    FilePath,
    Line,
    LoadContext,
    Size,
    Url,
    duration_between,
    is_loopback,
    parse_size,
    problem,
    size_between,
)


class Canary(Section):
    """The mail that a mailbox sends to itself, to notice that mail does not arrive any more."""

    interval: Annotated[Duration, AfterValidator(duration_between("5m", "7d"))] = timedelta(hours=4)
    deadline: Annotated[Duration, AfterValidator(duration_between("1m", "1d"))] = Field(
        default=timedelta(minutes=30), validate_default=True
    )

    @field_validator("deadline")
    @classmethod
    def _before_the_next(cls, deadline: timedelta, info: ValidationInfo) -> timedelta:
        if deadline > info.data.get("interval", deadline):
            raise problem("is longer than interval; make it at most as long")
        return deadline


class Webhook(WithPassword):
    """A web address that is sent alarms; the password of the section is its bearer token."""

    only_for_the_daemon = True
    url: Url | None = None
    ca_file: FilePath | None = None
    deadline: Annotated[Duration, AfterValidator(duration_between("1s", "2m"))] = timedelta(seconds=10)

    @field_validator("url")
    @classmethod
    def _not_in_clear(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise problem("is no web address; write it as https://example.org/hook") from None
        if parts.username is not None or parts.password is not None:
            raise problem("holds a login; remove it, and use password_file or password_env beside url for a token")
        if not host or port == 0 or parts.fragment or not url.isascii():
            raise problem("is no address that can be posted to; write it as https://example.org/hook")
        if parts.scheme != "https" and not is_loopback(host):
            raise problem("must start with https://, since alarms and the token would travel in clear")
        return url


class Alarms(Section):
    """How people are told beside mail that something is broken."""

    command: tuple[Line, ...] | None = None
    command_deadline: Annotated[Duration, AfterValidator(duration_between("1s", "10m"))] = timedelta(seconds=30)
    webhook: Webhook = Webhook()
    disk_free: Annotated[Size, AfterValidator(size_between("0B", "1000GB"))] = parse_size("500MB")

    @field_validator("command")
    @classmethod
    def _runs(cls, command: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if command is None:
            return None
        if not command:
            raise problem("is empty; name a program, or write null")
        program = Path(command[0])
        if not program.is_absolute():
            raise problem("must begin with an absolute path, such as /usr/local/bin/page-me", 0)
        if isinstance(info.context, LoadContext) and info.context.mail_files and not program.is_file():
            raise problem("there is no such file; create it, or correct the path", 0)
        return command
