"""services.ports.OpenPgp by gpg."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from mailbox_service.adapters.openpgp.homes import Homes
from mailbox_service.adapters.openpgp.listing import MAX_KEY_BYTES, exported, offered, own_keys
from mailbox_service.adapters.openpgp.runner import OUTPUT_LIMIT_BYTES, Bounds, Ran, run
from mailbox_service.core.gpg.keys import KeyFacts
from mailbox_service.core.gpg.status import (
    DecryptionFlaw,
    GoodSignature,
    SignatureFlaw,
    encrypted_whole,
    failure,
    judge_decryption,
    judge_signature,
    read_status,
    signed_by,
)
from mailbox_service.errors import Refused, TemporaryError
from mailbox_service.services.ports.openpgp import NotOpened, NotVerified, OfferedKey, Opened, PublicKey, Verified

# A detached signature has some hundred bytes; notations and certificates for others may make it larger.
MAX_SIGNATURE_BYTES = 100_000
# A key may expire between two listings; gpg itself looks at each use.
KNOWN_FOR_SECONDS = 60.0
# gpg makes nothing of SHA-1 and RIPEMD-160 then, neither on messages nor on keys; MD5 it refuses by itself.
STRICT = ("--weak-digest", "SHA1", "--weak-digest", "RIPEMD160")
# RFC 4880 only: gpg 2.4 would write packets of its own draft, which others cannot read. Nothing is compressed, so that
# lengths tell nothing of a text beside another.
WRITING = (
    *("--rfc4880", "--armor", "--compress-algo", "none", "--personal-cipher-preferences", "AES256 AES192 AES"),
    *("--personal-digest-preferences", "SHA512 SHA384 SHA256", "--digest-algo", "SHA512", "--set-filename", ""),
)


class GpgDoor:
    """The keys of one mailbox, which has the addresses `addresses`; its passphrase, if it has one, is asked for anew at
    each use."""

    def __init__(
        self,
        homes: Homes,
        addresses: frozenset[str],
        passphrase: Callable[[], str | None] = lambda: None,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
    ) -> None:
        self._homes, self._addresses, self._passphrase = homes, addresses, passphrase
        self._bounds = bounds
        self._listing = threading.Lock()
        self._known: tuple[object, float, list[KeyFacts]] | None = None
        self._public: tuple[object, PublicKey] | None = None

    def own_keys(self) -> list[KeyFacts]:
        self._homes.refreshed()
        state = self._homes.state
        with self._listing:  # whoever comes meanwhile needs no listing of their own
            known, now = self._known, time.monotonic()
            if known is None or known[0] != state or now - known[1] > KNOWN_FOR_SECONDS:
                known = self._known = (state, now, self._list_own())
        return known[2]

    def public_key(self) -> PublicKey | None:
        for key in self.own_keys():
            if key.addresses & self._addresses and key.can_secretly("e"):
                if self._public is None or self._public[0] != self._homes.state:
                    data = exported(self._homes.refreshed(), key.fingerprint)
                    self._public = self._homes.state, PublicKey(key.fingerprint, data)
                return self._public[1]
        return None

    def _list_own(self) -> list[KeyFacts]:
        found = own_keys(self._homes)
        # A key without its primary part was accepted for this folder, whatever it is called.
        mine = [k for k in found if k.addresses & self._addresses or not k.primary.secret]
        return sorted(mine, key=lambda key: key.created_at, reverse=True)

    # --- reading ------------------------------------------------------------------------------------------

    def open(self, ciphertext: bytes, signers: Sequence[PublicKey] = ()) -> Opened | NotOpened:
        own = {key.fingerprint for key in self.own_keys()}
        ran = self._decrypt(ciphertext, *self._homes.rings(signers))
        lines = read_status(ran.status)
        judged = judge_decryption(lines, ran.returncode, own)
        if not isinstance(judged, DecryptionFlaw) and not ran.cut_short:
            return Opened(ran.output, _signature(judge_signature(judged, 0, {k.fingerprint for k in signers})))
        if ran.cut_short or judged is not DecryptionFlaw.UNREADABLE:
            return _not_opened(ran, judged)
        # gpg fails as a whole when only the signature is bad. Then the content is asked for alone, and the first run
        # has said what the signature is worth, which is nothing.
        flaw = judge_signature(lines, ran.returncode, ())
        again = self._decrypt(ciphertext, "--skip-verify")
        judged = judge_decryption(read_status(again.status), again.returncode, own)
        if isinstance(judged, DecryptionFlaw) or judged or again.cut_short or not isinstance(flaw, SignatureFlaw):
            return _not_opened(again, judged)
        return Opened(again.output, NotVerified(SignatureFlaw.UNREADABLE if flaw is SignatureFlaw.NONE else flaw))

    def _decrypt(self, ciphertext: bytes, *words: str) -> Ran:
        return run(
            [*STRICT, "--no-autostart", *words, "--decrypt"],
            ciphertext,
            home=self._homes.with_agent(),
            passphrase=self._passphrase(),
            bounds=self._bounds,
        )

    def verify_detached(self, signed: bytes, signature: bytes, allowed: Sequence[PublicKey]) -> Verified | NotVerified:
        if len(signature) > MAX_SIGNATURE_BYTES:
            return NotVerified(SignatureFlaw.UNREADABLE)
        ran = run(
            # A keyring must be named, or gpg would make one.
            [
                *("--no-default-keyring", *(self._homes.rings(allowed) or ["--keyring", "/dev/null"])),
                *(*STRICT, "--no-autostart", "--verify", "--", "SIGNATURE", "-"),
            ],
            signed,
            home=self._homes.empty,
            signature=signature,
            bounds=self._bounds,
        )
        if ran.cut_short:
            return NotVerified(SignatureFlaw.UNREADABLE)
        return _signature(judge_signature(read_status(ran.status), ran.returncode, {k.fingerprint for k in allowed}))

    # --- writing ------------------------------------------------------------------------------------------

    def encrypt(self, data: bytes, to: Sequence[PublicKey], *, sign: bool) -> bytes:
        if not to:
            raise Refused("nobody is named to encrypt to")
        words = [*WRITING, *STRICT, *self._homes.rings(to), "--no-encrypt-to"]
        for key in to:
            words += ["--recipient", key.fingerprint]
        by = self._signer() if sign else None
        words += ["--sign", "--local-user", f"{by}!"] if by else []
        ran = self._write([*words, "--encrypt"], data)
        lines = read_status(ran.status)
        if not encrypted_whole(lines, ran.returncode) or ran.cut_short:
            invalid = {line.arguments[-1] for line in lines or () if line.keyword == "INV_RECP" and line.arguments}
            for key in to:
                if key.fingerprint in invalid:
                    raise Refused(f"the key {key.fingerprint} cannot be encrypted to: expired, revoked or unfit")
            raise TemporaryError(f"gpg did not encrypt ({failure(lines, ran.returncode)})")
        if by and signed_by(lines, ran.returncode) != by:
            raise TemporaryError(f"gpg did not sign ({failure(lines, ran.returncode)})")
        return ran.output

    def sign_detached(self, data: bytes) -> bytes:
        by = self._signer()
        ran = self._write([*WRITING, "--local-user", f"{by}!", "--detach-sign"], data)
        lines = read_status(ran.status)
        if signed_by(lines, ran.returncode) != by or ran.cut_short or not ran.output:
            raise TemporaryError(f"gpg did not sign ({failure(lines, ran.returncode)})")
        return ran.output

    def _write(self, words: Sequence[str], data: bytes) -> Ran:
        # Armour adds a third.
        bounds = Bounds(self._bounds.seconds, max(OUTPUT_LIMIT_BYTES, 2 * len(data)))
        words = ["--no-autostart", *words]
        return run(words, data, home=self._homes.with_agent(), passphrase=self._passphrase(), bounds=bounds)

    def _signer(self) -> str:
        """The fingerprint of the newest of our keys that can sign: of the part of it that does."""
        for key in self.own_keys():
            if key.addresses & self._addresses and key.can_secretly("s"):
                return next(
                    one.fingerprint
                    for one in sorted((key.primary, *key.subkeys), key=lambda part: part.created_at, reverse=True)
                    if one.usable and one.secret and "s" in one.capabilities
                )
        raise Refused("the mailbox has no key to sign with; see `mailbox-service key list`")

    # --- quarantine ---------------------------------------------------------------------------------------

    def examine(self, data: bytes) -> list[OfferedKey]:
        if len(data) > MAX_KEY_BYTES:
            raise Refused(f"that is no key: it has more than {MAX_KEY_BYTES // 1000} kB")
        return offered(self._homes, data)


def _signature(judged: GoodSignature | SignatureFlaw) -> Verified | NotVerified:
    if isinstance(judged, SignatureFlaw):
        return NotVerified(judged)
    return Verified(judged.fingerprint, judged.made_at)


def _not_opened(ran: Ran, judged: object) -> NotOpened:
    if ran.too_large:
        return NotOpened(DecryptionFlaw.TOO_LARGE)
    if ran.too_slow:
        return NotOpened(DecryptionFlaw.TOO_SLOW)
    return NotOpened(judged if isinstance(judged, DecryptionFlaw) else DecryptionFlaw.UNREADABLE)
