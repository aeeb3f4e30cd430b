"""`key lookup`: a Web Key Directory is asked by TLS, and what it answers is shown and no more."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mailbox_service.core.gpg.publishing import wkd_paths
from tests.cli.desk import Desk
from tests.cli.test_key import desk, people
from tests.openpgp.keys import People, Person
from tests.peers.certificates import make_certificates

__all__ = ["desk", "people"]  # fixtures

JANE, DOMAIN = "Jane.Doe@research.example", "research.example"
ADVANCED, DIRECT = f"openpgpkey.{DOMAIN}", DOMAIN


@pytest.fixture(scope="module")
def jane(people: People) -> Person:
    return people.join(f"Jane <{JANE.lower()}>", expires="2y")


class Directory:
    """A web server of both names; `answers` by host and path, the query left out."""

    def __init__(self, folder: Path) -> None:
        made = make_certificates(folder, ADVANCED, DIRECT)
        self.ca_file = made.ca_file
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.names = {ADVANCED, DIRECT}
        directory = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                directory.asked.append(f"{self.headers['Host']}{self.path}")
                path, _, _ = self.path.partition("?")
                status, data = directory.answers.get(f"{self.headers['Host']}{path}", (404, b""))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"https://{ADVANCED}/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate_file, made.key_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Directory]:
    """The names lead to it, and its authority is trusted."""
    one = Directory(tmp_path / "tls")
    connect: Callable[..., socket.socket] = socket.create_connection

    def leads_there(address: tuple[str, int], *arguments: Any, **named: Any) -> socket.socket:
        if address[0] not in one.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        assert address[1] == 443
        return connect(("127.0.0.1", one.port), *arguments, **named)

    monkeypatch.setattr(socket, "create_connection", leads_there)
    monkeypatch.setenv("SSL_CERT_FILE", one.ca_file)
    yield one
    one.close()


def test_what_the_domain_offers_is_shown_and_can_be_pinned_by_hand(
    desk: Desk, directory: Directory, jane: Person
) -> None:
    advanced, _ = wkd_paths(JANE)
    directory.answers[advanced] = 200, jane.gpg("--export")
    file = desk.folder / "jane.key"
    shown = desk.done("key", "lookup", JANE, "-o", str(file))
    assert jane.fingerprint in shown.text and f"From {ADVANCED}." in shown.text
    assert directory.asked == [f"{advanced}?l=Jane.Doe"]
    assert desk.rows("key", "list") == []
    assert file.stat().st_mode & 0o777 == 0o600
    desk.done("key", "pin", JANE, jane.fingerprint, "--file", str(file))
    assert [row["fingerprint"] for row in desk.rows("key", "list")] == [jane.fingerprint]


def test_the_domain_itself_is_asked_only_where_the_other_name_does_not_exist(
    desk: Desk, directory: Directory, jane: Person
) -> None:
    _, direct = wkd_paths(JANE)
    directory.answers[direct] = 200, jane.gpg("--export")
    refused = desk.run("key", "lookup", JANE)
    assert (refused.code, f"{ADVANCED} offers no key (404)" in refused.err) == (66, True)
    directory.names.remove(ADVANCED)
    assert f"From {DIRECT}." in desk.done("key", "lookup", JANE).text
    directory.names.clear()
    nobody = desk.run("key", "lookup", JANE)
    assert (nobody.code, "has an address" in nobody.err) == (75, True)


@pytest.mark.parametrize(
    ("status", "data", "code", "reason"),
    [
        (302, b"", 66, "offers no key (302)"),
        (200, b"<html>Not found</html>", 65, "no OpenPGP key"),
        (200, b"\x99" * 300_000, 65, "more than 256 kB"),
        (500, b"", 66, "offers no key (500)"),
    ],
)
def test_what_is_no_key_is_refused(
    desk: Desk, directory: Directory, status: int, data: bytes, code: int, reason: str
) -> None:
    directory.answers[wkd_paths(JANE)[0]] = status, data
    answer = desk.run("key", "lookup", JANE, "-o", str(desk.folder / "jane.key"))
    assert answer.code == code and reason in answer.err, answer
    assert len(directory.asked) == 1 and not (desk.folder / "jane.key").exists()


def test_somebody_elses_key_is_none_of_theirs(desk: Desk, directory: Directory, people: People) -> None:
    directory.answers[wkd_paths(JANE)[0]] = 200, people.join("Eve <eve@evil.example>").gpg("--export")
    answer = desk.run("key", "lookup", JANE)
    assert answer.code == 66 and f"no key with the user id {JANE.lower()}" in answer.err


def test_a_server_that_cannot_prove_its_name_is_not_asked(
    desk: Desk, directory: Directory, jane: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.answers[wkd_paths(JANE)[0]] = 200, jane.gpg("--export")
    monkeypatch.delenv("SSL_CERT_FILE")
    answer = desk.run("key", "lookup", JANE)
    assert answer.code == 75 and "certificate is not valid" in answer.err
    assert directory.asked == []
