"""Our own mail as PGP/MIME (RFC 3156) with its header protected (RFC 9788), in steps with gpg in between.

    inner = payload(mail, reference)                  # the bytes to sign and encrypt
    raw = encrypted(mail, reference, ciphertext)      # what gpg made of them, armoured
or
    inner = payload(mail)                             # the bytes to sign
    raw = signed(mail, inner, signature, "pgp-sha512")

The same input gives the same bytes, as in `core.composition`; and as there, our own reader must find in the result
exactly what was meant.
"""

from __future__ import annotations

import re
from dataclasses import replace

from mailbox_service.core.composition import (
    LINE_LIMIT_CHARS,
    Outgoing,
    boundary_for,
    content_of,
    header_block,
    header_fields,
    reread,
)
from mailbox_service.core.openpgp.reading import Encrypted, Form, Signed, read

# What the world may see of a subject: which case, and nothing of it.
_REFERENCE = re.compile(r"\[(?:\.\.\.|[A-Za-z0-9][A-Za-z0-9._/-]{0,60})\]")
_FRAGILE = re.compile(rb"[ \t]\r\n|[ \t]\Z|(?:\A|\n)From |\r(?!\n)|(?<!\r)\n|\0")
_LONG_LINE = re.compile(rb"[^\r\n]{%d}" % (LINE_LIMIT_CHARS + 1))

_MICALG = re.compile(r"pgp-[a-z0-9]{2,20}")

_CONTROL = [
    ("Content-Type", "application/pgp-encrypted"),
    ("Content-Description", "PGP/MIME version identification"),
]
_DATA = [
    ("Content-Type", 'application/octet-stream; name="encrypted.asc"'),
    ("Content-Description", "OpenPGP encrypted message"),
    ("Content-Disposition", 'inline; filename="encrypted.asc"'),
]
_SIGNATURE = [
    ("Content-Type", 'application/pgp-signature; name="signature.asc"'),
    ("Content-Description", "OpenPGP digital signature"),
    ("Content-Disposition", 'attachment; filename="signature.asc"'),
]


def payload(mail: Outgoing, reference: str | None = None) -> bytes:
    """The entity to be signed, or (with the `reference` that will be the outer subject) signed and encrypted.

    It has the whole header of the mail in it. Its lines end in CRLF, none in a blank; all is 7-bit but addresses that
    are not. Raises: ValueError as `composition.compose`, and for a reference that is more than one.
    """
    # A field without a value (no subject) would end in a blank; to readers of `hp` its absence says the same.
    fields = [(name, value) for name, value in header_fields(mail) if name != "MIME-Version" and value]
    # RFC 9788 §2.1, §2.2. The older parameter is for programs that know only the draft; readers of `hp` ignore it.
    protection = 'hp="clear"' if reference is None else 'hp="cipher"'
    if reference is not None:
        outside = header_fields(_outside(mail, reference))
        fields += [("HP-Outer", f"{name}: {value}") for name, value in outside if name != "MIME-Version"]
    part_fields, content = content_of(mail, signable=True)
    kind, *others = part_fields
    fields += [(kind[0], f'{kind[1]};\r\n {protection}; protected-headers="v1"'), *others]
    made = header_block(fields) + content
    if _FRAGILE.search(made) or _LONG_LINE.search(made) or not (made.isascii() or not mail.to_address.isascii()):
        raise ValueError("the payload would not survive its way")
    reread(mail, made, [name for name, _ in fields])
    return made


def encrypted(mail: Outgoing, reference: str, ciphertext: bytes, autocrypt: tuple[str, str] | None = None) -> bytes:
    """The mail around `ciphertext`, the armoured result of encrypting `payload(mail, reference)`.

    Nothing of subject, text and files is in it but what `ciphertext` hides. Raises: ValueError for a ciphertext that
    our own reader would not decrypt (several messages, no integrity protection, no recipient).
    """
    made = _wrapped(
        _outside(mail, reference),
        'multipart/encrypted; protocol="application/pgp-encrypted"',
        (header_block(_CONTROL) + b"Version: 1\r\n", header_block(_DATA) + _tidy_armour(ciphertext)),
        autocrypt,
    )
    found = read(made)
    if not isinstance(found, Encrypted) or found.form is not Form.PGP_MIME:
        raise ValueError("the encrypted mail cannot be read back")
    return made


def signed(
    mail: Outgoing, inner: bytes, signature: bytes, micalg: str, autocrypt: tuple[str, str] | None = None
) -> bytes:
    """The mail with `inner`, which is `payload(mail)`, byte for byte in it, and its armoured detached signature.

    `micalg`: the hash as in RFC 3156 §5, `pgp-sha512`. Raises: ValueError where `inner` is another mail's payload, or
    our own reader finds other bytes or another number of signatures than one.
    """
    if inner != payload(mail):
        raise ValueError("not the payload of this mail")
    if not _MICALG.fullmatch(micalg):
        raise ValueError("micalg is not one of RFC 3156")
    made = _wrapped(
        replace(mail, files=(), attachment=None),
        f'multipart/signed; micalg="{micalg}";\r\n protocol="application/pgp-signature"',
        (inner, header_block(_SIGNATURE) + _tidy_armour(signature)),
        autocrypt,
    )
    found = read(made)
    if not isinstance(found, Signed) or found.content != inner:
        raise ValueError("the signed mail cannot be read back")
    return made


def _outside(mail: Outgoing, reference: str) -> Outgoing:
    """What the world sees of a mail that is encrypted. Its text and files are not looked at, and empty to be sure."""
    if not _REFERENCE.fullmatch(reference):
        raise ValueError("the outer subject is not a reference in brackets")
    return replace(mail, subject=reference, body="", files=(), attachment=None)


def _wrapped(outside: Outgoing, kind: str, parts: tuple[bytes, bytes], autocrypt: tuple[str, str] | None) -> bytes:
    boundary = boundary_for(outside.message_id, parts)
    fields = [*header_fields(outside), *([autocrypt] if autocrypt else [])]
    fields.append(("Content-Type", f'{kind};\r\n boundary="{boundary}"'))
    # RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary, so each part keeps its exact bytes.
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    made = header_block(fields) + body + f"--{boundary}--\r\n".encode()
    reread(outside, made, [name for name, _ in fields])
    return made


def _tidy_armour(block: bytes) -> bytes:
    """With CRLF line ends. What it is, our reader finds out."""
    lines = [line.rstrip(b" \t") for line in block.strip().replace(b"\r\n", b"\n").split(b"\n")]
    if not block.isascii() or b"\r" in b"".join(lines):
        raise ValueError("not an armoured block")
    return b"\r\n".join(lines)
