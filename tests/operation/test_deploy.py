"""What lies in deploy/, and the container files: each speaks of a service that is really like that."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mailbox_service.adapters.metrics import PREFIX, Metrics
from mailbox_service.config import load
from mailbox_service.services.metering import FIGURES, FigureKind

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
UNIT = (DEPLOY / "mailbox-service.service").read_text()
ALERTS: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(DEPLOY / "prometheus-alerts.yml")["groups"][0]["rules"]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
LABELS = {PREFIX + figure.name: {*figure.labels, "le", "job", "instance"} for figure in FIGURES}
# A histogram is three series, and is asked for by these names only.
SERIES = (
    {
        PREFIX + figure.name + ending
        for figure in FIGURES
        for ending in (("_bucket", "_sum", "_count") if figure.kind is FigureKind.HISTOGRAM else ("",))
    }
    | {"up"}
    | {name for name in re.findall(r"^# HELP (\S+)", Metrics().text().decode(), re.M) if PREFIX not in name}
)


def expressions() -> Iterator[tuple[str, str]]:
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_alerts_and_dashboard_ask_for_figures_that_are_told(name: str, expression: str) -> None:
    series = set(re.findall(rf"\b(?:{PREFIX}|process_)\w+|\bup\b", expression))
    assert series and series - SERIES - {f"{PREFIX}build_info"} == set(), name
    for one, selector in re.findall(rf"\b({PREFIX}\w+)\{{([^}}]*)\}}", expression):
        known = LABELS[re.sub(r"_(bucket|sum|count)\Z", "", one)]
        assert set(re.findall(r"(\w+)[!=]~?\"", selector)) <= known, name
    by = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    assert by <= {label for labels in LABELS.values() for label in labels}, name


def test_the_values_of_labels_in_alerts_exist() -> None:
    text = "\n".join(rule["expr"] for rule in ALERTS)
    assert set(re.findall(r'queue="(\w+)"', text)) <= {"messages", "held", "mails", "failed", "marks"}
    assert set(re.findall(r'outcome!?="(\w+)"', text)) <= {"sent", "unknown"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_its_paragraph_in_the_docs(rule: dict[str, Any]) -> None:
    assert f"**{rule['alert']}**" in OPERATIONS
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]


def test_each_alert_is_one() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    for name in names:
        assert OPERATIONS.count(f"**{name}**") == 1


def test_the_docs_explain_no_alert_that_is_not_there() -> None:
    assert set(re.findall(r"\*\*(MailboxService\w+)\*\*", OPERATIONS)) == {rule["alert"] for rule in ALERTS}


def test_panels_have_different_numbers_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells and at["x"] + at["w"] <= 24, panel["title"]
        cells |= mine


# --- systemd -----------------------------------------------------------------------------------------------


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = "/opt/mailbox-service/bin/mailbox-service"
    assert program in UNIT
    unit = tmp_path / "mailbox-service.service"
    unit.write_text(UNIT.replace(program, sys.executable))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_systemd_finds_the_unit_hardened() -> None:
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(DEPLOY / "mailbox-service.service")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"Overall exposure level for mailbox-service.service: ([\d.]+) OK", shown)
    assert found and float(found[1]) <= 1.5
    assert f"exposure level {found[1]}" in OPERATIONS


def test_the_unit_is_the_one_of_a_daemon_that_tells() -> None:
    for line in ("Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "Restart=always", "WatchdogSec=60s"):
        assert f"\n{line}\n" in UNIT


# --- containers --------------------------------------------------------------------------------------------


def test_docker_compose_accepts_the_trial_and_each_service_is_hardened() -> None:
    shown = subprocess.run(
        ["docker-compose", "-f", str(ROOT / "docker-compose.yml"), "config"], capture_output=True, text=True, cwd=ROOT
    )
    assert shown.returncode == 0, shown.stderr
    services = YAML(typ="safe", pure=True).load(shown.stdout)["services"]
    assert set(services) == {"daemon", "database", "mail"}
    for name, service in services.items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "privileged" not in service, name
        assert "healthcheck" in service or name == "daemon", name  # the daemon's is in the image


def test_the_image_is_not_roots_and_copies_what_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text()
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", final, re.M)
    assert "HEALTHCHECK" in final and 'ENTRYPOINT ["mailbox-service"]' in final
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists() and f"!{source}" in ignored, source


def test_the_trial_configuration_is_right(tmp_path: Path) -> None:
    text = (DEPLOY / "compose" / "config.yaml").read_text()
    for name in re.findall(r"/run/secrets/(\w+)", text):
        (tmp_path / name).write_bytes((DEPLOY / "compose" / "secrets" / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    text = text.replace("/run/secrets/", f"{tmp_path}/").replace("/var/lib/mailbox-service/", f"{tmp_path}/")
    (tmp_path / "config.yaml").write_text(text)
    config = load(tmp_path / "config.yaml", {})
    (box,) = config.mailboxes
    assert box.imap is not None
    assert (box.imap.host, box.imap.port, box.smtp.port) == ("mail", 1143, 1587)
    assert config.health is not None and config.health.port == 8025


def test_the_mail_server_of_the_trial_runs_alone() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mailbox_service.demo"], stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
    )
    try:
        assert process.stdout is not None
        found = re.match(r"IMAP on port (\d+), SMTP on port (\d+)", process.stdout.readline())
        assert found
        for port, greeting in ((int(found[1]), b"* OK"), (int(found[2]), b"220 ")):
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                assert connection.recv(100).startswith(greeting)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == os.EX_OK
    finally:
        process.kill()
        process.communicate()
