"""The configuration: `load()` gives frozen pydantic models, or all errors at once with file, line and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mailbox_service.config.alarms import Alarms, Canary, Webhook
from mailbox_service.config.clocks import DAYS, Clocks
from mailbox_service.config.document import Location, Problem, read_document
from mailbox_service.config.doors import Doors, LmtpDoor, SmtpDoor
from mailbox_service.config.models import (
    Config,
    Contact,
    Database,
    GlobalLimits,
    Health,
    Imap,
    Logging,
    Mailbox,
    MailboxLimits,
    Maintainer,
    MarkRule,
    Marks,
    Notices,
    OutboxSettings,
    Server,
    Smtp,
)
from mailbox_service.config.password import WithPassword
from mailbox_service.config.secret import readable_by_everyone
from mailbox_service.config.section import Section
from mailbox_service.config.values import PROBLEM, LoadContext, is_loopback, parse_duration, write_duration
from mailbox_service.errors import ConfigurationError

__all__ = [
    "DAYS", "Alarms", "Canary", "Clocks", "Config", "Contact", "Database", "Doors", "GlobalLimits", "Health", "Imap",
    "LmtpDoor", "Logging", "Mailbox", "MailboxLimits", "Maintainer", "MarkRule", "Marks", "Notices", "OutboxSettings",
    "Section", "Server", "Smtp", "SmtpDoor", "Webhook", "WithPassword", "is_loopback", "load", "parse_duration",
    "write_duration",
]  # fmt: skip

_SECRET_WORDS = re.compile(r"pass(word|wd|phrase)?|secret|token|credential|api_?key", re.IGNORECASE)

# What pydantic's own error types mean to an operator. {…} are fields of the error's context.
_TEXTS = {
    "missing": "is missing; add it (config.example.yaml says what it means)",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list; write [one, two], or one item a line with a dash before it",
    "model_type": "must hold keys with values; write them below it, indented",
    "model_attributes_type": "must hold keys with values; write them below it, indented",
    "path_type": "must be the path of a file; put it in quotes",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
}


def load(path: Path, environ: Mapping[str, str], *, mail_files: bool = True) -> Config:
    """The configuration in the YAML file `path`; `environ` is where `password_env` keys look.

    Paths in it are made absolute, from the folder of the file. Passwords are tried but not kept; those of the mail
    servers, and their certificates, only with `mail_files`: who looks at a listing need not have them.
    Raises: ConfigurationError with all problems, each `FILE:LINE: path.to.key: what is wrong; remedy`.
    """
    document = read_document(path)
    context = LoadContext(path.absolute().parent, environ, mail_files, pushed=_is_pushed(document.tree))
    problems = list(document.problems)
    config = None
    try:
        config = Config.model_validate(document.tree, context=context)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        problems += [found for detail in details for found in _problems(detail)]
    if config is None or problems:
        # Without "from": pydantic's own error would take the values along into a traceback.
        raise ConfigurationError(document.describe(problems)) from None
    config._warnings = tuple(document.describe(_warnings(config)))
    return config


def _is_pushed(tree: object) -> bool:
    """Whether there is a door for pushed mail, right or wrong. Mailboxes are validated before that is known."""
    doors = tree.get("intake") if isinstance(tree, dict) else None
    return isinstance(doors, dict) and any(doors.get(name) is not None for name in Doors.model_fields)


def _problems(detail: ErrorDetails) -> Iterator[Problem]:
    location: Location = tuple(detail["loc"])
    context = detail.get("ctx", {})
    kind = detail["type"]
    if kind == PROBLEM:
        base = location[:-1] if context["about_parent"] else location
        for below, text in context["found"]:
            yield Problem((*base, *below), text)
    elif kind == "extra_forbidden":
        yield Problem(location, _unknown(location))
    else:
        yield Problem(location, _TEXTS[kind].format(**context) if kind in _TEXTS else detail["msg"])


def _unknown(location: Location) -> str:
    """What to say about a key that no model has."""
    import difflib  # only needed once something is wrong

    section = _section_at(location[:-1])
    key = str(location[-1])
    known = [] if section is None else list(section.model_fields)
    if _SECRET_WORDS.search(key) and not key.startswith(("password_", "secret_")):
        return (
            "secrets do not belong into this file; write it to a file and name that with password_file, "
            "or to an environment variable and name that with password_env"
        )
    if near := difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return f"there is no such key; did you mean {near[0]}?"
    return f"there is no such key; known here: {', '.join(known)}"


def _section_at(location: Location) -> type[BaseModel] | None:
    """The model that validates the mapping at `location`."""
    section: type[BaseModel] | None = Config
    for key in location:
        if isinstance(key, str):
            if section is None or key not in section.model_fields:
                return None
            section = _model_in(section.model_fields[key].annotation)
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model within `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _warnings(config: Config) -> Iterator[Problem]:
    for location, section in config.sections():
        if isinstance(section, WithPassword) and (file := section.password_file) and readable_by_everyone(file):
            at = (*location, "password_file")
            yield Problem(at, "every user of this machine can read the password; chmod 600 the file")
        if isinstance(section, Imap | Smtp) and section.security == "none" and not is_loopback(section.host):
            yield Problem((*location, "security"), "mail and password travel in clear; use tls or starttls")
        if isinstance(section, LmtpDoor) and section.open_to_everyone:
            yield Problem((*location, "mode"), "every user of this machine can push mail; use 0660 and a group")
        if isinstance(section, SmtpDoor) and not is_loopback(section.host):
            yield Problem(
                (*location, "listen"), "asks nobody for a password: only your mail server may reach it (firewall)"
            )
