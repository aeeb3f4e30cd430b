"""Finding the Junk folder, and the folders that mail is moved to, whatever a server calls them."""

from __future__ import annotations

from collections.abc import Sequence

from mailbox_service.adapters.imap.answers import Listed
from mailbox_service.adapters.imap.names import decode_mailbox
from mailbox_service.adapters.imap.session import Refusal, Session

# Where no special use is told (RFC 6154), in this order.
_JUNK_NAMES = ("junk", "spam", "junk-e-mail", "junk e-mail", "junk email", "junk mail", "bulk mail", "bulk")


def junk_of(folders: Sequence[Listed]) -> str | None:
    """The Junk folder among `folders`: by its special use, else by its name under the root, INBOX or [Gmail]."""
    for folder in folders:
        if "\\junk" in folder.attributes:
            return decode_mailbox(folder.wire)
    by_name: dict[str, str] = {}
    for folder in folders:
        name = decode_mailbox(folder.wire)
        levels = name.lower().split(folder.delimiter) if folder.delimiter else [name.lower()]
        if len(levels) == 1 or (len(levels) == 2 and levels[0] in ("inbox", "[gmail]", "[google mail]")):
            by_name.setdefault(levels[-1], name)
    return next((by_name[name] for name in _JUNK_NAMES if name in by_name), None)


async def find_junk(session: Session) -> str | None:
    """The server's Junk folder, as people write its name."""
    return junk_of(await session.folders())


def candidates(name: str, prefix: str, delimiter: str) -> list[str]:
    """The names under which folder `name` of the configuration may be on the server, best first.

    As it stands; with `/` as the server's own delimiter; the same below the personal namespace or INBOX, which is
    where servers such as Courier keep everything (RFC 2342).
    """
    bases = [name, name.replace("/", delimiter)] if delimiter else [name]
    roots = ["", prefix, f"INBOX{delimiter}" if delimiter else ""]
    return list(
        dict.fromkeys(
            root + base for root in roots for base in bases if not base.upper().startswith(root.upper() or "\0")
        )
    )


class Targets:
    """The folders mail is moved to, found or made once, under the name the server accepts."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def forget(self, name: str) -> None:
        """The folder is no longer where it was."""
        self._found.pop(name, None)

    async def existing(self, session: Session, name: str) -> str | None:
        """The server's name for folder `name`, or None where there is none yet."""
        for candidate in candidates(name, *await session.personal_namespace()):
            if await session.folder_exists(candidate):
                return candidate
        return None

    async def find_or_make(self, session: Session, name: str) -> str:
        """The server's name for folder `name`, which is made where it is not there yet.

        Raises: Refusal when the server accepts none of the names.
        """
        if name in self._found:
            return self._found[name]
        target = await self.existing(session, name)
        if target is None:
            target = await self._make(session, candidates(name, *await session.personal_namespace()))
        self._found[name] = target
        return target

    async def _make(self, session: Session, names: Sequence[str]) -> str:
        refusal = Refusal("CREATE", "NO", "")
        for name in names:
            try:
                await session.create(name)
            except Refusal as error:
                refusal = error
            else:
                return name
        raise refusal
