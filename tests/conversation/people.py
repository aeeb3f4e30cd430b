"""People who write mails as people do: they answer what they got, with their mail program's quotes below."""

from __future__ import annotations

from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from mailbox_service.core.case import CaseState
from mailbox_service.services.ports import CaseId
from tests.services.bench import TRUSTED, Bench

Mail = EmailMessage


@dataclass
class Person:
    """One person with a mail program. `proven`: the trusted server vouches for their From."""

    address: str
    name: str = ""
    proven: bool = True
    got: list[Mail] = field(default_factory=list)
    _written: int = 0

    def receive(self, data: bytes) -> Mail:
        """What their mail program makes of a mail that came."""
        mail = message_from_bytes(data, policy=default)
        assert isinstance(mail, EmailMessage)
        return mail

    def newest(self, containing: str = "") -> Mail:
        """The newest mail that holds these words, in its subject or its text."""
        return next(m for m in reversed(self.got) if containing in said(m) or containing in str(m["Subject"]))

    def write(
        self,
        body: str,
        *,
        subject: str = "report: a hole",
        answering: Mail | None = None,
        quote: bool = True,
        files: tuple[tuple[str, bytes], ...] = (),
        sender: str = "",
        proven: bool | None = None,
        result: str = "pass",
        cc: str = "",
    ) -> bytes:
        """The bytes of a mail as it reaches the mailbox."""
        self._written += 1
        mail = EmailMessage()
        sender = sender or self.address
        mail["From"] = f"{self.name} <{sender}>" if self.name else sender
        mail["To"] = "security@example.org"
        if cc:
            mail["Cc"] = cc
        own = f"<{self.address.partition('@')[0]}.{self._written}@{self.address.rpartition('@')[2]}>"
        mail["Message-ID"] = own
        mail["User-Agent"] = f"Secret mail program of {self.name or 'nobody'}"
        if answering is not None:
            subject = str(answering["Subject"])
            mail["Subject"] = subject if subject.startswith("Re:") else f"Re: {subject}"
            mail["In-Reply-To"] = str(answering["Message-ID"])
            mail["References"] = f"{answering.get('References', '')} {answering['Message-ID']}".strip()
            if quote:
                quoted = "\n".join(f"> {line}" for line in text_of(answering).splitlines())
                body = f"{body}\n\nOn Tuesday, somebody wrote:\n{quoted}\n"
        else:
            mail["Subject"] = subject
        mail.set_content(body)
        for name, data in files:
            mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
        data = mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if self.proven if proven is None else proven:
            domain = sender.rpartition("@")[2]
            data = f"Authentication-Results: {TRUSTED}; dmarc={result} header.from={domain}\r\n".encode() + data
        return data


@dataclass
class Story:
    """A case played by a reporter and two maintainers over the services."""

    bench: Bench
    jane: Person = field(default_factory=lambda: Person("jane@research.example", "Jane Doe"))
    ada: Person = field(default_factory=lambda: Person("ada@example.org", "Ada"))
    grace: Person = field(default_factory=lambda: Person("grace@example.org", "Grace"))
    others: dict[str, Person] = field(default_factory=dict)

    @property
    def people(self) -> dict[str, Person]:
        return {p.address: p for p in (self.jane, self.ada, self.grace, *self.others.values())}

    async def send(self, *mails: bytes) -> list[tuple[str, Mail]]:
        """The mails arrive; what goes out because of them is delivered. Returns that."""
        for mail in mails:
            await self.bench.post(mail)
        return await self.delivered()

    async def delivered(self) -> list[tuple[str, Mail]]:
        self.bench.now = self.bench.now.replace(microsecond=0)
        out = await self.bench.deliver()
        for recipient, mail in out:
            self.people[recipient].got.append(mail)
        await self.bench.later(seconds=60)
        return out

    async def begin(self, body: str = "I can read everybody's files.\n") -> list[tuple[str, Mail]]:
        return await self.send(self.jane.write(body))

    async def answer(self, who: Person, body: str, to: str = "", **how: object) -> list[tuple[str, Mail]]:
        """`who` answers their newest mail (holding `to`)."""
        return await self.send(who.write(body, answering=who.newest(to), **how))  # type: ignore[arg-type]

    def case(self) -> dict[str, object]:
        rows = self.bench.database.run(lambda tx: tx.list_cases(None))
        return dict(rows[0])

    def state(self, number: int = 1) -> CaseState:
        return self.bench.database.run(lambda tx: tx.case_for_update(CaseId(number))).state

    def journal(self, number: int = 1) -> list[tuple[str, str]]:
        rows = self.bench.database.run(lambda tx: tx.journal_of(CaseId(number)))
        return [(str(row["event"]), str(row["actor"])) for row in rows]


def text_of(mail: Mail) -> str:
    """The plain text that a person reads."""
    part = mail.get_body(("plain",))
    return part.get_content() if part is not None else ""


def said(mail: Mail) -> str:
    """The text on one line, however it was wrapped."""
    return " ".join(text_of(mail).split())


def to(out: list[tuple[str, Mail]], person: Person) -> list[Mail]:
    """What went to one person."""
    return [mail for recipient, mail in out if recipient == person.address]
