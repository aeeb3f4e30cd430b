"""The shape of the code, read from its source: which way imports run, what `core` may touch, how long things are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "mailbox_service"
ROOT = Path(__file__).resolve().parents[2] / PACKAGE

# A room may import itself, the rooms before it, and the modules every room may use.
ROOMS = ("core", "sorting", "services", "adapters", "app", "cli")
FOR_EVERY_ROOM = {"errors", "lean"}
FOR_ALL_BUT_CORE = {"config", "logs"}
MAY_IMPORT_ADAPTERS = {"adapters", "app", "cli", "demo"}

# Pure means: no input or output, no waiting, no clock, no chance, no logging.
NOT_IN_CORE = {
    *("aioimaplib", "aiosmtplib", "aiosmtpd", "alembic", "asyncio", "concurrent", "gnupg", "http", "imaplib"),
    *("io", "logging", "multiprocessing", "os", "pathlib", "psycopg", "random", "secrets", "select", "selectors"),
    *("shutil", "signal", "smtplib", "socket", "sqlalchemy", "sqlite3", "ssl", "structlog", "subprocess"),
    *("tempfile", "threading", "time", "urllib.request", "uuid"),
}
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}

MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 600

SOURCES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    """The dotted name below the package: `services.intake`; a package stands for its own `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports_of(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """Absolute names of all that is imported anywhere in a module, also inside functions and for types only.

    Of `from a import b` both `a` and `a.b` are given, since `b` may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                here = [PACKAGE, *module.split(".")] if module else [PACKAGE]
                above = here[: len(here) - node.level + is_package]
                origin = ".".join([*above, *([origin] if origin else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    return module.partition(".")[0]


def wrong_imports(module: str, imported: set[str]) -> set[str]:
    """What this module imports from our own package against the order of the rooms."""
    room = room_of(module)
    if room in ("demo", "", "__main__"):  # the playground plays with everything
        return set()
    if room in ROOMS:
        allowed = {*ROOMS[: ROOMS.index(room) + 1], *FOR_EVERY_ROOM}
        if room != "core":
            allowed |= FOR_ALL_BUT_CORE
        if room in ("cli", "app"):
            allowed |= {"demo"}
    else:
        allowed = {room, "core", *FOR_EVERY_ROOM, *FOR_ALL_BUT_CORE}
    if room not in MAY_IMPORT_ADAPTERS:
        allowed.discard("adapters")
    ours = {name.removeprefix(f"{PACKAGE}.") for name in imported if name.startswith(f"{PACKAGE}.")}
    wrong = {name for name in ours if room_of(name) not in allowed and is_module(room_of(name))}
    if room == "adapters":
        wrong |= {name for name in ours if room_of(name) == "adapters" and not same_adapter(module, name)}
    return wrong


def same_adapter(module: str, imported: str) -> bool:
    """Adapters know nothing of each other; one that is a folder may of course import its own parts."""
    return imported == "adapters" or module.split(".")[1:2] == imported.split(".")[1:2]


def is_module(name: str) -> bool:
    return (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()


def impure_imports(imported: set[str]) -> set[str]:
    return {name for name in imported if any(name == bad or name.startswith(f"{bad}.") for bad in NOT_IN_CORE)}


def clock_readings(tree: ast.AST) -> list[int]:
    """The lines that read the wall clock, or take its name for a later reading."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if (name, node.attr) in CLOCKS:
                lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            lines.extend(node.lineno for alias in node.names if alias.name == "time")
    return sorted(lines)


def long_functions(tree: ast.AST) -> list[str]:
    return [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]


@pytest.fixture(params=SOURCES, ids=lambda path: name_of(path) or PACKAGE)
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_imports_run_one_way(source: Path) -> None:
    module = name_of(source)
    imported = set(imports_of(tree_of(source), module, is_package=source.name == "__init__.py"))
    assert not wrong_imports(module, imported)


def test_core_is_pure(source: Path) -> None:
    module = name_of(source)
    if room_of(module) == "core":
        assert not impure_imports(set(imports_of(tree_of(source), module, is_package=False)))
        assert not [node.lineno for node in ast.walk(tree_of(source)) if isinstance(node, ast.Await)]


def test_the_clock_is_read_in_app_alone(source: Path) -> None:
    # The time of a log line decides nothing, and is wanted before there is an app.
    if name_of(source) not in ("app.clock", "logs"):
        assert not clock_readings(tree_of(source))


def test_functions_fit_a_screen_and_modules_stay_short(source: Path) -> None:
    text = source.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    assert not long_functions(ast.parse(text))


# --- the rules themselves ----------------------------------------------------------------------------------


def imported_by(module: str, code: str) -> set[str]:
    return set(imports_of(ast.parse(code), module, is_package=False))


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("core.case", "from mailbox_service.services import ports"),
        ("core.case", "from mailbox_service.config import Config"),
        ("core.case", "def f():\n    import mailbox_service.sorting"),
        ("sorting.words", "from ..services.ports import Clock"),
        ("services.intake", "from mailbox_service.adapters.database import storage"),
        ("services.intake", "from mailbox_service import adapters"),
        ("adapters.imap", "from mailbox_service.adapters.smtp import SmtpTransport"),
        ("adapters.imap", "from . import smtp"),
        ("adapters.database.tables", "from ..imap import ImapSource"),
        ("adapters.imap", "from mailbox_service.cli import main"),
        ("config", "from mailbox_service.adapters import imap"),
    ],
)
def test_an_import_against_the_order_is_found(module: str, code: str) -> None:
    assert wrong_imports(module, imported_by(module, code))


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("core.case", "from mailbox_service.errors import IllegalTransition\nfrom .message import Address"),
        ("services.intake", "from mailbox_service.sorting import Sorter\nfrom mailbox_service.core import case"),
        ("adapters.database.storage", "from . import tables\nfrom mailbox_service.services.ports import Clock"),
        ("app", "from mailbox_service.adapters.imap import ImapSource"),
        ("cli.cases", "from mailbox_service import __version__\nfrom mailbox_service.app import open_storage"),
        ("demo.cast", "from mailbox_service.adapters.imap import ImapSource"),
    ],
)
def test_an_import_along_the_order_is_let_through(module: str, code: str) -> None:
    assert not wrong_imports(module, imported_by(module, code))


def test_impure_imports_and_clock_readings_are_found() -> None:
    assert impure_imports(imported_by("core.case", "import os.path\nfrom random import choice\nimport re")) >= {
        "os.path",
        "random",
    }
    readings = "from time import time\ndatetime.now(UTC)\nd.datetime.utcnow()\ntime.time\ntime.monotonic()"
    assert clock_readings(ast.parse(readings)) == [1, 2, 3, 4]
    assert long_functions(ast.parse("def f():\n" + "    pass\n" * 60)) == ["f (61 lines)"]
