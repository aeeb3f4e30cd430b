"""Nothing of a report gets into the logs, on any way, at DEBUG; and what gets there is useful."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import structlog

from mailbox_service import logs
from mailbox_service.errors import PermanentError, TemporaryError

PACKAGE = Path(logs.__file__).parent

# Every canary has the word in it, so that a part of one that gets through is found too.
BODY = "canary-body heap overflow in parse_header()"
SUBJECT = "canary-subject RCE"
ADDRESS = "canary@reporter.example"
SECRET = "canary-hunter2"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Undo what configure() does to the process."""
    root = logging.getLogger()
    known = [root, *(logging.getLogger(name) for name in logs.CAPPED_LOGGERS)]
    before = [(logger, logger.level, list(logger.handlers)) for logger in known]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logs._threshold.level = logging.INFO


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(log_format: str = "json", level: str = "debug", stream: io.StringIO | None = None) -> io.StringIO:
    output = stream or io.StringIO()
    logs.configure(log_format, level, output)
    return output


def events(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


log = logs.get_logger("mailbox_service.tests")


# --- canaries ----------------------------------------------------------------------------------------------


def _raise_value_error() -> None:
    local_of_the_frame = BODY
    raise ValueError(local_of_the_frame + SECRET)


def _own_wrong_field() -> None:
    log.info("message accepted", subject=SUBJECT, body=BODY, sender=ADDRESS, password=SECRET)


def _own_allowed_field_with_an_address() -> None:
    log.warning("delivery failed", reason=f"550 <{ADDRESS}>: no such user; mail to {ADDRESS} refused")


def _own_allowed_field_with_an_object() -> None:
    log.warning("delivery failed", reason=ValueError(BODY), state={"body": BODY}, kind=BODY.encode(), count=[BODY])


def _own_event_with_an_address() -> None:
    log.info(f"mail from {ADDRESS}")


def _own_event_with_lines() -> None:
    log.info(f"got\n{BODY}")


def _own_positional_arguments() -> None:
    log.info("mail %s", SUBJECT)


def _own_field_name() -> None:
    log.info("x", **{f"{SUBJECT}": 1, f"{ADDRESS}": 2, "stack_info": BODY, "exc_info": BODY})


def _own_bound_fields() -> None:
    log.bind(subject=SUBJECT).info("x")
    structlog.contextvars.bind_contextvars(sender=ADDRESS)
    log.info("x")


def _own_exception() -> None:
    try:
        _raise_value_error()
    except ValueError:
        log.exception("unexpected")
        log.error("unexpected", exc_info=sys.exc_info())


def _own_exception_with_causes_and_groups() -> None:
    try:
        try:
            _raise_value_error()
        except ValueError as error:
            error.add_note(BODY)
            raise ExceptionGroup(SUBJECT, [KeyError(SECRET), RuntimeError(BODY)]) from error
    except ExceptionGroup as group:
        log.error("unexpected", exc_info=group)


def _own_error_around_a_foreign_one() -> None:
    try:
        try:
            _raise_value_error()
        except ValueError as error:
            raise TemporaryError("the server went away") from error
    except TemporaryError:
        log.exception("fetch failed")


def _libraries() -> None:
    for name in (
        *logs.CAPPED_LOGGERS,
        "mail.log",
        "mail.debug",
        "sqlalchemy.engine.Engine",
        "aioimaplib.aioimaplib",
        "x.y",
    ):
        logger = logging.getLogger(name)
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logger.log(level, "DATA %s from %s", BODY, ADDRESS)
            logger.log(level, f"LOGIN u {SECRET}", extra={"subject": SUBJECT})


def _library_with_an_exception() -> None:
    try:
        _raise_value_error()
    except ValueError:
        logging.getLogger("mail.log").exception("handling %s", BODY, stack_info=True)


def _library_with_broken_arguments() -> None:
    logging.getLogger("aioimaplib").error("%d %d", BODY)


def _own_name_through_the_standard_library() -> None:
    logging.getLogger("mailbox_service.x").error(BODY)


def _asyncio_task_that_nobody_awaits() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler(
            {"message": "Task exception was never retrieved", "exception": ValueError(BODY), "task": SECRET}
        )
        loop.call_exception_handler({"message": f"about {SUBJECT}"})

    asyncio.run(main())


def _thread_that_dies() -> None:
    thread = threading.Thread(target=_raise_value_error, name=SUBJECT)
    thread.start()
    thread.join()


def _uncaught() -> None:
    try:
        _raise_value_error()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)


def _warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(BODY, stacklevel=1)


WAYS: list[Callable[[], None]] = [
    _own_wrong_field, _own_allowed_field_with_an_address, _own_allowed_field_with_an_object, _own_event_with_an_address,
    _own_event_with_lines, _own_positional_arguments, _own_field_name, _own_bound_fields, _own_exception,
    _own_exception_with_causes_and_groups, _own_error_around_a_foreign_one, _libraries, _library_with_an_exception,
    _library_with_broken_arguments, _own_name_through_the_standard_library, _asyncio_task_that_nobody_awaits,
    _thread_that_dies, _uncaught, _warning,
]  # fmt: skip


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_no_canary_gets_through_at_debug(
    way: Callable[[], None], log_format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    output = configured(log_format, "debug")
    way()
    elsewhere = "".join(capfd.readouterr())
    assert output.getvalue(), "the way must write something, or the test shows nothing"
    assert "canary" not in output.getvalue()
    assert "canary" not in elsewhere


# --- what is there instead ---------------------------------------------------------------------------------


def test_an_event_is_one_json_line_with_its_fields() -> None:
    output = configured()
    log.info("case opened", case="SEC-2026-0001", inbound_id=7, seconds=timedelta(seconds=1.5), state=_State.NEW)
    (event,) = events(output)
    assert event.pop("time").endswith("Z")
    assert event == {
        "level": "info", "logger": "mailbox_service.tests", "event": "case opened", "case": "SEC-2026-0001",
        "inbound_id": 7, "seconds": 1.5, "state": "new",
    }  # fmt: skip


class _State(StrEnum):
    NEW = "new"


def test_a_dropped_field_is_named() -> None:
    output = configured()
    log.info("x", subject=SUBJECT, count=1)
    (event,) = events(output)
    assert event["dropped"] == ["subject"]
    assert event["count"] == 1


def test_a_caller_cannot_fill_the_marker_of_dropped_fields() -> None:
    output = configured()
    log.info("x", dropped=[BODY], level=BODY, logger=BODY, time=BODY, error=BODY)
    (event,) = events(output)
    assert event["dropped"] == ["dropped", "error", "level", "logger"]
    assert event["level"] == "info"
    assert event["time"].endswith("Z")


def test_an_exception_shows_types_and_places_outermost_first() -> None:
    output = configured()
    _own_error_around_a_foreign_one()
    own, cause = events(output)[0]["error"]
    assert own["type"] == "mailbox_service.errors.TemporaryError"
    assert own["message"] == "the server went away"
    assert cause["type"] == "ValueError"
    assert "message" not in cause
    assert cause["at"][-1].startswith("unit/test_logs.py:")
    assert cause["at"][-1].endswith(" _raise_value_error")


def test_an_exception_as_a_reason_shows_the_message_of_our_own_ones_and_the_type_of_others() -> None:
    output = configured()
    log.warning("x", reason=TemporaryError("the server went away"))
    log.warning("x", reason=ValueError(BODY))
    assert [event["reason"] for event in events(output)] == ["the server went away", "ValueError"]


def test_a_circular_chain_of_causes_ends() -> None:
    output = configured()
    one, two = PermanentError("one"), PermanentError("two")
    one.__cause__, two.__cause__ = two, one
    log.error("x", exc_info=one)
    assert [item["message"] for item in events(output)[0]["error"]] == ["one", "two"]


def test_our_own_messages_cannot_forge_lines_or_carry_addresses() -> None:
    output = configured("console")
    log.error("x", exc_info=PermanentError(f"no\n12:00:00 info fake \x1b[2J\u2028 {ADDRESS}"))
    assert len(output.getvalue().splitlines()) == 1
    assert "\x1b" not in output.getvalue()
    assert ADDRESS not in output.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x00", "\x85", "\u2028", "\u202e", "\x9b"])
def test_control_characters_cannot_forge_lines(log_format: str, character: str) -> None:
    output = configured(log_format)
    log.info("folder watched", folder=f"a{character}b", host=f"{character}", **{f"x{character}y": 1})
    log.info(f"x{character}y")
    logging.getLogger(f"a{character}b").warning("x")
    assert character not in output.getvalue().replace("\n", "", 3)
    assert output.getvalue().count("\n") == 3


def test_a_field_in_the_console_cannot_look_like_another() -> None:
    output = configured("console")
    log.info("x", folder='a case="1', count=1)
    assert r'folder="a case=\"1" count=1' in output.getvalue()


def test_long_values_are_cut() -> None:
    output = configured()
    log.info("x", reason="r" * 10_000_000)
    assert len(output.getvalue()) < 500


def test_a_library_shows_its_name_and_level_only() -> None:
    output = configured()
    logging.getLogger("aiosmtplib").warning("%s", BODY)
    (event,) = events(output)
    assert (event["logger"], event["level"], event["event"]) == ("aiosmtplib", "warning", "message withheld")


@pytest.mark.parametrize("name", [*logs.CAPPED_LOGGERS, "sqlalchemy.engine.Engine", "aioimaplib.aioimaplib"])
def test_libraries_say_nothing_below_warning_even_at_debug(name: str) -> None:
    logging.getLogger(name).setLevel(logging.DEBUG)
    output = configured(level="debug")
    logging.getLogger(name).info("x")
    assert output.getvalue() == ""
    logging.getLogger(name).warning("x")
    assert len(events(output)) == 1


@pytest.mark.parametrize("name", logs.SILENCED_LOGGERS)
def test_what_clients_type_is_no_event_of_ours(name: str) -> None:
    output = configured(level="debug")
    logging.getLogger(name).warning("unrecognised: %s", BODY)
    assert output.getvalue() == ""
    logging.getLogger(name).error("x")
    assert len(events(output)) == 1


def test_known_safe_messages_of_asyncio_are_shown() -> None:
    output = configured()
    _asyncio_task_that_nobody_awaits()
    shown = [(event["event"], event.get("error", [{}])[0].get("type")) for event in events(output)]
    assert shown == [("Task exception was never retrieved", "ValueError"), ("message withheld", None)]


def test_the_level_filters_own_events() -> None:
    output = configured(level="warning")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [event["event"] for event in events(output)] == ["c", "d"]


def test_colours_appear_on_a_terminal_only() -> None:
    plain, terminal = configured("console"), _Terminal()
    log.warning("x", count=1)
    configured("auto", stream=terminal)
    log.warning("x", count=1)
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[33m" in terminal.getvalue()


def test_auto_writes_json_where_there_is_no_terminal() -> None:
    output = configured("auto")
    log.info("x")
    assert events(output)[0]["event"] == "x"


def test_a_stream_that_fails_does_not_stop_the_caller() -> None:
    output = configured()
    output.close()
    log.error("x")


def test_configuring_twice_does_not_double_lines() -> None:
    configured()
    output = configured()
    logging.getLogger("x").warning("y")
    assert len(events(output)) == 1


# --- the whole package -------------------------------------------------------------------------------------


def _log_calls() -> Iterator[tuple[str, ast.Call]]:
    methods = {"debug", "info", "warning", "error", "critical", "exception", "bind"}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in methods
                and ast.unparse(node.func.value).split(".")[-1].lstrip("_") in {"log", "logger"}
            ):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def test_every_event_in_the_package_is_a_constant_and_every_field_is_on_the_list() -> None:
    wrong = [
        f"{where}: {ast.unparse(call)}"
        for where, call in _log_calls()
        if not all(isinstance(argument, ast.Constant) for argument in call.args)
        or len(call.args) > 1
        or not {keyword.arg for keyword in call.keywords} <= logs.ALLOWED_FIELDS | {"exc_info"}
    ]
    assert wrong == []
