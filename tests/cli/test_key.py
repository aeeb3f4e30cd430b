"""`key`: own keys, pins, what is published, and what has to be renewed."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.desk import Desk
from tests.openpgp.keys import People, Person

ADDRESS, ADA = "security@demo.example", "maintainer@demo.example"


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    everybody = People()
    yield everybody
    everybody.leave()


@pytest.fixture(scope="module")
def ada(people: People) -> Person:
    return people.join(f"Ada <{ADA}>", expires="2y")


@pytest.fixture
def desk(desk: Desk) -> Desk:
    with desk.config.open("a") as file:
        file.write("openpgp: {folder: openpgp}\n")
    desk.done("migrate")
    return desk


def key_file(desk: Desk, person: Person) -> str:
    return desk.mail(f"{person.fingerprint}.asc", person.gpg("--armor", "--export"))


def own(desk: Desk) -> str:
    (row,) = [row for row in desk.rows("key", "list") if row["kind"] == "own"]
    return str(row["fingerprint"])


def test_a_key_is_generated_once_and_listed(desk: Desk) -> None:
    assert desk.done("key", "list").text == "No keys.\n"
    made = desk.done("key", "generate").text
    fingerprint = own(desk)
    assert fingerprint in made
    assert f"openpgp/revocation/{fingerprint}.rev" in made.replace("\n", "")
    assert Path(desk.folder, "openpgp", "revocation", f"{fingerprint}.rev").exists()
    again = desk.run("key", "generate")
    assert (again.code, "--another" in again.err) == (65, True)
    assert list(desk.rows("key", "list")[0]) == [
        *("mailbox", "kind", "address", "case", "fingerprint", "expires_at", "how", "pinned_at")
    ]
    assert desk.run("key", "generate", "--another", "--valid-for", "2y\n%pubring x").code == 64


def test_a_key_is_pinned_by_its_full_fingerprint_and_unpinned(desk: Desk, ada: Person) -> None:
    file = key_file(desk, ada)
    spaced = " ".join(ada.fingerprint[at : at + 4] for at in range(0, 40, 4)).lower()
    assert "Pinned to" in desk.done("key", "pin", ADA, spaced, "--file", file).text
    assert "Is pinned already" in desk.done("key", "pin", ADA, ada.fingerprint, "--file", file).text
    (row,) = desk.rows("key", "list")
    assert (row["kind"], row["address"], row["fingerprint"], row["how"]) == ("pinned", ADA, ada.fingerprint, "host")
    assert ada.fingerprint in desk.done("key", "unpin", ADA).text
    assert desk.run("key", "unpin", ADA).code == 66
    # What was pinned once needs no file.
    assert "Pinned to" in desk.done("key", "pin", ADA, ada.fingerprint).text


def test_the_person_is_told_by_both_ways_when_a_key_is_pinned_and_taken_away(
    desk: Desk, ada: Person, people: People
) -> None:
    other = people.join("Eve <eve@research.example>")
    told = desk.done("key", "pin", ADA, ada.fingerprint, "--file", key_file(desk, ada)).text
    assert "told by the old way and by the new one" in told and "2 mails wait" in told
    # Nobody else is a maintainer here.
    assert [(row["kind"], row["recipient"]) for row in desk.rows("outbox", "list")] == [("key_changed", ADA)] * 2
    again = desk.done("key", "pin", ADA, ada.fingerprint, "--file", key_file(desk, ada)).text
    assert "told" not in again and len(desk.rows("outbox", "list")) == 2
    desk.done("key", "pin", "eve@research.example", other.fingerprint, "--file", key_file(desk, other))
    desk.done("key", "unpin", "eve@research.example")
    kinds = [(row["kind"], row["recipient"]) for row in desk.rows("outbox", "list")[2:]]
    once = [("key_changed", "eve@research.example")] * 2 + [("notice_key", ADA)]
    assert sorted(kinds) == sorted(once * 2)


@pytest.mark.parametrize("short", ["", "5EB8098DECB1873C", "0x" + "A" * 40, "--output=x" + "A" * 30, "G" * 40])
def test_a_short_fingerprint_is_no_name_of_a_key(short: str, desk: Desk) -> None:
    assert desk.run("key", "pin", "--", ADA, short).code == 64


def test_another_key_than_the_one_named_is_not_pinned(desk: Desk, ada: Person, people: People) -> None:
    other = people.join(f"Ada <{ADA}>")
    answer = desk.run("key", "pin", ADA, ada.fingerprint, "--file", key_file(desk, other))
    assert (answer.code, other.fingerprint in answer.err) == (65, True)
    assert desk.run("key", "pin", ADA, "A" * 40).code == 66
    assert desk.run("key", "pin", ADA, "A" * 40, "--file", desk.mail("x", b"no key")).code == 65
    assert desk.run("key", "pin", "Ada <a@x.example>", ada.fingerprint).code == 64
    assert desk.rows("key", "list") == []


def test_a_weak_or_expired_key_is_not_pinned(desk: Desk, people: People) -> None:
    weak = people.join(f"Ada <{ADA}>", kind="rsa1024")
    old = people.join(f"Ada <{ADA}>", expires="1y", at="20200101T000000")
    for person, why in ((weak, "is weak: rsa1024"), (old, "has expired")):
        answer = desk.run("key", "pin", ADA, person.fingerprint, "--file", key_file(desk, person))
        assert (answer.code, why in answer.err) == (65, True)


def test_a_name_that_is_not_the_address_is_told(desk: Desk, ada: Person) -> None:
    answer = desk.done("key", "pin", "other@x.example", ada.fingerprint, "--file", key_file(desk, ada))
    assert "None of its user ids is other@x.example" in answer.err


def test_a_key_is_pinned_for_one_case(desk: Desk, ada: Person) -> None:
    assert desk.run("key", "pin", ADA, ada.fingerprint, "--case", "SEC-2026-9999").code == 66


def test_a_secret_key_of_somebody_else_is_refused_with_the_reason(
    desk: Desk, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = people.join("Release signing <release@demo.example>")
    answer = desk.run("key", "import", desk.mail("release.key", release.secret()))
    assert (answer.code, "does not belong on this host" in answer.err) == (65, True)
    mine = people.join(f"Security <{ADDRESS}>")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mine.secret())))
    desk.done("key", "import", "-")
    assert own(desk) == mine.fingerprint


def test_the_public_key_is_exported_for_website_wkd_and_mail_and_nothing_secret_with_it(desk: Desk) -> None:
    assert desk.run("key", "export").code == 66
    desk.done("key", "generate")
    armored = desk.done("key", "export").text
    assert armored.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert "PRIVATE" not in armored
    target = desk.folder / "key.asc"
    desk.done("key", "export", "-o", str(target))
    assert target.read_text() == armored
    assert desk.done("key", "export", "--as", "autocrypt").text.startswith(f"Autocrypt: addr={ADDRESS};")
    assert desk.run("key", "export", "--as", "wkd").code == 64
    told = desk.done("key", "export", "--as", "wkd", "-o", str(desk.folder / "www")).text
    written = desk.folder / "www/.well-known/openpgpkey/hu/t5s8ztdbon8yzntexy6oz5y48etqsnbb"
    assert written.exists()
    assert "https://demo.example/.well-known/openpgpkey/hu/t5s8ztdbon8yzntexy6oz5y48etqsnbb" in told
    assert (written.parent.parent / "policy").exists()


def test_check_says_what_has_to_be_renewed(desk: Desk, ada: Person, people: People) -> None:
    assert (desk.run("key", "check").code, "has no key that signs" in desk.run("key", "check").text) == (1, True)
    desk.done("key", "generate", "--valid-for", "2y")
    desk.done("key", "pin", ADA, ada.fingerprint, "--file", key_file(desk, ada))
    assert all(line.startswith("ok") for line in desk.done("key", "check").text.splitlines())
    soon = people.join("Bob <bob@y.example>", expires="10d")
    desk.done("key", "pin", "bob@y.example", soon.fingerprint, "--file", key_file(desk, soon))
    answer = desk.run("key", "check", "--json")
    levels = {row["subject"].split()[1]: row["level"] for row in answer.json}
    assert (answer.code, levels["bob@y.example"], levels[ADA]) == (1, "warning", "ok")


def test_without_a_folder_the_verbs_say_what_to_configure(desk: Desk, ada: Person) -> None:
    desk.configure()
    for words in (("generate",), ("check",), ("export",), ("pin", ADA, ada.fingerprint, "--file", key_file(desk, ada))):
        answer = desk.run("key", *words)
        assert (answer.code, "openpgp: {folder" in answer.err) == (69, True), words
    assert desk.done("key", "list").text == "No keys.\n"


def test_who_cannot_read_what_is_encrypted_is_named_once_there_are_keys(desk: Desk, ada: Person) -> None:
    said = "Ada: no key is pinned to them"

    def told(*words: str) -> bool:
        return said in " ".join(desk.run(*words).text.split())

    assert not told("status") and not told("check", "--offline")
    desk.done("key", "generate")
    assert told("status") and told("check", "--offline")
    desk.done("key", "pin", ADA, ada.fingerprint, "--file", key_file(desk, ada))
    assert not told("status") and not told("check", "--offline")


def test_the_doctor_names_who_has_to_sign_and_has_no_key(desk: Desk, ada: Person) -> None:
    said = f"no valid key is pinned to {ADA}"
    assert said not in desk.run("check", "--offline").text
    text = desk.config.read_text()
    desk.config.write_text(text.replace(f"address: {ADA}", f"address: {ADA}, signed_only: true"))
    found = desk.run("check", "--offline")
    assert (said in " ".join(found.text.split()), found.code) == (True, 1)
    desk.done("key", "pin", ADA, ada.fingerprint, "--file", key_file(desk, ada))
    assert said not in " ".join(desk.run("check", "--offline").text.split())
