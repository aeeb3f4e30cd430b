"""The file of token secrets: made once, never made anew, shared by several daemons."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from mailbox_service.adapters.secrets import KEY_BYTES, TokenSecrets
from mailbox_service.errors import ConfigurationError

ONE = f"1 {'ab' * KEY_BYTES}\n"
TWO = f"2 {'cd' * KEY_BYTES}\n"


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_the_first_start_makes_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        secrets = TokenSecrets.load_or_create(tmp_path / "s")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    generation, key = secrets.current
    assert generation == 1
    assert len(key) == KEY_BYTES
    assert (tmp_path / "s").read_text() == f"1 {key.hex()}\n"


def test_a_later_start_reads_what_is_there(tmp_path: Path) -> None:
    first = TokenSecrets.load_or_create(tmp_path / "s")
    assert TokenSecrets.load_or_create(tmp_path / "s").all == first.all


def test_the_newest_generation_signs_and_all_verify(tmp_path: Path) -> None:
    secrets = TokenSecrets.load_or_create(private(tmp_path / "s", ONE + TWO))
    assert secrets.current == (2, b"\xcd" * KEY_BYTES)
    assert secrets.all == {1: b"\xab" * KEY_BYTES, 2: b"\xcd" * KEY_BYTES}


def test_rotation_keeps_the_older_generations(tmp_path: Path) -> None:
    secrets = TokenSecrets.load_or_create(private(tmp_path / "s", ONE))
    assert secrets.rotate() == 2
    assert secrets.all[1] == b"\xab" * KEY_BYTES
    assert secrets.current[0] == 2
    assert TokenSecrets.load_or_create(tmp_path / "s").all == secrets.all
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_another_process_sees_a_rotation_after_refresh(tmp_path: Path) -> None:
    daemon = TokenSecrets.load_or_create(tmp_path / "s")
    TokenSecrets.load_or_create(tmp_path / "s").rotate()
    assert daemon.current[0] == 1
    daemon.refresh()
    assert daemon.current[0] == 2


def test_rotating_in_two_processes_loses_no_generation(tmp_path: Path) -> None:
    one = TokenSecrets.load_or_create(tmp_path / "s")
    two = TokenSecrets.load_or_create(tmp_path / "s")
    assert [one.rotate(), two.rotate(), one.rotate()] == [2, 3, 4]
    assert one.all.items() > two.all.items()


def _start(path: Path, barrier: object, queue: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    queue.put(TokenSecrets.load_or_create(path).all)  # type: ignore[attr-defined]


def test_daemons_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(6), context.Queue()
    processes = [context.Process(target=_start, args=(tmp_path / "s", barrier, queue)) for _ in range(6)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    assert all(keys == found[0] for keys in found)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_file_made_between_the_look_and_the_making_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = private(tmp_path / "s", ONE)
    monkeypatch.setattr(os.path, "lexists", lambda _path: False)
    assert TokenSecrets.load_or_create(path).current == (1, b"\xab" * KEY_BYTES)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_reach_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "s", ONE)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        TokenSecrets.load_or_create(path)


@pytest.mark.parametrize(
    "text",
    ["", "\n", ONE[:-1], ONE[:-5] + "\n", ONE + ONE, TWO + ONE, ONE + TWO[:-1], "x" + ONE, ONE.upper(), "0" + ONE[1:],
     ONE + "\n", ONE.replace("\n", "\r\n"), ONE + "# note\n", "\xff" + ONE],
)  # fmt: skip
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = private(tmp_path / "s", text)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="backup") as caught:
        TokenSecrets.load_or_create(path)
    assert path.read_bytes() == before
    assert "abab" not in str(caught.value)


def test_a_refresh_that_fails_keeps_the_known_generations(tmp_path: Path) -> None:
    secrets = TokenSecrets.load_or_create(private(tmp_path / "s", ONE))
    (tmp_path / "s").write_text("")
    with pytest.raises(ConfigurationError):
        secrets.refresh()
    assert secrets.current[0] == 1


def test_a_folder_that_does_not_exist_and_a_dangling_link_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for path in (tmp_path / "no" / "s", tmp_path / "link", tmp_path):
        with pytest.raises(ConfigurationError, match="token secrets cannot be read"):
            TokenSecrets.load_or_create(path)


def test_the_secrets_do_not_show_in_a_repr(tmp_path: Path) -> None:
    secrets = TokenSecrets.load_or_create(private(tmp_path / "s", ONE))
    assert "ab" * 4 not in repr(secrets)
    assert repr(b"\xab" * 4)[2:-1] not in repr(secrets)
