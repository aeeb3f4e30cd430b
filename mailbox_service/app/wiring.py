"""From the sections of a `Config` to the values that services and adapters take."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import UTC
from zoneinfo import ZoneInfo

from mailbox_service.adapters.dkim import DkimAuthenticator, DnsKeyLookup
from mailbox_service.adapters.imap import FolderPlan, ImapAccount, ImapSource, MarkPlan
from mailbox_service.adapters.lmtp import Listener, TcpDoor, UnixDoor
from mailbox_service.adapters.openpgp import GpgDoor, Homes
from mailbox_service.adapters.secrets import TokenSecrets
from mailbox_service.adapters.smtp import SmtpAccount
from mailbox_service.app.clock import now
from mailbox_service.config import DAYS, Config, Imap, WithPassword
from mailbox_service.config import Mailbox as MailboxConfig
from mailbox_service.core.budget import AnswerLimits
from mailbox_service.core.case import Ask, Policy
from mailbox_service.core.commands import TextFor
from mailbox_service.core.tokens import TokenKey
from mailbox_service.errors import TemporaryError
from mailbox_service.services.alarms import AlarmChannel
from mailbox_service.services.mailboxes import CanaryPlan, Contact, Mailbox, Maintainer, Notices
from mailbox_service.services.metering import Meter
from mailbox_service.services.ports import DeliveryDoor, IntakeDoor, Mark
from mailbox_service.services.ports.openpgp import OpenPgp


def mailbox_of(config: MailboxConfig) -> Mailbox:
    """What the services know of a configured mailbox."""
    return Mailbox(
        name=config.name,
        address=config.address,
        project_name=config.project_name,
        team_address=config.team_address,
        maintainers=tuple(Maintainer(m.name, m.address, m.signed_only) for m in config.maintainers),
        strict=config.strict,
        aliases=config.aliases,
        contacts=tuple(Contact(c.label, c.value) for c in config.contacts),
        policy_url=config.policy_url,
        reference=config.reference,
        policy=policy_of(config),
        maintainer_reply=TextFor.REPORTER if config.maintainer_reply == "reporter" else TextFor.NOTE,
        authserv_id=config.authserv_id,
        dkim=config.dkim,
        answer_backlog=config.answer_backlog,
        ack_unauthenticated=config.ack_unauthenticated,
        shadow=config.shadow,
        limits=AnswerLimits(
            config.limits.sender_per_day,
            config.limits.domain_per_day,
            config.limits.per_hour,
            frozenset(d.lower() for d in config.limits.public_providers),
        ),
        notices=Notices(
            config.notices.attachment_limit,
            config.notices.collect_above_per_hour,
            config.notices.collect_every,
            config.notices.digest_at,
        ),
        canary=CanaryPlan(config.canary.interval, config.canary.deadline) if config.canary else None,
        bounce_address=config.smtp.envelope_from,
        reply_to=config.reply_to,
    )


def policy_of(config: MailboxConfig) -> Policy:
    """What a configured mailbox promises and asks."""
    clocks = config.clocks
    return Policy(
        zone=UTC if config.time_zone == "UTC" else ZoneInfo(config.time_zone),
        working_days=frozenset(DAYS.index(day) for day in config.working_days),
        first_response_working_days=config.first_response_working_days,
        update_interval=clocks.update_interval,
        info_reminder=clocks.info_reminder,
        info_close=clocks.info_close,
        embargo=clocks.embargo,
        verdict_within=clocks.verdict_within,
        publication_delay=clocks.publication_delay,
        asks=frozenset(Ask(name) for name in config.asks),
    )


def alarm_channels(config: Config) -> list[AlarmChannel]:
    """The ways beside mail by which people are told of alarms."""
    # Most have none, and memory is for those who use it.
    from mailbox_service.adapters.alarms import CommandChannel, WebhookAccount, WebhookChannel

    alarms, channels = config.alarms, list[AlarmChannel]()
    if alarms.command is not None:
        channels.append(CommandChannel(alarms.command, alarms.command_deadline.total_seconds()))
    if (hook := alarms.webhook).url is not None:
        token = _password(hook) if hook.password_file or hook.password_env else None
        account = WebhookAccount(hook.url, hook.deadline.total_seconds(), token, str(hook.ca_file or "") or None)
        channels.append(WebhookChannel(account))
    return channels


def authenticator(config: Config) -> DkimAuthenticator:
    """Verifies DKIM signatures, with one memory of keys for all mailboxes."""
    return DkimAuthenticator(key_lookup(config), now)


def key_lookup(config: Config) -> DnsKeyLookup:
    """The name servers that are asked for keys."""
    return DnsKeyLookup(config.dns.endpoints)


def keyrings(config: Config) -> Homes | None:
    """The keyrings of this process; None where no OpenPGP is configured. Raises: PermanentError, TemporaryError."""
    return Homes.open(config.openpgp.folder) if config.openpgp.folder is not None else None


def openpgp_door(homes: Homes, mailbox: MailboxConfig, config: Config) -> GpgDoor:
    """The OpenPGP of one mailbox."""
    return GpgDoor(homes, mailbox.own_addresses, config.openpgp.secret)


def doors_of(homes: Homes | None, config: Config) -> dict[str, OpenPgp]:
    """The OpenPGP of each mailbox; none where there are no keyrings."""
    if homes is None:
        return {}
    return {mailbox.name: openpgp_door(homes, mailbox, config) for mailbox in config.mailboxes}


def imap_account(imap: Imap, config: Config) -> ImapAccount:
    """How to log in to a mailbox's IMAP server."""
    return ImapAccount(
        host=imap.host,
        port=imap.port,
        security=imap.security,
        username=imap.username,
        password=_password(imap),
        ca_file=str(imap.ca_file) if imap.ca_file else None,
        allow_plaintext=imap.allow_plaintext,
        idle=imap.idle,
        poll_interval=imap.poll_interval.total_seconds(),
        max_message_size_bytes=config.limits.max_message_size,
    )


def imap_source(
    mailbox: MailboxConfig,
    imap: Imap,
    config: Config,
    door: IntakeDoor,
    alarm: Callable[[], None],
    meter: Meter,
) -> ImapSource:
    """The mailbox as it is watched and marked on its IMAP server."""
    folders = [FolderPlan(name) for name in imap.folders]
    if imap.junk is not None:
        folders.append(FolderPlan(None if imap.junk == "auto" else imap.junk, junk=True))
    marks = {mark: getattr(imap.marks, mark.value) for mark in Mark}
    return ImapSource(
        mailbox.name,
        imap_account(imap, config),
        door,
        clock=now,
        folders=folders,
        marks={mark: MarkPlan(rule.flags, rule.folder) for mark, rule in marks.items()},
        alarm=lambda mailbox, what: alarm(),
        meter=meter,
    )


def listeners(config: Config, door: DeliveryDoor) -> list[Listener]:
    """The doors for pushed mail that are configured."""
    recipients = {address: mailbox.name for mailbox in config.mailboxes for address in mailbox.own_addresses}
    places: list[UnixDoor | TcpDoor] = []
    if (lmtp := config.intake.lmtp) is not None:
        places.append(UnixDoor(lmtp.socket, lmtp.mode_bits))
    if (smtp := config.intake.smtp) is not None:
        places.append(TcpDoor(smtp.host, smtp.port))
    limit = config.limits.max_message_size
    return [Listener(place, door, recipients, max_message_size_bytes=limit, clock=now) for place in places]


def smtp_account(mailbox: MailboxConfig) -> SmtpAccount:
    """How to log in to the mailbox's submission server."""
    smtp = mailbox.smtp
    return SmtpAccount(
        host=smtp.host,
        port=smtp.port,
        security=smtp.security,
        username=smtp.username,
        password=_password(smtp) if smtp.username else None,
        ca_file=smtp.ca_file,
        allow_plaintext=smtp.allow_plaintext,
        connections=smtp.connections,
        timeout_seconds=smtp.timeout.total_seconds(),
    )


def _password(section: WithPassword) -> Callable[[], str]:
    def read() -> str:
        password = section.secret()
        if password is None:
            raise TemporaryError("no password is configured")
        return password

    return read


def token_key(secrets: TokenSecrets, instance: str, former_instances: Sequence[str] = ()) -> TokenKey:
    """The key of the database named `instance`: a database that is begun anew, or restored, under an old secret must
    not give old names to new mails. What older secrets and former names made goes on verifying."""
    generation, newest = secrets.current
    others = [
        _bound(secret, name)
        for name in (instance, *former_instances)
        for secret in secrets.all.values()
        if (secret, name) != (newest, instance)
    ]
    return TokenKey(generation, _bound(newest, instance), tuple(others))


def _bound(secret: bytes, instance: str) -> bytes:
    return hmac.digest(secret, instance.encode(), "sha256")
