"""The demo as a newcomer starts it: a process of its own, its output, its end, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

PLAY = """
import sys
from mailbox_service.demo.cast import play
{before}
sys.exit(play(once={once}, keep={keep}))
"""
EVERYTHING_IS_SPAM = """
from mailbox_service.app import service
from mailbox_service.sorting import Outcome, Verdict
class Suspicious:
    version = "Suspicious"
    def sort(self, mail):
        return Verdict(Outcome.SPAM, 0.0, 1.0, ())
service.TrainedSorter = lambda *intent: Suspicious()
"""
NO_MAIL_SERVER = "sys.modules['pymap'] = sys.modules['pymap.backend'] = None"
NOTHING_IS_AUTOMATIC = """
from mailbox_service.core.automatic import Automatic, AutomaticMail
from mailbox_service.services import understanding
understanding.recognise = lambda message, envelope_from=None: AutomaticMail(Automatic.NO, (), False)
"""
NOTHING_IS_PROVEN_AND_ALL_IS_DONE = """
from mailbox_service.core.authority import Permission
from mailbox_service.services.conversation import conduct
conduct.least = lambda weights, evidence: Permission.DO
"""
NOBODY_IS_ANONYMOUS = """
from mailbox_service.services.conversation import outgoing
outgoing.anonymous = lambda text, names: (text, False)
"""
NO_THREADS = """
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.services.ports import ThreadIds
SqlTransaction.thread_with = lambda self, case, recipient: ThreadIds(None, ())
"""
WHAT_IS_ENCRYPTED_IS_SENT_IN_CLEAR = """
from mailbox_service.services.sealing import Sealing
Sealing._encrypted = lambda self, mail, row, door, key: self._signed(mail, row, door)
"""
NOTHING_IS_SIGNED = """
from mailbox_service.services import sealing
sealing.signs = lambda door, mailbox: False
"""
SIGNATURES_PROVE_NOTHING = """
from mailbox_service.services.conversation import signatures
signatures._proven = lambda tx, speaker, content, mail: signatures.OTHER_KEY
"""
NOTHING_CAME_BEFORE = """
from mailbox_service.adapters.database.transaction import SqlTransaction
SqlTransaction.ciphertexts = lambda self, mailbox, digests: {}
SqlTransaction.add_ciphertexts = lambda self, mailbox, came: dict(came)
SqlTransaction.burn = lambda self, mailbox, digest, message: True
SqlTransaction.burned_by = lambda self, mailbox, digest: None
"""
NO_FILES_TRAVEL = """
from mailbox_service.services.conversation import outgoing
outgoing.enclosure_of = lambda tx, message: (None, ())
"""
# The demo takes some seconds; a machine busy with other tests may need several times as long.
PATIENCE_SECONDS = 60


def command(*, once: bool, keep: bool = False, before: str = "") -> list[str]:
    return [sys.executable, "-W", "error", "-c", PLAY.format(once=once, keep=keep, before=before)]


def environment(state: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(state), "PYTHONIOENCODING": "utf-8"}


def played(state: Path, *, keep: bool = False, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(once=True, keep=keep, before=before),
        env=environment(state),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


class Running:
    """The demo without --once, read as it speaks."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.heard = ""

    def hear(self, pattern: str) -> re.Match[str]:
        """Wait until the output matches."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (match := re.search(pattern, self.heard)) is None:
            ready, _, _ = select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"{pattern!r} was never said:\n{self.heard}"
            self.heard += data.decode()
        return match

    def end(self, name: signal.Signals) -> int:
        self.process.send_signal(name)
        self.process.communicate(timeout=15)
        return self.process.returncode


@contextlib.contextmanager
def running(state: Path, *, once: bool = False) -> Iterator[Running]:
    process = subprocess.Popen(
        command(once=once), env=environment(state), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for what is temporary, with a name that is short enough for the sockets of gpg."""
    with tempfile.TemporaryDirectory(prefix="d-") as name:
        yield Path(name)


# --- once --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def performance() -> Iterator[tuple[subprocess.CompletedProcess[str], Path]]:
    with tempfile.TemporaryDirectory(prefix="d-") as name:
        yield played(Path(name), keep=True), Path(name)


def test_everything_happens_and_nothing_is_written_beside_the_page(
    performance: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    ended, _ = performance
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert "✗" not in ended.stdout


@pytest.mark.parametrize(
    "fact",
    [
        r"from Zoë Łukasiewicz <reporter@research\.example>",
        r"attached: poc\.py",
        r"sort  security",
        r"\+\d\.\d  security     phrase \"path traversal\"",
        r"then  case SEC-\d{4}-0001 is opened",
        r"out   in the mailbox of reporter@research\.example, \d+ ms after submission",
        r"Subject: \[SEC-\d{4}-0001\] Your report to Demo",
        r"then  it joins case SEC-\d{4}-0001: refers to an earlier mail of the same From",
        r"sort  not security",
        r"Subject: Your message to security@demo\.example",
        r"then  it is kept, and not answered: sorted as spam",
        r"then  it is kept, and not answered: automatic reply",
        r"then  case SEC-\d{4}-0002 is opened: answers a redirect",
        r"Subject: Re: \[SEC-\d{4}-0001\] Your report to Demo\n(?s:.*?)1\. Did the server run on Linux or on Windows\?",
        r"then  SEC-\d{4}-0001 has come to: needs info",
        r"in    from Ada <maintainer@demo\.example>\n(?s:.*?)│ \(\d+ quoted lines\)",
        r"then  case SEC-\d{4}-0003 is opened: .*\(not\n *answered: its author address failed authentication\)",
        r"then  SEC-\d{4}-0001 stands where it stood: reproduced",
        r"attached: 0001-check-export-names\.patch",
        r"│   /confirm",
        r"- credit, as printed: Zoë Łukasiewicz <https://research\.example/zoe>",
        r"then  SEC-\d{4}-0001 has come to: closed",
        r"✓ neither a maintainer's From nor their Message-ID, without their account, changes\s+anything",
        r"in    from Noor Haddad <noor@audits\.example>\n +\.\.\.\n +Its subject, its text and its files are encrypted",
        r"mailbox of grace@demo\.example(?s:.*?)│ A new report arrived encrypted\. It is SEC-\d{4}-0004",
        r"mailbox of maintainer@demo\.example(?s:.*?)Subject: \[SEC-\d{4}-0004\]\n +All else is encrypted to this one "
        r"person, whose mail program shows:\n(?s:.*?)│ Subject:  Password reset tokens are predictable",
        r"then  SEC-\d{4}-0004 stands where it stood: received",
        r"then  SEC-\d{4}-0004 has come to: needs info",
        r"then  SEC-\d{4}-0004 stands where it stood: needs info",
        r"then  SEC-\d{4}-0004 has come to: reviewing",
        r"✓ a command that is encrypted, but not signed, changes nothing",
        r"✓ Ada's signature moves SEC-\d{4}-0004, although her mail server does not vouch for her",
        r"✓ Ada's signed command, sent once more by somebody else, changes nothing",
        r"✓ all 58 mails of ours are signed with the key of security@demo\.example",
        r"✓ Ada's mail program decrypts the report with its subject and its file",
        r"✓ Noor Haddad's mail program decrypts the question",
        r"✓ nothing that was written in SEC-\d{4}-0004 stands in clear in any of 82 mails",
        r"✓ there are four cases, with 13, 2, 1 and 5 messages",
        r"✓ in the mailbox of reporter@research\.example: acknowledgement, needs_info,\s+info_received, reproduced, "
        r"done, fix_to_verify, fix_verified, released, published,\s+resolved of SEC-\d{4}-0001\n",
        r"✓ SEC-\d{4}-0001 went by mail alone from received to closed:",
        r"✓ fixed version, advisory, credit and severity stand in the case as they were written",
        r"✓ no name, address, signature, mail program or note of a maintainer reached the\s+reporter",
        r"✓ the reporter has 10 mails of ours, in one thread",
        r"✓ the reporter has 0001-check-export-names\.patch, byte for byte, and its SHA-256",
        r"✓ in the mailbox of away@company\.example: redirect\n",
        r"✓ in the mailbox of spammer@offers\.example: nothing\n",
        r"✓ all 24 messages to security@demo\.example are on file, byte for byte",
        r"✓ nothing waits, nothing is held, no mail failed",
    ],
)
def test_one_sees_each_fact(performance: tuple[subprocess.CompletedProcess[str], Path], fact: str) -> None:
    assert re.search(fact, performance[0].stdout), performance[0].stdout


def test_no_line_is_wider_than_the_page_and_none_is_coloured_in_a_pipe(
    performance: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    output = performance[0].stdout
    # The last lines are a path and a command, for copying.
    page = output[: output.index("What was on file stays in")]
    assert max(len(line) for line in page.split("\n")) <= 88
    assert "\x1b" not in output


def test_what_is_kept_is_private_and_can_be_read_with_the_configuration_beside_it(
    performance: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    from mailbox_service import config
    from mailbox_service.adapters.database.storage import Database

    ended, state = performance
    match = re.search(r"What was on file stays in (\S+)", ended.stdout)
    assert match is not None
    folder = Path(match[1])
    assert folder.parent == state
    assert folder.stat().st_mode & 0o077 == 0
    loaded = config.load(folder / "config.yaml", {})
    assert loaded.warnings == ()
    database = Database.open(loaded.database.connection_url())
    try:
        assert [case["messages"] for case in database.run(lambda tx: tx.list_cases())] == [13, 2, 1, 5]
    finally:
        database.close()


def test_the_log_is_quiet_and_holds_no_addresses(
    performance: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    logged = next(performance[1].glob("*/log")).read_text(encoding="utf-8")
    assert "message worked" in logged
    assert "@" not in logged
    loud = [line for line in logged.splitlines() if re.search(r" (warning|error|critical) ", line)]
    # When the daemon starts Ada's key is not pinned yet, and Grace never has one.
    assert [line.count("no key is pinned to them") for line in loud] == [1, 1], loud


def test_a_sorter_that_finds_spam_everywhere_fails_the_demo_with_what_is_missing(place: Path) -> None:
    ended = played(place, before=EVERYTHING_IS_SPAM)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    output = " ".join(ended.stdout.split())
    assert "✗ the vulnerability report opens a case - found: disposition spam, sorted as spam" in output
    assert "✗ there are four cases, with 13, 2, 1 and 5 messages - found: no case" in output
    assert re.search(r"✗ in the mailbox of reporter@research\.example: .* - found: nothing", output)
    assert "✗ a case can be worked by mail - found: no case" in output
    # What still holds is said to hold.
    assert "✓ in the mailbox of spammer@offers.example: nothing" in output
    assert list(place.iterdir()) == []


def test_a_service_that_answers_automatic_mail_fails_the_demo(place: Path) -> None:
    ended = played(place, before=NOTHING_IS_AUTOMATIC)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    output = " ".join(ended.stdout.split())
    assert "✗ the out-of-office reply is recognised as automatic - found: disposition case" in output
    assert re.search(r"✗ in the mailbox of away@company\.example: redirect - found: redirect, ", output)


@pytest.mark.parametrize(
    ("broken", "missing"),
    [
        (NOTHING_IS_PROVEN_AND_ALL_IS_DONE, r"✗ neither a maintainer's From .* - found: closed"),
        (NOBODY_IS_ANONYMOUS, r"✗ no name, .* reached the reporter - found: Ada "),
        (NO_THREADS, r"✗ the reporter has 10 mails of ours, in one thread - found: 1 subjects, 9 without a reference"),
        (NOTHING_IS_PROVEN_AND_ALL_IS_DONE, r"✗ a command that is encrypted, but not signed, .* - found: needs info"),
        (WHAT_IS_ENCRYPTED_IS_SENT_IN_CLEAR, r"✗ nothing that was written in .* - found: .*getpid.*predictable"),
        (NOTHING_IS_SIGNED, r"✗ all 58 mails of ours are signed .* - found: \d+ are not"),
        (SIGNATURES_PROVE_NOTHING, r"✗ Ada's signature moves .* - found: received, proven by nothing"),
        (NOTHING_CAME_BEFORE, r"✗ Ada's signed command, sent once more .* - found: needs info, and 1 mails"),
        (NO_FILES_TRAVEL, r"✗ the reporter has 0001-check-export-names\.patch, .* - found: 0 files"),
    ],
)
def test_a_service_that_works_cases_wrongly_fails_the_demo(broken: str, missing: str, place: Path) -> None:
    ended = played(place, before=broken)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert re.search(missing, " ".join(ended.stdout.split())), ended.stdout


def test_without_gpg_it_says_so_and_shows_all_else(place: Path) -> None:
    ended = subprocess.run(
        command(once=True),
        env={**environment(place), "PATH": str(place)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    assert "It cannot be shown here: gpg is not installed; apt install gpg gpg-agent." in ended.stdout
    assert "✓ there are three cases, with 13, 2 and 1 messages" in ended.stdout
    assert "✓ the reporter has 10 mails of ours, in one thread" in ended.stdout


def test_keys_are_made_anew_lie_in_the_folder_and_no_agent_stays(
    performance: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    (folder,) = performance[1].iterdir()
    homes = [folder / "openpgp", folder / "keys" / "maintainer", folder / "keys" / "noor"]
    for home in homes:
        assert home.stat().st_mode & 0o077 == 0
        assert len(list((home / "private-keys-v1.d").iterdir())) == 2
    agents = subprocess.run(["pgrep", "-fa", "gpg-agent"], capture_output=True, text=True, check=False).stdout
    assert str(performance[1]) not in agents


def test_without_the_extra_one_learns_how_to_install_it(place: Path) -> None:
    ended = played(place, before=NO_MAIL_SERVER)
    assert ended.returncode == os.EX_UNAVAILABLE == 69
    assert "pip install 'mailbox-service[demo]'" in ended.stderr
    assert list(place.iterdir()) == []


# --- staying up ----------------------------------------------------------------------------------------------


def test_it_stays_up_shows_mail_sent_by_hand_and_ends_cleanly_at_ctrl_c(place: Path) -> None:
    mail = message_from_string(
        "From: Mallory <reporter@research.example>\nTo: security@demo.example\nSubject: \x1b]0;owned\x07SQL injection\n"
        "Message-ID: <by-hand@research.example>\n\nThere is an SQL injection in the login form.\n\x1b[2Jgone?\n"
    )
    with running(place) as demo:
        port = int(demo.hear(r"SMTP +127\.0\.0\.1 +port (\d+)")[1])
        demo.hear(r"IMAP +127\.0\.0\.1 +port \d+")
        demo.hear(r"\n  team +demo +team@demo\.example\n")
        demo.hear(r"--config \S+/config\.yaml case list\n")
        demo.hear("Ctrl-C ends the demo")
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.login("reporter", "demo")
            client.send_message(mail, "reporter@research.example", ["security@demo.example"])
        demo.hear(r"Ctrl-C(?s:.*)in    from Mallory <reporter@research\.example>")
        demo.hear(r"then  case SEC-\d{4}-0005 is opened")
        demo.hear(r"Ctrl-C(?s:.*)out   in the mailbox of maintainer@demo\.example, \d+ ms")
        assert "\x1b" not in demo.heard
        (folder,) = place.glob("mailbox-service-demo-*")
        assert set(place.iterdir()) == {folder, *place.glob("mailbox-gpg-*")}
        assert demo.end(signal.SIGINT) == 0
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(("once", "code"), [(False, 0), (True, 1)])
def test_ended_in_the_middle_of_the_cast_it_cleans_up(place: Path, once: bool, code: int) -> None:
    with running(place, once=once) as demo:
        demo.hear("A vulnerability report")
        assert demo.end(signal.SIGTERM) == code
    assert list(place.iterdir()) == []


def test_a_reader_who_has_seen_enough_ends_it_without_a_traceback(place: Path) -> None:
    with subprocess.Popen(
        command(once=True), env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None and demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        complaints = demo.stderr.read()
        assert demo.wait(PATIENCE_SECONDS) == 141
    assert complaints == b""
    assert list(place.iterdir()) == []
