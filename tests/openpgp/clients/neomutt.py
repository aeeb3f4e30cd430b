"""NeoMutt as a person uses it: in a terminal, with Debian's settings, and with keys that are pressed for them."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailbox_service.services.ports.openpgp import PublicKey
from tests.openpgp.clients.programs import Shown
from tests.openpgp.clients.terminal import in_terminal
from tests.openpgp.keys import Person as Keyholder

# Debian's own settings come before these; they hold the commands for gpg. F9 stands for what is to be done next: in the
# compose menu to send, in the list of mails to leave. Keys that are pushed at the start are lost where the editor runs,
# and the hook comes more than once.
_SETTINGS = """
set realname = "{name}" from = {address} use_from = yes use_envelope_from = no hostname = {host}
set folder = {folder} spoolfile = {folder}/inbox postponed = {folder}/postponed record = "" tmpdir = {folder}
set sendmail = {folder}/sendmail editor = {folder}/editor pager = {folder}/pager
set edit_headers = yes autoedit = yes include = yes recall = no reply_to = yes
set abort_unmodified = no abort_noattach = no delete = no quit = yes prompt_after = no wait_key = no sleep_time = 0
set crypt_use_gpgme = {gpgme} pgp_default_key = 0x{key} pgp_sign_as = 0x{key} pgp_auto_inline = {inline}
set crypt_protected_headers_write = yes
set crypt_auto_sign = {sign} crypt_auto_encrypt = {encrypt}
set crypt_reply_sign = {sign} crypt_reply_encrypt = {encrypt} crypt_reply_sign_encrypted = {sign}
macro compose <f9> <send-message>
bind index <f9> exit
send2-hook . "push <f9>"
"""
_SCRIPTS = {
    "sendmail": "exec cat >{folder}/sent",
    "pager": 'exec cp "$1" {folder}/shown',
    # The text goes below the header, and above what is there: the quotes of an answer.
    "editor": """{{
    cat {folder}/head
    sed '/^$/,$d' "$1"
    echo
    cat {folder}/text
    sed '1,/^$/d' "$1"
}} >{folder}/edited && cat {folder}/edited >"$1\"""",
}
# With gpgme, and with gpg by a command. Both say more where the person has not certified the key.
_GOOD = re.compile(r"^Good signature from: (.+)\n +created: .+\n\[-- End signature information --\]$", re.MULTILINE)
_GOOD_BY_GPG = re.compile(r'^gpg: Good signature from "(.+)" \[full\]$', re.MULTILINE)


@dataclass
class NeoMutt:
    """`gpgme`, or else the commands for gpg that Debian configures."""

    folder: Path  # empty, and for it alone
    address: str
    name: str
    key: Keyholder
    mailbox: PublicKey
    gpgme: bool = True
    hides_subject: bool = True
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        if shutil.which("neomutt") is None:
            raise RuntimeError("neomutt is missing: install the Debian package neomutt")
        self.key.know(self.mailbox)
        self.key.gpg("--quick-lsign-key", self.mailbox.fingerprint)
        for name, script in _SCRIPTS.items():
            path = self.folder / name
            path.write_text(f"#!/bin/sh\n{script.format(folder=self.folder)}\n")
            path.chmod(0o700)

    def show(self, raw: bytes, *files: str) -> Shown:
        text = self._run("-f", self._maildir(raw), keys="<display-message><exit>", leaves="shown").decode()
        good = _GOOD if self.gpgme else _GOOD_BY_GPG
        return Shown(text, tuple(good.findall(text)), {name: self._saved(raw, name) for name in files})

    def _saved(self, raw: bytes, name: str) -> bytes:
        keys = f"<view-attachments><search>{name}<enter><save-entry><kill-line>{self.folder}/saved<enter><exit><exit>"
        return self._run("-f", self._maildir(raw), keys=keys, leaves="saved")

    def write(
        self,
        text: str,
        subject: str,
        to: str,
        *,
        sign: bool = True,
        encrypt: bool = True,
        files: tuple[Path, ...] = (),
        inline: bool = False,
    ) -> bytes:
        """`inline`: without MIME, as before RFC 3156. With gpgme NeoMutt does not write that."""
        attached = ("-a", *map(str, files)) if files else ()
        words = ("-s", subject, *attached, "--", to)
        return self._sent(text, *words, sign=sign, encrypt=encrypt, inline=inline)

    def answer(
        self, raw: bytes, text: str, *, sign: bool = True, encrypt: bool = True, files: tuple[Path, ...] = ()
    ) -> bytes:
        # Only a mail that was opened has its protected subject in the answer.
        keys = "<display-message><reply>"
        # In a header that is edited; a line of its own for each.
        attached = "".join(f"Attach: {path}\n" for path in files)
        return self._sent(f"{text}\n", "-f", self._maildir(raw), keys=keys, sign=sign, encrypt=encrypt, head=attached)

    def _sent(self, text: str, *words: str, head: str = "", keys: str = "", **crypt: bool) -> bytes:
        (self.folder / "text").write_text(f"{text}\n", "utf-8")
        (self.folder / "head").write_text(head)
        sent = self._run(*words, keys=keys, leaves="sent", **crypt)
        return sent.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _maildir(self, raw: bytes) -> str:
        """A folder of mails with this one alone."""
        maildir = self.folder / f"mails-{next(self._numbers)}"
        for name in ("cur", "new", "tmp"):
            (maildir / name).mkdir(parents=True)
        (maildir / "new" / "1.mail").write_bytes(raw.replace(b"\r\n", b"\n"))
        return str(maildir)

    def _run(self, *words: str, keys: str, leaves: str, **crypt: bool) -> bytes:
        """Runs NeoMutt until it ends; the bytes of the file that it leaves."""
        values = {name: "yes" if crypt.get(name, False) else "no" for name in ("sign", "encrypt", "inline")}
        settings = _SETTINGS.format(
            name=self.name,
            address=self.address,
            host=self.address.rpartition("@")[2],
            folder=self.folder,
            gpgme="yes" if self.gpgme else "no",
            key=self.key.fingerprint,
            **values,
        )
        muttrc, left = self.folder / "neomuttrc", self.folder / leaves
        muttrc.write_text(f'{settings}push "{keys}"\n')
        left.unlink(missing_ok=True)
        env = {"HOME": str(self.folder), "GNUPGHOME": str(self.key.home), "PATH": os.environ["PATH"], "TERM": "xterm"}
        env |= {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
        screen = in_terminal(["neomutt", "-F", str(muttrc), *words], folder=self.folder, env=env)
        assert left.exists(), screen[-3000:]
        return left.read_bytes()
