"""A seeded mailbox for the benchmarks: reports, questions, spam and automatic mail of realistic sizes.

The bytes depend on the seed alone. Where a larger generator lies beside the repository (`../shared/bench/corpus.py`),
that one is used, because the floor was measured with it.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

# The larger generator, and the floor of the intake.
SHARED = Path(__file__).resolve().parents[2] / "shared" / "bench"

WORDS = """
parser header request token session cookie server client admin endpoint payload buffer heap stack integer length
memory pointer crash version release patch branch module upload query filter escape input output template
redirect verify key nonce lock thread queue worker cache proxy timeout retry config policy role user account login
the a of to in is that when with for from by an this it on as can not be was are which observed expected
""".split()  # noqa: SIM905 - a text of words
CLASSES = ("XSS", "SQL injection", "Path traversal", "Heap buffer overflow", "SSRF", "Auth bypass", "Use after free")


def files(count: int, folder: Path, shared: Path = SHARED) -> list[Path]:
    """`count` messages as files below `folder`, made once, in their order."""
    made = folder / "eml"
    if len(list(made.glob("*.eml"))) < count:
        if (shared / "corpus.py").is_file():
            command = [sys.executable, str(shared / "corpus.py"), str(folder), "--n", str(count)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        else:
            made.mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(messages(count), start=1):
                (made / f"{number:06d}.eml").write_bytes(data)
    return sorted(made.glob("*.eml"))[:count]


def messages(count: int, seed: int = 1) -> Iterator[bytes]:
    """`count` raw messages with LF line ends, each with its own sender and Message-ID."""
    for number in range(1, count + 1):
        yield _message(number, random.Random(seed * 1_000_003 + number))


def large(size_bytes: int, seed: int = 1) -> bytes:
    """A report with one attachment of `size_bytes` (decoded)."""
    return _message(0, random.Random(seed), attachment_bytes=size_bytes)


def _message(number: int, r: random.Random, attachment_bytes: int = 0) -> bytes:
    domain = f"mx{r.randint(1, 400)}.example.org"
    mail = EmailMessage()
    mail["Received"] = f"from {domain} by mx.example.test with ESMTPS id {r.getrandbits(40):010X}; {_date(number)}"
    mail["Authentication-Results"] = f"mx.example.test; dkim=pass header.d={domain}; spf=pass smtp.mailfrom={domain}"
    mail["From"] = f"Sender {number} <sender{number:06d}@{domain}>"
    mail["To"] = "security@example.test"
    mail["Date"] = _date(number)
    mail["Message-ID"] = f"<{r.getrandbits(64):016x}.{number}@{domain}>"
    kind = "report" if attachment_bytes or r.random() < 0.6 else r.choice(("question", "spam", "away"))
    text = _text(r, int(min(9000, max(250, r.lognormvariate(6.9, 0.75)))))
    if kind == "report":
        flaw = r.choice(CLASSES)
        mail["Subject"] = f"Security report: {flaw} in the gateway"
        text = f"Hello,\n\nI found a {flaw} vulnerability.\n\n{text}\n\nSteps to reproduce: see above.\n"
    elif kind == "question":
        mail["Subject"] = "How do I configure the proxy?"
        text = f"Hello,\n\nhow do I configure it with docker compose?\n\n{text}\n"
    elif kind == "spam":
        mail["Subject"] = "Guest post and SEO backlinks for your website"
        text = f"Dear Sir, buy cheap backlinks and improve your ranking. Unsubscribe here.\n\n{text}\n"
    else:
        mail["Subject"] = "Automatic reply: away"
        mail["Auto-Submitted"] = "auto-replied"
    mail.set_content(text)
    size = attachment_bytes or (r.randint(55_000, 90_000) if r.random() < 0.03 else 0)
    if size:
        mail.add_attachment(r.randbytes(size), "application", "octet-stream", filename="poc.bin")
    return bytes(mail)


def _text(r: random.Random, size_chars: int) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) < size_chars:
        lines.append(" ".join(r.choices(WORDS, k=11)))
    return "\n".join(lines)


def _date(number: int) -> str:
    return f"Mon, 2 Nov 2026 {number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d} +0000"
