"""People around a real daemon: their mails lie in Dovecot as their provider would leave them, Postfix brings ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from mailbox_service.core.case import CaseState, Stage
from mailbox_service.services import key_news
from tests.conversation.people import Person
from tests.end_to_end.daemon import Desk
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import DOMAIN, Postfix
from tests.services.bench import TRUSTED

ADA = "maintainers: [{name: Ada, address: ada@example.org}]"
BOTH = "maintainers: [{name: Ada, address: ada@example.org}, {name: Grace, address: grace@example.org}]"
# The tests write more mail in an hour than real people do.
_EACH_NOTICE_ALONE = "notices: {collect_above_per_hour: 10000}"


class Town:
    """A reporter, two maintainers, and somebody who has no part in any of their cases."""

    def __init__(self, desk: Desk, dovecot: Dovecot, user: str, postfix: Postfix) -> None:
        self.desk = desk
        self._dovecot, self._user, self._postfix = dovecot, user, postfix
        self.jane = Person("jane@research.example", "Jane Doe")
        self.ada = Person("ada@example.org", "Ada")
        self.grace = Person("grace@example.org", "Grace")
        self.mallory = Person("mallory@evil.example", "Mallory")
        self._seen = {person.address: len(self.maildir(person)) for person in self.people}
        self._before = dict(self._seen)
        self._given = 0

    @property
    def people(self) -> tuple[Person, ...]:
        return self.jane, self.ada, self.grace, self.mallory

    # --- mail ----------------------------------------------------------------------------------------------------

    def begin(self, subject: str = "SQL injection vulnerability in login") -> str:
        """Jane reports something; the name of the case."""
        body = "I found an SQL injection in the login form, with a proof of concept.\nSteps to reproduce: ...\n"
        out = self.send(self.jane.write(body, subject=subject))
        (acknowledgement,) = out[self.jane.address]
        return str(acknowledgement["Subject"]).partition("]")[0].strip("[")

    def send(self, *mails: bytes) -> dict[str, list[EmailMessage]]:
        """The mails come into the mailbox; returns what each of them got, once all is done."""
        self._dovecot.append(self._user, *mails)
        self._given += len(mails)
        return self.settled()

    def answer(self, who: Person, body: str, ref: str, to: str = "", **how: Any) -> dict[str, list[EmailMessage]]:
        """`who` answers their newest mail of the case (holding `to`)."""
        return self.send(who.write(body, answering=self.newest(who, ref, to), **how))

    def newest(self, who: Person, ref: str, containing: str = "") -> EmailMessage:
        theirs = (mail for mail in reversed(who.got) if ref in str(mail["Subject"]))
        return next(mail for mail in theirs if containing in " ".join(mail.as_string().split()))

    def settled(self) -> dict[str, list[EmailMessage]]:
        """Every message is worked, every mail is sent and delivered."""
        self.desk.until(lambda: self._states() == ["done"] * self._given)
        self.desk.until(lambda: {str(mail["state"]) for mail in self.desk.mails()} <= {"sent", "withdrawn"})
        mails = [mail for mail in self.desk.mails() if mail["state"] == "sent"]
        sent = [str(mail["recipient"]) for mail in mails]
        order = {str(mail["message_id"]): (mail["kind"] != key_news.TO_PERSON, mail["id"]) for mail in mails}
        out: dict[str, list[EmailMessage]] = {}
        for person in self.people:
            wanted = self._before[person.address] + sent.count(person.address)
            self.desk.until(lambda: len(self.maildir(person)) >= wanted)  # noqa: B023 - it is called here
            there = self.maildir(person)
            assert len(there) == wanted, f"{person.address} got a mail twice"
            # Mails of one moment travel side by side; a test reads them as they were made, news of a key first.
            new = sorted(there[self._seen[person.address] :], key=lambda data: order[_message_id(data)])
            out[person.address] = [person.receive(data) for data in new]
            self._seen[person.address] = len(there)
            person.got += out[person.address]
        return out

    def _states(self) -> list[str]:
        # What is held waits for a person, and nothing else will come of it.
        return ["done" if row["state"] == "held" else str(row["state"]) for row in self.desk.messages()]

    def maildir(self, person: Person) -> list[bytes]:
        """All that lies in a person's mailbox, as it came."""
        return self._postfix.maildir(person.address.partition("@")[0])

    # --- what the service keeps ------------------------------------------------------------------------------------

    def state(self, ref: str) -> CaseState:
        state: CaseState = self.desk.ask(lambda tx: tx.case_for_update(tx.case_named("security", ref)).state)
        return state

    def events(self, ref: str) -> list[str]:
        rows = self.desk.ask(lambda tx: tx.journal_of(tx.case_named("security", ref)))
        return [str(row["event"]) for row in rows]

    def untouched(self, ref: str) -> bool:
        """Whether nobody has done anything with the case, and its reporter has heard nothing since it was received."""
        state = self.state(ref)
        facts = ("cve", "severity", "embargo", "credit", "fixed", "affects", "advisory", "patch")
        theirs = [mail for mail in self.jane.got if ref in str(mail["Subject"])]
        return (
            (state.stage, state.owner, state.reporters) == (Stage.RECEIVED, None, (self.jane.address,))
            and not state.participants
            and not any(getattr(state.facts, name) for name in facts)
            and len(theirs) == 1
        )


def _message_id(data: bytes) -> str:
    return str(message_from_bytes(data, policy=default)["Message-ID"]).strip()


@contextmanager
def post_office() -> Iterator[Postfix]:
    """A Postfix that has a mailbox for each of them, in three domains."""
    peer = Postfix(f"virtual_mailbox_domains = {DOMAIN} research.example evil.example\n")
    users = peer.root / "etc" / "users"
    users.write_text(users.read_text() + "jane@research.example jane/\nmallory@evil.example mallory/\n")
    try:
        peer.start()
        yield peer
    finally:
        peer.stop()


@contextmanager
def town(folder: Path, url: str, dovecot: Dovecot, postfix: Postfix) -> Iterator[Town]:
    """The daemon runs, and has looked at its empty mailbox."""
    user = dovecot.add_user()
    desk = Desk(folder, url, imap=dovecot.port, user=user, smtp=postfix.port)
    text = desk.config.read_text()
    assert ADA in text
    desk.config.write_text(text.replace(ADA, f"{BOTH}\n    authserv_id: {TRUSTED}\n    {_EACH_NOTICE_ALONE}"))
    here = Town(desk, dovecot, user, postfix)
    with desk.running():
        ready(desk)
        yield here


def ready(desk: Desk) -> None:
    """Mail that lies there before the first look is old mail, which is not answered."""
    desk.until(lambda: bool(desk.ask(lambda tx: tx.backlog_settled("security") and tx.known_mailboxes())))
