"""What keys there are: in the mailbox's own home, and in what somebody sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mailbox_service.adapters.openpgp.homes import Homes
from mailbox_service.adapters.openpgp.runner import Bounds, run
from mailbox_service.core.gpg.keys import KeyFacts, read_keys
from mailbox_service.errors import Refused, TemporaryError
from mailbox_service.services.ports.openpgp import OfferedKey, PublicKey

# An RSA key of 16384 bits with twenty user ids and its own signatures has less than 100 kB.
MAX_KEY_BYTES = 256_000
MAX_KEYS = 16
_LISTING = ("--with-colons", "--fixed-list-mode", "--with-fingerprint")
# Signatures by others are what key floods are made of; gpg drops them before it looks at them.
_MINIMAL = "self-sigs-only,import-minimal,no-import-local-sigs,no-repair-keys"
_BOUNDS = Bounds(20.0, 4_000_000)


def own_keys(homes: Homes) -> list[KeyFacts]:
    """The keys whose secret parts are here. Raises: TemporaryError."""
    if not (homes.refreshed() / "pubring.kbx").exists():
        return []
    home = homes.with_agent()
    # The listing of secret keys knows nothing of signatures, that of public ones nothing of secret parts.
    public = {key.fingerprint: key for key in public_keys(home)}
    secret = secret_keys(home)
    if public and not secret and not homes.agent_answers:
        raise TemporaryError("gpg-agent did not list the secret keys")
    return [_merged(public[key.fingerprint], key) for key in secret if key.fingerprint in public]


def _merged(public: KeyFacts, secret: KeyFacts) -> KeyFacts:
    here = {part.fingerprint for part in (secret.primary, *secret.subkeys) if part.secret}
    return replace(
        public,
        primary=replace(public.primary, secret=public.primary.fingerprint in here),
        subkeys=tuple(replace(part, secret=part.fingerprint in here) for part in public.subkeys),
    )


def secret_keys(home: Path) -> list[KeyFacts]:
    """The secret keys in a home, with the facts of their public parts. Raises: TemporaryError."""
    if not (home / "pubring.kbx").exists():
        return []
    listed = run([*_LISTING, "--list-secret-keys"], home=home, bounds=_BOUNDS)
    # With none gpg says 2 and lists nothing.
    return [key for key in read_keys(listed.output) if not listed.cut_short]


def public_keys(home: Path) -> list[KeyFacts]:
    """All keys in a home. Raises: TemporaryError."""
    listed = run([*_LISTING, "--list-sigs", "--no-autostart"], home=home, bounds=_BOUNDS)
    if listed.returncode != 0 or listed.cut_short:
        raise TemporaryError("gpg did not list the keys")
    return read_keys(listed.output)


def exported(home: Path, fingerprint: str, *, armor: bool = False) -> bytes:
    """A public key in minimal form. Raises: TemporaryError."""
    words = ["--armor"] if armor else []
    ran = run(
        [*words, "--no-autostart", "--export-options", "export-minimal", "--export", fingerprint],
        home=home,
        bounds=_BOUNDS,
    )
    if ran.returncode != 0 or ran.cut_short or not ran.output:
        raise TemporaryError("gpg did not export the key")
    return ran.output


def offered(homes: Homes, data: bytes) -> list[OfferedKey]:
    """The public keys in `data`, imported where nothing else is. Raises: Refused; TemporaryError."""
    with homes.quarantine() as home:
        ran = run(["--import-options", _MINIMAL, "--no-autostart", "--import"], data, home=home, bounds=_BOUNDS)
        if ran.cut_short:
            raise Refused("that is no key gpg can read within its bounds")
        if not (home / "pubring.kbx").exists():
            raise Refused("there is no OpenPGP key in it")
        found = public_keys(home)
        if not found:
            raise Refused("there is no OpenPGP key in it")
        if len(found) > MAX_KEYS:
            raise Refused(f"it holds more than {MAX_KEYS} keys")
        return [OfferedKey(k, PublicKey(k.fingerprint, exported(home, k.fingerprint))) for k in found]
