"""What gpg's status lines prove, and above all what they do not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.gpg.keys import address_of, days_warned, read_keys
from mailbox_service.core.gpg.publishing import autocrypt_header, wkd_paths, zbase32
from mailbox_service.core.gpg.status import (
    DecryptionFlaw,
    GoodSignature,
    SignatureFlaw,
    Status,
    encrypted_whole,
    judge_decryption,
    judge_signature,
    read_status,
    signed_by,
)

OURS, BOB = "A" * 40, "B" * 40
SIGNED = f"""[GNUPG:] NEWSIG
[GNUPG:] KEY_CONSIDERED {BOB} 0
[GNUPG:] SIG_ID yhj5OrSATN4VcKQqD0JuxFXgMw8 2026-11-26 1795710440
[GNUPG:] GOODSIG {BOB[:16]} bob <bob@y.example>
[GNUPG:] VALIDSIG {BOB} 2026-11-26 1795710440 0 4 0 22 10 00 {BOB}
"""
OPENED = f"""[GNUPG:] ENC_TO EC537A38C772C7C4 18 0
[GNUPG:] KEY_CONSIDERED {OURS} 0
[GNUPG:] DECRYPTION_KEY {OURS} {OURS} u
[GNUPG:] BEGIN_DECRYPTION
[GNUPG:] DECRYPTION_INFO 2 9 0
[GNUPG:] PLAINTEXT 62 1795710440 m
[GNUPG:] PLAINTEXT_LENGTH 6
{SIGNED}[GNUPG:] DECRYPTION_OKAY
[GNUPG:] GOODMDC
[GNUPG:] END_DECRYPTION
"""
GOOD = GoodSignature(BOB, datetime.fromtimestamp(1795710440, UTC))
HOSTILE = (
    *("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "KEYREVOKED", "KEYEXPIRED", "SIGEXPIRED", "NO_PUBKEY"),
    *("NODATA", "UNEXPECTED", "TRUNCATED", "ERROR", "FAILURE", "NEWSIG", "GOODSIG", "VALIDSIG", "SOMETHING_NEW"),
)


def signature(text: str, code: int = 0, allowed: tuple[str, ...] = (BOB,)) -> GoodSignature | SignatureFlaw:
    return judge_signature(read_status(text.encode()), code, allowed)


def decryption(text: str, code: int = 0, own: tuple[str, ...] = (OURS,)) -> DecryptionFlaw | tuple[Status, ...]:
    return judge_decryption(read_status(text.encode()), code, own)


def test_one_good_signature_by_an_allowed_key_is_one() -> None:
    assert signature(SIGNED) == GOOD
    assert signature(SIGNED, allowed=(OURS,)) is SignatureFlaw.UNKNOWN_KEY
    assert isinstance(signature(SIGNED, code=1), SignatureFlaw)
    inner = decryption(OPENED)
    assert not isinstance(inner, DecryptionFlaw)
    assert judge_signature(inner, 0, (BOB,)) == GOOD


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("first", [True, False])
def test_one_word_too_many_and_the_signature_proves_nothing(word: str, first: bool) -> None:
    line = f"[GNUPG:] {word} {BOB[:16]} x\n"
    assert isinstance(signature(line + SIGNED if first else SIGNED + line), SignatureFlaw)


@given(st.data())
def test_a_line_less_or_twice_proves_nothing(data: st.DataObject) -> None:
    lines = SIGNED.splitlines(keepends=True)
    at = data.draw(st.sampled_from([0, 3, 4]))
    assert isinstance(signature("".join(lines[:at] + lines[at + 1 :])), SignatureFlaw)
    assert isinstance(signature("".join(lines[: at + 1] + lines[at:])), SignatureFlaw)


@given(st.integers(0, len(SIGNED) - 1))
def test_a_status_that_ends_early_proves_nothing(end: int) -> None:
    assert isinstance(signature(SIGNED[:end]), SignatureFlaw)


@given(st.integers(0, len(SIGNED) - 2), st.characters(codec="utf-8"))
def test_no_single_character_makes_a_signature_somebody_elses(at: int, character: str) -> None:
    found = signature(SIGNED[:at] + character + SIGNED[at + 1 :])
    assert isinstance(found, SignatureFlaw) or found.fingerprint == BOB


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    for text in (data, b"[GNUPG:] VALIDSIG " + data + b"\n", SIGNED.encode() + data):
        lines = read_status(text)
        for code in (0, 2):
            judge_signature(lines, code, (BOB,))
            assert isinstance(judge_decryption(lines, code, (OURS,)), DecryptionFlaw)


# What gpg may say beside a good result, written down a second time: whatever else it says makes it none.
BESIDE_A_SIGNATURE = frozenset(
    {
        *("NEWSIG", "SIG_ID", "GOODSIG", "VALIDSIG", "NOTATION_NAME", "NOTATION_FLAGS", "NOTATION_DATA", "POLICY_URL"),
        *("VERIFICATION_COMPLIANCE_MODE", "KEY_CONSIDERED", "PROGRESS"),
        *("TRUST_UNDEFINED", "TRUST_FULLY", "TRUST_ULTIMATE"),
    }
)
OF_A_DECRYPTION = frozenset(re.findall(r"(?m)^\[GNUPG:\] ([A-Z_]+)", OPENED))
WORDS = sorted({*BESIDE_A_SIGNATURE, *HOSTILE, *OF_A_DECRYPTION, "DECRYPTION_FAILED", "BADMDC"})
MADE_UP = st.builds(
    "[GNUPG:] {} {}\n".format,
    st.sampled_from(WORDS),
    st.sampled_from(["", BOB, BOB[:16], f"{OURS} {OURS} u", "0 0 0", SIGNED.split("VALIDSIG ")[1].strip()])
    | st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20),
)


@st.composite
def edited(draw: st.DrawFn, text: str) -> list[str]:
    """A good result of which some lines are gone, doubled, moved, or joined by others."""
    lines = text.splitlines(keepends=True)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1)) if lines else 0
        match draw(st.integers(0, 3)):
            case 0:
                del lines[at : at + 1]
            case 1:
                lines[at:at] = lines[at : at + 1]
            case 2:
                lines.insert(at, draw(MADE_UP))
            case _:
                lines.append(lines.pop(at) if lines else draw(MADE_UP))
    return lines


def keywords(lines: list[str]) -> list[str]:
    return [line.split(" ")[1].strip() for line in lines]


@given(edited(SIGNED), st.sampled_from([0, 0, 0, 2]))
def test_of_any_lines_a_signature_is_believed_only_alone_and_in_full(lines: list[str], code: int) -> None:
    found = signature("".join(lines), code)
    if isinstance(found, SignatureFlaw):
        return
    said = keywords(lines)
    assert code == 0 and set(said) <= BESIDE_A_SIGNATURE
    assert [said.count(word) for word in ("NEWSIG", "GOODSIG", "VALIDSIG")] == [1, 1, 1]
    assert found.fingerprint == BOB and next(line for line in lines if "VALIDSIG" in line).rstrip("\n").endswith(BOB)


@given(edited(OPENED), st.sampled_from([0, 0, 0, 2]))
def test_of_any_lines_a_decryption_is_believed_only_whole_and_in_order(lines: list[str], code: int) -> None:
    found = decryption("".join(lines), code)
    if isinstance(found, DecryptionFlaw):
        return
    said = keywords(lines)
    steps = ["BEGIN_DECRYPTION", "DECRYPTION_INFO", "PLAINTEXT", "DECRYPTION_OKAY", "GOODMDC", "END_DECRYPTION"]
    assert code == 0 and [word for word in said if word in steps] == steps
    assert not {"DECRYPTION_FAILED", "BADMDC", "NODATA", "ERROR", "FAILURE", "UNEXPECTED", "SOMETHING_NEW"} & set(said)
    about = [at for at, word in enumerate(said) if "SIG" in word]
    assert all(said.index("PLAINTEXT") < at < said.index("DECRYPTION_OKAY") for at in about)


@given(st.data())
def test_what_gpg_may_say_beside_a_good_result_changes_nothing(data: st.DataObject) -> None:
    """The other side of it: else a test that believes nothing would pass all of these."""
    noise = st.sampled_from(
        ["[GNUPG:] PROGRESS x 1 2 3\n", f"[GNUPG:] KEY_CONSIDERED {BOB} 0\n", "[GNUPG:] TRUST_UNDEFINED 0 x\n"]
    )
    for text in (SIGNED, OPENED):
        lines = text.splitlines(keepends=True)
        for _ in range(data.draw(st.integers(0, 4))):
            lines.insert(data.draw(st.integers(0, len(lines))), data.draw(noise))
        if text is SIGNED:
            assert signature("".join(lines)) == GOOD
        else:
            inner = decryption("".join(lines))
            assert not isinstance(inner, DecryptionFlaw) and judge_signature(inner, 0, (BOB,)) == GOOD


@given(
    st.sampled_from([found.start() for found in re.finditer("\n", OPENED)]) | st.integers(0, len(OPENED)),
    st.sampled_from("\r\v\f\x1c\x85\u2028\0"),
    st.sampled_from(["GOODSIG", "NEWSIG", "BADSIG"]),
)
def test_no_other_character_ends_a_line(at: int, end: str, word: str) -> None:
    """What programs take for a line end in some places does not make two lines of gpg's one."""
    spoofed = f"{OPENED[:at]}{end}[GNUPG:] {word} {OURS[:16]} x{end}{OPENED[at:]}"
    lines = read_status(spoofed.encode())
    assert lines is None or len(lines) == OPENED.count("\n")
    inner = judge_decryption(lines, 0, (OURS,))
    if not isinstance(inner, DecryptionFlaw):
        found = judge_signature(inner, 0, (BOB,))
        assert isinstance(found, SignatureFlaw) or found == GOOD


def test_a_name_cannot_speak_for_gpg() -> None:
    """CVE-2018-12020: a file name with a line of status in it. On a pipe of its own gpg escapes it, and the reader
    takes no line for another."""
    spoofed = OPENED.replace("62 1795710440 m", "62 1795710440 x%0A[GNUPG:]%20GOODSIG%20AAAA")
    assert not isinstance(decryption(spoofed.replace(SIGNED, "")), DecryptionFlaw)
    assert judge_signature(read_status(spoofed.replace(SIGNED, "").encode()), 0, (BOB,)) is not GOOD
    assert read_status(b"gpg: [GNUPG:] GOODSIG x\n") is None
    assert read_status(b"[GNUPG:] GOODSIG x\r\n") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("22 10 00", "22 2 00"),  # SHA-1
        ("22 10 00", "22 10 10"),  # a signature over a key
        (f"GOODSIG {BOB[:16]}", f"GOODSIG {OURS[:16]}"),  # the two lines speak of two keys
        (f"00 {BOB}", f"00 {BOB[:16]}"),
        (f"00 {BOB}", f"00 {BOB} x"),
        (f"00 {BOB}", f"00 {OURS}"),
        ("2026-11-26 1795710440 0", "2026-11-26 20261126T000000 0"),
    ],
)
def test_a_signature_that_is_not_said_in_full_is_none(old: str, new: str) -> None:
    assert old in SIGNED
    assert isinstance(signature(SIGNED.replace(old, new)), SignatureFlaw)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[GNUPG:] GOODMDC\n", "", DecryptionFlaw.UNREADABLE),
        ("[GNUPG:] DECRYPTION_OKAY\n", "", DecryptionFlaw.DAMAGED),
        ("DECRYPTION_OKAY", "DECRYPTION_FAILED", DecryptionFlaw.DAMAGED),
        ("DECRYPTION_OKAY", "DECRYPTION_OKAY\n[GNUPG:] DECRYPTION_FAILED", DecryptionFlaw.DAMAGED),
        ("INFO 2 9 0", "INFO 0 9 0", DecryptionFlaw.UNPROTECTED),
        ("PLAINTEXT 62", "PLAINTEXT 62 1 a\n[GNUPG:] PLAINTEXT 62", DecryptionFlaw.SEVERAL),
        ("[GNUPG:] END_DECRYPTION", "[GNUPG:] END_DECRYPTION\n[GNUPG:] NODATA 3", DecryptionFlaw.UNREADABLE),
        ("[GNUPG:] END_DECRYPTION\n", f"[GNUPG:] END_DECRYPTION\n{SIGNED}", DecryptionFlaw.UNREADABLE),
        ("[GNUPG:] ENC_TO", f"{SIGNED}[GNUPG:] ENC_TO", DecryptionFlaw.UNREADABLE),
        (f"KEY {OURS} {OURS}", f"KEY {BOB} {BOB}", DecryptionFlaw.NO_KEY),
        ("[GNUPG:] BEGIN_DECRYPTION\n", "", DecryptionFlaw.NO_KEY),
    ],
)
def test_a_decryption_that_is_not_said_in_full_is_none(old: str, new: str, why: DecryptionFlaw) -> None:
    assert old in OPENED
    assert decryption(OPENED.replace(old, new)) is why
    assert isinstance(decryption(OPENED, code=2), DecryptionFlaw)


@given(st.integers(0, len(OPENED) - 1))
def test_a_decryption_that_was_cut_short_shows_nothing(end: int) -> None:
    assert isinstance(decryption(OPENED[:end]), DecryptionFlaw)


def test_what_was_written_is_believed_only_whole() -> None:
    lines = read_status(b"[GNUPG:] BEGIN_ENCRYPTION 2 9\n[GNUPG:] END_ENCRYPTION\n")
    assert encrypted_whole(lines, 0)
    assert not encrypted_whole(lines, 2)
    assert not encrypted_whole(read_status(b"[GNUPG:] BEGIN_ENCRYPTION 2 9\n"), 0)
    assert not encrypted_whole(read_status(b"[GNUPG:] INV_RECP 5 x\n[GNUPG:] END_ENCRYPTION\n"), 0)
    assert not encrypted_whole(None, 0)
    made = b"[GNUPG:] SIG_CREATED D 22 8 00 1795710440 " + BOB.encode() + b"\n"
    assert signed_by(read_status(made), 0) == BOB
    assert signed_by(read_status(made * 2), 0) is None
    assert signed_by(read_status(made), 2) is None


# --- keys --------------------------------------------------------------------------------------------------

LISTED = (
    f"pub:u:255:22:{BOB[:16]}:1795710440:1827246440::u:::scESC:::::ed25519:::0:\nfpr:::::::::{BOB}:\n"
    f"uid:u::::1795710440::45C5::bob <bob@y.example>::::::::::0:\n"
    f"sig:!::22:{BOB[:16]}:1795710440::::bob:13x::{BOB}:::8:\n"
    f"sub:u:255:18:{OURS[:16]}:1795710440:1797246440:::::e:::::cv25519::\nfpr:::::::::{OURS}:\n"
    f"sig:!::22:{BOB[:16]}:1795710440::::bob:18x::{BOB}:::8:\n"
)


def test_a_listing_is_read_with_what_the_key_is_good_for() -> None:
    (key,) = read_keys(LISTED.encode())
    assert (key.fingerprint, key.algorithm, key.addresses) == (BOB, "ed25519", frozenset({"bob@y.example"}))
    assert (key.can("e"), key.can("s"), key.weakness, key.can_secretly("s")) == (True, True, (), False)
    # It is good for nothing secret once the part that encrypts has expired.
    assert key.expires_at == datetime.fromtimestamp(1797246440, UTC)


@pytest.mark.parametrize(
    ("old", "new", "can"),
    [
        ("pub:u:", "pub:e:", ""),
        ("pub:u:", "pub:r:", ""),
        ("sub:u:", "sub:e:", "s"),
        ("sub:u:", "sub:r:", "s"),
        ("13x::" + BOB + ":::8", "13x::" + BOB + ":::2", ""),
        ("18x::" + BOB + ":::8", "18x::" + BOB + ":::2", ""),
        ("255:18:", "1024:1:", ""),
        (":::::cv25519", ":::::secp256k1", ""),
    ],
)
def test_a_key_that_is_spent_or_weak_is_good_for_less(old: str, new: str, can: str) -> None:
    assert old in LISTED
    (key,) = read_keys(LISTED.replace(old, new).encode())
    assert "".join(letter for letter in "es" if key.can(letter)) == can


def test_a_user_id_shows_and_does_nothing_it_should_not() -> None:
    hostile = r"\x1b[31m\x0apub\x3au\x3a <a@x.example>\xe2\x80\xae"
    (key,) = read_keys(LISTED.replace("bob <bob@y.example>", hostile).encode())
    assert all(text.isprintable() for text in key.user_ids)
    assert key.fingerprint == BOB
    many = LISTED + "".join(f"uid:u::::1::1::{n} <{n}@x.example>:::\n" for n in range(5000))
    assert len(read_keys(many.encode())[0].user_ids) == 20


@pytest.mark.parametrize(
    ("user_id", "address"),
    [
        ("Bob <Bob@Y.example>", "bob@y.example"),
        ("bob@y.example", "bob@y.example"),
        ("a@x.example <b@y.example>", "b@y.example"),
        ("<a@x.example> <b@y.example", ""),
        ("a@x.example, b@y.example", ""),
        ("Bob <bob@y.example> ", ""),
        ("Bob", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_user_id_is_plain_or_none(user_id: str, address: str) -> None:
    assert address_of(user_id) == address


@given(st.text(max_size=200), st.text(alphabet="pubsecuidfpr:\n0123456789ABCDEF\\x", max_size=300))
def test_no_text_makes_the_listing_unreadable(one: str, two: str) -> None:
    for text in (one, two, LISTED + two, LISTED.replace("bob", one)):
        for key in read_keys(text.encode("utf-8", "replace")):
            assert re.fullmatch("[0-9A-F]{40}", key.fingerprint)


def test_an_expiry_is_told_at_its_steps() -> None:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    told = [days_warned(now + timedelta(days=days), now) for days in (31, 30, 15, 14, 4, 3, 0, -5)]
    assert told == [None, 30, 30, 14, 14, 3, 0, 0]
    assert days_warned(None, now) is None


# --- publishing --------------------------------------------------------------------------------------------


def test_the_place_of_a_key_in_wkd_is_that_of_the_specification() -> None:
    # The example of draft-koch-openpgp-webkey-service-16, §3.1.
    assert wkd_paths("Joe.Doe@Example.ORG") == (
        "openpgpkey.example.org/.well-known/openpgpkey/example.org/hu/iy9q119eutrkn8s1mk4r39qejnbu3n5q",
        "example.org/.well-known/openpgpkey/hu/iy9q119eutrkn8s1mk4r39qejnbu3n5q",
    )
    assert zbase32(bytes(20)) == "y" * 32


def test_an_autocrypt_header_is_folded() -> None:
    header = autocrypt_header("a@x.example", bytes(300))
    assert header.startswith("Autocrypt: addr=a@x.example; prefer-encrypt=mutual; keydata=\r\n AAAA")
    assert header.endswith("\r\n")
    assert max(map(len, header.split("\r\n"))) <= 78
