"""What a report says reaches nobody but the maintainers, and of a sealed case not even them in the clear."""

from __future__ import annotations

import base64
import io
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from mailbox_service import logs
from mailbox_service.services.mailboxes import Notices
from tests.attacks.conftest import Build
from tests.attacks.house import ADA, SECURITY, SUPPORT, House, Sent, but_reminders, mail, to_others, with_mailbox

DAY = timedelta(days=1)
CANARY = "kanarienvogel"
RITA = "rita@research.example"


def everywhere(text: str) -> bytes:
    """A mail whose sender chose the canary for every place that a sender fills."""
    b64 = base64.b64encode(CANARY.encode()).decode()
    fields = "\n".join(
        f"{name}: {CANARY}"
        for name in (
            "Comments",
            "Keywords",
            "Organization",
            "X-Mailer",
            "User-Agent",
            "Reply-To",
            "Sender",
            "Cc",
            "Thread-Topic",
            "Thread-Index",
            "X-Spam-Report",
            "Content-Description",
            "Content-Language",
            "Received-SPF",
            "Resent-Subject",
            "Original-Subject",
        )
    )
    body = (
        f"{CANARY}\r\n--b\r\nContent-Type: text/plain; charset={CANARY}; name={CANARY}.txt\r\n\r\n{CANARY} {text}\r\n"
        f"--b\r\nContent-Type: text/html\r\n\r\n<title>{CANARY}</title><p>{CANARY}</p><img src=http://{CANARY}.example>\r\n"
        f"--b\r\nContent-Type: application/{CANARY}; name={CANARY}\r\nContent-ID: <{CANARY}@x>\r\n"
        f'Content-Disposition: attachment; filename="{CANARY}.pdf"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{b64}\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: {CANARY}@x.example\r\nSubject: {CANARY}\r\n"
        f"Message-ID: <{CANARY}@x.example>\r\n\r\n{CANARY}\r\n"
        f"--b\r\nContent-Type: text/calendar\r\n\r\nSUMMARY:{CANARY}\r\n"
        f"--b\r\nContent-Type: application/pgp-keys\r\n\r\n{CANARY}\r\n--b--\r\n{CANARY}\r\n"
    )
    return mail(
        body,
        sender=f'"{CANARY}" <{RITA}>',
        subject=f"{CANARY} {{{{7*7}}}} =?utf-8?b?{b64}?= injection",
        extra=f"{fields}\nContent-Type: multipart/mixed; boundary=b; x={CANARY}",
    )


def holds(data: bytes, word: str = CANARY) -> bool:
    """Does the word stand in the bytes, plain or in one of the usual encodings?"""
    low = data.lower()
    encoded = [base64.b64encode(b"x" * n + word.encode())[4:-4] for n in range(3)]
    return word.encode() in low or any(e in data for e in encoded) or word.encode("utf-16-le") in low


@pytest.mark.parametrize("text", [SECURITY, SUPPORT], ids=["report", "support"])
async def test_no_answer_repeats_anything_a_sender_wrote(house: House, text: str) -> None:
    all_sent = await house.receive(everywhere(text))
    sent = to_others(all_sent)
    assert len(sent) == 1
    assert all(holds(s.raw) for s in all_sent if s.to == ADA)  # the maintainers see it, so the canary can be found
    assert not holds(sent[0].raw) and b"49" not in sent[0].raw.split(b"\r\n\r\n")[1]


async def test_no_answer_to_many_mails_repeats_anything_either(house: House) -> None:
    await house.receive(*[everywhere(f"{SECURITY}{n}") for n in range(12)])
    sent = to_others(await house.pass_time(DAY))
    assert len(sent) == 1 and not holds(sent[0].raw)


CHARSETS = ("utf-7", "utf-16", "iso-2022-jp", "hz", "cp037", "idna", "punycode", "rot13", "unicode_escape", "zlib", "x")


@pytest.mark.parametrize("charset", CHARSETS)
async def test_no_charset_smuggles_text_into_an_answer(house: House, charset: str) -> None:
    subject = f"=?{charset}?q?{CANARY}=0D=0ABcc:_evil=40x.example?="
    text = f"{SECURITY}{CANARY}\r\n+AA0ACg-Bcc: evil@x.example\r\n"
    data = mail(text, sender=f"=?{charset}?q?{CANARY}?= <{RITA}>", subject=subject)
    sent = await house.receive(data.replace(b"charset=utf-8", b"charset=" + charset.encode()))
    assert {s.to for s in sent} <= {RITA, ADA}
    assert not any(holds(s.raw) for s in to_others(sent))
    assert all(s.mail["Bcc"] is None for s in sent)


# --- sealed cases ------------------------------------------------------------------------------------------

ARMOUR = "-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA0\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n"


def own_text(sent: Sent) -> bytes:
    """What we wrote ourselves: header and text, without the message that travels along."""
    return sent.raw.split(b"\r\n\r\n")[0] + sent.body.encode()


def sealed(*, id_: str | None = None, extra: str = "") -> bytes:
    return mail(ARMOUR, sender=f"{CANARY} <{RITA}>", subject=CANARY, id_=id_, extra=extra)


async def test_a_notice_of_a_sealed_case_says_nothing_of_subject_sender_or_later_mail(house: House) -> None:
    sent = await house.receive(sealed(id_="<s@r.example>"))
    ack = to_others(sent)[0]
    sent += await house.receive(
        mail(f"{CANARY} {SECURITY}", sender=f"{CANARY} <{RITA}>", subject=CANARY, answers=ack.message_id)
    )
    sent += await house.receive(
        mail(f"{CANARY} again", sender=f"{CANARY} <{RITA}>", subject=CANARY, answers="<s@r.example>")
    )
    assert len(sent) == 4
    for one in sent:
        assert not holds(own_text(one))
        assert one.to == RITA or RITA.encode() not in own_text(one)


async def test_a_plain_mail_in_a_sealed_case_is_not_sent_round_in_the_clear(house: House) -> None:
    ack = to_others(await house.receive(sealed()))[0]
    sent = await house.receive(mail(f"{CANARY}\r\n", subject="Re", sender=RITA, answers=ack.message_id))
    assert not any(holds(s.raw) for s in sent)


async def test_collected_lines_and_the_digest_say_nothing_of_a_sealed_case(build: Build) -> None:
    house = build(with_mailbox(notices=replace(Notices(), collect_above_per_hour=0)))
    await house.receive(sealed(), sealed(extra="List-Id: <x.example>"), sealed(extra="X-Loop: a"))
    sent = [s for s in await house.pass_time(DAY) if s.to == ADA]
    assert len(but_reminders(sent)) == 2
    assert not any(holds(s.raw) or RITA.encode() in s.raw for s in sent)


async def test_the_digest_says_nothing_of_encrypted_mail_that_opened_no_case(house: House) -> None:
    await house.receive(sealed(extra="Auto-Submitted: auto-replied"))
    (digest,) = await house.pass_time(DAY)
    assert not holds(digest.raw)


# --- logs --------------------------------------------------------------------------------------------------


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    known = [logging.getLogger(name) for name in ("", *logs.CAPPED_LOGGERS)]
    before = [(logger, logger.level, list(logger.handlers)) for logger in known]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    out = io.StringIO()
    logs.configure("json", "debug", out)
    yield out
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    structlog.reset_defaults()


async def test_the_log_at_debug_level_says_nothing_of_any_mail(house: House, log_lines: io.StringIO) -> None:
    await house.receive(
        everywhere(SECURITY),
        everywhere(SUPPORT),
        sealed(),
        mail(id_=f"<{CANARY}@x.example>", extra=f"List-Id: <{CANARY}>"),
        mail(sender=f"{CANARY}@x.example"),
        f"From: {CANARY}\r\n{CANARY}\r\n\0\r\n\r\n{CANARY}".encode(),
    )
    await house.pass_time(DAY)
    written = log_lines.getvalue()
    assert written.count("\n") > 10
    for word in (CANARY, "research.example", "x.example", "demo.example", "injection"):
        assert word not in written.lower()
