"""Mails a second that are signed, and encrypted to each of 1, 3 and 10 maintainers, beside what gpg alone needs for it.

    python -m benchmarks.openpgp [--rounds N]

Every mail goes to one person and is a run of gpg of its own, as in the service. "gpg" is the same work by a bare
command line with a keyring that is ready: the difference is ours (payload, protected header, keyring, reading back).
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.core.composition import Outgoing
from mailbox_service.core.openpgp import encrypted, payload, signed
from mailbox_service.services.ports.openpgp import PublicKey

ADDRESS = "security@example.test"
MAINTAINERS = (1, 3, 10)
THREADS = 4  # as services/sealing.py
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
    "Subkey-Usage: encrypt\nName-Email: maintainer{}@example.test\nExpire-Date: 0\n%no-protection\n%commit\n"
)


@contextmanager
def scene() -> Iterator[tuple[GpgDoor, Path, list[PublicKey]]]:
    """A door, the home of its keys with all maintainers' keys in it, and those keys."""
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        keys, people = Path(folder, "keys"), Path(folder, "people")
        keys.mkdir(mode=0o700)
        people.mkdir(mode=0o700)
        with Homes.open(keys, temporary=Path(folder)) as homes:
            generate(homes, "Example security", ADDRESS)
            for number in range(max(MAINTAINERS)):
                gpg(people, "--gen-key", data=RECIPE.format(number).encode())
            door = GpgDoor(homes, frozenset({ADDRESS}))
            offered = door.examine(gpg(people, "--export"))
            bare = Path(homes.refreshed())
            gpg(people, "--import", data=gpg(bare, "--export-secret-keys"))
            yield door, people, [one.key for one in offered]
        subprocess.run(["gpgconf", "--homedir", people, "--kill", "all"], check=False, capture_output=True)


def gpg(home: Path, *words: str, data: bytes = b"") -> bytes:
    common = ("--homedir", str(home), "--batch", "--quiet", "--no-tty", "--trust-model", "always")
    return subprocess.run(["gpg", *common, *words], input=data, capture_output=True, check=True).stdout


def rate(work: Callable[[PublicKey], object], keys: Sequence[PublicKey], rounds: int) -> float:
    """Mails a second, `THREADS` at a time."""

    async def all_of_them() -> None:
        places = asyncio.Semaphore(THREADS)

        async def one(key: PublicKey) -> None:
            async with places:
                await asyncio.to_thread(work, key)

        await asyncio.gather(*(one(key) for _ in range(rounds) for key in keys))

    began = time.perf_counter()
    asyncio.run(all_of_them())
    return rounds * len(keys) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="notices, each to all maintainers (default 40)")
    rounds = parser.parse_args().rounds
    inner = payload(MAIL)
    with scene() as (door, home, keys):

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

        print(f"{'':28}{'service':>10}{'gpg':>10}{'ratio':>8}   mails/s")
        for name, ours, bare in (("signed", ours_signed, bare_signed), ("encrypted", ours_sealed, bare_sealed)):
            for count in MAINTAINERS:
                chosen, times = keys[:count], max(1, rounds // count)
                ours(chosen[0])
                bare(chosen[0])
                got, floor = rate(ours, chosen, times), rate(bare, chosen, times)
                print(f"{f'{name}, {count} maintainer(s)':28}{got:10.1f}{floor:10.1f}{got / floor:8.2f}")


if __name__ == "__main__":
    main()
