"""`message decrypt`: what is inside, to whoever may run commands on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailbox_service.services.ports.openpgp import PublicKey
from tests.cli.desk import Desk
from tests.end_to_end.openpgp_people import Correspondent
from tests.openpgp.keys import People

JANE, SECRET = "jane@research.example", "the canary is behind the second door"


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    everybody = People()
    yield everybody
    everybody.leave()


@pytest.fixture
def jane(desk: Desk, people: People) -> Correspondent:
    with desk.config.open("a") as file:
        file.write("openpgp: {folder: openpgp}\n")
    desk.done("migrate")
    desk.done("key", "generate")
    (row,) = desk.rows("key", "list")
    exported = desk.done("key", "export").text
    key = people.join(f"Jane <{JANE}>")
    return Correspondent(JANE, "Jane", key=key, ours=PublicKey(str(row["fingerprint"]), exported.encode()))


def taken_in(desk: Desk, mail: bytes) -> int:
    desk.done("ingest", "--mailbox", "security", desk.mail("sealed.eml", mail))
    return int(desk.rows("message", "list")[-1]["id"])


def plain() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f"Jane <{JANE}>", "security@demo.example", "A hole"
    mail["Message-ID"] = "<1@research.example>"
    mail.set_content(SECRET)
    return re.sub(rb"\r?\n", b"\r\n", mail.as_bytes())


def test_what_is_inside_is_shown_with_who_signed_it_and_kept_nowhere(desk: Desk, jane: Correspondent) -> None:
    number = taken_in(desk, jane.seal(plain()))
    shown = desk.done("message", "decrypt", str(number))
    assert SECRET in shown.text and "none that counts (unknown key)" in shown.err
    desk.done("key", "pin", JANE, jane.keyholder.fingerprint, "--file", _key(desk, jane))
    target = desk.folder / "inside.eml"
    told = desk.done("message", "decrypt", str(number), "-o", str(target))
    assert SECRET in target.read_text() and target.stat().st_mode & 0o777 == 0o600
    assert f"by {JANE}, key {jane.keyholder.fingerprint}" in told.err
    target.unlink()
    kept = [file for file in Path(desk.folder).rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert kept == []


def test_what_cannot_be_opened_is_refused_with_the_reason(desk: Desk, jane: Correspondent, people: People) -> None:
    clear = taken_in(desk, plain())
    refused = desk.run("message", "decrypt", str(clear))
    assert (refused.code, "is not encrypted" in refused.err) == (65, True)
    other = people.join("other@elsewhere.example")
    sealed = taken_in(desk, jane.seal(plain().replace(b"<1@", b"<2@"), to=other.public))
    refused = desk.run("message", "decrypt", str(sealed))
    assert (refused.code, "cannot be opened: no key" in refused.err) == (65, True)
    assert desk.run("message", "decrypt", "999").code == 66


def test_the_maintainers_are_told_once_when_a_message_can_be_opened_at_last(
    desk: Desk, jane: Correspondent, people: People
) -> None:
    lost = people.join("Security <security@demo.example>")
    number = str(taken_in(desk, jane.seal(plain(), to=lost.public)))
    case = desk.rows("message", "list")[0]["case"]
    before = len(desk.rows("outbox", "list"))
    refused = desk.run("message", "decrypt", number, "--tell")
    assert (refused.code, "cannot be opened: no key" in refused.err) == (65, True)
    assert len(desk.rows("outbox", "list")) == before
    desk.done("key", "import", desk.mail("lost.key", lost.secret()))
    told = desk.done("message", "decrypt", number, "--tell")
    assert "The maintainers are told" in told.text and SECRET not in told.text
    (new,) = desk.rows("outbox", "list")[before:]
    assert (new["kind"], new["recipient"], new["case"]) == ("notice_message", "maintainer@demo.example", case)
    assert "were told before" in desk.done("message", "decrypt", number, "--tell").text
    assert len(desk.rows("outbox", "list")) == before + 1
    target = desk.folder / "inside.eml"
    desk.done("message", "decrypt", number, "--tell", "-o", str(target))
    assert SECRET in target.read_text()


def _key(desk: Desk, person: Correspondent) -> str:
    return desk.mail("key.asc", person.keyholder.gpg("--armor", "--export"))
