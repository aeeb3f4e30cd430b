"""A sealed case worked by mail programs that people use, through a real daemon."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from mailbox_service.core.case import Stage
from tests.conversation.people import Mail
from tests.end_to_end.canaries import canaries_in
from tests.end_to_end.openpgp_people import Correspondent
from tests.end_to_end.test_openpgp import (
    ADVISORY,
    ANSWER,
    FILE,
    FILE_NAME,
    PATCH,
    PATCH_NAME,
    QUESTION,
    SIGNS,
    SUBJECT,
    TEXT,
    SealedTown,
    office,
    people,
    sealed_town,
    temporary,
)
from tests.openpgp.clients.gnus import Gnus
from tests.openpgp.clients.neomutt import NeoMutt
from tests.openpgp.clients.programs import MailProgram
from tests.openpgp.keys import People
from tests.openpgp.keys import Person as Keyholder
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix
from tests.services.bench import TRUSTED

__all__ = ["office", "people", "temporary"]

MAILBOX, US = "security@example.org", "Example security <security@example.org>"
PROGRAMS: dict[str, Callable[[Path, Correspondent], MailProgram]] = {
    "neomutt": lambda folder, person: NeoMutt(folder, person.address, person.name, person.keyholder, person.known),
    "gnus": lambda folder, person: Gnus(folder, person.address, person.name, person.keyholder, person.known),
}


class Desk:
    """A person before their mail program."""

    def __init__(self, here: SealedTown, person: Correspondent, program: MailProgram) -> None:
        self.here, self.person, self.program = here, person, program

    def sends(self, mail: bytes) -> dict[str, list[Mail]]:
        """Their provider vouches for their address, as it would."""
        domain = self.person.address.rpartition("@")[2]
        proof = f"Authentication-Results: {TRUSTED}; dmarc=pass header.from={domain}\r\n"
        return self.here.send(proof.encode() + mail)

    def answers(self, text: str, **how: Any) -> dict[str, list[Mail]]:
        """To their newest mail, as they were shown it."""
        return self.sends(self.program.answer(self.newest, text, **how))

    @property
    def newest(self) -> bytes:
        return self.person.letters[-1].outside

    def sees(self, *words: str, files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Their newest mail, encrypted: the program shows these words in it, and calls our signature good."""
        assert canaries_in(self.newest) == [] and b"multipart/encrypted" in self.newest
        shown = self.program.show(self.newest, *files)
        assert shown.good == (US,), shown.text
        text = " ".join(shown.text.split())
        for word in words:
            assert word in text, shown.text
        assert shown.files == files


@pytest.fixture
def keys(people: People) -> dict[str, Keyholder]:
    """New ones: with two mailboxes of one address in a keyring, every program would ask which is meant."""
    owners = {"jane": "Jane Doe <jane@research.example>", "ada": "Ada <ada@example.org>"}
    return {name: people.join(owner) for name, owner in owners.items()}


@pytest.fixture
def start() -> Iterator[Callable[[str, Correspondent], MailProgram]]:
    """Makes the named program a person's."""
    with tempfile.TemporaryDirectory(prefix="program-") as folder:

        def start(name: str, person: Correspondent) -> MailProgram:
            place = Path(folder, name)
            place.mkdir()
            return PROGRAMS[name](place, person)

        yield start


@pytest.mark.parametrize(("janes", "adas"), [("neomutt", "gnus"), ("gnus", "neomutt")])
def test_a_sealed_case_is_worked_by_mail_programs(
    start: Callable[[str, Correspondent], MailProgram],
    janes: str,
    adas: str,
    sqlite_url: str,
    tmp_path: Path,
    dovecot: Dovecot,
    office: Postfix,
    keys: dict[str, Keyholder],
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys, SIGNS) as here:
        jane, ada = (Desk(here, who, start(name, who)) for who, name in ((here.jane, janes), (here.ada, adas)))
        (tmp_path / FILE_NAME).write_bytes(FILE)
        (tmp_path / "jane.asc").write_bytes(keys["jane"].gpg("--armor", "--export"))
        files = (tmp_path / FILE_NAME, tmp_path / "jane.asc")
        subject = SUBJECT if jane.program.hides_subject else "A report"
        out = jane.sends(jane.program.write(TEXT, subject, MAILBOX, files=files))
        (acknowledgement,) = out[here.jane.address]
        ref = str(acknowledgement["Subject"]).partition("]")[0].strip("[")
        shown = jane.program.show(jane.newest)
        assert shown.good == (US,) and ref in shown.text, shown.text
        ada.sees(ref, subject, TEXT)
        # Of Ada nothing counts that she has not signed.
        ada.answers(f"/published {ADVISORY}", sign=False)
        assert "published" not in here.events(ref)
        ada.answers(f"/own\n/needs-info\n{QUESTION}")
        state = here.state(ref)
        assert (state.stage, state.owner) == (Stage.NEEDS_INFO, "Ada")
        jane.sees(ref, QUESTION)
        jane.answers(ANSWER)
        assert here.state(ref).stage is Stage.REVIEWING
        ada.sees(ref, ANSWER)
        (tmp_path / PATCH_NAME).write_bytes(PATCH)
        ada.answers("/patched\nPlease try this.", files=(tmp_path / PATCH_NAME,))
        jane.sees("Please try this.", files={PATCH_NAME: PATCH})
        ada.answers(f"/published {ADVISORY}", encrypt=False)
        assert here.state(ref).stage is Stage.PUBLISHED
        jane.sees(ADVISORY)
