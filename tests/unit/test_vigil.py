"""What the vigil is told of connections and disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from mailbox_service.adapters.imap import FolderPlan, ImapAccount, ImapSource
from mailbox_service.adapters.lmtp import Listener, UnixDoor
from mailbox_service.adapters.smtp import SmtpAccount, SmtpTransport
from mailbox_service.app.vigil import disk_trouble, senses_of
from mailbox_service.services.ports import RawMessage
from tests.imap.door import NOW, MemoryDoor


class NobodyAtHome:
    async def deliver(self, raw: RawMessage) -> None:
        raise AssertionError


class Ears:
    """An IMAP source that nobody runs, and a monotonic clock."""

    def __init__(self, *folders: FolderPlan) -> None:
        self.steady = 100.0
        account = ImapAccount("127.0.0.1", 1, "none", "u", lambda: "p")
        self.source = ImapSource(
            "security",
            account,
            MemoryDoor(),
            clock=lambda: NOW,
            folders=folders,
            random=Random(1),
            monotonic=lambda: self.steady,
        )
        self.transport = SmtpTransport(SmtpAccount("127.0.0.1", 1, "none"))

    def silent(self) -> dict[str, timedelta]:
        senses = senses_of(self.source, self.transport)
        return {folder.name: folder.silent_for for folder in senses.folders}


def test_a_folder_counts_from_the_last_time_something_was_heard_of_it_however_connected_it_is() -> None:
    ears = Ears(FolderPlan("INBOX"))
    ears.steady += 60
    ears.source.watchers[0].status.connected = True
    assert ears.silent() == {"INBOX": timedelta(minutes=1)}


@pytest.mark.parametrize("found", [True, False])
def test_a_junk_folder_that_the_server_does_not_have_is_not_missed(found: bool) -> None:
    ears = Ears(FolderPlan(None, junk=True))
    ears.source.watchers[0].status.found = found
    assert bool(ears.silent()) is found


def test_a_door_that_is_not_open_is_told_with_its_reason() -> None:
    ears = Ears()
    listener = Listener(UnixDoor(Path("lmtp"), 0o660), NobodyAtHome(), {}, max_message_size_bytes=1, clock=lambda: NOW)
    assert senses_of(None, ears.transport, [listener]).closed_doors == ("lmtp (not yet)",)
    listener.status.last_error = "no such folder"
    assert senses_of(ears.source, ears.transport, [listener]).closed_doors == ("lmtp (no such folder)",)
    listener.status.listening = True
    assert senses_of(None, ears.transport, [listener]).closed_doors == ()


def test_a_disk_with_room_is_none_of_our_business_and_one_without_is(tmp_path: Path) -> None:
    assert disk_trouble(tmp_path, 1) == ""
    assert "MB left" in disk_trouble(tmp_path, 10**18)
    assert "cannot be looked at" in disk_trouble(tmp_path / "gone", 1)
