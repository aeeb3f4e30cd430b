"""A YAML file as plain values, together with the line on which each of them stands.

The tree is built from ruamel's nodes and not by its constructor: all duplicate keys are found at once, a tag
can construct nothing, and no message repeats a value of the file, which may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mailbox_service.core.display import harmless, shorten
from mailbox_service.errors import ConfigurationError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node

Location = tuple[int | str, ...]

MAX_FILE_BYTES = 1_000_000  # a configuration of a hundred mailboxes has about 200 kB
MAX_DEPTH = 20  # the deepest key of ours is at 5
MAX_NODES = 100_000  # aliases that repeat each other grow without bound ("billion laughs")

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset({"map", "seq", "str", "int", "float", "bool", "null", "timestamp"})
_TRUE = frozenset({"true", "yes", "on"})  # the latter two in files that ask for YAML 1.1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the key it is about, what is wrong and the remedy."""

    location: Location
    text: str
    line: int | None = None  # set where the location alone cannot tell it


@dataclass(slots=True)
class Document:
    """`tree` is made of dict, list, str, int, float, bool, None; `problems` is what is wrong with the YAML."""

    path: Path
    tree: object = None
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, location: Location) -> int:
        """The line, from 1, of a key, or of the nearest thing around it that the file has."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def describe(self, problems: Iterable[Problem]) -> list[str]:
        """`FILE:LINE: path.to.key: text` of each problem, sorted by line, each once."""
        rows = {(p.line or self.line(p.location), p.location, p.text) for p in problems}
        return [
            f"{self.path}:{line}: {_dotted(location)}{text}"
            for line, location, text in sorted(rows, key=lambda row: (row[0], [str(k) for k in row[1]], row[2]))
        ]


def _dotted(location: Location) -> str:
    return f"{'.'.join(shorten(harmless(str(key)), 60) for key in location)}: " if location else ""


def read_document(path: Path) -> Document:
    """The YAML file `path`.

    Raises: ConfigurationError when it cannot be read or is no YAML; lesser ones are in `Document.problems`.
    """
    document = Document(path)
    text = _read_text(path)
    root = _compose(document, text)
    if root is None:
        raise ConfigurationError([f"{path}:1: the file is empty; start from config.example.yaml"])
    _Builder(document).build_root(root)
    if not isinstance(document.tree, dict):
        raise ConfigurationError(
            [f'{path}:1: the file must hold keys with values ("database: ..."), not a list or a text']
        )
    return document


def _read_text(path: Path) -> str:
    try:
        if not path.exists():
            raise ConfigurationError(
                [f"{path}: no such file; copy config.example.yaml there, or name the file with --config"]
            )
        if not path.is_file():
            raise ConfigurationError([f"{path}: is not a file; name the configuration file with --config"])
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read ({error.strerror}); let the service's user read it"]
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError([f"{path}: larger than 1 MB, which no configuration is; is it the right file?"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}:{line}: the file is not UTF-8; save it as UTF-8"]) from None


def _compose(document: Document, text: str) -> Node | None:
    # Imported here: most modules want the types of the configuration only, and this costs 35 ms.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        node: Node | None = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError([f"{document.path}:{line}: {_syntax(str(error.problem))}"]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError([f"{document.path}:{line}: a control character; remove it"]) from None
    except RecursionError:
        raise ConfigurationError([f"{document.path}:1: nested too deeply; is it the right file?"]) from None
    return node


def _syntax(problem: str) -> str:
    """What ruamel complains about in an operator's words. `problem` names tokens and anchors, never values."""
    if "'\\t'" in problem:
        return "a tab where YAML allows none; indent with blanks"
    if "undefined alias" in problem:
        return f"{harmless(problem)}; define it with & above, or quote a text that starts with *"
    if "another document" in problem:
        return "a second document starts (---); keep everything in one"
    return f"no valid YAML: {harmless(problem)}; check indentation, colons, quotes and brackets near this line"


class _Builder:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def build_root(self, root: Node) -> None:
        self._document.tree = self._value(root, ())

    def _problem(self, location: Location, line: int, text: str) -> None:
        self._document.problems.append(Problem(location, text, line))

    def _value(self, node: Node, location: Location) -> object:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        line = node.start_mark.line + 1
        self._document.lines.setdefault(location, line)
        self._nodes += 1
        if len(location) > MAX_DEPTH or self._nodes > MAX_NODES:
            raise ConfigurationError(
                [f"{self._document.path}:{line}: nested too deeply or too large; check anchors (&) and aliases (*)"]
            )
        if str(node.tag).removeprefix(_TAG) not in _PLAIN_TAGS:
            self._problem(location, line, "carries a tag (!); remove it, plain values are enough")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, location)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*location, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, location)

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, object]:
        from ruamel.yaml.nodes import ScalarNode

        result: dict[str, object] = {}
        first: dict[str, int] = {}
        merged: list[Node] = []
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self._problem(location, line, "a key must be a word; check the colons and brackets")
            elif str(key.tag) == _TAG + "merge":
                merged.append(value)
            elif key.value in first:
                said = f"is given twice (first on line {first[key.value]}); keep one"
                self._problem((*location, key.value), line, said)
            else:
                first[key.value] = line
                self._document.lines.setdefault((*location, key.value), line)
                result[key.value] = self._value(value, (*location, key.value))
        for source in merged:
            self._merge(source, location, result)
        return result

    def _merge(self, source: Node, location: Location, result: dict[str, object]) -> None:
        """YAML's `<<`: what the source has and the mapping has not."""
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        if isinstance(source, SequenceNode):
            for item in source.value:
                self._merge(item, location, result)
        elif isinstance(source, MappingNode):
            # Lines of keys that the mapping has itself are on file already, so setdefault keeps them.
            for key, value in self._mapping(source, location).items():
                result.setdefault(key, value)
        else:
            self._problem(
                location,
                source.start_mark.line + 1,
                "<< needs a mapping; name an anchor of one, as in <<: *name",
            )

    def _scalar(self, node: Node, location: Location) -> object:
        tag, text = str(node.tag), node.value
        try:
            match tag.removeprefix(_TAG):
                case "null":
                    return None
                case "bool":
                    return text.lower() in _TRUE
                case "int":
                    return int(text.replace("_", ""), 0) if text.lstrip("+-0") else 0
                case "float":
                    return float(text.replace("_", ""))
        except ValueError:
            # "!!int x" and ".inf" and "010" are left as text, so that the model says what the key wants instead.
            return text
        return text
