"""The daemon dies while it works a case: each command is carried out once, and what follows from it goes out once."""

from __future__ import annotations

import signal
from collections import Counter
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.services.ports import CaseId
from tests.conversation.people import Person
from tests.faults.failpoints import Fault
from tests.faults.scene import REPORT, NewScene, Scene
from tests.services.bench import TRUSTED

# The command is on file; the decision is made and not committed; it is committed.
POINTS = ["after commit T1", "after commit T2", "before commit T3", "after commit T3"]
ADVISORY = "https://example.org/advisories/1"


async def begun(here: Scene, jane: Person) -> None:
    """A report is on file and its mails are out."""
    here.config.write_text(here.config.read_text().replace("    smtp:", f"    authserv_id: {TRUSTED}\n    smtp:"))
    here.give(jane.write(REPORT, subject="SQL injection vulnerability"))
    await here.until_quiet()


async def killed_over(here: Scene, mail: bytes, point: str) -> None:
    """The mail comes in, the daemon dies at `point`, and others go on until all is done."""
    here.give(mail)
    assert await here.once(Fault("kill", point)) == -signal.SIGKILL, here.log()
    assert not here.wrong_now()
    await here.until_quiet()


def newest(here: Scene, person: Person) -> EmailMessage:
    here.look()
    mails = [message_from_bytes(one.data, policy=default) for one in here.history.accepted]
    found = [mail for mail in mails if mail["To"] == person.address]
    assert isinstance(found[-1], EmailMessage)
    return found[-1]


def events(here: Scene) -> Counter[str]:
    database = Database.open(here.url)
    try:
        rows: list[dict[str, Any]] = database.run(lambda tx: tx.journal_of(CaseId(1)))
    finally:
        database.close()
    return Counter(str(row["event"]) for row in rows)


def sent(here: Scene) -> Counter[tuple[str, str]]:
    """(recipient, kind) of every copy that the submission server took, but what the hour of the day brings."""
    kinds = {mail.message_id: mail.kind for mail in here.records().mails}
    copies = ((one.recipient, kinds[one.message_id]) for one in here.history.accepted)
    return Counter(copy for copy in copies if copy[1] in ("needs_info", "changed", "done", "published", "confirmation"))


@pytest.mark.parametrize("point", POINTS)
async def test_a_command_whose_worker_dies_is_carried_out_once(point: str, new_scene: NewScene) -> None:
    jane, ada = Person("jane@research.example", "Jane Doe"), Person("ada@example.org", "Ada")
    async with new_scene(mails=()) as here:
        await begun(here, jane)
        command = ada.write("/own\n/needs-info\nWhich version do you run?", answering=newest(here, ada))
        await killed_over(here, command, point)
        assert not here.wrong()
        found = events(here)
        assert (found["info_requested"], found["assigned"]) == (1, 1)
        assert sent(here) == {
            (jane.address, "needs_info"): 1,
            (ada.address, "done"): 1,
            ("grace@example.org", "changed"): 1,
        }


@pytest.mark.parametrize("point", POINTS)
async def test_a_confirmation_whose_worker_dies_counts_once(point: str, new_scene: NewScene) -> None:
    jane, ada = Person("jane@research.example", "Jane Doe"), Person("ada@example.org", "Ada")
    async with new_scene(mails=()) as here:
        await begun(here, jane)
        here.give(ada.write(f"/published {ADVISORY}", answering=newest(here, ada)))
        assert await here.once() == 0
        question = newest(here, ada)
        await killed_over(here, ada.write("/confirm", answering=question), point)
        here.give(ada.write("/confirm", answering=question))
        await here.until_quiet()
        assert not here.wrong()
        assert events(here)["published"] == 1
        assert sent(here) == {
            (ada.address, "confirmation"): 1,
            (jane.address, "published"): 1,
            (ada.address, "done"): 1,
            ("grace@example.org", "changed"): 1,
        }
