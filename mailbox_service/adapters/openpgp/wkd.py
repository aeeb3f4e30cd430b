"""Asking a Web Key Directory for somebody's key (draft-koch-openpgp-webkey-service).

Only when a person on the host wants to: a question tells a stranger's server that we have to do with this address.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import quote

from mailbox_service.adapters.openpgp.listing import MAX_KEY_BYTES
from mailbox_service.core.gpg.publishing import wkd_paths
from mailbox_service.errors import NotFound, Refused, TemporaryError

SECONDS = 10.0


def look_up(address: str) -> tuple[bytes, str]:
    """The keys that the domain of `address` offers for it, in binary, and the host that was asked.

    HTTPS alone, by a certificate that the system trusts; redirects are not followed. The direct method is asked only
    where the name of the advanced one does not exist (§3.1).
    Raises: NotFound when there is no key; Refused for an answer that is too large; TemporaryError when nobody answers.
    """
    local = address.rpartition("@")[0]
    for path in wkd_paths(address):
        host, _, where = path.partition("/")
        try:
            return _get(host, f"/{where}?l={quote(local, safe='')}"), host
        except socket.gaierror:
            continue  # the name does not exist
        except (OSError, http.client.HTTPException) as error:
            raise TemporaryError(f"{host} cannot be asked: {_text(error)}") from error
    raise TemporaryError(f"neither {wkd_paths(address)[0].partition('/')[0]} nor the domain itself has an address")


def _get(host: str, path: str) -> bytes:
    connection = http.client.HTTPSConnection(
        host.encode("idna").decode(), timeout=SECONDS, context=ssl.create_default_context()
    )
    try:
        connection.request("GET", path, headers={"Accept": "application/octet-stream"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise NotFound(f"{host} offers no key ({answer.status})")
        data = answer.read(MAX_KEY_BYTES + 1)
    finally:
        connection.close()
    if len(data) > MAX_KEY_BYTES:
        raise Refused(f"{host} answers with more than {MAX_KEY_BYTES // 1000} kB: that is no key")
    return data


def _text(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    return str(error) or type(error).__name__
