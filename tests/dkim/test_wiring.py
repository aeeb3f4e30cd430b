"""What the configuration says reaches the authenticator."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailbox_service.app import authenticator, now
from mailbox_service.app.wiring import mailbox_of
from mailbox_service.config import Config
from mailbox_service.config.values import LoadContext
from mailbox_service.core.evidence import AuthResult
from mailbox_service.core.message import parse
from mailbox_service.services.authentication import authenticate_answer
from tests.dkim.signing import KEY_NAME, rsa_key, signed
from tests.peers.dns import name_server
from tests.unit.test_config import ENVIRON, changed


@pytest.mark.parametrize(("dkim", "result"), [(True, AuthResult.PASS), (False, AuthResult.NONE)])
async def test_the_configured_name_servers_are_asked_where_a_mailbox_wants_it(
    dkim: bool, result: AuthResult, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = signed(t=str(int((now() - timedelta(hours=1)).timestamp())))
    async with name_server() as server:
        server.publish(KEY_NAME, rsa_key().record)
        tree = changed("mailboxes", 0, "dkim", to=dkim)
        tree["dns"] = {"nameservers": [f"127.0.0.1:{server.port}"]}
        config = Config.model_validate(tree, context=LoadContext(tmp_path_factory.getbasetemp(), ENVIRON))
        mailbox = mailbox_of(config.mailboxes[0])
        found = await authenticate_answer(mailbox, parse(raw), raw, authenticator(config))
        assert (found.result, len(server.asked)) == (result, int(dkim))
