"""What of a maintainer's mail travels to somebody else: the files that are named, and nothing of anything else."""

from __future__ import annotations

import email
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.message import parse
from mailbox_service.core.message.extraction import attached_files
from mailbox_service.services.ports import MessageId, OutboundClaim, OutboundId, RenderedMail
from mailbox_service.services.processing import Processing, passed_on
from tests.database.setting import NOW
from tests.services.bench import BOX, KEY, WordSorter

# Each stands in one place of the source mail that must stay there.
SECRETS = [
    *("secretrelay", "secretuser", "secretagent", "secretid", "secretref", "secretsubject", "secretxheader"),
    *("secrettext", "secrethtml", "secretother", "secretsignature", "secretboundary", "secretpreamble"),
    *("secretepilogue", "secretdescription", "secretcid", "secretmodified"),
]
SOURCE = b"""Received: from secretrelay.internal (10.0.0.1) by mx.example.org
X-Originating: secretxheader
From: Anna <secretuser@example.org>
User-Agent: secretagent/1.0
Message-ID: <secretid@laptop.internal>
References: <secretref@example.org>
Subject: Re: secretsubject
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="secretboundary"

secretpreamble
--secretboundary
Content-Type: multipart/alternative; boundary="in"

--in
Content-Type: text/plain

/patched
secrettext
--in
Content-Type: text/html

<p>secrethtml</p>
--in--
--secretboundary
Content-Type: application/x-secretother; x-unix-mode=0600
Content-Description: secretdescription
Content-ID: <secretcid@laptop.internal>
Content-Disposition: attachment; filename="fix.zip"; modification-date="secretmodified"
Content-Transfer-Encoding: base64

UEsDBGZpeA==
--secretboundary
Content-Type: text/plain
Content-Disposition: attachment; filename="secretother.txt"

secretother
--secretboundary
Content-Type: text/x-patch
Content-Disposition: attachment; filename="fix.patch"

--- a
+++ b

--secretboundary
Content-Type: application/pgp-signature; name="secretsignature.asc"

secretsignature
--secretboundary--
secretepilogue
""".replace(b"\n", b"\r\n")


class Plain:
    def render(self, template: str, context: dict[str, object]) -> RenderedMail:
        return RenderedMail("Re: [SEC-2026-0001] Your report", "Try the fix.\n")


PROCESSING = Processing({BOX.name: BOX}, WordSorter(), Plain(), KEY)


def row(**context: object) -> OutboundClaim:
    return OutboundClaim(
        id=OutboundId(1),
        token=1,
        attempt=1,
        unknown_outcomes=0,
        mailbox=BOX.name,
        case_id=None,
        case_ref=None,
        cause="command:1",
        kind="fix_to_verify",
        recipient="eve@x.example",
        role="reporter",
        message_id="<own.1@example.org>",
        template="fix_to_verify",
        context=context,
        in_reply_to=None,
        references=(),
        attached_message=MessageId(7),
        about_message=MessageId(7),
        created_at=NOW,
        expires_at=NOW,
        frozen=None,
    )


def everything(data: bytes) -> str:
    """A mail with all its parts decoded, headers included, lower case."""
    mail = email.message_from_bytes(data, policy=policy.default)
    decoded = [bytes(p.get_payload(decode=True) or b"") for p in mail.walk()]
    return b"\n".join([data, *decoded]).decode("latin-1").lower()


def test_the_named_files_travel_and_nothing_else_of_the_mail() -> None:
    data = PROCESSING.compose_one(row(pass_on=["fix.patch", "fix.zip"]), SOURCE)
    assert [secret for secret in SECRETS if secret in everything(data)] == []
    assert [(f.filename, f.content_type, f.data) for f in attached_files(data)] == [
        ("fix.zip", "application/octet-stream", b"PK\x03\x04fix"),
        ("fix.patch", "text/plain", b"--- a\n+++ b\n"),
    ]
    read = parse(data)
    assert (read.text, read.content_type) == ("Try the fix.\n", "multipart/mixed")
    assert PROCESSING.compose_one(row(pass_on=["fix.patch", "fix.zip"]), SOURCE) == data


def test_every_secret_is_where_the_test_looks_for_it() -> None:
    assert [secret for secret in SECRETS if secret not in everything(SOURCE)] == []


def test_with_no_file_named_nothing_travels() -> None:
    data = PROCESSING.compose_one(row(pass_on=[]), SOURCE)
    assert (attached_files(data), parse(data).content_type) == ((), "text/plain")
    assert [secret for secret in SECRETS if secret in everything(data)] == []


@pytest.mark.parametrize("context", [{}, {"pass_on": None}])
def test_without_such_a_list_the_whole_message_is_attached(context: dict[str, object]) -> None:
    (file,) = attached_files(PROCESSING.compose_one(row(**context), SOURCE))
    assert (file.filename, file.data) == ("message-7.eml", SOURCE)


def test_a_mail_that_went_without_its_attachment_goes_without_files() -> None:
    assert attached_files(PROCESSING.compose_one(row(pass_on=["fix.zip"]), None)) == ()


@pytest.mark.parametrize("names", [["missing.zip"], ["fix.zip", "fix.zip"], "fix.zip", [1], {"fix.zip": 1}])
def test_what_cannot_be_passed_on_as_it_was_said_is_not_sent_at_all(names: object) -> None:
    with pytest.raises(ValueError):
        PROCESSING.compose_one(row(pass_on=names), SOURCE)


FILES = st.lists(
    st.tuples(st.sampled_from(["a.patch", "b.zip", "ä.txt", "a b.diff"]), st.binary(max_size=500)), max_size=6
)


@given(FILES, st.data())
def test_of_files_with_one_name_as_many_go_as_are_named(files: list[tuple[str, bytes]], data: st.DataObject) -> None:
    mail = EmailMessage(policy=policy.SMTP)
    mail.set_content("/patched\n")
    for name, content in files:
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    raw = mail.as_bytes()
    names = data.draw(st.lists(st.sampled_from([name for name, _ in files]), unique=True) if files else st.just([]))
    expected, seen = [], set()
    for name, content in files:
        if name in names and name not in seen:
            seen.add(name)
            expected.append((name, content))
    assert [(file.filename, file.data) for file in passed_on(raw, names)] == expected
    everyone = [name for name, _ in files]
    assert [(file.filename, file.data) for file in passed_on(raw, everyone)] == files
