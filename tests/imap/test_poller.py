"""Watching folders of a real Dovecot."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailbox_service.adapters.imap import Deadlines, FolderPlan, ImapAccount, MarkPlan
from mailbox_service.adapters.imap.fetching import BATCH_MESSAGES
from mailbox_service.adapters.imap.session import FolderMissing
from mailbox_service.errors import AuthenticationError, TemporaryError
from mailbox_service.services.ports import Mark, RawMessage
from tests.imap.door import MemoryDoor
from tests.imap.setting import INBOX, QUICK, account, mail, running, source
from tests.peers.dovecot import Dovecot

JUNK = FolderPlan(None, junk=True)


@pytest.fixture
def user(dovecot: Dovecot) -> str:
    return dovecot.add_user()


@pytest.fixture
async def door() -> MemoryDoor:
    return MemoryDoor()


def bodies(door: MemoryDoor) -> list[bytes]:
    return [raw.data for raw in door.stored]


async def test_every_message_is_handed_in_byte_for_byte(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    odd = [
        mail("a* b* c ** (urgent", "* 1 FETCH (UID 7 BODY[] {3}\r\n* BYE\r\n+ go\r\nA1 OK done :-( ((("),
        b"Subject: eight bit \xff\xfe\x00\r\n\r\nno newline at the end \xe4",
        b"\r\n\r\n",
        mail("long", "x" * 200_000),
        mail("braces {5}", "{10}"),
    ]
    # NUL cannot be appended (RFC 3501 §9, CHAR8), but a mail store may hold it.
    dovecot.fill(user, [data.replace(b"\r\n", b"\n") for data in odd])
    await source(account(dovecot, user), door).pass_once()
    kept = [one.data for one in dovecot.messages(user)]
    assert bodies(door) == kept
    assert kept[0] == odd[0]


async def test_taking_mail_changes_nothing_on_the_server(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.append(user, mail("one"))
    before = dovecot.messages(user)
    await source(account(dovecot, user), door).pass_once()
    assert dovecot.messages(user) == before
    assert "\\Seen" not in before[0].flags


async def test_what_another_client_has_read_is_taken_all_the_same(
    dovecot: Dovecot, user: str, door: MemoryDoor
) -> None:
    dovecot.append(user, mail("one"))
    with dovecot.imap(user) as imap:
        imap.select()
        imap.store("1", "+FLAGS", "(\\Seen \\Answered)")
    await source(account(dovecot, user), door).pass_once()
    assert bodies(door) == [mail("one")]


async def test_a_second_pass_finds_nothing_new(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.append(user, mail("one"), mail("two"))
    for _ in range(2):
        await source(account(dovecot, user), door).pass_once()
    assert len(door.stored) == 2
    assert door.caught == [1, 1]


async def test_thousands_of_messages_come_newest_first(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.fill(user, [mail(f"number {n}").replace(b"\r\n", b"\n") for n in range(2500)])
    await source(account(dovecot, user), door).pass_once()
    uids = [raw.origin.uid for raw in door.stored]
    assert sorted(uid for _, uid in door.mail) == list(range(1, 2501))
    assert uids[:BATCH_MESSAGES] == list(range(2501 - BATCH_MESSAGES, 2501))
    rest = 2500 % BATCH_MESSAGES
    assert uids[-rest:] == list(range(1, rest + 1))


async def test_mail_older_than_the_first_contact_is_quiet(dovecot: Dovecot, user: str) -> None:
    door = MemoryDoor(contact_at=datetime(2026, 11, 1, tzinfo=UTC))
    dovecot.append(user, mail("before"))
    await source(account(dovecot, user), door).pass_once()
    dovecot.append(user, mail("after"), date='"20-Nov-2026 10:00:00 +0100"')
    dovecot.append(user, mail("old, but copied in now"), date='"01-Jan-2020 10:00:00 +0000"')
    await source(account(dovecot, user), door).pass_once()
    assert {raw.data: raw.origin.quiet for raw in door.stored} == {
        mail("before"): True,
        mail("after"): False,
        mail("old, but copied in now"): True,
    }
    after = next(raw for raw in door.stored if raw.data == mail("after"))
    assert after.received_at == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


async def test_junk_is_watched_where_it_exists(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user), door, folders=[*INBOX, JUNK])
    await one.pass_once()
    assert not one.watchers[1].status.found
    dovecot.create(user, "Junk")
    dovecot.append(user, mail("spam or report"), folder="Junk")
    await one.pass_once()
    assert [(raw.data, raw.origin.junk) for raw in door.stored] == [(mail("spam or report"), True)]


async def test_a_junk_folder_made_later_is_found(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user), door, folders=[JUNK])
    async with running(one.watchers[0].watch()):
        dovecot.create(user, "Spam")
        dovecot.append(user, mail("late"), folder="Spam")
        await door.until(lambda: bool(door.stored))


async def test_a_folder_that_is_not_there_is_an_error(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    with pytest.raises(FolderMissing):
        await source(account(dovecot, user), door, folders=[FolderPlan("Reports")]).pass_once()


@pytest.mark.parametrize(("name", "wire"), [("Größe & Co", "Gr&APYA3w-e &- Co"), ("Reports 2026", "Reports 2026")])
async def test_folders_with_odd_names_are_watched(
    dovecot: Dovecot, user: str, door: MemoryDoor, name: str, wire: str
) -> None:
    dovecot.create(user, wire)
    dovecot.append(user, mail("here"), folder=wire)
    await source(account(dovecot, user), door, folders=[FolderPlan(name)]).pass_once()
    assert bodies(door) == [mail("here")]
    assert [key[1] for key in door.folders] == [name]


async def test_new_mail_is_told_by_idle(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user, poll_interval=600), door)
    async with running(one.watchers[0].watch()):
        await door.until(lambda: bool(door.caught))
        for number in range(3):
            dovecot.deliver(user, mail(f"new {number}"))
            await door.until(lambda expected=number + 1: len(door.stored) == expected)  # type: ignore[misc]
        assert one.watchers[0].status.connected
        assert one.watchers[0].status.last_poll_at is not None


async def test_without_idle_new_mail_is_found_by_polling(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user, poll_interval=0.05, idle=False), door)
    async with running(one.watchers[0].watch()):
        await door.until(lambda: bool(door.caught))
        dovecot.deliver(user, mail("new"))
        await door.until(lambda: len(door.stored) == 1)


async def test_fresh_mail_overtakes_a_backlog(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.fill(user, [mail(f"old {n}").replace(b"\r\n", b"\n") for n in range(600)])
    delivered = False

    async def deliver_once(batch: object) -> None:
        nonlocal delivered
        if not delivered:
            delivered = True
            await asyncio.to_thread(dovecot.append, user, mail("fresh"))

    door.before_accept = deliver_once
    await source(account(dovecot, user), door).pass_once()
    assert len(door.stored) == 601
    assert bodies(door).index(mail("fresh")) < 400


async def test_mail_expunged_during_a_pass_holds_up_nothing(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.fill(user, [mail(f"old {n}").replace(b"\r\n", b"\n") for n in range(500)])

    def expunge() -> None:
        with dovecot.imap(user) as imap:
            imap.select()
            imap.uid("STORE", "1:100", "+FLAGS", "(\\Deleted)")
            imap.expunge()
            imap.uid("STORE", "101:200", "+FLAGS", "(\\Seen)")

    async def meanwhile(batch: object) -> None:
        if not door.stored:
            await asyncio.to_thread(expunge)

    door.before_accept = meanwhile
    await source(account(dovecot, user), door).pass_once()
    uids = sorted(uid for _, uid in door.mail)
    assert uids[-400:] == list(range(101, 501))
    assert door.caught, "what is gone is nobody's failure"


async def test_a_changed_uidvalidity_means_everything_anew(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.append(user, mail("one"), mail("two"))
    deadlines = replace(QUICK, full_comparison=0.1)
    one = source(account(dovecot, user, poll_interval=0.1), door, deadlines=deadlines)
    async with running(one.watchers[0].watch()):
        await door.until(lambda: len(door.stored) == 2)
        await asyncio.to_thread(dovecot.doveadm, "mailbox", "update", "-u", user, "--uid-validity", "777", "INBOX")
        await door.until(lambda: len(door.stored) == 4)
        assert [uidvalidity for _, _, uidvalidity in door.folders][-1] == 777
        dovecot.append(user, mail("three"))
        await door.until(lambda: len(door.stored) == 5)


async def test_a_folder_deleted_and_made_again_is_another_folder(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.create(user, "Reports")
    dovecot.append(user, mail("one"), folder="Reports")
    one = source(account(dovecot, user, poll_interval=0.1), door, folders=[FolderPlan("Reports")])
    async with running(one.watchers[0].watch()):
        await door.until(lambda: len(door.stored) == 1)
        with dovecot.imap(user) as imap:
            imap.delete("Reports")
        # Dovecot takes the second as UIDVALIDITY; a folder of the same second would get the next one anyway.
        dovecot.create(user, "Reports")
        dovecot.append(user, mail("two"), folder="Reports")
        await door.until(lambda: mail("two") in bodies(door))
        assert len(door.folders) == 2


async def test_a_killed_server_is_found_again(own_dovecot: Dovecot) -> None:
    door, user = MemoryDoor(), own_dovecot.add_user()
    own_dovecot.append(user, mail("before"))
    one = source(account(own_dovecot, user, poll_interval=600), door)
    async with running(one.watchers[0].watch(), one.marker.mark()):
        await door.until(lambda: bool(door.caught))
        for number in range(2):
            await asyncio.to_thread(own_dovecot.kill)
            await asyncio.to_thread(own_dovecot.start)
            await asyncio.to_thread(own_dovecot.append, user, mail(f"after {number}"))
            await door.until(lambda: mail(f"after {number}") in bodies(door))  # noqa: B023
        await asyncio.to_thread(own_dovecot.stop)
        await asyncio.to_thread(own_dovecot.start)
        await asyncio.to_thread(own_dovecot.append, user, mail("last"))
        await door.until(lambda: mail("last") in bodies(door))
    assert len(door.stored) == len(door.mail) == 4


async def test_a_server_killed_in_the_middle_of_a_backlog_loses_and_doubles_nothing(own_dovecot: Dovecot) -> None:
    door, user = MemoryDoor(), own_dovecot.add_user()
    own_dovecot.fill(user, [mail(f"number {n}").replace(b"\r\n", b"\n") for n in range(1000)])
    kills = 0

    async def kill(batch: object) -> None:
        nonlocal kills
        if len(door.stored) >= 200 * (kills + 1) and kills < 2:
            kills += 1
            await asyncio.to_thread(own_dovecot.kill)
            await asyncio.to_thread(own_dovecot.start)

    door.before_accept = kill
    one = source(account(own_dovecot, user), door)
    async with running(one.watchers[0].watch()):
        await door.until(lambda: len(door.mail) == 1000)
    assert kills == 2
    assert len(door.stored) == 1000


async def test_a_rotated_password_is_read_anew(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    door, secret = MemoryDoor(), tmp_path / "secret"
    to = ImapAccount("127.0.0.1", dovecot.port, "none", user, secret.read_text)
    deadlines = replace(QUICK, refused_first=0.0, refused_limit=0.0)
    one = source(to, door, deadlines=deadlines)
    with pytest.raises(TemporaryError, match="cannot be read"):
        await one.pass_once()
    secret.write_text("old")
    with pytest.raises(AuthenticationError):
        await one.pass_once()
    secret.write_text("pw")
    await one.pass_once()
    assert door.caught


async def test_a_large_message_comes_in_parts_and_whole(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    large = mail("large", "\r\n".join(["0123456789" * 7] * 150_000))
    dovecot.append(user, mail("small"), large)
    one = source(replace(account(dovecot, user), max_message_size_bytes=len(large)), door)
    await one.pass_once()
    assert sorted(bodies(door), key=len) == [mail("small"), large]


async def test_of_a_message_too_large_only_the_header_is_taken(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    large = mail("large", "x" * 5000)
    dovecot.append(user, large, mail("small"))
    await source(replace(account(dovecot, user), max_message_size_bytes=4000), door).pass_once()
    by_size = {raw.full_size_bytes: raw.data for raw in door.stored}
    assert by_size == {len(large): b"From: a@example.org\r\nSubject: large\r\n\r\n", None: mail("small")}
    assert door.caught


async def test_a_full_database_leaves_the_mail_where_it_is(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.append(user, mail("one"))
    failures = 3

    async def fail(batch: list[RawMessage]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise TemporaryError("database away")

    door.before_accept = fail  # type: ignore[assignment]
    one = source(account(dovecot, user), door)
    with pytest.raises(TemporaryError, match="database away"):
        await one.pass_once()
    async with running(one.watchers[0].watch()):
        await door.until(lambda: bool(door.caught))
    assert bodies(door) == [mail("one")]


async def test_a_fault_of_ours_does_not_end_the_watching(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.append(user, mail("one"))
    faults = [ValueError("bug"), KeyError("bug")]

    async def fail(batch: object) -> None:
        if faults:
            raise faults.pop()

    door.before_accept = fail
    async with running(source(account(dovecot, user), door).watchers[0].watch()):
        await door.until(lambda: bool(door.stored))


async def test_several_watchers_and_a_marker_share_one_account(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    for name in ("Junk", "A", "B"):
        dovecot.create(user, name)
    plans = [*INBOX, JUNK, FolderPlan("A"), FolderPlan("B")]
    one = source(account(dovecot, user), door, folders=plans)
    async with running(*(watcher.watch() for watcher in one.watchers), one.marker.mark()):
        await door.until(lambda: len(door.caught) == 4)
        for folder in ("INBOX", "Junk", "A", "B"):
            dovecot.append(user, mail(folder), folder=folder)
        await door.until(lambda: len(door.stored) == 4)
    found = {
        (state.name, raw.data)
        for raw in door.stored
        for state in door.folders.values()
        if state.id == raw.origin.folder_id
    }
    assert found == {(folder, mail(folder)) for folder in ("INBOX", "Junk", "A", "B")}


async def test_two_daemons_on_one_mailbox_agree(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.fill(user, [mail(f"number {n}").replace(b"\r\n", b"\n") for n in range(300)])
    sources = [source(account(dovecot, user), door) for _ in range(2)]
    await asyncio.gather(*(one.pass_once() for one in sources))
    assert len(door.mail) == 300


async def test_the_doctor_reports_what_is_there(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    dovecot.create(user, "Done")
    dovecot.append(user, mail("one"))
    marks = {
        Mark.PROCESSED: MarkPlan(folder="Done"),
        Mark.REDIRECTED: MarkPlan(folder="Größe"),
        Mark.HELD: MarkPlan(folder="INBOX"),
        Mark.SPAM: MarkPlan(),
    }
    report = await source(account(dovecot, user), door, folders=[*INBOX, JUNK], marks=marks).probe()
    inbox, junk = report.folders
    assert (inbox.name, inbox.found, inbox.messages) == ("INBOX", True, 1)
    assert inbox.uidvalidity
    assert (junk.name, junk.found) == (None, False)
    assert {(t.name, t.exists, t.watched) for t in report.targets} == {
        ("Done", True, False),
        ("Größe", False, False),
        ("INBOX", True, True),
    }
    assert report.idle
    assert report.can_move
    assert door.folders == {}, "looking leaves no trace"


def test_the_default_deadlines_keep_what_is_promised() -> None:
    usual = Deadlines()
    assert usual.idle <= 300
    assert usual.idle_done <= 30
    assert usual.full_comparison <= 900
    assert (usual.refused_first, usual.refused_limit) == (60, 1800)
    assert (usual.retry_first, usual.retry_limit) == (1, 300)
