"""Mails of ours that come back: people hear of what failed, once; a delay tells nobody; a forgery does nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.bounce_address import bounce_address
from mailbox_service.services.mailboxes import Maintainer
from mailbox_service.services.ports import Delivery, DeliveryOutcome, Envelope, Origin, RawMessage, SourceKind
from tests.services.bench import BOX, KEY, SENT, Bench, changed, letter

EVE, ADA, GRACE = "eve@research.example", "ada@example.org", "grace@example.org"
REF = "SEC-2026-0001"
KEYED = changed(bounce_address="security+{token}@example.org")
FAILED = "Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user"
DELAYED = "Action: delayed\nStatus: 4.4.1"


def dsn(
    returned: str = "",
    fields: str = FAILED,
    *,
    to: str = "security@example.org",
    recipient: str = EVE,
    headers: str = "",
    words: str = "This is the mail system at host mx.research.example.",
) -> bytes:
    """A bounce as Postfix writes it, with `returned` as the Message-ID in the message it returns."""
    lines = [
        "Return-Path: <>",
        "From: MAILER-DAEMON@mx.research.example (Mail Delivery System)",
        f"To: {to}",
        "Subject: Undelivered Mail Returned to Sender",
        *([headers] if headers else []),
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b",
        "",
        "--b",
        "",
        words,
        "--b",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mx.research.example",
        "",
        f"Final-Recipient: rfc822; {recipient}",
        fields,
        "",
        "--b",
        "Content-Type: message/rfc822",
        "",
        "From: security@example.org",
        *([f"Message-ID: {returned}"] if returned else []),
        "",
        "our text",
        "--b--",
        "",
    ]
    return "\n".join(lines).replace("\n", "\r\n").encode()


def row_to(bench: Bench, recipient: str, number: int = 0) -> dict[str, Any]:
    return bench.to(recipient)[number]


def message_id(bench: Bench, recipient: str) -> str:
    return str(row_to(bench, recipient)["message_id"])


def keyed_sender(bench: Bench, recipient: str) -> str:
    """The envelope sender under which the first mail to that recipient went out."""
    return next(path for path, to in bench.office.paths if to == recipient)


async def with_case(bench: Bench, *, subject: str = "report") -> Bench:
    """A case of Eve's, its three mails delivered."""
    await bench.post(letter(subject))
    await bench.deliver()
    return bench


def bounce_notices(bench: Bench) -> list[str]:
    return sorted(m["recipient"] for m in bench.mails("notice_bounce"))


# --- what is believed, and what follows --------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [("5.1.1", "hard"), ("4.4.7", "soft")])
async def test_an_acknowledgement_that_comes_back_is_an_event_and_each_maintainer_hears_of_it(
    bench: Bench, status: str, kind: str
) -> None:
    await with_case(bench)
    await bench.post(dsn(message_id(bench, EVE), f"Action: failed\nStatus: {status}\nDiagnostic-Code: smtp; no"))
    assert bench.events(REF) == ["opened", "bounced"]
    data = bench.journal(REF)[-1]["data"]
    assert (data["bounce"], data["status"], data["reply"], data["role"]) == (kind, status, "no", "reporter")
    assert bounce_notices(bench) == [ADA, GRACE] and row_to(bench, EVE)["state"] == "bounced"
    sent = dict(await bench.deliver())
    text = " ".join(sent[ADA].get_content().split())
    assert (
        "another way" in text and status in text and sent[ADA]["Subject"] == f"[{REF}] The reporter cannot be reached"
    )
    assert not [to for to in sent if to == EVE]


@pytest.mark.parametrize("fields", [DELAYED, "Action: relayed\nStatus: 2.0.0", "Action: delivered\nStatus: 2.1.5"])
async def test_a_delay_or_a_delivery_is_on_file_and_tells_nobody(bench: Bench, fields: str) -> None:
    await with_case(bench)
    await bench.post(dsn(message_id(bench, EVE), fields))
    assert bench.row(1)["disposition"] == "bounce" and bench.events(REF) == ["opened"]
    assert await bench.later(days=2) == 0 and row_to(bench, EVE)["state"] == "sent"


async def test_a_delay_is_followed_by_the_failure(bench: Bench) -> None:
    await with_case(bench)
    await bench.post(dsn(message_id(bench, EVE), DELAYED), dsn(message_id(bench, EVE)))
    assert bench.events(REF) == ["opened", "bounced"] and len(bounce_notices(bench)) == 2


async def test_a_bounce_tells_once_however_often_it_comes(bench: Bench) -> None:
    await with_case(bench)
    name = message_id(bench, EVE)
    await bench.post(dsn(name), dsn(name, words="another word"))
    await bench.post(dsn(name))
    await bench.post(dsn(name, words="a third"))
    assert bench.events(REF) == ["opened", "bounced"] and bounce_notices(bench) == [ADA, GRACE]
    assert await bench.later(days=2) == 0


async def test_an_unreadable_bounce_of_ours_is_shown_in_the_digest_and_counts_as_no_failure(bench: Bench) -> None:
    await with_case(bench)
    unreadable = dsn(message_id(bench, EVE), "Action: levitated")
    await bench.post(unreadable.replace(b"Undelivered Mail Returned to Sender", "Почта".encode()))
    assert bench.events(REF) == ["opened"] and row_to(bench, EVE)["state"] == "sent" and not bounce_notices(bench)
    await bench.later(days=1)
    (line,) = bench.context(bench.mails("digest")[0])["undelivered"]
    assert (line["number"], line["reference"]) == (2, REF)


async def test_a_read_receipt_of_ours_tells_nobody(bench: Bench) -> None:
    await with_case(bench)
    receipt = (
        f"From: {EVE}\r\nTo: security@example.org\r\nSubject: Read\r\nIn-Reply-To: {message_id(bench, EVE)}\r\n"
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\nread\r\n"
        "--b\r\nContent-Type: message/disposition-notification\r\n\r\nDisposition: manual; displayed\r\n--b--\r\n"
    )
    await bench.post(receipt.encode())
    assert bench.dispositions() == ["case", "bounce"] and bench.events(REF) == ["opened"]
    assert await bench.later(days=1) == 0


async def test_a_redirect_that_comes_back_stands_in_the_digest_only(bench: Bench) -> None:
    await with_case(bench, subject="support")
    await bench.post(dsn(message_id(bench, EVE)))
    assert not bounce_notices(bench)
    await bench.later(days=1)
    (line,) = bench.context(bench.mails("digest")[0])["undelivered"]
    assert "5.1.1" in line["why"]


async def test_the_address_in_a_sealed_case_is_not_told(bench: Bench) -> None:
    pgp = "-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA0000000000000AQf/\r\n-----END PGP MESSAGE-----"
    await bench.post(letter("report", body=pgp))
    await bench.deliver()
    said = f"Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 <{EVE}> unknown"
    await bench.post(dsn(message_id(bench, EVE), said))
    for mail in bench.mails("notice_bounce"):
        assert EVE not in str(bench.context(mail))
    assert EVE not in "".join(m.as_string() for _, m in await bench.deliver())


async def test_what_a_server_says_is_made_harmless_and_short(bench: Bench) -> None:
    await with_case(bench)
    evil = "\x1b[2J\u202e" + "x" * 5000
    await bench.post(dsn(message_id(bench, EVE), f"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; {evil}"))
    told = bench.context(bench.mails("notice_bounce")[0])["diagnostic"]
    assert len(told) <= 300 and "\x1b" not in told and "\u202e" not in told


async def test_bounces_that_were_there_before_us_tell_nobody(bench: Bench) -> None:
    await with_case(bench)
    await bench.post(dsn(message_id(bench, EVE)), quiet=True)
    assert bench.events(REF) == ["opened", "bounced"] and not bounce_notices(bench)


# --- the keyed envelope sender -----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["To", "Delivered-To", "X-Original-To", "Envelope-To"])
async def test_a_bounce_that_returns_nothing_is_found_by_the_address_it_came_to(database: Database, field: str) -> None:
    bench = await with_case(Bench(database, mailbox=KEYED))
    address = keyed_sender(bench, EVE).upper()
    to = address if field == "To" else "security@example.org"
    await bench.post(dsn(to=to, headers="" if field == "To" else f"{field}: {address}"))
    assert bench.events(REF) == ["opened", "bounced"] and bounce_notices(bench) == [ADA, GRACE]


async def test_a_bounce_is_found_by_the_envelope_recipient_too(database: Database) -> None:
    bench = await with_case(Bench(database, mailbox=KEYED))
    origin = Origin(SourceKind.LMTP, "security")
    raw = RawMessage(dsn(), origin, bench.now, envelope_from="", envelope_to=keyed_sender(bench, EVE))
    await bench.intake.work(await bench.intake.store([raw]))
    assert bench.events(REF) == ["opened", "bounced"]


async def test_whoever_writes_to_a_keyed_envelope_sender_gets_no_answer_and_joins_nothing(database: Database) -> None:
    bench = await with_case(Bench(database, mailbox=KEYED))
    address = keyed_sender(bench, EVE)
    await bench.post(letter("report: we got your mail", EVE, to=address))
    assert bench.dispositions() == ["case", "case"] and bench.row(1)["no_answer"]
    assert len([m for m in bench.to(EVE) if m["kind"] == "acknowledgement"]) == 1
    await bench.post(letter("away", EVE, to=address, headers="Auto-Submitted: auto-replied\r\n"))
    assert bench.events(REF) == ["opened", "automatic_reply"]


async def test_the_envelope_changes_no_byte_of_the_mail(database: Database) -> None:
    plain, keyed = Bench(database), Bench(database, mailbox=KEYED)
    plain.office.replies = lambda envelope, data: Delivery(DeliveryOutcome.TEMPORARY, "later")
    await with_case(plain)
    keyed.now = plain.now + timedelta(minutes=1)
    await keyed.deliver()
    assert dict(plain.office.handed) == dict(keyed.office.handed)
    assert {path for path, _ in plain.office.paths} == {BOX.address}
    assert len({path for path, _ in keyed.office.paths}) == 3


async def test_a_rotated_secret_goes_on_being_believed(database: Database) -> None:
    bench = await with_case(Bench(database, mailbox=KEYED))
    address = keyed_sender(bench, EVE)
    rotated = Bench(database, mailbox=KEYED, key=replace(KEY, generation=2, secret=b"n" * 32, former=(KEY.secret,)))
    rotated._uid = 1000
    await rotated.post(dsn(to=address))
    assert rotated.events(REF) == ["opened", "bounced"]


async def test_a_token_of_another_secret_row_mailbox_or_mail_does_nothing(database: Database) -> None:
    other = replace(KEYED, name="other", address="other@example.org")
    bench = await with_case(Bench(database, mailbox=KEYED, others={"other": other}))
    row = row_to(bench, EVE)
    right = {"key": KEY, "mailbox": "security", "row": row["id"], "message_id": row["message_id"]}
    wrong: list[dict[str, Any]] = [
        {"key": replace(KEY, secret=b"x" * 32)},
        {"mailbox": "other"},
        {"row": row["id"] + 1},
        {"row": 999_999},
        {"message_id": message_id(bench, ADA)},
    ]
    for change in wrong:
        await bench.post(dsn(to=bounce_address(str(KEYED.bounce_address), **(right | change))))
    # The right token, in a bounce that came to another mailbox.
    await bench.post(dsn(to=bounce_address(str(KEYED.bounce_address), **right)), mailbox="other")
    assert bench.events(REF) == ["opened"] and not bounce_notices(bench)
    assert {m["state"] for m in bench.mails()} == {"sent"} and await bench.later(days=1) == 0
    assert bench.dispositions() == ["case", *["bounce"] * 6]


# --- forgeries ---------------------------------------------------------------------------------------------


async def test_a_forged_bounce_does_nothing(bench: Bench) -> None:
    await with_case(bench)
    ours = message_id(bench, EVE)
    guessed = ours.replace(ours[5], "0" if ours[5] != "0" else "1", 1)
    forged = [
        dsn(),
        dsn("<unknown@example.org>"),
        dsn(guessed),
        dsn(ours.upper()),
        dsn(to="security+b1.aaaaaaaaaaaaaaaaaaaa@example.org"),
        # A Message-ID that is only named: whoever answered, quoted or forwarded our mail has spread it.
        dsn(headers=f"In-Reply-To: {ours}\nReferences: {ours}"),
        dsn(words=f"about {ours} which failed"),
        dsn("<other@x>", fields=f"{FAILED}\nOriginal-Envelope-Id: {ours}"),
    ]
    await bench.post_each(*forged)
    assert bench.events(REF) == ["opened"] and {m["state"] for m in bench.mails()} == {"sent"}
    assert bench.dispositions() == ["case", *["bounce"] * len(forged)] and await bench.later(days=1) == 0


async def test_of_nested_messages_the_outermost_is_the_one_that_came_back(bench: Bench) -> None:
    await with_case(bench)
    notice, acknowledgement = message_id(bench, ADA), message_id(bench, EVE)
    inner = f"{notice}\nContent-Type: message/rfc822\n\nMessage-ID: {acknowledgement}"
    await bench.post(dsn(inner, recipient=ADA))
    assert row_to(bench, ADA)["state"] == "bounced" and row_to(bench, EVE)["state"] == "sent"


async def test_a_report_that_looks_like_a_bounce_still_reaches_people(bench: Bench) -> None:
    await with_case(bench)
    await bench.post(dsn(headers="X-Mark: report").replace(b"Undelivered Mail Returned", b"report of a flaw"))
    assert bench.dispositions()[-1] == "automatic"
    await bench.later(days=1)
    assert [line["number"] for line in bench.context(bench.mails("digest")[0])["unsure"]] == [2]


# --- maintainers -------------------------------------------------------------------------------------------


async def test_a_notice_that_comes_back_is_told_to_the_others_once_a_day(bench: Bench) -> None:
    await bench.post(*(letter(f"report {n}", f"p@d{n}.example") for n in range(3)))
    await bench.deliver()
    for number in range(3):
        await bench.post(dsn(str(row_to(bench, ADA, number)["message_id"]), recipient=ADA))
    assert bounce_notices(bench) == [GRACE]
    for number in range(1, 4):
        assert bench.events(f"SEC-2026-000{number}") == ["opened", "bounced"]
    # Nothing is silenced: the next report goes to both.
    await bench.post(letter("report again", "q@e.example"))
    assert [m["recipient"] for m in bench.mails("notice_case")].count(ADA) == 4
    bench.now += timedelta(days=1)
    await bench.deliver()
    await bench.post(dsn(str(bench.to(ADA)[-1]["message_id"]), recipient=ADA))
    assert bounce_notices(bench) == [GRACE, GRACE]


async def test_a_digest_that_comes_back_is_told_and_breeds_no_digest(bench: Bench) -> None:
    await with_case(bench, subject="support")
    await bench.later(days=1)
    await bench.deliver()
    (digest,) = [m for m in bench.to(ADA) if m["kind"] == "digest"]
    await bench.post(dsn(digest["message_id"], recipient=ADA))
    assert bounce_notices(bench) == [GRACE] and await bench.later(days=3) == 0


async def test_notices_of_bounces_that_come_back_breed_no_more_of_their_kind(bench: Bench) -> None:
    await with_case(bench)
    await bench.post(dsn(message_id(bench, EVE)))
    for day in range(4):
        bench.now += timedelta(days=day)
        await bench.deliver()
        everything = [m for m in bench.mails() if m["state"] == "sent"]
        await bench.post_each(*(dsn(m["message_id"], recipient=m["recipient"]) for m in everything))
    # Two of the acknowledgement, and one of each maintainer's notice to the other one.
    assert len(bounce_notices(bench)) == 4 and {m["state"] for m in bench.mails()} == {"bounced"}


async def test_a_notice_that_comes_back_for_its_content_follows_without_the_attachment(bench: Bench) -> None:
    await with_case(bench)
    refused = "Action: failed\nStatus: 5.7.0\nDiagnostic-Code: smtp; 552-5.7.0 blocked because of its content"
    await bench.post(dsn(message_id(bench, ADA), refused, recipient=ADA))
    (second,) = bench.mails("notice_case_without_attachment")
    assert second["recipient"] == ADA and not bounce_notices(bench)
    await bench.deliver()
    await bench.post(dsn(second["message_id"], refused, recipient=ADA))
    assert bounce_notices(bench) == [GRACE] and len(bench.mails("notice_case_without_attachment")) == 1


async def test_it_is_noticed_when_nobody_hears_any_more(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, ...]] = []
    bench.intake.concluded = lambda concluded: heard.append(concluded.unheard)  # type: ignore[attr-defined]
    await with_case(bench)
    await bench.post(dsn(message_id(bench, ADA), recipient=ADA))
    await bench.post(dsn(message_id(bench, GRACE), recipient=GRACE))


async def test_a_mailbox_with_one_maintainer_has_nobody_to_tell(database: Database) -> None:
    bench = await with_case(Bench(database, mailbox=changed(maintainers=(Maintainer("Ada", ADA),))))
    await bench.post(dsn(message_id(bench, ADA), recipient=ADA))
    assert bench.events(REF) == ["opened", "bounced"] and not bounce_notices(bench)


# --- floods, and afterwards --------------------------------------------------------------------------------


async def test_a_storm_of_bounces_is_collected(database: Database) -> None:
    bench = Bench(database, mailbox=changed(limits=replace(BOX.limits, domain_per_day=1000, per_hour=1000)))
    await bench.post(*(letter(f"report {n}", f"v{n}@d{n}.example") for n in range(60)))
    await bench.deliver()
    acknowledgements = bench.mails("acknowledgement")
    await bench.post(*(dsn(m["message_id"], recipient=m["recipient"]) for m in acknowledgements))
    assert len(acknowledgements) == 60 and len(bounce_notices(bench)) == 2 * 20
    await bench.later(days=1)
    assert len(bench.context(bench.mails("digest")[0])["undelivered"]) == 40


async def test_a_mail_that_is_sent_again_may_come_back_again(bench: Bench) -> None:
    await with_case(bench)
    await bench.post(dsn(message_id(bench, EVE)))
    again = row_to(bench, EVE)["id"]
    assert bench.database.run(lambda tx: tx.retry_outbound(again, bench.now, bench.now + timedelta(days=5)))
    assert row_to(bench, EVE)["state"] == "waiting"
    await bench.deliver()
    assert row_to(bench, EVE)["state"] == "sent"
    await bench.post(dsn(message_id(bench, EVE), words="once more"))
    assert bench.events(REF) == ["opened", "bounced", "bounced"] and len(bounce_notices(bench)) == 4


async def test_a_bounce_may_arrive_before_its_delivery_is_recorded(bench: Bench) -> None:
    await bench.post(letter("report"))

    def unknown(envelope: Envelope, data: bytes) -> Delivery:
        return Delivery(DeliveryOutcome.UNKNOWN, "lost") if envelope.rcpt_to == EVE else SENT

    bench.office.replies = unknown
    await bench.deliver()
    await bench.post(dsn(message_id(bench, EVE)))
    assert row_to(bench, EVE)["state"] == "bounced"
    bench.office.replies = lambda envelope, data: SENT
    bench.now += timedelta(hours=1)
    await bench.deliver()
    assert row_to(bench, EVE)["state"] == "bounced" and bench.events(REF).count("bounced") == 1


async def test_a_mail_that_never_left_cannot_come_back(bench: Bench) -> None:
    await bench.post(letter("report"))
    await bench.post(dsn(message_id(bench, EVE)))
    assert bench.events(REF) == ["opened"] and row_to(bench, EVE)["state"] == "waiting"
