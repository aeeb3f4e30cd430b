"""Cases worked in encrypted mail through real servers, with everybody's own gpg."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailbox_service.core.case import Stage
from mailbox_service.services.ports.openpgp import PublicKey
from tests.conversation.people import said
from tests.end_to_end.conversing import ADA, BOTH, Town, post_office, ready
from tests.end_to_end.daemon import ROOT, Desk
from tests.end_to_end.openpgp_people import Correspondent
from tests.openpgp.keys import People
from tests.openpgp.keys import Person as Keyholder
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix
from tests.services.bench import TRUSTED

_EACH_NOTICE_ALONE = "notices: {collect_above_per_hour: 10000}"


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
def keys() -> Iterator[dict[str, Keyholder]]:
    people = People()
    yield {
        "jane": people.join("Jane Doe <jane@research.example>"),
        "ada": people.join("Ada <ada@example.org>"),
        "mallory": people.join("Ada <ada@example.org>"),
    }
    people.leave()


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
