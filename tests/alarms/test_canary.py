"""The mail that a mailbox sends to itself: round trips, lost ones, forged ones."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core import tokens
from mailbox_service.core.tokens import TokenKey
from mailbox_service.services.mailboxes import CanaryPlan, Mailbox
from mailbox_service.services.ports import Delivery, DeliveryOutcome
from tests.alarms.bench import DAY, DEADLINE, HOUR, INTERVAL, TEN, WATCHED, Watch
from tests.services.bench import changed, letter, read


async def test_a_canary_that_comes_back_is_automatic_mail_that_nobody_is_told_of(watch: Watch) -> None:
    mail = await watch.canary()
    assert [to for to, _ in watch.office.taken] == ["security@example.org"]
    await watch.pass_time(timedelta(seconds=20))
    await watch.post(mail)
    assert watch.newest().back_at == watch.now and watch.newest().latency_seconds == 20
    (row,) = watch.messages()
    assert (row["disposition"], row["why"], row["case"]) == ("automatic", "our own canary came back", None)
    assert watch.kinds() == ["canary security@example.org"]
    await watch.later(days=1)
    assert watch.database.run(lambda tx: tx.due_channels()) == []
    assert watch.database.run(lambda tx: tx.raw(row["id"])) == mail


async def test_the_first_one_goes_out_after_an_interval_and_no_two_are_under_way(watch: Watch) -> None:
    assert await watch.look() == [] and await watch.pass_time(INTERVAL - TEN, look_every=HOUR) == []
    assert watch.mails() == []
    await watch.pass_time(DEADLINE, look_every=TEN)
    assert len(watch.mails("canary")) == 1


async def test_a_lost_canary_is_told_until_one_comes_back(watch: Watch) -> None:
    await watch.canary()
    assert await watch.pass_time(DEADLINE, look_every=TEN) == []
    assert await watch.pass_time(TEN) == ["canary_late raised"]
    assert await watch.pass_time(INTERVAL - DEADLINE, look_every=HOUR) == []
    canaries = [data for to, data in watch.office.taken if to == "security@example.org"]
    assert len(canaries) == 2
    await watch.post(canaries[1])
    assert await watch.look() == ["canary_late over"]


async def test_one_that_is_late_but_comes_is_over_too(watch: Watch) -> None:
    mail = await watch.canary()
    assert await watch.late_canary() == ["canary_late raised"]
    await watch.post(mail)
    assert await watch.look() == ["canary_late over"]


async def test_one_that_cannot_even_leave_is_late(watch: Watch) -> None:
    watch.office.replies = lambda envelope, data: Delivery(DeliveryOutcome.PERMANENT, "550 no")
    await watch.look()
    await watch.pass_time(INTERVAL)
    assert await watch.late_canary() == ["canary_late raised"]
    assert watch.mails("notice_failure") == []


async def test_one_in_junk_came_back_and_is_an_alarm_of_its_own(watch: Watch) -> None:
    await watch.post(await watch.canary(), junk=True)
    assert await watch.look() == ["canary_junk raised"]
    (row,) = watch.messages()
    assert row["disposition"] == "automatic"
    await watch.post(await watch.canary())
    assert await watch.look() == ["canary_junk over"]


async def test_a_service_that_was_stopped_does_not_count_its_absence(watch: Watch) -> None:
    mail = await watch.canary()
    later = Watch(watch.database, now=watch.now + 3 * DAY)
    assert await later.pass_time(2 * TEN, look_every=TEN) == []
    assert len(later.mails("canary")) == 1  # the one under way is waited for first
    await later.post(mail)
    assert later.newest().back_at == later.now
    assert await later.look() == []


async def test_several_daemons_send_one_together(database: Database) -> None:
    several = [Watch(database) for _ in range(3)]
    await asyncio.gather(*(watch.look() for watch in several))
    await asyncio.gather(*(watch.pass_time(INTERVAL) for watch in several))
    await asyncio.gather(*(watch.look() for watch in several * 3))
    assert len(several[0].mails("canary")) == 1


@pytest.mark.parametrize("mailbox", [changed(canary=None), changed(shadow=True, canary=CanaryPlan(INTERVAL, DEADLINE))])
async def test_without_a_plan_and_in_shadow_mode_there_is_none(embedded: Database, mailbox: Mailbox) -> None:
    watch = Watch(embedded, mailbox=mailbox)
    assert await watch.pass_time(3 * INTERVAL, look_every=INTERVAL) == []
    assert watch.mails() == []


# --- forged, replayed, changed on the way -------------------------------------------------------------------


async def test_a_forged_canary_proves_nothing(watch: Watch) -> None:
    real = read(await watch.canary())["Subject"]
    forged = [
        real.replace(real[-3], "0" if real[-3] != "0" else "1"),  # another token
        real.replace("canary-2026", "canary-2027"),  # another moment
        "Canary of security@example.org, please ignore",
    ]
    await watch.post(*(letter(f"report {subject}", "security@example.org") for subject in forged))
    # The right token, from somebody else: a copy that left the house.
    await watch.post(letter(f"report {real}", "eve@research.example"))
    assert watch.newest().back_at is None
    assert watch.dispositions() == ["case"] * 4


async def test_a_replayed_canary_proves_nothing(watch: Watch) -> None:
    first = await watch.canary()
    await watch.post(first)
    back_at = watch.newest().back_at
    await watch.pass_time(TEN)
    await watch.post(b"Received: from x by y; now\r\n" + first)
    assert watch.newest().back_at == back_at
    await watch.canary()
    await watch.post(b"Received: from x by z; now\r\n" + first)
    assert watch.newest().back_at is None
    assert await watch.late_canary() == ["canary_late raised"]


async def test_one_of_another_host_with_another_secret_proves_nothing_and_is_no_case(watch: Watch) -> None:
    mail = await watch.canary()
    subject = str(read(mail)["Subject"])
    stamp = subject.split("-")[1]
    assert watch.newest().made_at.strftime("%Y%m%dT%H%M%S%f") == stamp
    foreign = tokens.canary(TokenKey(1, b"o" * 32), "security@example.org", stamp)
    await watch.post(letter(foreign, "security@example.org", headers="X-Mailbox-Service-Loop: 00112233.canary\r\n"))
    assert watch.dispositions() == ["automatic"] and watch.newest().back_at is None


async def test_a_provider_that_changes_message_id_and_headers_does_not_hide_it(watch: Watch) -> None:
    mail = await watch.canary()
    head, _, body = mail.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if line.startswith((b"From:", b"To:", b"Subject:", b" "))]
    await watch.post(b"\r\n".join(kept) + b"\r\nMessage-ID: <new@provider.example>\r\n\r\n" + body)
    assert watch.newest().back_at == watch.now
    assert watch.dispositions() == ["automatic"]


async def test_two_services_facing_each_other_file_each_others_canaries(watch: Watch) -> None:
    """The other's address leads to us, and ours to the other: each canary arrives at the wrong house."""
    theirs = changed(name="theirs", address="security@other.example", team_address="team@other.example")
    other = Watch(watch.database, mailbox=theirs, key=TokenKey(1, b"o" * 32))
    ours = await watch.canary()
    for _ in range(3):
        await other.post(ours)
        sent = await other.deliver()
        assert sent == []
    assert {m["disposition"] for m in other.messages() if m["mailbox"] == "theirs"} == {"automatic"}
    assert await watch.late_canary() == ["canary_late raised"]


async def test_a_person_may_sort_one_like_any_other_message(watch: Watch) -> None:
    await watch.post(await watch.canary())
    assert WATCHED.canary is not None
    message = watch.messages()[0]["id"]
    watch.database.run(lambda tx: tx.decide(message, "case", "ada", watch.now))
    await watch.intake.work_off()
    assert watch.dispositions() == ["case"]
