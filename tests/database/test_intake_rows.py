"""T1 to T3 in the database: what is stored once stays, and one worker at a time has it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.reading_sql import MessageFilter
from mailbox_service.adapters.database.sql import CHUNK_BYTES
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.tables import message, message_chunk, source
from mailbox_service.core.routing import Disposition
from mailbox_service.errors import LostLease, NotFound
from mailbox_service.services.ports import Claim, Finished, FolderId, Lease, Mark, MarkResult, MessageId
from tests.database.setting import LEASE, NOW, SOON, new

BOX = ["security"]
ODD = {
    "empty": b"",
    "nul": b"Subject: \0\0\r\n\r\n\0",
    "8-bit": bytes(range(256)) * 3,
    "invalid UTF-8": b"\xff\xfe\xc3\x28",
    "bare line ends": b"a\rb\nc\r\n\n",
    "one chunk exactly": b"x" * CHUNK_BYTES,
    "several chunks": bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"end",
}


def folder(database: Database, name: str = "INBOX", uidvalidity: int = 1, junk: bool = False) -> FolderId:
    return database.run(lambda tx: tx.open_folder("security", name, uidvalidity, 1, junk, True, NOW)).id


def count(database: Database, table: sa.Table) -> int:
    return int(database.run(lambda tx: tx.connection.scalar(sa.select(sa.func.count()).select_from(table))) or 0)


def finished(claim: Claim, disposition: Disposition = Disposition.SPAM, mark: Mark = Mark.SPAM) -> Finished:
    return Finished(claim, disposition is Disposition.HOLD, disposition, mark, "test")


def lapsed(claim_at: int = 0) -> Lease:
    return Lease("worker-1", NOW + timedelta(minutes=2 + claim_at))


# --- T1 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ODD)
def test_bytes_are_kept_as_they_came(database: Database, what: str) -> None:
    (claim,) = database.run(lambda tx: tx.store([new(ODD[what])], NOW, LEASE))
    assert database.run(lambda tx: tx.raw(claim.id)) == ODD[what]


def test_many_messages_share_one_batch_and_keep_their_own_bytes(database: Database) -> None:
    items = [new(data) for data in ODD.values()]
    claims = database.run(lambda tx: tx.store(items, NOW, LEASE))
    assert [database.run(lambda tx: tx.raw(c.id)) for c in claims] == list(ODD.values())  # noqa: B023


def test_the_same_uid_is_stored_once(database: Database) -> None:
    inbox = folder(database)
    first = database.run(lambda tx: tx.store([new(b"a", folder=inbox, uid=7)], NOW, LEASE))
    again = database.run(lambda tx: tx.store([new(b"a", folder=inbox, uid=7)], NOW, LEASE))
    assert (len(first), again) == (1, [])
    assert (count(database, message), count(database, source)) == (1, 1)
    assert database.run(lambda tx: tx.missing_uids(inbox, [6, 7, 8])) == [6, 8]


def test_the_same_bytes_are_one_message_for_each_mailbox(database: Database) -> None:
    inbox = folder(database)
    batch = [new(b"a", folder=inbox, uid=1), new(b"a", folder=inbox, uid=2), new(b"a", mailbox="other")]
    claims = database.run(lambda tx: tx.store(batch, NOW, LEASE))
    assert sorted(c.mailbox for c in claims) == ["other", "security"]
    assert database.run(lambda tx: tx.store([new(b"a", folder=inbox, uid=3)], NOW, LEASE)) == []
    assert (count(database, message), count(database, source)) == (2, 4)


def test_an_import_that_is_run_again_leaves_no_trace(database: Database) -> None:
    for _ in range(2):
        database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
    (row,) = database.run(lambda tx: tx.list_messages(MessageFilter()))
    assert len(database.run(lambda tx: tx.sources_of(row["id"]))) == 1


def test_messages_that_differ_in_one_byte_are_two(database: Database) -> None:
    head = b"Message-ID: <same@x>\r\n\r\n"
    assert len(database.run(lambda tx: tx.store([new(head + b"1"), new(head + b"2")], NOW, LEASE))) == 2


def test_a_batch_is_stored_whole_or_not_at_all(database: Database) -> None:
    def fails(tx: object) -> None:
        tx.store([new(b"a"), new(b"b")], NOW, LEASE)  # type: ignore[attr-defined]
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        database.run(fails)
    assert (count(database, message), count(database, message_chunk), count(database, source)) == (0, 0, 0)


def test_workers_that_store_the_same_mail_at_once_store_it_once(database_url: str) -> None:
    databases = [Database.open(database_url) for _ in range(4)]
    inbox = folder(databases[0])
    batch = [new(b"mail %d" % n, folder=inbox, uid=n) for n in range(1, 31)]
    try:
        with ThreadPoolExecutor(4) as pool:
            claimed = list(pool.map(lambda d: d.run(lambda tx: tx.store(batch, NOW, LEASE)), databases))
        assert sorted(c.id for claims in claimed for c in claims) == sorted({c.id for cs in claimed for c in cs})
        assert sum(map(len, claimed)) == count(databases[0], message) == count(databases[0], source) == 30
    finally:
        for each in databases:
            each.close()


def test_unknown_bytes_are_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        database.run(lambda tx: tx.raw(MessageId(99)))


# --- folders -----------------------------------------------------------------------------------------------


def test_a_new_uidvalidity_is_a_new_folder_in_which_nothing_is_old(database: Database) -> None:
    first = database.run(lambda tx: tx.open_folder("security", "INBOX", 1, 10, False, True, NOW))
    again = database.run(lambda tx: tx.open_folder("security", "INBOX", 1, 99, False, True, NOW))
    after = database.run(lambda tx: tx.open_folder("security", "INBOX", 2, 50, False, True, NOW))
    assert (first.first_uidnext, again, after.first_uidnext) == (10, first, 0)
    assert after.id != first.id and after.first_contact_at == NOW


def test_a_folder_met_long_after_the_first_contact_holds_new_mail(database: Database) -> None:
    database.run(lambda tx: tx.open_folder("security", "INBOX", 1, 10, False, True, NOW))
    junk = database.run(lambda tx: tx.open_folder("security", "Junk", 1, 20, True, True, NOW + SOON))
    late = database.run(lambda tx: tx.open_folder("security", "New", 1, 5, False, False, NOW + timedelta(days=3)))
    assert (junk.first_uidnext, late.first_uidnext) == (20, 0)


def test_the_backlog_is_settled_when_all_folders_are_compared_and_no_quiet_mail_waits(database: Database) -> None:
    inbox = folder(database)
    assert not database.run(lambda tx: tx.backlog_settled("security"))
    database.run(lambda tx: tx.folder_caught_up(inbox, NOW))
    assert database.run(lambda tx: tx.backlog_settled("security"))
    (claim,) = database.run(lambda tx: tx.store([new(b"old", quiet=True)], NOW, LEASE))
    assert not database.run(lambda tx: tx.backlog_settled("security"))
    database.run(lambda tx: tx.finish([finished(claim)], NOW))
    assert database.run(lambda tx: tx.backlog_settled("security"))


def test_a_folder_that_changed_its_uidvalidity_before_it_was_compared_holds_nothing_up(database: Database) -> None:
    folder(database, uidvalidity=1)
    now_valid = folder(database, uidvalidity=2)
    database.run(lambda tx: tx.folder_caught_up(now_valid, NOW))
    assert database.run(lambda tx: tx.backlog_settled("security"))


# --- T2 ----------------------------------------------------------------------------------------------------


def test_what_is_stored_is_claimed_by_whoever_stored_it(database: Database) -> None:
    database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
    assert database.run(lambda tx: tx.claim_messages(10, NOW + SOON, lapsed(), BOX)) == []


def test_a_lapsed_lease_is_claimed_anew_and_fences_the_old_claim(database: Database) -> None:
    (old,) = database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
    later = LEASE.until + SOON
    (claim,) = database.run(lambda tx: tx.claim_messages(10, later, lapsed(5), BOX))
    assert (claim.id, claim.token, claim.attempt, claim.data) == (old.id, old.token + 1, 2, None)
    assert database.run(lambda tx: tx.still_claimed([old])) == set()
    assert database.run(lambda tx: tx.still_claimed([claim])) == {claim.id}
    with pytest.raises(LostLease):
        database.run(lambda tx: tx.finish([finished(old)], later))
    database.run(lambda tx: tx.return_message(old, later))  # changes nothing
    database.run(lambda tx: tx.finish([finished(claim)], later))
    assert database.run(lambda tx: tx.still_claimed([claim])) == set()


def test_one_lost_lease_undoes_the_whole_unit_of_work(database: Database) -> None:
    one, two = database.run(lambda tx: tx.store([new(b"a"), new(b"b")], NOW, LEASE))
    stale = replace(two, token=two.token - 1)
    with pytest.raises(LostLease):
        database.run(lambda tx: tx.finish([finished(one), finished(stale)], NOW))
    assert database.run(lambda tx: tx.still_claimed([one, two])) == {one.id, two.id}


def test_what_failed_before_is_claimed_alone(database: Database) -> None:
    database.run(lambda tx: tx.store([new(b"%d" % n) for n in range(3)], NOW, LEASE))
    later = LEASE.until + SOON
    sizes = [len(database.run(lambda tx: tx.claim_messages(10, later, lapsed(5), BOX))) for _ in range(4)]
    assert sizes == [1, 1, 1, 0]


def test_a_returned_message_waits_for_its_time(database: Database) -> None:
    (claim,) = database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
    database.run(lambda tx: tx.return_message(claim, NOW + timedelta(minutes=1)))
    assert database.run(lambda tx: tx.claim_messages(1, NOW + SOON, lapsed(), BOX)) == []
    (again,) = database.run(lambda tx: tx.claim_messages(1, NOW + timedelta(minutes=1), lapsed(), BOX))
    assert again.attempt == 2


def test_after_five_attempts_a_message_is_exhausted_and_not_before_its_lease_lapsed(database: Database) -> None:
    database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
    now = NOW
    for attempt in range(2, 6):
        now += timedelta(minutes=3)
        until = Lease("worker-1", now + timedelta(minutes=2))
        (claim,) = database.run(lambda tx: tx.claim_messages(1, now, until, BOX))  # noqa: B023
        assert claim.attempt == attempt
        assert database.run(lambda tx: tx.exhausted_messages(5, now, BOX)) == []  # noqa: B023
    (held,) = database.run(lambda tx: tx.exhausted_messages(5, now + timedelta(minutes=3), BOX))
    assert (held.id, held.token) == (claim.id, claim.token)


def test_mail_of_another_daemons_mailbox_is_left_to_it(database: Database) -> None:
    database.run(lambda tx: tx.store([new(b"a", mailbox="other")], NOW, LEASE))
    later = NOW + timedelta(days=1)
    assert database.run(lambda tx: tx.claim_messages(10, later, lapsed(9999), BOX)) == []
    assert database.run(lambda tx: tx.exhausted_messages(0, later, BOX)) == []
    assert len(database.run(lambda tx: tx.claim_messages(10, later, lapsed(9999), ["other"]))) == 1


def test_what_waits_for_a_mailbox_that_is_not_configured_does_not_count_as_work_left(database: Database) -> None:
    database.run(lambda tx: tx.store([new(b"a"), new(b"b", mailbox="former")], NOW, LEASE))
    assert database.run(lambda tx: tx.waiting(["security"]))["messages"] == 1


def test_the_leases_of_a_dead_worker_are_given_back_and_no_others(database: Database) -> None:
    (mine,) = database.run(lambda tx: tx.store([new(b"mine")], NOW, LEASE))
    database.run(lambda tx: tx.store([new(b"theirs")], NOW, replace(LEASE, owner="worker-7")))
    assert database.run(lambda tx: tx.release_leases("worker-0", NOW + SOON)) == 1
    assert [c.id for c in database.run(lambda tx: tx.claim_messages(9, NOW + SOON, lapsed(), BOX))] == [mine.id]


def test_four_workers_at_once_claim_every_message_once(database_url: str) -> None:
    databases = [Database.open(database_url) for _ in range(4)]
    stored = databases[0].run(lambda tx: tx.store([new(b"%d" % n) for n in range(120)], NOW, LEASE))
    databases[0].run(lambda tx: tx.connection.execute(message.update().values(lease_until=None, attempts=0)))

    def work(database: Database) -> list[Claim]:
        claims: list[Claim] = []
        while batch := database.run(lambda tx: tx.claim_messages(7, NOW + SOON, lapsed(), BOX)):
            claims += batch
        return claims

    try:
        with ThreadPoolExecutor(4) as pool:
            claimed = [claim for claims in pool.map(work, databases) for claim in claims]
        assert sorted(c.id for c in claimed) == [c.id for c in stored]
        assert {c.token for c in claimed} == {2}
    finally:
        for each in databases:
            each.close()


# --- telling the server ------------------------------------------------------------------------------------


def test_the_server_is_told_only_after_the_fate_is_committed_and_of_every_copy(database: Database) -> None:
    inbox = folder(database)
    batch = [new(b"a", folder=inbox, uid=1), new(b"a", folder=inbox, uid=2)]
    (claim,) = database.run(lambda tx: tx.store(batch, NOW, LEASE))
    assert database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE)) == []
    database.run(lambda tx: tx.finish([finished(claim)], NOW))
    database.run(lambda tx: tx.store([new(b"a", folder=inbox, uid=3)], NOW, LEASE))
    jobs = database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE))
    assert [(job.uid, job.mark) for job in jobs] == [(1, Mark.SPAM), (2, Mark.SPAM), (3, Mark.SPAM)]
    results = [MarkResult.DONE, MarkResult.GONE, MarkResult.RETRY]
    rows = [(job, result, NOW + timedelta(minutes=1)) for job, result in zip(jobs, results, strict=True)]
    database.run(lambda tx: tx.marked(rows))
    assert database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE)) == []
    (job,) = database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW + timedelta(minutes=2), LEASE))
    assert (job.uid, job.attempts) == (3, 1)


def test_two_daemons_never_mark_the_same_message_and_a_dead_ones_marks_are_given_back(database: Database) -> None:
    inbox = folder(database)
    (claim,) = database.run(lambda tx: tx.store([new(b"a", folder=inbox, uid=1)], NOW, LEASE))
    database.run(lambda tx: tx.finish([finished(claim)], NOW))
    assert database.run(lambda tx: tx.has_mark_jobs(inbox, NOW))
    assert len(database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE))) == 1
    assert not database.run(lambda tx: tx.has_mark_jobs(inbox, NOW))
    assert database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE)) == []
    assert database.run(lambda tx: tx.release_leases(LEASE.owner, NOW)) == 1
    assert len(database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE))) == 1


def test_a_message_moved_out_of_junk_is_worked_again_and_not_marked_as_spam_meanwhile(database: Database) -> None:
    junk, inbox = folder(database, "Junk", junk=True), folder(database)
    (claim,) = database.run(lambda tx: tx.store([new(b"a", folder=junk, uid=1, junk=True)], NOW, LEASE))
    database.run(lambda tx: tx.finish([finished(claim)], NOW))
    assert database.run(lambda tx: tx.store([new(b"a", folder=inbox, uid=1)], NOW, LEASE)) == []
    assert database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE)) == []
    (again,) = database.run(lambda tx: tx.claim_messages(1, NOW, lapsed(), BOX))
    assert (again.id, again.junk) == (claim.id, False)


def test_a_message_in_junk_that_a_person_sorted_is_not_worked_again(database: Database) -> None:
    junk, inbox = folder(database, "Junk", junk=True), folder(database)
    (claim,) = database.run(lambda tx: tx.store([new(b"a", folder=junk, uid=1, junk=True)], NOW, LEASE))
    database.run(lambda tx: tx.decide(claim.id, "spam", "ada", NOW))
    (decided,) = database.run(lambda tx: tx.claim_messages(1, NOW, lapsed(), BOX))
    assert decided.decided == "spam"
    database.run(lambda tx: tx.finish([finished(decided)], NOW))
    database.run(lambda tx: tx.store([new(b"a", folder=inbox, uid=1)], NOW, LEASE))
    assert database.run(lambda tx: tx.claim_messages(1, NOW + SOON, lapsed(), BOX)) == []
    assert [job.mark for job in database.run(lambda tx: tx.mark_jobs(inbox, 10, NOW, LEASE))] == [Mark.SPAM]
