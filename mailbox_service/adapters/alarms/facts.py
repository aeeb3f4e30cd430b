"""An alarm as plain values, the same for every channel (docs/operations.md lists them)."""

from __future__ import annotations

from mailbox_service.services.alarms import AlarmNotice


def facts(notice: AlarmNotice) -> dict[str, str]:
    """Our own words, names and times alone: nothing of it comes from mail."""
    return {
        "name": notice.name,
        "change": notice.change.value,
        "mailbox": notice.mailbox,
        "what": notice.what,
        "meaning": notice.meaning,
        "remedy": notice.remedy,
        "since": notice.since.isoformat(timespec="seconds"),
        "at": notice.at.isoformat(timespec="seconds"),
    }
