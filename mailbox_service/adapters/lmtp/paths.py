"""The arguments of MAIL and RCPT, and whose recipient an address is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# <user@example.org>, with a source route that is ignored (RFC 5321 §C), and parameters behind.
_PATH = re.compile(r'<(?:@[^:<>"]*:)?((?:"(?:[^"\\]|\\.)*"|[^"<>\s])*)>(?: +(.*))?')
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^= ]+))?")


class Malformed(Exception):
    """No path, or parameters that are none."""


@dataclass(frozen=True, slots=True)
class Path:
    address: str  # "" is the null reverse-path
    parameters: dict[str, str]  # by name in capitals; "" for one without a value


def read_path(keyword: str, argument: str | None) -> Path:
    """The path after `FROM:` or `TO:`. Whatever stands between the brackets is an address here. Raises: Malformed."""
    if argument is None or not argument.upper().startswith(keyword):
        raise Malformed
    found = _PATH.fullmatch(argument[len(keyword) :].strip(" "))
    if found is None:
        raise Malformed
    parameters: dict[str, str] = {}
    for word in (found[2] or "").split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or parameter[1].upper() in parameters:
            raise Malformed
        parameters[parameter[1].upper()] = parameter[2] or ""
    # Bytes that are no UTF-8, and controls, cannot stand in a database's text; nobody answers to this address.
    address = "".join(character if character.isprintable() else "\ufffd" for character in found[1])
    return Path(address, parameters)


def mailbox_of(recipients: Mapping[str, str], address: str) -> str | None:
    """The mailbox that `address` belongs to, with or without a detail (RFC 5233: user+detail@example.org).

    `recipients`: mailboxes by their addresses in lower case.
    """
    local, _, domain = address.lower().rpartition("@")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    whole, plain = f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}"
    return recipients.get(whole) or recipients.get(plain)
