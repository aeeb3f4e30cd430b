"""The fault points between the outbox and the submission server: 12, 14 to 17 and 23 of docs/faults.md."""

from __future__ import annotations

import asyncio
import signal

import pytest

from mailbox_service.adapters.smtp import SmtpAccount, SmtpTransport
from mailbox_service.services.ports import DeliveryOutcome, Envelope
from tests.faults.failpoints import Fault
from tests.faults.proxy import Harm, Proxy, Spoiling, Way
from tests.faults.scene import NewScene
from tests.peers.scripted_smtp import CLOSE, CONTENT, GREETING, Script, scripted_smtp

sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
GO_AHEAD = b"354 go ahead\r\n"


async def test_fault_12_bytes_are_frozen_before_the_first_attempt(new_scene: NewScene) -> None:
    async with new_scene() as here:
        await here.once(Fault("kill", "after commit T5"))
        frozen = {m.message_id: m.frozen for m in here.records().mails}
        assert None not in frozen.values()
        here.config.write_text(here.config.read_text().replace("project_name: Example", "project_name: Renamed"))
        await here.until_quiet()
        assert not here.wrong()
        assert {m.message_id: m.data for m in here.history.accepted} == frozen


@pytest.mark.parametrize(
    "point",
    [
        "before commit T3",
        "after commit T3",
        "before write smtp MAIL",
        "after write smtp content",
        "after write smtp dot",
        "before commit T6",
        "after commit T6",
    ],
)
async def test_fault_12_a_daemon_dies_while_it_sends_first_answers_along(point: str, new_scene: NewScene) -> None:
    """They are claimed and frozen by the transaction that makes them, the notices later."""
    async with new_scene() as here:
        doomed = await here.start(Fault("kill", point), once=False)
        assert await here.ended(doomed) == -signal.SIGKILL
        mails = here.records().mails
        if point == "before commit T3":
            assert not mails
        else:
            assert {mail.kind: mail.frozen is not None for mail in mails if mail.kind != "notice_case"} == {
                "acknowledgement": True,
                "redirect": True,
            }
        if point == "after commit T3":
            assert {mail.frozen for mail in mails if mail.kind == "notice_case"} == {None}
        here.clock += 3600.0  # its leases have lapsed
        await here.until_quiet()
        assert not here.wrong()


@sqlite
async def test_fault_14_a_server_that_hangs_up_at_each_verb(new_scene: NewScene) -> None:
    usual = {GREETING: "220 hello", "EHLO": "250 hello", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go ahead"}
    script = Script({verb: [CLOSE, CLOSE, reply] for verb, reply in usual.items()})
    async with new_scene(script=script) as here:
        await here.until_quiet()
        assert not here.wrong()
        # Nothing was unknown, since no dot had left; so each mail arrived once.
        assert {mail.unknown_outcomes for mail in here.records().mails} == {0}
        assert len(here.history.accepted) == len(here.records().mails)


@sqlite
async def test_fault_15_a_reply_to_the_dot_that_is_cut_off(new_scene: NewScene) -> None:
    async with new_scene() as here:
        here.smtp_proxy.spoil(Spoiling(Harm.CUT, Way.TO_CLIENT, len(b"250 2.0.0"), GO_AHEAD))
        await here.until_quiet()
        assert not here.wrong()
        (unknown,) = (mail for mail in here.records().mails if mail.unknown_outcomes)
        assert unknown.unknown_outcomes == 1
        copies = [one.data for one in here.history.accepted if one.message_id == unknown.message_id]
        assert copies == [unknown.frozen] * 2


async def test_fault_16_a_late_250_is_nobody_elses_reply() -> None:
    mail = b"Subject: x\r\n\r\nbody\r\n"
    async with scripted_smtp(Script({CONTENT: ["250 ok", "550 5.7.1 no"]})) as server, Proxy(server.port) as proxy:
        proxy.spoil(Spoiling(Harm.HOLD, Way.TO_CLIENT, marker=GO_AHEAD))
        transport = SmtpTransport(SmtpAccount("127.0.0.1", proxy.port, "none", connections=1, deadline_seconds=5))
        first = await transport.send(Envelope("a@example.org", "b@example.org"), mail)
        assert first.outcome is DeliveryOutcome.UNKNOWN
        second = asyncio.create_task(transport.send(Envelope("a@example.org", "c@example.org"), mail))
        proxy.release()
        assert (await second).outcome is not DeliveryOutcome.SENT
        await transport.close()


@sqlite
async def test_fault_17_one_recipient_is_deferred_and_the_others_are_not(new_scene: NewScene) -> None:
    async with new_scene(script=Script({"RCPT": ["452 4.2.2 full", "250 ok"]})) as here:
        assert await here.once() != 0
        assert len(here.smtp.accepted) == len(here.records().mails) - 1
        await here.until_quiet()
        assert not here.wrong()
        assert len(here.history.accepted) == len(here.records().mails)


@pytest.mark.parametrize(
    "moment", ["after commit T4", "after write smtp RCPT", "after write smtp dot", "before commit T6"]
)
async def test_fault_23_a_daemon_told_to_stop_in_the_midst_of_sending(moment: str, new_scene: NewScene) -> None:
    async with new_scene() as here:
        await here.told_to_stop(Fault("term", moment))
        assert not here.wrong_now()
        await here.until_quiet()
        assert not here.wrong()
