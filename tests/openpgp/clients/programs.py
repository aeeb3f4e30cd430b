"""What a test asks of a mail program, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Shown:
    """A mail as the program shows it to its person."""

    text: str  # header, text, and what the program itself says between them
    good: tuple[str, ...]  # the user ids whose signature it calls good, without a word of doubt
    files: dict[str, bytes] = field(default_factory=dict)


class MailProgram(Protocol):
    """One person's, with their keyring; it knows the mailbox's key, which the person has certified."""

    hides_subject: bool  # whether it writes and shows protected headers

    def show(self, raw: bytes, *files: str) -> Shown:
        """This mail opened, and these of its files saved."""

    def write(
        self, text: str, subject: str, to: str, *, sign: bool = True, encrypt: bool = True, files: tuple[Path, ...] = ()
    ) -> bytes:
        """The bytes of a new mail that it sends, with line ends as in SMTP."""

    def answer(
        self, raw: bytes, text: str, *, sign: bool = True, encrypt: bool = True, files: tuple[Path, ...] = ()
    ) -> bytes:
        """The bytes of the answer that it sends to this mail, whose text it quotes below."""
