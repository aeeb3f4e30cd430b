"""Attacks on signed and encrypted mail through the real daemon: nobody is taken for another, nothing is done, nothing
leaks, and everything is on file.

The kinds are those of "Johnny, you are fired!" and "Re: What's up Johnny?"; where the corpora of these papers are
beside the repository, their own mails go the same way.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailbox_service.services.ports.openpgp import PublicKey
from tests.conversation.people import said
from tests.end_to_end.canaries import CANARIES, canaries_in, search
from tests.end_to_end.conversing import ADA, post_office, ready
from tests.end_to_end.daemon import ROOT, Desk
from tests.end_to_end.openpgp_people import Correspondent, outside_of
from tests.end_to_end.test_corpora import LARGEST_BYTES, desk_raw, distinct
from tests.end_to_end.test_openpgp import (
    SIGNS,
    SealedTown,
    ciphertext_of,
    fingerprint_of,
    furnished,
    pin,
    run,
    sealed_town,
)
from tests.openpgp.keys import People
from tests.openpgp.keys import Person as Keyholder
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix
from tests.peers.scripted_smtp import scripted_smtp

CORPORA = ROOT.parent / "shared" / "corpora" / "eml" / "attack"
JOHNNY = CORPORA / "RUB-NDS+Johnny-You-Are-Fired"
COVERT = CORPORA / "RUB-NDS+Covert-Content-Attacks"
SIGNED_BY = re.compile(r"It is signed by the key pinned .*?([0-9A-F]{40})")
SIGNED, SIGNED_HOW = re.compile(rb"(?i)(multipart/signed;)"), rb"\1 micalg=pgp-sha256;"
COMMAND = "/close spam"
EACH_ALONE = "notices: {collect_above_per_hour: 10000}"


@pytest.fixture(scope="module")
def office() -> Iterator[Postfix]:
    with post_office() as peer:
        yield peer


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    everybody = People()
    yield everybody
    everybody.leave()


@pytest.fixture(scope="module")
def keys(people: People) -> dict[str, Keyholder]:
    named = {"jane": "jane@research.example", "ada": "ada@example.org", "mallory": "ada@example.org"}
    return {name: people.join(f"{name} <{address}>") for name, address in named.items()}


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the daemon puts what is temporary; gpg wants a short name for its socket."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def mixed(head: bytes, *parts: bytes, kind: str = "mixed") -> bytes:
    body = b"".join(b"--outer-b\r\n" + part + b"\r\n" for part in parts)
    return (
        head
        + f'MIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary="outer-b"\r\n\r\n'.encode()
        + (body + b"--outer-b--\r\n")
    )


def entity_of(mail: bytes) -> tuple[bytes, bytes]:
    """The header fields of a mail without those of its content, and its content as a part."""
    at = mail.index(b"MIME-Version")
    return mail[:at], mail[at:]


def text(line: str) -> bytes:
    return f"Content-Type: text/plain\r\n\r\n{line}\r\n".encode()


def wrong_signatures(ada: Correspondent, notice: object, mallory: Keyholder) -> list[bytes]:
    """Commands beside what Ada signed, in her name, as an answer to a mail of ours to her; and signed by others."""
    good = ada.sign(ada.write("I agree.", answering=notice, proven=False, quote=False))  # type: ignore[arg-type]
    head, signed = entity_of(good)
    inside = signed.partition(b"\r\n\r\n")[2]
    forged = ada.sign(ada.write(COMMAND, answering=notice, proven=False, quote=False), by=mallory)  # type: ignore[arg-type]
    two = re.sub(rb"(?m)^From: .*\r\n", b"From: mallory@evil.example\r\nFrom: ada@example.org\r\n", forged, count=1)
    shown = re.sub(
        rb"(?m)^From: .*\r\n", b'From: "ada@example.org" <mallory@evil.example>\r\nSender: ada@example.org\r\n', forged
    )
    related = b"Content-Type: text/html\r\n\r\n" + COMMAND.encode() + b'<img src="cid:s">\r\n'
    mails = [
        mixed(head, text(COMMAND), signed),
        mixed(head, text(COMMAND), signed, kind="alternative"),
        mixed(head, related, b"Content-ID: <s>\r\n" + signed, kind="related"),
        mixed(head, b"Content-Type: message/rfc822\r\n\r\n" + good, text(COMMAND)),
        good.replace(b"I agree.", COMMAND.encode()),
        good + f"\r\n--signed-b\r\nContent-Type: text/plain\r\n\r\n{COMMAND}\r\n--signed-b--\r\n".encode(),
        head + b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + COMMAND.encode() + b"\r\n\r\n" + inside,
        forged,
        two,
        shown,
    ]
    return [with_id(mail, number) for number, mail in enumerate(mails)]


def covert(head: bytes, blob: bytes) -> list[bytes]:
    """A stolen ciphertext where a mail program might decrypt it, and its answer might quote it."""
    inline = b"Content-Type: text/plain\r\n\r\n" + blob + b"\r\n"
    control = b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
    data = b"Content-Type: application/octet-stream\r\n\r\n" + blob + b"\r\n"
    whole = mixed(b"", control, data, kind='encrypted; protocol="application/pgp-encrypted"').replace(b"outer-b", b"in")
    blind = b"Content-Type: text/html\r\n\r\n<style>p{display:none}</style><p><pre>\r\n" + blob + b"\r\n</pre></p>\r\n"
    mails = [
        mixed(head, text("What do you think?"), inline),
        mixed(head, text("What do you think?"), whole),
        mixed(head, text("What do you think?"), whole, kind="related"),
        mixed(head, text("What do you think?"), inline, kind="alternative"),
        mixed(head, text("It came back."), b"Content-Type: message/rfc822\r\n\r\n" + whole, kind="report"),
        mixed(head, text("See the file."), b'Content-Disposition: attachment; filename="a.asc"\r\n' + data),
        mixed(head, control, data, text("and this?"), kind="encrypted"),
        head + b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nWhat do you think?\r\n" + b"\r\n" * 99 + blob,
        head + blind,
    ]
    return [with_id(mail, number) for number, mail in enumerate(mails)]


def with_id(mail: bytes, number: int) -> bytes:
    return re.sub(rb"(?mi)^Message-ID: <", b"Message-ID: <%d." % number, mail, count=1)


def told(people: Sequence[Correspondent], before: dict[str, int]) -> list[str]:
    """What the mails say that they got since, opened."""
    mails = [mail for person in people for mail in person.got[before[person.address] :]]
    return [f"{said(mail)}\n{mail.as_string()}" for mail in mails]


def counts(here: SealedTown) -> dict[str, int]:
    return {person.address: len(person.got) for person in here.people}


def all_on_file(here: SealedTown, mails: Sequence[bytes]) -> None:
    rows = here.desk.messages()
    kept = {desk_raw(here.desk, row["id"]) for row in rows}
    assert set(mails) <= kept
    assert not [row for row in rows if "five attempts" in str(row["why"])]


def nothing_in_clear(here: SealedTown, *folders: Path) -> None:
    assert search(*folders) == []
    assert [found for person in here.people for data in here.maildir(person) for found in canaries_in(data)] == []


def test_nobody_is_taken_for_another_nothing_is_done_and_nothing_leaks(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], temporary: Path
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys, SIGNS) as here:
        ref = here.begin_sealed()
        notice, before = here.newest(here.ada, ref), counts(here)
        attacks = wrong_signatures(here.ada, notice, keys["mallory"])
        blob = ciphertext_of(here.desk.ask(lambda tx: tx.raw(1)))
        attacks += covert(outside_of(here.mallory.write("", subject="Your opinion?")), blob)
        in_her_name = here.ada.write("", answering=notice, proven=False, quote=False)
        attacks += covert(re.sub(rb"(?m)^Message-ID: <", b"Message-ID: <c.", outside_of(in_her_name)), blob)
        here.send(*attacks)
        assert here.untouched(ref)
        words = told([here.ada], before)
        assert words, "she is told of what came in her name"
        assert [word for word in words if SIGNED_BY.search(word)] == []
        assert not any(canary in word for word in words for canary in CANARIES)
        assert not any(canaries_in(data) for data in here.maildir(here.mallory))
        # Her own signature where it belongs is heard.
        here.send(here.ada.sign(here.ada.write("/reproduced", answering=notice, proven=False, quote=False)))
        assert "reproduced" in here.events(ref)
        all_on_file(here, attacks)
        nothing_in_clear(here, tmp_path, temporary)


# --- the mails of the papers -----------------------------------------------------------------------------------------


def threaded(raw: bytes, notice: object, number: int, **names: str) -> bytes:
    """A mail of the corpora as an answer to a mail of ours, its people called as ours are."""
    raw = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    head, blank, body = raw.partition(b"\r\n\r\n")
    for theirs, ours in names.items():
        head = head.replace(f"{theirs}@bigcorporation.de".encode(), ours.encode())
    head = SIGNED.sub(SIGNED_HOW, head)
    body = body.replace(b"Johnny, you are fired!", COMMAND.encode(), 1) if b"multipart/mixed" in head else body
    wanted = f"Message-ID: <corpus.{number}@example.org>\r\n"
    if notice is not None:
        wanted += f"In-Reply-To: {notice['Message-ID']}\r\n"  # type: ignore[index]
    return wanted.encode() + head + blank + body


@pytest.mark.skipif(not JOHNNY.is_dir(), reason="the corpora are not beside the repository")
def test_the_corpora_of_forged_signatures_obtain_nothing(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], temporary: Path
) -> None:
    """Their manager is Grace here, with the manager's key pinned; Eve is Mallory, and Ada reads what is told."""
    both_sign = SIGNS.replace("address: grace@example.org", "address: grace@example.org, signed_only: true")
    desk, user = furnished(tmp_path, sqlite_url, dovecot, office, keys, both_sign)
    here = SealedTown(desk, dovecot, user, office, keys)
    public = (JOHNNY / "assets" / "public-keys" / "manager@bigcorporation.asc").read_bytes()
    fingerprint = fingerprint_of(public, keys["ada"])
    with desk.running():
        ready(desk)
        ref = here.begin_sealed()
        run(desk, "key", "pin", "grace@example.org", fingerprint, "--file", "-", data=public)
        names = {"manager": "grace@example.org", "eve": "mallory@evil.example", "johnny": "security@example.org"}
        notice = here.newest(here.grace, ref)
        # Of many mails in a maintainer's name only the first are told of, so those that gpg is shown come before.
        paths = sorted(JOHNNY.rglob("*.eml"), key=lambda path: ("manager-pgp" not in path.stem, "pgp" not in path.stem))
        mails = [threaded(path.read_bytes(), notice, number, **names) for number, path in enumerate(paths)]
        before = counts(here)
        here.send(*mails)
        assert here.untouched(ref)
        words = told([here.ada], before)
        shown = [found[1] for word in words if (found := SIGNED_BY.search(word))]
        # The one mail that the manager signed, and sent as the manager; all others are shown as what they are.
        assert shown == [fingerprint]
        all_on_file(here, mails)
        nothing_in_clear(here, tmp_path, temporary)


@pytest.mark.skipif(not COVERT.is_dir(), reason="the corpora are not beside the repository")
def test_the_corpora_of_covert_content_get_nothing_decrypted(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], temporary: Path
) -> None:
    """The mailbox has the key that they were encrypted to; the mail that they were stolen from is opened."""
    desk, user = furnished(tmp_path, sqlite_url, dovecot, office, keys)
    alias = "address: security@example.org\n    aliases: [manager@bigcorporation.de]"
    desk.config.write_text(desk.config.read_text().replace("address: security@example.org", alias, 1))
    run(desk, "key", "import", str(COVERT / "assets" / "secret-keys" / "manager@bigcorporation-sec.asc"))
    here = SealedTown(desk, dovecot, user, office, keys)
    canary = "ENCRYPTED MESSAGE"
    with desk.running():
        ready(desk)
        names = {"johnny": "mallory@evil.example"}
        paths = sorted(COVERT.rglob("*.eml"), reverse=True)
        assert paths[-1].stem == "00-original-mail"
        mails = [
            threaded(
                re.sub(rb"(?m)^From: .*$", b"From: mallory@evil.example", path.read_bytes(), count=1),
                None,
                number,
                **names,
            )
            for number, path in enumerate(paths)
        ]
        before = counts(here)
        here.send(*mails[:-1])
        assert not any(canary in word for word in told([here.ada], before))
        assert here.ada.got[before[here.ada.address] :], "they are told of"
        before = counts(here)
        here.send(mails[-1])
        assert any(canary in word for word in told([here.ada], before))
        all_on_file(here, mails)
        files = [path for folder in (tmp_path, temporary) for path in folder.rglob("*") if path.is_file()]
        assert [path for path in files if canary.encode() in path.read_bytes()] == []
        assert not any(canary.encode() in data for person in here.people for data in here.maildir(person))


@pytest.mark.timeout(400)
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside the repository")
async def test_all_files_of_the_attack_corpora_go_through_a_mailbox_with_keys(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, keys: dict[str, Keyholder], temporary: Path
) -> None:
    """Also what is no mail: keys, packets, signatures. The senders of the papers are maintainers with pinned keys."""
    files = sorted(path for path in CORPORA.rglob("*") if path.is_file() and path.stat().st_size < LARGEST_BYTES)
    # None of them says by which digest it was signed, and nothing is verified (RFC 3156 §5): so they come twice, and
    # those that are what they seem to be before the many in a maintainer's name that nobody is told of.
    whole = [SIGNED.sub(SIGNED_HOW, path.read_bytes()) for path in sorted(JOHNNY.rglob("*-pgp-mime.eml"), key=_honest)]
    letters = distinct([*whole, *(path.read_bytes() for path in files)])
    user, names = dovecot.add_user(), ("manager", "eve")
    dovecot.fill(user, letters)
    async with scripted_smtp() as smtp:
        desk = Desk(tmp_path, sqlite_url, imap=dovecot.port, user=user, smtp=smtp.port, answer_backlog=True)
        roster = ", ".join(f"{{name: {name}, address: {name}@bigcorporation.de}}" for name in names)
        text = desk.config.read_text().replace(ADA, f"{ADA[:-1]}, {roster}]\n    {EACH_ALONE}")
        desk.config.write_text(f"{text}openpgp: {{folder: openpgp}}\n")
        await asyncio.to_thread(run, desk, "key", "generate")
        await asyncio.to_thread(pin, desk, "ada@example.org", keys["ada"])
        theirs = {}
        for name in names:
            public = (JOHNNY / "assets" / "public-keys" / f"{name}@bigcorporation.asc").read_bytes()
            theirs[f"{name}@bigcorporation.de"] = fingerprint_of(public, keys["ada"])
            words = ("key", "pin", f"{name}@bigcorporation.de", theirs[f"{name}@bigcorporation.de"], "--file", "-")
            await asyncio.to_thread(functools.partial(run, desk, *words, data=public))
        for _ in range(5):
            # What gpg did not come to within a minute is worked again.
            if (code := await asyncio.to_thread(desk.once, 300)) == 0:
                break
            await asyncio.sleep(10)
        exported = await asyncio.to_thread(run, desk, "key", "export")
    rows = desk.messages()
    kept = {one.data for name in ("INBOX", "Redirected") for one in dovecot.messages(user, name)}
    assert code == 0, desk.log()
    assert {desk_raw(desk, row["id"]) for row in rows} == kept and len(rows) == len(kept) > 200
    assert {row["state"] for row in rows} <= {"done", "held"}
    assert not [row for row in rows if "five attempts" in str(row["why"])]
    ours = PublicKey(fingerprint_of(exported, keys["ada"]), exported)
    ada = Correspondent("ada@example.org", "Ada", key=keys["ada"], ours=ours)
    told = [ada.read(data) for data in smtp.accepted if b"To: ada@example.org" in data]
    shown = [" ".join(said(letter.mail).split()) for letter in told]
    signed = [(found[1], text) for text in shown if (found := SIGNED_BY.search(text))]
    assert signed, "two of them are by who they say"
    for fingerprint, text in signed:
        # Whoever it names as the signer has signed it, and the author of the mail is nobody else.
        (whose,) = [address for address, key in theirs.items() if key == fingerprint]
        assert f"pinned to {whose}" in text and f"Address: {whose}" in text
    events = {str(event["event"]) for case in desk.ask(lambda tx: tx.list_cases()) for event in journal_of(desk, case)}
    assert events <= {"opened", "message_added", "automatic_reply", "key_pinned", "delivery_failed"}, events
    assert os.listdir(temporary) == []


def _honest(path: Path) -> tuple[bool, str]:
    return path.parent.name != "valid-signed", path.stem


def journal_of(desk: Desk, case: dict[str, object]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = desk.ask(lambda tx: tx.journal_of(tx.case_named("security", case["ref"])))
    return found
