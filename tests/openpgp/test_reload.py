"""A configuration that is read anew while the daemon runs: other keys, another folder, none, and one that is wrong."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from mailbox_service import logs
from mailbox_service.adapters.openpgp import Homes
from mailbox_service.adapters.openpgp.ownership import generate
from mailbox_service.services.ports.openpgp import OpenPgp
from tests.operation.test_reload import House

ADDRESS = "security@example.org"


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """gpg wants a short name for its socket."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)
    tempfile.tempdir = None


@pytest.fixture
def house(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return House(tmp_path, sqlite_url)


def with_key(folder: Path, temporary: Path) -> str:
    """A folder with a new key of the mailbox's own; its fingerprint."""
    folder.mkdir(mode=0o700)
    with Homes.open(folder, temporary=temporary) as homes:
        return generate(homes, "Example security", ADDRESS, "2y").fingerprint


async def signs_with(door: OpenPgp) -> str:
    key = await asyncio.to_thread(door.public_key)
    assert key is not None
    return key.fingerprint


def at_work(temporary: Path) -> set[str]:
    return {path.name for path in temporary.glob("mailbox-gpg-*")}


async def test_the_keys_of_another_folder_are_taken_over_and_nothing_of_the_former_is_left(
    house: House, tmp_path: Path, temporary: Path
) -> None:
    one = await asyncio.to_thread(with_key, tmp_path / "one", temporary)
    two = await asyncio.to_thread(with_key, tmp_path / "two", temporary)
    house.write(more="openpgp: {folder: one}\n")
    async with house.running() as daemon:
        first = daemon.service
        assert await signs_with(first.doors["security"]) == one
        (former,) = at_work(temporary)
        house.write(more="openpgp: {folder: two}\n")
        daemon.reload()
        await house.told(1)
        assert daemon.service is not first and await signs_with(daemon.service.doors["security"]) == two
        (now,) = at_work(temporary)
        assert now != former
        # Without a folder the mailbox writes as if there were no OpenPGP.
        house.write()
        daemon.reload()
        await house.told(2)
        assert daemon.service.doors == {} and not at_work(temporary)
        assert not daemon.service.mailboxes["security"].openpgp
    house.manager.close()
    assert not at_work(temporary)


async def test_a_key_that_is_added_to_the_folder_is_used_without_a_reload(
    house: House, tmp_path: Path, temporary: Path
) -> None:
    one = await asyncio.to_thread(with_key, tmp_path / "keys", temporary)
    house.write(more="openpgp: {folder: keys}\n")
    async with house.running() as daemon:
        door = daemon.service.doors["security"]
        assert await signs_with(door) == one

        def another() -> str:
            with Homes.open(tmp_path / "keys", temporary=temporary) as homes:
                return generate(homes, "Example security", ADDRESS, "2y").fingerprint

        await asyncio.sleep(1.1)  # the newest is signed with, and gpg dates keys in whole seconds
        two = await asyncio.to_thread(another)
        assert await signs_with(door) == two
        facts = await asyncio.to_thread(door.own_keys)
        assert [key.fingerprint for key in facts] == [two, one], "the former one still decrypts"
    house.manager.close()


@pytest.mark.parametrize("spoiled", ["open to others", "a file", "without gpg"])
async def test_a_folder_that_is_wrong_is_refused_and_the_former_keys_stay_in_use(
    house: House, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, spoiled: str
) -> None:
    one = await asyncio.to_thread(with_key, tmp_path / "one", temporary)
    house.write(more="openpgp: {folder: one}\n")
    with structlog.testing.capture_logs() as logged:
        async with house.running() as daemon:
            first, before = daemon.service, at_work(temporary)
            if spoiled == "a file":
                (tmp_path / "two").write_text("no folder")
            else:
                (tmp_path / "two").mkdir()
                (tmp_path / "two").chmod(0o755 if spoiled == "open to others" else 0o700)
            if spoiled == "without gpg":
                monkeypatch.setattr("mailbox_service.adapters.openpgp.homes.shutil.which", lambda _: None)
            house.write(more="openpgp: {folder: two}\n")
            daemon.reload()
            await house.told(1)
            assert daemon.service is first and at_work(temporary) == before
            assert await signs_with(first.doors["security"]) == one
    house.manager.close()
    reasons = [str(line.get("reason", "")) for line in logged if line["event"] == "configuration not taken over"]
    wanted = {"open to others": "others may look into", "a file": "keyrings:", "without gpg": "gpg is not installed"}
    assert len(reasons) == 1 and wanted[spoiled] in reasons[0]
