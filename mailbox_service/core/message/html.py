"""HTML as plain text: what a reader would see, with the targets of links. One linear pass, no tree, no recursion.

Nothing is ever fetched. Why no HTML library: docs/decisions/001-own-mime-walk.md.
"""

from __future__ import annotations

import re
from collections import Counter
from html import unescape as _unescape

from mailbox_service.core.message.attachments import words

# A dense newsletter has some 5,000 tags. Beyond this many, what remains is stripped of its tags without layout.
# One tag costs 2 to 5 microseconds, so all the HTML of one message stays below 0.1 s.
TAGS = 20_000
_LINK_CHARS = 2_000  # longer targets are tracking data
_QUOTE_DEPTH = 20  # deeper quotes are marked as this deep
_QUOTE_STEPS = 12  # quoted values that hold a ">" in one tag; bounds the search for the end of a broken tag

_TAG_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9:_-]{0,30}")
_QUOTE_OR_END = re.compile("[\"'>]")
_ATTRIBUTE = re.compile(r"([^ \t\r\n\"'<>/=]+)(?:[ \t\r\n]*=[ \t\r\n]*(?:\"([^\"]*)\"|'([^']*)'|([^ \t\r\n>]*)))?")
_ATTRIBUTES = frozenset({"style", "href", "alt", "hidden"})  # those that are looked at
_CRUDE_TAG = re.compile(r"<[^<>]*>")
_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")
_STYLE_NOISE = re.compile(r"[ \t\r\n]+|/\*[^*]*\*/")
_NOUGHT = re.compile(r"0(?:\.0*)?(?:px|pt|em|rem|ex|vw|%)?")
_PARAGRAPHS = words(
    """
    p h1 h2 h3 h4 h5 h6 pre blockquote ul ol dl table article section aside fieldset figure form
    """
)
_LINES = words(
    """
    div br tr li dt dd hr body html header footer nav main address center option caption thead tbody
    tfoot
    """
)
_VOID = words("br hr img input meta link area base col embed source track wbr param")
_RAW = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "title", "template", "noembed")}
# Containers give text of no size to what is inside of them, so that blanks take no room; their children set it anew.
_CONTAINERS = words("div table tbody thead tfoot tr td th center body section article main header footer")
# Their end tag may be left out, so a hidden one ends where the next of its kind begins.
_SELF_CLOSING = words("p li dt dd tr td th option")


def html_to_text(source: str, tags: int = TAGS) -> tuple[str, int]:
    """The visible text of `source`, and how many of `tags` are left; after those, tags are only stripped."""
    projector = _Projector(source)
    rest, left = projector.run(tags)
    text = projector.text()
    if rest:
        text += "\n" + _BLANKS.sub(" ", unescape(_CRUDE_TAG.sub(" ", rest)))
    return text, left


def unescape(text: str) -> str:
    """`text` with its character references resolved; untouched where the standard library gives up."""
    try:
        return _unescape(text)
    except ValueError:  # a number of more than 4,300 digits
        return text


class _Projector:
    """Walks over tags and text, and writes lines."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: list[str] = []
        self.line: list[str] = []
        self.blank_pending = False  # a blank is due before the next word
        self.depth = 0  # of blockquotes
        self.preformatted = 0
        self.hidden: list[str] = []  # the element that hides what is inside of it, and those open inside
        self.hidden_count: Counter[str] = Counter()  # how many of each
        self.links: list[tuple[str, int, int]] = []  # target, and where its text begins
        self.last_quote = {"'": source.rfind("'"), '"': source.rfind('"')}
        self.unclosed: set[str] = set()  # searches that found nothing once will find nothing again

    def run(self, tags: int) -> tuple[str, int]:
        """Project the source up to that many tags; what remains of it, and how many tags are left."""
        source, position = self.source, 0
        for used in range(tags):
            start = source.find("<", position)
            if start < 0:
                self._write(source[position:])
                return "", tags - used
            if start > position:
                self._write(source[position:start])
            position = self._markup(start)
        return source[position:], 0

    def text(self) -> str:
        self._end_line()
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return "\n".join(self.lines)

    def _markup(self, start: int) -> int:
        """Deal with what begins with the "<" at `start`; where to go on."""
        source = self.source
        if source.startswith("<!--", start):
            return self._skip_to("-->", start, 4)
        if source[start + 1 : start + 2] in ("!", "?"):
            return self._skip_to(">", start, 2)
        name = _TAG_NAME.match(source, start + 1)
        end = self._tag_end(name.end()) if name else -1
        if name is None or end < 0:
            self._write("<")
            return start + 1
        tag = name[0].lower()
        if tag in _RAW and not source.endswith("/", start, end):
            return self._skip_raw(tag, end + 1)
        if tag[0] == "/":
            self._close(tag[1:])
        else:
            self._open(tag, source[name.end() : end])
        return end + 1

    def _skip_to(self, mark: str, start: int, width: int) -> int:
        end = -1 if mark in self.unclosed else self.source.find(mark, start + 2)
        if end < 0:
            # A browser would hide all the rest; for a report, too much text is better than none.
            self.unclosed.add(mark)
            return start + width
        return end + len(mark)

    def _skip_raw(self, tag: str, position: int) -> int:
        close = None if tag in self.unclosed else _RAW[tag].search(self.source, position)
        if close is None:
            self.unclosed.add(tag)
            return position
        end = self.source.find(">", close.end())
        return end + 1 if end >= 0 else close.end()

    def _tag_end(self, position: int) -> int:
        """The ">" that ends the tag, one inside a quoted value not counted; -1 when there is none."""
        first = -1 if ">" in self.unclosed else self.source.find(">", position)
        if first < 0:
            self.unclosed.add(">")
            return -1
        for _ in range(_QUOTE_STEPS):
            mark = _QUOTE_OR_END.search(self.source, position)
            if mark is None:
                return first
            if mark[0] == ">":
                return mark.start()
            if self.last_quote[mark[0]] <= mark.start():
                return first
            position = self.source.find(mark[0], mark.end()) + 1
        return first if position > first else self.source.find(">", position)

    def _open(self, tag: str, rest: str) -> None:
        holds = tag not in _VOID and not rest.endswith("/")
        if self.hidden:
            if tag != self.hidden[0] or tag not in _SELF_CLOSING:
                if holds:
                    self._hide(tag)
                return
            self._unhide()
        attributes = _attributes(rest) if len(rest) > 1 else {}
        hides = "hidden" in attributes or _hides(attributes.get("style", ""), container=tag in _CONTAINERS)
        if tag == "br":
            self._end_line()
        elif tag in _PARAGRAPHS or tag in _LINES:
            self._break(tag in _PARAGRAPHS)
        if hides:
            if holds:
                self._hide(tag)
            return
        self._show(tag, attributes)

    def _show(self, tag: str, attributes: dict[str, str]) -> None:
        """What the opening of a visible element writes or changes."""
        if tag == "a" and len(self.links) < _QUOTE_DEPTH:
            self.links.append(
                (unescape(attributes.get("href", "")).strip()[:_LINK_CHARS], len(self.lines), len(self.line))
            )
        elif tag == "img" and attributes.get("alt", "").strip():
            self._write(f"[{attributes['alt'].strip()}]")
        elif tag in ("td", "th") and self.line:
            self._put("  ")
        elif tag == "li":
            self._put("* ")
        elif tag == "hr":
            self._put("-" * 20)
            self._break(False)
        elif tag == "blockquote":
            self.depth += 1
        elif tag == "pre":
            self.preformatted += 1

    def _close(self, tag: str) -> None:
        if self.hidden and not self._closes_around(tag):
            return
        if tag == "a" and self.links:
            self._end_link(*self.links.pop())
        if tag in _PARAGRAPHS or (tag in _LINES and tag != "br"):
            self._break(tag in _PARAGRAPHS)
        if tag == "blockquote":
            self.depth = max(0, self.depth - 1)
        elif tag == "pre":
            self.preformatted = max(0, self.preformatted - 1)

    def _hide(self, tag: str) -> None:
        self.hidden.append(tag)
        self.hidden_count[tag] += 1

    def _unhide(self) -> None:
        self.hidden.clear()
        self.hidden_count.clear()

    def _closes_around(self, tag: str) -> bool:
        """Whether the end tag is that of an element around the hidden one, which ends with it (its own is missing)."""
        if not self.hidden_count[tag]:
            # An inline element's is a mistake in what is hidden.
            around = tag in _PARAGRAPHS or tag in _LINES or tag in _CONTAINERS
            if around:
                self._unhide()
            return around
        while self.hidden_count[tag]:
            last = self.hidden.pop()
            self.hidden_count[last] -= 1
            if last == tag:
                break
        return False

    def _end_link(self, target: str, line: int, place: int) -> None:
        if not target.lower().startswith(("http:", "https:", "mailto:", "ftp:", "tel:")):
            return
        said = "".join(self.line[place:]) if line == len(self.lines) else ""
        bare = target.removeprefix("mailto:").removeprefix("https://").removeprefix("http://").rstrip("/")
        if bare not in said:
            self._put(f" <{_BLANKS.sub('%20', target)}>")

    def _write(self, raw: str) -> None:
        """Text of the source: entities resolved, blanks collapsed outside of <pre>."""
        if self.hidden:
            return
        text = unescape(raw) if "&" in raw else raw
        if self.preformatted:
            first, *others = text.replace("\r\n", "\n").split("\n")
            self._put(first)
            if others:
                self._end_line()
                prefix = "> " * min(self.depth, _QUOTE_DEPTH)
                self.lines += [prefix + line for line in others[:-1]] if prefix else others[:-1]
                self._put(others[-1])
            return
        text = _BLANKS.sub(" ", text)
        if text[:1] == " ":
            self.blank_pending = True
        words = text.strip(" ")
        if words:
            if self.blank_pending and self.line and not self.line[-1].endswith(" "):
                self.line.append(" ")
            self.blank_pending = text[-1:] == " "
            self._put(words)

    def _put(self, text: str) -> None:
        if text:
            self.line.append(text)

    def _break(self, paragraph: bool) -> None:
        if self.line:
            self._end_line()
        if paragraph and self.lines and self.lines[-1].strip("> "):
            self.lines.append("")

    def _end_line(self) -> None:
        content = "".join(self.line).rstrip()
        prefix = "> " * min(self.depth, _QUOTE_DEPTH)
        self.lines.append((prefix + content).rstrip() if content else "")
        self.line = []
        self.blank_pending = False


def _attributes(rest: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(rest):
        name = match[1].lower()
        if name in _ATTRIBUTES:
            found.setdefault(name, match[2] or match[3] or match[4] or "")
    return found


def _hides(style: str, *, container: bool) -> bool:
    """Does the style hide the element from its reader? Of several values of a property the last one counts."""
    if not style:
        return False
    values = {}
    for declaration in _STYLE_NOISE.sub("", style).lower().split(";"):
        name, _, value = declaration.partition(":")
        values[name] = value.partition("!")[0]
    return (
        values.get("display") == "none"
        or values.get("visibility") in ("hidden", "collapse")
        or _NOUGHT.fullmatch(values.get("opacity", "")) is not None
        or (not container and _NOUGHT.fullmatch(values.get("font-size", "")) is not None)
    )
