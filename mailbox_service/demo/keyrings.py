"""The OpenPGP keys of the demo: the mailbox's own, and those of two people, each in a keyring of its own.

The folders are homes of gpg: `gpg --homedir …` opens them as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Self

from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.core.message import ParsedMessage, parse
from mailbox_service.core.openpgp import armoured
from mailbox_service.demo.mails import ADA, NOOR, SECURITY, Person
from mailbox_service.errors import PermanentError, TemporaryError
from mailbox_service.services.opening import Content, Openness, look
from mailbox_service.services.ports.openpgp import PublicKey, Verified

# In the demo's folder.
OPENPGP, PEOPLE = "openpgp", "keys"
# What stands outside of what a mail program encrypts; the subject is the usual one for none.
_OUTSIDE = ("From", "To", "Date", "Message-ID", "In-Reply-To", "References", "User-Agent")
_NO_SUBJECT = "..."


class Program:
    """Somebody's mail program with their secret key in it."""

    def __init__(self, homes: Homes, public: PublicKey, expires_at: datetime | None, address: str) -> None:
        self._homes, self.public, self.expires_at = homes, public, expires_at
        self._door = GpgDoor(homes, frozenset({address}))

    @classmethod
    def make(cls, folder: Path, name: str, address: str) -> Self:
        """With a new key, whose secret part lies in `folder`. Raises: PermanentError without gpg; TemporaryError."""
        if shutil.which("gpg") and not shutil.which("gpg-agent"):
            raise PermanentError("gpg-agent is not installed; apt install gpg-agent")
        homes = Homes.open(folder)
        try:
            key = generate(homes, name, address)
            public = GpgDoor(homes, frozenset({address})).public_key()
            if public is None or public.fingerprint != key.fingerprint:
                raise TemporaryError("gpg made no key that can be encrypted to")
            return cls(homes, public, key.expires_at, address)
        except BaseException:
            homes.close()
            raise

    def close(self) -> None:
        """End its agent. The key stays in the folder."""
        self._homes.close()

    # --- mail; all of it blocks while gpg works -----------------------------------------------------------

    def encrypted(
        self, mail: EmailMessage, to: PublicKey, *, sign: bool = True, with_key: bool = False
    ) -> EmailMessage:
        """The mail by PGP/MIME (RFC 3156), its subject inside as programs do; `with_key`: the author's key with it."""
        inner = copy.deepcopy(mail)
        if with_key:
            key = armoured(self.public.data)
            inner.add_attachment(key, maintype="application", subtype="pgp-keys", filename="openpgp-key.asc")
        inner.set_param("protected-headers", "v1")
        return _wrapped(mail, self._door.encrypt(inner.as_bytes(), [to], sign=sign))

    def opened(self, data: bytes, sender: PublicKey) -> Content:
        """The mail as the program shows it: decrypted, and its signature compared with the key of `sender`."""
        return look(data, parse(data), self._door, [sender], offers=False)


def _wrapped(mail: EmailMessage, ciphertext: bytes) -> EmailMessage:
    outer = EmailMessage(policy=SMTP)
    for name in _OUTSIDE:
        if name in mail:
            outer[name] = mail[name]
    outer["Subject"] = _NO_SUBJECT
    control, data = EmailMessage(policy=SMTP), EmailMessage(policy=SMTP)
    control.set_content(b"Version: 1\r\n", "application", "pgp-encrypted", cte="7bit")
    data.set_content(ciphertext, "application", "octet-stream", cte="7bit", filename="encrypted.asc")
    outer.make_mixed()
    outer.attach(control)
    outer.attach(data)
    outer.set_type("multipart/encrypted")
    outer.set_param("protocol", "application/pgp-encrypted")
    return outer


class Keyrings:
    """`own` is the mailbox's public key; `programs` are the mail programs of those who have keys, by address."""

    def __init__(self, own: PublicKey, programs: dict[str, Program]) -> None:
        self.own, self._programs = own, programs

    @classmethod
    @contextlib.asynccontextmanager
    async def made(cls, folder: Path) -> AsyncIterator[Self | str]:
        """All keys of the demo, new, below `folder`; or a sentence that says why there are none (gpg is missing).

        Raises: TemporaryError when gpg fails.
        """
        (folder / PEOPLE).mkdir(mode=0o700)
        wanted = [(folder / OPENPGP, "Demo security", SECURITY)]
        wanted += [(folder / PEOPLE / who.login, who.name, who.address) for who in (ADA, NOOR)]
        making = {
            one[2]: asyncio.create_task(asyncio.to_thread(Program.make, *one), name=f"key of {one[2]}")
            for one in wanted
        }
        try:
            await asyncio.wait(making.values())
            errors = [error for task in making.values() if (error := task.exception()) is not None]
            if unexpected := [error for error in errors if not isinstance(error, PermanentError)]:
                raise unexpected[0]
            if errors:
                yield str(errors[0])
            else:
                programs = {address: task.result() for address, task in making.items()}
                yield cls(programs[SECURITY].public, programs)
        finally:
            # Whoever cancels this cannot stop its threads.
            await asyncio.wait(making.values())
            for task in making.values():
                if task.exception() is None:
                    await asyncio.to_thread(task.result().close)

    def of(self, person: Person) -> Program:
        """Raises: KeyError for whoever has no key."""
        return self._programs[person.address]

    async def as_shown(self, address: str, data: bytes) -> Content | None:
        """A mail as the program of its recipient opens it; None where nothing is encrypted, or they have no key."""
        if address not in self._programs or address == SECURITY:
            return None
        content = await asyncio.to_thread(self._programs[address].opened, data, self.own)
        return content if content.openness is Openness.OPENED else None

    async def signed(self, address: str, data: bytes) -> bool:
        """Whether a mail to `address` carries a good signature of the mailbox."""
        program = self._programs.get(address, self.of(NOOR))
        content = await asyncio.to_thread(program.opened, data, self.own)
        return isinstance(content.signature, Verified)


def readable(content: Content, outer: ParsedMessage) -> ParsedMessage:
    """What was decrypted, to be answered: its own subject and text, in the thread of the mail that it came in."""
    return replace(
        content.view,
        subject=content.subject,
        from_display=content.from_display,
        date=outer.date,
        message_id=outer.message_id,
        references=outer.references,
    )
