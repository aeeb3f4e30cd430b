"""Gnus, the mail program of GNU Emacs, without a terminal: Emacs runs the same commands that its keys are bound to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mailbox_service.services.ports.openpgp import PublicKey
from tests.openpgp.clients.programs import Shown
from tests.openpgp.keys import Person as Keyholder

_COMMANDS = Path(__file__).with_name("gnus.el")
_GOOD = re.compile(r"Good signature from [0-9A-F]{16} (.+) \(trust full\)")


@dataclass
class Gnus:
    folder: Path  # empty, and for it alone
    address: str
    name: str
    key: Keyholder
    mailbox: PublicKey
    hides_subject: bool = False

    def __post_init__(self) -> None:
        if shutil.which("emacs") is None:
            raise RuntimeError("emacs is missing: install the Debian package emacs-nox")
        self.key.know(self.mailbox)
        self.key.gpg("--quick-lsign-key", self.mailbox.fingerprint)
        sendmail = self.folder / "sendmail"
        sendmail.write_text(f"#!/bin/sh\nexec cat >{self.folder}/sent\n")
        sendmail.chmod(0o700)

    def show(self, raw: bytes, *files: str) -> Shown:
        self._receive(raw)
        shutil.rmtree(self.folder / "saved", ignore_errors=True)
        (self.folder / "saved").mkdir()
        text = self._run("show", leaves="shown").decode()
        saved = {name: (self.folder / "saved" / name).read_bytes() for name in files}
        return Shown(text, tuple(_GOOD.findall(text)), saved)

    def write(
        self, text: str, subject: str, to: str, *, sign: bool = True, encrypt: bool = True, files: tuple[Path, ...] = ()
    ) -> bytes:
        (self.folder / "subject").write_text(subject, "utf-8")
        return self._sent("write", text, sign, encrypt, files, CLIENT_TO=to)

    def answer(
        self, raw: bytes, text: str, *, sign: bool = True, encrypt: bool = True, files: tuple[Path, ...] = ()
    ) -> bytes:
        self._receive(raw)
        return self._sent("answer", f"{text}\n\n", sign, encrypt, files)

    def _receive(self, raw: bytes) -> None:
        """The mail alone in an mbox; a line of its text that would begin a mail there would have to be changed."""
        lines = raw.replace(b"\r\n", b"\n")
        assert b"\n\nFrom " not in lines
        (self.folder / "inbox").write_bytes(b"From nobody Thu Nov 26 00:00:00 2026\n" + lines + b"\n")

    def _sent(self, verb: str, text: str, sign: bool, encrypt: bool, files: tuple[Path, ...], **values: str) -> bytes:
        (self.folder / "text").write_text(text, "utf-8")
        (self.folder / "files").write_text("".join(f"{path}\n" for path in files))
        mode = f"{'sign' if sign else ''}{'encrypt' if encrypt else ''}"
        sent = self._run(verb, leaves="sent", CLIENT_MODE=mode, **values)
        return sent.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _run(self, verb: str, *, leaves: str, **values: str) -> bytes:
        """Runs Emacs until it ends; the bytes of the file that it leaves."""
        left = self.folder / leaves
        left.unlink(missing_ok=True)
        env = {
            "HOME": str(self.folder),
            "GNUPGHOME": str(self.key.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "CLIENT_FOLDER": str(self.folder),
            "CLIENT_NAME": self.name,
            "CLIENT_ADDRESS": self.address,
            "CLIENT_HOST": self.address.rpartition("@")[2],
            **values,
        }
        # Whatever it asks is answered by the end of the input, which is an error.
        ran = subprocess.run(
            ["emacs", "-Q", "--batch", "-l", str(_COMMANDS), "-f", f"client-{verb}"],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0 and left.exists(), ran.stderr.decode("utf-8", "replace")
        return left.read_bytes()
