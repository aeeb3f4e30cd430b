"""What the daemon learns of the mailboxes' own keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.app.service import Service
from mailbox_service.app.vigil import own_keys
from mailbox_service.app.wiring import doors_of, keyrings
from mailbox_service.config import load
from mailbox_service.services.ports.openpgp import Pin, PublicKey
from tests.cli.desk import CONFIG
from tests.openpgp.conftest import ADDRESS
from tests.openpgp.keys import People


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


async def test_at_the_start_it_is_said_who_cannot_read_what_is_encrypted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], people: People
) -> None:
    path, text = configured(tmp_path)
    path.write_text(f"{text}openpgp: {{folder: openpgp}}\n")
    service = Service.open(load(path, {}))
    try:
        assert service.keyrings is not None
        await service._warn_of_keyless()
        assert "cannot read" not in capsys.readouterr().out  # there is no key yet that could be written to
        generate(service.keyrings, "Demo security", ADDRESS)
        await service._warn_of_keyless()
        assert "a maintainer cannot read what is encrypted" in (said := capsys.readouterr().out)
        assert "no key is pinned to them" in said
        staff = [m.address for m in service.mailboxes["security"].maintainers]
        pins = [_pin(address, people.join(f"M <{address}>").public) for address in staff]
        service.database.run(lambda tx: [tx.pin(one) for one in pins])
        await service._warn_of_keyless()
        assert "cannot read" not in capsys.readouterr().out
    finally:
        await service.close()


def _pin(address: str, key: PublicKey) -> Pin:
    return Pin("security", address, key, None, "host", datetime.now(UTC))
