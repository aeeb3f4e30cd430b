"""What the daemon learns of the mailboxes' own keys."""

from __future__ import annotations

from pathlib import Path

from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.app.service import Service
from mailbox_service.app.vigil import own_keys
from mailbox_service.app.wiring import doors_of, keyrings
from mailbox_service.config import load
from tests.cli.desk import CONFIG
from tests.openpgp.conftest import ADDRESS


def configured(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "password").write_text("demo\n")
    (tmp_path / "password").chmod(0o600)
    path = tmp_path / "mailbox.yaml"
    values = {"templates": "null", "shadow": "false", "authserv_id": "mx.demo.example"}
    text = CONFIG.format(imap_port=1, smtp_port=1, **values)
    path.write_text(text)
    return path, text


async def test_the_vigil_is_told_of_the_keys_in_the_configured_folder(tmp_path: Path) -> None:
    path, text = configured(tmp_path)
    assert await own_keys(doors_of(keyrings(load(path, {})), load(path, {}))) == {}
    path.write_text(f"{text}openpgp: {{folder: openpgp}}\n")
    config = load(path, {})
    homes = keyrings(config)
    assert homes is not None
    with homes:
        made = generate(homes, "Demo security", ADDRESS)
        (key,) = (await own_keys(doors_of(homes, config)))["security"]
    assert (key.fingerprint, key.expires_at) == (made.fingerprint, made.expires_at)


async def test_a_service_has_doors_where_a_folder_is_configured_and_closes_them(tmp_path: Path) -> None:
    path, text = configured(tmp_path)
    service = Service.open(load(path, {}))
    assert (service.doors, service.keyrings) == ({}, None)
    await service.close()
    path.write_text(f"{text}openpgp: {{folder: openpgp}}\n")
    service = Service.open(load(path, {}))
    assert list(service.doors) == ["security"] and service.keyrings is not None
    at_work = service.keyrings.own
    assert at_work.is_dir()
    await service.close()
    assert not at_work.exists()
