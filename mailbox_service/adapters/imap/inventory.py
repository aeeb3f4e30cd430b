"""What the server holds, looked at with a session of its own: independent of what the watchers believe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from mailbox_service.adapters.imap.fetching import Fetcher, Unread
from mailbox_service.adapters.imap.folders import Targets
from mailbox_service.adapters.imap.logins import Logins
from mailbox_service.adapters.imap.poller import FolderWatcher
from mailbox_service.adapters.imap.session import FolderMissing, Selected, Session
from mailbox_service.services.reconciliation import FetchedMessage, HeldMessage, ServerFolder

# UIDs a FETCH for sizes names.
FACTS_MESSAGES = 500


class ImapInventory:
    """Implements services.reconciliation.Inventory over one open session. Changes nothing: folders are EXAMINEd."""

    def __init__(
        self, session: Session, logins: Logins, watchers: Sequence[FolderWatcher], targets: Iterable[str]
    ) -> None:
        self._session, self._logins, self._watchers, self._targets = session, logins, watchers, tuple(targets)
        self._selected = Selected(0, 1, 0, read_only=True)

    async def folders(self) -> list[ServerFolder]:
        """The watched folders, and those that mail is moved to, as far as they are on the server."""
        found: dict[str, ServerFolder] = {}
        for watcher in self._watchers:
            name = await watcher.name_on(self._session)
            if name is not None:
                await self._add(found, name, watched=True, junk=watcher.junk)
        for target in self._targets:
            name = await Targets().existing(self._session, target)
            if name is not None:
                await self._add(found, name, watched=False, junk=False)
        return list(found.values())

    async def _add(self, found: dict[str, ServerFolder], name: str, *, watched: bool, junk: bool) -> None:
        try:
            selected = await self._session.open(name)
        except FolderMissing:
            return
        found.setdefault(name.lower(), ServerFolder(name, selected.uidvalidity, selected.uidnext, watched, junk))

    async def messages(self, folder: ServerFolder, above: int) -> AsyncIterator[list[HeldMessage]]:
        """All messages with a UID greater than `above`, ascending, in portions. Opens the folder.

        Raises: TemporaryError and its kin; FolderMissing when it has got another UIDVALIDITY meanwhile.
        """
        self._selected = await self._session.open(folder.name)
        if self._selected.uidvalidity != folder.uidvalidity:
            raise FolderMissing("the folder was made anew while it was looked at")
        async for uids in self._session.uids(above + 1, self._selected.uidnext, self._selected.exists):
            for start in range(0, len(uids), FACTS_MESSAGES):
                part = uids[start : start + FACTS_MESSAGES]
                facts, _ = await self._session.facts(part)
                # One that the server tells nothing about is there all the same.
                yield [
                    HeldMessage(uid, facts[uid].size_bytes, facts[uid].received_at)
                    if uid in facts
                    else HeldMessage(uid, None, None)
                    for uid in part
                ]

    async def fetch(self, uids: Sequence[int]) -> AsyncIterator[list[FetchedMessage]]:
        """The messages `uids` (ascending) of the open folder, in batches of bounded size; some may be left out."""
        deadlines, account = self._logins.deadlines, self._logins.account
        fetcher = Fetcher(
            self._session,
            list(uids),
            Unread(deadlines),
            account.max_message_size_bytes,
            self._logins.monotonic,
            before_large=_nothing_to_wait_for,
        )
        while len(fetcher):
            batch = await fetcher.next_batch()
            if batch:
                yield [FetchedMessage(m.uid, m.data, m.facts.received_at, m.full_size_bytes) for m in batch]

    def refusals(self, folder: ServerFolder, uid: int) -> int:
        """How often in a row the server did not hand this message to the watcher of the folder."""
        return next((w.unread_attempts(uid) for w in self._watchers if w.status.folder == folder.name), 0)


async def _nothing_to_wait_for() -> None:
    """Whoever takes a batch is done with it before asking for the next."""
