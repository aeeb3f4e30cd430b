"""People with OpenPGP keys of their own, made by gpg when they are needed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mailbox_service.services.ports.openpgp import PublicKey

PASSPHRASE = "correct horse"
_EDDSA = (
    "Key-Type: eddsa\nKey-Curve: ed25519\nKey-Usage: sign,cert\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\n"
    "Subkey-Usage: encrypt\n"
)
_RSA_1024 = (
    "Key-Type: rsa\nKey-Length: 1024\nKey-Usage: sign,cert\n"
    "Subkey-Type: rsa\nSubkey-Length: 1024\nSubkey-Usage: encrypt\n"
)
_DSA_1024 = "Key-Type: dsa\nKey-Length: 1024\nKey-Usage: sign,cert\n"
KINDS = {"eddsa": _EDDSA, "rsa1024": _RSA_1024, "dsa1024": _DSA_1024}


@dataclass(frozen=True)
class Person:
    """Somebody with a home of their own, and the one key in it."""

    home: Path
    fingerprint: str

    def gpg(self, *words: str, data: bytes = b"", at: str = "", fails: bool = False) -> bytes:
        """Standard output of gpg in this home; `at` (20200101T000000) is the time it believes in."""
        ran = subprocess.run(
            [
                *("gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty", "--trust-model", "always"),
                *("--pinentry-mode", "loopback", "--passphrase", ""),
                *(["--faked-system-time", f"{at}!"] if at else []),
                *words,
            ],
            input=data,
            capture_output=True,
            timeout=60,
        )
        assert fails or ran.returncode == 0, ran.stderr.decode("utf-8", "replace")
        return ran.stdout

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.fingerprint, self.gpg("--export", self.fingerprint))

    def secret(self, *words: str) -> bytes:
        return self.gpg(*words, "--export-secret-keys", self.fingerprint)

    def know(self, *others: PublicKey) -> None:
        for other in others:
            self.gpg("--import", data=other.data)

    def sign(self, data: bytes, *words: str, at: str = "") -> bytes:
        return self.gpg(*words, "--armor", "--detach-sign", data=data, at=at)

    def seal(self, data: bytes, to: PublicKey, *words: str, sign: bool = True) -> bytes:
        self.know(to)
        return self.gpg(*words, *(["--sign"] if sign else []), "-a", "-r", to.fingerprint, "-e", data=data)

    def leave(self) -> None:
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], capture_output=True, timeout=30)
        shutil.rmtree(self.home, ignore_errors=True)


class People:
    """Makes persons; all leave in the end."""

    def __init__(self) -> None:
        self._all: list[Person] = []

    def join(
        self,
        user_id: str = "Bob <bob@y.example>",
        *,
        kind: str = "eddsa",
        expires: str = "0",
        at: str = "",
        words: tuple[str, ...] = (),
        passphrase: str = "",
    ) -> Person:
        person = Person(Path(tempfile.mkdtemp(prefix="person-")), "")
        self._all.append(person)
        name, _, rest = user_id.rpartition("<")
        said = f"Name-Real: {name.strip()}\nName-Email: {rest.rstrip('>')}\n" if name else f"Name-Email: {user_id}\n"
        secrecy = f"Passphrase: {passphrase}\n" if passphrase else "%no-protection\n"
        recipe = KINDS[kind] + said + f"Expire-Date: {expires}\n" + secrecy + "%commit\n"
        person.gpg(*words, "--gen-key", data=recipe.encode(), at=at)
        listed = person.gpg("--with-colons", "--list-keys").decode()
        fingerprint = next(line for line in listed.splitlines() if line.startswith("fpr:")).split(":")[9]
        made = Person(person.home, fingerprint)
        self._all[-1] = made
        return made

    def leave(self) -> None:
        for person in self._all:
            person.leave()
