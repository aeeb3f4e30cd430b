"""The secrets that sign reply tokens, in a file of their own (architecture.md: several generations)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from mailbox_service.errors import BrokenFile, ConfigurationError

KEY_BYTES = 32  # the size of SHA-256's output, beyond which an HMAC-SHA-256 key gains nothing (RFC 2104 §3)
MAX_FILE_BYTES = 64 * 1024  # 900 generations
HIGHEST_GENERATION = 999_999
_LINE = re.compile(rf"([1-9][0-9]{{0,5}}) ([0-9a-f]{{{2 * KEY_BYTES}}})", re.ASCII)


class TokenSecrets:
    """All generations of the token secret: the newest signs, every one verifies.

    The file holds one line `generation hexsecret` each, newest last, and belongs into every backup: without it
    outstanding replies cannot be recognised. It is never made anew over one that exists, however broken.
    """

    def __init__(self, path: Path, keys: dict[int, bytes]) -> None:
        self._path = path
        self._keys = keys

    @classmethod
    def load_or_create(cls, path: Path) -> TokenSecrets:
        """The secrets in `path`; a first generation where there is no file yet.

        Several daemons may start at once: exactly one file comes to be, and all return what is in it.
        Raises: ConfigurationError when the file is readable by others, damaged, or cannot be read or made.
        """
        with _as_configuration_errors(path):
            if not os.path.lexists(path):
                _create(path, _text({1: secrets.token_bytes(KEY_BYTES)}))
            return cls(path, _read(path))

    @classmethod
    def merge(cls, path: Path, keys: dict[int, bytes]) -> int:
        """Put `keys` of a backup into `path`, made where it is absent. Returns how many were new to it.

        Nothing is voided: what is there keeps its number and its place, and a key whose number another one has gets a
        free one, which is enough, because every key is tried when something is verified.
        Raises: BrokenFile when `keys` are none; ConfigurationError as `load_or_create`. The file is then as it was.
        """
        if not all(0 < number <= HIGHEST_GENERATION and len(key) == KEY_BYTES for number, key in keys.items()):
            raise BrokenFile("the backup is damaged: its token secrets are none")
        with _as_configuration_errors(path):
            if not keys:
                return 0
            absent = not os.path.lexists(path)
            if absent:
                _create(path, _text(keys))
        there = cls.load_or_create(path)
        new = [key for key in keys.values() if key not in there._keys.values()]
        if new:
            there._replace(lambda found: _beside(found, keys))
        return len(keys) if absent else len(new)

    @property
    def current(self) -> tuple[int, bytes]:
        """The generation that signs, and its key."""
        generation = max(self._keys)
        return generation, self._keys[generation]

    @property
    def all(self) -> dict[int, bytes]:
        """Every generation with its key: what may verify."""
        return dict(self._keys)

    def refresh(self) -> None:
        """Read the file again: another process may have rotated it (a token names an unknown generation).

        Raises: ConfigurationError as `load_or_create`; the generations known so far stay in use.
        """
        with _as_configuration_errors(self._path):
            self._keys = _read(self._path)

    def rotate(self) -> int:
        """Add a generation, which signs from now on; older ones go on verifying. Returns its number.

        Raises: ConfigurationError as `load_or_create`; the file is then as it was.
        """
        self._replace(lambda keys: keys | {max(keys) + 1: secrets.token_bytes(KEY_BYTES)})
        return max(self._keys)

    def _replace(self, change: Callable[[dict[int, bytes]], dict[int, bytes]]) -> None:
        with _as_configuration_errors(self._path), _locked_folder(self._path):
            keys = change(_read(self._path))
            # The target of a link is replaced, not the link.
            target = self._path.resolve()
            temporary = _write_temporary(target, _text(keys))
            try:
                temporary.replace(target)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(target)
            self._keys = keys


def _beside(there: dict[int, bytes], others: dict[int, bytes]) -> dict[int, bytes]:
    """Both, the numbers of `there` unchanged."""
    keys = dict(there)
    for number, key in sorted(others.items()):
        if key not in keys.values():
            keys[number if number not in keys else max(keys) + 1] = key
    return keys


def _text(keys: dict[int, bytes]) -> bytes:
    return "".join(f"{generation} {key.hex()}\n" for generation, key in sorted(keys.items())).encode("ascii")


def _create(path: Path, content: bytes) -> None:
    """Make `path` whole or not at all, unless somebody else made it meanwhile."""
    temporary = _write_temporary(path, content)
    try:
        # A link, other than a rename, never replaces what a second daemon has put there in this moment.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    _sync_folder(path)


def _write_temporary(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked_folder(path: Path) -> Iterator[None]:
    # The folder and not the file, which each rotation replaces.
    descriptor = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[int, bytes]:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read(MAX_FILE_BYTES + 1)
    if mode & 0o077:
        raise ConfigurationError([f"{path}: other users can reach the token secrets; chmod 600 the file"])
    keys: dict[int, bytes] = {}
    lines = data.decode("ascii", "replace").split("\n")
    # The last line ends with a newline too: a file cut short in the middle of a key must not pass.
    for number, line in enumerate(lines[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None or int(match[1]) <= max(keys, default=0):
            raise _damaged(path, number)
        keys[int(match[1])] = bytes.fromhex(match[2])
    if lines[-1] or not keys or len(data) > MAX_FILE_BYTES:
        raise _damaged(path, len(lines))
    return keys


def _damaged(path: Path, line: int) -> ConfigurationError:
    return ConfigurationError(
        [
            f"{path}:{line}: the token secrets are damaged; restore the file from a backup "
            "(without it, replies to mail sent so far are not recognised as such)"
        ]
    )


@contextlib.contextmanager
def _as_configuration_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: the token secrets cannot be read or written ({error.strerror}); check folder, owner, disk"]
        ) from error
