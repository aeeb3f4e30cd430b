"""Whose mail it is: tokens, references, look-alikes and forged Authentication-Results."""

from __future__ import annotations

import pytest

from mailbox_service.core.evidence import AuthResult, authenticate
from mailbox_service.core.message import parse
from tests.attacks.house import ADA, AUTHSERV, SECURITY, SUPPORT, House, Sent, mail, prose, to_others

RITA = "rita@research.example"


async def acknowledged(house: House) -> tuple[Sent, Sent]:
    """A case of Rita's: its acknowledgement, and Ada's notice."""
    sent = await house.receive(mail(id_="<report@r.example>"))
    return to_others(sent)[0], next(s for s in sent if s.to == ADA)


@pytest.mark.parametrize(
    "sender",
    [
        "evil@x.example",
        '"rita@research.example" <evil@x.example>',
        "rita@research.example <evil@x.example>",
        "rit\u0430@research.example",
        "rita@rese\u0430rch.example",
        "rita+x@research.example",
        "rita@research.example.x.example",
        "rita@research.example, evil@x.example",
        "=?utf-8?q?rita=40research=2Eexample?= <evil@x.example>",
        "rita@research.example\0@x.example",
        "",
    ],
)
async def test_somebody_elses_token_lets_nobody_into_a_case(house: House, sender: str) -> None:
    ack, _ = await acknowledged(house)
    await house.receive(mail("Close it.\r\n", subject=f"Re: {ack.subject}", sender=sender, answers=ack.message_id))
    assert (await house.last())["case"] != 1


async def test_a_token_made_for_a_maintainer_is_none_for_the_reporter(house: House) -> None:
    _, notice = await acknowledged(house)
    await house.receive(mail("hm", subject="Re: x", sender="evil@x.example", answers=notice.message_id))
    assert (await house.last())["case"] != 1


@pytest.mark.parametrize("who", [RITA, ADA])
async def test_a_token_under_a_from_that_failed_authentication_verifies_nobody(house: House, who: str) -> None:
    ack, notice = await acknowledged(house)
    token = (ack if who == RITA else notice).message_id
    sent = await house.receive(mail("Publish.\r\n", subject="Re", sender=who, answers=token, authenticated="fail"))
    # Also to the maintainer in whose name it was written, who would not learn of it otherwise.
    assert [s.to for s in sent] == [ADA]
    assert "NOT verified" in prose(sent[0]) and "sender is verified" not in prose(sent[0])


async def test_a_maintainer_learns_of_mail_in_their_name_that_nothing_authenticates(house: House) -> None:
    _, notice = await acknowledged(house)
    sent = await house.receive(mail("Publish.\r\n", subject="Re", sender=ADA, answers=notice.message_id))
    assert [s.to for s in sent] == [ADA]


async def test_a_token_alone_verifies_nobody(house: House) -> None:
    ack, _ = await acknowledged(house)
    sent = await house.receive(mail("Publish.\r\n", subject="Re", answers=ack.message_id))
    assert "NOT verified" in prose(sent[0])


async def test_guessed_references_and_subjects_join_nothing(house: House) -> None:
    ack, _ = await acknowledged(house)
    head, at, domain = ack.message_id.partition("@")
    near = [head[:-1] + c + at + domain for c in "0123456789abcdef"]
    guesses = [n for n in near if n != ack.message_id] + [ack.message_id.upper(), "<SEC-2026-0001@demo.example>"]
    for number, guess in enumerate(guesses):
        await house.receive(mail(f"{number}", subject="Re: [SEC-2026-0001] Your report to Demo", answers=guess))
        assert (await house.last())["case"] != 1


async def test_a_spoofed_reference_of_the_reporter_is_unverified_unanswered_and_spoils_nothing(house: House) -> None:
    ack, _ = await acknowledged(house)
    sent = await house.receive(mail("I withdraw this.\r\n", subject="Re", answers="<report@r.example>"))
    assert [s.to for s in sent] == [ADA] and "NOT verified" in prose(sent[0])
    sent = await house.receive(
        mail("Here is more.\r\n", subject="Re", answers=ack.message_id, authenticated="pass", id_="<2@r.example>")
    )
    assert [s.to for s in sent] == [ADA] and "sender is verified" in prose(sent[0])
    assert (await house.last())["case"] == 1


@pytest.mark.parametrize("attacker_first", [True, False])
async def test_a_colliding_message_id_diverts_nobodys_later_mail(house: House, attacker_first: bool) -> None:
    theirs = mail(f"Other. {SECURITY}", sender="evil@x.example", id_="<v@r.example>")
    own = mail(id_="<v@r.example>")
    for data in (theirs, own) if attacker_first else (own, theirs):
        await house.receive(data)
    hers = 2 if attacker_first else 1
    await house.receive(mail("The PoC.\r\n", subject="Re", answers="<v@r.example>"))
    assert (await house.last())["case"] == hers
    await house.receive(mail("More.\r\n", subject="Re", sender="evil@x.example", answers="<v@r.example>"))
    assert (await house.last())["case"] == 3 - hers


async def test_an_answer_to_somebody_elses_redirect_does_not_take_their_message(house: House) -> None:
    redirect = to_others(await house.receive(mail(SUPPORT, subject="LDAP")))[0]
    await house.receive(mail("Security!\r\n", subject="Re", sender="evil@x.example", answers=redirect.message_id))
    assert (await house.rows("select disposition, case_id from message where id = 1")) == [("redirect", None)]
    await house.receive(mail("It is.\r\n", subject="Re", answers=redirect.message_id))
    assert (await house.rows("select disposition, case_id from message where id = 1")) == [("attached", 2)]


PASS = f"{AUTHSERV}; dmarc=pass header.from=research.example"
FORGED = {
    "below another server's": f"Authentication-Results: mx.evil.example; none\nAuthentication-Results: {PASS}",
    "below our own": f"Authentication-Results: {AUTHSERV}; dmarc=none header.from=research.example\n"
    f"Authentication-Results: {PASS}",
    "in a comment": f"Authentication-Results: {AUTHSERV}; spf=none (; dmarc=pass header.from=research.example)",
    "in a nested comment": f"Authentication-Results: {AUTHSERV}; spf=none (a(b);"
    "\n dmarc=pass header.from=research.example)",
    "in a quoted value": f'Authentication-Results: {AUTHSERV}; spf=none smtp.mailfrom="a; dmarc=pass header.from=x"',
    "as a property": f"Authentication-Results: {AUTHSERV}; spf=none smtp.helo=dmarc=pass",
    "in the local part": f"Authentication-Results: {AUTHSERV}; spf=none smtp.mailfrom=dmarc=pass@evil.example",
    "id in a comment": f"Authentication-Results: mx.evil.example ({AUTHSERV}); dmarc=pass header.from=research.example",
    "id with a suffix": f"Authentication-Results: {AUTHSERV}.evil.example; dmarc=pass header.from=research.example",
    "id with blanks": "Authentication-Results: mx. demo.example; dmarc=pass header.from=research.example",
    "another header": f"ARC-Authentication-Results: i=1; {PASS}\nX-Authentication-Results: {PASS}",
    "a blank before the colon": f"X-A: b\nAuthentication-Results : {PASS}; x",
    "for another domain": f"Authentication-Results: {AUTHSERV}; dmarc=pass header.from=evil.example",
    "for a domain above": f"Authentication-Results: {AUTHSERV}; dkim=pass header.d=example",
    "by a neighbour": f"Authentication-Results: {AUTHSERV}; dkim=pass header.d=other.example",
    "two domains": f"Authentication-Results: {AUTHSERV}; dmarc=pass header.from=research.example"
    " header.from=evil.example",
    "two verdicts": f"Authentication-Results: {AUTHSERV}; dmarc=pass header.from=research.example;"
    " dmarc=fail header.from=research.example",
    "a bare CR": f"X-A: b\rAuthentication-Results: {PASS}",
    "a NUL": f"Authentication-Results: {AUTHSERV}\0; dmarc=pass header.from=research.example",
    "a version": f"Authentication-Results: {AUTHSERV} x; dmarc=pass header.from=research.example",
    "SPF alone": f"Authentication-Results: {AUTHSERV}; spf=pass smtp.mailfrom=rita@research.example",
    "policy": f"Authentication-Results: {AUTHSERV}; dmarc=bestguesspass header.from=research.example",
    "no domain": f"Authentication-Results: {AUTHSERV}; dmarc=pass",
}


@pytest.mark.parametrize("forgery", FORGED)
def test_forged_results_authenticate_nobody(forgery: str) -> None:
    raw = FORGED[forgery].replace("\n", "\r\n").encode() + b"\r\nFrom: Rita <rita@research.example>\r\n\r\nx"
    assert authenticate(parse(raw), AUTHSERV).result is not AuthResult.PASS


@pytest.mark.parametrize("written", [AUTHSERV.upper(), f'"{AUTHSERV}"', f"{AUTHSERV} 1", f"(c) {AUTHSERV} (c)"])
def test_our_own_results_are_read_in_every_spelling(written: str) -> None:
    raw = f"Authentication-Results: {written};\r\n\tdmarc=pass (p=none)\r\n\theader.from=Research.Example\r\n".encode()
    assert authenticate(parse(raw + b"From: rita@research.example\r\n\r\nx"), AUTHSERV).result is AuthResult.PASS


@pytest.mark.parametrize("second", ["From: evil@x.example", "from : evil@x.example", "FROM\t: evil@x.example"])
@pytest.mark.parametrize("evil_first", [True, False])
async def test_of_two_authors_neither_is_answered_or_authenticated(house: House, second: str, evil_first: bool) -> None:
    results = f"Authentication-Results: {PASS}\r\n".encode()
    both = [b"From: rita@research.example\r\n", second.encode() + b"\r\n"]
    head = b"".join(reversed(both) if evil_first else both)
    sent = await house.receive(
        results + head + b"To: security@demo.example\r\nSubject: XSS\r\n\r\n" + SECURITY.encode()
    )
    assert to_others(sent) == []
    assert (await house.last())["disposition"] == "case"
