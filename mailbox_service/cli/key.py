"""`key`: the mailboxes' own OpenPGP keys, and whose key is whose."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from mailbox_service.cli.check import KEYS as FINDING_KEYS
from mailbox_service.cli.check import write_finding
from mailbox_service.cli.exits import Exit
from mailbox_service.cli.findings import Finding
from mailbox_service.cli.invocation import AsJson, Invocation, OfMailbox, known_mailbox
from mailbox_service.cli.message import person, waiting_mails
from mailbox_service.cli.output import (
    Column,
    complain,
    facts,
    heading,
    listing,
    new_file,
    write,
    write_bytes,
    write_json,
)
from mailbox_service.errors import NotFound, PermanentError, Refused

if TYPE_CHECKING:
    from mailbox_service.adapters.openpgp import GpgDoor, Homes
    from mailbox_service.config import Config, Mailbox
    from mailbox_service.core.gpg.keys import KeyFacts
    from mailbox_service.services.ports.openpgp import PublicKey

T = TypeVar("T")

app = typer.Typer(name="key", help="OpenPGP: the mailboxes' own keys, and whose key is whose.", no_args_is_help=True)

# Read at most this much of a file that should be a key; the door refuses less.
READ_BYTES = 1_000_000

# The stable keys of --json (docs/cli.md).
KEYS = ("mailbox", "kind", "address", "case", "fingerprint", "expires_at", "how", "pinned_at")
COLUMNS = (
    Column("MAILBOX", "mailbox", if_varied=True),
    Column("KIND", "kind"),
    Column("ADDRESS", "address", shrinks=True),
    Column("CASE", "case"),
    Column("FINGERPRINT", "fingerprint"),
    Column("EXPIRES (UTC)", "expires_at"),
    Column("HOW", "how"),
)
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose key it is.", show_default=False)]
InMailbox = Annotated[
    str | None, typer.Option("--mailbox", metavar="NAME", help="The mailbox; needed where there are several.")
]
OfCase = Annotated[str | None, typer.Option("--case", metavar="REF", help="For this case only.")]


@app.command()
def generate(
    context: typer.Context,
    mailbox: InMailbox = None,
    valid_for: Annotated[
        str, typer.Option("--valid-for", metavar="TIME", help="Days, weeks, months or years: 90d, 26w, 18m, 2y.")
    ] = "2y",
    another: Annotated[bool, typer.Option("--another", help="Also where the mailbox has a key already.")] = False,
) -> None:
    """Make a key of the mailbox's own: Ed25519 to sign, Cv25519 to decrypt."""
    import re

    from mailbox_service.adapters.openpgp.ownership import generate as made_by

    if re.fullmatch(r"[1-9][0-9]{0,3}[dwmy]", valid_for) is None:
        raise typer.BadParameter("write days, weeks, months or years, as in 18m or 2y")
    config = Invocation.of(context).config(mail_files=False)
    chosen = _mailbox(config, mailbox)
    with _keyrings(config) as homes:
        there = _door(homes, chosen, config).own_keys()
        if any(key.can_secretly("s") for key in there) and not another:
            raise Refused(f"the mailbox {chosen.name} has the key {there[0].fingerprint} already; --another makes one")
        key = made_by(homes, f"{chosen.project_name} security", chosen.address, valid_for)
        _show(key)
        write(f"\nIts revocation certificate: {homes.revocation_certificate(key.fingerprint)}")
    write("Move that file to a safe place away from this host: it is what recalls a key that was stolen.")
    write(f"Back up {config.openpgp.folder} by itself; no backup of the database holds the secret key.")


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The secret key; - is standard input.")],
    mailbox: InMailbox = None,
) -> None:
    """Take in a secret key of the mailbox's own, or a subkey that decrypts.

    A key with other user ids than the mailbox's addresses is refused.
    """
    from mailbox_service.adapters.openpgp.ownership import bring_in

    config = Invocation.of(context).config(mail_files=False)
    chosen, data = _mailbox(config, mailbox), _read(file)
    with _keyrings(config) as homes:
        key = bring_in(homes, data, chosen.own_addresses)
    _show(key)
    if not key.can_secretly("s"):
        write("\nIt decrypts only. To sign what the mailbox sends it needs a key of its own: key generate.")
    write(f"The file {file} holds a secret key: keep it away from this host, or delete it.")


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False, mailbox: OfMailbox = None) -> None:
    """The mailboxes' own keys, and what is pinned to whom."""
    rows: list[dict[str, Any]] = []
    with Invocation.of(context).database() as (config, database):
        database.run(lambda tx: known_mailbox(tx, mailbox, config))
        pinned = database.run(lambda tx: tx.pin_rows(mailbox))
    if config.openpgp.folder is not None:
        with _keyrings(config) as homes:
            for one in config.mailboxes:
                if mailbox in (None, one.name):
                    rows += [_own_row(one, key) for key in _door(homes, one, config).own_keys()]
    rows += [row | {"kind": "pinned"} for row in pinned]
    listing(rows, COLUMNS, KEYS, as_json=as_json, empty="No keys.")


@app.command()
def lookup(
    context: typer.Context,
    address: Address,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A new file for the key, for key pin --file.")
    ] = None,
    mailbox: InMailbox = None,
) -> None:
    """Ask the domain of an address for its key (Web Key Directory). Nothing is pinned.

    The domain's server learns that this host asked for the address; the daemon never does it by itself.
    """
    from mailbox_service.adapters.openpgp.wkd import look_up

    config = Invocation.of(context).config(mail_files=False)
    whose = _address(address)
    chosen = _mailbox(config, mailbox)
    data, host = look_up(address.strip())  # some servers tell capital letters apart (§3.1)
    with _keyrings(config) as homes:
        offered = [one for one in _door(homes, chosen, config).examine(data) if whose in one.facts.addresses]
    if not offered:
        raise NotFound(f"what {host} offers is no key with the user id {whose}")
    for one in offered:
        _show(one.facts)
        if one.facts.weakness or not one.facts.can("e"):
            complain(f"It cannot be pinned: {', '.join(one.facts.weakness) or 'it expired, or cannot encrypt'}.")
    write(
        f"\nFrom {host}. Whoever runs that server vouches for it, and nobody else: compare all digits with its owner."
    )
    if output is not None:
        with new_file(output) as file:
            file.write(data)
        write(f"Then: mailbox-service key pin {whose} FINGERPRINT --file {output}")


@app.command()
def pin(
    context: typer.Context,
    address: Address,
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="All 40 digits, as its owner told you.", show_default=False)
    ],
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE|-", help="The public key; not needed where it was pinned before."),
    ] = None,
    case: OfCase = None,
    mailbox: InMailbox = None,
) -> None:
    """Say that a key is a person's. Compare the fingerprint with its owner by another way than mail."""
    from mailbox_service.app import now
    from mailbox_service.services.key_news import HOST, pin_on_host
    from mailbox_service.services.ports.openpgp import Pin

    invocation = Invocation.of(context)
    wanted, whose = _fingerprint(fingerprint), _address(address)
    data = _read(file) if file is not None else None
    with invocation.database() as (config, database):
        chosen = _mailbox(config, mailbox)
        known = None if data is not None else database.run(lambda tx: tx.known_key(wanted))
        case_id = database.run(lambda tx: None if case is None else tx.case_row(case)["id"])
        key, found = _examined(config, chosen, wanted, data, known)
    new = Pin(chosen.name, whose, key, case_id, HOST, now(), found.expires_at, person())
    changed, left = _told(
        invocation, chosen.name, lambda tx, mailbox, correspondence: pin_on_host(tx, mailbox, correspondence, new)
    )
    _show(found)
    if whose not in found.addresses:
        complain(f"None of its user ids is {whose}. It is pinned all the same: you say whose key it is.")
    write(f"\n{'Pinned' if changed else 'Is pinned already'} to {whose}{f' for {case}' if case else ''}.")
    _say_who_is_told(changed, left)


@app.command()
def unpin(context: typer.Context, address: Address, case: OfCase = None, mailbox: InMailbox = None) -> None:
    """Take a key away from a person: nothing is encrypted to it any more, and its signatures prove nothing."""
    from mailbox_service.app import now
    from mailbox_service.services.key_news import unpin_on_host

    invocation, by = Invocation.of(context), person()
    with invocation.database() as (config, database):
        chosen = _mailbox(config, mailbox)
        case_id = database.run(lambda tx: None if case is None else tx.case_row(case)["id"])
    gone, left = _told(
        invocation,
        chosen.name,
        lambda tx, mailbox, correspondence: unpin_on_host(tx, mailbox, correspondence, address, case_id, by, now()),
    )
    if not gone:
        raise NotFound(f"no key is pinned to {address}{f' for {case}' if case else ''} in the mailbox {chosen.name}")
    write(f"Unpinned: {', '.join(gone)}.")
    _say_who_is_told(True, left)


@app.command()
def export(
    context: typer.Context,
    mailbox: InMailbox = None,
    as_: Annotated[
        Literal["armor", "wkd", "autocrypt"],
        typer.Option("--as", help="For the website, as a folder for WKD, or as a header of mails."),
    ] = "armor",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PATH", help="A new file; for wkd the web server's folder.")
    ] = None,
) -> None:
    """The mailbox's public key, for others."""
    from mailbox_service.adapters.openpgp.listing import exported
    from mailbox_service.core.gpg.publishing import autocrypt_header

    if as_ == "wkd" and output is None:
        raise typer.BadParameter("--as wkd writes files: name the web server's folder with -o")
    config = Invocation.of(context).config(mail_files=False)
    chosen = _mailbox(config, mailbox)
    with _keyrings(config) as homes:
        own = [k for k in _door(homes, chosen, config).own_keys() if chosen.address.lower() in k.addresses]
        if not own:
            raise NotFound(f"the mailbox {chosen.name} has no key of its own; run `mailbox-service key generate`")
        data = exported(homes.refreshed(), own[0].fingerprint, armor=as_ == "armor")
    if as_ == "wkd":
        assert output is not None  # noqa: S101 - looked at above
        _write_wkd(output, chosen.address, data)
        return
    text = autocrypt_header(chosen.address, data).encode() if as_ == "autocrypt" else data
    if output is None:
        write_bytes(text)
        return
    with new_file(output) as file:
        file.write(text)


@app.command()
def check(context: typer.Context, as_json: AsJson = False, mailbox: OfMailbox = None) -> None:
    """Whether all keys are there, strong, and valid for 30 more days.

    Exit codes: 0 all are, 1 not all.
    """
    from mailbox_service.app import now

    findings: list[Finding] = []
    with Invocation.of(context).database() as (config, database):
        database.run(lambda tx: known_mailbox(tx, mailbox, config))
        with _keyrings(config) as homes:
            for one in config.mailboxes:
                if mailbox in (None, one.name):
                    pinned = database.run(lambda tx: tx.pins(one.name))  # noqa: B023
                    door = _door(homes, one, config)
                    findings += _findings(one, door, pinned, now())
    if as_json:
        write_json([{name: getattr(finding, name) for name in FINDING_KEYS} for finding in findings])
    else:
        for finding in findings:
            write_finding(finding)
    if any(finding.level != "ok" for finding in findings):
        raise typer.Exit(Exit.FAILED)


# --- telling ----------------------------------------------------------------------------------------------


def _told(invocation: Invocation, mailbox: str, work: Callable[..., T]) -> tuple[T, int]:
    """What `work` does in a transaction, given the mailbox and who writes its mails; and how many wait then."""

    async def run() -> tuple[T, int]:
        async with invocation.service() as service:
            done = await service.database.transact(
                lambda tx: work(tx, service.mailboxes[mailbox], service.correspondence)
            )
            left = await service.database.transact(lambda tx: tx.waiting([mailbox]))
        return done, left["mails"]

    return asyncio.run(run())


def _say_who_is_told(changed: bool, left: int) -> None:
    if changed and left:
        write("The person is told by the old way and by the new one, and so are the maintainers.")
        write(waiting_mails(left))


# --- parts -------------------------------------------------------------------------------------------------


def _findings(mailbox: Mailbox, door: GpgDoor, pinned: Any, now: Any) -> Iterator[Finding]:
    from mailbox_service.core.gpg.keys import days_warned

    own = door.own_keys()
    remedy = "run `mailbox-service key generate --another`, publish the new key, and keep the old one to read with"
    signing = next((key for key in own if key.can_secretly("s")), None)
    if signing is None:
        yield Finding.error(mailbox.name, "has no key that signs", "run `mailbox-service key generate`")
    for key in own:
        subject = f"{mailbox.name} own key {key.fingerprint}"
        yield from _judged(subject, key, days_warned(key.expires_at, now), remedy)
    for one in pinned:
        subject = f"{mailbox.name} {one.address} {one.key.fingerprint}"
        remedy = "ask its owner for a renewed key, and run `mailbox-service key pin` with it"
        found = [o.facts for o in door.examine(one.key.data) if o.key.fingerprint == one.key.fingerprint]
        if not found:
            yield Finding.error(subject, "cannot be read", remedy)
        for as_it_is in found:
            yield from _judged(subject, as_it_is, days_warned(as_it_is.expires_at, now), remedy)


def _judged(subject: str, key: KeyFacts, days: int | None, remedy: str) -> Iterator[Finding]:
    if key.revoked or key.weakness:
        yield Finding.error(subject, "is revoked" if key.revoked else f"is weak: {', '.join(key.weakness)}", remedy)
    elif key.expired or days == 0 or not key.can("e"):
        yield Finding.error(subject, "has expired, or cannot be encrypted to", remedy)
    elif days is not None:
        yield Finding.warning(subject, f"expires on {key.expires_at:%Y-%m-%d}", remedy)
    else:
        until = f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "for ever"
        yield Finding.ok(subject, f"{key.algorithm}, valid {until}")


def _examined(
    config: Config, mailbox: Mailbox, wanted: str, data: bytes | None, known: PublicKey | None
) -> tuple[PublicKey, KeyFacts]:
    """The wanted key out of a file, or as it was pinned before. Raises: Refused, NotFound."""
    if data is None and known is None:
        raise NotFound(f"the key {wanted} was not pinned before; give its file: --file FILE")
    with _keyrings(config) as homes:
        offered = _door(homes, mailbox, config).examine(data if data is not None else known.data if known else b"")
    for one in offered:
        if one.key.fingerprint == wanted:
            if one.facts.weakness:
                raise Refused(f"the key is weak: {', '.join(one.facts.weakness)}")
            if not one.facts.can("e"):
                raise Refused("the key has expired, was revoked, or cannot encrypt")
            return one.key, one.facts
    raise Refused(f"the file holds another key: {', '.join(one.key.fingerprint for one in offered)}")


def _own_row(mailbox: Mailbox, key: KeyFacts) -> dict[str, Any]:
    kind = "own" if key.can_secretly("s") else "own, decrypts"
    row = {"mailbox": mailbox.name, "kind": kind, "address": mailbox.address, "case": None, "how": None}
    return row | {"fingerprint": key.fingerprint, "expires_at": key.expires_at, "pinned_at": None}


def _show(key: KeyFacts) -> None:
    told = [("fingerprint", key.fingerprint), ("algorithm", key.algorithm)]
    facts([*told, ("made at", key.created_at), ("expires at", key.expires_at)])
    heading("User ids:")
    for text in key.user_ids:
        write(f"    {text}")


def _write_wkd(folder: Path, address: str, data: bytes) -> None:
    from mailbox_service.core.gpg.publishing import wkd_paths

    direct = wkd_paths(address)[1].partition("/")[2]
    target = folder / direct
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        # An empty one says that the domain takes part.
        (target.parent.parent / "policy").touch()
    except OSError as error:
        complain(f"mailbox-service: cannot write {error.filename}: {error.strerror}")
        raise typer.Exit(Exit.CANTCREAT) from None
    write(f"Written: {target}")
    write(f"It belongs at https://{wkd_paths(address)[1]}")


def _mailbox(config: Config, name: str | None) -> Mailbox:
    if name is None and len(config.mailboxes) == 1:
        return config.mailboxes[0]
    names = ", ".join(mailbox.name for mailbox in config.mailboxes)
    if name is None:
        raise typer.BadParameter(f"there are several mailboxes; say which with --mailbox: {names}")
    found = config.mailbox(name)
    if found is None:
        raise NotFound(f"no mailbox {name}; there are: {names}")
    return found


@contextmanager
def _keyrings(config: Config) -> Iterator[Homes]:
    from mailbox_service.app.wiring import keyrings

    homes = keyrings(config)
    if homes is None:
        raise PermanentError("no folder for keys is configured; set openpgp: {folder: …}")
    with homes:
        yield homes


def _door(homes: Homes, mailbox: Mailbox, config: Config) -> GpgDoor:
    from mailbox_service.app.wiring import openpgp_door

    return openpgp_door(homes, mailbox, config)


def _fingerprint(text: str) -> str:
    plain = "".join(text.split()).upper()
    if len(plain) != 40 or set(plain) - set("0123456789ABCDEF"):
        raise typer.BadParameter("a fingerprint has 40 hexadecimal digits; a shorter id can be forged")
    return plain


def _address(text: str) -> str:
    from mailbox_service.core.gpg.keys import address_of

    if not address_of(text) or "<" in text:
        raise typer.BadParameter("is no plain mail address")
    return address_of(text)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(READ_BYTES)
    try:
        with Path(file).open("rb") as stream:
            return stream.read(READ_BYTES)
    except OSError as error:
        complain(f"mailbox-service: cannot read {file}: {error.strerror}")
        raise typer.Exit(Exit.NOINPUT) from None
