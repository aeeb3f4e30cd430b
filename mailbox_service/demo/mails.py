"""Who plays in the demo, and the mails they write. All of them, and all they write about, is invented."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    address: str
    login: str


SECURITY = "security@demo.example"
TEAM = "team@demo.example"
REPORTER = Person("Zoë Łukasiewicz", "reporter@research.example", "reporter")
CUSTOMER = Person("Jürgen Käfer", "customer@company.example", "customer")
AWAY = Person("Renate Amsel", "away@company.example", "away")
NOOR = Person("Noor Haddad", "noor@audits.example", "noor")
SPAMMER = Person("Growth Partners", "spammer@offers.example", "spammer")
ADA = Person("Ada", "maintainer@demo.example", "maintainer")
GRACE = Person("Grace", "grace@demo.example", "grace")

REPORT = """\
Hello,

while testing Demo 4.2.1 for a client I found that the export download
does not check the name it is given. Any user who is logged in can read
every file that the server can read.

Steps to reproduce:
1. Log in as a user without special rights.
2. GET /export/download?name=..%2f..%2f..%2f..%2fetc%2fpasswd
3. The answer is the password file of the server.

The same works for config/secrets.yml. With the key in it I could sign a
session cookie of the administrator, so I would put this at CVSS 8.8
(CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H).

A proof of concept is attached. I have told nobody else, and would like
to publish 90 days from today, or earlier once a fix is out.

Kind regards,
Zoë Łukasiewicz
"""

PROOF_OF_CONCEPT = """\
#!/usr/bin/env python3
\"\"\"Reads a file of a Demo 4.2.1 server through its export download.\"\"\"
import sys
from urllib.parse import quote
from urllib.request import Request, urlopen

server, session, path = sys.argv[1:]
name = quote("../" * 4 + path.lstrip("/"), safe="")
request = Request(f"{server}/export/download?name={name}", headers={"Cookie": f"session={session}"})
print(urlopen(request).read().decode())
"""

ADDITION = """\
Sorry, I forgot to attach the log of the second request, the one that
reads config/secrets.yml. Here it is.

Zoë
"""

SERVER_LOG = """\
GET /export/download?name=..%2f..%2fconfig%2fsecrets.yml HTTP/1.1
Cookie: session=(an ordinary user)

HTTP/1.1 200 OK
Content-Type: application/octet-stream

cookie_signing_key: (removed)
"""

QUESTION = """\
Hi,

we are moving to new hardware next week. What is the best way to take
our projects and our users along? The docs only describe a fresh
installation. Is there a guide for the upgrade from 4.1 as well?

Thanks a lot,
Jürgen
"""

ADVERTISEMENT = """\
Dear website owner,

our SEO experts bring your business to page 1 of Google, guaranteed!
10,000 quality backlinks for only $99. Limited offer, act now!

Click here for your free quote: http://offers.example/win
"""

INVOICE = """\
Hello,

could you please send me the invoice for October once more, as a PDF?
Our accounting cannot find it. The customer number is 20417.

Best regards
Renate Amsel
"""

OUT_OF_OFFICE = """\
Thank you for your mail. I am out of the office and will read it when I
am back on Monday. In urgent cases please call our switchboard.

Renate Amsel
"""

# None of these stands in any other mail of the demo: where one is found in clear, something has leaked.
SECRETS = ("predictable", "new_token", "guess_tokens.py", "getpid")
SECRET_SUBJECT = "Password reset tokens are predictable"
SECRET_REPORT = """\
Hello,

please keep this between us; my key is attached.

Demo 4.2.1 makes its password reset tokens of the time and the
process id alone (new_token in auth/reset.py). Whoever asks for a new
password of somebody else needs about 2,000 attempts to guess the
token, and has the account then, an administrator's too. The attached
script did it to an installation of mine in forty seconds.

Noor Haddad
"""

GUESSING = """\
#!/usr/bin/env python3
import itertools, sys, time
from hashlib import md5

asked_at = int(sys.argv[1])
for second, getpid in itertools.product(range(asked_at, asked_at + 3), range(700)):
    print(md5(f"{second}{getpid}".encode()).hexdigest())
"""

AFTERTHOUGHT = """\
It is about security after all, I think. When I restored our backup on
the new server, I could see the projects of two other companies in it,
with the addresses of their users. That cannot be meant to be?

Jürgen
"""


def report(now: datetime) -> EmailMessage:
    mail = written(REPORTER, "Path traversal in the export download: any user can read /etc/passwd", REPORT, now)
    mail.add_attachment(PROOF_OF_CONCEPT.encode(), maintype="text", subtype="x-python", filename="poc.py")
    return mail


def addition(first: EmailMessage, now: datetime) -> EmailMessage:
    """The reporter once more, as a client does it that answers the own mail in the folder of sent ones."""
    mail = written(REPORTER, f"Re: {first['Subject']}", ADDITION, now, answers=str(first["Message-ID"]))
    mail.add_attachment(SERVER_LOG.encode(), maintype="application", subtype="octet-stream", filename="second.log")
    return mail


def question(now: datetime) -> EmailMessage:
    return written(CUSTOMER, "How do I move our projects to a new server?", QUESTION, now)


def advertisement(now: datetime) -> EmailMessage:
    return written(SPAMMER, "Page 1 of Google GUARANTEED", ADVERTISEMENT, now)


def invoice(now: datetime) -> EmailMessage:
    return written(AWAY, "Invoice for October", INVOICE, now)


def secret_report(now: datetime) -> EmailMessage:
    """Before it is encrypted."""
    mail = written(NOOR, SECRET_SUBJECT, SECRET_REPORT, now)
    mail.add_attachment(GUESSING.encode(), maintype="text", subtype="x-python", filename="guess_tokens.py")
    return mail


def out_of_office(to: str, subject: str, answers: str, now: datetime) -> EmailMessage:
    """As vacation programs write it (RFC 3834 §3)."""
    mail = written(AWAY, f"Out of office: {subject}", OUT_OF_OFFICE, now, to=to, answers=answers)
    mail["Auto-Submitted"] = "auto-replied"
    return mail


def afterthought(subject: str, answers: str, now: datetime) -> EmailMessage:
    return written(CUSTOMER, f"Re: {subject}", AFTERTHOUGHT, now, answers=answers)


def written(
    author: Person, subject: str, text: str, now: datetime, *, to: str = SECURITY, answers: str = ""
) -> EmailMessage:
    """A mail as a mail client writes it; `answers` is the Message-ID of another one."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(author.name, addr_spec=author.address)
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=author.address.partition("@")[2])
    if answers:
        mail["In-Reply-To"] = mail["References"] = answers
    mail.set_content(text, cte="quoted-printable")
    return mail
