"""A canary on its real way: through Postfix out, through Dovecot in. And a login that stops working."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.imap import FolderPlan, ImapSource
from mailbox_service.adapters.smtp import SmtpAccount, SmtpTransport
from mailbox_service.app.vigil import senses_of
from mailbox_service.errors import AuthenticationError
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.intake import Timing
from mailbox_service.services.outbox import Outbox, SendingPolicy
from mailbox_service.services.processing import Processing
from mailbox_service.services.processor import ThreadProcessor
from mailbox_service.services.signals import Bell
from mailbox_service.sorting.learned.sorter import TrainedSorter
from tests.alarms.bench import INTERVAL, Watch
from tests.imap.door import NOW, MemoryDoor
from tests.imap.setting import QUICK, account
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix
from tests.services.bench import KEY, TEMPLATES


async def test_a_canary_goes_out_through_a_real_server_and_comes_in_through_another(
    embedded: Database, dovecot: Dovecot, postfix: Postfix
) -> None:
    watch, user = Watch(embedded), dovecot.add_user()
    transport = SmtpTransport(SmtpAccount("127.0.0.1", postfix.port, "none"))
    outbox = Outbox(
        embedded,
        {"security": watch.mailbox},
        ThreadProcessor(Processing({"security": watch.mailbox}, TrainedSorter(), TEMPLATES, KEY)),
        {"security": transport},
        Correspondence(KEY),
        Timing(watch.clock, lambda: 0.0),
        SendingPolicy(),
        mails_waiting=Bell(),
    )
    source = ImapSource(
        "security",
        account(dovecot, user),
        watch.intake,
        clock=watch.clock,
        folders=(FolderPlan("INBOX"),),
        deadlines=QUICK,
    )
    await watch.look()
    await watch.look_after(INTERVAL)
    await outbox.deliver_waiting()
    await transport.close()
    (row,) = watch.mails("canary")
    assert row["state"] == "sent"
    arrived = await asyncio.to_thread(postfix.wait_for, "security", row["message_id"].encode())
    dovecot.deliver(user, arrived)
    polling = asyncio.create_task(source.pass_once())
    worker = asyncio.create_task(watch.intake.run())
    await polling
    await watch.intake.drained()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert watch.newest().back_at == watch.now
    assert watch.dispositions() == ["automatic"]
    await source.marker.pass_once()
    (kept,) = dovecot.messages(user)
    assert "\\Seen" in kept.flags


async def test_a_login_that_stops_working_is_noticed_and_so_is_that_it_works_again(dovecot: Dovecot) -> None:
    user, password, steady = dovecot.add_user(), ["wrong"], [100.0]
    of = replace(account(dovecot, user), password=lambda: password[0])
    rung: list[str] = []
    source = ImapSource(
        "security",
        of,
        MemoryDoor(),
        clock=lambda: NOW,
        folders=(FolderPlan("INBOX"),),
        alarm=lambda mailbox, what: rung.append(mailbox),
        monotonic=lambda: steady[0],
        deadlines=replace(QUICK, login=20),
    )
    transport = SmtpTransport(SmtpAccount("127.0.0.1", 1, "none"))
    for _ in range(2):
        try:
            await source.pass_once()
        except AuthenticationError:
            assert senses_of(source, transport).imap_refused and rung == ["security"]
    password[0] = "pw"
    steady[0] += 3600
    await source.pass_once()
    assert not senses_of(source, transport).imap_refused
    assert senses_of(source, transport).folders[0].silent_for.total_seconds() == 0
