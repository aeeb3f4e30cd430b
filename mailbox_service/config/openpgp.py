"""Where the mailboxes' own OpenPGP keys lie."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from mailbox_service.config.password import WithPassword
from mailbox_service.config.values import AnyPath, problem


class OpenPgp(WithPassword):
    """OpenPGP, where a folder is named."""

    only_for_the_daemon = True
    folder: AnyPath | None = None

    @field_validator("folder")
    @classmethod
    def _in_a_folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.parent.is_dir():
            raise problem("the folder around it does not exist; create it, or correct the path")
        return folder
