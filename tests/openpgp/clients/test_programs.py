"""With mail programs that people use: they read and verify what we write, and we what they write."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.gpg.status import SignatureFlaw
from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.core.openpgp import encrypted, payload, signed
from mailbox_service.services.opening import Content, Openness, look
from mailbox_service.services.ports.openpgp import NotVerified, PublicKey, Verified
from tests.openpgp.clients.gnus import Gnus
from tests.openpgp.clients.neomutt import NeoMutt
from tests.openpgp.clients.programs import MailProgram
from tests.openpgp.conftest import ADDRESS
from tests.openpgp.keys import People, Person
from tests.openpgp.test_door import ours
from tests.openpgp.test_whole_mails import MAIL, REFERENCE

__all__ = ["ours"]

BOB = MAIL.to_address
SUBJECT = "Überlauf im Leser"
# With what breaks signatures on the way where a program does not take care: blanks at the end of a line, and "From ".
TEXT = "Größer als der Puffer. \n\nFrom there on parse_header reads too much.\n.\n-- \nBob\t\nResearch"
PROOF_NAME, PROOF = "proof.c", b"int main(void) { return 0; }\n"
# In the person's keyring it stands once, and certified.
US = f"Demo security <{ADDRESS}>"
# Signed and encrypted, signed only, encrypted only.
MEASURES = [(True, True), (True, False), (False, True)]

PROGRAMS: dict[str, Callable[[Path, Person, PublicKey], MailProgram]] = {
    "neomutt, gpgme": lambda folder, key, mailbox: NeoMutt(folder, BOB, "Bob", key, mailbox, gpgme=True),
    "neomutt, gpg": lambda folder, key, mailbox: NeoMutt(folder, BOB, "Bob", key, mailbox, gpgme=False),
    "gnus": lambda folder, key, mailbox: Gnus(folder, BOB, "Bob", key, mailbox),
}


@pytest.fixture(scope="module")
def bob(people: People) -> Person:
    return people.join(f"Bob <{BOB}>")


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest, bob: Person, ours: PublicKey) -> Iterator[MailProgram]:
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        yield PROGRAMS[request.param](Path(folder), bob, ours)


def sealed_for(bob: Person, door: GpgDoor) -> bytes:
    return encrypted(MAIL, REFERENCE, door.encrypt(payload(MAIL, REFERENCE), [bob.public], sign=True))


def signed_by_us(door: GpgDoor) -> bytes:
    inner = payload(MAIL)
    return signed(MAIL, inner, door.sign_detached(inner), "pgp-sha512")


def read(raw: bytes, door: GpgDoor, *signers: PublicKey) -> Content:
    return look(raw, parse(raw), door, signers)


def proof(folder: Path) -> tuple[Path]:
    path = folder / PROOF_NAME
    path.write_bytes(PROOF)
    return (path,)


# --- what we write ---------------------------------------------------------------------------------------------------


def test_what_we_encrypt_is_shown_with_its_subject_and_files_as_signed_by_us(
    program: MailProgram, bob: Person, door: GpgDoor
) -> None:
    raw = sealed_for(bob, door)
    shown = program.show(raw, "fix.patch")
    assert shown.good == (US,), shown.text
    assert "From here on it reads too much." in shown.text
    subject = MAIL.subject if program.hides_subject else REFERENCE
    assert f"Subject: {subject}" in shown.text.splitlines(), shown.text
    assert shown.files == {"fix.patch": MAIL.files[0].data}


def test_what_we_sign_is_shown_as_signed_by_us(program: MailProgram, door: GpgDoor) -> None:
    shown = program.show(signed_by_us(door), "fix.patch")
    assert shown.good == (US,), shown.text
    assert "From here on it reads too much." in shown.text and f"Subject: {MAIL.subject}" in shown.text
    assert shown.files == {"fix.patch": MAIL.files[0].data}


def test_what_was_changed_on_the_way_is_not_shown_as_signed(program: MailProgram, door: GpgDoor) -> None:
    raw = signed_by_us(door)
    shown = program.show(raw.replace(b"fix.patch", b"fox.patch"))
    assert "From here on it reads too much." in shown.text and shown.good == ()


# --- what we read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sign", "encrypt"), MEASURES)
def test_what_it_writes_is_read(
    program: MailProgram, bob: Person, door: GpgDoor, tmp_path: Path, sign: bool, encrypt: bool
) -> None:
    raw = program.write(TEXT, SUBJECT, ADDRESS, sign=sign, encrypt=encrypt, files=proof(tmp_path))
    content = read(raw, door, bob.public)
    assert content.openness is (Openness.OPENED if encrypt else Openness.CLEAR) and content.why == ""
    assert content.subject == SUBJECT and content.view.text.strip() == TEXT
    assert [(file.filename, file.data) for file in attached_files(content.entity)] == [(PROOF_NAME, PROOF)]
    assert (b"parse_header" in raw) is not encrypt
    assert parse(raw).subject == ("..." if encrypt and program.hides_subject else SUBJECT)
    if sign:
        assert isinstance(content.signature, Verified) and content.signature.fingerprint == bob.fingerprint
    else:
        assert content.signature == NotVerified(SignatureFlaw.NONE)


def test_a_signature_by_a_key_that_is_not_pinned_proves_nothing(
    program: MailProgram, door: GpgDoor, people: People
) -> None:
    other = people.join(f"Bob <{BOB}>").public
    for encrypt in (True, False):
        content = read(program.write(TEXT, SUBJECT, ADDRESS, encrypt=encrypt), door, other)
        assert content.signature == NotVerified(SignatureFlaw.UNKNOWN_KEY)


@pytest.mark.parametrize(("sign", "encrypt"), MEASURES)
def test_its_answer_to_a_mail_of_ours_is_read(
    program: MailProgram, bob: Person, door: GpgDoor, sign: bool, encrypt: bool
) -> None:
    raw = program.answer(sealed_for(bob, door), "/own\nThank you.", sign=sign, encrypt=encrypt)
    message = parse(raw)
    assert MAIL.message_id in (*message.in_reply_to, *message.references)
    content = read(raw, door, bob.public)
    assert content.openness is (Openness.OPENED if encrypt else Openness.CLEAR)
    assert content.subject == f"Re: {MAIL.subject if program.hides_subject else REFERENCE}"
    assert content.view.text.startswith("/own\nThank you.\n") and "> Hello," in content.view.text
    assert isinstance(content.signature, Verified) is sign


def test_a_key_that_goes_with_an_encrypted_report_is_offered(
    program: MailProgram, bob: Person, door: GpgDoor, tmp_path: Path
) -> None:
    key = tmp_path / "bob.asc"
    key.write_bytes(bob.gpg("--armor", "--export", bob.fingerprint))
    content = read(program.write(TEXT, SUBJECT, ADDRESS, files=(key,)), door, bob.public)
    assert [offered.key.fingerprint for offered in content.offered] == [bob.fingerprint]


# --- of one program only ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def neomutt(bob: Person, ours: PublicKey) -> Iterator[NeoMutt]:
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        yield NeoMutt(Path(folder), BOB, "Bob", bob, ours, gpgme=False)


@pytest.mark.parametrize("sign", [True, False])
def test_what_neomutt_encrypts_inline_is_read(neomutt: NeoMutt, bob: Person, door: GpgDoor, sign: bool) -> None:
    raw = neomutt.write(TEXT, "A report", ADDRESS, sign=sign, inline=True)
    assert b"multipart/" not in raw
    content = read(raw, door, bob.public)
    assert content.openness is Openness.OPENED and content.view.text.strip() == TEXT
    assert isinstance(content.signature, Verified) is sign


def test_what_neomutt_signs_inline_is_read_and_proves_nothing(neomutt: NeoMutt, bob: Person, door: GpgDoor) -> None:
    raw = neomutt.write(TEXT, "A report", ADDRESS, encrypt=False, inline=True)
    content = read(raw, door, bob.public)
    assert content.openness is Openness.CLEAR and isinstance(content.signature, NotVerified)
    assert "From there on parse_header reads too much." in content.view.text
