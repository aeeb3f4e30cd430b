"""Sections with a password, which never stands in the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import PrivateAttr, ValidationInfo, field_validator

from mailbox_service.config.secret import Secret
from mailbox_service.config.section import Section
from mailbox_service.config.values import AnyPath, LoadContext, problem


class WithPassword(Section):
    """A section with at most one password, read anew on each use so that it can be changed at any time."""

    only_for_the_daemon: ClassVar[bool] = False  # verbs that do not talk to servers need not be able to read it
    password_file: AnyPath | None = None
    password_env: str | None = None
    _secret: Secret | None = PrivateAttr(default=None)

    @field_validator("password_env")
    @classmethod
    def _one_password(cls, env: str | None, info: ValidationInfo) -> str | None:
        if env is not None and info.data.get("password_file") is not None:
            raise problem("is given beside password_file; keep one of the two")
        cls._try(Secret.of(None, env, info.context), info)
        return env

    @field_validator("password_file")
    @classmethod
    def _readable(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        cls._try(Secret.of(file, None, info.context), info)
        return file

    @classmethod
    def _try(cls, secret: Secret | None, info: ValidationInfo) -> None:
        if cls.only_for_the_daemon and isinstance(info.context, LoadContext) and not info.context.mail_files:
            return
        if secret is not None and (text := secret.problem()):
            raise problem(text)

    def model_post_init(self, context: Any) -> None:
        # Assigned past frozen: the environment it may hold is no part of the value, nor of its repr.
        self._secret = Secret.of(self.password_file, self.password_env, context)

    def secret(self) -> str | None:
        """The password as it is now; None where none is configured.

        Raises: ConfigurationError when it cannot be had any more.
        """
        return self._secret.read() if self._secret else None
