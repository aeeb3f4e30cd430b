"""The figures of an evaluation as one page of HTML that needs nothing else. Whatever comes from mail is escaped."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from mailbox_service.core.display import harmless
from mailbox_service.sorting.evaluation import Judged, worst

_COLOURS: Final = {"security": "#b3261e", "not_security": "#1f6fb2", "spam": "#777777"}
_WIDTH, _HEIGHT, _BARS = 640, 220, 20
_EXCERPT_CHARS: Final = 400
_STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.15rem .6rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}pre{white-space:pre-wrap;background:#f5f5f5;padding:.5rem}"""
_COLUMNS: Final = (
    ("mails", "mails"),
    ("missed", "reports missed"),
    ("redirected", "others redirected"),
    ("spam_caught", "spam caught"),
    ("unsure", "unsure"),
    ("precision", "precision"),
    ("auc", "AUC"),
    ("milliseconds", "ms"),
)


def page(figures: dict[str, Any], judged: list[Judged], threshold: float) -> str:
    """The whole page: tables, score distributions, the trade-off with the threshold in use, the worst mistakes."""
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Sorter</title><style>{_STYLE}</style>',
        "<h1>The sorter on labelled mails</h1>",
        _table({"all": figures["all"], **figures["source"]}, "source"),
        "<h2>Chance of a report, by label</h2>",
        _distributions(judged, threshold),
        "<h2>Reports missed against others redirected</h2>",
        _curve(figures["trade_off"], figures["all"]),
        "<h2>Calibration</h2>",
        _calibration(figures["calibration"]),
        "<h2>Worst mistakes</h2>",
        *map(_mistake, worst(judged)),
        "<h2>By language</h2>",
        _table(figures["language"], "language"),
        "<h2>By kind</h2>",
        _table(figures["kind"], "kind"),
    ]
    return "\n".join(parts) + "\n</html>\n"


def _text(value: str) -> str:
    return escape(harmless(value))


def number(name: str, value: float | None) -> str:
    """A figure for people: shares in per cent."""
    if value is None:
        return ""
    if name in ("mails", "reports", "others", "spam"):
        return str(value)
    return f"{value:.3f}" if name == "auc" else f"{value:.2f}" if name == "milliseconds" else f"{100 * value:.1f} %"


def _table(rows: dict[str, dict[str, Any]], title: str) -> str:
    head = "".join(f"<th>{name}</th>" for name in (title, *(label for _, label in _COLUMNS)))
    body = "".join(
        f"<tr><td>{_text(name)}</td>" + "".join(f"<td>{number(key, row[key])}</td>" for key, _ in _COLUMNS) + "</tr>"
        for name, row in rows.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _svg(content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 20}" width="{_WIDTH}" role="img">{content}</svg>'


def _distributions(judged: list[Judged], threshold: float) -> str:
    drawn = []
    for label, colour in _COLOURS.items():
        counts = [0] * _BARS
        for one in judged:
            if one.mail.label == label:
                counts[min(_BARS - 1, int(one.verdict.security * _BARS))] += 1
        total = max(1, sum(counts))
        step = _WIDTH / _BARS
        points = " ".join(
            f"{(place + 0.5) * step:.1f},{_HEIGHT * (1 - count / total):.1f}" for place, count in enumerate(counts)
        )
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    at = threshold * _WIDTH
    drawn.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_HEIGHT}" stroke="#000" stroke-dasharray="4"/>')
    key = " ".join(f'<span style="color:{colour}">{label}</span>' for label, colour in _COLOURS.items())
    return f"<p>{key}; dashed: below it a mail may be redirected</p>{_svg(''.join(drawn))}"


def _curve(points: list[dict[str, float]], reached: dict[str, Any]) -> str:
    line = " ".join(f"{p['missed'] * _WIDTH:.1f},{_HEIGHT * (1 - p['redirected']):.1f}" for p in points)
    x, y = (reached["missed"] or 0) * _WIDTH, _HEIGHT * (1 - (reached["redirected"] or 0))
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#b3261e"/>'
    return "<p>Right: missed. Up: redirected. The dot is where it stands.</p>" + _svg(
        f'<polyline points="{line}" fill="none" stroke="#1f6fb2" stroke-width="2"/>{dot}'
    )


def _calibration(bins: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>from {b['from']:.1f}</td><td>{b['mails']}</td>"
        f"<td>{b['said']:.2f}</td><td>{b['reports']:.2f}</td></tr>"
        for b in bins
    )
    return f"<table><tr><th>chance</th><th>mails</th><th>said</th><th>are reports</th></tr>{rows}</table>"


def _mistake(one: Judged) -> str:
    reasons = "; ".join(
        f"{r.label} ({'+' if r.towards == 'security' else '-'}{r.weight:.2f})" for r in one.verdict.reasons
    )
    excerpt = " ".join(one.mail.mail.texts)[:_EXCERPT_CHARS]
    return (
        f"<h3>{_text(one.mail.mail.subject[:120])}</h3><p>{_text(one.mail.id)}: {one.mail.label}, called "
        f"{one.verdict.outcome.value} ({one.verdict.security:.3f}). {_text(reasons)}</p><pre>{_text(excerpt)}</pre>"
    )
