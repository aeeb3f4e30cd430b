"""Each part of aioimaplib that we override, bypass or call, as it was when our code was written.

When this fails after an update: read what changed in the part, then `mailbox_service/adapters/imap/protocol.py`.
"""

import hashlib
import importlib.metadata
import inspect
import logging
from collections.abc import Callable

import pytest
from aioimaplib import aioimaplib

from mailbox_service.adapters.imap import protocol

PARTS: list[tuple[Callable[..., object], str]] = [
    (aioimaplib.IMAP4ClientProtocol.__init__, "cff378b5a5346788"),
    (aioimaplib.IMAP4ClientProtocol.connection_made, "3e0f7f20963faf9c"),
    (aioimaplib.IMAP4ClientProtocol.connection_lost, "4876e95ec7f3e664"),
    (aioimaplib.IMAP4ClientProtocol.data_received, "f4e4f02478babbeb"),
    (aioimaplib.IMAP4ClientProtocol.execute, "aa73299f4fb0f852"),
    (aioimaplib.IMAP4ClientProtocol.send, "ac45ae16a183cf69"),
    (aioimaplib.IMAP4ClientProtocol.new_tag, "4c0cc34b1fb6892d"),
    (aioimaplib.IMAP4ClientProtocol._handle_responses, "b85f6640b4ca5fe6"),
    (aioimaplib.IMAP4ClientProtocol._handle_line, "3e3c734ed4244c4f"),
    (aioimaplib.IMAP4ClientProtocol._untagged_response, "293b7da830751ce5"),
    (aioimaplib.IMAP4ClientProtocol._response_done, "69c9091728111730"),
    (aioimaplib.IMAP4ClientProtocol._continuation, "e43f5b7ad7314a53"),
    (aioimaplib.Command.__init__, "ccb7fdf53ea34751"),
    (aioimaplib.Command.__repr__, "50c098c1af094d39"),
    (aioimaplib.Command.close, "768d47d8c7fc7786"),
    (aioimaplib.Command.wait, "05767d06fff6ee80"),
    (aioimaplib.Command.append_to_resp, "43f8b5a526fa16b0"),
    (aioimaplib.FetchCommand.wait_data, "17ec7328fd9b7bba"),
]


@pytest.mark.parametrize(("part", "digest"), PARTS, ids=lambda value: getattr(value, "__qualname__", ""))
def test_a_part_of_aioimaplib_we_rely_on_is_what_it_was(part: Callable[..., object], digest: str) -> None:
    assert hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:16] == digest


def test_the_version_is_the_one_we_know() -> None:
    assert importlib.metadata.version("aioimaplib") == "2.0.3"


def test_nothing_of_ours_is_new_to_a_name_aioimaplib_uses() -> None:
    base = {name for kind in aioimaplib.IMAP4ClientProtocol.__mro__ for name in vars(kind)}
    ours = {name for name in vars(protocol.GuardedProtocol) if not name.startswith("__")}
    assert ours & base == {"execute", "connection_lost", "data_received"}
    ours = {name for name in vars(protocol.Exchange) if not name.startswith("__")}
    assert ours & {name for kind in aioimaplib.Command.__mro__ for name in vars(kind)} == set()


def test_aioimaplib_never_logs_what_is_sent_or_received() -> None:
    # At DEBUG it logs passwords and whole mails.
    assert not logging.getLogger("aioimaplib.aioimaplib").isEnabledFor(logging.INFO)
