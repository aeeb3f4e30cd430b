"""A real Postfix accepts our mails, and sends back what it cannot deliver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.daemon import Desk
from tests.end_to_end.test_daemon import report
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix

ADDRESS = "security@example.org"
UNKNOWN, DEFERRED = "unknown@example.org", "deferred@example.org"


@pytest.fixture
def bouncing(dovecot: Dovecot) -> Iterator[Postfix]:
    dovecot.add_user(ADDRESS)
    peer = Postfix()
    try:
        peer.bounce_into(ADDRESS, dovecot.lmtp_port, deferred=DEFERRED)
        peer.start()
        yield peer
    finally:
        peer.stop()


def test_real_bounces_find_their_mail_and_a_delay_tells_nobody(
    sqlite_url: str, tmp_path: Path, dovecot: Dovecot, bouncing: Postfix
) -> None:
    desk = Desk(tmp_path, sqlite_url, imap=dovecot.port, user=ADDRESS, smtp=bouncing.port)
    keyed = 'security: none, envelope_from: "security+{token}@example.org"}'
    desk.config.write_text(desk.config.read_text().replace("security: none}", keyed))

    def bounces() -> list[bytes]:
        return [desk.ask(lambda tx: tx.raw(m["id"])) for m in desk.messages() if m["disposition"] == "bounce"]  # noqa: B023

    with desk.running():
        desk.until(lambda: bool(desk.ask(lambda tx: tx.backlog_settled("security") and tx.known_mailboxes())))
        dovecot.deliver(ADDRESS, report(UNKNOWN)[0])
        dovecot.deliver(ADDRESS, report(DEFERRED)[0])
        told = bouncing.wait_for("ada", b"cannot be reached", 40)
        desk.until(lambda: any(b"Action: delayed" in raw for raw in bounces()))
        desk.until(lambda: {m["state"] for m in desk.messages()} == {"done"})
    assert b"5.1.1" in told and b"another way" in told
    acknowledgements = {m["recipient"]: m["state"] for m in desk.mails() if m["kind"] == "acknowledgement"}
    assert acknowledgements == {UNKNOWN: "bounced", DEFERRED: "sent"}
    failed, delayed = (next(raw for raw in bounces() if b"Action: " + word in raw) for word in (b"failed", b"delayed"))
    assert b"\r\nTo: security+b" in failed and b"\r\nTo: security+b" in delayed
    events = {
        ref: [entry["event"] for entry in desk.ask(lambda tx: tx.journal_of(tx.case_row(ref)["id"]))]  # noqa: B023
        for ref in (str(m["case"]) for m in desk.mails() if m["kind"] == "acknowledgement")
    }
    assert sorted(events.values()) == [["opened"], ["opened", "bounced"]]
