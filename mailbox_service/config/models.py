"""What can be configured. Meaning, unit and default of each key for operators stand in config.example.yaml.

Checks across keys are field validators of the later key, not model validators: pydantic runs those also when
another key of the model is wrong, so that one run shows everything.
"""

from __future__ import annotations

import re
import string
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
)

from mailbox_service.config.alarms import Alarms, Canary
from mailbox_service.config.clocks import DAYS, Asked, Clocks, Day
from mailbox_service.config.document import Location
from mailbox_service.config.doors import Doors
from mailbox_service.config.openpgp import OpenPgp
from mailbox_service.config.password import WithPassword
from mailbox_service.config.section import Section
from mailbox_service.config.values import (
    Address,
    AnyPath,
    Domain,
    Duration,
    EnvelopeSender,
    FilePath,
    FolderPath,
    Host,
    Line,
    LoadContext,
    ReplyAddress,
    Size,
    TimeOfDay,
    Url,
    Zone,
    duration_between,
    endpoint,
    is_loopback,
    nameserver,
    parse_size,
    problem,
    problems,
    size_between,
)

Security = Literal["tls", "starttls", "none"]
Port = Annotated[int, Field(ge=1, le=65535)]

# Domains in which a limit per domain would punish strangers for each other: anybody may have an account there.
PUBLIC_PROVIDERS: tuple[str, ...] = (
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com",
    "me.com", "aol.com", "proton.me", "protonmail.com", "pm.me", "fastmail.com", "gmx.de", "gmx.net", "web.de",
    "t-online.de", "posteo.de", "mailbox.org", "tutanota.com", "tuta.com", "disroot.org", "riseup.net",
    "yandex.ru", "mail.ru", "qq.com", "163.com", "126.com", "foxmail.com", "zoho.com", "orange.fr", "free.fr",
    "libero.it", "seznam.cz",
)  # fmt: skip

_T = TypeVar("_T")
_Text = TypeVar("_Text", bound=str)


class Database(WithPassword):
    """Where everything is kept."""

    url: str = Field(default="sqlite:///mailbox.db", validate_default=True)
    migrate_at_start: bool = True
    lease: Annotated[Duration, AfterValidator(duration_between("10s", "1h"))] = timedelta(minutes=2)

    @field_validator("url")
    @classmethod
    def _absolute(cls, url: str, info: ValidationInfo) -> str:
        if url.startswith("sqlite:///"):
            name = url.removeprefix("sqlite:///")
            if not name or name.startswith(":memory:") or "?" in name:
                raise problem("would keep mail in memory only, or has options; name a file, as in sqlite:///mailbox.db")
            folder = info.context.folder if isinstance(info.context, LoadContext) else Path()
            if not (folder / name).parent.is_dir():
                raise problem("the folder of the database does not exist; create it, or correct the path")
            return f"sqlite:///{folder / name}"
        if not url.startswith(("postgresql://", "postgresql+psycopg://")):
            raise problem("must start with sqlite:/// or postgresql://")
        try:
            parts = urlsplit(url)
            port_is_a_number = parts.port is None or parts.port > 0
        except ValueError:
            raise problem("is no URL; write it as postgresql://user@host:5432/name") from None
        if parts.password is not None or "password" in parts.query:
            raise problem("holds a password; remove it, and use password_file or password_env beside url")
        if not port_is_a_number or not parts.path.strip("/"):
            raise problem("names no database; write it as postgresql://user@host:5432/name")
        return f"postgresql+psycopg://{url.split('://', 1)[1]}"

    @property
    def sqlite_path(self) -> Path | None:
        """The file of an SQLite database; None for PostgreSQL."""
        return Path(self.url.removeprefix("sqlite:///")) if self.url.startswith("sqlite:") else None

    def connection_url(self) -> str:
        """The SQLAlchemy URL with the password in it: for the engine only, never for a message or a log.

        Raises: ConfigurationError when the password cannot be had any more.
        """
        password = self.secret()
        if password is None or self.sqlite_path is not None:
            return self.url
        scheme, rest = self.url.split("://", 1)
        user, at, host = rest.rpartition("@")
        return f"{scheme}://{user}:{quote(password, safe='')}@{host if at else rest}"


class Server(WithPassword):
    """What the two kinds of mail server have in common. Subclasses name the ports."""

    only_for_the_daemon = True

    @staticmethod
    def check_username(username: str | None, info: ValidationInfo) -> str | None:
        # A password key that is wrong itself is not in info.data, and has been complained about.
        if {"password_file", "password_env"} <= info.data.keys():
            given = bool(info.data["password_file"] or info.data["password_env"])
            if username is not None and not given:
                raise problem("has no password; add password_file or password_env", about_parent=True)
            if username is None and given:
                raise problem("has a password but no username; add username", about_parent=True)
        return username

    @staticmethod
    def check_plaintext(allowed: bool, info: ValidationInfo) -> bool:
        host, security = info.data.get("host"), info.data.get("security")
        if security == "none" and host is not None and not allowed and not is_loopback(host):
            text = "sends mail and password in clear; use security tls or starttls, or allow_plaintext: true"
            raise problem(text, about_parent=True)
        return allowed


# The server deletes what is flagged so at the next EXPUNGE of anybody; the service never deletes mail.
_FORBIDDEN_FLAGS = frozenset({"\\deleted", "\\recent"})
_FLAG = re.compile(r"\\(?:Seen|Flagged|Answered|Draft)|[A-Za-z0-9$_.+-]+", re.ASCII)  # RFC 3501 §9 flag


def _check_flag(flag: str) -> str:
    if flag.lower() in _FORBIDDEN_FLAGS:
        raise problem("is not for us to set; nothing is ever deleted")
    if _FLAG.fullmatch(flag) is None:
        raise problem(r"is no IMAP flag; write for example \Seen, \Flagged or a keyword of letters and digits")
    return flag


class MarkRule(Section):
    """What is done on the server with a message whose fate is committed."""

    folder: Line | None = None
    flags: tuple[Annotated[str, AfterValidator(_check_flag)], ...] = ("\\Seen",)


class HeldRule(MarkRule):
    """The rule for what waits for a person, who shall see it at once."""

    flags: tuple[Annotated[str, AfterValidator(_check_flag)], ...] = ("\\Flagged",)


class Marks(Section):
    """One rule for each `services.ports.Mark`, under its value."""

    processed: MarkRule = MarkRule()
    redirected: MarkRule = MarkRule()
    spam: MarkRule = MarkRule()
    held: HeldRule = HeldRule()


class Imap(Server):
    """The server the mail is fetched from."""

    host: Host
    security: Security = "tls"
    port: Port = Field(default=None, validate_default=True)
    username: Line
    ca_file: FilePath | None = None
    allow_plaintext: bool = Field(default=False, validate_default=True)
    idle: bool = True
    poll_interval: Annotated[Duration, AfterValidator(duration_between("10s", "1h"))] = timedelta(seconds=60)
    folders: tuple[Line, ...] = ("INBOX",)
    junk: Line | None = "auto"
    marks: Marks = Marks()

    @field_validator("port", mode="before")
    @classmethod
    def _usual_port(cls, port: object, info: ValidationInfo) -> object:
        return port if port is not None else 993 if info.data.get("security", "tls") == "tls" else 143

    _plaintext = field_validator("allow_plaintext")(Server.check_plaintext)
    _username = field_validator("username")(Server.check_username)

    @field_validator("folders")
    @classmethod
    def _distinct_folders(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(_some(folders), "folder")

    @field_validator("marks")
    @classmethod
    def _not_into_watched(cls, marks: Marks, info: ValidationInfo) -> Marks:
        names = (*info.data.get("folders", ()), info.data.get("junk"))
        watched = {_folder_key(name) for name in names if name is not None}
        text = "is watched itself, so that mail moved there would come in again; name another folder"
        found: list[tuple[Location, str]] = [
            ((name, "folder"), text)
            for name in Marks.model_fields
            if (folder := getattr(marks, name).folder) is not None and _folder_key(folder) in watched
        ]
        if found:
            raise problems(found)
        return marks


class Smtp(Server):
    """The server our mail is handed to."""

    host: Host
    security: Security = "tls"
    port: Port = Field(default=None, validate_default=True)
    username: Line | None = Field(default=None, validate_default=True)
    ca_file: FilePath | None = None
    allow_plaintext: bool = Field(default=False, validate_default=True)
    connections: int = Field(default=4, ge=1, le=20)
    timeout: Annotated[Duration, AfterValidator(duration_between("1s", "10m"))] = timedelta(seconds=60)
    envelope_from: EnvelopeSender | None = None

    @field_validator("port", mode="before")
    @classmethod
    def _usual_port(cls, port: object, info: ValidationInfo) -> object:
        return port if port is not None else 465 if info.data.get("security", "tls") == "tls" else 587

    _plaintext = field_validator("allow_plaintext")(Server.check_plaintext)
    _username = field_validator("username")(Server.check_username)


class Contact(Section):
    """A further way to reach the team, named in the redirect mail."""

    label: Line
    value: Line


class Maintainer(Section):
    """A person who works on the cases of a mailbox."""

    name: Line
    address: Address
    signed_only: bool = False


class MailboxLimits(Section):
    """How many automatic answers a mailbox sends to strangers."""

    sender_per_day: int = Field(default=10, ge=1, le=100_000)
    domain_per_day: int = Field(default=20, ge=1, le=100_000)
    per_hour: int = Field(default=200, ge=1, le=100_000)
    public_providers: tuple[Domain, ...] = PUBLIC_PROVIDERS


class Notices(Section):
    """How maintainers are told."""

    attachment_limit: Annotated[Size, AfterValidator(size_between("0B", "50MB"))] = parse_size("5MB")
    collect_above_per_hour: int = Field(default=20, ge=1, le=100_000)
    collect_every: Annotated[Duration, AfterValidator(duration_between("1m", "1d"))] = timedelta(minutes=15)
    digest_at: TimeOfDay = time(7, 0)


class Mailbox(Section):
    """One watched address with its own identity."""

    name: str
    address: Address
    aliases: tuple[Address, ...] = ()
    team_address: Address
    project_name: Line
    contacts: tuple[Contact, ...] = ()
    policy_url: Url | None = None
    asks: tuple[Asked, ...] = ("credit",)
    intent: str = "balanced"
    imap: Imap | None = Field(default=None, validate_default=True)
    smtp: Smtp
    authserv_id: Domain | None = None
    dkim: bool = True
    reply_to: ReplyAddress | None = None
    maintainers: tuple[Maintainer, ...]
    strict: bool = False
    reference: str = "SEC-{year}-{number:04d}"
    time_zone: Zone = "UTC"
    working_days: tuple[Day, ...] = DAYS[:5]
    first_response_working_days: int = Field(default=2, ge=1, le=30)
    clocks: Clocks = Clocks()
    maintainer_reply: Literal["note", "reporter"] = "note"
    answer_backlog: bool = False
    ack_unauthenticated: bool = True
    shadow: bool = False
    limits: MailboxLimits = MailboxLimits()
    notices: Notices = Notices()
    canary: Canary | None = Canary()

    @property
    def own_addresses(self) -> frozenset[str]:
        """The address and its aliases in lower case: mail from them is our own."""
        return frozenset(address.lower() for address in (self.address, *self.aliases))

    @field_validator("asks")
    @classmethod
    def _asked_once(cls, asks: tuple[Asked, ...]) -> tuple[Asked, ...]:
        return _distinct(asks, "question")

    @field_validator("working_days")
    @classmethod
    def _some_days(cls, days: tuple[Day, ...]) -> tuple[Day, ...]:
        return _distinct(_some(days), "day")

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if re.fullmatch(r"[a-z0-9-]{1,40}", name) is None:
            raise problem("must be 1 to 40 lower-case letters, digits and hyphens")
        return name

    @field_validator("intent")
    @classmethod
    def _intent(cls, intent: str) -> str:
        if re.fullmatch(r"strict|balanced|open|1/[1-9]\d{1,5}", intent) is None:
            raise problem("must be strict, balanced, open, or 1/N for at most one report in N missed (N from 10 on)")
        return intent

    @field_validator("imap")
    @classmethod
    def _some_way_in(cls, imap: Imap | None, info: ValidationInfo) -> Imap | None:
        if imap is None and isinstance(info.context, LoadContext) and not info.context.pushed:
            raise problem("is missing; add it, or let your mail server push mail in (intake)")
        return imap

    @field_validator("aliases")
    @classmethod
    def _other_addresses(cls, aliases: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("address", "").lower() in {alias.lower() for alias in aliases}:
            raise problem("lists the address of the mailbox itself; remove it there")
        return _distinct(aliases, "address")

    @field_validator("team_address")
    @classmethod
    def _no_loop(cls, team: str, info: ValidationInfo) -> str:
        if team.lower() in _own(info):
            raise problem("is the address of this mailbox, so that a redirect would lead back here; name another one")
        return team

    @field_validator("maintainers")
    @classmethod
    def _people(cls, people: tuple[Maintainer, ...], info: ValidationInfo) -> tuple[Maintainer, ...]:
        own = _own(info)
        found: list[tuple[Location, str]] = [
            (
                (at, "address"),
                "is an address of this mailbox, so that notices would come in as reports; name a person's",
            )
            for at, person in enumerate(_some(people))
            if person.address.lower() in own
        ]
        found += _repeated([person.address for person in people], "address of a maintainer", "address")
        if found:
            raise problems(found)
        return people

    @field_validator("strict")
    @classmethod
    def _two_people(cls, strict: bool, info: ValidationInfo) -> bool:
        if strict and len(info.data.get("maintainers", (None, None))) < 2:
            raise problem("needs two maintainers: what cannot be undone takes the signatures of both; add another one")
        return strict

    @field_validator("reference")
    @classmethod
    def _reference(cls, pattern: str) -> str:
        try:
            parts = list(string.Formatter().parse(pattern))
        except ValueError:
            raise problem("has unpaired braces; write for example SEC-{year}-{number:04d}") from None
        fields = [name for _, name, _, _ in parts if name is not None]
        if not set(fields) <= {"year", "number"} or "number" not in fields:
            raise problem("must have {number} in it, and may have {year}; write for example SEC-{year}-{number:04d}")
        # A width of ten digits at most: "{number:0999999999d}" would take a gigabyte.
        if any(conversion or not re.fullmatch(r"(0?[1-9])?d?", spec or "") for _, _, spec, conversion in parts):
            raise problem("has a format other than a width; write for example {number:04d}")
        if re.fullmatch(r"[A-Z0-9][A-Z0-9-]{0,39}", pattern.format(year=2026, number=1)) is None:
            raise problem("must make capital letters, digits and hyphens, 40 at most, for example SEC-2026-0001")
        return pattern


class GlobalLimits(Section):
    """Limits of the whole service."""

    max_message_size: Annotated[Size, AfterValidator(size_between("100kB", "1GB"))] = parse_size("50MB")


class OutboxSettings(Section):
    """How hard and how fast mail is sent."""

    max_per_hour: int = Field(default=2000, ge=1, le=1_000_000)
    retry_first: Annotated[Duration, AfterValidator(duration_between("1s", "1h"))] = timedelta(minutes=1)
    retry_max: Annotated[Duration, AfterValidator(duration_between("1m", "1d"))] = timedelta(hours=4)
    # RFC 5321 §4.5.4.1: "the give-up time generally needs to be at least 4-5 days".
    give_up_after: Annotated[Duration, AfterValidator(duration_between("1h", "30d"))] = timedelta(days=5)

    @field_validator("retry_max")
    @classmethod
    def _not_below_first(cls, longest: timedelta, info: ValidationInfo) -> timedelta:
        if longest < info.data.get("retry_first", longest):
            raise problem("is shorter than retry_first; make it at least as long")
        return longest

    @field_validator("give_up_after")
    @classmethod
    def _not_below_longest(cls, end: timedelta, info: ValidationInfo) -> timedelta:
        if end < info.data.get("retry_max", end):
            raise problem("is shorter than retry_max; make it at least as long")
        return end


class Dns(Section):
    """Whom we ask for the keys of DKIM signatures."""

    nameservers: tuple[str, ...] = ()

    @field_validator("nameservers")
    @classmethod
    def _addresses(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [at for at, server in enumerate(written) if nameserver(server) is None]
        if wrong:
            text = 'is no IP address; write for example "127.0.0.1", "127.0.0.1:5353", "::1" or "[::1]:5353"'
            raise problems(((at,), text) for at in wrong)
        return _distinct(written, "name server")

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Address and port of each."""
        return tuple(found for server in self.nameservers if (found := nameserver(server)) is not None)


class Health(Section):
    """The small HTTP endpoint for monitoring."""

    listen: str = "127.0.0.1:8025"

    @field_validator("listen")
    @classmethod
    def _loopback(cls, listen: str) -> str:
        host, _ = endpoint(listen, "127.0.0.1:8025")
        if not is_loopback(host):
            raise problem("must be on loopback, since it asks for no password; write 127.0.0.1, [::1] or localhost")
        return listen

    @property
    def host(self) -> str:
        """The address without brackets."""
        return endpoint(self.listen, "")[0]

    @property
    def port(self) -> int:
        """The port; 0 takes a free one."""
        return endpoint(self.listen, "")[1]


class Logging(Section):
    """What is written to standard error, and how."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section):
    """The whole configuration, as `load` returns it."""

    database: Database = Field(default_factory=dict, validate_default=True)
    secret_file: AnyPath = Field(default=Path("mailbox.secret"), validate_default=True)
    openpgp: OpenPgp = OpenPgp()
    templates: FolderPath | None = None
    intake: Doors = Doors()
    mailboxes: tuple[Mailbox, ...]
    limits: GlobalLimits = GlobalLimits()
    outbox: OutboxSettings = OutboxSettings()
    dns: Dns = Dns()
    health: Health | None = None
    alarms: Alarms = Alarms()
    logging: Logging = Logging()
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """`FILE:LINE: path.to.key: what` that an operator should look at, though the service can run."""
        return self._warnings

    def mailbox(self, name: str) -> Mailbox | None:
        """The mailbox of that name, if there is one."""
        return next((mailbox for mailbox in self.mailboxes if mailbox.name == name), None)

    @field_validator("secret_file")
    @classmethod
    def _in_a_folder(cls, file: Path) -> Path:
        if not file.parent.is_dir():
            raise problem("its folder does not exist; create it, or correct the path")
        return file

    @field_validator("mailboxes")
    @classmethod
    def _mailboxes(cls, mailboxes: tuple[Mailbox, ...], info: ValidationInfo) -> tuple[Mailbox, ...]:
        found = _repeated([mailbox.name for mailbox in _some(mailboxes)], "name of a mailbox", "name")
        found += _repeated([mailbox.address for mailbox in mailboxes], "address of a mailbox", "address")
        doors: Doors | None = info.data.get("intake")
        if doors is not None and (doors.lmtp or doors.smtp):
            found += _shared_addresses(mailboxes)
        found += _colliding_references(mailboxes)
        openpgp: OpenPgp | None = info.data.get("openpgp")
        if openpgp is not None and openpgp.folder is None:
            found += _signatures_wanted(mailboxes)
        if found:
            raise problems(found)
        return mailboxes


def _colliding_references(mailboxes: tuple[Mailbox, ...]) -> list[tuple[Location, str]]:
    """Mailboxes with one pattern share a sequence; two patterns that write the same would number two cases alike."""
    text = "writes the same references as another mailbox, but is another pattern; use the very same one"
    first: dict[str, str] = {}
    return [
        ((at, "reference"), text)
        for at, mailbox in enumerate(mailboxes)
        if first.setdefault(mailbox.reference.format(year=2026, number=1), mailbox.reference) != mailbox.reference
    ]


def _shared_addresses(mailboxes: tuple[Mailbox, ...]) -> list[tuple[Location, str]]:
    """What is pushed finds its mailbox by the recipient alone."""
    text = "is an address of another mailbox too, so that mail pushed for it could go to either; keep one of them"
    return [
        ((at, "aliases", index), text)
        for at, mailbox in enumerate(mailboxes)
        for index, alias in enumerate(mailbox.aliases)
        if any(alias.lower() in other.own_addresses for other in mailboxes if other is not mailbox)
    ]


def _signatures_wanted(mailboxes: tuple[Mailbox, ...]) -> list[tuple[Location, str]]:
    """Where signatures are asked for that nobody could verify."""
    text = "asks for signatures, and no OpenPGP is configured to verify them; name a folder in openpgp.folder"
    found: list[tuple[Location, str]] = [((at, "strict"), text) for at, one in enumerate(mailboxes) if one.strict]
    return found + [
        ((at, "maintainers", index, "signed_only"), text)
        for at, mailbox in enumerate(mailboxes)
        for index, person in enumerate(mailbox.maintainers)
        if person.signed_only
    ]


def _some(values: tuple[_T, ...]) -> tuple[_T, ...]:
    # Not min_length: pydantic counts the valid items only, and would complain again about each wrong one.
    if not values:
        raise problem("is empty; add at least one")
    return values


def _folder_key(name: str) -> str:
    # RFC 3501 §5.1: INBOX alone is the same in any case.
    return "INBOX" if name.upper() == "INBOX" else name


def _own(info: ValidationInfo) -> set[str]:
    addresses = (info.data.get("address", ""), *info.data.get("aliases", ()))
    return {address.lower() for address in addresses if address}


def _repeated(values: list[str], what: str, *at: str) -> list[tuple[Location, str]]:
    """One error for each of `values` that equals an earlier one but for case; `at` is the way down to it."""
    lowered = [value.lower() for value in values]
    text = f"is the {what} above already; each must be different"
    return [((index, *at), text) for index, value in enumerate(lowered) if value in lowered[:index]]


def _distinct(values: tuple[_Text, ...], what: str) -> tuple[_Text, ...]:
    if found := _repeated(list(values), what):
        raise problems(found)
    return values
