"""Throughput over the size of the backlog: what lies in the mailbox when the service starts."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.intake import run_floor, run_service
from benchmarks.options import Options
from benchmarks.results import Result
from benchmarks.stage import Stage


def measure(stage: Stage, options: Options) -> Iterator[Result]:
    result = Result("backlog")
    sink = stage.sink()
    rates: dict[str, list[list[float]]] = {"service": [], "floor": []}
    for count in options.backlogs:
        mails = stage.mail(count)
        if options.floor:
            floor = run_floor(stage, sink, mails, count, stage.database("sqlite"), options.floor)
            rates["floor"].append([count, round(floor.rate, 1)])
        service = run_service(stage, sink, mails, count, stage.database("sqlite"))
        rates["service"].append([count, round(service.run.rate, 1)])
        options.tell(f"backlog of {count}: service {service.run.rate:.0f} msgs/s")
    slowest, quickest = (f(rate for _, rate in rates["service"]) for f in (min, max))
    sizes = f"{options.backlogs[0]:,} to {options.backlogs[-1]:,}"
    result.add(f"backlogs of {sizes} messages, SQLite", "", f"{slowest:.0f} to {quickest:.0f} msgs/s")
    result.plots["rates"] = rates
    yield result
