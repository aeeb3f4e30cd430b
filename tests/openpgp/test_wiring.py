"""What the daemon learns of the mailboxes' own keys."""

from __future__ import annotations

from pathlib import Path

from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.app.vigil import own_keys
from mailbox_service.app.wiring import keyrings
from mailbox_service.config import load
from tests.cli.desk import CONFIG
from tests.openpgp.conftest import ADDRESS


async def test_the_vigil_is_told_of_the_keys_in_the_configured_folder(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("demo\n")
    (tmp_path / "password").chmod(0o600)
    path = tmp_path / "mailbox.yaml"
    values = {"templates": "null", "shadow": "false", "authserv_id": "mx.demo.example"}
    text = CONFIG.format(imap_port=1, smtp_port=1, **values)
    path.write_text(text)
    assert await own_keys(load(path, {})) == {}
    path.write_text(f"{text}openpgp: {{folder: openpgp}}\n")
    config = load(path, {})
    homes = keyrings(config)
    assert homes is not None
    with homes:
        made = generate(homes, "Demo security", ADDRESS)
    (key,) = (await own_keys(config))["security"]
    assert (key.fingerprint, key.expires_at) == (made.fingerprint, made.expires_at)
