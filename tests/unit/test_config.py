"""The configuration: broken files with the message expected of each, and the example held against the models."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mailbox_service.app.wiring import mailbox_of, policy_of
from mailbox_service.config import Config, Imap, Mailbox, Marks, Section, load, parse_duration, write_duration
from mailbox_service.config.values import LoadContext
from mailbox_service.core.case import Ask, CaseState, Policy
from mailbox_service.core.case.clocks import first_response_by
from mailbox_service.core.commands import TextFor
from mailbox_service.errors import ConfigurationError
from mailbox_service.services.mailboxes import written_date
from mailbox_service.services.ports import Mark
from mailbox_service.sorting.learned.sorter import TrainedSorter

DATA = Path(__file__).parent.parent / "data" / "config"
EXAMPLE = Path(__file__).parent.parent.parent / "config.example.yaml"
ENVIRON = {"PW": "the password", "EMPTY": ""}

MINIMAL: dict[str, Any] = {
    "mailboxes": [
        {
            "name": "security",
            "address": "security@example.org",
            "team_address": "team@example.org",
            "project_name": "Example",
            "maintainers": [{"name": "Ada", "address": "ada@example.org"}],
            "imap": {"host": "imap.example.org", "username": "u", "password_env": "PW"},
            "smtp": {"host": "smtp.example.org"},
        }
    ]
}


def changed(*path: str | int, to: object) -> dict[str, Any]:
    """MINIMAL with one value changed; sections and list items on the way are made."""

    def put(node: Any, rest: tuple[str | int, ...]) -> Any:
        if not rest:
            return to
        key, below = rest[0], rest[1:]
        if isinstance(key, int):
            items = list(node or [{}])
            items[key] = put(items[key], below)
            return items
        return {**(node or {}), key: put((node or {}).get(key), below)}

    result: dict[str, Any] = put(MINIMAL, path)
    return result


def write(folder: Path, tree: Mapping[str, Any]) -> Path:
    path = folder / "mailbox.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(tree, file)
    return path


def imap_of(mailbox: Mailbox) -> Imap:
    assert mailbox.imap is not None
    return mailbox.imap


def problems_of(path: Path, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ)
    return [problem.replace(f"{path.parent}/", "") for problem in caught.value.problems]


# --- broken configurations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(DATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_broken_configuration_is_refused_with_every_problem_its_line_and_the_remedy(path: Path) -> None:
    assert problems_of(path) == path.with_suffix(".expected").read_text().splitlines()


def test_every_broken_configuration_has_its_expected_message() -> None:
    assert {p.stem for p in DATA.glob("*.yaml")} == {p.stem for p in DATA.glob("*.expected")}
    assert len(list(DATA.glob("*.yaml"))) > 15


def test_problems_come_sorted_by_line() -> None:
    lines = [int(problem.split(":")[1]) for problem in problems_of(DATA / "mailbox.yaml")]
    assert lines == sorted(lines)


def test_no_message_repeats_a_secret_and_no_traceback_holds_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(DATA / "secrets-in-clear.yaml", ENVIRON)
    assert "hunter2" in (DATA / "secrets-in-clear.yaml").read_text()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text("# x\n" * 250_001)
    assert "no such file" in problems_of(tmp_path / "none.yaml")[0]
    assert "is not a file" in problems_of(tmp_path)[0]
    assert "larger than 1 MB" in problems_of(huge)[0]


def test_deep_nesting_and_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 5000)
    assert "nested too deeply" in problems_of(path)[0]
    levels = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 10))
    path.write_text(f"x0: &x0 [1]\n{levels}\n")
    assert "too large" in problems_of(path)[0]


def test_a_key_with_control_characters_cannot_forge_a_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('"a\\nmailbox.yaml:1: fine\\e[2J": 1\n')
    assert all("\n" not in problem and "\x1b" not in problem for problem in problems_of(path))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_either_loaded_or_refused_with_a_clear_error(tmp_path_factory: Any, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    assert problems_of(path)


def _mappings(below: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    keys = st.sampled_from(["mailboxes", "imap", "smtp", "database", "url", "limits", "name", "x"])
    return st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=4)


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), _mappings, max_leaves=20))
def test_any_values_in_any_place_are_either_loaded_or_refused(tmp_path_factory: Any, tree: Any) -> None:
    path = write(tmp_path_factory.getbasetemp(), {"mailboxes": tree, "database": tree, "health": tree})
    assert problems_of(path)


# --- what loads --------------------------------------------------------------------------------------------


def test_the_shortest_configuration_loads_with_sensible_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, MINIMAL), ENVIRON)
    mailbox = config.mailboxes[0]
    imap = imap_of(mailbox)
    assert (imap.port, mailbox.smtp.port, imap.security) == (993, 465, "tls")
    assert config.database.url == f"sqlite:///{tmp_path}/mailbox.db"
    assert config.database.sqlite_path == tmp_path / "mailbox.db"
    assert config.secret_file == tmp_path / "mailbox.secret"
    assert config.health is None
    assert mailbox.notices.digest_at == time(7)
    assert config.mailbox("security") is mailbox
    assert config.mailbox("other") is None
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("written", "endpoint"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_a_name_server_is_an_address_with_or_without_a_port(
    tmp_path: Path, written: str, endpoint: tuple[str, int]
) -> None:
    config = load(write(tmp_path, changed("dns", to={"nameservers": [written]})), ENVIRON)
    assert config.dns.endpoints == (endpoint,)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_time_zone_of_the_database_is_accepted(tmp_path: Path, zone: str) -> None:
    mailbox = load(write(tmp_path, changed("mailboxes", 0, "time_zone", to=zone)), ENVIRON).mailboxes[0]
    assert str(policy_of(mailbox).zone) == zone


@pytest.mark.parametrize(
    "zone", ["", "CET", "localtime", "utc", "europe/berlin", "Europe", "Europe/", "/etc/passwd", "Europe/../UTC",
             "UTC+1", "America/Argentina", "Europe/Berlin\n", "Europe/Berlin/Mitte", 1, None]
)  # fmt: skip
def test_anything_else_is_no_time_zone(tmp_path: Path, zone: object) -> None:
    (problem,) = problems_of(write(tmp_path, changed("mailboxes", 0, "time_zone", to=zone)))
    assert ".time_zone: " in problem


@pytest.mark.parametrize("intent", ["strict", "balanced", "open", "1/10", "1/500", "1/999999"])
def test_an_intent_that_is_accepted_makes_a_sorter(tmp_path: Path, intent: str) -> None:
    mailbox = load(write(tmp_path, changed("mailboxes", 0, "intent", to=intent)), ENVIRON).mailboxes[0]
    assert TrainedSorter(mailbox.intent).intent == intent


@pytest.mark.parametrize("intent", ["", "Strict", "lax", "1/9", "1/0", "2/100", "1/1000000", "1/500\n", 500, None])
def test_no_other_intent_is_accepted(tmp_path: Path, intent: object) -> None:
    (problem,) = problems_of(write(tmp_path, changed("mailboxes", 0, "intent", to=intent)))
    assert ".intent: " in problem


def test_the_shortest_configuration_has_the_policy_that_the_rules_have_by_default(tmp_path: Path) -> None:
    mailbox = mailbox_of(load(write(tmp_path, MINIMAL), ENVIRON).mailboxes[0])
    assert mailbox.policy == Policy()
    assert mailbox.maintainer_reply is TextFor.NOTE
    assert not mailbox.asks_about_ai


def test_the_policy_of_a_mailbox_is_what_is_configured(tmp_path: Path) -> None:
    values = {
        "asks": ["severity", "ai_disclosure"],
        "time_zone": "Europe/Berlin",
        "working_days": ["sun", "mon", "tue", "wed", "thu"],
        "first_response_working_days": 1,
        "maintainer_reply": "reporter",
        "clocks": {
            "update_interval": "5d",
            "info_reminder": "3d",
            "info_close": "4d",
            "embargo": "45d",
            "verdict_within": "2d",
            "publication_delay": "12h",
        },
    }
    tree = {"mailboxes": [MINIMAL["mailboxes"][0] | values]}
    mailbox = mailbox_of(load(write(tmp_path, tree), ENVIRON).mailboxes[0])
    assert mailbox.policy == Policy(
        zone=ZoneInfo("Europe/Berlin"),
        working_days=frozenset({6, 0, 1, 2, 3}),
        first_response_working_days=1,
        update_interval=timedelta(days=5),
        info_reminder=timedelta(days=3),
        info_close=timedelta(days=4),
        embargo=timedelta(days=45),
        verdict_within=timedelta(days=2),
        publication_delay=timedelta(hours=12),
        asks=frozenset({Ask.SEVERITY, Ask.AI_DISCLOSURE}),
    )
    assert mailbox.maintainer_reply is TextFor.REPORTER
    assert mailbox.asks_about_ai


@pytest.mark.parametrize(
    ("values", "now", "written"),
    [
        ({}, "2026-11-27T10:00", "Tuesday, 1 December 2026 (UTC)"),
        # Thursday evening in UTC is Friday in Tokyo already, and the second working day from there is a Tuesday.
        ({"time_zone": "Asia/Tokyo"}, "2026-11-26T20:00", "Tuesday, 1 December 2026 (Asia/Tokyo)"),
        ({}, "2026-11-26T20:00", "Monday, 30 November 2026 (UTC)"),
        ({"working_days": ["sun", "mon"]}, "2026-11-27T10:00", "Monday, 30 November 2026 (UTC)"),
        ({"first_response_working_days": 1}, "2026-11-27T10:00", "Monday, 30 November 2026 (UTC)"),
    ],
)
def test_the_promise_counts_the_working_days_of_the_zone(
    tmp_path: Path, values: dict[str, object], now: str, written: str
) -> None:
    tree = {"mailboxes": [MINIMAL["mailboxes"][0] | values]}
    mailbox = mailbox_of(load(write(tmp_path, tree), ENVIRON).mailboxes[0])
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert mailbox.answer_by(moment) == written
    # The clock that reminds of the promise is the same one.
    end = first_response_by(CaseState("SEC-2026-0001", moment), mailbox.policy)
    assert written_date(end.astimezone(mailbox.policy.zone)) == written


@pytest.mark.parametrize(("security", "ports"), [("tls", (993, 465)), ("starttls", (143, 587)), ("none", (143, 587))])
def test_the_usual_port_follows_the_security(tmp_path: Path, security: str, ports: tuple[int, int]) -> None:
    tree = changed(
        "mailboxes", 0, "imap", to={"host": "::1", "security": security, "username": "u", "password_env": "PW"}
    )
    tree["mailboxes"][0]["smtp"] = {"host": "localhost", "security": security}
    mailbox = load(write(tmp_path, tree), ENVIRON).mailboxes[0]
    assert (imap_of(mailbox).port, mailbox.smtp.port) == ports


def test_anchors_share_values_between_mailboxes(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "mailboxes:\n"
        "  - &first {name: a, address: a@e.org, team_address: t@e.org, project_name: E, smtp: {host: localhost},\n"
        "     maintainers: [{name: Ada, address: ada@e.org}],\n"
        "     imap: &imap {host: localhost, username: u, password_env: PW}}\n"
        "  - {<<: *first, name: b, address: b@e.org, imap: {<<: *imap, username: v}}\n"
    )
    one, two = load(path, ENVIRON).mailboxes
    assert (imap_of(one).username, imap_of(two).username, imap_of(two).host) == ("u", "v", "localhost")
    assert two.maintainers == one.maintainers


def test_a_loaded_configuration_cannot_be_changed_and_shows_no_secret(tmp_path: Path) -> None:
    config = load(write(tmp_path, MINIMAL), ENVIRON)
    with pytest.raises(ValueError, match="frozen"):
        config.logging.level = "debug"
    assert imap_of(config.mailboxes[0]).secret() == "the password"
    assert "the password" not in repr(config) + str(config.model_dump()) + repr(imap_of(config.mailboxes[0])._secret)


def test_own_addresses_are_compared_without_case(tmp_path: Path) -> None:
    tree = changed("mailboxes", 0, "aliases", to=["CERT@Example.org"])
    assert load(write(tmp_path, tree), ENVIRON).mailboxes[0].own_addresses == {
        "security@example.org",
        "cert@example.org",
    }


@pytest.mark.parametrize("reference", ["SEC-{year}-{number:04d}", "X{number}", "{year}-{number:6}", "A-{number:03}-B"])
def test_a_form_of_references_is_accepted(tmp_path: Path, reference: str) -> None:
    if ":6" in reference:  # pads with blanks
        assert "capital letters" in problems_of(write(tmp_path, changed("mailboxes", 0, "reference", to=reference)))[0]
    else:
        load(write(tmp_path, changed("mailboxes", 0, "reference", to=reference)), ENVIRON)


@pytest.mark.parametrize(
    "reference",
    [
        "SEC",
        "{year}",
        "{number!r}",
        "{number:0999999999d}",
        "{number:{year}}",
        "{",
        "{0}",
        "sec-{number}",
        "S {number}",
        "{number.real}",
        "{number:x}",
        "-{number}",
    ],
)
def test_a_form_of_references_that_is_useless_or_dangerous_is_refused(tmp_path: Path, reference: str) -> None:
    found = problems_of(write(tmp_path, changed("mailboxes", 0, "reference", to=reference)))
    assert len(found) == 1
    assert ": mailboxes.0.reference: " in found[0]


@pytest.mark.parametrize(
    "address",
    [
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c.org",
        "A <a@b.org>",
        "a@b.org,c@d.org",
        "a@b.org\n",
        "a@-b.org",
        "a@b..org",
        ".a@b.org",
        "ü@b.org",
        "a@bü.org",
        '"a"@b.org',
        "a@[127.0.0.1]",
        "a" * 65 + "@b.org",
    ],
)
def test_what_is_no_exact_address_is_refused(tmp_path: Path, address: str) -> None:
    assert "no plain mail address" in problems_of(write(tmp_path, changed("mailboxes", 0, "address", to=address)))[0]


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:0", "::1", 0), ("localhost:8025", "localhost", 8025)],
)
def test_the_health_endpoint_is_on_loopback(tmp_path: Path, listen: str, host: str, port: int) -> None:
    health = load(write(tmp_path, changed("health", "listen", to=listen)), ENVIRON).health
    assert health is not None
    assert (health.host, health.port) == (host, port)


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:80", "example.org:80", ":80", "127.0.0.1:99999", "127.0.0.1:x"])
def test_a_health_endpoint_elsewhere_is_refused(tmp_path: Path, listen: str) -> None:
    assert "health.listen" in problems_of(write(tmp_path, changed("health", "listen", to=listen)))[0]


def test_plaintext_to_another_machine_needs_the_key_and_is_warned_about(tmp_path: Path) -> None:
    smtp = {"host": "smtp.example.org", "security": "none", "allow_plaintext": True}
    config = load(write(tmp_path, changed("mailboxes", 0, "smtp", to=smtp)), ENVIRON)
    assert len(config.warnings) == 1
    assert "mailboxes.0.smtp.security: mail and password travel in clear" in config.warnings[0]


# --- passwords ---------------------------------------------------------------------------------------------


def imap_with_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    (folder / "pw").write_bytes(content)
    (folder / "pw").chmod(mode)
    imap = {"host": "imap.example.org", "username": "u", "password_file": "pw"}
    return write(folder, changed("mailboxes", 0, "imap", to=imap))


@pytest.mark.parametrize(
    ("content", "secret"), [(b"a b", "a b"), (b"a\n", "a"), (b"a\r\n", "a"), ("ü\n".encode(), "ü")]
)
def test_a_password_file_gives_its_content_without_one_newline(tmp_path: Path, content: bytes, secret: str) -> None:
    config = load(imap_with_file(tmp_path, content), {})
    assert imap_of(config.mailboxes[0]).secret() == secret
    assert config.mailboxes[0].smtp.secret() is None


@pytest.mark.parametrize("content", [b"", b"\n", b"a\n\n", b"a\nb", b"a\0b", b"\xff", b"x" * 5000])
def test_a_password_file_with_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    assert ": mailboxes.0.imap.password_file: " in problems_of(imap_with_file(tmp_path, content))[0]


def test_a_password_is_read_anew_on_each_use(tmp_path: Path) -> None:
    imap = imap_of(load(imap_with_file(tmp_path, b"old"), {}).mailboxes[0])
    (tmp_path / "pw").write_text("new\n")
    assert imap.secret() == "new"
    (tmp_path / "pw").unlink()
    with pytest.raises(ConfigurationError, match="no such file"):
        imap.secret()


def test_a_password_file_readable_by_everyone_is_a_warning_with_its_line(tmp_path: Path) -> None:
    path = imap_with_file(tmp_path, b"pw", 0o644)
    (warning,) = load(path, {}).warnings
    assert re.fullmatch(r".*/mailbox\.yaml:\d+: mailboxes\.0\.imap\.password_file: .*chmod 600.*", warning)
    assert path.read_text().splitlines()[int(warning.split(":")[1]) - 1].strip().startswith(("password_file", "imap"))
    assert load(imap_with_file(tmp_path, b"pw", 0o640), {}).warnings == ()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h:5432/db", "postgresql+psycopg://u:the%20password@h:5432/db"),
        ("postgresql+psycopg://h/db?sslmode=require", "postgresql+psycopg://:the%20password@h/db?sslmode=require"),
    ],
)
def test_the_password_enters_the_database_url_only_when_asked(tmp_path: Path, url: str, expected: str) -> None:
    config = load(write(tmp_path, changed("database", to={"url": url, "password_env": "PW"})), ENVIRON)
    assert config.database.connection_url() == expected
    assert "password" not in config.database.url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "mysql://x/y",
        "postgresql://h",
        "postgresql://h:x/db",
        "postgresql://u:p@h/db",
        "postgresql://h/db?password=p",
        "sqlite:///x?mode=memory",
        "postgresql://[/db",
    ],
)
def test_a_database_url_that_cannot_serve_is_refused(tmp_path: Path, url: str) -> None:
    assert ": database.url: " in problems_of(write(tmp_path, changed("database", "url", to=url)))[0]


# --- durations ---------------------------------------------------------------------------------------------


@given(st.integers(min_value=0, max_value=10**8))
def test_a_written_duration_is_read_as_itself(seconds: int) -> None:
    value = timedelta(seconds=seconds)
    assert parse_duration(write_duration(value)) == value


def test_durations_add_their_units() -> None:
    assert parse_duration("1d2h3m4s") == timedelta(days=1, hours=2, minutes=3, seconds=4)


# --- config.example.yaml against the models ----------------------------------------------------------------

Key = tuple[str, ...]


def keys_of_models(section: type[Section] = Config, above: Key = ()) -> Iterator[Key]:
    from mailbox_service.config import _model_in

    for name, field in section.model_fields.items():
        yield (*above, name)
        below = _model_in(field.annotation)
        if below is not None and issubclass(below, Section):
            yield from keys_of_models(below, (*above, name))


def keys_of_example() -> dict[Key, str]:
    """Each key of the example, set or not (`#key:`), with the comment above it."""
    found: dict[Key, str] = {}
    open_keys: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in EXAMPLE.read_text().splitlines():
        if match := re.fullmatch(r"( *)(- |#)?([a-z_]+):(?: .*)?", line):
            indent = len(match[1]) + (2 if match[2] == "- " else 0)
            open_keys = [(depth, key) for depth, key in open_keys if depth < indent] + [(indent, match[3])]
            key = tuple(name for _, name in open_keys)
            assert key not in found, f"{key} stands twice in the example"
            found[key] = " ".join(comment)
            comment = []
        elif line.strip().startswith("# "):
            comment.append(line.strip()[2:])
        else:
            comment = []
    return found


def test_the_example_and_the_models_have_the_same_keys() -> None:
    assert sorted(keys_of_example()) == sorted(keys_of_models())


def test_every_key_of_the_example_is_explained() -> None:
    assert [key for key, comment in keys_of_example().items() if len(comment) < 10] == []


def test_the_example_loads_once_its_password_files_exist(tmp_path: Path) -> None:
    (tmp_path / "imap").write_text("pw\n")
    (tmp_path / "imap").chmod(0o600)
    path = tmp_path / "mailbox.yaml"
    path.write_text(EXAMPLE.read_text().replace("/run/secrets/", f"{tmp_path}/"))
    config = load(path, {"SMTP_PASSWORD": "pw"})
    assert config.warnings == ()
    assert isinstance(config.mailboxes[0].imap, Imap)


LISTS = {"mailboxes", "maintainers"}
NOT_COMPARABLE = {
    ("mailboxes", "imap", "password_env"),  # the minimal configuration has its password there
    ("mailboxes", "limits", "public_providers"),  # too long to repeat
}
DOCUMENTED_DEFAULTS = {
    key: match[1]
    for key, comment in keys_of_example().items()
    if (match := re.search(r"Default: (.*?)(?: \(.*\))?$", comment)) and key not in NOT_COMPARABLE
}


@pytest.mark.parametrize(("key", "default"), DOCUMENTED_DEFAULTS.items(), ids=map(".".join, DOCUMENTED_DEFAULTS))
def test_writing_the_documented_default_changes_nothing(key: Key, default: str, tmp_path: Path) -> None:
    path: list[str | int] = []
    for name in key:
        path += [name, 0] if name in LISTS and name != key[-1] else [name]
    context = LoadContext(tmp_path, ENVIRON)
    # The section around the key is there in both: health is null by default, and its keys have defaults as well.
    around = changed(*path[:-1], to=_at(MINIMAL, path[:-1]))
    expected = Config.model_validate(around, context=context)
    value = YAML(typ="safe", pure=True).load(default)
    assert Config.model_validate(changed(*path, to=value), context=context) == expected


def test_every_key_is_required_or_a_section_or_has_its_default_documented() -> None:
    sections = {key[:-1] for key in keys_of_example()}
    for key, comment in keys_of_example().items():
        assert ("Required." in comment) + ("Default: " in comment) == 1 or key in sections, key


def test_every_key_said_to_be_required_is(tmp_path: Path) -> None:
    required = [key for key, comment in keys_of_example().items() if "Required." in comment]
    found = " ".join(problems_of(write(tmp_path, {"mailboxes": [{"imap": {}, "smtp": {}, "contacts": [{}],
                                                                 "maintainers": [{}]}]})))  # fmt: skip
    leaves = [key for key in required if key not in {("mailboxes",)} | {other[:-1] for other in required}]
    assert found.count(" is missing;") == len(leaves)
    assert all(f".{key[-1]}: is missing;" in found for key in leaves)


def _at(tree: Any, path: list[str | int]) -> Any:
    for part in path:
        tree = tree.get(part, {}) if isinstance(tree, dict) else tree[part]
    return tree


def test_there_is_a_rule_for_each_mark() -> None:
    assert set(Marks.model_fields) == {mark.value for mark in Mark}


def test_who_only_looks_needs_no_secrets_of_the_mail_servers(tmp_path: Path) -> None:
    tree = changed(
        "mailboxes", 0, "smtp", to={"host": "h", "ca_file": "nowhere.pem", "username": "u", "password_env": "NO"}
    )
    path = write(tmp_path, tree)
    with pytest.raises(ConfigurationError) as found:
        load(path, {})
    assert len(found.value.problems) == 3
    assert load(path, {}, mail_files=False).mailboxes[0].smtp.username == "u"


def test_two_patterns_that_write_the_same_reference_are_refused(tmp_path: Path) -> None:
    other = MINIMAL["mailboxes"][0] | {
        "name": "other",
        "address": "other@example.org",
        "reference": "SEC-2026-{number:04d}",
    }
    with pytest.raises(ConfigurationError, match="writes the same references"):
        load(write(tmp_path, {"mailboxes": [*MINIMAL["mailboxes"], other]}), ENVIRON)


# --- doors for pushed mail ---------------------------------------------------------------------------------


def without_imap(**doors: object) -> dict[str, Any]:
    tree: dict[str, Any] = changed("intake", to=doors)
    del tree["mailboxes"][0]["imap"]
    return tree


@pytest.fixture
def fresh_minimal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "MINIMAL", copy.deepcopy(MINIMAL))


@pytest.mark.usefixtures("fresh_minimal")
@pytest.mark.parametrize("doors", [{"lmtp": {}}, {"smtp": {}}, {"lmtp": {}, "smtp": {}}])
def test_a_mailbox_whose_mail_is_pushed_needs_no_server_to_fetch_from(doors: dict[str, Any], tmp_path: Path) -> None:
    config = load(write(tmp_path, without_imap(**doors)), ENVIRON)
    assert config.mailboxes[0].imap is None
    assert (config.intake.lmtp is None, config.intake.smtp is None) == ("lmtp" not in doors, "smtp" not in doors)
    assert config.warnings == ()


def test_the_doors_have_their_values_ready(tmp_path: Path) -> None:
    doors = {"lmtp": {"socket": "run/s", "mode": "666"}, "smtp": {"listen": "[::]:25", "allow_remote": True}}
    config = load(write(tmp_path, changed("intake", to=doors)), ENVIRON)
    assert config.intake.lmtp is not None
    assert config.intake.smtp is not None
    assert (config.intake.lmtp.socket, config.intake.lmtp.mode_bits) == (tmp_path / "run" / "s", 0o666)
    assert (config.intake.smtp.host, config.intake.smtp.port) == ("::", 25)
    assert [re.sub(r".*:\d+: ", "", warning).partition(":")[0] for warning in config.warnings] == [
        "intake.lmtp.mode",
        "intake.smtp.listen",
    ]
