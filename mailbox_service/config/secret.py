"""Passwords: named in the configuration, kept in a file or the environment, read anew on each use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mailbox_service.config.values import LoadContext
from mailbox_service.errors import ConfigurationError

MAX_SECRET_BYTES = 4096  # OAuth tokens have about 2 kB; more is the wrong file


@dataclass(frozen=True, slots=True)
class Secret:
    """Where one secret is to be had; the value itself is never held."""

    file: Path | None
    env: str | None
    environ: Mapping[str, str] = field(repr=False)

    @staticmethod
    def of(file: Path | None, env: str | None, context: object) -> Secret | None:
        """The secret that two keys of a section name; None when they name none."""
        if file is None and env is None:
            return None
        return Secret(file, env, context.environ if isinstance(context, LoadContext) else {})

    def read(self) -> str:
        """The secret, without one newline at its end.

        Raises: ConfigurationError when it is missing, unreadable, empty or more than one line.
        """
        found = self._fetch()
        if isinstance(found, _Fault):
            raise ConfigurationError([f"{self.file or self.env}: {found.text}"])
        return found

    def problem(self) -> str | None:
        """Why it cannot be read now, with the remedy; None when it can."""
        found = self._fetch()
        return found.text if isinstance(found, _Fault) else None

    def _fetch(self) -> str | _Fault:
        value = self._from_file(self.file) if self.file is not None else self._from_environment(self.env or "")
        if isinstance(value, _Fault):
            return value
        value = value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
        if not value:
            return _Fault("the secret is empty; write the password there")
        if any(character in value for character in "\r\n\0"):
            return _Fault("the secret has more than one line; write the password alone there")
        return value

    def _from_environment(self, name: str) -> str | _Fault:
        return self.environ.get(name) or _Fault("the environment variable is not set or empty; set it")

    @staticmethod
    def _from_file(path: Path) -> str | _Fault:
        try:
            if not path.is_file():
                return _Fault("there is no such file; write the password to it, and chmod 600 it")
            with path.open("rb") as file:
                data = file.read(MAX_SECRET_BYTES + 1)
        except OSError:
            return _Fault("cannot be read; give the file to the service's user (chown), with mode 600")
        if len(data) > MAX_SECRET_BYTES:
            return _Fault("is too large for a password; is it the right file?")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return _Fault("is not UTF-8; is it the right file?")


@dataclass(frozen=True, slots=True)
class _Fault:
    text: str


def readable_by_everyone(path: Path) -> bool:
    """May every user of this machine read the file?"""
    try:
        return bool(path.stat().st_mode & 0o004)
    except OSError:
        return False
