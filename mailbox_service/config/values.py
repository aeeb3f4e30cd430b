"""The kinds of values a configuration is made of: durations, sizes, addresses, paths; how one is found wrong.

No message repeats the value it is about: an operator may have pasted a password into the wrong line.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from mailbox_service.config.document import Location
from mailbox_service.core.bounce_address import LONGEST_TOKEN, PLACEHOLDER

LONGEST_FRAME_CHARS = 64 - len(LONGEST_TOKEN)  # RFC 5321 §4.5.3.1.1: a local part of 64 octets
DNS_PORT = 53
PROBLEM = "problem"  # the type of our own errors within pydantic's

_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,9}) ?([kMG]?B|[KMG]iB)", re.ASCII)
_FACTORS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
# RFC 5322 §3.4.1 addr-spec without the quoted, commented and obsolete forms; lengths of RFC 5321 §4.5.3.1.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{1,64}}@.{{1,253}}\Z){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)


# As the IANA database names places. Its old short names, such as EST, say less than they seem to: no summer time.
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]{1,30}(?:/[A-Z][A-Za-z0-9_+-]{1,40}){1,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LoadContext:
    """What validation needs beside the file: the folder relative paths start from, and the environment."""

    folder: Path
    environ: Mapping[str, str]
    mail_files: bool = True  # try what only the mail servers need: their passwords and certificates
    pushed: bool = False  # a door for pushed mail is configured, so that a mailbox needs no server to fetch from


def problem(text: str, *at: int | str, about_parent: bool = False) -> PydanticCustomError:
    """An error on the key being validated, or on what lies `at` below it, or on the mapping around it."""
    return problems([(at, text)], about_parent=about_parent)


def problems(found: Iterable[tuple[Location, str]], *, about_parent: bool = False) -> PydanticCustomError:
    """Several errors of one key, each with its location below the key."""
    return PydanticCustomError(PROBLEM, "see ctx", {"found": list(found), "about_parent": about_parent})


def parse_duration(value: object) -> timedelta:
    """`"1h30m"` as a timedelta; a timedelta as it is."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise problem('a bare number has no unit; write for example "60s", "15m", "12h" or "5d"')
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not match[0]:
        raise problem('is no duration; write days, hours, minutes and seconds, for example "5d", "1h30m" or "60s"')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def write_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads as `value`."""
    rest, seconds = divmod(int(value.total_seconds()), 60)
    rest, minutes = divmod(rest, 60)
    days, hours = divmod(rest, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def duration_between(least: str, most: str) -> Callable[[timedelta], timedelta]:
    """A check that a duration lies within both bounds, bounds included."""
    low, high = parse_duration(least), parse_duration(most)

    def check(value: timedelta) -> timedelta:
        if not low <= value <= high:
            raise problem(f"must be from {least} to {most}")
        return value

    return check


def parse_size(value: object) -> int:
    """`"50MB"` in bytes. Models hold bytes, so their defaults are texts as well."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise problem('a bare number has no unit; write for example "50MB" or "25MiB"')
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise problem('is no size; write for example "500kB", "50MB" or "25MiB"')
    return int(match[1]) * _FACTORS[match[2]]


def size_between(least: str, most: str) -> Callable[[int], int]:
    """A check that a size in bytes lies within both bounds, bounds included."""
    low, high = parse_size(least), parse_size(most)

    def check(value: int) -> int:
        if not low <= value <= high:
            raise problem(f"must be from {least} to {most}")
        return value

    return check


def parse_time_of_day(value: object) -> time:
    """`"07:00"` as a naive time; the key says in which zone."""
    if isinstance(value, time):
        return value
    match = re.fullmatch(r"(\d\d):(\d\d)", value, re.ASCII) if isinstance(value, str) else None
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise problem('is no time of day; write hours and minutes in quotes, for example "07:00"')
    return time(int(match[1]), int(match[2]))


def _check_zone(value: str) -> str:
    if _ZONE.fullmatch(value) is None:
        raise problem("is no time zone; write UTC, or a place as in Europe/Berlin")
    if value != "UTC":  # this one needs no database
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            text = "is not in the time zone database of this machine; correct it, or install tzdata"
            raise problem(text) from None
    return value


def _check_address(value: str) -> str:
    if _ADDRESS.fullmatch(value) is None:
        raise problem(
            "is no plain mail address; write it as name@example.org, without a display name, "
            "and a domain with other letters in its xn-- form"
        )
    return value


def _check_envelope_sender(value: str) -> str:
    if set("{}") & set(value.replace(PLACEHOLDER, "", 1)):
        raise problem(f"has braces other than one {PLACEHOLDER}; write it as security+{PLACEHOLDER}@example.org")
    local, _, domain = value.rpartition("@")
    if PLACEHOLDER in domain:
        raise problem(f"has {PLACEHOLDER} behind the @; write it as security+{PLACEHOLDER}@example.org")
    if PLACEHOLDER in value and len(local) - len(PLACEHOLDER) > LONGEST_FRAME_CHARS:
        raise problem(f"is too long: beside {PLACEHOLDER} at most {LONGEST_FRAME_CHARS} characters before the @")
    _check_address(value.replace(PLACEHOLDER, "b1"))
    return value


def _check_reply_address(value: str) -> str:
    if PLACEHOLDER not in value:
        raise problem(f"has no place for the token of each mail; write it as security+{PLACEHOLDER}@example.org")
    return _check_envelope_sender(value)


def _check_domain(value: str) -> str:
    if _DOMAIN.fullmatch(value) is None:
        raise problem("is no domain; write it as example.org")
    return value.lower()


def is_host(value: str) -> bool:
    """A host name or an IP address?"""
    return _DOMAIN.fullmatch(value) is not None or _is_ip(value)


def _check_host(value: str) -> str:
    if is_host(value):
        return value
    raise problem("is no host name or IP address; write it as mail.example.org, without a scheme or a port")


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def nameserver(value: str) -> tuple[str, int] | None:
    """Address and port of `ADDRESS` or `ADDRESS:PORT` (IPv6 with a port in brackets); None for anything else.

    A name will not do: it would take a name server to find it.
    """
    if _is_ip(value):
        return value, DNS_PORT
    match = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:]+)):(\d{1,5})", value, re.ASCII)
    if match is None or not 0 < int(match[3]) <= 65535:
        return None
    host = match[1] or match[2]
    return (host, int(match[3])) if _is_ip(host) and (":" in host) == (match[1] is not None) else None


def is_loopback(host: str) -> bool:
    """Does `host` name this machine for certain, so that nobody can listen in between?"""
    return host.lower() == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


def endpoint(listen: str, example: str) -> tuple[str, int]:
    """Host without brackets, and port, of `HOST:PORT`."""
    host, _, port = listen.rpartition(":")
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise problem(f'needs an address and a port, for example "{example}"')
    return host.removeprefix("[").removesuffix("]"), int(port)


def _check_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise problem("must be one line of text that is not empty")
    return value


def _check_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s\x00-\x1f]+", value):
        raise problem("is no web address; write it as https://example.org/policy")
    return value


def _from_folder(value: object, info: ValidationInfo) -> object:
    """Paths are relative to the folder of the configuration file, wherever the daemon was started."""
    if isinstance(value, str) and not value:
        raise problem("is empty; name a file, or remove the key")
    if isinstance(value, str | Path) and isinstance(info.context, LoadContext):
        return info.context.folder / value
    return value


def _existing_file(value: Path, info: ValidationInfo) -> Path:
    if not value.is_file() and (not isinstance(info.context, LoadContext) or info.context.mail_files):
        raise problem("there is no such file; create it, or correct the path (relative to this configuration file)")
    return value


def _existing_folder(value: Path) -> Path:
    if not value.is_dir():
        raise problem("there is no such folder; create it, or correct the path (relative to this configuration file)")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
TimeOfDay = Annotated[time, BeforeValidator(parse_time_of_day)]
Zone = Annotated[str, AfterValidator(_check_zone)]
Address = Annotated[str, AfterValidator(_check_address)]
EnvelopeSender = Annotated[str, AfterValidator(_check_envelope_sender)]
ReplyAddress = Annotated[str, AfterValidator(_check_reply_address)]
Domain = Annotated[str, AfterValidator(_check_domain)]
Host = Annotated[str, AfterValidator(_check_host)]
Line = Annotated[str, AfterValidator(_check_line)]
Url = Annotated[str, AfterValidator(_check_url)]
AnyPath = Annotated[Path, BeforeValidator(_from_folder)]
FilePath = Annotated[AnyPath, AfterValidator(_existing_file)]
FolderPath = Annotated[AnyPath, AfterValidator(_existing_folder)]
