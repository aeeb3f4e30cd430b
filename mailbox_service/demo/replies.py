"""What the people of a case write to each other, and how mail clients answer a mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from mailbox_service.core.message import ParsedMessage
from mailbox_service.demo.mails import ADA, GRACE, NOOR, REPORTER, SECURITY, Person, written


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody's mail program."""

    name: str
    signature: str = ""
    signature_on_top: bool = True  # above the quoted mail, else at the very end


CLIENTS = {
    REPORTER: Client("Mutt/2.2.12"),
    ADA: Client("Mozilla Thunderbird", "Ada - Demo GmbH, core team\nDesk: +49 30 5550142", signature_on_top=False),
    NOOR: Client("Evolution 3.46.4"),
    GRACE: Client("Apple Mail (2.3774)", "Grace\nDemo GmbH, Berlin"),
}

QUESTIONS = """\
/own
/needs-info

Thank you, this is a very clear report. Two questions before we can try it:

1. Did the server run on Linux or on Windows?
2. Is `export.sandbox` switched on in its configuration?

Best regards,
Ada
"""

ANSWERS = """\
Linux (Debian 12), and export.sandbox is off, as it is by default. With
it on I get an error instead of the file.

Zoë
"""

VECTOR = "CVSS:4.0/AV:N/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N"
NOTE = "The import takes the same path; I look into that one tomorrow."
REPRODUCED = f"""\
/reproduced
/severity {VECTOR}

{NOTE}
"""

CREDIT = "Zoë Łukasiewicz <https://research.example/zoe>"
CREDIT_WISH = f"/credit {CREDIT}\n"

PATCH_NAME = "0001-check-export-names.patch"
PATCH = b"""\
--- a/export/download.py
+++ b/export/download.py
@@ -41,3 +41,5 @@
 def download(request):
-    return send(EXPORTS / request.query["name"])
+    path = (EXPORTS / request.query["name"]).resolve()
+    if EXPORTS not in path.parents:
+        raise NotFound
+    return send(path)
"""
PATCHED = """\
/patched

This applies to 4.2.1 and to 4.1.9. After it, the second request of your
report must answer with 404 as well.
"""

WORKS = """\
/fix-works

I tried all my requests against a patched 4.2.1, also with doubly encoded
names. Each one answers 404 now.
"""

VERSION = "4.2.2"
RELEASED = f"/released {VERSION}\n"
ADVISORY = "https://demo.example/advisories/2026-1"
PUBLISHED = f"/published {ADVISORY}\n"
CONFIRM = "/confirm\n"
THANKS = "It was a pleasure to work with you; reports like this one are rare."
CLOSE = f"""\
/close resolved

{THANKS}
"""

# As `mails.SECRETS`: of the case that is encrypted, and nowhere in clear.
SECRETS = ("invitation", "same function")
SIGNED = """\
/own
/needs-info

Thank you. Are the links of an invitation made in the same way?
"""
SECRET_ANSWER = """\
They are: by the same function, and they stay valid for a week.

Noor
"""

FORGED = """\
/close not-a-vulnerability

We looked into it, and there is nothing to it.
"""


def reply(
    author: Person,
    to: ParsedMessage,
    text: str,
    now: datetime,
    *,
    client: Client | None = None,
    file: tuple[str, bytes] | None = None,
) -> EmailMessage:
    """The author's answer to a mail: above it, with its whole text quoted below and their signature."""
    program = client or CLIENTS[author]
    subject = to.subject if to.subject.lower().startswith("re:") else f"Re: {to.subject}"
    mail = written(author, subject, _body(to, text, program), now)
    if to.message_id is not None:
        mail["In-Reply-To"] = to.message_id
        mail["References"] = " ".join([*to.references, to.message_id])
    mail["User-Agent"] = program.name
    if file is not None:
        mail.add_attachment(file[1], maintype="text", subtype="x-patch", filename=file[0])
    return mail


def forged(subject: str, now: datetime) -> EmailMessage:
    """What somebody writes who knows a maintainer's address and the name of a case."""
    mail = written(ADA, subject, FORGED, now)
    mail["User-Agent"] = CLIENTS[ADA].name
    return mail


def _body(to: ParsedMessage, text: str, client: Client) -> str:
    when = format_datetime(to.date) if to.date is not None else "today"
    quoted = "\n".join(f"> {line}".rstrip() for line in to.text.rstrip("\n").split("\n"))
    signature = f"\n-- \n{client.signature}\n" if client.signature else ""
    above, below = (signature, "") if client.signature_on_top else ("", signature)
    return f"{text}{above}\nOn {when}, {SECURITY} wrote:\n{quoted}\n{below}"
