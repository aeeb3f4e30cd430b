"""A service that comes up from a backup mails nobody what they may have got already, and everybody what is new."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core import tokens
from mailbox_service.services.ports import FolderState, Origin, RawMessage, SourceKind
from tests.backup.setting import RESTORED_AT, Life, NewDatabase, bench_of, opened, restore, rows
from tests.services.bench import BOX, Bench, letter

MAINTAINERS = {"ada@example.org", "grace@example.org"}


@pytest.fixture
def bench(life: Life, empty: Database) -> Bench:
    restore(empty, life.backup)
    return bench_of(empty, life.folder, now=RESTORED_AT + timedelta(minutes=5))


@pytest.fixture
def lone(life: Life, new_database: NewDatabase) -> Bench:
    """The same on SQLite alone."""
    database = new_database("sqlite")
    restore(database, life.backup)
    return bench_of(database, life.folder, now=RESTORED_AT + timedelta(minutes=5))


async def work(bench: Bench) -> list[tuple[str, EmailMessage]]:
    """What a daemon does all day; what went out."""
    bench.now += timedelta(hours=1)  # leases lapse, summaries settle
    await bench.intake.work_off()
    await bench.clocks.fall_due(settled=True)
    return await bench.deliver()


async def found(bench: Bench, folder: FolderState, uid: int, data: bytes, at: datetime) -> None:
    """A message of the server, as the poller hands it in (adapters.imap.poller)."""
    assert folder.restored_at is not None
    quiet = uid < folder.first_uidnext or at < folder.restored_at
    origin = Origin(SourceKind.IMAP, "security", folder_id=folder.id, uid=uid, quiet=quiet)
    await bench.intake.work(await bench.intake.store([RawMessage(data, origin, at)]))


def resumed(bench: Bench, *, withdraw: bool) -> None:
    if withdraw:
        bench.database.run(lambda tx: tx.withdraw_restored(bench.now))
    bench.database.run(lambda tx: tx.release_outbox())


async def test_nothing_at_all_is_sent_until_somebody_says_so(bench: Bench) -> None:
    assert await work(bench) == []
    bench.database.run(lambda tx: tx.pause_outbox(False))  # the plain brake is another one
    assert await work(bench) == []
    assert bench.database.run(lambda tx: (tx.outbox_paused(), tx.frozen_since())) == (True, RESTORED_AT)


async def test_what_waited_when_the_backup_was_made_is_known_and_can_be_withdrawn(bench: Bench) -> None:
    undecided = bench.database.run(lambda tx: (tx.undecided_mails(), tx.undecided_lines()))
    waiting = [m["id"] for m in bench.mails() if m["state"] == "waiting"]
    assert undecided == (waiting, 2) and len(waiting) == 3  # the lines: a redirect and a spam for the digest
    resumed(bench, withdraw=True)
    recipients = {recipient for recipient, _ in await work(bench)}
    # The summary tells of the message that had not been worked.
    assert recipients == MAINTAINERS
    assert [m["state"] for m in bench.mails() if m["id"] in waiting] == ["withdrawn"] * 3
    bench.now += timedelta(days=2)
    sent = [mail for _, mail in await work(bench)]  # no digest of what a former digest told
    assert all(str(mail["X-Mailbox-Service-Loop"]).endswith(".reminder") for mail in sent)


async def test_what_waited_goes_out_if_the_operator_wants_it(lone: Bench) -> None:
    resumed(lone, withdraw=False)
    assert "late@research.example" in {recipient for recipient, _ in await work(lone)}


async def test_a_message_that_waited_to_be_worked_was_answered_by_the_former_life(lone: Bench) -> None:
    await work(lone)
    assert lone.messages()[-1]["disposition"] == "case"
    assert lone.to("unworked@research.example") == []


@pytest.mark.parametrize("answer_backlog", [False, True])
async def test_mail_that_was_answered_after_the_backup_is_filed_and_not_answered_again(
    bench: Bench, life: Life, answer_backlog: bool
) -> None:
    bench = bench_of(bench.database, life.folder, mailbox=replace(BOX, answer_backlog=answer_backlog), now=bench.now)
    folder = await opened(bench, uidnext=8)
    assert folder.first_uidnext == 8 and folder.restored_at == RESTORED_AT
    before = RESTORED_AT - timedelta(minutes=2)
    await found(bench, folder, 7, letter("report answered before", "answered@research.example"), before)
    # Put back into the inbox by hand, after our first look: only its date tells.
    await found(bench, folder, 9, letter("support answered before", "asked@company.example"), before)
    after = RESTORED_AT + timedelta(minutes=30)
    await found(bench, folder, 10, letter("report is new", "new@research.example"), after)
    assert bench.dispositions()[-3:] == ["case", "redirect", "case"]
    assert await work(bench) == []
    await bench.intake.caught_up(folder.id)
    resumed(bench, withdraw=True)
    sent = [(recipient, mail["Subject"]) for recipient, mail in await work(bench)]
    assert {recipient for recipient, _ in sent} == {"new@research.example", *MAINTAINERS}
    summaries = bench.mails("summary")
    assert len(summaries) == 2 and bench.context(summaries[0])["total"] == 3


async def test_the_first_look_counts_once_and_a_new_uidvalidity_is_looked_at_likewise(lone: Bench) -> None:
    assert (await opened(lone, uidnext=8)).first_uidnext == 8
    assert (await opened(lone, uidnext=9)).first_uidnext == 8
    assert (await opened(lone, uidnext=4, uidvalidity=99)).first_uidnext == 0


async def test_a_mail_server_that_was_rebuilt_as_well_counts_as_a_first_look(lone: Bench) -> None:
    assert (await opened(lone, uidnext=500, uidvalidity=99)).first_uidnext == 500
    assert (await opened(lone, uidnext=501, uidvalidity=99)).first_uidnext == 500


async def test_a_mailbox_that_was_added_after_the_restore_is_met_like_any_new_one(lone: Bench) -> None:
    state = await lone.intake.open_folder("security-2", "INBOX", 1, 10, junk=False)
    assert (state.first_uidnext, state.restored_at) == (10, None)


async def test_a_message_rescued_from_junk_after_the_backup_is_not_answered_again(lone: Bench) -> None:
    inbox = await opened(lone, uidnext=8)
    junk = await lone.intake.open_folder("security", "Junk", 3, 1, junk=True)
    data = letter("spam it seemed", "rescued@research.example")
    await lone.post_to(junk.id, 1, data, junk=True)
    assert lone.dispositions()[-1] in ("spam", "hold")
    await found(lone, inbox, 7, data, RESTORED_AT - timedelta(hours=1))
    await work(lone)
    assert lone.row(-1)["quiet"] and lone.to("rescued@research.example") == []


# --- names -------------------------------------------------------------------------------------------------


async def test_new_mails_never_get_the_names_of_mails_sent_after_the_backup(lone: Bench, life: Life) -> None:
    """The same row numbers, the same reporter, another mail: a reused Message-ID would hide it from the reader."""
    old, new = bench_of(life.database, life.folder), lone
    assert old.outbox._correspondence.key != new.outbox._correspondence.key
    row = {"cause": "security/message:7", "kind": "acknowledgement", "recipient": "a@b.example", "domain": "d.example"}
    names = [tokens.message_id(one.outbox._correspondence.key, **row) for one in (old, new)]
    assert names[0] != names[1]
    await new.post(letter("report of today", "new@research.example"))
    (answer,) = new.to("new@research.example")
    assert answer["message_id"] not in {m["message_id"] for m in old.mails()}


async def test_a_case_of_today_does_not_get_the_reference_of_one_opened_after_the_backup(lone: Bench) -> None:
    await lone.post(letter("report of today", "new@research.example"))
    assert [c["ref"] for c in lone.cases()[-2:]] == ["SEC-2026-1004", "SEC-2026-1005"]


async def test_an_answer_to_a_mail_from_before_the_backup_finds_its_case(lone: Bench) -> None:
    (token,) = [m["message_id"] for m in lone.mails("acknowledgement") if m["recipient"] == "eve@research.example"]
    await lone.post(letter("Re: your case", references=token))
    row = lone.row(-1)
    assert (row["disposition"], row["case"]) == ("attached", "SEC-2026-0001")
    assert [e["data"]["verified"] for e in lone.journal("SEC-2026-0001") if e["event"] == "message_added"] == [True]


async def test_the_loop_markers_of_the_former_life_are_still_ours(lone: Bench, life: Life) -> None:
    old, new = (one.outbox._correspondence.key for one in (bench_of(life.database, life.folder), lone))
    marker = tokens.loop_marker(old, BOX.address)
    assert marker != tokens.loop_marker(new, BOX.address)
    assert tokens.is_loop_marker(new, f"{marker}.notice_case", BOX.address)
    assert not tokens.is_loop_marker(new, marker, "other@example.org")
    assert not tokens.is_loop_marker(old, tokens.loop_marker(new, BOX.address), BOX.address)


def test_a_second_restore_remembers_both_former_names(lone: Bench) -> None:
    lone.database.run(lambda tx: tx.begin_anew(RESTORED_AT, "the third one"))
    assert lone.database.run(lambda tx: (tx.instance("-"), tx.former_instances())) == (
        "the third one",
        ["the old one", "the new one"],
    )
    assert list(rows(lone.database, "select distinct quiet from message where state = 'waiting'")) != []
