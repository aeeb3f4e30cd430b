"""Framing and armour: what GnuPG made, every way to write the same, and damage of all kinds."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.openpgp import EncryptedMessage, Refusal, armour, packets
from mailbox_service.core.openpgp.armour import Armoured, armoured, crc24, dearmour
from mailbox_service.core.openpgp.packets import (
    COMPRESSED,
    LITERAL,
    MARKER,
    OCB,
    PADDING,
    PKESK,
    PUBLIC_KEY,
    SECRET_KEY,
    SED,
    SEIPD,
    SKESK,
    USER_ID,
    Packet,
    read_keys,
    read_message,
    read_signature,
    split,
)
from tests.pgp_mail import samples


def binary(text: str, kind: str) -> bytes:
    block = dearmour(text.encode(), kind)
    assert isinstance(block, Armoured) and block.checksum
    return block.data


def message(data: bytes) -> EncryptedMessage:
    read = read_message(data)
    assert isinstance(read, EncryptedMessage)
    return read


BINARY = binary(samples.MESSAGE, armour.MESSAGE)
SIGNATURE = binary(samples.SIGNATURE, armour.SIGNATURE)
KEY = binary(samples.KEY, armour.PUBLIC_KEY)


def whole(data: bytes) -> tuple[Packet, ...]:
    found = split(data)
    assert not isinstance(found, Refusal)
    return found


KEYS_TO_IT, SEALED = whole(BINARY)


def old_format(packet: Packet) -> bytes:
    return bytes((0x80 | packet.tag << 2 | 1,)) + len(packet.body).to_bytes(2) + packet.body


def in_pieces(packet: Packet, sizes: tuple[int, ...]) -> bytes:
    """Partial lengths of 2**size each, then the rest."""
    out, at = bytes((0xC0 | packet.tag,)), 0
    for size in sizes:
        out += bytes((224 | size,)) + packet.body[at : at + (1 << size)]
        at += 1 << size
    rest = packet.body[at:]
    return out + b"\xff" + len(rest).to_bytes(4) + rest


def test_what_gnupg_made_is_one_message_to_one_key() -> None:
    read = message(BINARY)
    assert read.recipients == (samples.SUBKEY_ID,)
    assert read.passphrases == 0
    assert [packet.tag for packet in whole(read.octets)] == [PKESK, SEIPD]
    assert message(read.octets) == read


def test_a_hidden_recipient_has_no_name() -> None:
    assert message(binary(samples.HIDDEN, armour.MESSAGE)).recipients == ("",)


def test_the_signature_says_by_whom_over_what_and_how() -> None:
    read = read_signature(SIGNATURE)
    assert not isinstance(read, Refusal)
    assert not read.over_text
    assert read.hash_algorithm == 10
    assert read.issuers == (samples.FINGERPRINT[-16:], samples.FINGERPRINT)
    assert read.intended_recipients == ()


def test_an_intended_recipient_counts_only_where_it_is_signed() -> None:
    subpacket = bytes((22, 35, 4)) + b"\x11" * 20

    def signature(hashed: bytes, free: bytes) -> bytes:
        areas = len(hashed).to_bytes(2) + hashed + len(free).to_bytes(2) + free
        return Packet(packets.SIGNATURE, bytes((4, 0, 22, 8)) + areas + b"\0\0\0\0").framed

    inside, outside = read_signature(signature(subpacket, b"")), read_signature(signature(b"", subpacket))
    assert not isinstance(inside, Refusal) and not isinstance(outside, Refusal)
    assert inside.intended_recipients == ("11" * 20,) and outside.intended_recipients == ()


def test_the_key_has_its_fingerprint() -> None:
    read = read_keys(KEY)
    assert not isinstance(read, Refusal)
    assert [key.fingerprint for key in read] == [samples.FINGERPRINT]


def test_two_keys_in_one_file_are_two() -> None:
    read = read_keys(KEY + KEY)
    assert not isinstance(read, Refusal) and len(read) == 2 and read[0] == read[1]
    assert read_keys(KEY * 11) is Refusal.TOO_LARGE


# --- the same message, written otherwise --------------------------------------------------------------------


def test_framing_does_not_change_a_digest() -> None:
    read = message(BINARY)
    large = Packet(SEIPD, b"\x01" + bytes(range(256)) * 40)
    assert message(old_format(KEYS_TO_IT) + SEALED.framed) == read
    for sizes in ((9,), (10, 0, 0, 3), (9, 9, 12)):
        assert message(KEYS_TO_IT.framed + in_pieces(large, sizes)) == message(KEYS_TO_IT.framed + large.framed)


def test_markers_and_padding_do_not_change_a_digest_and_never_reach_gpg() -> None:
    marker, padding = Packet(MARKER, b"PGP").framed, Packet(PADDING, b"x" * 40).framed
    assert message(marker + KEYS_TO_IT.framed + padding + SEALED.framed + padding) == message(BINARY)


def test_another_recipient_changes_the_digest_and_not_the_digest_of_the_data() -> None:
    other = Packet(PKESK, b"\x03" + b"\xab" * 8 + b"\x12" + b"x" * 40)
    read, more = message(BINARY), message(KEYS_TO_IT.framed + other.framed + SEALED.framed)
    assert more.data_digest == read.data_digest and more.digest != read.digest
    assert more.recipients == (samples.SUBKEY_ID, "AB" * 8)
    swapped = message(other.framed + KEYS_TO_IT.framed + SEALED.framed)
    assert swapped.digest == more.digest
    only = message(other.framed + SEALED.framed)
    assert only.data_digest == read.data_digest


def test_other_data_has_another_digest() -> None:
    body = SEALED.body[:-1] + bytes((SEALED.body[-1] ^ 1,))
    assert message(KEYS_TO_IT.framed + Packet(SEIPD, body).framed).data_digest != message(BINARY).data_digest


def test_newer_packets_are_known() -> None:
    v6 = Packet(PKESK, b"\x06" + bytes((21, 4)) + bytes(20) + b"\x19" + b"x" * 40)
    hidden = Packet(PKESK, b"\x06\x00\x19" + b"x" * 40)
    read = message(v6.framed + hidden.framed + Packet(SEIPD, b"\x02" + b"x" * 60).framed)
    assert read.recipients == ("00" * 20, "")
    assert message(KEYS_TO_IT.framed + Packet(OCB, b"\x01" + b"x" * 60).framed).recipients == (samples.SUBKEY_ID,)
    both = message(Packet(SKESK, b"\x04" + b"x" * 20).framed + BINARY)
    assert both.passphrases == 1 and both.recipients == (samples.SUBKEY_ID,)


# --- refused ------------------------------------------------------------------------------------------------

LITERAL_PACKET = Packet(LITERAL, b"b\0\0\0\0\0plain").framed
REFUSED = {
    "without protection": (KEYS_TO_IT.framed + Packet(SED, b"x" * 60).framed, Refusal.NO_INTEGRITY),
    "without protection, of old": (b"\xa7" + b"x" * 60, Refusal.NO_INTEGRITY),
    "with and without protection": (BINARY + Packet(SED, b"x" * 60).framed, Refusal.NO_INTEGRITY),
    "a literal": (LITERAL_PACKET, Refusal.NOT_ENCRYPTED),
    "compressed": (Packet(COMPRESSED, b"\1x").framed, Refusal.NOT_ENCRYPTED),
    "two messages": (BINARY + BINARY, Refusal.SEVERAL_MESSAGES),
    "a literal in front": (LITERAL_PACKET + BINARY, Refusal.SEVERAL_MESSAGES),
    "a literal behind": (BINARY + LITERAL_PACKET, Refusal.SEVERAL_MESSAGES),
    "a signature behind": (BINARY + SIGNATURE, Refusal.SEVERAL_MESSAGES),
    "keys behind the data": (SEALED.framed + KEYS_TO_IT.framed, Refusal.SEVERAL_MESSAGES),
    "no keys": (SEALED.framed, Refusal.NO_RECIPIENT),
    "only keys": (KEYS_TO_IT.framed, Refusal.PACKETS),
    "nothing": (b"", Refusal.PACKETS),
    "an unknown version": (KEYS_TO_IT.framed + Packet(SEIPD, b"\x03xx").framed, Refusal.PACKETS),
    "an empty packet": (KEYS_TO_IT.framed + Packet(SEIPD, b"").framed, Refusal.PACKETS),
    "a key of an unknown version": (Packet(PKESK, b"\x09" + b"x" * 30).framed + SEALED.framed, Refusal.PACKETS),
    "cut off": (BINARY[:-1], Refusal.PACKETS),
    "a byte behind": (BINARY + b"\n", Refusal.PACKETS),
    "keys in pieces": (in_pieces(Packet(PKESK, b"\x03" * 600), (9,)) + SEALED.framed, Refusal.PACKETS),
    "a small first piece": (KEYS_TO_IT.framed + in_pieces(SEALED, (3,)), Refusal.PACKETS),
    "the reserved packet": (b"\xc0\x00" + BINARY, Refusal.PACKETS),
    "keys to the end of the file": (b"\x87" + b"x" * 30, Refusal.PACKETS),
    "too many recipients": (KEYS_TO_IT.framed * 251 + SEALED.framed, Refusal.TOO_LARGE),
    "too many packets": (Packet(MARKER, b"PGP").framed * 1001, Refusal.TOO_LARGE),
    "too many pieces": (
        KEYS_TO_IT.framed + bytes((0xC0 | SEIPD, 224 | 9)) + b"\x01" * 512 + b"\xe0x" * packets.CHUNKS + b"\x01x",
        Refusal.TOO_LARGE,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_single_protected_message_is_refused(name: str) -> None:
    data, reason = REFUSED[name]
    assert read_message(data) is reason


def test_too_large_a_message_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "MESSAGE_BYTES", len(BINARY) - 1)
    assert read_message(BINARY) is Refusal.TOO_LARGE


def test_what_is_no_single_signature_over_a_document_is_refused() -> None:
    (packet,) = whole(SIGNATURE)

    def with_byte(at: int, value: int) -> bytes:
        return Packet(packet.tag, packet.body[:at] + bytes((value,)) + packet.body[at + 1 :]).framed

    assert read_signature(SIGNATURE + SIGNATURE) is Refusal.SEVERAL_SIGNATURES
    assert read_signature(BINARY) is Refusal.NO_SIGNATURE
    assert read_signature(SIGNATURE + LITERAL_PACKET) is Refusal.NO_SIGNATURE
    assert read_signature(b"") is Refusal.NO_SIGNATURE
    assert read_signature(with_byte(0, 3)) is Refusal.PACKETS
    assert read_signature(with_byte(1, 0x10)) is Refusal.SIGNATURE_TYPE  # a certification of a key
    assert read_signature(with_byte(1, 0x02)) is Refusal.SIGNATURE_TYPE  # a standalone one, over nothing
    assert read_signature(with_byte(4, 0xFF)) is Refusal.PACKETS  # the area of what it says ends nowhere
    assert read_signature(Packet(packet.tag, packet.body[:11]).framed) is Refusal.PACKETS


def test_nothing_secret_and_nothing_else_passes_for_a_key() -> None:
    (first, *_) = whole(KEY)
    assert read_keys(Packet(SECRET_KEY, first.body).framed) is Refusal.NO_KEY
    assert read_keys(KEY + Packet(SECRET_KEY, first.body).framed) is Refusal.NO_KEY
    assert read_keys(KEY + BINARY) is Refusal.NO_KEY
    assert read_keys(Packet(USER_ID, b"x").framed + KEY) is Refusal.NO_KEY
    assert read_keys(Packet(PUBLIC_KEY, b"\x03" + first.body[1:]).framed) is Refusal.NO_KEY
    assert read_keys(b"") is Refusal.NO_KEY
    assert read_keys(KEY + Packet(packets.SIGNATURE, b"x").framed * packets.PACKETS) is Refusal.TOO_LARGE


@given(st.binary(max_size=200), st.sampled_from([b"", BINARY, SIGNATURE, KEY, KEYS_TO_IT.framed]))
def test_any_bytes_are_split_or_refused(data: bytes, before: bytes) -> None:
    for given_bytes in (before + data, data + before):
        found = split(given_bytes)
        if not isinstance(found, Refusal):
            assert split(b"".join(packet.framed for packet in found)) == found
        read = read_message(given_bytes)
        assert isinstance(read, Refusal) or message(read.octets) == read
        read_signature(given_bytes)
        read_keys(given_bytes)


def test_a_damaged_message_is_the_same_data_or_refused() -> None:
    rng = random.Random(1)
    for at in range(len(BINARY)):
        read = read_message(BINARY[:at] + bytes((BINARY[at] ^ rng.randint(1, 255),)) + BINARY[at + 1 :])
        if isinstance(read, EncryptedMessage) and at >= len(BINARY) - len(SEALED.body):
            assert read.data_digest != message(BINARY).data_digest


# --- armour -------------------------------------------------------------------------------------------------


def test_the_checksum_is_the_one_of_the_specification() -> None:
    assert crc24(b"") == 0xB704CE
    assert crc24(b"123456789") == 0x21CF02


FORGIVEN = {
    "as it is": samples.MESSAGE,
    "blanks around": f"\n \t\r\n{samples.MESSAGE}\n\n",
    "CRLF": samples.MESSAGE.replace("\n", "\r\n"),
    "doubled lines, blanks, no empty line": samples.broken_armour(),
    "a byte order mark": f"\ufeff{samples.MESSAGE}",
    "no-break spaces": samples.MESSAGE.replace("\n", "\u00a0\n"),
    "many headers": samples.MESSAGE.replace("\n\n", "\nVersion: GnuPG v2\nComment: a: b\nHash: SHA256\n\n", 1),
    "one line": samples.MESSAGE[: samples.MESSAGE.index("\n\n") + 2]
    + samples.MESSAGE[samples.MESSAGE.index("\n\n") + 2 : samples.MESSAGE.rindex("\n=")].replace("\n", "")
    + samples.MESSAGE[samples.MESSAGE.rindex("\n=") :],
}


@pytest.mark.parametrize("name", FORGIVEN)
def test_what_mail_programs_do_to_armour_is_forgiven(name: str) -> None:
    assert dearmour(FORGIVEN[name].encode(), armour.MESSAGE) == Armoured(BINARY, True)


def test_a_wrong_or_missing_checksum_is_told_and_no_reason_to_refuse() -> None:
    at = samples.MESSAGE.rindex("\n=")
    wrong = samples.MESSAGE[: at + 2] + "AAAA" + samples.MESSAGE[at + 6 :]
    assert dearmour(wrong.encode(), armour.MESSAGE) == Armoured(BINARY, False)
    missing = samples.MESSAGE[:at] + samples.MESSAGE[at + 6 :]
    assert dearmour(missing.encode(), armour.MESSAGE) == Armoured(BINARY, None)


def test_a_long_block_is_not_counted() -> None:
    data = bytes(armour.CHECKSUM_WITHIN_BYTES + 1)
    text = f"-----BEGIN PGP MESSAGE-----\n\n{base64.encodebytes(data).decode()}=AAAA\n-----END PGP MESSAGE-----"
    assert dearmour(text.encode(), armour.MESSAGE) == Armoured(data, None)


NOT_ARMOUR = {
    "text around": (f"Hi\n{samples.MESSAGE}", Refusal.AROUND),
    "text behind": (f"{samples.MESSAGE}Bye", Refusal.AROUND),
    "two": (samples.MESSAGE * 2, Refusal.SEVERAL),
    "a key behind": (samples.MESSAGE + samples.KEY, Refusal.SEVERAL),
    "another kind": (samples.KEY, Refusal.ARMOUR),
    "no end": (samples.MESSAGE[:-30], Refusal.ARMOUR),
    "no line end before the end": (samples.MESSAGE.replace("\n-----END", "-----END"), Refusal.ARMOUR),
    "text behind the beginning": (samples.MESSAGE.replace("-----\n", "-----x\n", 1), Refusal.ARMOUR),
    "quoted": (samples.MESSAGE.replace("\n", "\n> "), Refusal.AROUND),
    "other characters": (samples.MESSAGE.replace("\n\n", "\n\n*", 1), Refusal.ARMOUR),
    "padding amid": (samples.MESSAGE.replace("\n\n", "\n\nAA==\n", 1), Refusal.ARMOUR),
    "a lost character": (samples.MESSAGE.replace("\n\nh", "\n\n", 1), Refusal.ARMOUR),
    "nothing in it": ("-----BEGIN PGP MESSAGE-----\n\n-----END PGP MESSAGE-----", Refusal.ARMOUR),
    "nothing but headers": (
        "-----BEGIN PGP MESSAGE-----\n" + "Comment: x\n" * 99 + "-----END PGP MESSAGE-----",
        Refusal.ARMOUR,
    ),
    "empty": ("", Refusal.ARMOUR),
}


@pytest.mark.parametrize("name", NOT_ARMOUR)
def test_what_is_not_one_whole_block_is_refused(name: str) -> None:
    text, reason = NOT_ARMOUR[name]
    assert dearmour(text.encode(), armour.MESSAGE) is reason


@given(st.text(alphabet="-BEGINPMSA= \r\n\tx:+/0\u00a0\ufeff", max_size=120))
def test_any_text_is_a_block_or_refused(text: str) -> None:
    dearmour(text.encode(), armour.MESSAGE)
    dearmour(f"-----BEGIN PGP MESSAGE-----\n{text}\n-----END PGP MESSAGE-----".encode(), armour.MESSAGE)


@given(st.binary(min_size=1, max_size=500))
def test_what_we_armour_reads_back_with_its_checksum(data: bytes) -> None:
    text = armoured(data)
    assert dearmour(text, "PGP PUBLIC KEY BLOCK") == Armoured(data, True)
    assert max(len(line) for line in text.split(b"\n")) <= 64
