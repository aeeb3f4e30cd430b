"""The parts of the harness do what the campaigns rely on: proxy, points, samples, oracles."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from random import Random

import pytest

from tests.faults import judge as oracles
from tests.faults.campaign import CRITICAL, Point, pairs, sample
from tests.faults.failpoints import ANY, FailPoints, Fault, command_name, statement_name, step_name
from tests.faults.judge import judge, judge_mailbox
from tests.faults.observer import Accepted, Death, History, ImapObserver, Place, Told
from tests.faults.power_cut import Disk
from tests.faults.proxy import Harm, Proxy, Spoiling, Way
from tests.faults.records import MailRow, MessageRow, Records
from tests.faults.sqlite_files import FileCall

# --- the proxy -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def through(spoiling: Spoiling) -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client of a server that sends everything back, with a proxy between them."""

    ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        await closed(writer)
        ended.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        async with Proxy(server.sockets[0].getsockname()[1]) as proxy:
            proxy.spoil(spoiling)
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"hello, world\n")
            yield proxy, reader, writer
            await closed(writer)
        await ended.wait()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_cut_lets_exactly_so_many_bytes_pass() -> None:
    async with through(Spoiling(Harm.CUT, Way.TO_CLIENT, 2, b"hello")) as (_, reader, _):
        assert await reader.readexactly(7) == b"hello, "
        assert await reader.read() == b""


@pytest.mark.parametrize("harm", [Harm.STALL, Harm.HALF_OPEN])
async def test_a_silent_connection_stays_open(harm: Harm) -> None:
    async with through(Spoiling(harm, Way.TO_CLIENT, 5)) as (proxy, reader, writer):
        assert await reader.readexactly(5) == b"hello"
        writer.write(b"more\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        assert proxy.open_now == 1


async def test_crumbs_and_held_bytes_arrive_in_the_end() -> None:
    async with through(Spoiling(Harm.DRIBBLE, Way.TO_CLIENT)) as (_, reader, _):
        assert await reader.readline() == b"hello, world\n"
    async with through(Spoiling(Harm.HOLD, Way.TO_SERVER, 5)) as (proxy, reader, _):
        assert await reader.readexactly(5) == b"hello"
        proxy.release()
        assert await reader.readline() == b", world\n"


# --- points ----------------------------------------------------------------------------------------------------


def test_points_are_named_after_the_wire_and_sql() -> None:
    assert command_name("imap", b"A7 UID MOVE 1:2 Processed\r\n") == "UID MOVE"
    assert command_name("imap", b"DONE\r\n") == "DONE"
    assert [command_name("smtp", data) for data in (b"MAIL FROM:<a>\r\n", b".\r\n", b"From: x\r\n")] == [
        "MAIL",
        "dot",
        "content",
    ]
    assert statement_name("INSERT INTO cases (ref) VALUES (?)") == "INSERT cases"
    assert step_name(["UPDATE budget SET used=1", "UPDATE message SET state=?, disposition=? WHERE id = ?"]) == "T3"


def test_a_fault_comes_at_its_time_and_lasts_as_long_as_it_should() -> None:
    jumps: list[float] = []
    points = FailPoints([Fault("jump", "a", 2, 2, 5.0), Fault("full", ANY, 6)], jumps.append, lambda name: None)
    assert [points.reach(name) for name in "aabaaa"] == ["", "", "", "", "", "full"]
    assert jumps == [5.0, 5.0]


MANY = [Point(name, n) for name in ("a", "b", "c") for n in range(1, 30)] + [Point("rare", 1)]


def test_a_sample_holds_every_kind_of_point_and_comes_again_with_its_seed() -> None:
    taken = sample(MANY, 8, seed=5)
    assert {point.name for point in taken} == {*CRITICAL, "a", "b", "c", "rare"}
    assert taken == sample(MANY, 8, seed=5) != sample(MANY, 8, seed=6)
    assert pairs(MANY, 40, 5) == pairs(MANY, 40, 5) != pairs(MANY, 40, 6)


def test_a_disk_keeps_what_was_synced_and_any_part_of_the_rest() -> None:
    disk = Disk({"db": b"old!"})
    for call in (FileCall("write", "wal", "db", 0, b"new"), FileCall("fsync", "wal", "db")):
        disk.take(call)
    disk.take(FileCall("write", "wal", "db", 3, b"?"))
    assert {disk.after_a_cut(Random(seed))["db"] for seed in range(20)} == {b"new!", b"new?"}
    assert disk.whole() == {"db": b"new?"}


# --- observers and oracles -------------------------------------------------------------------------------------

DATA = b"Subject: x\r\n\r\nx\r\n"
DIGEST = sha256(DATA).hexdigest()
PLACE = Place("INBOX", 7, 1)
MESSAGE = MessageRow(1, DIGEST, "done", "redirect", "", "", DATA)
MAIL = MailRow("<1@x>", "a@x", "redirect", "sent", 1, 0, b"mail")
SEEN = Records((MESSAGE,), (), (MAIL,), (), ())


def happened() -> History:
    accepted = [Accepted("a@x", "<1@x>", b"mail")]
    return History([DATA], [DATA], [DATA], {PLACE: DIGEST}, [Told("MOVE", PLACE, DIGEST)], accepted)


def test_a_good_history_is_found_good() -> None:
    assert judge(happened(), SEEN) == []


@pytest.mark.parametrize(
    ("oracle", "records"),
    [
        (oracles.what_is_on_file_is_whole, replace(SEEN, messages=(replace(MESSAGE, data=b"other"),))),
        (oracles.what_was_promised_is_on_file, replace(SEEN, messages=())),
        (oracles.every_message_is_on_file, replace(SEEN, messages=())),
        (oracles.a_message_is_worked_once, replace(SEEN, messages=(MESSAGE, MESSAGE))),
        (oracles.a_message_is_worked_once, replace(SEEN, mails=(MAIL, replace(MAIL, message_id="<2@x>")))),
        (oracles.a_message_is_worked_once, replace(SEEN, cases=("SEC-1",), opened=("SEC-1",))),
        (oracles.every_message_is_worked_or_held, replace(SEEN, messages=(replace(MESSAGE, state="waiting"),))),
        (oracles.every_message_is_worked_or_held, replace(SEEN, messages=(replace(MESSAGE, state="held"),))),
        (oracles.every_action_is_complete, replace(SEEN, mails=())),
        (oracles.every_mail_is_delivered, replace(SEEN, mails=(MAIL, replace(MAIL, message_id="<2@x>")))),
        (oracles.every_mail_is_delivered, replace(SEEN, mails=(replace(MAIL, state="failed"),))),
        (oracles.every_copy_is_the_frozen_mail, replace(SEEN, mails=(replace(MAIL, frozen=b"another"),))),
    ],
)
def test_each_oracle_notices_what_it_is_there_for(oracle: oracles.Oracle, records: Records) -> None:
    assert list(oracle(happened(), SEEN)) == []
    assert list(oracle(happened(), records))


def test_a_copy_too_many_needs_a_reason() -> None:
    history = happened()
    history.accepted *= 2
    only = [oracles.a_mail_is_repeated_only_where_nobody_can_know]
    assert judge(history, SEEN, only)
    assert judge(history, replace(SEEN, mails=(replace(MAIL, unknown_outcomes=1),)), only) == []
    history.deaths.append(Death(frozenset({"<1@x>"})))
    assert judge(history, SEEN, only) == []
    history.accepted *= 2
    assert judge(history, SEEN, only)


def test_a_server_that_was_told_too_early_or_of_another_message_is_noticed() -> None:
    for committed in (None, "of another message"):
        history = happened()
        history.told.append(Told("STORE", PLACE, committed))
        assert judge(history, SEEN, [oracles.the_server_is_told_after_the_commit])


def test_a_message_that_vanished_or_was_doubled_on_the_server_is_noticed() -> None:
    assert judge_mailbox([DATA], {"INBOX": [], "Processed": [DATA]}) == []
    assert judge_mailbox([DATA], {"INBOX": []}) and judge_mailbox([DATA], {"INBOX": [DATA], "Processed": [DATA]})


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_observer_reads_imap_in_pieces_of_any_size(size: int) -> None:
    history = History()
    observer = ImapObserver(history, lambda folder, validity: {1: DIGEST} if (folder, validity) == ("INBOX", 7) else {})
    answer = (
        b"* OK [UIDVALIDITY 7] ok\r\nA1 OK done\r\n* 1 FETCH (UID 1 BODY[] {%d}\r\n%b)\r\n* 2 FETCH (UID 2 BODY[] {9}"
    )
    for way, data in (
        (Way.TO_SERVER, b'A1 EXAMINE "INBOX"\r\n'),
        (Way.TO_CLIENT, answer % (len(DATA), DATA)),
        (Way.TO_SERVER, b"A2 UID MOVE 1:2 Processed\r\n"),
    ):
        for start in range(0, len(data), size):
            observer.passes(1, way, data[start : start + size])
            observer.passed(1, way, data[start : start + size])
    assert history.fetched == {PLACE: DIGEST}
    assert history.told == [Told("MOVE", PLACE, DIGEST), Told("MOVE", Place("INBOX", 7, 2), None)]
