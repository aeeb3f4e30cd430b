"""What the doctor asks the mail servers of one mailbox, and the name servers."""

from __future__ import annotations

from mailbox_service.adapters.imap import ImapReport, ImapSource, InsecureConnection
from mailbox_service.adapters.smtp import (
    CANNOT_CONNECT,
    LOGIN_FAILED,
    LOGIN_REFUSED,
    TLS_FAILED,
    SmtpReport,
    SmtpTransport,
)
from mailbox_service.app import key_lookup
from mailbox_service.cli.exits import Exit
from mailbox_service.cli.findings import Finding
from mailbox_service.config import Config, Mailbox
from mailbox_service.errors import (
    AuthenticationError,
    ConfigurationError,
    MailboxServiceError,
    TemporaryError,
)

_LOGIN = "check username and password; Gmail, Fastmail and others want an app password"
_TLS = "check host, port and security (993 and 465 are tls, 143 and 587 starttls), and ca_file for an own authority"
_REACH = "check host and port, and that no firewall is in the way"
_SMTP_REMEDIES = {TLS_FAILED: _TLS, LOGIN_REFUSED: _LOGIN, LOGIN_FAILED: _LOGIN, CANNOT_CONNECT: _REACH}
# A notice is its text and the attached message, which base64 makes longer by a third.
ENCODED_GROWTH = 4 / 3
NOTICE_TEXT_BYTES = 100_000


# --- IMAP --------------------------------------------------------------------------------------------------


async def imap(mailbox: Mailbox, source: ImapSource) -> list[Finding]:
    """Log in, look around, change nothing."""
    subject = f"imap {mailbox.name}"
    try:
        report = await source.probe()
    except ConfigurationError as error:
        return [Finding.error(subject, problem, "", Exit.CONFIG) for problem in error.problems]
    except MailboxServiceError as error:
        return [Finding.error(subject, str(error), _imap_remedy(error), Exit.UNAVAILABLE)]
    return [*_imap_login(subject, report), *_folders(subject, report), *_targets(subject, report)]


def _imap_remedy(error: MailboxServiceError) -> str:
    match error:
        case AuthenticationError():
            return _LOGIN
        case InsecureConnection():
            return _TLS
        case _:
            return _REACH


def _imap_login(subject: str, report: ImapReport) -> list[Finding]:
    news = "new mail is told at once (IDLE)" if report.idle else "new mail is found by polling"
    able = ", ".join(sorted({"IDLE", "MOVE", "UIDPLUS", "SPECIAL-USE"} & report.capabilities)) or "none"
    return [Finding.ok(subject, f"login works; {news}; extensions we use: {able}")]


def _folders(subject: str, report: ImapReport) -> list[Finding]:
    findings = []
    for folder in report.folders:
        if folder.found:
            junk = "Junk folder " if folder.junk else "folder "
            findings.append(Finding.ok(subject, f"{junk}{folder.name}: {folder.messages} messages"))
        elif folder.name is None:
            findings.append(Finding.ok(subject, "there is no Junk folder to watch"))
        elif folder.junk:
            remedy = "correct imap.junk, or set it to auto or null"
            findings.append(Finding.warning(subject, f"there is no Junk folder {folder.name}", remedy))
        else:
            remedy = "correct imap.folders; names are as your mail program shows them"
            findings.append(Finding.error(subject, f"there is no folder {folder.name}", remedy, Exit.CONFIG))
    return findings


def _targets(subject: str, report: ImapReport) -> list[Finding]:
    findings = []
    for target in report.targets:
        name = f"folder {target.name} for {target.mark.value} mail"
        if target.watched:
            remedy = f"name another folder in imap.marks.{target.mark.value}"
            findings.append(
                Finding.error(subject, f"{name} is watched itself; nothing is moved there", remedy, Exit.CONFIG)
            )
        elif not target.exists:
            findings.append(Finding.ok(subject, f"{name} will be made when it is first needed"))
        else:
            findings.append(Finding.ok(subject, f"{name} is there"))
    if report.targets and not report.can_move:
        remedy = "remove folder from imap.marks; flags serve as well"
        findings.append(Finding.warning(subject, "the server cannot move mail; it is flagged and stays", remedy))
    return findings


# --- SMTP --------------------------------------------------------------------------------------------------


async def smtp(mailbox: Mailbox, transport: SmtpTransport) -> list[Finding]:
    """Connect, encrypt, log in; send nothing."""
    subject = f"smtp {mailbox.name}"
    report = await transport.probe()
    if report.problem:
        kind = report.problem.partition(":")[0]
        return [Finding.error(subject, report.problem, _SMTP_REMEDIES.get(kind, _REACH), Exit.UNAVAILABLE)]
    login = "login works" if report.logged_in else "no login"
    size = "no size limit" if report.size_limit_bytes is None else f"size limit {report.size_limit_bytes} bytes"
    return [
        Finding.ok(subject, f"{login}; {report.tls or 'not encrypted'}; {size}"),
        *_size(subject, mailbox, report),
    ]


def _size(subject: str, mailbox: Mailbox, report: SmtpReport) -> list[Finding]:
    """A notice larger than the server takes follows without its attachment; better is to know that before."""
    largest = int(mailbox.notices.attachment_limit * ENCODED_GROWTH) + NOTICE_TEXT_BYTES
    if report.size_limit_bytes is None or largest <= report.size_limit_bytes:
        return []
    what = f"notices with the largest attachment ({largest} bytes) are above the server's size limit"
    return [Finding.warning(subject, what, "lower notices.attachment_limit to about 70% of the size limit")]


# --- DNS ---------------------------------------------------------------------------------------------------


async def dns(config: Config) -> list[Finding]:
    """Whether keys of DKIM signatures can be had; nothing where nobody asks for them."""
    asking = [mailbox for mailbox in config.mailboxes if mailbox.authserv_id is None and mailbox.dkim]
    if not asking:
        return []
    # That there is no such key is an answer as good as any.
    name = f"check._domainkey.{asking[0].address.rpartition('@')[2]}"
    try:
        await key_lookup(config).text_records(name)
    except TemporaryError as error:
        remedy = "check dns.nameservers, or /etc/resolv.conf; until then no answer is proven by its DKIM signature"
        return [Finding.warning("dns", str(error), remedy)]
    return [Finding.ok("dns", "answers; DKIM signatures of answers can be verified")]
