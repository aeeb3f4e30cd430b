"""One logged-in IMAP connection. Every wait has a deadline, and any doubt ends the connection.

After a failed wait, a cancellation or a lost connection the session is dead and another one must be made: a late
answer can then never be taken for the answer to something else. A server's NO or BAD is an answer, not a doubt:
it raises Refusal and the session stays usable.

A session belongs to one task at a time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from mailbox_service.adapters.imap import answers
from mailbox_service.adapters.imap.names import decode_mailbox, encode_mailbox, quote, wire_name
from mailbox_service.adapters.imap.protocol import (
    SMALL_ANSWER_BYTES,
    ConnectionLost,
    Exchange,
    GuardedProtocol,
)
from mailbox_service.adapters.imap.settings import Deadlines, ImapAccount
from mailbox_service.errors import AuthenticationError, TemporaryError

# RFC 5530 §3: the account is fine, the moment is not. LIMIT is what Dovecot says to too many connections.
_PASSING = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"})

HIGHEST_UID = 4294967295  # RFC 3501 §9, nz-number; "*" would also match the last message below the range

_FACTS = "(UID RFC822.SIZE INTERNALDATE)"

# A message of at most so many bytes may come along with its size, of so many messages at once.
SMALL_BYTES = 65536
FEW_BODIES = 4

# A search over this many numbers answers in one line of about 160 KB where every UID is taken.
_SEARCH_SPAN = 20_000


class InsecureConnection(TemporaryError):
    """The connection would not be safe: no TLS, a certificate we cannot verify, or plaintext to another machine."""


class FolderMissing(TemporaryError):
    """The folder is not on the server."""


class Refusal(TemporaryError):
    """The server answered NO or BAD. `code` is the response code (RFC 5530) or empty."""

    def __init__(self, command: str, result: str, code: str) -> None:
        super().__init__(f"the IMAP server answered {result}{f' [{code}]' if code else ''} to {command}")
        self.command, self.result, self.code = command, result, code


def _refusal(name: str, exchange: Exchange) -> Refusal:
    return Refusal(name, exchange.result, answers.code(exchange.text)[0])


@dataclass(frozen=True, slots=True)
class Selected:
    """What a folder says of itself when it is opened."""

    uidvalidity: int
    uidnext: int
    exists: int
    read_only: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says about one message before it is fetched."""

    size_bytes: int
    received_at: datetime | None


def _facts(found: dict[int, dict[bytes, answers.Item]]) -> dict[int, Facts]:
    facts = {}
    for uid, values in found.items():
        size = values.get(b"RFC822.SIZE")
        if isinstance(size, bytes) and size.isdigit():
            facts[uid] = Facts(int(size), answers.internal_date(values.get(b"INTERNALDATE")))
    return facts


def _tls_context(account: ImapAccount) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=account.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InsecureConnection("the authorities in ca_file cannot be read") from error


class Session:
    """Use as `async with Session(account, deadlines) as session`: logged in on entry, gone on exit.

    Raises on entry: AuthenticationError, InsecureConnection, ConnectionLost, Refusal, TemporaryError.
    """

    def __init__(self, account: ImapAccount, deadlines: Deadlines) -> None:
        self._account = account
        self._deadlines = deadlines
        self._protocol = GuardedProtocol(asyncio.get_running_loop())

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
            await self._login()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.logout()
        await self.close()

    # --- what is known without asking -------------------------------------------------------------------------

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset(self._protocol.capabilities)

    def can(self, capability: str) -> bool:
        return capability in self._protocol.capabilities

    @property
    def alive(self) -> bool:
        return self._protocol.lost is None

    @property
    def notices(self) -> int:
        """How many EXISTS the server has sent so far, with whatever command they came."""
        return self._protocol.notices

    @property
    def exists(self) -> int:
        """How many messages the open folder holds, as the server said last."""
        return self._protocol.exists

    # --- making and ending a connection -----------------------------------------------------------------------

    async def _connect(self) -> None:
        account = self._account
        if account.security == "none" and not (account.loopback or account.allow_plaintext):
            raise InsecureConnection("plaintext IMAP to another machine is not allowed")
        context = _tls_context(account) if account.security != "none" else None
        implicit = account.security == "tls"
        loop = asyncio.get_running_loop()
        async with self._deadline("connecting"):
            transport, _ = await loop.create_connection(
                lambda: self._protocol,
                account.host,
                account.port,
                ssl=context if implicit else None,
                server_hostname=account.host if implicit else None,
            )
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # Finds a dead peer in the end even where every deadline of ours is switched off by a bug.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with self._deadline("the greeting"):
            await self._protocol.greeting.wait()
        if self._protocol.lost is not None:
            raise self._protocol.lost
        greeting = self._protocol.greeting_line.upper()
        if greeting.startswith(b"* PREAUTH"):
            # Authenticated before we said who we are: under STARTTLS it is the way around TLS, else not our account.
            raise InsecureConnection("the IMAP server greets with PREAUTH")
        if not greeting.startswith(b"* OK"):
            raise TemporaryError("the IMAP server greets with something else than OK")
        await self._run("CAPABILITY")
        if account.security == "starttls" and context is not None:
            await self._start_tls(context)

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        if not self.can("STARTTLS"):
            raise InsecureConnection("the IMAP server does not offer STARTTLS")
        try:
            await self._run("STARTTLS")
        except Refusal as error:
            raise InsecureConnection("the IMAP server refuses STARTTLS") from error
        protocol = self._protocol
        async with self._deadline("the TLS handshake"):
            protocol.transport = await asyncio.get_running_loop().start_tls(
                protocol.transport, protocol, context, server_hostname=self._account.host
            )
        # RFC 3501 §6.2.1: what was said before TLS does not count.
        protocol.capabilities = set()
        await self._run("CAPABILITY")

    @contextlib.asynccontextmanager
    async def _deadline(self, what: str) -> AsyncIterator[None]:
        seconds = self._deadlines.connect
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            self.abort()
            raise TemporaryError(f"the IMAP server took longer than {seconds:g} s for {what}") from error
        except ssl.SSLCertVerificationError as error:
            self.abort()
            raise InsecureConnection(f"the IMAP server's certificate is not valid: {error.verify_message}") from error
        except (OSError, ssl.SSLError) as error:
            self.abort()
            reason = error.strerror if not isinstance(error, ssl.SSLError) else error.reason
            raise TemporaryError(f"no connection to the IMAP server: {reason or type(error).__name__}") from error
        except BaseException:
            self.abort()
            raise

    async def _login(self) -> None:
        user = self._account.username
        try:
            password = self._account.password()
        except OSError as error:
            raise TemporaryError("the IMAP password cannot be read") from error
        if "\0" in user or "\0" in password:
            raise AuthenticationError("the IMAP login holds a NUL")
        try:
            if self.can("AUTH=PLAIN"):
                answer = base64.b64encode(f"\0{user}\0{password}".encode())
                if self.can("SASL-IR"):
                    await self._run("AUTHENTICATE", "PLAIN", answer.decode(), silence=self._deadlines.login)
                else:
                    await self._run("AUTHENTICATE", "PLAIN", pieces=[answer], silence=self._deadlines.login)
            elif self.can("LOGINDISABLED"):
                raise AuthenticationError("the IMAP server offers no login that we know on this connection")
            else:
                await self._plain_login(user, password)
        except Refusal as error:
            if error.code in _PASSING:
                raise
            raise AuthenticationError(f"the login was refused: {error}") from error
        await self._run("CAPABILITY")

    async def _plain_login(self, user: str, password: str) -> None:
        """LOGIN (RFC 3501 §6.2.3). Quoted strings are ASCII without CR and LF, all else goes as literals."""
        silence = self._deadlines.login
        if (user + password).isascii() and (user + password).isprintable():
            await self._run("LOGIN", quote(user), quote(password), silence=silence)
            return
        first, second = user.encode(), password.encode()
        pieces = [first + b" {%d}" % len(second), second]
        await self._run("LOGIN", f"{{{len(first)}}}", pieces=pieces, silence=silence)

    async def logout(self) -> None:
        """Say goodbye where that is possible within a moment."""
        if self.alive:
            with contextlib.suppress(TemporaryError):
                await self._run("LOGOUT", silence=self._deadlines.logout)

    def abort(self) -> None:
        """End the connection at once. May be called at any time, more than once."""
        self._protocol.abort()

    async def close(self) -> None:
        """End the connection and wait until nothing of it is left in the event loop."""
        self.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._deadlines.logout):
                await self._protocol.closed.wait()

    # --- commands ---------------------------------------------------------------------------------------------

    async def _ask(
        self,
        name: str,
        *args: str,
        prefix: str = "",
        pieces: Iterable[bytes] = (),
        budget_bytes: int = SMALL_ANSWER_BYTES,
        silence: float | None = None,
    ) -> Exchange:
        """The finished exchange of a command, whatever the server answered.

        Raises: ConnectionLost, also when the server fell silent.
        """
        protocol, loop = self._protocol, asyncio.get_running_loop()
        # A command with a deadline of its own has to be over by then, however much is said.
        end = loop.time() + (self._deadlines.command if silence is None else silence)
        silence = self._deadlines.silence if silence is None else silence
        try:
            exchange = Exchange(
                name, protocol.new_tag(), *args, prefix=prefix, pieces=pieces, budget_bytes=budget_bytes
            )
            async with asyncio.timeout(silence) as limit:

                def alive() -> None:
                    # Bytes prove life, but not for ever.
                    if not limit.expired():
                        limit.reschedule(min(loop.time() + silence, end))

                protocol.on_bytes = alive
                await protocol.execute(exchange)
        except TimeoutError as error:
            self.abort()
            raise ConnectionLost(f"the IMAP server did not finish {name} in time") from error
        except BaseException:
            self.abort()
            raise
        finally:
            protocol.on_bytes = None
        return exchange

    async def _run(
        self,
        name: str,
        *args: str,
        prefix: str = "",
        pieces: Iterable[bytes] = (),
        silence: float | None = None,
    ) -> Exchange:
        """The finished exchange of a command that was answered with OK.

        Raises: Refusal, ConnectionLost.
        """
        exchange = await self._ask(name, *args, prefix=prefix, pieces=pieces, silence=silence)
        if exchange.result != "OK":
            raise _refusal(name, exchange)
        return exchange

    async def noop(self) -> None:
        await self._run("NOOP")

    async def idle(self, seconds: float, since: int) -> None:
        """Wait until the server tells of new mail, at most `seconds` (RFC 2177).

        `since` is `notices` as it was before the folder was last searched: a notice that came after that is not
        repeated by the server, so then there is nothing to wait for.
        """
        protocol = self._protocol
        if protocol.notices != since:
            return
        protocol.news.clear()
        exchange = Exchange("IDLE", protocol.new_tag())
        try:
            protocol.begin(exchange)
            async with asyncio.timeout(self._deadlines.silence):
                await exchange.continued.wait()
            if not exchange.result:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(seconds, self._deadlines.idle)):
                        await protocol.news.wait()
                if protocol.lost is None:
                    protocol.write(b"DONE")
            async with asyncio.timeout(self._deadlines.idle_done):
                await exchange.wait()
        except TimeoutError as error:
            self.abort()
            raise ConnectionLost("the IMAP server did not finish IDLE in time") from error
        except BaseException:
            self.abort()
            raise
        if exchange.result != "OK":
            raise _refusal("IDLE", exchange)

    async def rest(self, seconds: float, since: int) -> None:
        """Wait `seconds` without a command; over at once after a notice (`since` as with `idle`).

        Raises: ConnectionLost.
        """
        protocol = self._protocol
        if protocol.lost is None and protocol.notices == since:
            protocol.news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await protocol.news.wait()
        if protocol.lost is not None:
            raise protocol.lost

    # --- folders ----------------------------------------------------------------------------------------------

    async def open(self, name: str, *, writable: bool = False) -> Selected:
        """Open a folder: SELECT where `writable`, else EXAMINE, under which nothing on the server can change.

        Raises: FolderMissing, Refusal, TemporaryError.
        """
        command = "SELECT" if writable else "EXAMINE"
        self._protocol.exists = 0
        try:
            exchange = await self._run(command, wire_name(name))
        except Refusal as error:
            if error.code == "NONEXISTENT" or not await self.folder_exists(name):
                raise FolderMissing("the folder is not on the IMAP server") from error
            raise
        codes = answers.untagged_codes(exchange.responses)
        if not codes.get("UIDVALIDITY", "").isdigit():
            raise TemporaryError("the IMAP server gives the folder no UIDVALIDITY")
        uidnext = codes.get("UIDNEXT", "")
        exists = self._protocol.exists
        return Selected(
            uidvalidity=int(codes["UIDVALIDITY"]),
            # Servers older than RFC 3501 do not tell UIDNEXT.
            uidnext=int(uidnext) if uidnext.isdigit() else await self._uidnext(exists),
            exists=exists,
            read_only=answers.code(exchange.text)[0] == "READ-ONLY",
        )

    async def _uidnext(self, exists: int) -> int:
        if not exists:
            return 1
        exchange = await self._run("FETCH", "*", "(UID)", prefix="UID")
        return max(answers.fetched(exchange.responses), default=0) + 1

    async def folder_exists(self, name: str) -> bool:
        exchange = await self._run("LIST", '""', wire_name(name))
        found = answers.listed(exchange.responses)
        # A name may hold LIST's wildcards, so the answer is compared too.
        wanted = decode_mailbox(encode_mailbox(name))
        return any(decode_mailbox(line.wire) == wanted and "\\nonexistent" not in line.attributes for line in found)

    async def folders(self) -> list[answers.Listed]:
        """All mailboxes that can be opened, with their special uses where the server tells them (RFC 6154)."""
        if self.can("SPECIAL-USE") and self.can("LIST-EXTENDED"):
            exchange = await self._run("LIST", '""', '"*"', "RETURN", "(SPECIAL-USE)")
        else:
            exchange = await self._run("LIST", '""', '"*"')
        lines = answers.listed(exchange.responses)
        return [line for line in lines if not line.attributes & {"\\noselect", "\\nonexistent"}]

    async def personal_namespace(self) -> tuple[str, str]:
        """The prefix of the account's own mailboxes and the hierarchy delimiter; empty where there is none.

        Both in the characters people write.
        """
        if self.can("NAMESPACE"):
            exchange = await self._run("NAMESPACE")
            for fragments in exchange.responses:
                if fragments[0][:12].upper() == b"* NAMESPACE ":
                    with contextlib.suppress(ValueError, IndexError, TypeError):
                        prefix, delimiter = answers.items(fragments, 12)[0][0][:2]  # type: ignore[index]
                        if isinstance(prefix, bytes) and isinstance(delimiter, bytes):
                            return decode_mailbox(prefix.decode("latin-1")), delimiter.decode("latin-1")
        exchange = await self._run("LIST", '""', '""')
        delimiters = [line.delimiter for line in answers.listed(exchange.responses) if line.delimiter]
        return "", delimiters[0] if delimiters else ""

    async def create(self, name: str) -> None:
        """Make a folder; one that is there already is fine. Raises: Refusal."""
        try:
            await self._run("CREATE", wire_name(name))
        except Refusal as error:
            if error.code != "ALREADYEXISTS" and not await self.folder_exists(name):
                raise
        else:
            # Mail programs show only what is subscribed; a server that cannot is no reason to stop.
            with contextlib.suppress(Refusal):
                await self._run("SUBSCRIBE", wire_name(name))

    # --- messages ---------------------------------------------------------------------------------------------

    async def uids(self, first: int, uidnext: int, exists: int) -> AsyncIterator[list[int]]:
        """All UIDs of the open folder from `first` on, ascending, in portions. By number alone, never by flag."""
        span, low = _SEARCH_SPAN, first
        while low <= HIGHEST_UID:
            # What came after the folder was opened is above `uidnext`: the last portion is open-ended.
            last = exists <= _SEARCH_SPAN or low + span >= uidnext
            high = HIGHEST_UID if last else low + span - 1
            found = await self.search(low, high)
            if found:
                yield found
            # UIDs may be thin over a wide range: then the steps grow.
            if len(found) < _SEARCH_SPAN // 4:
                span *= 4
            else:
                span = _SEARCH_SPAN
            low = high + 1

    async def search(self, low: int, high: int) -> list[int]:
        """The UIDs from `low` to `high` that the open folder holds, ascending."""
        exchange = await self._run("SEARCH", "UID", f"{low}:{high}", prefix="UID")
        return [uid for uid in answers.searched(exchange.responses) if low <= uid <= high]

    async def present(self, uids: Sequence[int]) -> set[int]:
        """Those of `uids` (ascending) that the open folder still holds."""
        exchange = await self._run("SEARCH", "UID", answers.uid_set(uids), prefix="UID")
        return set(answers.searched(exchange.responses)) & set(uids)

    async def facts(self, uids: Sequence[int]) -> tuple[dict[int, Facts], Refusal | None]:
        """Size and date of each of `uids` (ascending) the server answers for, and its refusal if there was one."""
        found, refusal = await self._fetch(uids, _FACTS, SMALL_ANSWER_BYTES)
        return _facts(found), refusal

    async def above(self, uid: int, *, with_bodies: bool) -> tuple[dict[int, Facts], dict[int, bytes]]:
        """Size and date of each message with a UID above `uid`, and where asked for the small ones themselves.

        For few of them: the server names the highest UID itself (RFC 3501 §6.4.8: `*` is always somebody). Nothing
        where the server refuses. A message that did not come whole is not among the bodies.
        Raises: AnswerTooLarge, ConnectionLost.
        """
        what = f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.{SMALL_BYTES}>)" if with_bodies else _FACTS
        exchange = await self._ask("FETCH", f"{uid + 1}:*", what, prefix="UID")
        if exchange.result != "OK":
            return {}, {}
        found = {n: values for n, values in answers.fetched(exchange.responses).items() if n > uid}
        facts = _facts(found)
        bodies = {n: values.get(b"BODY[]<0>") for n, values in found.items()}
        whole = {
            n: b for n, b in bodies.items() if isinstance(b, bytes) and n in facts and len(b) == facts[n].size_bytes
        }
        return facts, {n: body for n, body in whole.items() if body}

    async def bodies(self, uids: Sequence[int], budget_bytes: int) -> tuple[dict[int, bytes], Refusal | None]:
        """The messages `uids` (ascending) byte for byte, without touching \\Seen, and a refusal if there was one.

        A message the server does not hand out (gone, NIL, empty) is not in the answer.
        Raises: AnswerTooLarge, ConnectionLost.
        """
        found, refusal = await self._fetch(uids, "(UID BODY.PEEK[])", budget_bytes)
        bodies = {uid: values.get(b"BODY[]") for uid, values in found.items()}
        return {uid: body for uid, body in bodies.items() if isinstance(body, bytes) and body}, refusal

    async def part(self, uid: int, section: str, offset: int, length_bytes: int) -> bytes | None:
        """At most `length_bytes` of a message (`section` empty) or of its HEADER, from `offset` on; None if refused."""
        found, _ = await self._fetch(
            [uid], f"(UID BODY.PEEK[{section}]<{offset}.{length_bytes}>)", length_bytes + (1 << 20)
        )
        value = found.get(uid, {}).get(f"BODY[{section}]<{offset}>".encode())
        return value[:length_bytes] if isinstance(value, bytes) else None

    async def _fetch(
        self, uids: Sequence[int], what: str, budget_bytes: int
    ) -> tuple[dict[int, dict[bytes, answers.Item]], Refusal | None]:
        exchange = await self._ask("FETCH", answers.uid_set(uids), what, prefix="UID", budget_bytes=budget_bytes)
        refusal = None if exchange.result == "OK" else _refusal("FETCH", exchange)
        wanted = set(uids)
        # What came whole before a NO is as good as any.
        return {uid: v for uid, v in answers.fetched(exchange.responses).items() if uid in wanted}, refusal

    async def store(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        """Add `flags` to `uids` (ascending). Raises: Refusal."""
        await self._run("STORE", answers.uid_set(uids), "+FLAGS.SILENT", f"({' '.join(flags)})", prefix="UID")

    async def move(self, uids: Sequence[int], folder: str) -> set[int]:
        """Move `uids` (ascending); those the server confirms by COPYUID (RFC 6851 §4.3).

        An OK alone proves nothing: it is also the answer where no message was found.
        Raises: Refusal.
        """
        return await self._carry("MOVE", uids, folder)

    async def copy(self, uids: Sequence[int], folder: str) -> set[int]:
        """Copy `uids` (ascending); those the server confirms by COPYUID (RFC 4315 §3). Raises: Refusal."""
        return await self._carry("COPY", uids, folder)

    async def _carry(self, command: str, uids: Sequence[int], folder: str) -> set[int]:
        exchange = await self._run(command, answers.uid_set(uids), wire_name(folder), prefix="UID")
        codes = [answers.untagged_codes([response]).get("COPYUID", "") for response in exchange.responses]
        name, argument = answers.code(exchange.text)
        if name == "COPYUID":
            codes.append(argument)
        confirmed: set[int] = set()
        for words in (argument.split() for argument in codes):
            if len(words) == 3:
                confirmed |= answers.from_uid_set(words[1], limit=len(uids))
        return confirmed & set(uids)

    async def expunge(self, uids: Sequence[int]) -> None:
        """Remove exactly `uids` (ascending), never what somebody else has marked (RFC 4315 §2.1). Raises: Refusal."""
        await self._run("EXPUNGE", answers.uid_set(uids), prefix="UID")
