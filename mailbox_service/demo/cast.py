"""`play`: the demo. A small cast writes to security@demo.example, and one sees what the service does."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailbox_service.demo.screen import Screen

if TYPE_CHECKING:
    from mailbox_service.demo.performance import Performance
    from mailbox_service.demo.playground import Playground

# All that the cast does takes ten seconds.
ONCE_SECONDS = 60.0
# Between two scenes, for whoever reads along.
PAUSE_SECONDS = 1.5
CANCEL_AGAIN_SECONDS = 0.2
NOT_EVERYTHING = 1
BROKEN_PIPE = 141  # 128 + SIGPIPE
# The packages of the extra `demo`.
_EXTRA = frozenset({"pymap", "proxyprotocol", "pysasl"})

_WITH_KEYS = (
    "as anybody, send a report that is encrypted to the key of security@demo.example",
    "as maintainer, open what came encrypted with the gpg below, or give your mail program the key of that folder",
)
_WELCOME = """\
A security@ address at work, on this machine alone: a mail server (IMAP and submission), SQLite, and the daemon \
between them. Everybody who writes here is invented, and no mail leaves this computer."""


def play(*, once: bool, keep: bool) -> int:
    """Play the cast on the terminal; then stay up until SIGINT or SIGTERM. Returns the exit code.

    `once`: end after the cast, with 0 only if everything happened. `keep`: the folder with the state stays.
    69 says that the packages of the extra `demo` are missing.
    """
    screen = Screen(sys.stdout)
    try:
        from mailbox_service.demo import playground as _needed  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            "mailbox-service: the demo needs a mail server to play with, which is not installed here.\n"
            "Install it with:  pip install 'mailbox-service[demo]'\n"
            "or, in a clone, start  script/demo  which installs what is missing.\n"
        )
        return os.EX_UNAVAILABLE
    folder = Path(tempfile.mkdtemp(prefix="mailbox-service-demo-"))
    try:
        code = asyncio.run(_play(screen, folder, once))
        if keep:
            screen.text()
            screen.verbatim(f"What was on file stays in {folder}\n  {_command(folder)} case list")
        return code
    except BrokenPipeError:
        # The reader has seen enough; Python would complain when it writes what is left at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _play(screen: Screen, folder: Path, once: bool) -> int:
    from mailbox_service.demo.playground import Playground

    stop = _signalled()
    stopped = asyncio.create_task(stop.wait(), name="stop")
    screen.section("mailbox-service demo", _WELCOME)
    performance = asyncio.create_task(_perform(screen, folder, once, Playground), name="performance")
    await asyncio.wait([performance, stopped], return_when=asyncio.FIRST_COMPLETED)
    if stopped.done() and not performance.done():
        screen.text("\nStopping.")
        performance.cancel()
        await asyncio.wait([performance])
    stopped.cancel()
    if performance.cancelled():
        if once:
            screen.text("Stopped before everything had happened.")
        return NOT_EVERYTHING if once else os.EX_OK
    return performance.result()


def _signalled() -> asyncio.Event:
    """Set by whatever ends a program in the foreground: Ctrl-C, SIGTERM, the closed terminal."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


async def _perform(screen: Screen, folder: Path, once: bool, world: type[Playground]) -> int:
    from mailbox_service.demo.narrator import Narrator
    from mailbox_service.demo.performance import Performance

    async with world.open(folder) as ground:
        narrator = Narrator(ground, screen)
        telling = asyncio.create_task(narrator.tell(), name="narrator")
        pause = PAUSE_SECONDS if screen.on_terminal and not once else 0.0
        performance = Performance(ground, narrator, screen, pause)
        acting = asyncio.create_task(_act(performance, screen), name="cast")
        try:
            # The narrator and the daemon never end by themselves, unless they fail.
            await asyncio.wait([acting, telling, ground.daemon], return_when=asyncio.FIRST_COMPLETED)
            if not acting.done():
                return _failed(screen, telling, ground)
            everything = acting.result()
            if once:
                return os.EX_OK if everything else NOT_EVERYTHING
            _invite(screen, ground)
            await asyncio.wait([telling, ground.daemon], return_when=asyncio.FIRST_COMPLETED)
            return _failed(screen, telling, ground)
        finally:
            await _end({acting, telling})


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel, and wait until it has come through: a mail client may swallow a cancellation."""
    while pending := {task for task in tasks if not task.done()}:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


async def _act(performance: Performance, screen: Screen) -> bool:
    """Play all scenes and say what happened. True when everything did."""
    from aiosmtplib import SMTPException

    from mailbox_service.demo.scenes import Scenes

    try:
        async with asyncio.timeout(ONCE_SECONDS):
            await Scenes(performance).play()
    except BrokenPipeError:
        raise
    except TimeoutError:
        performance.facts.add(False, f"all scenes are over within {ONCE_SECONDS:.0f} seconds")
    except (SMTPException, OSError) as error:
        performance.facts.add(False, "every mail can be submitted", type(error).__name__)
    facts = performance.facts.all
    missing = [what for happened, what in facts if not happened]
    screen.section("What happened")
    for happened, what in facts:
        screen.finding(happened, what)
    screen.text()
    if missing:
        screen.text(f"{len(missing)} of {len(facts)} things did not happen as they should:")
        for what in missing:
            screen.finding(False, what)
    else:
        fastest, slowest = performance.latencies_ms
        screen.text(
            f"All {len(facts)} things happened as they should. From the submission of a mail to the arrival of its "
            f"answer: {fastest:.0f} to {slowest:.0f} ms."
        )
    return not missing


def _failed(screen: Screen, telling: asyncio.Task[None], ground: Playground) -> int:
    if telling.done() and (error := telling.exception()) is not None:
        raise error
    screen.text(f"\nThe daemon has ended by itself. Its log: {ground.folder / 'log'}")
    return NOT_EVERYTHING


def _invite(screen: Screen, ground: Playground) -> None:
    from mailbox_service.demo.keyrings import PEOPLE
    from mailbox_service.demo.mails import ADA
    from mailbox_service.demo.playground import PASSWORD, logins
    from mailbox_service.demo.servers import HOST

    keys = ground.keys is not None
    answering = "grace" if keys else "maintainer or grace"  # a mail program without the key cannot read Ada's mail
    screen.section("Now you", "Everything stays up, and new mail is shown here. Connect a mail client:")
    lines = [
        "",
        f"  IMAP   {HOST}  port {ground.server.imap_port}   no TLS, normal password",
        f"  SMTP   {HOST}  port {ground.server.smtp_port}   no TLS, normal password",
        "",
        f"  {'login':<12}{'password':<12}address",
        *(f"  {login:<12}{PASSWORD:<12}{address}" for login, address in logins()),
    ]
    screen.verbatim("\n".join(lines))
    screen.text("\nThings to try:")
    for what in (
        "as reporter, send a report to security@demo.example, with a Unicode name and an attachment",
        "ask it a support question, read the redirect, then answer that after all it is about security",
        "answer the acknowledgement of your report: your mail joins the case",
        f"as {answering}, answer the notice of a report with a first line /needs-info, your questions below it",
        *(_WITH_KEYS if keys else ()),
        "open the mailbox of security: messages were moved to Processed and Redirected, none was deleted",
        "write to away@company.example, who answers everything automatically",
    ):
        screen.item(what)
    command = _command(ground.folder)
    screen.text("\nFrom a second terminal:")
    verbs = (
        "case list",
        "case show SEC-…",
        "message list",
        "outbox list",
        *(("key list", "key export") if keys else ()),
    )
    commands = [f"  {command} {verb}" for verb in verbs]
    if keys:
        commands.append(
            f"  gpg --homedir {shlex.quote(str(ground.folder / PEOPLE / ADA.login))} --decrypt encrypted.asc"
        )
    screen.verbatim("\n".join([*commands, f"  tail -f {shlex.quote(str(ground.folder / 'log'))}"]))
    screen.text("\nCtrl-C ends the demo.")


def _command(folder: Path) -> str:
    # Absolute, because a second terminal opens somewhere else.
    program = Path(sys.argv[0])
    name = str(program.absolute()) if program.name == "mailbox-service" else ".venv/bin/mailbox-service"
    return f"{shlex.quote(name)} --config {shlex.quote(str(folder / 'config.yaml'))}"
