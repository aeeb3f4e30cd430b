"""Alarms are raised once, are over once, and reach people by every way there is."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.alarms import ALARMS
from mailbox_service.errors import TemporaryError
from mailbox_service.services.alarms import Observation
from mailbox_service.services.ports import Delivery, DeliveryOutcome
from mailbox_service.services.vigil import Senses
from tests.alarms.bench import DAY, HOUR, TEN, TICK, Memory, Watch
from tests.imap.setting import running
from tests.services.bench import letter, read
from tests.services.test_bounces import dsn


async def test_an_alarm_is_mailed_once_to_each_maintainer_and_once_when_it_is_over(database: Database) -> None:
    watch = Watch(database)
    watch.senses = Senses(imap_refused=True)
    assert await watch.pass_time(HOUR, look_every=TEN) == ["imap_login raised"]
    watch.senses = Senses()
    assert await watch.pass_time(HOUR, look_every=TEN) == ["imap_login over"]
    sent = [(to, str(read(data)["Subject"])) for to, data in watch.office.taken]
    raised = "security@example.org needs attention: the IMAP server refuses the login"
    over = "security@example.org works again: imap_login is over"
    assert sorted(sent) == [(f"{who}@example.org", text) for who in ("ada", "grace") for text in (raised, over)]


async def test_a_restart_and_a_second_daemon_repeat_nothing(embedded: Database) -> None:
    first, second = Watch(embedded), Watch(embedded)
    told = await first.report("folder", on=True)
    told += await Watch(embedded).report("folder", on=True) + await second.report("folder", on=True)
    assert told == ["raised"]
    assert len(first.mails("alarm")) == 2
    assert await Watch(embedded).report("folder", on=False) == ["over"]


async def test_daemons_that_find_the_same_at_the_same_moment_tell_it_once(database: Database) -> None:
    several = [Watch(database) for _ in range(4)]
    found = [Observation("canary_late", True, "late", "security")]
    told = await asyncio.gather(*(watch.alarms.report(found) for watch in several * 3))
    assert sum(map(len, told)) == 1


async def test_a_text_holds_neither_addresses_of_others_nor_anything_from_mail(embedded: Database) -> None:
    channel = Memory()
    watch = Watch(embedded, channels=[channel])
    watch.office.replies = lambda envelope, data: Delivery(DeliveryOutcome.PERMANENT, "550 no eve@research.example")
    await watch.post(letter("report of a hole", "eve@research.example"))
    await watch.deliver()
    async with running(watch.alarms.run()):
        assert "maintainers_unreached raised" in await watch.pass_time(TEN)
        await channel.until(1)
    text = "".join(map(str, channel.told)) + json.dumps([watch.context(m) for m in watch.mails("alarm")])
    assert channel.told and "eve" not in text and "hole" not in text and "550" not in text


async def test_alarms_that_mail_cannot_carry_are_told_to_the_other_channels_alone(embedded: Database) -> None:
    channel = Memory()
    watch = Watch(embedded, channels=[channel])
    async with running(watch.alarms.run()):
        for kind in ALARMS.values():
            await watch.alarms.report([Observation(kind.name, True, "broken", "security" if kind.of_mailbox else "")])
        await channel.until(len(ALARMS))
    mailed = {watch.context(mail)["name"] for mail in watch.mails("alarm")}
    assert mailed == {kind.name for kind in ALARMS.values() if kind.by_mail}


async def test_a_channel_that_hangs_or_fails_keeps_neither_alarms_nor_the_others_waiting(embedded: Database) -> None:
    class Hanging(Memory):
        name = "hanging"

        async def tell(self, notice: Any) -> None:
            await asyncio.Event().wait()

    class Failing(Memory):
        name = "failing"

        async def tell(self, notice: Any) -> None:
            await super().tell(notice)
            raise TemporaryError("not now") if len(self.told) % 2 else RuntimeError("a fault of ours")

    failing, working = Failing(), Memory()
    watch = Watch(embedded, channels=[Hanging(), failing, working])
    async with running(watch.alarms.run()):
        for number in range(150):
            await watch.alarms.report([Observation("disk", number % 2 == 0, "full")])
            watch.now += timedelta(days=2)
            await asyncio.sleep(0)
        await working.until(150)
        await failing.until(150)


class Broken:
    """A database that can be taken away."""

    def __init__(self, database: Database) -> None:
        self.database, self.away = database, False

    @property
    def identity(self) -> str:
        return self.database.identity

    async def transact(self, work: Any) -> Any:
        if self.away:
            raise TemporaryError("database: away")
        return await self.database.transact(work)


async def test_a_database_that_is_away_is_told_without_it_and_so_is_its_return(embedded: Database) -> None:
    broken = Broken(embedded)
    watch = Watch(embedded, storage=broken)
    assert await watch.look() == []
    broken.away = True
    assert await watch.look_after(TICK) == []
    assert await watch.look_after(TEN) + await watch.look_after(TEN) == ["database raised"]
    broken.away = False
    assert await watch.look_after(TICK) == ["database over"]
    assert watch.mails() == []


# --- what the vigil finds ----------------------------------------------------------------------------------


async def test_a_folder_nobody_hears_of_is_told_with_its_name(watch: Watch) -> None:
    watch.silent(INBOX=14, Junk=1)
    assert await watch.pass_time(2 * TICK, look_every=TICK) == []
    watch.silent(INBOX=16, Junk=1)
    assert await watch.pass_time(2 * TICK, look_every=TICK) == ["folder raised"]
    assert watch.context(watch.mails("alarm")[0])["what"] == "the folder INBOX cannot be looked at"
    watch.silent(INBOX=0, Junk=1)
    assert await watch.pass_time(TICK) == ["folder over"]


async def test_a_mail_that_no_server_takes_is_told_after_an_hour(watch: Watch) -> None:
    await watch.look()
    watch.office.replies = lambda envelope, data: Delivery(DeliveryOutcome.TEMPORARY, "451 later")
    await watch.post(letter("report"))
    await watch.deliver()
    assert await watch.pass_time(HOUR, look_every=TEN) == []
    assert await watch.pass_time(2 * TICK, look_every=TICK) == ["mail_waiting raised"]
    watch.office.replies = lambda envelope, data: Delivery(DeliveryOutcome.SENT)
    await watch.pass_time(HOUR)
    assert await watch.pass_time(TICK) == ["mail_waiting over"]


async def test_mail_that_nobody_works_is_told(database: Database) -> None:
    watch = Watch(database)
    await watch.look()
    await watch.intake.store([watch.raw(letter("report"))])  # its worker dies here
    assert await watch.pass_time(14 * TICK) == []
    assert await watch.pass_time(2 * TEN, look_every=TEN) == ["worker raised"]
    await watch.intake.work_off()
    assert await watch.pass_time(TICK) == ["worker over"]


async def test_a_message_that_cannot_be_worked_is_told_until_it_is_released(watch: Watch) -> None:
    await watch.post(letter("crash"))
    for _ in range(6):
        watch.turn(HOUR)
        await watch.intake.work_off()
    assert await watch.look() == ["held raised"] and watch.on() == ["held"]
    assert watch.mails("alarm") == [] and watch.mails("held")


async def test_all_maintainers_unreached_is_told_but_not_one_of_them(database: Database) -> None:
    watch = Watch(database)
    refused = {"ada@example.org"}
    watch.office.replies = lambda envelope, data: Delivery(
        DeliveryOutcome.PERMANENT if envelope.rcpt_to in refused else DeliveryOutcome.SENT, "x"
    )
    await watch.post(letter("report"))
    await watch.deliver()
    assert await watch.look() == []
    refused.add("grace@example.org")
    await watch.post(letter("report again"))
    await watch.deliver()
    assert await watch.look() == ["maintainers_unreached raised"]


async def test_mails_that_come_back_from_all_maintainers_are_told_but_not_from_one_of_them(database: Database) -> None:
    watch = Watch(database)
    await watch.post(letter("report"))
    await watch.deliver()
    for maintainer, told in (("ada@example.org", []), ("grace@example.org", ["maintainers_unreached raised"])):
        (notice,) = (m for m in watch.to(maintainer) if m["kind"] == "notice_case")
        await watch.post(dsn(notice["message_id"], recipient=maintainer))
        assert await watch.look() == told


async def test_an_outbox_paused_for_a_day_is_told_and_nothing_else_that_follows_from_it(watch: Watch) -> None:
    await watch.look()
    watch.database.run(lambda tx: tx.pause_outbox(True))
    await watch.post(letter("report"))
    await watch.look()
    assert await watch.pass_time(DAY - TEN, look_every=8 * HOUR) == []
    assert await watch.pass_time(TEN * 2) == ["outbox_paused raised"]
    assert watch.mails("canary") == [] and watch.mails("alarm") == []
    watch.database.run(lambda tx: tx.pause_outbox(False))
    await watch.deliver()
    assert await watch.pass_time(TICK) == ["outbox_paused over"]


async def test_a_door_that_stays_closed_is_told_and_one_that_opens_at_the_next_look_is_not(watch: Watch) -> None:
    watch.senses = Senses(closed_doors=("lmtp (no such folder)",))
    assert await watch.look() == []
    watch.senses = Senses()
    assert await watch.look() == []
    watch.senses = Senses(closed_doors=("lmtp (no such folder)",))
    assert [*await watch.look(), *await watch.look()] == ["door raised"]
    watch.senses = Senses()
    assert await watch.look() == ["door over"]


async def test_a_full_disk_is_told(watch: Watch) -> None:
    watch.disk = "the disk of the database has 3 MB left"
    assert await watch.pass_time(HOUR, look_every=TEN) == ["disk raised"]
    watch.disk = ""
    assert await watch.look() == ["disk over"]


@pytest.mark.parametrize("jump", [timedelta(days=2), timedelta(days=-2)])
async def test_a_clock_that_jumps_is_told_and_makes_nothing_else_look_late(watch: Watch, jump: timedelta) -> None:
    mail = await watch.canary()
    watch.office.replies = lambda envelope, data: Delivery(DeliveryOutcome.TEMPORARY, "451 later")
    await watch.post(letter("report"))
    await watch.intake.store([watch.raw(letter("report too"))])
    await watch.deliver()
    await watch.pass_time(TEN)
    watch.now += jump
    assert await watch.pass_time(3 * TICK, look_every=TICK) == ["clock raised"]
    ids = [mail["id"] for mail in watch.mails() if mail["state"] == "waiting"]
    await watch.intake.work_off()
    watch.office.replies = lambda envelope, data: Delivery(DeliveryOutcome.SENT)
    for id_ in ids:
        await watch.sent_anew(id_)
    await watch.deliver()
    await watch.post(mail)
    assert await watch.pass_time(HOUR + TEN) == ["clock over"]
