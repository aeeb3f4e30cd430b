"""What a real Dovecot holds against what is on file."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.imap import FolderPlan, ImapSource, MarkPlan
from mailbox_service.services import reconciliation
from mailbox_service.services.ports import Mark, Transaction
from mailbox_service.services.reconciliation import FolderComparison, Kind, Reconciliation, Record
from tests.alarms.bench import DAY, HOUR, TEN, Watch
from tests.database.setting import NOW
from tests.imap.setting import QUICK, account
from tests.peers.dovecot import Dovecot
from tests.services.bench import changed, letter

AN_HOUR_OLD = '"23-Nov-2026 11:00:00 +0000"'  # an hour before NOW
LONG_AGO = '"01-Jan-2020 11:00:00 +0000"'
MOVED = {mark: MarkPlan(folder="Processed") for mark in Mark}


class Host:
    """A mailbox on the server, and the service that follows it when it is told to."""

    def __init__(self, dovecot: Dovecot, database: Database) -> None:
        self.dovecot, self.user = dovecot, dovecot.add_user()
        self.use(database)

    def use(self, database: Database) -> None:
        self.watch = Watch(database)
        self.source = ImapSource(
            "security",
            account(self.dovecot, self.user),
            self.watch.intake,
            clock=self.watch.clock,
            folders=(FolderPlan("INBOX"), FolderPlan(None, junk=True)),
            marks=MOVED,
            deadlines=QUICK,
        )

    def put(self, *letters: bytes, folder: str = "INBOX", date: str = AN_HOUR_OLD) -> None:
        self.dovecot.append(self.user, *letters, folder=folder, date=date)

    async def take(self, *, mark: bool = True) -> None:
        """Poll, work, and tell the server."""
        polling = asyncio.create_task(self.source.pass_once())
        worker = asyncio.create_task(self.watch.intake.run())
        await polling
        await self.watch.intake.drained()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        if mark:
            await self.source.marker.pass_once()

    async def compare(self, *, take_in: bool = False) -> dict[str, FolderComparison]:
        comparing = Reconciliation(self.watch.database, self.watch.intake, self.watch.clock)
        async with self.source.inventory() as server:
            found = await comparing.compare("security", server, take_in=take_in)
        return {folder.folder: folder for folder in found}

    def change(self, statement: str) -> None:
        self.watch.database.run(lambda tx: tx.connection.execute(sa.text(statement)))


@pytest.fixture
def host(dovecot: Dovecot, embedded: Database) -> Host:
    return Host(dovecot, embedded)


def told(compared: dict[str, FolderComparison]) -> list[tuple[str, int, Kind]]:
    return [(d.folder, d.uid, d.kind) for folder in compared.values() for d in folder.differences]


def letters(first: int, last: int) -> Sequence[bytes]:
    return [letter(f"report {n}", f"r{n}@research.example", body=f"body {n}" * n) for n in range(first, last + 1)]


async def test_mail_that_anybody_moved_or_deleted_is_no_difference(dovecot: Dovecot, database: Database) -> None:
    host = Host(dovecot, database)
    await host.take()  # the first contact
    host.put(*letters(1, 6))
    await host.take(mark=False)
    with dovecot.imap(host.user) as imap:
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "\\Deleted")
        imap.expunge()
    await host.source.marker.pass_once()
    host.put(*letters(7, 8))
    await host.take(mark=False)
    compared = await host.compare()
    assert told(compared) == []
    inbox, processed = compared["INBOX"], compared["Processed"]
    assert (inbox.on_server, inbox.on_file, inbox.gone) == (2, 2, 6)
    assert (processed.on_server, processed.on_file) == (5, 5)
    again = await host.compare()
    assert again["Processed"].on_server == 0  # each message is looked at once


async def test_a_message_without_its_source_row_is_found_and_can_be_taken_in(host: Host) -> None:
    await host.take()
    host.put(*letters(1, 3))
    await host.take(mark=False)
    host.change("delete from source where uid = 2")
    host.put(*letters(4, 4))  # and one that no watcher has seen
    assert told(await host.compare()) == [("INBOX", 2, Kind.NOT_ON_FILE), ("INBOX", 4, Kind.NOT_ON_FILE)]
    compared = await host.compare(take_in=True)
    assert told(compared) == [] and compared["INBOX"].taken_in == 1  # the bytes of the other were there
    assert len(host.watch.messages()) == 4
    assert told(await host.compare()) == []
    await host.take()
    assert len(host.watch.messages()) == 4


async def test_after_a_restore_exactly_what_came_after_the_backup_is_found_and_taken_in_quietly(
    host: Host, sqlite_url: str
) -> None:
    await host.take()
    host.put(*letters(1, 2))
    await host.take()
    host.watch.database.close()
    file = sqlite_url.removeprefix("sqlite:///")
    shutil.copy(file, f"{file}.backup")
    host.use(Database.open(sqlite_url))
    host.put(*letters(3, 5))
    await host.take()
    host.watch.database.close()
    restored = Database.open(f"sqlite:///{file}.backup")
    host.use(restored)
    await host.watch.deliver()
    before = len(host.watch.office.taken)
    assert told(await host.compare()) == [("Processed", uid, Kind.NOT_ON_FILE) for uid in (3, 4, 5)]
    compared = await host.compare(take_in=True)
    assert told(compared) == [] and compared["Processed"].taken_in == 3
    await host.watch.deliver()
    assert host.watch.dispositions() == ["case"] * 5
    assert len(host.watch.office.taken) == before, "nobody is written to again"
    assert told(await host.compare()) == []
    restored.close()


async def test_mail_that_was_in_a_target_folder_before_us_is_none_of_ours(host: Host) -> None:
    host.dovecot.create(host.user, "Processed")
    host.put(*letters(1, 3), folder="Processed", date=LONG_AGO)
    await host.take()
    compared = await host.compare()
    assert told(compared) == [] and compared["Processed"].older == 3


async def test_a_new_uidvalidity_of_both_folders_is_no_difference(own_dovecot: Dovecot, embedded: Database) -> None:
    host = Host(own_dovecot, embedded)
    await host.take()
    host.put(*letters(1, 2))
    await host.take()
    host.put(*letters(3, 4))
    await host.take(mark=False)
    assert told(await host.compare()) == []
    own_dovecot.stop()
    maildir = own_dovecot.folder / "mail" / host.user / "Maildir"
    for path in maildir.rglob("dovecot*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    own_dovecot.start()
    await host.take(mark=False)
    compared = await host.compare()
    assert told(compared) == []
    assert (compared["INBOX"].on_server, compared["Processed"].on_server) == (2, 2)


async def test_damage_on_file_is_found_and_a_wrong_size_alone_is_not(host: Host) -> None:
    await host.take()
    host.put(*letters(1, 4))
    await host.take(mark=False)
    host.change("delete from message_chunk where message_id = (select message_id from source where uid = 1)")
    host.change("update message set size_bytes = 7 where id = (select message_id from source where uid = 2)")
    host.change(
        "update message set size_bytes = 7, sha256 = 'x' where id = (select message_id from source where uid = 3)"
    )
    compared = await host.compare()
    assert told(compared) == [("INBOX", 1, Kind.NO_BYTES), ("INBOX", 3, Kind.OTHER_BYTES)]
    assert compared["INBOX"].inexact == 2


async def test_what_has_just_arrived_is_given_time(host: Host) -> None:
    await host.take()
    host.put(letter("report"), date='"23-Nov-2026 11:55:00 +0000"')
    compared = await host.compare()
    assert told(compared) == [] and compared["INBOX"].recent == 1
    host.watch.turn(HOUR)
    assert told(await host.compare()) == [("INBOX", 1, Kind.NOT_ON_FILE)]


async def test_a_message_too_large_to_fetch_is_known_by_its_header_and_size(host: Host) -> None:
    await host.take()
    host.source._logins.account = account(host.dovecot, host.user)
    object.__setattr__(host.source._logins.account, "max_message_size_bytes", 5_000)
    host.put(letter("report", body="x" * 20_000))
    await host.take()
    assert told(await host.compare()) == []


# --- once a day --------------------------------------------------------------------------------------------


async def test_a_difference_is_an_alarm_when_two_comparisons_in_a_row_have_found_it(embedded: Database) -> None:
    watch = Watch(embedded, mailbox=changed(canary=None))

    def compare(count: int) -> bool:
        def work(tx: Transaction) -> bool:
            record = reconciliation.begin_due(tx, "security", watch.now)
            if record is not None:
                reconciliation.finish(tx, "security", record.after(count, watch.now))
            return record is not None

        return embedded.run(work)

    assert not compare(0)  # the first one after a day
    watch.turn(DAY)
    assert compare(2) and not compare(2)
    assert await watch.look() == []
    watch.turn(HOUR)
    assert compare(0)  # the watchers have fetched them meanwhile
    assert await watch.look() == []
    watch.turn(DAY)
    assert compare(2)
    watch.turn(HOUR)
    assert compare(1)
    assert await watch.look() == ["reconciliation raised"]
    watch.turn(DAY)
    assert compare(0)
    assert await watch.look() == ["reconciliation over"]


async def test_of_several_daemons_one_compares(database: Database) -> None:
    def begin(hours: int) -> list[Record | None]:
        at = NOW + hours * HOUR
        return [database.run(lambda tx: reconciliation.begin_due(tx, "security", at)) for _ in range(3)]

    assert begin(0) == [None, None, None]
    assert [record is not None for record in begin(24)] == [True, False, False]
    # The one that began has died.
    assert [record is not None for record in begin(27)] == [True, False, False]


def test_a_comparison_that_was_not_finished_is_made_again_before_a_day_has_passed() -> None:
    begun = Record(NOW, NOW - DAY)
    assert not begun.due(NOW + TEN) and begun.due(NOW + 2 * HOUR)
    done = begun.after(0, NOW + TEN)
    assert not done.due(NOW + 23 * HOUR) and done.due(NOW + DAY)
    assert begun.after(3, NOW + TEN).due(NOW + timedelta(minutes=30))
