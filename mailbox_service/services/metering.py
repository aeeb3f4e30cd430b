"""What is counted and timed. A new figure is one constant in FIGURES and one call of a `Meter` where it happens.

Labels are names of ours (mailboxes, folders, kinds, outcomes): never an address, a subject or anything else that comes
from mail, because figures are stored and shown where reports must not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class FigureKind(Enum):
    COUNTER = "counter"  # only grows
    GAUGE = "gauge"  # goes up and down
    HISTOGRAM = "histogram"  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """One family of figures. Its name is told to the world with the prefix `mailbox_service_`."""

    kind: FigureKind
    name: str
    meaning: str
    labels: tuple[str, ...] = ()


class Meter(Protocol):
    """Where figures go. No method fails, waits or takes more than a few microseconds."""

    def count(self, figure: Figure, *labels: str, by: float = 1) -> None: ...
    def set(self, figure: Figure, value: float, *labels: str) -> None: ...
    def time(self, figure: Figure, seconds: float, *labels: str) -> None: ...


class NoMeter:
    """Nobody looks."""

    def count(self, figure: Figure, *labels: str, by: float = 1) -> None: ...
    def set(self, figure: Figure, value: float, *labels: str) -> None: ...
    def time(self, figure: Figure, seconds: float, *labels: str) -> None: ...


NO_METER: Meter = NoMeter()

_C, _G, _H = FigureKind.COUNTER, FigureKind.GAUGE, FigureKind.HISTOGRAM

# What happened in this process since it started.
STORED = Figure(_C, "messages_stored_total", "Messages put on file (T1), copies not counted", ("mailbox", "source"))
WORKED = Figure(_C, "messages_worked_total", "Messages worked (T3), by what became of them", ("mailbox", "disposition"))
WORK_FAILED = Figure(_C, "messages_failed_total", "Attempts to work a message that failed", ("mailbox",))
BATCHES_FAILED = Figure(_C, "batches_failed_total", "Batches that failed as a whole and were worked one by one")
LEASES_LOST = Figure(_C, "leases_lost_total", "Work thrown away because another worker had taken it over", ("of",))
WORKING = Figure(
    _H, "message_worked_seconds", "From a message's arrival at the server to its disposition", ("mailbox",)
)
ACKNOWLEDGING = Figure(
    _H, "acknowledged_seconds", "From a message's arrival to our answer's acceptance by the SMTP server", ("mailbox",)
)
DELIVERIES = Figure(_C, "deliveries_total", "Attempts to send a mail, by outcome", ("mailbox", "kind", "outcome"))
SENDING = Figure(_H, "send_seconds", "One mail's hand-over to the SMTP server", ("mailbox",))
LOGINS_REFUSED = Figure(_C, "logins_refused_total", "Logins that a mail server refused", ("mailbox", "protocol"))
TASKS_RESTARTED = Figure(_C, "task_restarts_total", "Tasks that failed and were started again", ("task",))
RELOADS = Figure(_C, "reloads_total", "Reloads of the configuration", ("result",))
ALARMS_TOLD = Figure(_C, "alarms_told_total", "Changes of alarms that people were told of", ("kind", "change"))
CHANNEL_FAILURES = Figure(_C, "alarm_channel_failures_total", "Alarms that a channel could not tell", ("channel",))

# How things stand; read when somebody asks.
DATABASE_UP = Figure(_G, "database_up", "1 when the database answered the last question")
MESSAGES_WAITING = Figure(_G, "messages_waiting", "Messages on file that are not worked yet", ("mailbox",))
MESSAGES_HELD = Figure(_G, "messages_held", "Messages held for a person", ("mailbox",))
MAILS_WAITING = Figure(_G, "mails_waiting", "Mails in the outbox", ("mailbox",))
MAILS_FAILED = Figure(_G, "mails_failed", "Mails that failed for good", ("mailbox",))
MARKS_WAITING = Figure(_G, "marks_waiting", "Messages the IMAP server has still to be told about", ("mailbox",))
OLDEST_WAITING = Figure(
    _G, "oldest_waiting_seconds", "Age of the oldest that waits, 0 where none does", ("mailbox", "queue")
)
OUTBOX_PAUSED = Figure(_G, "outbox_paused", "1 while `outbox pause` is in force")
FOLDER_CONNECTED = Figure(_G, "folder_connected", "1 while a connection watches the folder", ("mailbox", "folder"))
FOLDER_POLLED = Figure(
    _G, "folder_last_poll_timestamp_seconds", "When the folder was last compared; 0: never", ("mailbox", "folder")
)
FOLDER_BACKLOG = Figure(_G, "folder_backlog", "Messages of the running pass still to fetch", ("mailbox", "folder"))
FOLDER_UNREAD = Figure(_G, "folder_unreadable", "Messages the server does not hand out", ("mailbox", "folder"))
DOOR_OPEN = Figure(_G, "door_open", "1 while the door for pushed mail is open", ("door",))
DOOR_STORED = Figure(_G, "door_last_stored_timestamp_seconds", "When the door last took a message; 0: never", ("door",))
ALARM_ON = Figure(_G, "alarm_on", "1 while the alarm is on, as far as this process has seen", ("mailbox", "kind"))
CANARY_LATENCY = Figure(_G, "canary_latency_seconds", "How long the last canary that came back took", ("mailbox",))
CANARY_BACK = Figure(
    _G, "canary_last_return_timestamp_seconds", "When the last canary came back; absent before the first", ("mailbox",)
)
DIFFERENCES = Figure(_G, "reconciliation_differences", "Differences that the last comparison found", ("mailbox",))
RECONCILED = Figure(
    _G, "reconciliation_last_timestamp_seconds", "When the server was last compared; absent before", ("mailbox",)
)
READY = Figure(_G, "ready", "1 when /readyz says so")

FIGURES = tuple(value for value in list(globals().values()) if isinstance(value, Figure))
