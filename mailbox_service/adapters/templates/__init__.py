"""The mails' texts: Jinja2 templates from files, one file a mail, with an operator's overrides.

A template sees plain values only and is sandboxed; text that comes in is a value and never a template, so Jinja syntax
in it stays literal. What is inserted is made harmless and kept on one line unless a filter of ours lays it out.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailbox_service.adapters.templates.contexts import CONTEXTS, SINCE
from mailbox_service.core.display import harmless, shorten
from mailbox_service.errors import TemplateError
from mailbox_service.lean import RareLogger
from mailbox_service.services.ports import RenderedMail

log = RareLogger()

T = TypeVar("T")

SUFFIX = ".txt.j2"
COLUMNS = 72  # readable when quoted once or twice on a terminal of 80
SUBJECT_LIMIT_CHARS = 200
SOURCE_LIMIT_BYTES = 64 * 1024  # thirty times our longest template
BODY_LIMIT_CHARS = 256 * 1024  # a notice carries some ten kB; more is a loop
CHECK_CPU_SECONDS = 2  # rendering takes milliseconds; measured in processor time, so a busy machine refuses nothing
CHECK_MEMORY_BYTES = 256 * 1024 * 1024
CHECK_WALL_SECONDS = 60.0  # only for a child that cannot even start; a template has nothing to wait for
BLOCK_COLUMNS = 78  # lines of others that are laid out already may be a little longer than ours (RFC 5322 §2.1.1)
_SUBJECT = "Subject:"
# What a line must not begin with, or be, in a text that is not marked as a quote: readers fold away what follows it.
_HIDING = re.compile(r">|[-\u2013\u2014]{1,3}$")
_SINGLE_BLANKS = re.compile(r"\S++(?: \S++)*+")
_LONE_DASHES = re.compile(r"\n *([-\u2013\u2014]{1,3})$", re.MULTILINE)


class BrokenOverridesError(TemplateError):
    """Templates in the operator's folder cannot be used. `problems` holds one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """Where a template in use comes from: `path` is None for a built-in one."""

    path: Path | None

    def __str__(self) -> str:
        return "built-in" if self.path is None else str(self.path)


class Templates:
    """`ports.Renderer` over the built-in templates and an operator's folder of overrides."""

    def __init__(self, builtin: _BuiltIn, overrides: dict[str, _Parsed]) -> None:
        self._builtin = builtin
        self._overrides = overrides

    @classmethod
    def load(cls, override_folder: Path | None = None) -> Templates:
        """All templates, each override tried out on every example context in a process that can be killed.

        Raises: BrokenOverridesError naming every broken override with file and line; TemplateError when the
        built-in templates are not there.
        """
        builtin = _BuiltIn(_builtin_folder())
        overrides = _load_overrides(override_folder) if override_folder is not None else {}
        return cls(builtin, overrides)

    @classmethod
    def _tried_out(cls, overrides: dict[str, tuple[str, Path]]) -> Templates:
        """What another process has loaded and tried out."""
        found = cls.load()
        found._overrides = {name: _Parsed(source, path) for name, (source, path) in overrides.items()}
        return found

    def __reduce__(self) -> tuple[object, ...]:
        return Templates._tried_out, ({n: (parsed.source, parsed.path) for n, parsed in self._overrides.items()},)

    def names(self) -> list[str]:
        return sorted(CONTEXTS)

    def source(self, name: str) -> TemplateSource:
        """Raises: TemplateError when there is no such template."""
        self._known(name)
        return TemplateSource(self._overrides[name].path if name in self._overrides else None)

    def preview(self, name: str) -> RenderedMail:
        """The mail with a fixed, made-up context. Raises: TemplateError when there is no such template."""
        self._known(name)
        return self.render(name, CONTEXTS[name][0])

    def render(self, template: str, context: dict[str, object]) -> RenderedMail:
        self._known(template)
        context = SINCE.get(template, {}) | context
        # Asked for even where this context's branches do not use it: a forgotten key must not wait for its day.
        missing = sorted(CONTEXTS[template][0].keys() - context.keys())
        if missing:
            raise TemplateError(f"template {template}: the context lacks {', '.join(missing)}")
        override = self._overrides.get(template)
        if override is not None:
            try:
                return override.render(context)
            except TemplateError as error:
                # Only where: the message of an error may quote a value, and values come from mail.
                log.error("template override failed, built-in used", template=template, where=error.where)
        return self._builtin[template].render(context)

    def _known(self, name: str) -> None:
        if name not in CONTEXTS:
            raise TemplateError(f"there is no template {shorten(harmless(name), 60)!r}")


class _Parsed:
    """One template file, compiled. Compiling an operator's file may not end: only after a trial in a child."""

    def __init__(self, source: str, path: Path) -> None:
        self.path, self.source = path, source
        self._file = str(path)
        try:
            subject, body = _split(source)
            self._subject = self._compile(subject)
            # Line breaks in place of the subject keep the numbers in Jinja's messages true to the file.
            self._body = self._compile("\n\n" + body)
        except TemplateSyntaxError as error:
            raise TemplateError(error.message or "syntax error", f"{path}:{error.lineno}") from error

    def _compile(self, source: str) -> Template:
        code = compile(_ENVIRONMENT.compile(source, None, self._file, raw=True), self._file, "exec")
        return Template.from_code(_ENVIRONMENT, code, {})

    def render(self, context: dict[str, object]) -> RenderedMail:
        """Raises: TemplateError with the line; whatever an expression of the template raised is its cause."""
        try:
            subject = self._subject.render(context)
            body = self._body.render(context)
        except (JinjaError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            line = getattr(error, "lineno", None) or _line_of(error, self._file)
            raise TemplateError(harmless(str(error)), f"{self.path}:{line}") from error
        subject = shorten(harmless(subject).strip(), SUBJECT_LIMIT_CHARS)
        body = _tidy(body)
        if not subject:
            raise TemplateError("the subject is empty", f"{self.path}:1")
        if not body.strip():
            raise TemplateError("the body is empty", f"{self.path}:3")
        if len(body) > BODY_LIMIT_CHARS:
            raise TemplateError(f"the body is longer than {BODY_LIMIT_CHARS} characters", f"{self.path}:3")
        return RenderedMail(subject, body)


class _BuiltIn:
    """Our own templates: read at once, as an update may replace them; compiled when needed, for few of them are."""

    def __init__(self, folder: Path) -> None:
        """Raises: TemplateError when one is missing."""
        paths = {name: folder / f"{name}{SUFFIX}" for name in CONTEXTS}
        self._sources = {name: (_read(path), path) for name, path in paths.items()}
        self._parsed: dict[str, _Parsed] = {}

    def __getitem__(self, name: str) -> _Parsed:
        if name not in self._parsed:
            self._parsed[name] = _Parsed(*self._sources[name])
        return self._parsed[name]


def _split(source: str) -> tuple[str, str]:
    lines = source.replace("\r\n", "\n").split("\n")
    if not lines[0].startswith(_SUBJECT):
        raise TemplateSyntaxError(f"the first line has to be '{_SUBJECT} …'", 1)
    if len(lines) < 2 or lines[1].strip():
        raise TemplateSyntaxError("the second line has to be blank", 2)
    return lines[0].removeprefix(_SUBJECT), "\n".join(lines[2:])


def _line_of(error: BaseException, file: str) -> int:
    """The innermost line of the template in the traceback, which Jinja rewrites to the template's own lines."""
    line, traceback = 1, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _tidy(body: str) -> str:
    lines = [line if line == "-- " else line.rstrip() for line in body.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


# --- what a template can do with values ------------------------------------------------------------------------


class _Laid(str):
    """Text that a filter of ours has laid out: harmless already, and its line breaks are meant."""

    __slots__ = ()


def _finalize(value: object) -> object:
    # StrictUndefined raises in str(), and so does an undefined value here.
    return value if isinstance(value, _Laid) else _Laid(harmless(str(value)))


def _fill(text: str, initial: str, subsequent: str) -> str:
    if _SINGLE_BLANKS.fullmatch(text):
        filled = _filled(text, initial, subsequent)
    else:
        filled = textwrap.fill(
            text,
            COLUMNS,
            initial_indent=initial,
            subsequent_indent=subsequent,
            break_long_words=False,  # an address or URL that is cut is of no use
            break_on_hyphens=False,
        )
    # Dashes that come to stand alone would begin a signature.
    return _LONE_DASHES.sub(r" \1", filled)


def _filled(text: str, initial: str, subsequent: str) -> str:
    """What `textwrap.fill` makes of words with one blank between them, in a twentieth of the time."""
    lines: list[str] = []
    indent, at = initial, 0
    while len(text) - at > (width := COLUMNS - len(indent)):
        end = text.rfind(" ", at, at + width + 1)
        if end < 0:  # a word longer than the line
            end = text.find(" ", at + width)
        if end < 0:
            break
        lines.append(indent + text[at:end])
        indent, at = subsequent, end + 1
    return "\n".join([*lines, indent + text[at:]])


def _wrap(value: object) -> _Laid:
    """Paragraphs, set apart by blank lines, filled to 72 columns; ends its last line, as {% endfilter %} eats that."""
    paragraphs = re.split(r"\n\s*\n", harmless(str(value), keep_newlines=True).strip())
    return _Laid("\n\n".join(_fill(" ".join(p.split()), "", "") for p in paragraphs) + "\n")


def _item(value: object) -> _Laid:
    """One item of a list: "- " and the lines after it indented."""
    return _Laid(_fill(harmless(str(value)).strip(), "- ", "  "))


def _field(value: object) -> _Laid:
    """One line, folded under itself: the indentation of what follows the first colon, or of the line."""
    text = harmless(str(value)).rstrip()
    found = re.match(r" *[A-Za-z]+: +| *", text)
    head = found[0] if found else ""
    rest = text[len(head) :]
    return _Laid(_fill(rest, head, " " * len(head)) if rest.strip() else text)


def _quote(value: object) -> _Laid:
    """Text of others, every line after "> ": it can then pass neither for ours nor for a command."""
    lines = harmless(str(value), keep_newlines=True).strip("\n").split("\n")
    return _Laid("\n".join(_fill(line, "> ", "> ") or ">" for line in lines))


def _block(value: object) -> _Laid:
    """Text that keeps its own lines; prose without line breaks, as phones send it, is filled.

    What mail programs would take for the begin of a signature or for a quote, and hide, moves in by a blank (as in
    RFC 3676 §4.4).
    """
    lines: list[str] = []
    for line in harmless(str(value), keep_newlines=True).strip("\n").split("\n"):
        prose = len(line) > BLOCK_COLUMNS and not line[0].isspace()
        lines += _fill(line, "", "").split("\n") if prose else [line.rstrip()]
    return _Laid("\n".join(f" {line}" if _HIDING.match(line) else line for line in lines))


def _size(value: object) -> str:
    """A number of bytes for people; anything else as it is."""
    if not isinstance(value, int) or isinstance(value, bool):
        return str(value)
    if value < 1000:
        return f"{value} bytes"
    return f"{value / 1000:.0f} kB" if value < 999_500 else f"{value / 1_000_000:.1f} MB"


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "wrap": _wrap,
        "item": _item,
        "field": _field,
        "quote": _quote,
        "block": _block,
        "size": _size,
    }
    return environment


_ENVIRONMENT = _environment()


# --- finding and trying out -------------------------------------------------------------------------------------


def _builtin_folder() -> Path:
    """In a wheel the templates lie inside the package, in an editable installation in the repository's root."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / f"acknowledgement{SUFFIX}").is_file():
            return folder
    raise TemplateError("the built-in templates are missing; install the package again")


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        if len(data) > SOURCE_LIMIT_BYTES:
            raise TemplateError(f"larger than {SOURCE_LIMIT_BYTES} bytes", f"{path}:1")
        return data.decode("utf-8")
    except OSError as error:
        raise TemplateError(f"cannot be read: {error.strerror}", f"{path}:1") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TemplateError("not UTF-8", f"{path}:{line}") from error


def _load_overrides(folder: Path) -> dict[str, _Parsed]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise BrokenOverridesError([f"{folder}: not a folder that can be read: {error.strerror}"]) from error
    overrides: dict[str, _Parsed] = {}
    problems: list[str] = []
    for path in entries:
        name = path.name.removesuffix(SUFFIX)
        if path.name.startswith("."):
            continue
        if name == path.name or name not in CONTEXTS:
            problems.append(f"{path}: no mail has this name; there are: {', '.join(sorted(CONTEXTS))} (+ {SUFFIX})")
            continue
        try:
            source = _read(path)
            _try_out(name, source, path)
            overrides[name] = _Parsed(source, path)
        except TemplateError as error:
            problems.append(str(error))
    if problems:
        raise BrokenOverridesError(problems)
    return overrides


def _try_out(name: str, source: str, path: Path) -> None:
    """Compiles and renders `source` in a child with limits: even compiling `{{ 9**(9**9) }}` does not end.

    Raises: TemplateError.
    """
    package_root = str(Path(__file__).resolve().parents[3])
    search_path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "mailbox_service.adapters.templates"],
            input=json.dumps({"name": name, "source": source, "path": str(path)}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=CHECK_WALL_SECONDS,
            env={**os.environ, "PYTHONPATH": search_path},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TemplateError("rendering does not end", f"{path}:1") from error
    if child.returncode < 0:  # killed by a signal: SIGXCPU or SIGKILL of the limit
        raise TemplateError(f"rendering takes more than {CHECK_CPU_SECONDS} s; a loop without end?", f"{path}:1")
    try:
        verdict = json.loads(child.stdout)
    except ValueError as error:
        raise TemplateError(f"trying it out failed with exit code {child.returncode}", f"{path}:1") from error
    if verdict["problem"]:
        raise TemplateError(verdict["problem"], verdict["where"])


def _unknown_names(source: str, known: set[str], path: Path) -> None:
    """Finds names that no context has, in every branch. Raises: TemplateError with the line of the first."""
    tree = _ENVIRONMENT.parse(source.replace("\r\n", "\n"))
    unknown = meta.find_undeclared_variables(tree) - known - set(_ENVIRONMENT.globals)
    uses = [(node.lineno, node.name) for node in tree.find_all(nodes.Name) if node.name in unknown]
    if uses:
        line, name = min(uses)
        known_names = ", ".join(sorted(known))
        raise TemplateError(f"there is no value {name!r} in this mail; there are: {known_names}", f"{path}:{line}")


def _limit_this_process() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CHECK_CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    limit = pages * resource.getpagesize() + CHECK_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _verdict(name: str, source: str, path: Path) -> dict[str, str]:
    try:
        try:
            _unknown_names(source, set(CONTEXTS[name][0]), path)
        except TemplateSyntaxError as error:
            raise TemplateError(error.message or "syntax error", f"{path}:{error.lineno}") from error
        parsed = _Parsed(source, path)
        for context in CONTEXTS[name]:
            parsed.render(context)
    except TemplateError as error:
        return {"problem": str(error).removeprefix(f"{error.where}: "), "where": error.where}
    except (MemoryError, RecursionError, OverflowError) as error:
        return {"problem": f"rendering takes too much memory ({type(error).__name__})", "where": f"{path}:1"}
    return {"problem": "", "where": ""}


def try_out_in_this_process() -> None:
    """The child of `_try_out`: reads one template from standard input, writes the verdict, has a limited life."""
    job = json.loads(sys.stdin.read())
    _limit_this_process()
    json.dump(_verdict(job["name"], job["source"], Path(job["path"])), sys.stdout)
