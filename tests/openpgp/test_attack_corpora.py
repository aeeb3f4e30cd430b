"""Mails that made other programs show a wrong signature, or give away what they decrypted: what gpg gets of them here.

From the papers "Johnny, you are fired!" and "Re: What's up Johnny?"; the keys of their senders are in them.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import bring_in
from mailbox_service.core.message import parse
from mailbox_service.core.openpgp import Encrypted, Signed, read
from mailbox_service.services.ports.openpgp import Opened, PublicKey, Verified
from tests.openpgp.conftest import made

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "eml" / "attack"
JOHNNY = CORPORA / "RUB-NDS+Johnny-You-Are-Fired"
COVERT = CORPORA / "RUB-NDS+Covert-Content-Attacks"
pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside the repository")


@pytest.fixture(scope="module")
def keys(door: GpgDoor) -> dict[str, PublicKey]:
    """The public keys of the two senders by their addresses."""
    found: dict[str, PublicKey] = {}
    for path in sorted((JOHNNY / "assets" / "public-keys").glob("*.asc")):
        (offered,) = door.examine(path.read_bytes())
        found |= dict.fromkeys(offered.facts.addresses, offered.key)
    return found


def _mails(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.eml")) if folder.is_dir() else []


def _with_micalg(raw: bytes) -> bytes:
    """The same mail in the form of RFC 3156 §5, which demands the parameter: else none would be looked at."""
    return re.sub(rb"(?i)(Content-Type:\s*multipart/signed;)", rb"\1 micalg=pgp-sha512;", raw)


def _signer(raw: bytes, door: GpgDoor, allowed: list[PublicKey]) -> str:
    reading = read(raw)
    if not isinstance(reading, Signed):
        return ""
    judged = door.verify_detached(reading.content, reading.signature.octets, allowed)
    return judged.fingerprint if isinstance(judged, Verified) else ""


def test_only_what_its_sender_signed_is_verified(door: GpgDoor, keys: dict[str, PublicKey]) -> None:
    """The rest are good signatures by others than the sender, or beside what is shown, and by the pin prove nothing."""
    verified = set()
    for path in _mails(JOHNNY):
        raw = _with_micalg(path.read_bytes())
        sender = parse(raw).from_
        pinned = keys.get(sender.addr_spec) if sender is not None else None
        if _signer(raw, door, [pinned] if pinned is not None else []):
            verified.add(path.stem)
    # In the third, the signer's own address is From; that a name beside it is another's is for whoever shows the name.
    assert verified == {"manager-pgp-mime", "eve-pgp-mime", "i3-from-signer-others-sender-pgp-mime"}


def test_a_signature_names_its_signer_whoever_else_might_have_signed(door: GpgDoor, keys: dict[str, PublicKey]) -> None:
    eve, manager = keys["eve@bigcorporation.de"], keys["manager@bigcorporation.de"]
    found = {path.stem: _signer(_with_micalg(path.read_bytes()), door, [eve, manager]) for path in _mails(JOHNNY)}
    assert {name for name, signer in found.items() if signer == manager.fingerprint} == {"manager-pgp-mime"}
    assert sum(signer == eve.fingerprint for signer in found.values()) == 8


def test_what_stands_around_a_stolen_ciphertext_gets_nothing_decrypted() -> None:
    """With the key it was encrypted to: the mail it was stolen from is opened, those it was put into are not."""
    with (
        tempfile.TemporaryDirectory(prefix="mbs-") as folder,
        Homes.open(made(folder), temporary=Path(folder)) as homes,
    ):
        secret = (COVERT / "assets" / "secret-keys" / "manager@bigcorporation-sec.asc").read_bytes()
        bring_in(homes, secret, frozenset({"manager@bigcorporation.de"}))
        theirs = GpgDoor(homes, frozenset({"manager@bigcorporation.de"}))
        opened = set()
        for path in _mails(COVERT):
            reading = read(path.read_bytes())
            if isinstance(reading, Encrypted) and isinstance(theirs.open(reading.message.octets), Opened):
                opened.add(path.stem)
    assert opened == {"00-original-mail"}
