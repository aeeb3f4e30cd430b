"""Logging that cannot leak a report: allow-listed fields, exceptions without messages, foreign texts withheld.

`configure()` once at start; then `log = get_logger(__name__)` and `log.info("case opened", case=ref)`: a constant
event, and fields of ALLOWED_FIELDS. Whatever else arrives is left out and its name reported in `dropped`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

from mailbox_service.core.display import harmless, shorten
from mailbox_service.errors import MailboxServiceError
from mailbox_service.lean import load_structlog_without_rich

load_structlog_without_rich()
import structlog  # noqa: E402 - after the line above

# Names of things of ours, numbers and closed sets of words. Nothing that a sender chooses may ever be added here:
# no address, no subject, no file name, no Message-ID.
ALLOWED_FIELDS = frozenset(
    {
        "announced_bytes", "attempt", "attempts", "backlog", "batch", "bytes", "case", "count", "deadline",
        "disposition", "due_at", "duration_ms", "error_type", "event_kind", "exit_code", "folder", "folder_id",
        "generation", "host", "idle", "inbound_id", "job", "kind", "limit", "mailbox", "mark", "outbound_id",
        "outcome", "path", "pause_seconds", "pending", "pid", "port", "queue", "reason", "reply_code", "revision",
        "seconds", "security", "signal", "size_bytes", "source_id", "stage", "state", "status", "step", "task",
        "template", "uid", "uidvalidity", "version", "waiting", "where", "worker",
    }
)  # fmt: skip

MAX_VALUE_CHARS = 200  # a reason is a sentence; more of it would be content
MAX_MESSAGE_CHARS = 500  # a message of our own errors, with a path in it
MAX_FRAMES = 12  # innermost ones; enough to find the place, short enough for one line
MAX_CAUSES = 5

WITHHELD = "message withheld"

# Their DEBUG and INFO are the mail itself or come once per command; never below WARNING whatever the level.
CAPPED_LOGGERS = (
    "aioimaplib", "aiosmtplib", "mail", "sqlalchemy", "alembic", "gnupg", "asyncio", "dkim", "pymap", "py.warnings",
    "uvicorn",
)  # fmt: skip

# aiosmtpd's WARNING is what a client typed.
SILENCED_LOGGERS = ("mail.log",)

# asyncio's first lines that are constant; what follows them holds the repr of tasks, exceptions and arguments.
_KNOWN_SAFE = frozenset(
    {
        "Task exception was never retrieved", "Future exception was never retrieved",
        "Task was destroyed but it is pending!", "Unhandled exception in client_connected_cb",
        "Unhandled exception in event loop", "Exception in default exception handler", "SSL handshake failed",
        "SSL error in data received", "Fatal error on transport", "Fatal error on SSL transport",
        "Fatal read error on socket transport", "Fatal write error on socket transport",
        "socket.send() raised exception.", "Executing %s took %.3f seconds",
    }
)  # fmt: skip

_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")
_FIELD_NAME = re.compile(r"[a-z][a-z_]{0,30}", re.ASCII)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


class Logger(structlog.BoundLoggerBase):
    """A logger of ours. The event is a constant; what varies goes into fields."""

    def debug(self, event: str, *args: object, **fields: object) -> None:
        """Details for whoever looks for a fault."""
        self._log("debug", event, args, fields)

    def info(self, event: str, *args: object, **fields: object) -> None:
        """The life of a case, and of the service."""
        self._log("info", event, args, fields)

    def warning(self, event: str, *args: object, **fields: object) -> None:
        """Something will be tried again."""
        self._log("warning", event, args, fields)

    def error(self, event: str, *args: object, **fields: object) -> None:
        """Something needs a person."""
        self._log("error", event, args, fields)

    def critical(self, event: str, *args: object, **fields: object) -> None:
        """The service cannot go on."""
        self._log("critical", event, args, fields)

    def exception(self, event: str, *args: object, **fields: object) -> None:
        """As error(), with the exception being handled: its type and where it arose."""
        self._log("error", event, args, {"exc_info": True, **fields})

    def _log(self, level: str, event: str, args: tuple[object, ...], fields: dict[str, object]) -> None:
        if _LEVELS[level] < _threshold.level:
            return
        # "%s" formatting would put the values into the event, where no allow-list can see them.
        if args:
            fields["args"] = None
        self._proxy_to_logger(level, event, **fields)


def get_logger(name: str) -> Logger:
    """The logger of a module; `name` is its `__name__`. It follows `configure()`, whenever that is called."""
    return cast(Logger, structlog.get_logger(name))


def configure(log_format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Set up all logging of the process, the libraries' included, to `stream` (standard error).

    `log_format`: console, json, or auto (console on a terminal); `level`: debug, info, warning or error. Uncaught
    exceptions and Python warnings go the same way. May be called again.
    """
    output = stream if stream is not None else sys.stderr
    on_terminal = output.isatty()
    as_json = log_format == "json" or (log_format == "auto" and not on_terminal)
    _threshold.level = _LEVELS[level]
    _lines.open(output)
    render = _render_json if as_json else _Console(colours=on_terminal)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        stamp,
        _allow_listed,
        render,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=Logger,
        logger_factory=_Sink,
        cache_logger_on_first_use=False,
    )
    _route_libraries(_LEVELS[level])
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


# --- the way of one event ----------------------------------------------------------------------------------


class _Threshold:
    level = logging.INFO


class _Lines:
    """The stream. A full disk or a closed pipe must not stop the service, so such errors end here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: TextIO | None = None

    def open(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        with self._lock:
            try:
                if self._stream is not None:
                    self._stream.write(line + "\n")
                    self._stream.flush()
            except (OSError, ValueError):
                # There is no other place to report it to.
                return


_threshold = _Threshold()
_lines = _Lines()


class _Sink:
    """What structlog calls in the end; it knows the logger's name, which structlog itself does not keep."""

    def __init__(self, *args: object) -> None:
        self.name = str(args[0]) if args else "mailbox_service"

    def _write(self, line: str) -> None:
        _lines.write(line)

    debug = info = warning = error = critical = _write


def _allow_listed(logger: Any, level: str, event_dict: MutableMapping[str, Any]) -> dict[str, Any]:
    """The event with nothing in it but what may be seen."""
    event = event_dict.pop("event", None)
    raised = _exception_of(event_dict.pop("exc_info", None))
    foreign = event_dict.pop("_foreign", None)
    result: dict[str, Any] = {
        "time": event_dict.pop("time"),
        "level": level,
        "logger": foreign or logger.name,
        "event": _event(event),
    }
    dropped = []
    for name, value in event_dict.items():
        if name in ALLOWED_FIELDS:
            result[name] = _value(value)
        else:
            dropped.append(name if isinstance(name, str) and _FIELD_NAME.fullmatch(name) else "?")
    if dropped:
        result["dropped"] = sorted(set(dropped))
    if raised is not None:
        result["error"] = _described(raised)
    return result


def _event(event: object) -> str:
    """A constant text stays; one with an address in it, or as long as a mail, was put together from values."""
    if not isinstance(event, str) or "@" in event or len(event) > MAX_VALUE_CHARS or not event.isprintable():
        return WITHHELD
    return event


def _value(value: object) -> object:
    """What may be shown of an allowed field: scalars, one line, short, without addresses."""
    if value is None or (isinstance(value, bool | int | float) and not isinstance(value, Enum)):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return _text(str(value.value), MAX_VALUE_CHARS)
    if isinstance(value, str | Path | date):
        return _text(str(value), MAX_VALUE_CHARS)
    if isinstance(value, MailboxServiceError):
        return _text(str(value), MAX_VALUE_CHARS)
    if isinstance(value, BaseException):
        return type(value).__qualname__
    return f"({type(value).__qualname__} withheld)"


def _text(text: str, limit_chars: int) -> str:
    # Cut before the search as well as after: the text may be as long as a mail.
    return shorten(_ADDRESS.sub("[address]", shorten(harmless(text[: 2 * limit_chars]), limit_chars)), limit_chars)


# --- exceptions --------------------------------------------------------------------------------------------


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) == 3 and isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _described(error: BaseException) -> list[dict[str, Any]]:
    """The exception and what led to it, innermost cause last: types and places, and messages of our own ones."""
    return [_one(item) for item in _chain(error)]


def _one(error: BaseException) -> dict[str, Any]:
    kind = type(error)
    own = {"builtins": ""}.get(kind.__module__, f"{kind.__module__}.")
    described: dict[str, Any] = {"type": own + kind.__qualname__}
    if isinstance(error, MailboxServiceError):
        described["message"] = _text(str(error), MAX_MESSAGE_CHARS)
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    described["at"] = [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in frames]
    return described


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, the members of a group, the causes; each once, MAX_CAUSES in all (chains may be circular)."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < MAX_CAUSES:
        item = waiting.pop(0)
        if item is None or any(item is known for known in seen):
            continue
        seen.append(item)
        yield item
        if isinstance(item, BaseExceptionGroup):
            waiting.extend(item.exceptions)
        waiting.append(item.__cause__ or (None if item.__suppress_context__ else item.__context__))


# --- renderers ---------------------------------------------------------------------------------------------


def _render_json(_logger: Any, _level: str, event_dict: MutableMapping[str, Any]) -> str:
    # ASCII only: every control, line-separating and bidi character is escaped.
    return json.dumps(event_dict, default=lambda value: f"({type(value).__qualname__} withheld)")


class _Console:
    """One line for people: time, level, event, fields, exception."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: Any, level: str, event_dict: MutableMapping[str, Any]) -> str:
        fields = dict(event_dict)
        when, logger, event = fields.pop("time"), fields.pop("logger"), fields.pop("event")
        fields.pop("level")
        error = fields.pop("error", [])
        parts = [when[11:19], self._paint(level, f"{level:<8}"), event]
        parts += [f"{name}={self._shown(value)}" for name, value in fields.items()]
        parts.append(f"({logger.removeprefix('mailbox_service.')})")
        for item in error:
            message = f" {json.dumps(item['message'], ensure_ascii=False)}" if "message" in item else ""
            parts.append(f"| {item['type']}{message} at {' > '.join(item['at']) or 'unknown'}")
        return " ".join(parts)

    def _paint(self, level: str, text: str) -> str:
        return f"\x1b[{_COLOURS[level]}m{text}\x1b[0m" if self._colours else text

    @staticmethod
    def _shown(value: object) -> str:
        if isinstance(value, list):
            return ",".join(map(str, value))
        text = str(value)
        # Quoted where it could be taken for another field.
        return json.dumps(text, ensure_ascii=False) if re.search(r'[\s="]', text) or not text else text


# --- everything else that writes ---------------------------------------------------------------------------


class _Foreign(logging.Handler):
    """Records of the standard library's logging, from libraries whose texts may hold mail or passwords."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        fields: Mapping[str, object] = {"_foreign": _text(record.name, 60), "exc_info": record.exc_info}
        _emit(level if level in _LEVELS else "warning", _foreign_event(record), fields)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Say that it failed; logging's own way prints the message and its arguments."""
        _lines.write('{"event": "a log record could not be written"}')


def _foreign_event(record: logging.LogRecord) -> str:
    # The template and never the finished message: its arguments are what may hold mail.
    template = record.msg.split("\n", 1)[0] if isinstance(record.msg, str) else ""
    if record.name.split(".")[0] == "asyncio" and template in _KNOWN_SAFE:
        return template.replace("%s", "…").replace("%.3f", "…")
    return WITHHELD


def _emit(level: str, event: str, fields: Mapping[str, object]) -> None:
    getattr(get_logger("mailbox_service"), level)(event, **fields)


def _route_libraries(level: int) -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Foreign | logging.StreamHandler):
            root.removeHandler(handler)
    root.addHandler(_Foreign())
    root.setLevel(level)
    for name in CAPPED_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # A child with a level or a handler of its own would go round its parent's.
    for name in list(logging.root.manager.loggerDict):
        child = logging.getLogger(name)
        if name.startswith(tuple(f"{capped}." for capped in CAPPED_LOGGERS)):
            child.setLevel(logging.NOTSET)
            child.handlers = [h for h in child.handlers if isinstance(h, logging.NullHandler)]
            child.propagate = True
    for name in SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.ERROR))
    logging.captureWarnings(True)


def _uncaught(kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _emit("critical", "uncaught exception", {"exc_info": error})


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        _emit("critical", "uncaught exception in a thread", {"exc_info": args.exc_value})


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        _emit("error", "exception where none can be raised", {"exc_info": args.exc_value})
