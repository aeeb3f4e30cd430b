"""OpenPGP: mails a second signed, and encrypted to each of 1, 3 and 10 maintainers; and whether the daemon answers
meanwhile.

At the door: every mail goes to one person and is a run of gpg of its own, as in the service. Beside it the same work by
a bare command line with a keyring that is ready: the difference is ours (payload, protected headers, keyrings, reading
back what gpg said).

Through the daemon, against a real Dovecot and the sink: a load of encrypted reports comes at once; each is opened,
acknowledged by a signed mail, and told of by a mail signed and encrypted to each maintainer, for which it is opened
again. All the while /healthz is asked every 50 ms, and clear reports come one after the other through IMAP IDLE and
through the daemon's LMTP door; the same before, when there is nothing else to do.
"""

from __future__ import annotations

import asyncio
import http.client
import smtplib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.hostile import blocked_ms
from benchmarks.latency import PAUSE_SECONDS, SETTLE_SECONDS, deliver, recipient, report
from benchmarks.options import Options
from benchmarks.process import Watched
from benchmarks.results import Result, median, percentile
from benchmarks.stage import ADDRESS, Books, Stage, expect, until, until_settled
from benchmarks.wire import Notices
from mailbox_service.adapters.database.migrating_apart import migrate
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.core.composition import Outgoing
from mailbox_service.core.openpgp import encrypted, payload, signed
from mailbox_service.services.opener import AT_ONCE
from mailbox_service.services.ports.openpgp import Pin, PublicKey
from tests.peers.dovecot import free_port

MAINTAINERS = (1, 3, 10)
HEALTH_MS, BLOCKED_MS, ACKNOWLEDGED_MS = 100.0, 100.0, 1000.0
ASKED_EVERY_SECONDS = 0.05
PATIENCE_SECONDS = 300.0
IDLE_PAIRS = 10
REFERENCE = "[SEC-2026-0001]"
MAIL = Outgoing(
    from_address=ADDRESS,
    from_name="Example security",
    to_address="maintainer@example.test",
    reply_to=None,
    subject=f"{REFERENCE} report: a hole",
    body="The login form takes what it is given.\n" * 60,
    message_id="<m1@example.test>",
    date=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    in_reply_to=None,
    references=(),
    auto_submitted="auto-generated",
    loop_marker="marker",
    attachment=None,
    attachment_name="original.eml",
    files=(),
)
RECIPE = (
    "Key-Type: eddsa\nKey-Curve: ed25519\nKey-Usage: sign,cert\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\n"
    "Subkey-Usage: encrypt\nName-Email: {}\nExpire-Date: 0\n%no-protection\n%commit\n"
)
SEALED = """\
From: Reporter {number} <sealed{number}@mx{number}.example.net>
To: {to}
Subject: ...
Message-ID: <sealed{number}@mx{number}.example.net>
Date: Mon, 2 Nov 2026 12:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b

--b
Content-Type: application/pgp-encrypted

Version: 1

--b
Content-Type: application/octet-stream

{ciphertext}
--b--
"""
INSIDE = b"Content-Type: text/plain; charset=utf-8\r\n\r\nI found a path traversal in the gateway.\r\n"
CONFIGURATION = """
openpgp: {{folder: {folder}}}
health: {{listen: "127.0.0.1:{port}"}}
intake: {{lmtp: {{socket: door}}}}
"""


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    result = Result("openpgp")
    counts = MAINTAINERS[:2] if options.quick else MAINTAINERS
    with keyholders(max(counts)) as people:
        _at_the_door(result, people, counts, options.sealed)
        runs = []
        for count in counts:
            runs.append(_Run(stage, options, people, count).go())
            options.tell(f"openpgp, {count} maintainers: {runs[-1]}")
    _rows(result, counts, runs)
    yield result


# --- keys ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keyholders:
    """The mailbox's keyrings in `folder`, its door, and the maintainers, whose keys a bare gpg has in `home`."""

    folder: Path
    door: GpgDoor
    home: Path
    keys: Sequence[tuple[str, PublicKey]]  # each with its address


@contextmanager
def keyholders(count: int) -> Iterator[Keyholders]:
    """The mailbox has a key, and so have `count` maintainers. The bare gpg has all of them."""
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        keys, home = Path(folder, "keys"), Path(folder, "home")
        keys.mkdir(mode=0o700)
        home.mkdir(mode=0o700)
        try:
            with Homes.open(keys, temporary=Path(folder)) as homes:
                generate(homes, "Example security", ADDRESS)
                addresses = [f"maintainer{number}@example.test" for number in range(count)]
                for address in addresses:
                    gpg(home, "--gen-key", data=RECIPE.format(address).encode())
                door = GpgDoor(homes, frozenset({ADDRESS}))
                found = {next(iter(k.facts.addresses)): k.key for k in door.examine(gpg(home, "--export"))}
                gpg(home, "--import", data=gpg(Path(homes.refreshed()), "--export-secret-keys"))
                yield Keyholders(keys, door, home, [(address, found[address]) for address in addresses])
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True)


def gpg(home: Path, *words: str, data: bytes = b"") -> bytes:
    # Without the last one several at once wait for each other.
    common = ("--batch", "--quiet", "--no-tty", "--trust-model", "always", "--no-random-seed-file")
    command = ["gpg", "--homedir", str(home), *common, *words]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


# --- the door alone, and gpg alone -----------------------------------------------------------------------------------


def rate(work: Callable[[PublicKey], object], keys: Sequence[PublicKey], rounds: int) -> float:
    """Mails a second, `AT_ONCE` at a time."""

    async def all_of_them() -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(key: PublicKey) -> None:
            async with places:
                await asyncio.to_thread(work, key)

        await asyncio.gather(*(one(key) for _ in range(rounds) for key in keys))

    began = time.perf_counter()
    asyncio.run(all_of_them())
    return rounds * len(keys) / (time.perf_counter() - began)


def _at_the_door(result: Result, people: Keyholders, counts: Sequence[int], mails: int) -> None:
    door, home, inner = people.door, people.home, payload(MAIL)

    def ours_signed(_: PublicKey) -> None:
        made = payload(MAIL)
        signed(MAIL, made, door.sign_detached(made), "pgp-sha512")

    def ours_sealed(key: PublicKey) -> None:
        made = payload(MAIL, REFERENCE)
        encrypted(MAIL, REFERENCE, door.encrypt(made, [key], sign=True))

    def bare_signed(_: PublicKey) -> None:
        gpg(home, "-u", ADDRESS, "--digest-algo", "SHA512", "-a", "--detach-sign", data=inner)

    def bare_sealed(key: PublicKey) -> None:
        gpg(home, "-u", ADDRESS, "-a", "-r", key.fingerprint, "--sign", "--encrypt", data=inner)

    keys = [key for _, key in people.keys]
    for what, ours, bare, ways in (
        ("signed", ours_signed, bare_signed, counts[:1]),
        ("signed and encrypted", ours_sealed, bare_sealed, counts),
    ):
        for count in ways:
            chosen, rounds = keys[:count], max(2, mails // count)
            ours(chosen[0])
            bare(chosen[0])
            # In turn, for what else the machine does counts for both.
            pairs = [(rate(ours, chosen, rounds), rate(bare, chosen, rounds)) for _ in range(2)]
            got, floor = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
            told = f"{got:.0f} mails/s, gpg alone {floor:.0f}: {got / floor:.2f} of it"
            result.add(f"OpenPGP at the door: {what}{_to(count) if what != 'signed' else ''}", "", told)


def _to(count: int) -> str:
    return f" to {count} maintainer{'s' if count > 1 else ''}"


# --- the daemon ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Answers:
    """What was heard, in milliseconds: of /healthz, and of clear reports until they were acknowledged."""

    health: list[float] = field(default_factory=list)
    by_idle: list[float] = field(default_factory=list)
    by_door: list[float] = field(default_factory=list)
    blocked: float = 0.0  # the event loop, at most


@dataclass(slots=True)
class Ran:
    mails_a_second: float
    cpu_ms: float  # for each mail sent, that of gpg with it
    idle: Answers
    loaded: Answers

    def __str__(self) -> str:
        a = self.loaded
        slow = f"/healthz p99 {percentile(a.health, 0.99):.0f}, blocked {a.blocked:.0f}"
        return (
            f"{self.mails_a_second:.0f} mails/s; {slow}, acknowledged by IDLE {max(a.by_idle):.0f}, "
            f"by our door {max(a.by_door):.0f} ms at worst"
        )


class Prober:
    """A context: asks /healthz at intervals, and keeps how long each answer took."""

    def __init__(self, port: int, into: list[float]) -> None:
        self._port, self._into, self._ended = port, into, threading.Event()
        self._thread = threading.Thread(target=self._ask, name="healthz", daemon=True)

    def _ask(self) -> None:
        while not self._ended.wait(ASKED_EVERY_SECONDS):
            self._into.append(healthz_ms(self._port))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def healthz_ms(port: int) -> float:
    """How long /healthz takes to answer that all is well. Raises: OSError, Failed."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as asking:
        asking.request("GET", "/healthz")
        expect(asking.getresponse().status == 200, "/healthz says that the daemon is alive")
    return (time.monotonic() - began) * 1e3


class _Run:
    """One daemon with so many maintainers, all with keys: first idle, then under load."""

    def __init__(self, stage: Stage, options: Options, people: Keyholders, count: int) -> None:
        self._stage, self._options = stage, options
        self._people, self._staff = people, people.keys[:count]
        self._sealed = options.sealed
        self._number = 0  # of clear reports, and
        self._held = 0  # of all messages in the mailbox

    def go(self) -> Ran:
        stage, url = self._stage, self._stage.database("sqlite")
        self._sink, self._user, self._port = stage.sink(log=True), stage.dovecot.add_user(), free_port()
        more = CONFIGURATION.format(folder=self._people.folder, port=self._port)
        names = [address for address, _ in self._staff]
        config = stage.configuration(self._user, self._sink, url, collect_above=100_000, more=more, maintainers=names)
        self._door = config.with_name("door")
        pin(url, self._staff)
        load = self._load()
        stage.dovecot.append(self._user, report(0))
        self._held += 1
        with stage.service(config, "--lag") as process, closing(Books(url)) as books:
            until(self._door.is_socket, "the door is open", SETTLE_SECONDS)
            until_settled(books, 1, process, SETTLE_SECONDS)
            idle, pairs = Answers(), 2 if self._options.quick else IDLE_PAIRS
            with Notices(stage.dovecot.port, self._user) as notices:
                # The first ones load what all need.
                self._answers(process, notices, Answers(), lambda: True)
                until_settled(books, self._count, process, PATIENCE_SECONDS)
                self._answers(process, notices, idle, lambda: len(idle.by_door) >= pairs)
                until_settled(books, self._count, process, PATIENCE_SECONDS)
                ran = self._under_load(process, notices, books, load, idle)
            ledger = books.ledger()
        expect(ledger.messages == self._count and ledger.settled, f"{self._count} messages are on file: {ledger}")
        expect(ledger.acknowledged == self._count and not ledger.mails_failed, f"each is acknowledged: {ledger}")
        expect(ledger.mails_sent == self._count * (1 + len(self._staff)), f"everybody is told: {ledger}")
        return ran

    @property
    def _count(self) -> int:
        return self._held + self._pushed

    _pushed = 0  # into our own door, and never in the mailbox

    def _load(self) -> list[bytes]:
        own = self._people.door.public_key()
        expect(own is not None, "the mailbox has a key")
        assert own is not None
        return [
            SEALED.format(
                number=number, to=ADDRESS, ciphertext=self._people.door.encrypt(INSIDE, [own], sign=False).decode()
            ).encode()
            for number in range(self._sealed)
        ]

    def _under_load(
        self, process: Watched, notices: Notices, books: Books, load: Sequence[bytes], idle: Answers
    ) -> Ran:
        loaded, before, cpu = Answers(), self._sink.accepted(), process.cpu_seconds()
        began = time.monotonic()
        self._stage.dovecot.fill(self._user, load, start=1000)
        self._held += len(load)
        # As many as the load makes; those of the clear reports among them keep some of it for the end.
        wanted = before + len(load) * (1 + len(self._staff))
        self._answers(process, notices, loaded, lambda: self._sink.accepted() >= wanted)
        until_settled(books, self._count, process, PATIENCE_SECONDS)
        mails, last = self._sink.accepted() - before, max(at for at, _ in self._sink.mails())
        return Ran(mails / (last - began), (process.cpu_seconds() - cpu) * 1e3 / mails, idle, loaded)

    def _answers(self, process: Watched, notices: Notices, into: Answers, over: Callable[[], bool]) -> None:
        """Clear reports one after the other by both ways until it is over, at least one each."""
        blocked_ms(process)
        with Prober(self._port, into.health):
            while True:
                into.by_idle.append(self._by_idle(notices))
                into.by_door.append(self._by_door())
                if over():
                    break
                time.sleep(PAUSE_SECONDS[0])
        into.blocked = blocked_ms(process)

    def _by_idle(self, notices: Notices) -> float:
        self._number += 1
        deliver(self._stage.dovecot.lmtp_port, self._user, report(self._number))
        self._held += 1
        told = notices.await_count(self._held)
        return (self._sink.await_mail(recipient(self._number)) - told) * 1e3

    def _by_door(self) -> float:
        self._number += 1
        with smtplib.LMTP(str(self._door)) as lmtp:
            lmtp.sendmail("reporter@example.net", [ADDRESS], report(self._number))
            delivered = time.monotonic()
        self._pushed += 1
        return (self._sink.await_mail(recipient(self._number)) - delivered) * 1e3


def pin(url: str, staff: Sequence[tuple[str, PublicKey]]) -> None:
    """Each maintainer's key is pinned in a new database, as by `key pin`."""
    migrate(url)
    pins = [Pin("security", address, key, None, "host", datetime.now(UTC)) for address, key in staff]
    with closing(Database.open(url)) as database:
        expect(all(database.run(lambda tx: [tx.pin(one) for one in pins])), "the keys are pinned")


def _rows(result: Result, counts: Sequence[int], runs: Sequence[Ran]) -> None:
    for count, ran in zip(counts, runs, strict=True):
        reached = f"{ran.mails_a_second:.0f} mails/s, {ran.cpu_ms:.1f} CPU ms a mail"
        result.add(f"OpenPGP through the daemon: encrypted reports, told{_to(count)}", "", reached)
    asked = [answer for ran in runs for answer in ran.loaded.health]
    usual = [answer for ran in runs for answer in ran.idle.health]
    slow = percentile(asked, 0.99)
    reached = f"p99 {slow:.0f} ms, worst {max(asked):.0f} ms of {len(asked)}; idle {percentile(usual, 0.99):.0f} ms"
    result.add("/healthz meanwhile", f"p99 < {HEALTH_MS:.0f} ms", reached, slow < HEALTH_MS)
    blocked, calm = max(ran.loaded.blocked for ran in runs), max(ran.idle.blocked for ran in runs)
    reached = f"longest {blocked:.0f} ms; idle {calm:.0f} ms"
    result.add("event loop blocked meanwhile", f"< {BLOCKED_MS:.0f} ms", reached, blocked < BLOCKED_MS)
    for name, way in (("by_idle", "a clear report by IMAP IDLE meanwhile"), ("by_door", "one by our LMTP door")):
        times = [answer for ran in runs for answer in getattr(ran.loaded, name)]
        before = [answer for ran in runs for answer in getattr(ran.idle, name)]
        reached = (
            f"{median(times):.0f} ms, worst {max(times):.0f} ms of {len(times)}; idle {median(before):.0f} ms, "
            f"worst {max(before):.0f} ms"
        )
        goal = f"acknowledged within {ACKNOWLEDGED_MS:.0f} ms"
        result.add(way, goal, reached, max(times) < ACKNOWLEDGED_MS)
        result.plots[name] = {"loaded": [round(v, 1) for v in times], "idle": [round(v, 1) for v in before]}
    result.plots["rates"] = [[count, round(ran.mails_a_second, 1)] for count, ran in zip(counts, runs, strict=True)]
