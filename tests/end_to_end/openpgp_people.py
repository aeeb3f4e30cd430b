"""People who write and read OpenPGP mail by their own gpg, as a mail program does: nothing of ours is used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from mailbox_service.services.ports.openpgp import PublicKey
from tests.conversation.people import Mail, Person
from tests.openpgp.keys import Person as Keyholder

_CONTENT = ("content-", "mime-version")
_FIELD = re.compile(rb"(?m)^(?=[^ \t\r\n])")


@dataclass(frozen=True)
class Letter:
    """A mail as its reader's program shows it."""

    mail: Mail  # the innermost: decrypted, without the signature around it
    outside: bytes  # as it came
    encrypted: bool
    signed_by: str  # full fingerprint, "" for nobody
    recipients: tuple[str, ...] = ()  # key ids that it is encrypted to


@dataclass
class Correspondent(Person):
    """A person with a key; `ours` is the mailbox's key, which they know."""

    key: Keyholder | None = None
    ours: PublicKey | None = None
    letters: list[Letter] = field(default_factory=list)

    @property
    def keyholder(self) -> Keyholder:
        assert self.key is not None
        return self.key

    @property
    def known(self) -> PublicKey:
        assert self.ours is not None
        return self.ours

    def receive(self, data: bytes) -> Mail:
        letter = self.read(data)
        self.letters.append(letter)
        return letter.mail

    def read(self, data: bytes) -> Letter:
        """Decrypt and verify what came; what cannot be decrypted is shown as it is."""
        mail = _parsed(data)
        if self.ours is None or self.key is None:
            return Letter(mail, data, mail.get_content_type() == "multipart/encrypted", "")
        self.key.know(self.ours)
        kind = mail.get_content_type()
        if kind == "multipart/encrypted":
            blob = list(mail.iter_parts())[1].get_payload(decode=True)
            assert isinstance(blob, bytes)
            inner = self.key.gpg("--decrypt", data=blob, fails=True)
            if not inner:
                return Letter(mail, data, True, "")
            said = self.key.gpg("--status-fd", "1", "-o", "/dev/null", "--yes", "--decrypt", data=blob).decode()
            to = tuple(re.findall(r"ENC_TO ([0-9A-F]{16})", said))
            return Letter(_parsed(inner), data, True, _valid(said), to)
        if kind == "multipart/signed":
            content, signature = _halves(data)
            return Letter(_parsed(content), data, False, self._signer(content, signature))
        return Letter(mail, data, False, "")

    def _signer(self, content: bytes, signature: bytes) -> str:
        home = self.keyholder.home
        (home / "content").write_bytes(content)
        (home / "signature").write_bytes(signature)
        paths = str(home / "signature"), str(home / "content")
        return _valid(self.keyholder.gpg("--status-fd", "1", "--verify", *paths, fails=True).decode())

    # --- writing ---------------------------------------------------------------------------------------------------

    def seal(
        self,
        mail: bytes,
        *,
        sign: bool = True,
        to: PublicKey | None = None,
        subject: str = "...",
        by: Keyholder | None = None,
        offer: bool = False,
        at: str = "",
    ) -> bytes:
        """`mail` encrypted to the mailbox (`to`) by PGP/MIME, its subject inside; `offer`: their key goes with it."""
        key = by or self.keyholder
        outer, inner = _split(mail, subject)
        entity = with_key(inner, self.keyholder) if offer else inner
        recipient = to or self.ours
        assert recipient is not None
        key.know(recipient)
        words = [*(["--sign"] if sign else []), "-a", "-r", recipient.fingerprint, "-e"]
        return wrapped(outer, key.gpg(*words, data=entity, at=at))

    def sign(self, mail: bytes, *, by: Keyholder | None = None, at: str = "") -> bytes:
        """`mail` in clear with a signature (RFC 3156 §5)."""
        outer, inner = _split(mail, None)
        signature = (by or self.keyholder).sign(inner, "--digest-algo", "SHA512", at=at)
        parts = (inner, b"Content-Type: application/pgp-signature\r\n\r\n" + _crlf(signature))
        kind = b'multipart/signed; micalg=pgp-sha512; protocol="application/pgp-signature"; boundary="signed-b"'
        return outer + _multipart(kind, b"signed-b", parts)


def wrapped(outer: bytes, armoured: bytes) -> bytes:
    """A mail with these header fields around a ciphertext (RFC 3156 §4)."""
    parts = (
        b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n",
        b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n\r\n' + _crlf(armoured),
    )
    kind = b'multipart/encrypted; protocol="application/pgp-encrypted"; boundary="sealed-b"'
    return outer + _multipart(kind, b"sealed-b", parts)


def with_key(entity: bytes, key: Keyholder) -> bytes:
    """The entity and beside it the public key, as mail programs attach it."""
    public = key.gpg("--armor", "--export", key.fingerprint)
    head, _, rest = entity.partition(b"\r\n\r\n")
    protected = [line for line in _FIELD.split(head + b"\r\n") if line and not line.lower().startswith(b"content-")]
    content = [line for line in _FIELD.split(head + b"\r\n") if line.lower().startswith(b"content-")]
    parts = (
        b"".join(content) + b"\r\n" + rest,
        b'Content-Type: application/pgp-keys; name="key.asc"\r\n\r\n' + _crlf(public),
    )
    kind = b'multipart/mixed; protected-headers="v1"; boundary="with-key-b"'
    return b"".join(protected) + _multipart(kind, b"with-key-b", parts)


def outside_of(mail: bytes, subject: str = "...") -> bytes:
    """The header that the world sees of a mail that is encrypted."""
    return _split(mail, subject)[0]


def _split(mail: bytes, subject: str | None) -> tuple[bytes, bytes]:
    """Outer fields (with `subject` in place of the real one), and the entity inside, which repeats the real ones."""
    head, _, body = mail.partition(b"\r\n\r\n")
    outer, content, protected = b"", b"", b""
    for line in (line for line in _FIELD.split(head + b"\r\n") if line):
        name = line.partition(b":")[0].decode().lower()
        if name.startswith(_CONTENT):
            content += b"" if name == "mime-version" else line
            continue
        if name in ("subject", "from", "to"):
            protected += line
        hidden = name == "subject" and subject is not None
        outer += f"Subject: {subject}\r\n".encode() if hidden else line
    kind = re.compile(rb"(?im)^(content-type:[^\r\n;]*)")
    return outer, protected + kind.sub(rb'\1; protected-headers="v1"', content, count=1) + b"\r\n" + body


def _multipart(kind: bytes, boundary: bytes, parts: tuple[bytes, ...]) -> bytes:
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return b"MIME-Version: 1.0\r\nContent-Type: " + kind + b"\r\n\r\n" + body + b"--" + boundary + b"--\r\n"


def _halves(data: bytes) -> tuple[bytes, bytes]:
    """The signed bytes with line ends of CRLF, as they were on the wire, and the signature."""
    raw = _crlf(data)
    boundary = b"--" + (_parsed(data).get_boundary() or "").encode()
    _, content, signature, _ = re.split(rb"(?:\A|\r\n)" + re.escape(boundary) + rb"(?:--)?\r\n", raw)
    return content, signature.partition(b"\r\n\r\n")[2]


def _valid(status: str) -> str:
    """The primary key of the one good signature."""
    good = re.findall(r"^\[GNUPG:\] VALIDSIG .* ([0-9A-F]{40})$", status, re.MULTILINE)
    return str(good[0]) if len(good) == 1 and "GOODSIG" in status else ""


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _parsed(data: bytes) -> EmailMessage:
    mail = message_from_bytes(data, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail
