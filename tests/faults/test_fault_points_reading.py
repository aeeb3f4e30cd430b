"""The fault points between the IMAP server and the database: 1 to 4, 6, 7, 24 and 25 of docs/faults.md."""

from __future__ import annotations

import asyncio
import imaplib
from dataclasses import replace

import pytest

from tests.faults.failpoints import Fault
from tests.faults.proxy import Harm, Proxy, Spoiling, Way
from tests.faults.scene import MAILS, NewScene, RealMailbox, ScriptedMailbox
from tests.imap.door import MemoryDoor
from tests.imap.setting import QUICK, account, mail, running, source
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_imap import Line, ScriptedImap

sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)


@sqlite
async def test_fault_01_uidvalidity_changes_with_every_look(new_scene: NewScene) -> None:
    async with ScriptedImap() as server, new_scene(ScriptedMailbox(server)) as here:

        def storm(line: Line) -> bool:
            server.uidvalidity += 1
            return False

        server.script |= {"EXAMINE": storm, "SELECT": storm}
        for _ in range(3):
            assert await here.once() == 0, here.log()
        # Under another UIDVALIDITY a UID is another message's: nothing is marked while the storm lasts.
        assert server.uidvalidity > 3 and not here.history.told
        server.script.clear()
        await here.until_quiet()
        assert not here.wrong()
        assert not server.mail


@sqlite
async def test_fault_02_a_server_drops_one_uid_of_each_batch(new_scene: NewScene) -> None:
    async with ScriptedImap() as server, new_scene(ScriptedMailbox(server)) as here:
        dropped: set[int] = set()

        def short(line: Line) -> bool:
            first, *others = line.uids()
            if "BODY.PEEK" not in line.rest or first in dropped:
                return False
            dropped.add(first)
            for uid in others:
                ScriptedImap.body(line, sorted(server.mail).index(uid) + 1, uid, server.mail[uid])
            return line.ok()

        server.script["UID FETCH"] = short
        for _ in MAILS:
            await here.once()
            assert not here.wrong_now()
        await here.until_quiet()
        assert dropped and not here.wrong()


@sqlite
async def test_fault_03_a_person_reads_and_moves_mail_meanwhile(new_scene: NewScene, dovecot: Dovecot) -> None:
    mailbox = RealMailbox(dovecot)
    dovecot.create(mailbox.user, "Junk")
    async with new_scene(mailbox) as here:
        life = await here.start(Fault("stop", "before write imap UID FETCH"))
        await here.stopped(life)
        with dovecot.imap(mailbox.user) as person:
            _read_all_and_move(person, "2", "Junk")
        here.go_on(life)
        await here.ended(life)
        await here.until_quiet()
        assert not here.wrong()


def _read_all_and_move(person: imaplib.IMAP4, uid: str, folder: str) -> None:
    person.select("INBOX")
    person.uid("STORE", "1:*", "+FLAGS", "(\\Seen \\Flagged)")
    person.uid("MOVE", uid, folder)


@sqlite
async def test_fault_04_a_fetch_is_cut_at_any_byte_or_comes_in_crumbs(new_scene: NewScene) -> None:
    async with new_scene() as here:
        # A pass that gets no mail makes one connection.
        for connection, length in enumerate((1, 60, 300), start=1):
            here.imap.spoil(Spoiling(Harm.CUT, Way.TO_CLIENT, length, b"BODY[] {", connection))
        here.imap.spoil(Spoiling(Harm.DRIBBLE, Way.TO_CLIENT, marker=b"BODY[] ", connection=4))
        for _ in range(3):
            assert await here.once() != 0
            assert not here.wrong_now()
        await here.until_quiet()
        assert not here.imap.undone
        assert not here.wrong()


@sqlite
async def test_fault_04_a_server_that_lies_about_sizes_is_believed_with_a_warning(new_scene: NewScene) -> None:
    async with ScriptedImap() as server, new_scene(ScriptedMailbox(server)) as here:

        def lies(line: Line) -> bool:
            if "RFC822.SIZE" not in line.rest:
                return False
            for uid in line.uids():
                line.send(b"* %d FETCH (UID %d RFC822.SIZE %d)" % (uid, uid, len(server.mail[uid]) + 10))
            return line.ok()

        server.script["UID FETCH"] = lies
        await here.until_quiet()
        assert not here.wrong()
        assert "another size than announced" in here.log()


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_fault_06_a_death_or_a_refusal_between_the_commit_and_the_move(new_scene: NewScene) -> None:
    async with ScriptedImap() as server, new_scene(ScriptedMailbox(server)) as here:
        refusals = ["no", "drop"]
        server.script["UID MOVE"] = lambda line: bool(refusals) and getattr(line, refusals.pop())()
        for point in ("after commit T3", "after commit MARKING", "before write imap UID MOVE"):
            await here.once(Fault("kill", point))
            assert not here.wrong_now()
        for _ in range(3):  # a mark that was refused comes again with a later pass
            await here.until_quiet()
        assert not server.mail and not refusals
        assert not here.wrong()


@sqlite
async def test_fault_07_a_server_that_can_neither_move_nor_expunge(new_scene: NewScene) -> None:
    async with ScriptedImap() as server, new_scene(ScriptedMailbox(server)) as here:
        server.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR"
        await here.until_quiet()
        assert not here.wrong()
        assert len(server.mail) == len(MAILS) and server.count("UID STORE")
        assert not any(word in command for command in server.commands for word in ("EXPUNGE", "Deleted", "CLOSE"))


async def test_fault_24_a_connection_whose_cable_was_pulled_is_given_up() -> None:
    async with ScriptedImap({1: mail("old")}) as server, Proxy(server.port) as proxy:
        door, cable = MemoryDoor(), Spoiling(Harm.HALF_OPEN, Way.TO_CLIENT, marker=b"+ idling\r\n")
        proxy.spoil(cable)
        ours = replace(account(server, poll_interval=0.2), port=proxy.port)
        watching = asyncio.create_task(source(ours, door).watchers[0].watch())
        await proxy.spoiled.wait()
        server.mail[2] = mail("new")
        await door.until(lambda: len(door.mail) == 2)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_fault_24_a_login_that_stops_working_raises_an_alarm_and_is_found_working_again() -> None:
    alarms: list[str] = []
    quick = replace(QUICK, refused_first=0.01)
    async with ScriptedImap({1: mail("old")}) as server:
        door = MemoryDoor()
        ours = source(account(server), door, deadlines=quick, alarm=lambda _, what: alarms.append(what))
        async with running(ours.watchers[0].watch()):
            await door.until(lambda: len(door.mail) == 1)
            server.script["AUTHENTICATE"] = lambda line: line.no("[AUTHENTICATIONFAILED] expired")
            server.drop_all()
            await server.until(lambda: bool(alarms))
            server.mail[2] = mail("new")
            server.script.clear()
            await door.until(lambda: len(door.mail) == 2)


ODD = (
    b"From: a@x.example\r\nSubject: NUL\r\n\r\nSQL injection \0\0 proof of concept, CVE\r\n",
    b"Subject: =?no-such?B?////?=\r\nContent-Type: text/plain; charset=no-such\r\n\r\n\xff\xfe\xfd\r\n",
    b"From: \xc3\x28@x.example\r\nSubject: \xf0\x28\x8c\x28 vulnerability\r\n\r\nexploit\r\n.\r\n..\r\n",
    b"From a@x Mon\r\nno header at all\r\n",
    b"\r\n\r\n",
    b"Subject: \xed\xa0\x80 lone surrogate\r\nContent-Transfer-Encoding: base64\r\n\r\n=A==\x00=\r\n",
)


async def test_fault_25_odd_bytes_are_kept_as_they_came(new_scene: NewScene) -> None:
    async with ScriptedImap() as server, new_scene(ScriptedMailbox(server), mails=ODD) as here:
        await here.until_quiet()
        assert not here.wrong()
