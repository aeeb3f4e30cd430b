"""What every verb starts from: the configuration, and the database or the whole service behind it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailbox_service.errors import ConfigurationError, NotFound, PermanentError

if TYPE_CHECKING:
    from mailbox_service.adapters.database.storage import Database
    from mailbox_service.adapters.database.transaction import SqlTransaction
    from mailbox_service.app import Service
    from mailbox_service.config import Config

CONFIG_VARIABLE = "MAILBOX_SERVICE_CONFIG"
CONFIG_PLACES = (Path("config.yaml"), Path("/etc/mailbox-service/config.yaml"))

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text for people.")]
OfMailbox = Annotated[str | None, typer.Option("--mailbox", metavar="NAME", help="Only of this mailbox.")]
HIGHEST_ID = 2**63 - 1  # what both databases hold
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the newest N.")]


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options that stand before the verb."""

    config_file: Path | None = None

    @staticmethod
    def of(context: typer.Context) -> Invocation:
        found = context.find_object(Invocation)
        return found if found is not None else Invocation()

    def config(self, *, mail_files: bool = True) -> Config:
        """The configuration, from where the operator named it or from the first usual place.

        Without `mail_files` nothing is asked for that only the mail servers need: the emergency brake must work
        from a shell that does not have the daemon's secrets.
        Raises: ConfigurationError.
        """
        quiet_logs()
        return self.load(mail_files=mail_files)

    def load(self, *, mail_files: bool = True) -> Config:
        """As `config`, for a process that logs already."""
        from mailbox_service.config import load

        return load(self._file(), os.environ, mail_files=mail_files)

    def _file(self) -> Path:
        named = self.config_file or os.environ.get(CONFIG_VARIABLE)
        if named:
            return Path(named)
        for place in CONFIG_PLACES:
            if place.exists():
                return place
        places = " nor ".join(str(place) for place in CONFIG_PLACES)
        remedy = f"copy config.example.yaml there, or name another file with --config or ${CONFIG_VARIABLE}"
        raise ConfigurationError([f"there is neither {places}; {remedy}"])

    @contextmanager
    def database(self, *, current: bool = True) -> Iterator[tuple[Config, Database]]:
        """Configuration and database as they are, for verbs that read or write a word. Nothing is made or migrated.
        Without `current` its schema may be an older one.

        Raises: ConfigurationError; PermanentError when it is not there or not up to date; TemporaryError.
        """
        from mailbox_service.adapters.database import schema
        from mailbox_service.adapters.database.storage import Database

        config = self.config(mail_files=False)
        file = config.database.sqlite_path
        if file is not None and not file.exists():
            raise PermanentError(f"there is no database {file} yet; run `mailbox-service migrate`")
        database = Database.open(config.database.connection_url())
        try:
            if current and database.run(lambda tx: schema.revision(tx.connection)) != schema.REVISION:
                raise PermanentError("the database is not up to date; run `mailbox-service migrate`")
            yield config, database
        finally:
            database.close()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        """The whole service, not running. Raises: as Service.open."""
        from mailbox_service.app import Service

        service = Service.open(self.config(mail_files=False))
        try:
            yield service
        finally:
            await service.close()


def known_mailbox(tx: SqlTransaction, name: str | None, config: Config) -> None:
    """Raises: NotFound when a mailbox of this name is neither configured nor on file."""
    known: Sequence[str] = sorted({*tx.known_mailboxes(), *(mailbox.name for mailbox in config.mailboxes)})
    if name is not None and name not in known:
        raise NotFound(f"no mailbox {name}; there are: {', '.join(known)}")


def quiet_logs() -> None:
    """Logging of the verbs that talk to people themselves: only what goes wrong."""
    from mailbox_service import logs

    logs.configure("console", "warning")
