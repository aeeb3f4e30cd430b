"""A signature still fits after a mail came in, whichever way: the bytes on file are the bytes that were signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailbox_service.adapters.dkim import DkimAuthenticator
from mailbox_service.adapters.files import ImportPlan, read_path
from mailbox_service.core.evidence import AuthResult
from mailbox_service.core.message import parse
from tests.dkim.signing import KEY_NAME, MAIL, NOW, rsa_key, signed
from tests.imap.door import MemoryDoor
from tests.imap.setting import account, source
from tests.lmtp.setting import open_house
from tests.peers.dovecot import Dovecot

# What the ways in have to quote, and to unquote: a line with one dot, one that begins with a dot, an empty end.
ODD = MAIL + b".\r\n..two\r\n  indented \t\r\n\r\n\r\n"


class Published:
    async def text_records(self, name: str) -> tuple[bytes, ...]:
        return (rsa_key().record,) if name == KEY_NAME else ()


async def proven(raw: bytes) -> AuthResult:
    return (await DkimAuthenticator(Published(), lambda: NOW).authenticate(parse(raw), raw)).result


@pytest.fixture(params=["simple/simple", "relaxed/relaxed"])
def raw(request: pytest.FixtureRequest) -> bytes:
    return signed(ODD, c=request.param)


async def test_by_an_imap_server(dovecot: Dovecot, raw: bytes) -> None:
    user, door = dovecot.add_user(), MemoryDoor()
    dovecot.fill(user, [raw.replace(b"\r\n", b"\n")])  # as a Maildir keeps it
    dovecot.append(user, raw)
    dovecot.deliver(user, raw)
    await source(account(dovecot, user), door).pass_once()
    assert [await proven(kept.data) for kept in door.stored] == [AuthResult.PASS] * 3


@pytest.mark.parametrize("kind", ["lmtp", "smtp"])
async def test_by_a_door(kind: str, raw: bytes, tmp_path: Path) -> None:
    async with open_house(kind, tmp_path) as house, house.client() as client:
        assert (await client.send(raw.replace(b"\r\n.", b"\r\n.."))).startswith("250")
        (kept,) = house.shelf.kept
    assert await proven(kept.data) is AuthResult.PASS


@pytest.mark.parametrize("name", ["one.eml", "many.mbox"])
async def test_by_a_file_of_another_system(name: str, raw: bytes, tmp_path: Path) -> None:
    separator = b"" if name.endswith(".eml") else b"From ann@example.org Wed Nov 25 12:00:00 2026\n"
    (tmp_path / name).write_bytes(separator + raw.replace(b"\r\n", b"\n"))
    (kept,) = read_path(tmp_path / name, ImportPlan("security", quiet=True, max_message_size_bytes=1_000_000))
    assert await proven(kept.data) is AuthResult.PASS
