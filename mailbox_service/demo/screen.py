"""What the demo shows: sections, mails and findings, for a terminal of 80 columns and more."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TextIO

from mailbox_service.core.display import harmless, shorten
from mailbox_service.core.message import Encryption, ParsedMessage
from mailbox_service.services.correspondence import written_size

# Mails are written for 72 columns; with our margin that is 82. Lines much longer are hard to read.
WIDEST, NARROWEST, ON_PAPER = 96, 60, 88
MARGIN = " " * 8
REASONS_SHOWN = 5
# Of a mail that comes in the beginning tells what it is; of ours the whole answer is shown once.
LINES_IN, LINES_OUT, LINES_AGAIN = 15, 24, 3

_SIGNATURE = "application/pgp-signature"

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


class Screen:
    """Writes to `stream`; everything is made harmless, the only escape sequences are our own colours."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        on_terminal = stream.isatty()
        self._colours = on_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        columns = shutil.get_terminal_size().columns if on_terminal else ON_PAPER
        self.width = min(max(columns, NARROWEST), WIDEST)
        self.on_terminal = on_terminal
        plain = not _speaks_unicode(stream)
        self._line, self._bar = ("-", "|") if plain else ("─", "│")
        self._yes, self._no = ("ok", "--") if plain else ("✓", "✗")

    # --- the page -----------------------------------------------------------------------------------------

    def text(self, text: str = "") -> None:
        """Paragraphs, wrapped."""
        for line in harmless(text, keep_newlines=True).split("\n"):
            self._put(textwrap.fill(line, self.width))

    def item(self, text: str) -> None:
        """One of several things."""
        self._put(textwrap.fill(harmless(text), self.width, initial_indent="  - ", subsequent_indent="    "))

    def verbatim(self, text: str) -> None:
        """Lines that people copy: never wrapped."""
        self._put(harmless(text, keep_newlines=True))

    def section(self, title: str, text: str = "") -> None:
        self._put()
        self._put(self._paint(BOLD, harmless(title)))
        self._put(self._paint(DIM, self._line * self.width))
        if text:
            self.text(text)

    def finding(self, happened: bool, what: str) -> None:
        mark = self._paint(GREEN, self._yes) if happened else self._paint(RED, self._no)
        lines = textwrap.wrap(harmless(what), self.width - 4) or [""]
        self._put(f"  {mark} {lines[0]}")
        for line in lines[1:]:
            self._put(f"    {line}")

    # --- mail ---------------------------------------------------------------------------------------------

    def came_in(self, mail: ParsedMessage) -> None:
        self._head("in", CYAN, f"from {mail.from_display or '(no From)'}")
        self._detail(mail.subject or "(no subject)", colour=BOLD)
        if mail.encryption is Encryption.PGP_MIME:
            self._detail("Its subject, its text and its files are encrypted to us.", colour=DIM)
            return
        self._body(mail, LINES_IN, quotes=False)

    def went_out(
        self, mail: ParsedMessage, recipient: str, after: str, *, seen: bool, inside: ParsedMessage | None = None
    ) -> None:
        """A mail that arrived at `recipient`; `seen`: one of its kind was shown in full before. `inside`: what their
        mail program has decrypted."""
        self._head("out", GREEN, f"in the mailbox of {recipient}{after}")
        to = ", ".join(address.addr_spec for address in mail.to) or "(nobody)"
        self._detail(f"From:    {mail.from_display}")
        self._detail(f"To:      {to}")
        self._detail(f"Subject: {mail.subject}", colour=BOLD)
        if inside is not None:
            self._detail("All else is encrypted to this one person, whose mail program shows:", colour=DIM)
            self._detail(f"Subject: {inside.subject}", colour=BOLD)
        self._body(inside or mail, LINES_AGAIN if seen else LINES_OUT)

    def sorted_as(self, outcome: str, chances: str, reasons: Sequence[Mapping[str, object]]) -> None:
        self._head("sort", YELLOW, f"{outcome.replace('_', ' ')}  ({chances})")
        for reason in reasons[:REASONS_SHOWN]:
            weight = reason.get("weight")
            shown = f"{weight:+5.1f}" if isinstance(weight, int | float) else " " * 5
            towards = str(reason.get("towards", "")).replace("_", " ")
            self._detail(f"{shown}  {towards:<13}{shorten(str(reason.get('label', '')), self.width - 30)}")
        if len(reasons) > REASONS_SHOWN:
            self._detail(f"       and {len(reasons) - REASONS_SHOWN} more", colour=DIM)

    def decided(self, what: str) -> None:
        self._head("then", YELLOW, what)

    def _head(self, label: str, colour: str, text: str) -> None:
        self._put()
        first, *rest = textwrap.wrap(harmless(text), self.width - len(MARGIN)) or [""]
        self._put(f"  {self._paint(colour, f'{label:<6}')}{first}")
        for line in rest:
            self._put(MARGIN + line)

    def _detail(self, text: str, *, colour: str = "") -> None:
        for line in textwrap.wrap(harmless(text), self.width - len(MARGIN), replace_whitespace=False) or [""]:
            self._put(MARGIN + (self._paint(colour, line) if colour else line))

    def _body(self, mail: ParsedMessage, most: int, *, quotes: bool = True) -> None:
        lines: list[str] = []
        written = harmless(mail.text, keep_newlines=True).strip().split("\n")
        shown = [line for line in written if quotes or not line.startswith(">")]
        for line in shown:
            lines += textwrap.wrap(line, self.width - len(MARGIN) - 2, drop_whitespace=False) or [""]
        for line in lines[:most]:
            self._put(f"{MARGIN}{self._paint(DIM, self._bar)} {line}".rstrip())
        if len(lines) > most:
            self._put(f"{MARGIN}{self._paint(DIM, f'{self._bar} ({len(lines) - most} more lines)')}")
        elif len(written) > len(shown):
            self._put(f"{MARGIN}{self._paint(DIM, f'{self._bar} ({len(written) - len(shown)} quoted lines)')}")
        for attachment in mail.attachments:
            if attachment.content_type == _SIGNATURE:
                continue  # every mail of ours has one
            self._detail(f"attached: {attachment.filename} ({written_size(attachment.size_bytes)})")

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text

    def _put(self, line: str = "") -> None:
        self._stream.write(line + "\n")
        # Whoever watches through a pipe watches live as well.
        self._stream.flush()


def _speaks_unicode(stream: TextIO) -> bool:
    try:
        "✓│".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
