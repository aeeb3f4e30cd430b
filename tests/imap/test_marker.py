"""Telling the server what became of its messages."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from mailbox_service.adapters.imap import DEFAULT_MARKS, FolderPlan, MarkPlan
from mailbox_service.adapters.imap.session import Session
from mailbox_service.errors import TemporaryError
from mailbox_service.services.ports import Mark, MarkResult
from tests.imap.door import MemoryDoor
from tests.imap.setting import INBOX, QUICK, account, mail, running, source
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_imap import Line, ScriptedImap

MOVING = {
    Mark.PROCESSED: MarkPlan(("\\Seen", "$Processed"), "Done"),
    Mark.REDIRECTED: MarkPlan(("\\Seen",), "Größe & Co"),
    Mark.SPAM: MarkPlan(("\\Seen",)),
    Mark.HELD: MarkPlan(("\\Flagged",)),
}


@pytest.fixture
async def door() -> MemoryDoor:
    return MemoryDoor()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedImap]:
    async with ScriptedImap({uid: mail(f"number {uid}") for uid in range(1, 6)}) as scripted:
        yield scripted


@pytest.fixture
def user(dovecot: Dovecot) -> str:
    user = dovecot.add_user()
    dovecot.append(user, *(mail(f"number {uid}") for uid in range(1, 6)))
    return user


def subjects(dovecot: Dovecot, user: str, folder: str = "INBOX") -> list[bytes]:
    return [one.data.split(b"\r\n")[1] for one in dovecot.messages(user, folder)]


async def test_flags_tell_each_mark_and_nothing_is_moved_by_default(
    dovecot: Dovecot, user: str, door: MemoryDoor
) -> None:
    one = source(account(dovecot, user), door)
    await one.pass_once()
    for uid, mark in enumerate((Mark.PROCESSED, Mark.REDIRECTED, Mark.SPAM, Mark.HELD), 1):
        door.want(mark, uid)
    await one.marker.pass_once()
    flags = [set(kept.flags) - {"\\Recent"} for kept in dovecot.messages(user)]
    assert flags == [{"\\Seen"}, {"\\Seen"}, {"\\Seen"}, {"\\Flagged"}, set()]
    assert {result for _, result in door.results} == {MarkResult.DONE}
    assert not door.jobs


async def test_marked_mail_is_moved_to_folders_made_on_demand(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user), door, marks=MOVING)
    await one.pass_once()
    door.want(Mark.PROCESSED, 1, 2)
    door.want(Mark.REDIRECTED, 3)
    door.want(Mark.HELD, 4)
    await one.marker.pass_once()
    assert subjects(dovecot, user) == [b"Subject: number 4", b"Subject: number 5"]
    done = dovecot.messages(user, "Done")
    assert [kept.data for kept in done] == [mail("number 1"), mail("number 2")]
    assert all({"\\Seen", "$Processed"} <= kept.flags for kept in done)
    assert subjects(dovecot, user, "Gr&APYA3w-e &- Co") == [b"Subject: number 3"]
    assert {result for _, result in door.results} == {MarkResult.DONE}


async def test_marking_again_after_a_crash_finds_the_message_gone(
    dovecot: Dovecot, user: str, door: MemoryDoor
) -> None:
    one = source(account(dovecot, user), door, marks=MOVING)
    await one.pass_once()
    for _ in range(2):
        door.want(Mark.PROCESSED, 1)
        await one.marker.pass_once()
    assert [result for _, result in door.results] == [MarkResult.DONE, MarkResult.GONE]
    assert len(dovecot.messages(user, "Done")) == 1


@pytest.mark.parametrize("missing", ["", "MOVE"])
async def test_who_was_asleep_for_longer_than_its_claim_moves_nothing(
    dovecot: Dovecot, user: str, door: MemoryDoor, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Another daemon has the claim by then, and two that move one message at once make two of it."""
    without(monkeypatch, missing)
    one = source(account(dovecot, user), door, marks=MOVING)
    await one.pass_once()
    door.want(Mark.PROCESSED, 1)
    door.late = True
    await one.marker.pass_once()
    assert len(subjects(dovecot, user)) == 5 and not dovecot.messages(user, "Done")
    assert not door.results  # nothing is said of what is no longer ours


async def test_what_somebody_else_removed_is_gone(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user), door)
    await one.pass_once()
    with dovecot.imap(user) as imap:
        imap.select()
        imap.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
        imap.expunge()
    door.want(Mark.PROCESSED, 1, 2)
    await one.marker.pass_once()
    assert (door.result_of(1), door.result_of(2)) == (MarkResult.DONE, MarkResult.GONE)


async def test_mail_marked_deleted_by_others_is_never_removed(
    dovecot: Dovecot, user: str, door: MemoryDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "MOVE")
    one = source(account(dovecot, user), door, marks=MOVING)
    await one.pass_once()
    with dovecot.imap(user) as imap:
        imap.select()
        imap.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
    door.want(Mark.PROCESSED, 1, 3)
    await one.marker.pass_once()
    assert [kept.uid for kept in dovecot.messages(user)] == [2, 4, 5]
    assert subjects(dovecot, user, "Done") == [b"Subject: number 1", b"Subject: number 3"]
    assert {result for _, result in door.results} == {MarkResult.DONE}


async def test_with_neither_move_nor_uidplus_mail_is_flagged_and_stays(
    dovecot: Dovecot, user: str, door: MemoryDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "MOVE", "UIDPLUS")
    one = source(account(dovecot, user), door, marks=MOVING)
    await one.pass_once()
    door.want(Mark.PROCESSED, 1)
    await one.marker.pass_once()
    kept = dovecot.messages(user)
    assert len(kept) == 5
    assert "\\Seen" in kept[0].flags
    assert not dovecot.messages(user, "Done")


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Look at the server as if it did not offer `names`."""
    monkeypatch.setattr(Session, "can", lambda session, name: name not in names and name in session.capabilities)


@pytest.fixture(scope="module")
def below_inbox() -> Iterator[Dovecot]:
    """A server that keeps every folder below INBOX, as Courier does."""
    server = Dovecot(prefix="INBOX.", separator=".")
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize(("name", "wire"), [("Done", "INBOX.Done"), ("Security/Done", "INBOX.Security.Done")])
async def test_folders_are_made_below_the_personal_namespace(
    below_inbox: Dovecot, door: MemoryDoor, name: str, wire: str
) -> None:
    user = below_inbox.add_user()
    below_inbox.append(user, mail("one"), mail("two"))
    one = source(account(below_inbox, user), door, marks={Mark.PROCESSED: MarkPlan(folder=name)})
    await one.pass_once()
    for uid in (1, 2):
        door.want(Mark.PROCESSED, uid)
        await one.marker.pass_once()
    assert len(below_inbox.messages(user, wire)) == 2
    assert below_inbox.messages(user) == []
    (target,) = (await one.probe()).targets
    assert target.exists


async def test_a_target_that_is_watched_gets_nothing_moved_into(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    # Junk is not there yet: made by us, it would be found by the one who looks for it.
    marks = {Mark.SPAM: MarkPlan(folder="Inbox"), Mark.HELD: MarkPlan(folder="Spam")}
    one = source(account(dovecot, user), door, folders=[*INBOX, FolderPlan(None, junk=True)], marks=marks)
    await one.pass_once()
    door.want(Mark.SPAM, 1)
    door.want(Mark.HELD, 2)
    await one.marker.pass_once()
    assert [kept.uid for kept in dovecot.messages(user)] == [1, 2, 3, 4, 5]
    assert door.result_of(1) is MarkResult.DONE


async def test_a_target_that_is_watched_under_its_full_name_gets_nothing_moved_into(
    below_inbox: Dovecot, door: MemoryDoor
) -> None:
    user = below_inbox.add_user()
    below_inbox.append(user, mail("one"))
    below_inbox.create(user, "INBOX.Junk")
    marks = {Mark.SPAM: MarkPlan(folder="Junk")}
    plans = [*INBOX, FolderPlan(None, junk=True)]
    one = source(account(below_inbox, user), door, folders=plans, marks=marks)
    await one.pass_once()
    door.want(Mark.SPAM, 1)
    await one.marker.pass_once()
    assert len(below_inbox.messages(user)) == 1
    assert (await one.probe()).targets[0].watched


async def test_a_target_removed_meanwhile_is_made_again(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user), door, marks=MOVING)
    await one.pass_once()
    door.want(Mark.PROCESSED, 1)
    await one.marker.pass_once()
    with dovecot.imap(user) as imap:
        imap.delete("Done")
    door.want(Mark.PROCESSED, 2)
    await one.marker.pass_once()
    assert subjects(dovecot, user, "Done") == [b"Subject: number 2"]


async def test_hundreds_of_marks_are_worked_off_in_few_commands(server: ScriptedImap, door: MemoryDoor) -> None:
    server.mail = dict.fromkeys(range(1, 301), b"x")
    one = source(account(server), door)
    await one.pass_once()
    door.want(Mark.PROCESSED, *range(1, 301))
    await one.marker.pass_once()
    assert len(door.results) == 300
    assert server.count("UID STORE") == 3


async def test_another_uidvalidity_means_other_mail_and_nothing_is_marked(
    dovecot: Dovecot, user: str, door: MemoryDoor
) -> None:
    one = source(account(dovecot, user), door, marks=MOVING)
    await one.pass_once()
    await asyncio.to_thread(dovecot.doveadm, "mailbox", "update", "-u", user, "--uid-validity", "777", "INBOX")
    door.want(Mark.PROCESSED, 1)
    await one.marker.pass_once()
    assert len(dovecot.messages(user)) == 5
    assert not door.results
    assert len(door.jobs) == 1


async def test_marks_are_set_as_they_come(dovecot: Dovecot, user: str, door: MemoryDoor) -> None:
    one = source(account(dovecot, user, poll_interval=600), door, marks=MOVING)
    async with running(one.watchers[0].watch(), one.marker.mark()):
        await door.until(lambda: bool(door.caught))
        door.want(Mark.PROCESSED, 1)
        await door.until(lambda: len(door.results) == 1)
        door.want(Mark.REDIRECTED, 2)
        await door.until(lambda: len(door.results) == 2)
    assert len(dovecot.messages(user)) == 3
    assert len(door.stored) == 5


async def test_the_marker_keeps_no_connection_without_work(server: ScriptedImap, door: MemoryDoor) -> None:
    one = source(account(server, poll_interval=600), door)
    await one.pass_once()
    async with running(one.marker.mark()):
        door.want(Mark.PROCESSED, 1)
        await server.until(lambda: server.count("LOGOUT") == 2)
        door.want(Mark.PROCESSED, 2)
        await door.until(lambda: len(door.results) == 2)
    assert len(server.connections) == 3


@pytest.mark.parametrize("command", ["UID STORE", "UID MOVE", "UID SEARCH", "SELECT"])
async def test_a_connection_lost_on_the_way_leaves_the_job_to_be_tried_again(
    server: ScriptedImap, door: MemoryDoor, command: str
) -> None:
    one = source(account(server, poll_interval=0.05), door, marks=MOVING)
    await one.pass_once()
    drops = 2

    def drop(line: Line) -> bool:
        nonlocal drops
        drops -= 1
        return drops >= 0 and line.drop()

    server.script[command] = drop
    door.want(Mark.PROCESSED, 1, 2)
    async with running(one.marker.mark()):
        while not (door.results and door.result_of(1) is MarkResult.DONE):
            await door.until(lambda: bool(door.results) or not door.jobs)
            if door.result_of(1) is MarkResult.RETRY:
                door.retry()
                door.results.clear()
    assert sorted(server.mail) == [3, 4, 5]


async def test_a_move_whose_answer_is_lost_is_found_done(server: ScriptedImap, door: MemoryDoor) -> None:
    one = source(account(server, poll_interval=0.05), door, marks=MOVING)
    await one.pass_once()

    def move_and_drop(line: Line) -> bool:
        for uid in line.uids():
            del line.server.mail[uid]
        return line.drop()

    server.script["UID MOVE"] = move_and_drop
    door.want(Mark.PROCESSED, 1)
    async with running(one.marker.mark()):
        await door.until(lambda: bool(door.results))
        assert door.result_of(1) is MarkResult.RETRY
        door.retry()
        await door.until(lambda: len(door.results) == 2)
    assert door.result_of(1) is MarkResult.GONE


@pytest.mark.parametrize("command", ["UID STORE", "UID MOVE"])
@pytest.mark.parametrize("answer", ["NO", "BAD", "hang"])
async def test_a_refused_mark_is_tried_again_later(
    server: ScriptedImap, door: MemoryDoor, command: str, answer: str
) -> None:
    one = source(account(server), door, marks=MOVING, deadlines=replace(QUICK, silence=0.2))
    await one.pass_once()
    answers = {"NO": lambda line: line.no(), "BAD": lambda line: line.bad(), "hang": lambda line: line.hang()}
    server.script[command] = answers[answer]
    door.want(Mark.PROCESSED, 1)
    if answer == "hang":
        with pytest.raises(TemporaryError):
            await one.marker.pass_once()
    else:
        await one.marker.pass_once()
    assert door.result_of(1) is MarkResult.RETRY
    assert 1 in server.mail
    del server.script[command]
    door.retry()
    await one.marker.pass_once()
    assert door.result_of(1) is MarkResult.DONE
    assert 1 not in server.mail


async def test_an_ok_to_a_move_that_moved_nothing_is_not_believed(server: ScriptedImap, door: MemoryDoor) -> None:
    one = source(account(server), door, marks=MOVING)
    await one.pass_once()
    server.script["UID MOVE"] = lambda line: line.ok("No messages found")
    door.want(Mark.PROCESSED, 1)
    await one.marker.pass_once()
    assert door.result_of(1) is MarkResult.RETRY


async def test_copies_that_are_not_confirmed_cost_no_original(server: ScriptedImap, door: MemoryDoor) -> None:
    server.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS"
    server.script["UID COPY"] = lambda line: line.send(b"* OK [COPYUID 9 2 2] some").ok()
    one = source(account(server), door, marks=MOVING)
    await one.pass_once()
    door.want(Mark.PROCESSED, 1, 2)
    await one.marker.pass_once()
    assert sorted(server.mail) == [1, 3, 4, 5]
    assert [line for line in server.commands if "Deleted" in line] == ["UID STORE 2 +FLAGS.SILENT (\\Deleted)"]
    assert [line for line in server.commands if "EXPUNGE" in line] == ["UID EXPUNGE 2"]


async def test_a_keyword_the_server_does_not_allow_fails_nothing(server: ScriptedImap, door: MemoryDoor) -> None:
    server.script["UID STORE"] = lambda line: "$" in line.rest and line.no("keywords are not allowed")
    one = source(account(server), door, marks={Mark.PROCESSED: MarkPlan(("\\Seen", "$Processed"))})
    await one.pass_once()
    door.want(Mark.PROCESSED, 1)
    await one.marker.pass_once()
    assert door.result_of(1) is MarkResult.DONE
    assert "UID STORE 1 +FLAGS.SILENT (\\Seen)" in server.commands


async def test_nothing_is_ever_closed_or_expunged_at_large(server: ScriptedImap, door: MemoryDoor) -> None:
    for capabilities in ("", " UIDPLUS", " MOVE", " UIDPLUS MOVE"):
        server.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR" + capabilities
        one = source(account(server), door, marks=MOVING)
        await one.pass_once()
        door.want(Mark.PROCESSED, *server.mail)
        await one.marker.pass_once()
    names = {line.split()[0] for line in server.commands}
    assert not names & {"CLOSE", "EXPUNGE", "DELETE", "RENAME"}


@pytest.mark.parametrize("flag", ["", "two words", "(", "a\r\nb", '"', "\\", "schön", "a)", "%"])
def test_a_flag_that_is_no_flag_is_refused(flag: str) -> None:
    with pytest.raises(ValueError, match="not an IMAP flag"):
        MarkPlan((flag,))


def test_every_mark_has_a_plan_that_moves_nothing() -> None:
    assert set(DEFAULT_MARKS) == set(Mark)
    assert {plan.folder for plan in DEFAULT_MARKS.values()} == {None}
