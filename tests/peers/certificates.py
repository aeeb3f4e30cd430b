"""A throw-away certificate authority and a server certificate for localhost, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    ca_file: str
    certificate_file: str
    key_file: str


def make_certificates(folder: Path, *names: str) -> Certificates:
    """An authority of its own and one certificate for localhost, 127.0.0.1, ::1 and `names`, valid for two days."""
    if shutil.which("openssl") is None:
        raise RuntimeError("openssl is missing: install the Debian package openssl")
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, ca = folder / "ca.key", folder / "ca.pem"
    key, request, certificate = folder / "server.key", folder / "server.csr", folder / "server.pem"
    extensions = folder / "extensions"
    extensions.write_text(
        f"subjectAltName={','.join(['DNS:localhost', *(f'DNS:{name}' for name in names)])},IP:127.0.0.1,IP:::1\n"
        "basicConstraints=CA:FALSE\n"
        "keyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        *("req", "-x509", *curve, "-keyout", str(ca_key), "-out", str(ca), "-days", "2"),
        *("-subj", "/CN=Test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    _openssl("req", "-new", *curve, "-keyout", str(key), "-out", str(request), "-subj", "/CN=localhost")
    _openssl(
        *("x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial"),
        *("-out", str(certificate), "-days", "2", "-extfile", str(extensions)),
    )
    return Certificates(str(ca), str(certificate), str(key))


def _openssl(*args: str) -> None:
    done = subprocess.run(["openssl", *args], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {args[0]} failed: {done.stderr}")
