"""Watching a server that misbehaves in ways a real one does not on demand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from mailbox_service.adapters.imap import FolderPlan
from mailbox_service.adapters.imap.fetching import ALARM_FAILURES
from mailbox_service.errors import AuthenticationError, TemporaryError
from tests.imap.door import NOW, MemoryDoor
from tests.imap.setting import INBOX, QUICK, account, mail, running, source
from tests.peers.scripted_imap import Line, ScriptedImap

ALL = {uid: mail(f"number {uid}") for uid in range(1, 8)}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedImap]:
    async with ScriptedImap(ALL) as scripted:
        yield scripted


@pytest.fixture
async def door() -> MemoryDoor:
    return MemoryDoor()


def asks_for_body_of(line: Line, uid: int) -> bool:
    return "BODY.PEEK" in line.rest and uid in line.uids()


def stored_uids(door: MemoryDoor) -> list[int]:
    return sorted(uid for _, uid in door.mail)


async def test_a_connection_lost_in_a_fetch_is_made_anew(server: ScriptedImap, door: MemoryDoor) -> None:
    faults = 2

    def lose(line: Line) -> bool:
        nonlocal faults
        if "BODY.PEEK" not in line.rest or not faults:
            return False
        faults -= 1
        line.raw(b"* 1 FETCH (UID 1 BODY[] {%d}\r\nFrom: half a mess" % len(ALL[1]))
        return line.drop()

    server.script["UID FETCH"] = lose
    async with running(source(account(server), door).watchers[0].watch()):
        await door.until(lambda: bool(door.caught))
    assert [door.mail[key].data for key in sorted(door.mail)] == list(ALL.values())


async def test_a_connection_lost_in_idle_is_made_anew(server: ScriptedImap, door: MemoryDoor) -> None:
    async with running(source(account(server, poll_interval=600), door).watchers[0].watch()):
        await server.until(lambda: server.count("IDLE") == 1)
        server.mail[8] = mail("new")
        server.drop_all()
        await door.until(lambda: 8 in stored_uids(door))


async def test_a_bye_in_idle_is_the_end_of_the_connection(server: ScriptedImap, door: MemoryDoor) -> None:
    async with running(source(account(server, poll_interval=600), door).watchers[0].watch()):
        await server.until(lambda: server.count("IDLE") == 1)
        server.mail[8] = mail("new")
        server.tell(b"* BYE Server shutting down")
        await door.until(lambda: 8 in stored_uids(door))


async def test_a_half_open_connection_is_given_up(server: ScriptedImap, door: MemoryDoor) -> None:
    hung = 0

    def hang(line: Line) -> bool:
        nonlocal hung
        hung += 1
        return hung == 1

    server.script["UID SEARCH"] = hang
    deadlines = replace(QUICK, silence=0.2)
    async with running(source(account(server), door, deadlines=deadlines).watchers[0].watch()):
        await door.until(lambda: bool(door.caught))
    assert len(server.connections) == 2


async def test_an_idle_whose_end_is_not_acknowledged_is_given_up(server: ScriptedImap, door: MemoryDoor) -> None:
    server.script["DONE"] = lambda line: line.hang()
    deadlines = replace(QUICK, idle_done=0.1)
    one = source(account(server, poll_interval=0.05), door, deadlines=deadlines)
    async with running(one.watchers[0].watch()):
        await server.until(lambda: len(server.connections) >= 3)


async def test_a_notice_that_comes_with_another_answer_is_not_lost(server: ScriptedImap, door: MemoryDoor) -> None:
    # Dovecot does this: what it says during a SEARCH it does not repeat in IDLE.
    told = False

    def tell(line: Line) -> bool:
        nonlocal told
        if not told:
            told = True
            line.send(b"* SEARCH 1 2 3 4 5 6 7", b"* 8 EXISTS")
            line.server.mail[8] = mail("new")
            return line.ok()
        return False

    server.script["UID SEARCH"] = tell
    one = source(account(server, poll_interval=600), door, deadlines=replace(QUICK, quick_look=600))
    async with running(one.watchers[0].watch()):
        await door.until(lambda: 8 in stored_uids(door))
    assert not server.count("IDLE")


async def test_a_server_that_always_announces_mail_does_not_keep_us_busy(
    server: ScriptedImap, door: MemoryDoor
) -> None:
    def announce(line: Line) -> bool:
        line.send(b"* 7 EXISTS")
        return False

    server.script["UID SEARCH"] = announce
    async with running(source(account(server, poll_interval=600), door).watchers[0].watch()):
        await server.until(lambda: server.count("IDLE") == 1)
    assert server.count("UID SEARCH") < 10


async def test_idle_that_is_refused_becomes_polling(server: ScriptedImap, door: MemoryDoor) -> None:
    server.script["IDLE"] = lambda line: line.no("not today")
    async with running(source(account(server, poll_interval=0.05), door).watchers[0].watch()):
        await door.until(lambda: bool(door.caught))
        server.mail[8] = mail("new")
        await door.until(lambda: 8 in stored_uids(door))
    assert len(server.connections) == 1


SMALL = "UID FETCH 8:* (UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.65536>)"


async def questions(server: ScriptedImap, door: MemoryDoor, *new: bytes) -> list[str]:
    """What the server is asked about messages that come while it is watched."""
    async with running(source(account(server, poll_interval=600), door).watchers[0].watch()):
        await server.until(lambda: server.count("IDLE") == 1)
        asked = len(server.commands)
        server.mail |= dict(enumerate(new, 8))
        server.tell(b"* %d EXISTS" % len(server.mail))
        await door.until(lambda: set(range(8, 8 + len(new))) <= set(stored_uids(door)))
    found = {raw.origin.uid: raw.data for raw in door.stored}
    assert [found[uid] for uid in range(8, 8 + len(new))] == list(new)
    return [line for line in server.commands[asked:] if line.startswith("UID")]


async def test_a_small_new_message_costs_one_question(server: ScriptedImap, door: MemoryDoor) -> None:
    assert await questions(server, door, mail("new")) == [SMALL]


async def test_a_large_new_message_is_asked_for_by_itself(server: ScriptedImap, door: MemoryDoor) -> None:
    large = mail("large", "x" * (1 << 17))
    assert await questions(server, door, mail("new"), large) == [SMALL, "UID FETCH 9 (UID BODY.PEEK[])"]


async def test_of_more_than_a_few_new_messages_the_sizes_come_first(server: ScriptedImap, door: MemoryDoor) -> None:
    many = [mail(f"new {number}") for number in range(5)]
    assert await questions(server, door, *many) == [
        "UID FETCH 8:* (UID RFC822.SIZE INTERNALDATE)",
        "UID FETCH 8:12 (UID BODY.PEEK[])",
    ]


@pytest.mark.parametrize("answer", ["cut", "NIL", "whole without <0>", "empty"])
async def test_a_new_message_that_does_not_come_whole_at_once_is_asked_for_again(
    server: ScriptedImap, door: MemoryDoor, answer: str
) -> None:
    def odd(line: Line) -> bool:
        if ":*" not in line.rest:
            return False
        data = server.mail[8]
        facts = b"RFC822.SIZE %d " % len(data)
        if answer == "NIL":
            line.send(b"* 8 FETCH (UID 8 %b BODY[]<0> NIL)" % facts)
            return line.ok()
        item = b"BODY[]" if answer == "whole without <0>" else b"BODY[]<0>"
        line.server.body(line, 8, 8, {"cut": data[:-3], "empty": b""}.get(answer, data), facts + item)
        return line.ok()

    server.script["UID FETCH"] = odd
    assert await questions(server, door, mail("new")) == [SMALL, "UID FETCH 8 (UID BODY.PEEK[])"]


@pytest.mark.parametrize("hidden", [8, 9, 10])
async def test_a_message_whose_size_is_not_told_is_searched_for(
    server: ScriptedImap, door: MemoryDoor, hidden: int
) -> None:
    # Of three that were announced two are told of: the third must not be passed over until the next full comparison.
    def forget(line: Line) -> bool:
        if ":*" not in line.rest:
            return False
        for number, uid in enumerate(line.uids(), 8):
            if uid != hidden:
                line.send(b"* %d FETCH (UID %d RFC822.SIZE %d)" % (number, uid, len(server.mail[uid])))
        return line.ok()

    server.script["UID FETCH"] = forget
    async with running(source(account(server, poll_interval=600), door).watchers[0].watch()):
        await server.until(lambda: server.count("IDLE") == 1)
        server.mail |= {uid: mail(f"new {uid}") for uid in (8, 9, 10)}
        server.tell(b"* 10 EXISTS")
        await door.until(lambda: {8, 9, 10} <= set(stored_uids(door)))


async def test_a_server_that_refuses_to_tell_sizes_of_what_is_new_is_searched(
    server: ScriptedImap, door: MemoryDoor
) -> None:
    server.script["UID FETCH"] = lambda line: line.bad() if ":*" in line.rest else False
    async with running(source(account(server, poll_interval=600), door).watchers[0].watch()):
        await server.until(lambda: server.count("IDLE") == 1)
        server.mail[8] = mail("new")
        server.tell(b"* 8 EXISTS")
        await door.until(lambda: 8 in stored_uids(door))
    assert len(server.connections) == 1


@pytest.mark.parametrize("poison", range(1, 8))
@pytest.mark.parametrize("answer", ["NO", "BAD", "NIL", "empty", "drop", "nothing", "garbage"])
async def test_a_poison_message_at_any_place_hides_no_other(
    server: ScriptedImap, door: MemoryDoor, poison: int, answer: str
) -> None:
    def refuse(line: Line) -> bool:
        if not asks_for_body_of(line, poison):
            return False
        if answer in ("NO", "BAD"):
            return line.no("[SERVERBUG] corrupt") if answer == "NO" else line.bad()
        if answer == "drop":
            return line.drop()
        for uid in line.uids():
            if uid != poison:
                line.server.body(line, uid, uid, ALL[uid])
        line.send(
            *{
                "NIL": [b"* %d FETCH (UID %d BODY[] NIL)" % (poison, poison)],
                "empty": [b"* %d FETCH (UID %d BODY[] {0}" % (poison, poison), b")"],
                "nothing": [],
                "garbage": [b"* %d FETCH (UID %d BODY[] ((((" % (poison, poison)],
            }[answer]
        )
        return line.ok()

    server.script["UID FETCH"] = refuse
    others = [uid for uid in ALL if uid != poison]
    one = source(account(server, poll_interval=0.01), door)
    with capture_logs() as logs:
        async with running(one.watchers[0].watch()):
            await door.until(lambda: stored_uids(door) == others)
            server.mail[8] = mail("newer")
            await door.until(lambda: 8 in stored_uids(door))
            # A person is told in the end, and the folder then counts as caught up.
            await door.until(lambda: bool(door.caught))
            del server.script["UID FETCH"]
            await door.until(lambda: poison in stored_uids(door))
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert errors
    assert {entry["uid"] for entry in errors} == {poison}
    assert min(entry["attempt"] for entry in errors) == ALARM_FAILURES
    assert [raw.data for raw in door.stored if raw.origin.uid == poison] == [ALL[poison]]


async def test_a_refused_size_is_no_obstacle_to_the_others(server: ScriptedImap, door: MemoryDoor) -> None:
    server.script["UID FETCH"] = lambda line: "SIZE" in line.rest and 4 in line.uids() and line.no()
    one = source(account(server), door)
    await one.pass_once()
    assert stored_uids(door) == [1, 2, 3, 5, 6, 7]
    assert not door.caught


async def test_under_a_new_uidvalidity_no_uid_is_held_against_a_message(server: ScriptedImap, door: MemoryDoor) -> None:
    one = source(account(server), door, deadlines=replace(QUICK, unread_first=600, unread_limit=600))
    server.script["UID FETCH"] = lambda line: asks_for_body_of(line, 4) and line.no()
    for _ in range(3):
        await one.pass_once()
    assert one.watchers[0].status.unread == 1
    del server.script["UID FETCH"]
    await one.pass_once()
    assert len(door.mail) == 6, "the pause is still running"
    server.uidvalidity = 2
    await one.pass_once()
    assert len(door.mail) == 6 + 7


async def test_a_large_message_waits_until_no_other_is_held_in_memory(server: ScriptedImap, door: MemoryDoor) -> None:
    server.mail = {1: mail("large", "x" * (9 << 20)), 2: mail("small")}
    early = []

    async def look(batch: object) -> None:
        if not door.stored:
            with contextlib.suppress(TimeoutError):
                await server.until(lambda: any("BODY.PEEK[]<" in line for line in server.commands), seconds=0.2)
                early.append(server.commands[-1])

    door.before_accept = look
    await source(account(server), door).pass_once()
    assert [raw.data for raw in door.stored] == [server.mail[2], server.mail[1]]
    assert not early


async def test_a_vanishing_message_is_nobodys_failure(server: ScriptedImap, door: MemoryDoor) -> None:
    def vanish(line: Line) -> bool:
        line.server.mail.pop(3 if "SIZE" in line.rest else 5, None)
        return False

    server.script["UID FETCH"] = vanish
    await source(account(server), door).pass_once()
    assert stored_uids(door) == [1, 2, 4, 6, 7]
    assert door.caught


async def test_a_server_that_lies_about_sizes_is_asked_once_more_and_then_believed(
    server: ScriptedImap, door: MemoryDoor
) -> None:
    def lie(line: Line) -> bool:
        if "SIZE" not in line.rest:
            return False
        for uid in line.uids():
            line.send(b"* %d FETCH (UID %d RFC822.SIZE %d)" % (uid, uid, 12))
        return line.ok()

    server.script["UID FETCH"] = lie
    with capture_logs() as logs:
        await source(account(server), door).pass_once()
    assert [door.mail[key].data for key in sorted(door.mail)] == list(ALL.values())
    assert {raw.received_at for raw in door.stored} == {NOW}, "without an INTERNALDATE the clock counts"
    warned = [entry["uid"] for entry in logs if "another size" in entry["event"]]
    assert sorted(warned) == list(ALL)


async def test_a_message_cut_short_once_is_fetched_again(server: ScriptedImap, door: MemoryDoor) -> None:
    cut = 0

    def shorten(line: Line) -> bool:
        nonlocal cut
        if not asks_for_body_of(line, 4) or cut:
            return False
        cut += 1
        for uid in line.uids():
            line.server.body(line, uid, uid, ALL[uid][:-10] if uid == 4 else ALL[uid])
        return line.ok()

    server.script["UID FETCH"] = shorten
    await source(account(server), door).pass_once()
    assert [door.mail[key].data for key in sorted(door.mail)] == list(ALL.values())


async def test_a_literal_shorter_than_announced_ends_the_connection_and_loses_nothing(
    server: ScriptedImap, door: MemoryDoor
) -> None:
    cut = 0

    def shorten(line: Line) -> bool:
        nonlocal cut
        if not asks_for_body_of(line, 4) or cut:
            return False
        cut += 1
        line.raw(b"* 4 FETCH (UID 4 BODY[] {%d}\r\n%b)\r\n" % (len(ALL[4]) + 20, ALL[4]))
        return line.ok()

    server.script["UID FETCH"] = shorten
    deadlines = replace(QUICK, silence=0.2)
    async with running(source(account(server), door, deadlines=deadlines).watchers[0].watch()):
        await door.until(lambda: bool(door.caught))
    assert [door.mail[key].data for key in sorted(door.mail)] == list(ALL.values())


async def test_a_message_far_larger_than_announced_is_fetched_in_parts(server: ScriptedImap, door: MemoryDoor) -> None:
    server.mail[4] = huge = mail("huge", "x" * (12 << 20))

    def lie(line: Line) -> bool:
        if "SIZE" not in line.rest:
            return False
        for uid in line.uids():
            line.send(b"* %d FETCH (UID %d RFC822.SIZE 100)" % (uid, uid))
        return line.ok()

    server.script["UID FETCH"] = lie
    async with running(source(account(server, poll_interval=0.05), door).watchers[0].watch()):
        await door.until(lambda: stored_uids(door) == list(ALL))
    assert next(raw.data for raw in door.stored if raw.origin.uid == 4) == huge


async def test_a_message_that_never_ends_is_kept_as_its_header(server: ScriptedImap, door: MemoryDoor) -> None:
    server.mail[4] = mail("endless", "x" * (12 << 20))
    server.script["UID FETCH"] = lambda line: (
        "SIZE" in line.rest
        and (line.send(*[b"* %d FETCH (UID %d RFC822.SIZE 100)" % (uid, uid) for uid in line.uids()]).ok())
    )
    to = replace(account(server, poll_interval=0.05), max_message_size_bytes=2 << 20)
    async with running(source(to, door).watchers[0].watch()):
        await door.until(lambda: stored_uids(door) == list(ALL))
    kept = next(raw for raw in door.stored if raw.origin.uid == 4)
    assert kept.data == b"From: a@example.org\r\nSubject: endless\r\n\r\n"
    assert kept.full_size_bytes is not None
    assert kept.full_size_bytes > 2 << 20


@pytest.mark.parametrize("answer", ["NO", "BAD"])
async def test_a_refused_folder_is_tried_again(server: ScriptedImap, door: MemoryDoor, answer: str) -> None:
    refusals = 2

    def refuse(line: Line) -> bool:
        nonlocal refusals
        refusals -= 1
        return refusals >= 0 and (line.no() if answer == "NO" else line.bad())

    server.script["EXAMINE"] = refuse
    with pytest.raises(TemporaryError):
        await source(account(server), door).pass_once()
    async with running(source(account(server), door).watchers[0].watch()):
        await door.until(lambda: bool(door.caught))


async def test_a_refused_login_is_not_tried_again_soon_by_anybody(server: ScriptedImap, door: MemoryDoor) -> None:
    server.script["AUTHENTICATE"] = lambda line: line.no("[AUTHENTICATIONFAILED] no")
    alarms = []
    refused = asyncio.Event()

    def alarm(mailbox: str, what: str) -> None:
        alarms.append((mailbox, what))
        refused.set()

    one = source(account(server), door, folders=[*INBOX, FolderPlan(None, junk=True)], alarm=alarm)
    async with running(*(watcher.watch() for watcher in one.watchers), one.marker.mark()):
        await refused.wait()
        with pytest.raises(AuthenticationError):
            await one.probe()
        with pytest.raises(AuthenticationError):
            await one.pass_once()
        assert one.watchers[0].status.login_refused
    assert server.count("AUTHENTICATE") == 1
    assert alarms == [("security", "the IMAP server refuses the login")]


async def test_pauses_after_refused_logins_grow_to_their_limit_and_end_with_success(
    server: ScriptedImap, door: MemoryDoor
) -> None:
    server.script["AUTHENTICATE"] = lambda line: line.no()
    now = 0.0
    one = source(account(server), door, deadlines=replace(QUICK, refused_first=60, refused_limit=1800))
    logins = one._logins
    logins.monotonic = lambda: now
    pauses = []
    for _ in range(8):
        with pytest.raises(AuthenticationError):
            await one.probe()
        pauses.append(logins.closed_seconds())
        now += pauses[-1]
    assert server.count("AUTHENTICATE") == 8
    assert all(60 * 2**n <= pause <= 120 * 2**n for n, pause in enumerate(pauses[:5]))
    assert all(1800 <= pause <= 3600 for pause in pauses[5:])
    del server.script["AUTHENTICATE"]
    await one.probe()
    assert logins.refusals == 0


async def test_pauses_between_connections_grow_and_a_finished_pass_resets_them(
    server: ScriptedImap, door: MemoryDoor
) -> None:
    server.script["EXAMINE"] = lambda line: line.drop()
    one = source(account(server), door)
    async with running(one.watchers[0].watch()):
        await server.until(lambda: server.count("EXAMINE") >= 4)
        assert one.watchers[0].status.failures >= 3
        assert one.watchers[0].status.last_error
        del server.script["EXAMINE"]
        await door.until(lambda: bool(door.caught))
        await server.until(lambda: server.count("IDLE") == 1)
        assert one.watchers[0].status.failures == 0


async def test_cancelling_at_any_command_leaves_nothing_behind(server: ScriptedImap) -> None:
    for stop_after in range(1, 12):
        door = MemoryDoor()
        server.commands.clear()
        async with running(source(account(server, poll_interval=0.01), door).watchers[0].watch()):
            await server.until(lambda count=stop_after: len(server.commands) >= count)  # type: ignore[misc]


async def test_logs_hold_nothing_of_the_mail_or_the_login(server: ScriptedImap, door: MemoryDoor) -> None:
    server.mail = {1: mail("secret-subject", "secret-body")}
    server.script["UID FETCH"] = lambda line: "BODY" in line.rest and line.no("secret-text")
    with capture_logs() as logs:
        await source(account(server, "secret-user"), door).pass_once()
        for script in ("EXAMINE", "AUTHENTICATE"):
            server.script[script] = lambda line: line.no("secret-text")
            with pytest.raises(TemporaryError):
                await source(account(server, "secret-user"), door).pass_once()
            logins = server.count("AUTHENTICATE")
            async with running(source(account(server, "secret-user"), door).watchers[0].watch()):
                await server.until(lambda expected=logins: server.count("AUTHENTICATE") > expected)  # type: ignore[misc]
    assert logs
    assert "secret" not in repr(logs)
    assert "pw" not in repr(logs)
