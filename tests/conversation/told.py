"""What documents show of conversations, played over the services: the whole way of a report, and single scenes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from mailbox_service.adapters.database.storage import Database
from mailbox_service.services.processing import Processing
from mailbox_service.services.processor import ThreadProcessor
from mailbox_service.sorting.lexical import LexicalSorter
from tests.conversation.people import Mail, Person, Story
from tests.database.setting import migrated
from tests.services.bench import BOX, KEY, TEMPLATES, Bench

FIX = b"""\
--- a/export/download.py
+++ b/export/download.py
@@ -41,3 +41,3 @@
-    return open(folder / name, "rb")
+    return open(folder / Path(name).name, "rb")
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One mail that a person wrote (`body` None: time went by), and what went out because of it."""

    at: datetime
    title: str
    who: Person | None
    subject: str
    body: str | None
    files: tuple[str, ...]
    out: list[tuple[str, Mail]]


@dataclass
class Telling:
    """A story that is written down as it is played."""

    story: Story
    steps: list[Step] = field(default_factory=list)

    async def report(self, who: Person, subject: str, body: str, title: str) -> None:
        at = self.story.bench.now
        out = await self.story.send(who.write(body, subject=subject))
        self.steps.append(Step(at, title, who, subject, body, (), out))

    async def answer(
        self,
        who: Person,
        body: str,
        title: str = "",
        *,
        to: str | Mail = "",
        files: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        """`who` answers the mail `to`, or their newest one that holds these words."""
        at, answered = self.story.bench.now, who.newest(to) if isinstance(to, str) else to
        out = await self.story.send(who.write(body, answering=answered, files=files))
        subject = f"Re: {str(answered['Subject']).removeprefix('Re: ')}"
        self.steps.append(Step(at, title, who, subject, body, tuple(name for name, _ in files), out))

    async def until(self, day: int, hour: int, title: str = "") -> None:
        """Time goes by until `day` of the story's first month (November) at `hour`; what falls due is a step."""
        now = self.story.bench.now
        then = now.replace(month=11, day=1, hour=0, minute=0, second=0) + timedelta(days=day - 1, hours=hour)
        await self.story.bench.later(seconds=(then - now).total_seconds())
        at = self.story.bench.now
        if out := await self.story.delivered():
            self.steps.append(Step(at, title, None, "", None, (), out))


Play = Callable[[Telling], Coroutine[None, None, None]]


def told(play: Play) -> list[Step]:
    """The steps of a play, over a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mailbox.db"
        shutil.copy(_empty(), file)
        database = Database.open(f"sqlite:///{file}")
        try:
            mailboxes = {BOX.name: BOX}
            processor = ThreadProcessor(Processing(mailboxes, LexicalSorter(), TEMPLATES, KEY))
            telling = Telling(Story(Bench(database, processor=processor)))
            asyncio.run(play(telling))
            return telling.steps
        finally:
            database.close()


@cache
def _empty() -> Path:
    path = Path(tempfile.mkdtemp()) / "empty.db"
    migrated(f"sqlite:///{path}")
    return path


# --- the whole way ----------------------------------------------------------------------------------------------------

REPORT = """\
Hello,

the download of an export takes any file name, so that any user who is
logged in can read every file that the server can read:

  curl -b session=... 'https://demo.example/export?file=../../../etc/passwd'

I tried it with 4.38.0.

Jane Doe
"""


async def the_whole_way(telling: Telling) -> None:
    """From the report to the end, the way most cases take."""
    jane, ada, grace = telling.story.jane, telling.story.ada, telling.story.grace
    await telling.report(jane, "Path traversal in the export download", REPORT, "A report arrives")
    await telling.until(23, 15)
    question = "Does it happen with the Debian package only, or with the container image too?"
    await telling.answer(ada, f"/own\n/needs-info\n{question}\n\nBest regards,\nAda", "A question")
    await telling.until(24, 9)
    await telling.answer(jane, "With both.", "The answer, in plain words")
    await telling.until(25, 10)
    severity = "CVSS:4.0/AV:N/AC:L/AT:N/PR:L/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"
    await telling.answer(grace, f"/reproduced\n/severity {severity}\n/affects 4.0.0 to 4.38.0", "The report is true")
    await telling.until(25, 11)
    await telling.answer(jane, "/credit Jane Doe <https://jane.example>", "How to be credited")
    await telling.until(26, 16)
    await telling.answer(
        ada, "/patched\nIt applies to 4.38.0 with patch -p1.", "A fix to try", files=(("fix.patch", FIX),)
    )
    await telling.until(27, 9)
    await telling.answer(jane, "/fix-works\nI tried the package and the image.", "The fix works")
    await telling.until(30, 7, "On Monday morning")
    await telling.until(30, 10)
    await telling.answer(grace, "/released 4.38.1", "The release", to="New report")
    await telling.until(30, 14)
    await telling.answer(ada, "/published https://example.org/advisories/1", "The advisory", to="New report")
    await telling.answer(ada, "/confirm", "Confirmed: the advisory is out")
    await telling.until(31, 9)
    await telling.answer(ada, "/close resolved\nIt was a pleasure to work with you.", "The end", to="New report")


# --- scenes -----------------------------------------------------------------------------------------------------------


async def begin(telling: Telling) -> None:
    await telling.report(telling.story.jane, "Path traversal in the export download", REPORT, "")


async def a_note_while_the_reporter_waits(telling: Telling) -> None:
    await begin(telling)
    await telling.answer(telling.story.ada, "Looks real to me. I can try it tomorrow.")


async def a_doubt(telling: Telling) -> None:
    await begin(telling)
    await telling.answer(telling.story.ada, "/reply\nThank you. Grace looked into it today, and you are right.")


async def a_slip(telling: Telling) -> None:
    await begin(telling)
    await telling.answer(telling.story.ada, "/own\n/reproducd")


async def two_at_once(telling: Telling) -> None:
    """Grace answers the notice, while Ada's answer has done something else already."""
    await begin(telling)
    notice = telling.story.grace.newest()
    await telling.answer(telling.story.ada, "/reproduced")
    await telling.answer(telling.story.grace, "/needs-info\nWhich version?", to=notice)


async def a_digest(telling: Telling) -> None:
    kim = telling.story.others["kim"] = Person("kim@company.example", "Kim")
    body = "Hello, how do I configure LDAP with docker compose? Thanks\n"
    await telling.report(kim, "How do I configure LDAP?", body, "")
    await telling.until(24, 8)
    await telling.answer(telling.story.ada, "/case M-1", to="M-1")


async def a_reminder(telling: Telling) -> None:
    await begin(telling)
    await telling.until(24, 12)
