"""The mailbox's own keys come to be: generated here, or brought by the operator. Through python-gnupg, because both are
done by people on the host, with what they wrote themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gnupg

from mailbox_service.adapters.openpgp.homes import Homes
from mailbox_service.adapters.openpgp.listing import MAX_KEY_BYTES, own_keys, secret_keys
from mailbox_service.adapters.openpgp.runner import COMMON, environment
from mailbox_service.core.display import harmless
from mailbox_service.core.gpg.keys import USER_IDS_SHOWN, KeyFacts, address_of
from mailbox_service.errors import Refused, TemporaryError

DEADLINE_SECONDS = 120.0  # a new key needs random numbers, and an old machine has few
MAX_NAME_CHARS = 100
# What --batch, --no-tty and --status-fd are to be, python-gnupg says itself.
_OPTIONS = [word for word in COMMON if word not in ("--batch", "--no-tty")]


class _Gpg(gnupg.GPG):  # type: ignore[misc]
    """python-gnupg has no deadline, and waits for ever for a lock whose owner's number was given to somebody else."""

    def _open_subprocess(self, *words: Any, **named: Any) -> Any:
        process = super()._open_subprocess(*words, **named)
        end = threading.Timer(DEADLINE_SECONDS, process.kill)
        end.daemon = True
        end.start()
        wait = process.wait

        def waited(*given: Any, **also: Any) -> Any:
            try:
                return wait(*given, **also)
            finally:
                end.cancel()

        process.wait = waited
        return process


def _gpg(home: Path) -> _Gpg:
    try:
        # Its encoding stays latin-1: with another one a byte that does not fit ends the thread that reads the results.
        return _Gpg(gnupghome=str(home), options=_OPTIONS, env=environment(home))
    except (OSError, ValueError) as error:
        raise TemporaryError("gpg cannot be run") from error


def generate(homes: Homes, name: str, address: str, valid_for: str = "2y") -> KeyFacts:
    """A new key of the mailbox: Ed25519 to certify and sign, Cv25519 to encrypt, without a passphrase; its revocation
    certificate is put aside (Homes.revocation_certificate).

    `address` and `valid_for` have been checked by the caller. Raises: TemporaryError.
    """
    clean = "".join(c for c in harmless(name) if c not in "<>()@%:")[:MAX_NAME_CHARS].strip()
    recipe = "\n".join(
        [
            *("Key-Type: eddsa", "Key-Curve: ed25519", "Key-Usage: sign,cert"),
            *("Subkey-Type: ecdh", "Subkey-Curve: cv25519", "Subkey-Usage: encrypt"),
            # Five letters are gpg's least for a name.
            *([f"Name-Real: {clean}"] if len(clean) >= 5 and not clean[0].isdigit() else []),
            *(f"Name-Email: {address}", f"Expire-Date: {valid_for}", "%no-protection", "%commit", ""),
        ]
    )
    with homes.changing() as home:
        before = {key.fingerprint for key in own_keys(homes)}
        _gpg(home).gen_key(recipe.encode("utf-8"))
        made = [key for key in secret_keys(home) if key.fingerprint not in before]
        if len(made) != 1:
            raise TemporaryError("gpg made no key")
    return made[0]


def bring_in(homes: Homes, data: bytes, addresses: Iterable[str], passphrase: str | None = None) -> KeyFacts:
    """Take in the one secret key in `data`, where it is the mailbox's own, or a subkey that only decrypts.

    Raises: Refused, with the reason; TemporaryError.
    """
    if len(data) > MAX_KEY_BYTES:
        raise Refused(f"that is no key: it has more than {MAX_KEY_BYTES // 1000} kB")
    with homes.quarantine() as home:
        _gpg(home).import_keys(data)
        found = secret_keys(home)
        if len(found) != 1:
            raise Refused(f"it holds {len(found) or 'no'} secret keys; one is wanted")
        check_ownership(found[0], frozenset(address.lower() for address in addresses))
    with homes.changing() as home:
        _gpg(home).import_keys(data)
        for key in secret_keys(home):
            if key.fingerprint == found[0].fingerprint:
                return key
    raise TemporaryError("gpg did not take the key in")


def check_ownership(key: KeyFacts, addresses: frozenset[str]) -> None:
    """Raises: Refused for a key that has no business on this host."""
    if not key.primary.secret:
        here = [part for part in key.subkeys if part.secret]
        if here and all(set(part.capabilities) == {"e"} for part in here):
            return
        raise Refused(
            "its primary key is elsewhere, and of its subkeys more came than the one that decrypts; bring that one "
            "alone (gpg --export-secret-subkeys SUBKEY!), or generate a key of the mailbox's own"
        )
    if not key.addresses or len(key.user_ids) == USER_IDS_SHOWN or {address_of(u) for u in key.user_ids} - addresses:
        raise Refused(
            "it has user ids that are not the mailbox's addresses. A key that signs releases, or a person's, does not "
            "belong on this host: `mailbox-service key generate` makes one of the mailbox's own, or bring a subkey "
            "that decrypts without its primary key (gpg --export-secret-subkeys SUBKEY!)"
        )
