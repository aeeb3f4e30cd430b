"""What is counted, and how it reads for Prometheus."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from mailbox_service.adapters.database.standing_sql import Queue
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.metrics import PREFIX, Metrics
from mailbox_service.core.budget import AnswerLimits
from mailbox_service.errors import TemporaryError
from mailbox_service.services import metering
from mailbox_service.services.metering import FIGURES, Figure, FigureKind
from mailbox_service.services.ports import Delivery, DeliveryOutcome
from tests.database.setting import NOW
from tests.services.bench import Bench, changed, letter

# What a label may be called: names of ours and closed sets of words.
LABELS = {
    *("mailbox", "source", "disposition", "of", "kind", "outcome", "protocol", "task", "result", "queue", "folder"),
    *("change", "door", "channel"),
}


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample, as `name{value,value}`; the labels are in alphabetical order."""
    return {
        f"{sample.name.removeprefix(PREFIX)}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


@pytest.fixture
def metered(database: Database) -> tuple[Bench, Metrics]:
    metrics = Metrics()
    return Bench(database, meter=metrics, mailbox=changed(limits=AnswerLimits())), metrics


def test_each_figure_has_a_name_a_meaning_and_labels_of_ours_alone() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(names) == len(set(names)) > 20
    for figure in FIGURES:
        assert re.fullmatch(r"[a-z][a-z_]+", figure.name) and figure.meaning
        assert set(figure.labels) <= LABELS
        assert figure.name.endswith("_total") == (figure.kind is FigureKind.COUNTER)
        assert figure.kind is not FigureKind.HISTOGRAM or figure.name.endswith("_seconds")


def test_every_figure_is_told_with_its_meaning() -> None:
    text = Metrics().text().decode()
    for figure in FIGURES:
        assert f"# HELP {PREFIX}{figure.name} {figure.meaning}" in text
    assert f'{PREFIX}build_info{{python="3.' in text
    assert "process_resident_memory_bytes" in text


def test_a_figure_that_is_added_is_told() -> None:
    canary = Figure(FigureKind.GAUGE, "canary_age_seconds", "Since the canary came home", ("mailbox",))
    metrics = Metrics([*FIGURES, canary])
    metrics.set(canary, 12, "security")
    assert samples(metrics)["canary_age_seconds{security}"] == 12
    metrics.forget(canary)
    assert "canary_age_seconds{security}" not in samples(metrics)


async def test_what_comes_in_is_counted_by_what_became_of_it(metered: tuple[Bench, Metrics]) -> None:
    bench, metrics = metered
    await bench.post(letter("report one"), letter("report two"), letter("support please"))
    bench.now += timedelta(seconds=40)
    mails = await bench.deliver()
    told = samples(metrics)
    assert told["messages_stored_total{security,import}"] == 3
    assert told["messages_worked_total{case,security}"] == 2
    assert told["messages_worked_total{redirect,security}"] == 1
    assert told["message_worked_seconds_count{security}"] == 3
    assert told["deliveries_total{acknowledgement,security,sent}"] == 2
    assert told["deliveries_total{redirect,security,sent}"] == 1
    assert told["send_seconds_count{security}"] == len(mails)
    # Two acknowledgements and a redirect were answers; the notices to maintainers are none.
    assert told["acknowledged_seconds_count{security}"] == 3
    assert 119 < told["acknowledged_seconds_sum{security}"] <= 120


async def test_old_mail_has_no_speed(metered: tuple[Bench, Metrics]) -> None:
    bench, metrics = metered
    await bench.post(letter("report"), quiet=True)
    assert samples(metrics)["messages_worked_total{case,security}"] == 1
    assert "message_worked_seconds_count{security}" not in samples(metrics)


async def test_failures_are_counted(metered: tuple[Bench, Metrics], monkeypatch: pytest.MonkeyPatch) -> None:
    bench, metrics = metered
    await bench.post(letter("crash"))
    assert samples(metrics)["messages_failed_total{security}"] == 1

    def broken(*_: object) -> None:
        raise TemporaryError("no")

    bench.office.replies = lambda *_: Delivery(DeliveryOutcome.TEMPORARY, "450 later")
    await bench.post(letter("report"))
    await bench.deliver()
    assert samples(metrics)["deliveries_total{acknowledgement,security,temporary}"] == 1
    assert "acknowledged_seconds_count{security}" not in samples(metrics)
    claims = await bench.intake.store([bench.raw(letter("report again"))])
    monkeypatch.setattr("mailbox_service.services.intake.conclude", broken)
    await bench.intake.work(claims)
    assert samples(metrics)["batches_failed_total{}"] == 1


async def test_lost_leases_are_counted(metered: tuple[Bench, Metrics]) -> None:
    bench, metrics = metered
    claims = await bench.intake.store([bench.raw(letter("report"))])
    bench.now += timedelta(minutes=5)
    await bench.intake.work_off()
    await bench.intake.work(claims)
    assert samples(metrics)["leases_lost_total{message}"] == 1


async def test_how_things_stand_is_read_in_one_transaction(database: Database) -> None:
    bench = Bench(database)
    await bench.post(letter("report"), letter("crash"))
    left = bench.database.run(lambda tx: tx.standing())
    assert not left.paused
    assert Queue("security", "messages", 1, NOW) in left.queues
    # An acknowledgement, and a notice to each maintainer.
    assert Queue("security", "mails", 3, NOW) in left.queues
    await bench.deliver()
    bench.database.run(lambda tx: tx.pause_outbox(True))
    left = bench.database.run(lambda tx: tx.standing())
    assert left.paused
    assert [(queue.name, queue.count) for queue in left.queues] == [("messages", 1)]


def test_what_is_done_costs_the_look_nothing(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    statements: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    try:
        sa.event.listen(database.engine, "before_cursor_execute", note)
        database.run(lambda tx: tx.standing())
        sa.event.remove(database.engine, "before_cursor_execute", note)
        with database.engine.connect() as connection:
            plans = [
                row[3]
                for statement, parameters in statements
                if statement.startswith("SELECT")
                for row in connection.exec_driver_sql(f"explain query plan {statement}", parameters)  # type: ignore[arg-type]
            ]
    finally:
        database.close()
    assert len(plans) > 4
    assert not [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan and "CONSTANT" not in plan]


def test_a_meter_that_nobody_reads_takes_everything() -> None:
    for figure in FIGURES:
        labels = ["x"] * len(figure.labels)
        metering.NO_METER.count(figure, *labels)
        metering.NO_METER.set(figure, 1, *labels)
        metering.NO_METER.time(figure, 1, *labels)
