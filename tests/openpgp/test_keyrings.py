"""Keyrings: what arrives, what is ours, and what stays on the disk."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailbox_service.adapters.openpgp import GpgDoor, Homes, runner
from mailbox_service.adapters.openpgp.homes import PREFIX, sweep
from mailbox_service.adapters.openpgp.listing import _LISTING, MAX_KEY_BYTES, exported
from mailbox_service.adapters.openpgp.ownership import bring_in, generate
from mailbox_service.errors import PermanentError, Refused, TemporaryError
from mailbox_service.services.ports.openpgp import Opened, PublicKey
from tests.openpgp.conftest import ADDRESS
from tests.openpgp.keys import PASSPHRASE, People, Person

CANARY = b"canary-7f3a-the-login-form-has-a-hole"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: gpg's sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="mbs-") as folder:
        yield Path(folder)


@pytest.fixture
def keys(place: Path) -> Path:
    folder = place / "keys"
    folder.mkdir(mode=0o700)
    return folder


def public_of(homes: Homes, fingerprint: str) -> PublicKey:
    return PublicKey(fingerprint, exported(homes.refreshed(), fingerprint))


# --- what arrives ------------------------------------------------------------------------------------------


def test_an_offered_key_is_examined_and_kept_nowhere(door: GpgDoor, homes: Homes, bob: Person) -> None:
    (offered,) = door.examine(bob.gpg("--armor", "--export"))
    assert (offered.key.fingerprint, offered.facts.addresses) == (bob.fingerprint, frozenset({"bob@y.example"}))
    assert (offered.facts.can("e"), offered.facts.can("s"), offered.facts.weakness) == (True, True, ())
    assert [key.fingerprint for key in door.own_keys()] != [bob.fingerprint]
    assert not list(homes.empty.parent.glob("q-*"))
    assert door.encrypt(b"x", [offered.key], sign=True)


@pytest.mark.parametrize("data", [b"", b"no key", bytes(MAX_KEY_BYTES + 1), b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"])
def test_what_is_no_key_is_refused(data: bytes, door: GpgDoor) -> None:
    with pytest.raises(Refused):
        door.examine(data)


def test_a_flooded_key_is_stripped_of_what_others_said(door: GpgDoor, people: People) -> None:
    flooded = people.join("Flo <flo@y.example>")
    raw = flooded.gpg("--export-options", "export-minimal", "--export")
    # The same certificate by somebody else, as often as the limit lets it.
    other = people.join("Eve <eve@y.example>")
    other.know(flooded.public)
    other.gpg("--yes", "--quick-sign-key", flooded.fingerprint)
    signed = other.gpg("--export", flooded.fingerprint)
    at = next(n for n in range(len(raw)) if raw[n] != signed[n])
    certificate = signed[at : at + len(signed) - len(raw)]
    heap = raw[:at] + certificate * ((MAX_KEY_BYTES - len(raw)) // len(certificate)) + raw[at:]
    assert len(heap) > MAX_KEY_BYTES - 200
    (offered,) = door.examine(heap)
    assert offered.key.fingerprint == flooded.fingerprint
    assert len(offered.key.data) < 1000
    with pytest.raises(Refused, match="256 kB"):
        door.examine(raw[:at] + certificate * 100_000 + raw[at:])


@pytest.mark.parametrize(("kind", "says"), [("rsa1024", "rsa1024"), ("dsa1024", "dsa1024")])
def test_a_weak_key_is_good_for_nothing(kind: str, says: str, door: GpgDoor, people: People) -> None:
    weak = people.join("Weak <weak@y.example>", kind=kind)
    (offered,) = door.examine(weak.public.data)
    assert says in offered.facts.weakness
    assert not (offered.facts.can("e") or offered.facts.can("s"))


def test_a_key_that_vouches_for_itself_by_sha1_is_good_for_nothing(door: GpgDoor, people: People) -> None:
    old = people.join("Old <old@y.example>", words=("--cert-digest-algo", "SHA1"))
    (offered,) = door.examine(old.public.data)
    assert offered.facts.weakness == ("self-signatures by SHA-1 or worse",)
    assert not offered.facts.can("s")
    with pytest.raises(Refused):
        door.encrypt(b"x", [offered.key], sign=False)


def test_a_key_of_many_names_shows_them_all_harmlessly(door: GpgDoor, people: People) -> None:
    person = people.join("Ann <ann@y.example>")
    names = ["Ann <other@y.example>", "\x1b[31m[GNUPG:] GOODSIG \u202e <security@demo.example>", "%0A--output=/tmp/x"]
    for name in names:
        person.gpg("--allow-freeform-uid", "--quick-add-uid", person.fingerprint, name)
    (offered,) = door.examine(person.public.data)
    assert len(offered.facts.user_ids) == 4
    assert all(text.isprintable() for text in offered.facts.user_ids)
    assert offered.facts.addresses == {"ann@y.example", "other@y.example", ADDRESS}


def test_the_address_of_a_name_that_was_revoked_counts_no_more(door: GpgDoor, people: People) -> None:
    person = people.join("Ann <ann@y.example>")
    person.gpg("--quick-add-uid", person.fingerprint, "Ann <former@y.example>")
    person.gpg("--quick-revoke-uid", person.fingerprint, "Ann <former@y.example>")
    (offered,) = door.examine(person.public.data)
    assert offered.facts.addresses == {"ann@y.example"}


# --- what is ours ------------------------------------------------------------------------------------------


def test_a_generated_key_is_there_with_its_revocation_certificate_and_for_nobody_else(homes: Homes) -> None:
    (key,) = GpgDoor(homes, frozenset({ADDRESS})).own_keys()
    assert (key.algorithm, [sub.algorithm for sub in key.subkeys]) == ("ed25519", ["cv25519"])
    assert key.user_ids == (f"Demo security <{ADDRESS}>",)
    assert key.can_secretly("s") and key.can_secretly("e") and key.expires_at
    certificate = homes.revocation_certificate(key.fingerprint)
    assert b"BEGIN PGP PUBLIC KEY BLOCK" in certificate.read_bytes()
    for path in [homes.folder, *homes.folder.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


@pytest.mark.parametrize("name", ["x\n%pubring /tmp/x\nName-Real: y", "<a@b>", "%echo", "", "\u202eDemo", "1" * 300])
def test_a_name_is_only_a_name(name: str, keys: Path, place: Path) -> None:
    with Homes.open(keys, temporary=place) as homes:
        made = generate(homes, name, ADDRESS)
        assert made.addresses == {ADDRESS}
        assert len(made.user_ids) == 1


def test_keys_outlive_the_process_and_others_see_new_ones(keys: Path, place: Path, bob: Person) -> None:
    with Homes.open(keys, temporary=place) as one, Homes.open(keys, temporary=place) as two:
        door = GpgDoor(two, frozenset({ADDRESS}))
        assert door.own_keys() == []
        made = generate(one, "Demo security", ADDRESS)
        assert [key.fingerprint for key in door.own_keys()] == [made.fingerprint]
        sealed = bob.seal(CANARY, public_of(one, made.fingerprint))
    with Homes.open(keys, temporary=place) as three:
        opened = GpgDoor(three, frozenset({ADDRESS})).open(sealed)
        assert isinstance(opened, Opened)


def test_two_daemons_and_many_threads_at_once_do_not_disturb_each_other(keys: Path, place: Path, bob: Person) -> None:
    with Homes.open(keys, temporary=place) as one:
        made = generate(one, "Demo security", ADDRESS)
        sealed = bob.seal(CANARY, public_of(one, made.fingerprint))
        two = Homes.open(keys, temporary=place)
        doors = [GpgDoor(homes, frozenset({ADDRESS})) for homes in (one, two)]
        with ThreadPoolExecutor(8) as pool:
            opened = list(pool.map(lambda n: doors[n % 2].open(sealed, [bob.public]), range(24)))
            signed = list(pool.map(lambda n: doors[n % 2].sign_detached(b"x"), range(8)))
            # One ends, and with it its own agent only.
            two.close()
            opened += list(pool.map(lambda n: doors[0].open(sealed), range(8)))
        assert all(isinstance(one, Opened) and one.data == CANARY for one in opened)
        assert all(signed)


def test_many_at_once_never_find_gpg_without_its_agent(keys: Path, place: Path, bob: Person) -> None:
    """Left alone each would start an agent where it finds none, and all but one of those fail to."""
    with Homes.open(keys, temporary=place) as homes:
        generate(homes, "Demo security", ADDRESS, "2y")
    many = 24
    for _ in range(4):
        with Homes.open(keys, temporary=place) as homes, ThreadPoolExecutor(many) as threads:
            door, together = GpgDoor(homes, frozenset({ADDRESS})), threading.Barrier(many)

            def work(number: int, door: GpgDoor = door, together: threading.Barrier = together) -> bool:
                together.wait()
                key = door.public_key()
                assert key is not None
                if number % 2:
                    return door.sign_detached(CANARY).startswith(b"-----BEGIN PGP SIGNATURE")
                return isinstance(door.open(door.encrypt(CANARY, [key, bob.public], sign=True)), Opened)

            assert list(threads.map(work, range(many))) == [True] * many
            # An agent that has died is started anew, by one of them.
            (agent,) = agents_in(homes.own)
            os.kill(int(agent), signal.SIGKILL)
            while homes.agent_answers:
                time.sleep(0.01)
            assert list(threads.map(work, range(many))) == [True] * many
            assert len(agents_in(homes.own)) == 1
            # They would wait for each other's lock of it, up to some seconds.
            assert not (homes.own / "random_seed").exists()


def test_without_an_agent_no_listing_says_that_there_is_no_key(
    keys: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gpg itself says so: its listing of secret keys is empty then, and its exit code 0."""
    with Homes.open(keys, temporary=place) as homes:
        generate(homes, "Demo security", ADDRESS, "2y")
    with Homes.open(keys, temporary=place) as homes:
        monkeypatch.setattr(Homes, "with_agent", Homes.refreshed)
        monkeypatch.setattr("mailbox_service.adapters.openpgp.listing._LISTING", (*_LISTING, "--no-autostart"))
        with pytest.raises(TemporaryError):
            GpgDoor(homes, frozenset({ADDRESS})).own_keys()


def test_closed_keyrings_start_no_agent(keys: Path, place: Path) -> None:
    with Homes.open(keys, temporary=place) as homes:
        generate(homes, "Demo security", ADDRESS, "2y")
        door = GpgDoor(homes, frozenset({ADDRESS}))
        door.sign_detached(b"x")
    with pytest.raises(TemporaryError):
        door.sign_detached(b"x")
    assert not agents_in(place)


def test_only_a_key_of_the_mailbox_is_taken_in(keys: Path, place: Path, people: People) -> None:
    release = people.join("Release signing <release@demo.example>")
    own = people.join(f"Security <{ADDRESS}>")
    both = people.join(f"Security <{ADDRESS}>")
    both.gpg("--quick-add-uid", both.fingerprint, "Ada <ada@demo.example>")
    nameless = people.join(f"Security <{ADDRESS}>")
    nameless.gpg("--allow-freeform-uid", "--quick-add-uid", nameless.fingerprint, "Release signing")
    with Homes.open(keys, temporary=place) as homes:
        for person in (release, both, nameless):
            with pytest.raises(Refused, match="does not belong on this host"):
                bring_in(homes, person.secret(), [ADDRESS])
        assert not list((keys / "private-keys-v1.d").iterdir())
        with pytest.raises(Refused, match="no secret keys"):
            bring_in(homes, own.public.data, [ADDRESS])
        with pytest.raises(Refused, match="2 secret keys"):
            bring_in(homes, own.secret() + release.secret(), [ADDRESS])
        assert bring_in(homes, own.secret(), [ADDRESS.upper()]).fingerprint == own.fingerprint
        door = GpgDoor(homes, frozenset({ADDRESS}))
        assert door.sign_detached(b"x")


def test_a_subkey_that_only_decrypts_is_taken_in_without_its_primary_key(
    keys: Path, place: Path, people: People, bob: Person
) -> None:
    release = people.join("Release signing <release@demo.example>")
    listed = release.gpg("--with-colons", "--list-keys").decode().splitlines()
    subkey = [line.split(":")[9] for line in listed if line.startswith("fpr")][1]
    alone = release.gpg("--export-secret-subkeys", f"{subkey}!")
    release.gpg("--quick-add-key", release.fingerprint, "ed25519", "sign")
    with_signing = release.gpg("--export-secret-subkeys", release.fingerprint)
    with Homes.open(keys, temporary=place) as homes:
        with pytest.raises(Refused, match="more came than the one that decrypts"):
            bring_in(homes, with_signing, [ADDRESS])
        made = bring_in(homes, alone, [ADDRESS])
        assert not made.primary.secret
        door = GpgDoor(homes, frozenset({ADDRESS}))
        assert isinstance(door.open(bob.seal(CANARY, release.public)), Opened)
        with pytest.raises(Refused, match="no key to sign with"):
            door.sign_detached(b"x")


def test_a_passphrase_is_asked_for_at_each_use_and_a_wrong_one_opens_nothing(
    keys: Path, place: Path, people: People, bob: Person
) -> None:
    own = people.join(f"Security <{ADDRESS}>", passphrase=PASSPHRASE)
    exported_ = own.gpg("--passphrase", PASSPHRASE, "--export-secret-keys")
    said: list[str | None] = [PASSPHRASE]
    with Homes.open(keys, temporary=place) as homes:
        bring_in(homes, exported_, [ADDRESS])
        door = GpgDoor(homes, frozenset({ADDRESS}), lambda: said[-1])
        sealed = bob.seal(CANARY, own.public)
        assert isinstance(door.open(sealed), Opened)
        assert door.sign_detached(b"x")
        for wrong in ("wrong", None):
            said.append(wrong)
            assert not isinstance(door.open(sealed), Opened)


# --- the disk ----------------------------------------------------------------------------------------------


def test_others_may_not_look_into_the_folder(keys: Path, place: Path) -> None:
    keys.chmod(0o750)
    with pytest.raises(PermanentError, match="chmod 700"):
        Homes.open(keys, temporary=place)


def test_nothing_is_left_behind_and_no_agent_runs_on(keys: Path, place: Path) -> None:
    with Homes.open(keys, temporary=place) as homes:
        generate(homes, "Demo security", ADDRESS)
        GpgDoor(homes, frozenset({ADDRESS})).sign_detached(b"x")
        assert agents_in(place)
    assert not list(place.glob(f"{PREFIX}*"))
    assert not agents_in(place)


def agents_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"gpg-agent") and any(str(folder).encode() in word for word in words):
            found.append(process.name)
    return found


_VICTIM = """
import sys
from pathlib import Path
from mailbox_service.adapters.openpgp import GpgDoor, Homes
homes = Homes.open(Path(sys.argv[1]), temporary=Path(sys.argv[2]))
door = GpgDoor(homes, frozenset({sys.argv[3]}))
sealed = Path(sys.argv[4]).read_bytes()
while True:
    door.open(sealed)
    print("opened", flush=True)
"""


def test_a_process_that_is_killed_leaves_nothing_decrypted_and_is_swept_up_after(
    keys: Path, place: Path, bob: Person
) -> None:
    with Homes.open(keys, temporary=place) as homes:
        made = generate(homes, "Demo security", ADDRESS)
        (place / "sealed").write_bytes(bob.seal(CANARY * 100_000, public_of(homes, made.fingerprint)))
    words = [sys.executable, "-c", _VICTIM, str(keys), str(place), ADDRESS, str(place / "sealed")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        for _ in range(3):
            assert victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
    assert list(place.glob(f"{PREFIX}*"))
    for path in [*place.rglob("*")]:
        if path.is_file() and not path.is_symlink():
            assert CANARY not in path.read_bytes(), path
    Homes.open(keys, temporary=place).close()
    assert not list(place.glob(f"{PREFIX}*"))
    assert not agents_in(place)


def test_another_that_sweeps_takes_nothing_from_one_that_is_just_starting(
    keys: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, list[Path]()

    def sweep_first(descriptor: int, how: int) -> None:
        if not swept:
            swept.append(place)
            sweep(place)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with Homes.open(keys, temporary=place) as homes:
        assert swept and generate(homes, "Demo security", ADDRESS)
        sweep(place)
        assert homes.own.is_dir()


def test_a_stale_lock_does_not_hold_us_up(keys: Path, place: Path) -> None:
    """A lock in the name of a process that lives (number 1) is waited for by gpg for ever."""
    with Homes.open(keys, temporary=place) as homes:
        generate(homes, "Demo security", ADDRESS)
    (keys / "pubring.kbx.lock").write_text(f"         1\n{os.uname().nodename}\n")
    with Homes.open(keys, temporary=place) as homes:
        assert GpgDoor(homes, frozenset({ADDRESS})).sign_detached(b"x")


def test_no_core_is_dumped_and_gpg_may_still_say_so_itself() -> None:
    """It sets the soft limit together with the hard one that it has read: were that lowered meanwhile, it would end."""
    with subprocess.Popen(["sleep", "30"]) as process:
        before = resource.prlimit(process.pid, resource.RLIMIT_CORE)
        runner._limit(process.pid)
        assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, before[1])
        assert resource.prlimit(process.pid, resource.RLIMIT_AS) == (runner.MEMORY_LIMIT_BYTES,) * 2
        process.kill()
