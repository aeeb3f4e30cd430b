"""The commands of a mail: all lines are read first, and one that is wrong stops them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from mailbox_service.core.case import Event, Party
from mailbox_service.core.commands import written
from mailbox_service.core.commands.arguments import Context, Miswritten, Read, read, takes_more
from mailbox_service.core.commands.verbs import VERBS, Place, Takes, TextFor, Verb
from mailbox_service.core.display import harmless, shorten
from mailbox_service.core.newtext import NewText

COMMANDS = 20  # of one mail; who writes more wants the host
_SHOWN_CHARS = 60  # of a wrong line, in the answer to its writer
_WORDS = 3  # of the longest name, written with blanks
_BESIDE = frozenset({Event.RELEASED, Event.PUBLISHED})  # may stand in one mail: "fixed and published, at once"
_MESSAGES = (Takes.MESSAGE, Takes.MAYBE_MESSAGE)  # a digest is answered with a line for each message
_STAGES = {
    "reviewing": "reviewing",
    "review": "reviewing",
    "needs-info": "needs-info",
    "needsinfo": "needs-info",
    "reproduced": "reproduced",
    "patched": "patched",
    "verified": "verified",
    "fix-verified": "verified",
    "released": "released",
    "published": "published",
    "details-published": "details-published",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One line, understood. `action` is for `case.apply`; without one the services do it, with `argument`."""

    verb: Verb
    line: str  # as it was written, made plain
    read: Read


@dataclass(frozen=True, slots=True)
class Commands:
    """What a mail asks for, in the order in which it stands there (none is fine), and the text that is no command."""

    commands: tuple[Command, ...]
    quiet: bool
    preview: bool
    text: str
    text_for: TextFor
    misplaced: tuple[str, ...] = ()  # lines below the text that look like commands and are part of the text

    def named(self, name: str) -> Command | None:
        """The command of that name, if it is there."""
        return next((command for command in self.commands if command.verb.name == name), None)


@dataclass(frozen=True, slots=True)
class Misread:
    """No command of the mail counts. One line each: which one, what is wrong, how it is written right."""

    errors: tuple[str, ...]


def parse(new: NewText, context: Context) -> Commands | Misread:
    """The commands at the top of the newly written text."""
    lines = new.text.split("\n")
    head = [written.cleaned(line) for line in lines[: new.head_lines]]
    found: list[Command] = []
    errors: list[str] = []
    at = 0
    while at < len(head):
        if not head[at]:
            at += 1
            continue
        if not _is_command(head[at]):
            break
        line, at = _whole(head, at, context.party)
        command = _command(line, context)
        if isinstance(command, Command):
            found.append(command)
        else:
            errors.append(command)
        if len(found) + len(errors) > COMMANDS:
            errors = [f"a mail may have at most {COMMANDS} commands"]
            break
    text = "\n".join(lines[at:]).strip("\n") if found or errors else new.text
    # A command below a quote or a sentence is text; whoever writes below quotes hears that nothing was done.
    return _together(found, errors, text, _misplaced([written.cleaned(line) for line in lines[at:]]))


def _is_command(line: str) -> bool:
    """Whether a line is meant as a command: `/word`, but not a path, a comment or an address."""
    if not line.startswith("/") or not line[1:2].strip():
        return False
    word = line[1:].split(" ", 1)[0]
    if not (word[0].isalpha() or word == "?"):
        return False
    first, slash, _ = word.partition("/")
    # "/etc/passwd is readable" is a sentence; "/close/spam" is a command written wrong.
    return not slash or written.name(first) in _NAMES


def _whole(head: list[str], at: int, party: Party) -> tuple[str, int]:
    """The command line at `at`, with what a client wrapped from it, and where the next line is."""
    line = head[at]
    at += 1
    found = _lookup(line, party)
    if found is not None and at < len(head) and not _is_command(head[at]):
        verb, argument = found
        if takes_more(verb, argument, head[at]):
            return f"{line} {head[at]}", at + 1
    return line, at


def _misplaced(head: list[str]) -> tuple[str, ...]:
    shown = (line for line in head if _is_command(line) and _lookup(line, Party.MAINTAINER) is not None)
    return tuple(shorten(harmless(line), _SHOWN_CHARS) for line, _ in zip(shown, range(COMMANDS), strict=False))


# --- one line -------------------------------------------------------------------------------------------------------


def _names(party: Party) -> dict[str, Verb]:
    return {name: verb for verb in VERBS if party in verb.who for name in (verb.name, *verb.aliases)}


_BY_PARTY = {party: _names(party) for party in (Party.MAINTAINER, Party.REPORTER)}
_NAMES = {name for names in _BY_PARTY.values() for name in names}


def _lookup(line: str, party: Party) -> tuple[Verb, str] | None:
    """The command that a line names, and the rest of the line; a name of several words may have blanks in it."""
    names = _BY_PARTY[party]
    words = line[1:].split(" ")
    for count in range(min(_WORDS, len(words)), 0, -1):
        verb = names.get("-".join(written.name(word) for word in words[:count]))
        if verb is None:
            continue
        argument = " ".join(words[count:]).strip()
        return _stage(verb, argument) if verb.takes is Takes.STAGE else (verb, argument)
    return None


def _stage(stage: Verb, argument: str) -> tuple[Verb, str]:
    """`/stage released 4.38.1` is `/released 4.38.1`."""
    words = argument.split()
    for count in range(min(_WORDS, len(words)), 0, -1):
        name = _STAGES.get("-".join(written.name(word) for word in words[:count]))
        if name is not None:
            return _BY_PARTY[Party.MAINTAINER][name], " ".join(words[count:])
    return stage, argument


def _command(line: str, context: Context) -> Command | str:
    """The line as a command, or what is wrong with it."""
    shown = shorten(harmless(line), _SHOWN_CHARS)
    if len(line) > written.LINE_CHARS:
        return f"{shown}: a command has at most {written.LINE_CHARS} characters"
    found = _lookup(line, context.party)
    if found is None:
        return f"{shown}: {_unknown(line, context.party)}"
    verb, argument = found
    if verb.takes is Takes.STAGE:
        stages = ", ".join(dict.fromkeys(_STAGES.values()))
        return f"{shown}: name a stage: {stages}; to end a case write /close RESOLUTION"
    if verb.place is Place.CASE and not context.on_case:
        return f"{shown}: answer a mail of the case that is meant; this mail belongs to none"
    try:
        return Command(verb, shown, read(verb, argument, context))
    except Miswritten as error:
        return f"{shown}: {error}. Write: {verb.usage}, for example {verb.example}"


def _unknown(line: str, party: Party) -> str:
    names = _BY_PARTY[party]
    words = [written.name(word) for word in line[1:].replace("/", " ").split(" ")[:_WORDS]]
    candidates = ["-".join(words[:count])[:40] for count in range(1, len(words) + 1)]
    near: list[str] = []
    for candidate in candidates:
        begun = sorted(name for name in names if candidate and name.startswith(candidate))
        near += begun or get_close_matches(candidate, names, n=2, cutoff=0.7)
    meant = list(dict.fromkeys(names[name].usage for name in near))[:3]
    if meant:
        return f"there is no such command; did you mean {' or '.join(meant)}?"
    if candidates[0] in _NAMES:
        return "this command is not for you; /help lists those that are"
    return "there is no such command; /help lists all. A text may not begin with a slash"


# --- all lines together ---------------------------------------------------------------------------------------------


def _together(found: list[Command], errors: list[str], text: str, misplaced: tuple[str, ...]) -> Commands | Misread:
    texts = [command.read.text for command in found if command.read.text]
    text = "\n\n".join(part for part in (*texts, text) if part.strip())
    errors = errors or list(_contradictions(found, bool(text.strip())))
    if errors:
        return Misread(tuple(errors))
    names = {command.verb.name for command in found}
    kept = tuple(command for command in found if command.verb.name not in ("quiet", "preview"))
    return Commands(kept, "quiet" in names, "preview" in names, text, _text_for(found), misplaced)


def _text_for(found: list[Command]) -> TextFor:
    wanted = {command.verb.text_for for command in found} - {None}
    if TextFor.NOTE in wanted:
        return TextFor.NOTE
    return next((audience for audience in TextFor if audience in wanted), TextFor.NOTE)


def _contradictions(found: list[Command], has_text: bool) -> Iterator[str]:
    """What no single line is wrong about, but all of them together."""
    names = [command.verb.name for command in found]
    single = [command.verb.name for command in found if command.verb.takes not in _MESSAGES]
    for name in dict.fromkeys(name for name in single if single.count(name) > 1):
        yield f"/{name} stands there twice; keep one of them"
    moves = [command for command in found if _move_of(command) is not None]
    if len(moves) > 1 and not {_move_of(command) for command in moves} <= _BESIDE:
        yield f"{_and(moves)}: one mail moves the case once; send the other afterwards"
    words = [command for command in found if command.verb.text_required]
    addressed = [c for c in found if c.verb.text_for in (TextFor.REPORTER, TextFor.INVITED)]
    if len({c.verb.text_for for c in addressed}) > 1:
        yield f"{_and(addressed)}: the text can go to one of them; send two mails"
    elif len(words) > 1 and any(c.verb.name == "note" for c in words):
        yield f"{_and(words)}: the text can stay inside or go out, not both"
    for command in words:
        if not has_text:
            yield f"/{command.verb.name}: write the text below it"
    if "confirm" in names and len(set(names)) > 1:
        yield "/confirm stands alone in its mail; send the other commands afterwards"
    if "send" in names and "reply" in names:
        yield "/send sends your last note, /reply this text; send two mails"
    yield from _silences(found, names, moves)


def _silences(found: list[Command], names: list[str], moves: list[Command]) -> Iterator[str]:
    if "quiet" in names:
        loud = [c for c in found if c.verb.name in ("reply", "send") or c.verb.moves is Event.INFO_REQUESTED]
        if loud:
            yield f"/quiet and {_and(loud)}: the one sends nothing to the reporter, the other does"
        elif not moves:
            yield "/quiet belongs to a command that moves the case; on its own there is nothing to be quiet about"
    if "preview" in names and not moves and not {"reply", "send", "invite", "embargo"} & set(names):
        yield "/preview belongs to a command that sends something, such as /reply"


def _move_of(command: Command) -> Event | None:
    """The transition that a command asks for; `/spam M-14` is about a message."""
    return None if command.verb.name == "spam" and command.read.action is None else command.verb.moves


def _and(commands: list[Command]) -> str:
    return " and ".join(f"/{command.verb.name}" for command in commands)
