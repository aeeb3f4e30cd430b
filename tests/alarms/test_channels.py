"""The command and the webhook, against real processes and a real HTTP server that misbehaves."""

from __future__ import annotations

import json
import ssl
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailbox_service.adapters.alarms import CommandChannel, WebhookAccount, WebhookChannel
from mailbox_service.adapters.alarms.command import KEPT_BYTES
from mailbox_service.core.alarms import Change
from mailbox_service.errors import PermanentError, TemporaryError
from mailbox_service.services.alarms import AlarmNotice
from tests.peers.certificates import make_certificates
from tests.peers.scripted_http import HANG, scripted_http

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOTICE = AlarmNotice("folder", Change.RAISED, "security", "INBOX; $(touch x) 'a'", "deaf", "run `check`", AT, AT)
FACTS = {
    "name": "folder",
    "change": "raised",
    "mailbox": "security",
    "what": "INBOX; $(touch x) 'a'",
    "meaning": "deaf",
    "remedy": "run `check`",
    "since": "2026-11-23T12:00:00+00:00",
    "at": "2026-11-23T12:00:00+00:00",
}
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


# --- command -----------------------------------------------------------------------------------------------


def script(folder: Path, text: str) -> str:
    path = folder / "tell"
    path.write_text(f"#!/bin/sh\ncd {folder}\n{text}\n")
    path.chmod(stat.S_IRWXU)
    return str(path)


async def test_a_command_gets_the_facts_and_nothing_else_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAP_PASSWORD", "secret")
    program = script(tmp_path, 'cat > stdin; env > env; printf "%s|" "$0" "$@" > argv')
    await CommandChannel([program, "two words", "$HOME"], 20).tell(NOTICE)
    assert json.loads((tmp_path / "stdin").read_text()) == FACTS
    environment = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    told = {k.removeprefix("MAILBOX_SERVICE_ALARM_").lower(): v for k, v in environment.items() if "ALARM" in k}
    assert told == FACTS
    assert (
        not {k for k in environment if "ALARM" not in k}
        - {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "PWD", "_"}
        - {
            "SHLVL",
            "OLDPWD",
        }
    )
    assert (tmp_path / "argv").read_text() == f"{program}|two words|$HOME|"
    assert not (tmp_path / "x").exists()


async def test_a_command_that_reads_nothing_succeeds(tmp_path: Path) -> None:
    await CommandChannel([script(tmp_path, "exec 0<&-; exit 0")], 20).tell(NOTICE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo nobody at home >&2; exit 3", "the command ended with 3: nobody at home"),
        ("exit 1", "the command ended with 1"),
        ("kill -9 $$", "the command ended with -9"),
    ],
)
async def test_a_command_that_fails_says_how(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(TemporaryError, match=f"^{words}$"):
        await CommandChannel([script(tmp_path, text)], 20).tell(NOTICE)


async def test_the_output_of_a_command_is_bounded_and_never_blocks_it(tmp_path: Path) -> None:
    much = r"head -c 3000000 /dev/zero | tr '\0' x"
    program = script(tmp_path, f"{much}; {much} >&2; exit 7")
    with pytest.raises(TemporaryError) as caught:
        await CommandChannel([program], 60).tell(NOTICE)
    assert "ended with 7" in str(caught.value) and len(str(caught.value)) < 200 < KEPT_BYTES


async def test_a_command_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    program = script(tmp_path, "sleep 600 & echo $! > child; echo $$ > self; wait")
    with pytest.raises(TemporaryError, match="was not done within"):
        await CommandChannel([program], 2.0).tell(NOTICE)
    for name in ("child", "self"):
        assert _gone(int((tmp_path / name).read_text()))


async def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    await CommandChannel([script(tmp_path, "sleep 600 & echo $! > child")], 20).tell(NOTICE)
    assert _gone(int((tmp_path / "child").read_text()))


def _gone(pid: int) -> bool:
    """Whether the process is dead, after the moment that a busy machine takes to kill."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in ("Z", "X"):  # dead, and only not yet waited for
            return True
        time.sleep(0.02)
    return False


async def test_a_command_that_is_not_there_is_a_failure_like_any_other(tmp_path: Path) -> None:
    for argv in ([str(tmp_path / "gone")], [str(tmp_path)], ["/bin/sh\0"]):
        with pytest.raises(TemporaryError, match="cannot be started"):
            await CommandChannel(argv, 5).tell(NOTICE)


# --- webhook -----------------------------------------------------------------------------------------------


def hook(port: int, *, path: str = "/hook?a=1", deadline: float = 20, token: str | None = None) -> WebhookChannel:
    account = WebhookAccount(f"http://127.0.0.1:{port}{path}", deadline, None if token is None else lambda: token)
    return WebhookChannel(account, first_pause_seconds=0.01)


async def test_a_webhook_is_posted_the_facts_with_its_token() -> None:
    async with scripted_http(OK) as peer:
        await hook(peer.port, token="t0ken").tell(NOTICE)
    (request,) = peer.requests
    assert request.line == "POST /hook?a=1 HTTP/1.1"
    assert json.loads(request.body) == FACTS
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["host"] == f"127.0.0.1:{peer.port}"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        HANG + b"HTTP/1.1 200 OK\r\n",  # it took it; what else it says does not matter
    ],
)
async def test_any_success_is_one(answer: bytes) -> None:
    async with scripted_http(answer) as peer:
        await hook(peer.port).tell(NOTICE)
    assert len(peer.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 101])
async def test_a_refusal_is_final_and_a_redirect_is_not_followed(status: int) -> None:
    async with scripted_http(OK) as other:
        location = f"Location: http://127.0.0.1:{other.port}/\r\n"
        async with scripted_http(f"HTTP/1.1 {status} No\r\n{location}\r\n".encode()) as peer:
            with pytest.raises(PermanentError, match=f"answered {status}"):
                await hook(peer.port, token="t").tell(NOTICE)
        assert len(peer.requests) == 1 and other.connections == 0


@pytest.mark.parametrize("bad", [b"HTTP/1.1 503 Later\r\n\r\n", b"HTTP/1.1 429 Slow\r\n\r\n", b"", b"SSH-2.0-x\r\n"])
async def test_what_may_pass_is_tried_again(bad: bytes) -> None:
    async with scripted_http(bad, bad, OK) as peer:
        await hook(peer.port).tell(NOTICE)
    assert len(peer.requests) == 3
    async with scripted_http(bad) as peer:
        with pytest.raises(TemporaryError):
            await hook(peer.port).tell(NOTICE)
    assert len(peer.requests) == 4


@pytest.mark.parametrize("answer", [HANG, HANG + b"HTTP/1.1 2", HANG + b"HTTP/1.1 100 Continue\r\n", b"x" * 200_000])
async def test_a_webhook_that_hangs_or_babbles_is_left(answer: bytes) -> None:
    async with scripted_http(answer) as peer:
        with pytest.raises(TemporaryError):
            await hook(peer.port, deadline=0.3).tell(NOTICE)
    assert peer.connections == 4


async def test_a_webhook_that_is_not_there_is_a_failure_like_any_other() -> None:
    async with scripted_http(OK) as peer:
        gone = peer.port
    with pytest.raises(TemporaryError, match="no connection to the webhook"):
        await hook(gone).tell(NOTICE)


async def test_tls_is_verified(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.certificate_file, certificates.key_file)
    async with scripted_http(OK, tls=tls) as peer:
        url = f"https://localhost:{peer.port}/"
        await WebhookChannel(WebhookAccount(url, 20, ca_file=certificates.ca_file)).tell(NOTICE)
        with pytest.raises(PermanentError, match="certificate is not valid"):
            await WebhookChannel(WebhookAccount(url, 20)).tell(NOTICE)
    assert len(peer.requests) == 1
