"""Cases worked in encrypted mail through real servers, with everybody's own gpg."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import quopri
import re
import signal
import subprocess
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.header import Header
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mailbox_service.core.case import Resolution, Stage
from mailbox_service.services.ports.openpgp import PublicKey
from tests.conversation.people import Mail, said
from tests.end_to_end.canaries import CANARIES, canaries_anywhere_in, canaries_in, dumped, search
from tests.end_to_end.conversing import ADA, BOTH, Town, post_office, ready
from tests.end_to_end.daemon import ROOT, Desk
from tests.end_to_end.openpgp_people import Correspondent, outside_of, wrapped
from tests.openpgp.keys import People
from tests.openpgp.keys import Person as Keyholder
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix
from tests.peers.postgres import PostgresServer
from tests.services.bench import TRUSTED

_EACH_NOTICE_ALONE = "notices: {collect_above_per_hour: 10000}"

VECTOR = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
ADVISORY = "https://example.org/advisories/1"
# None of these may be found anywhere but where it was decrypted by those it is for.
SUBJECT, TEXT, FILE_NAME = "quetzalcoatl overflow", "xylophonist reads kaleidoscope files", "ptarmigan-exploit.c"
FILE = b"int bandersnatch = 4096;\n"
QUESTION, ANSWER, INSIDE = "Is it the jabberwocky build?", "It is the brillig build.", "The mimsy branch has it too."
PATCH_NAME, PATCH = "borogove.patch", b"--- a/login.go\n+++ b/login.go\n+outgrabe(name)\n"
TRIED, FAREWELL = "I tried it on two slithy machines.", "It was a frabjous pleasure."


class SealedTown(Town):
    """Jane and Ada have keys; Ada's is pinned by the operator. Grace has none."""

    jane: Correspondent
    ada: Correspondent

    def __init__(self, desk: Desk, dovecot: Dovecot, user: str, postfix: Postfix, keys: dict[str, Keyholder]) -> None:
        super().__init__(desk, dovecot, user, postfix)
        exported = run(desk, "key", "export")
        ours = PublicKey(fingerprint_of(exported, keys["ada"]), exported)
        self.ours = ours
        self.jane = Correspondent("jane@research.example", "Jane Doe", key=keys["jane"], ours=ours)
        self.ada = Correspondent("ada@example.org", "Ada", key=keys["ada"], ours=ours)

    def begin_sealed(self, subject: str = SUBJECT, text: str = TEXT) -> str:
        """Jane reports something encrypted, with her key in it; the name of the case."""
        mail = self.jane.write(text, subject=subject, files=((FILE_NAME, FILE),))
        (acknowledgement,) = self.send(self.jane.seal(mail, offer=True))[self.jane.address]
        return str(acknowledgement["Subject"]).partition("]")[0].strip("[")

    def seal_answer(self, who: Correspondent, body: str, ref: str, to: str = "", **how: Any) -> dict[str, list[Mail]]:
        """`who` answers their newest mail of the case, signed and encrypted."""
        return self.send(who.seal(who.write(body, answering=self.newest(who, ref, to), **how), subject=f"Re: [{ref}]"))


def run(desk: Desk, *words: str, data: bytes = b"", code: int = 0) -> bytes:
    """Standard output of a verb."""
    ran = subprocess.run(desk.command(*words), cwd=ROOT, input=data, capture_output=True, timeout=60, check=False)
    assert ran.returncode == code, f"{ran.returncode}: {ran.stdout!r} {ran.stderr!r}"
    return ran.stdout


def fingerprint_of(public: bytes, anybody: Keyholder) -> str:
    listed = anybody.gpg("--with-colons", "--show-keys", data=public).decode()
    return next(line for line in listed.splitlines() if line.startswith("fpr:")).split(":")[9]


def pin(desk: Desk, address: str, key: Keyholder) -> None:
    public = key.gpg("--armor", "--export", key.fingerprint)
    run(desk, "key", "pin", address, key.fingerprint, "--file", "-", data=public)
    # What is told of it is tried in tests/openpgp/test_key_news.py; here it would stand among the mails of the cases.
    told = [
        row["id"] for row in desk.ask(lambda tx: tx.list_outbound()) if row["kind"] in ("key_changed", "notice_key")
    ]
    run(desk, "outbox", "withdraw", *map(str, told))


def furnished(
    folder: Path, url: str, dovecot: Dovecot, postfix: Postfix, keys: dict[str, Keyholder], roster: str = BOTH
) -> tuple[Desk, str]:
    """A configuration with a key of the mailbox's own and Ada's pinned; and the mailbox's user."""
    user = dovecot.add_user()
    desk = Desk(folder, url, imap=dovecot.port, user=user, smtp=postfix.port)
    text = desk.config.read_text().replace(ADA, f"{roster}\n    authserv_id: {TRUSTED}\n    {_EACH_NOTICE_ALONE}")
    desk.config.write_text(f"{text}openpgp: {{folder: openpgp}}\n")
    run(desk, "key", "generate")
    pin(desk, "ada@example.org", keys["ada"])
    return desk, user


@contextmanager
def sealed_town(
    folder: Path, url: str, dovecot: Dovecot, postfix: Postfix, keys: dict[str, Keyholder], roster: str = BOTH
) -> Iterator[SealedTown]:
    """The daemon runs, with its keys."""
    desk, user = furnished(folder, url, dovecot, postfix, keys, roster)
    here = SealedTown(desk, dovecot, user, postfix, keys)
    with desk.running():
        ready(desk)
        yield here


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
    return {
        "jane": people.join("Jane Doe <jane@research.example>"),
        "ada": people.join("Ada <ada@example.org>"),
        "mallory": people.join("Ada <ada@example.org>"),
    }


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the daemon puts what is temporary; gpg wants a short name for its socket."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_all_that_goes_out_is_signed_and_a_maintainers_key_gets_ciphertext(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder]
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys) as here:
        ref = here.begin()
        here.answer(here.ada, "/own\n/needs-info\nWhich version?", ref)
        assert here.state(ref).stage is Stage.NEEDS_INFO
        assert "Which version?" in said(here.jane.got[-1])
        for letter in (*here.jane.letters, *here.ada.letters):
            assert letter.signed_by == here.ours.fingerprint, letter.mail["Subject"]
        assert [letter.encrypted for letter in here.jane.letters] == [False] * len(here.jane.got)
        assert here.ada.letters and all(letter.encrypted for letter in here.ada.letters)
        assert all(len(letter.recipients) == 1 for letter in here.ada.letters)
        assert all(ref in str(mail["Subject"]) for mail in here.ada.got)
        assert not any(b"SQL injection" in letter.outside for letter in here.ada.letters)
        assert all("encrypted" not in mail.get_content_type() for mail in here.grace.got)


def test_what_a_killed_daemon_leaves_is_gone_with_the_next_one(
    sqlite_url: str,
    tmp_path: Path,
    dovecot: Dovecot,
    office: Postfix,
    keys: dict[str, Keyholder],
    temporary: Path,
) -> None:
    desk, user = furnished(tmp_path, sqlite_url, dovecot, office, keys)
    left: set[str] = set()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(desk.command("run"), cwd=ROOT, stdout=log, stderr=log)
        try:
            ready(desk)
            here = SealedTown(desk, dovecot, user, office, keys)
            here.begin()
            left = {path.name for path in temporary.iterdir()}
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    assert left, "there is a folder for gpg while the daemon runs"
    with desk.running():
        ready(desk)
        desk.until(lambda: not left & {path.name for path in temporary.iterdir()})
    assert list(temporary.iterdir()) == []
    # Nor does an agent of gpg go on running without its folder.
    agents = subprocess.run(["pgrep", "-fa", "gpg-agent"], capture_output=True, check=False).stdout.decode()
    assert str(temporary) not in agents


@pytest.mark.timeout(180)
def test_a_daemon_killed_again_and_again_in_its_work_leaves_nothing_in_clear_and_loses_nothing(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], temporary: Path
) -> None:
    desk, user = furnished(tmp_path, sqlite_url, dovecot, office, keys)
    here = SealedTown(desk, dovecot, user, office, keys)
    left, before = set[str](), len(here.maildir(here.ada))
    # Each is killed a little later in its work: with a message on file, opened and concluded, its first mail out.
    moments: tuple[Callable[[], object], ...] = (
        desk.messages,
        lambda: len(desk.messages()) > 1,
        lambda: any(row["state"] == "done" for row in desk.messages()),
        lambda: any(mail["state"] == "sent" for mail in desk.mails()),
    )
    texts = [f"{TEXT}, number {number}" for number in range(len(moments))]
    for number, text in enumerate(texts):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(desk.command("run"), cwd=ROOT, stdout=log, stderr=log)
        try:
            ready(desk)
            mail = here.jane.write(text, subject=f"{SUBJECT} {number}", files=((FILE_NAME, FILE),))
            dovecot.append(user, here.jane.seal(mail))
            desk.until(lambda: bool(moments[number]()))  # noqa: B023 - it is called here
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        left |= {path.name for path in temporary.iterdir()}
        assert search(tmp_path, temporary) == []
    assert len(left) >= len(texts), "each has worked in a folder of its own"
    with desk.running():
        desk.until(lambda: [row["state"] for row in desk.messages()] == ["done"] * len(texts))
        desk.until(lambda: {mail["state"] for mail in desk.mails()} <= {"sent", "withdrawn"})
        desk.until(lambda: not left & {path.name for path in temporary.iterdir()})
        assert search(tmp_path, temporary) == []
        mails = here.maildir(here.ada)[before:]
        read = " ".join(said(here.ada.read(data).mail) for data in mails)
        assert all(text in read for text in texts)
        assert [found for data in mails for found in canaries_anywhere_in(data)] == []
    assert list(temporary.iterdir()) == []


def test_other_keys_are_taken_over_while_the_daemon_runs(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], temporary: Path
) -> None:
    desk, user = furnished(tmp_path, sqlite_url, dovecot, office, keys)
    here = SealedTown(desk, dovecot, user, office, keys)
    with desk.running() as process:
        ready(desk)
        here.begin_sealed()
        assert here.ada.letters[-1].signed_by == here.ours.fingerprint
        desk.config.write_text(desk.config.read_text().replace("folder: openpgp}", "folder: others}"))
        run(desk, "key", "generate")
        process.send_signal(signal.SIGHUP)
        desk.until(lambda: '"configuration taken over"' in desk.log())
        exported = run(desk, "key", "export")
        newer = PublicKey(fingerprint_of(exported, keys["ada"]), exported)
        assert newer.fingerprint != here.ours.fingerprint
        former, here.jane.ours, here.ada.ours = here.ours, newer, newer
        here.begin_sealed(text=f"{TEXT} again")
        _has(here.ada, SUBJECT, f"{TEXT} again")
        assert here.ada.letters[-1].signed_by == newer.fingerprint
        # What is encrypted to a key that lies in the former folder alone is a report that nobody can open.
        (acknowledgement,) = here.send(here.jane.seal(here.jane.write(INSIDE), to=former))[here.jane.address]
        assert "SEC-" in str(acknowledgement["Subject"]) and "no key" in said(here.ada.got[-1])
        assert len(list(temporary.iterdir())) == 1
    assert list(temporary.iterdir()) == [] and search(tmp_path) == []


# --- the whole way, encrypted ----------------------------------------------------------------------------------------


def test_an_encrypted_report_is_read_by_whom_it_is_for_and_lies_nowhere_in_clear(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], temporary: Path
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys) as here:
        ref = here.begin_sealed()
        assert not here.jane.letters[-1].encrypted, "a first answer would say whose key is known"
        _has(here.ada, SUBJECT, TEXT)
        assert here.ada.letters[-1].encrypted and here.ada.letters[-1].signed_by == here.ours.fingerprint
        assert here.grace.got and ref in str(here.grace.got[-1]["Subject"]), "told that something came"
        number = str(here.desk.messages()[0]["id"])
        assert SUBJECT in run(here.desk, "message", "decrypt", number).decode()
        running = search(tmp_path, temporary)
        mails = [data for person in here.people for data in here.maildir(person)]
    assert running == search(tmp_path, temporary) == []
    assert [found for data in mails for found in canaries_in(data)] == []
    assert list(temporary.iterdir()) == []


@pytest.mark.timeout(120)
def test_a_case_goes_its_whole_way_and_nothing_of_it_lies_in_clear(
    database_url: str,
    tmp_path: Path,
    dovecot: Dovecot,
    office: Postfix,
    keys: dict[str, Keyholder],
    temporary: Path,
    request: pytest.FixtureRequest,
) -> None:
    with sealed_town(tmp_path, database_url, dovecot, office, keys) as here:
        jane, ada, grace = here.jane, here.ada, here.grace
        ref = here.begin_sealed()
        assert not jane.letters[0].encrypted, "whoever writes in her name must not learn that her key is known"
        _has(ada, SUBJECT, TEXT)
        out = here.seal_answer(ada, f"/own\n/needs-info\n{QUESTION}", ref)
        assert any(QUESTION in said(mail) for mail in out[jane.address])
        (news,) = (letter for letter in jane.letters[1:] if not letter.encrypted)
        assert keys["jane"].public.spoken in said(news.mail), "her key is told by the way that mail took before"
        assert all(letter.signed_by == here.ours.fingerprint for letter in jane.letters)
        out = here.seal_answer(jane, ANSWER, ref)
        assert here.state(ref).stage is Stage.REVIEWING
        _has(ada, ANSWER)
        here.seal_answer(ada, f"/reproduced\n/severity {VECTOR}\n{INSIDE}", ref)
        here.seal_answer(ada, "/patched\nPlease try this.", ref, files=((PATCH_NAME, PATCH),))
        (attached,) = jane.newest("Please try this.").iter_attachments()
        assert (attached.get_filename(), attached.get_payload(decode=True)) == (PATCH_NAME, PATCH)
        here.seal_answer(jane, f"/fix-works\n{TRIED}", ref)
        _has(ada, TRIED)
        here.seal_answer(ada, "/released 4.38.1", ref)
        out = here.seal_answer(ada, f"/published {ADVISORY}", ref)
        assert here.state(ref).stage is Stage.PUBLISHED, "signed: nobody is asked again"
        assert ADVISORY in said(out[jane.address][0])
        here.seal_answer(ada, f"/close resolved\n{FAREWELL}", ref)
        assert FAREWELL in said(jane.got[-1])
        state = here.state(ref)
        assert (state.stage, state.resolution) == (Stage.CLOSED, Resolution.RESOLVED)
        assert grace.got and all(ref in str(mail["Subject"]) for mail in grace.got), "told that something happened"
        assert all(letter.encrypted for letter in (*ada.letters, *jane.letters[1:]) if letter is not news)
        running = search(tmp_path, temporary)
        mails = [data for person in here.people for data in here.maildir(person)]
    assert running == []
    assert search(tmp_path, temporary, office.root) == []
    assert [found for data in mails for found in canaries_anywhere_in(data)] == []
    assert list(temporary.iterdir()) == []
    if database_url.startswith("postgres"):
        server: PostgresServer = request.getfixturevalue("postgres")
        dump = dumped(database_url)
        assert b"security@example.org" in dump and ref.encode() in dump
        assert canaries_in(dump) == canaries_in("".join(server.log).encode()) == []
        # The server's own files too: what was written and deleted, and its journal.
        assert search(server.folder / "data") == []


def test_what_is_encrypted_to_another_key_is_acknowledged_and_says_why_it_is_closed(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder]
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys) as here:
        jane = here.jane
        out = here.send(jane.seal(jane.write(TEXT, subject=SUBJECT), to=keys["mallory"].public))
        (acknowledgement,) = out[jane.address]
        assert "SEC-" in str(acknowledgement["Subject"])
        (message,) = here.desk.messages()
        assert message["case"]
        ran = subprocess.run(
            here.desk.command("message", "decrypt", str(message["id"])), cwd=ROOT, capture_output=True, check=False
        )
    assert ran.returncode not in (0, 70) and not ran.stdout
    assert b"key" in ran.stderr and b"Traceback" not in ran.stderr, ran.stderr


def test_a_case_that_becomes_sealed_midway_is_closed_to_those_without_a_key(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], temporary: Path
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys) as here:
        ref = here.begin()
        assert "SQL injection" in said(here.grace.got[-1])
        here.seal_answer(here.jane, ANSWER, ref)
        _has(here.ada, ANSWER)
        assert here.ada.letters[-1].encrypted
        assert here.desk.ask(lambda tx: tx.case_row(ref))["sealed"]
        here.answer(here.jane, f"In clear again: {TRIED}", ref)
        mails = [data for person in here.people for data in here.maildir(person)]
        assert [found for data in mails for found in canaries_in(data)] == []
        _has(here.ada, TRIED)


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    for word in CANARIES:
        for before in range(7):
            assert canaries_in(base64.b64encode(bytes(before) + word.encode() + b"..")) == [word]
        assert canaries_in(b"..." + word.encode()) == canaries_in(word.encode("utf-16-le")) == [word]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text(TEXT)
    assert len(search(tmp_path)) == 2
    assert canaries_in(base64.b64encode(bytes(range(256)) * 9)) == []
    assert canaries_in(TEXT.encode().hex().encode()) == ["xylophonist", "kaleidoscope"]


def test_the_search_finds_what_mail_and_archives_wrap(tmp_path: Path) -> None:
    text = f"{'x' * 60} {TEXT} äöü {'y' * 60}\n".encode()
    compressed = zlib.compressobj(9, zlib.DEFLATED, -15)
    literal = b"\xcb" + bytes((len(text) + 6,)) + b"b\0\0\0\0\0" + text
    packet = b"\xa3\x01" + compressed.compress(literal) + compressed.flush()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("some-name.txt", text * 3)
    for wrapped_up in (
        quopri.encodestring(text),
        text.replace(b"xylo", b"xy=\r\nlo").replace(b"kal", b"=6B=61=6c"),
        base64.encodebytes(text),
        gzip.compress(text),
        base64.encodebytes(gzip.compress(text)),
        base64.encodebytes(bz2.compress(base64.encodebytes(zlib.compress(text)))),
        base64.encodebytes(packet),
        base64.encodebytes(archive.getvalue()),
        b"Subject: " + Header(TEXT, "utf-8", maxlinelen=40).encode().encode(),
        b"Subject: =?utf-8?q?=78ylo?= =?utf-8?q?phonist?= =?us-ascii?q?_=6Baleidoscope?=",
        base64.encodebytes(quopri.encodestring(text)),
    ):
        assert canaries_anywhere_in(b"Content-Type: text/plain\r\n\r\n" + wrapped_up) == ["kaleidoscope", "xylophonist"]
    assert canaries_anywhere_in(base64.encodebytes(bytes(range(256)) * 9)) == []


def test_a_dump_of_postgres_holds_every_byte_of_every_table(postgres: PostgresServer) -> None:
    url = postgres.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table a (b bytea, c jsonb, d text)")
        # Not the words that are looked for: the server's files are searched by others.
        values = (b"\0abracadabra" * 9000, '{"e": "hocus"}', "pocus")
        connection.execute("insert into a values (%s, %s, %s)", values)
    dump = dumped(url)
    assert dump.count(b"abracadabra") == 9000 and b"hocus" in dump and b"pocus" in dump


def _has(person: Correspondent, *texts: str) -> None:
    """The newest mail says it, in its subject or text, or in the file that is the message."""
    mail = person.got[-1]
    attached = [part.get_content() for part in mail.iter_attachments() if part.get_content_type() == "message/rfc822"]
    whole = "".join([str(mail["Subject"]), said(mail), *(f"{one['Subject']} {said(one)}" for one in attached)])
    for text in texts:
        assert text in whole, whole


# --- what must not happen --------------------------------------------------------------------------------------------

SIGNS = BOTH.replace("address: ada@example.org", "address: ada@example.org, signed_only: true")


def test_a_ciphertext_that_came_before_is_acknowledged_like_any_other_and_shown_to_nobody(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder]
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys) as here:
        here.begin_sealed()
        stolen = ciphertext_of(here.desk.ask(lambda tx: tx.raw(1)))
        fresh = keys["mallory"].seal(b"Content-Type: text/plain\r\n\r\nA report.\r\n", here.ours)
        answers = []
        for number, blob in enumerate((stolen, fresh)):
            shown = len(here.ada.got)
            mail = here.mallory.write("", subject="x")
            out = here.send(wrapped(outside_of(mail), blob))
            (answer,) = out[here.mallory.address]
            answers.append(re.sub(r"SEC-\d+-\d+|[0-9a-f]{16,}|\d\d:\d\d", "*", f"{answer['Subject']} {said(answer)}"))
            if number == 0:
                told = "".join(mail.as_string() + said(mail) for mail in here.ada.got[shown:])
                assert canaries_in(told.encode()) == [] and "came before, in message 1" in told
        assert answers[0] == answers[1]
        assert not any(canaries_in(data) for data in here.maildir(here.mallory))


def test_who_has_to_sign_is_not_heard_by_another_key_nor_without_one_nor_twice(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder]
) -> None:
    with sealed_town(tmp_path, sqlite_url, dovecot, office, keys, SIGNS) as here:
        ada, mallory = here.ada, keys["mallory"]
        ref = here.begin()
        notice = here.newest(ada, ref)
        wanted = f"/published {ADVISORY}"
        here.send(
            *(ada.write(wanted, answering=notice, proven=proven) for proven in (True, False)),
            *(ada.sign(ada.write(wanted, answering=notice, proven=proven), by=mallory) for proven in (True, False)),
            ada.sign(ada.write("Fine.", answering=notice, quote=False)).replace(b"\r\nFine.", b"\r\n/close spam"),
        )
        assert here.untouched(ref)
        sealed = here.begin("A further SQL injection vulnerability")
        notice = here.newest(ada, sealed)
        here.send(
            ada.seal(ada.write(wanted, answering=notice), by=mallory),
            ada.seal(ada.write(wanted, answering=notice), sign=False),
        )
        assert here.untouched(sealed)
        notice = here.newest(ada, ref)
        good = ada.sign(ada.write(wanted, answering=notice))
        out = here.send(good)
        assert here.events(ref).count("published") == 1
        assert ADVISORY in said(out[here.jane.address][0]), "carried out at once"
        other = here.begin("Another SQL injection vulnerability")
        here.send(_in_answer_to(good, here.newest(ada, other)))
        assert here.untouched(other), "the same signed words in another case"
        out = here.send(good.replace(b"Message-ID: <ada.", b"Message-ID: <again."))
        assert not out[here.jane.address] and here.events(ref).count("published") == 1


def test_a_maintainers_key_that_expires_midway_gets_and_proves_nothing_more(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, office: Postfix, keys: dict[str, Keyholder], people: People
) -> None:
    ada = people.join("Ada <ada@example.org>", expires="seconds=30")
    ends = time.monotonic() + 31
    with sealed_town(tmp_path, sqlite_url, dovecot, office, {**keys, "ada": ada}, SIGNS) as here:
        ref = here.begin_sealed()
        _has(here.ada, TEXT)
        notice = here.newest(here.ada, ref)
        late = here.ada.sign(here.ada.write("/reproduced", answering=notice))
        here.desk.until(lambda: time.monotonic() > ends, 40)
        here.seal_answer(here.jane, ANSWER, ref)
        assert not any(canaries_in(here.maildir(who)[-1]) for who in (here.ada, here.grace))
        newest = here.ada.letters[-1]
        assert not newest.encrypted and ref in str(newest.mail["Subject"])
        here.send(late)
        assert here.untouched(ref)


def ciphertext_of(raw: bytes) -> bytes:
    """The armoured message in a mail."""
    found = re.search(rb"-----BEGIN PGP MESSAGE-----.*?-----END PGP MESSAGE-----", raw, re.DOTALL)
    assert found is not None
    return found[0]


def _in_answer_to(mail: bytes, other: Mail) -> bytes:
    """The same mail, threaded to another one, as its outer header may be by anybody."""
    head, blank, body = mail.partition(b"\r\n\r\n")
    wanted = f"In-Reply-To: {other['Message-ID']}\r\n".encode()
    head = re.sub(rb"(?im)^(In-Reply-To|References|Message-ID):.*\r\n([ \t].*\r\n)*", b"", head)
    return b"Message-ID: <moved@example.org>\r\n" + wanted + head + blank + body
