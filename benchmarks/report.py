"""The results as a page of plots (benchmarks/report.html) and as the table of docs/performance.md.

    python -m benchmarks.report

Renders both from benchmarks/results.json; `python -m benchmarks --write` does so by itself.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.plot import Chart, Goal, Line
from benchmarks.process import ROOT
from benchmarks.results import Figure, Result

PAGE = ROOT / "benchmarks" / "report.html"
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- begin: python -m benchmarks --write -->", "<!-- end -->"
# A line of a chart is not wider than this; more points would only make the page larger.
POINTS = 400

STYLE = """
:root { color-scheme: light dark; --text: #1d2430; --soft: #5c6675; --rule: #dfe3e9; --page: #ffffff;
  --one: #1b66b3; --two: #b3541e; --goal: #2e7d4f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --soft: #9aa5b4; --rule: #343c48; --page: #14181f;
  --one: #6db1f2; --two: #f0a06a; --goal: #79c99a; --bad: #ff8a80; } }
body { background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif; max-width: 60rem;
  margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .2rem; }
p, figcaption { color: var(--soft); margin: .3rem 0 .8rem; } figcaption { font-size: .9rem; }
figure { margin: 0; } svg { width: 100%; height: auto; overflow: visible; font: 13px system-ui, sans-serif; }
svg text { paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
.grid { stroke: var(--rule); } .tick, .axis { fill: var(--soft); } .label { font-weight: 600; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
polyline.one { stroke: var(--one); } polyline.two { stroke: var(--two); }
circle.one, text.one { fill: var(--one); } circle.two, text.two { fill: var(--two); } .value { font-size: 12px; }
line.goal { stroke: var(--goal); stroke-dasharray: 5 4; } text.goal { fill: var(--goal); }
circle.goal { fill: none; stroke: var(--goal); stroke-width: 2; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; width: 100%; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
.met { color: var(--goal); font-weight: 600; } .missed { color: var(--bad); font-weight: 600; }
code { font-size: .9em; }
"""


def page(found: dict[str, Result]) -> str:
    """The whole page; it asks nobody for anything."""
    charts = [chart for make in (_throughput, _latency, _beside_gpg, _memory) for chart in make(found)]
    machines = sorted({result.conditions["machine"] for result in found.values()})
    figures = [figure for result in found.values() for figure in result.figures]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>mailbox-service: speed and memory</title>",
            f"<style>{STYLE}</style>",
            "<h1>mailbox-service: speed and memory</h1>",
            f"<p>Measured against a real Dovecot, PostgreSQL and an SMTP sink on one machine: "
            f"{html.escape('; '.join(machines))}. Other work ran on it at the same time; the load is given with each "
            "measure, and ratios are taken within one run.</p>",
            *charts,
            "<h2>Wanted and reached</h2>",
            '<div class="scroll"><table><tr><th>measure</th><th>wanted</th><th>reached</th><th></th></tr>',
            *(_row(figure) for figure in figures),
            "</table></div>",
            "<h2>How it was measured</h2>",
            '<div class="scroll"><table><tr><th>measure</th><th>when</th><th>load</th><th>command</th></tr>',
            *(_condition(result) for result in found.values()),
            "</table></div>\n</html>\n",
        ]
    )


def _row(figure: Figure) -> str:
    state = {True: "met", False: "missed", None: ""}[figure.met]
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in (figure.what, figure.wanted, figure.reached))
    return f'<tr>{cells}<td class="{state}">{state}</td></tr>'


def _condition(result: Result) -> str:
    c = result.conditions
    when, load = f"{c['date']}, {c['commit']}", f"{c['load_before']}, {c['load_after']}"
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in (result.measure, when, load))
    return f"<tr>{cells}<td><code>{html.escape(c['command'])}</code></td></tr>"


def _figure(chart: Chart, caption: str, result: Result) -> str:
    c = result.conditions
    origin = f"{c['date']}, load {c['load_before']} before and {c['load_after']} after."
    return (
        f"<figure><h2>{html.escape(chart.title)}</h2>\n<figcaption>{html.escape(caption)} {html.escape(origin)} "
        f"<code>{html.escape(c['command'])}</code></figcaption>\n{chart.svg()}</figure>"
    )


def _throughput(found: dict[str, Result]) -> list[str]:
    result = found.get("backlog")
    if result is None:
        return []
    rates: dict[str, list[list[float]]] = result.plots["rates"]
    chart = Chart(
        "Throughput over the size of the backlog", "messages in the mailbox at the start", "messages a second"
    )
    chart.log_x = True
    for key, label, style in (("service", "mailbox-service", "one"), ("floor", "floor (bare path)", "two")):
        if rates[key]:
            chart.lines.append(Line(label, [(x, y) for x, y in rates[key]], style, dots=True))
    caption = (
        "IMAP to acknowledgement and flag, SQLite with synchronous=FULL, one run a point. The floor fetches, parses, "
        "writes fewer rows and sends a constant answer: no evidence, no sorting."
    )
    return [_figure(chart, caption, result)]


def _latency(found: dict[str, Result]) -> list[str]:
    result = found.get("latency")
    if result is None:
        return []
    chart = Chart(
        "From the server's notice to the accepted acknowledgement",
        "milliseconds after the notice; through the LMTP door: after our 250",
        "% of deliveries",
    )
    chart.y_top = 100.0
    for key, label, style in (("own_ms", "by IMAP IDLE", "one"), ("door_ms", "by our LMTP door", "two")):
        if values := result.plots.get(key):
            # Where a quarter is done the curves are apart: the quicker one has its label before it.
            quarter, left = len(values) // 4, key == "door_ms"
            chart.lines.append(Line(label, cumulative(values), style, steps=True, label_at=quarter, label_left=left))
    chart.goals = [Goal("goal: half within 15 ms", 15.0, 50.0), Goal("goal: 99 % within 60 ms", 60.0, 99.0)]
    caption = (
        f"{len(result.plots['own_ms'])} reports, one at a time, service idle; how many were acknowledged within so "
        "many milliseconds. Before the notice lie 500 ms that Dovecot waits by itself, for every client."
    )
    return [_figure(chart, caption, result)]


def _beside_gpg(found: dict[str, Result]) -> list[str]:
    result = found.get("openpgp")
    if result is None:
        return []
    chart = Chart(
        "Clear reports while a load of encrypted ones is worked",
        "milliseconds until the acknowledgement was accepted",
        "% of deliveries",
    )
    chart.y_top = 100.0
    for key, label, style in (("by_idle", "by IMAP IDLE", "one"), ("by_door", "by our LMTP door", "two")):
        if values := sorted(result.plots[key]["loaded"]):
            chart.lines.append(Line(label, cumulative(values), style, steps=True))
    chart.goals = [Goal("goal: all within 1 s", 1000.0, 100.0)]
    rates = ", ".join(f"{rate:.0f} mails a second for {count}" for count, rate in result.plots["rates"])
    caption = (
        "One after the other, while many encrypted reports that came at once are opened, acknowledged by signed mail, "
        f"and told of by mail signed and encrypted to each maintainer ({rates})."
    )
    return [_figure(chart, caption, result)]


def _memory(found: dict[str, Result]) -> list[str]:
    runs = [
        (found[name], style) for name, style in (("intake-sqlite", "one"), ("intake-postgres", "two")) if name in found
    ]
    if not runs:
        return []
    count = runs[0][0].plots["count"]
    chart = Chart(
        f"Memory during an intake of {count:,} messages", "seconds since the process began", "resident memory, MB"
    )
    for result, style in runs:
        label = {"intake-sqlite": "SQLite", "intake-postgres": "PostgreSQL"}[result.measure]
        chart.lines.append(Line(label, thinned(result.plots["memory"]), style))
    chart.goals = [Goal("goal: 200 MB", None, 200.0)]
    caption = "Resident memory of the service's process as the kernel counts it, every 50 ms; the last round of each."
    return [_figure(chart, caption, runs[0][0])]


def cumulative(values: Sequence[float]) -> list[tuple[float, float]]:
    """How many per cent of sorted `values` are at most so large."""
    return [(0.0, 0.0), *((value, (number + 1) / len(values) * 100) for number, value in enumerate(values))]


def thinned(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """At most POINTS of them: of each stretch the highest, so that no peak is lost."""
    size = max(1, -(-len(points) // POINTS))
    stretches = [points[at : at + size] for at in range(0, len(points), size)]
    return [(stretch[-1][0], max(y for _, y in stretch)) for stretch in stretches]


# --- the table of the documentation -------------------------------------------------------------------------------


def markdown(found: dict[str, Result]) -> str:
    lines = ["| measure | wanted | reached | |", "| --- | --- | --- | --- |"]
    for result in found.values():
        for f in result.figures:
            verdict = {True: "met", False: "**missed**", None: ""}[f.met]
            lines.append(f"| {f.what} | {f.wanted} | {f.reached} | {verdict} |")
    machines = "; ".join(sorted({result.conditions["machine"] for result in found.values()}))
    lines += ["", f"Machine: {machines}.", "", "| measure | when | load before, after | command |"]
    lines.append("| --- | --- | --- | --- |")
    for result in found.values():
        c: dict[str, Any] = result.conditions
        load = f"{c['load_before']}, {c['load_after']}"
        lines.append(f"| {result.measure} | {c['date']}, {c['commit']} | {load} | `{c['command']}` |")
    return "\n".join(lines)


def write(page_file: Path = PAGE, document: Path = DOCUMENT) -> None:
    """Render both from what is on file."""
    found = results.load()
    page_file.write_text(page(found), "utf-8")
    text = document.read_text("utf-8")
    before, rest = text.split(BEGIN)
    document.write_text(f"{before}{BEGIN}\n\n{markdown(found)}\n\n{END}{rest.split(END, 1)[1]}", "utf-8")


if __name__ == "__main__":
    write()
