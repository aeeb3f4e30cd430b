"""Mails of conversations as documents show them: played just now, whole, without what only mail programs read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tests.conversation import told
from tests.conversation.people import Mail, text_of
from tests.conversation.told import Step

BOX = "security@example.org"
ADA, JANE = "ada@example.org", "jane@research.example"


@cache
def the_whole_way() -> tuple[Step, ...]:
    return tuple(told.told(told.the_whole_way))


# --- the two sides ----------------------------------------------------------------------------------------------------


def for_maintainers() -> str:
    """What maintainers write and get; of equal mails to each of them one."""
    parts = []
    for step in the_whole_way():
        parts.append(_heading(step))
        if step.who is not None and step.who.address != JANE:
            parts.append(_block(_written(step)))
        inside = [(to, mail) for to, mail in step.out if to != JANE]
        for people, mail in _alike(inside):
            unfolded = step is the_whole_way()[0] or _kind(mail) == "confirmation"
            parts.append(_folded(people, mail, unfolded=unfolded))
        parts += [f"Jane gets the mail *{_spoken(mail)}*." for to, mail in step.out if to == JANE]
    return "\n\n".join(parts)


def for_reporters() -> str:
    """What the reporter writes and gets."""
    parts = []
    for step in the_whole_way():
        theirs = [mail for to, mail in step.out if to == JANE]
        by_her = step.who is not None and step.who.address == JANE
        if theirs or by_her:
            parts.append(_heading(step))
        if by_her:
            parts += ["Jane writes:", _block(_written(step))]
        for mail in theirs:
            parts += ["She gets:" if by_her else "Jane gets:", _block(_mail(JANE, mail))]
    return "\n\n".join(parts)


def _heading(step: Step) -> str:
    return f"### {step.title}\n\n*{step.at:%A, %H:%M} UTC*"


def _alike(mails: list[tuple[str, Mail]]) -> list[tuple[list[str], Mail]]:
    """Mails of the same text are shown once, with everybody who gets it."""
    found: dict[str, tuple[list[str], Mail]] = {}
    for to, mail in mails:
        found.setdefault(text_of(mail), ([], mail))[0].append(to)
    return list(found.values())


# --- one mail ---------------------------------------------------------------------------------------------------------


def _written(step: Step) -> str:
    assert step.who is not None
    assert step.body is not None
    head = [f"From: {step.who.name} <{step.who.address}>", f"To: {BOX}", f"Subject: {step.subject}"]
    return "\n".join([*head, *_attached(step.files), "", step.body.strip()])


def _mail(to: str, mail: Mail) -> str:
    files = tuple(name for part in mail.iter_attachments() if (name := part.get_filename()))
    head = [f"From: {mail['From']}", f"To: {to}", f"Subject: {mail['Subject']}"]
    return "\n".join([*head, *_attached(files), "", *(line.rstrip() for line in text_of(mail).strip().split("\n"))])


def _attached(files: tuple[str, ...]) -> list[str]:
    return [f"Attached: {', '.join(files)}"] if files else []


def _kind(mail: Mail) -> str:
    return str(mail["X-Mailbox-Service-Loop"]).rpartition(".")[2]


def _spoken(mail: Mail) -> str:
    return _kind(mail).replace("_", " ")


def _block(text: str) -> str:
    return f"```text\n{text}\n```"


def _folded(people: list[str], mail: Mail, *, unfolded: bool) -> str:
    names = [to.partition("@")[0].capitalize() for to in people]
    who = f"{names[0]} gets" if len(names) == 1 else f"{' and '.join(names)} get, each in a mail of their own"
    start = "<details open>" if unfolded else "<details>"
    summary = f"<summary>{who}: <em>{_spoken(mail)}</em></summary>"
    return f"{start}{summary}\n\n{_block(_mail(people[0], mail))}\n\n</details>"


# --- scenes -----------------------------------------------------------------------------------------------------------


def _scene(play: told.Play, *, written: bool = True, step: int = -1, to: str = ADA) -> Callable[[], str]:
    """What was written in one step of a play, and the first mail that one person got for it."""

    def shown() -> str:
        it = told.told(play)[step]
        parts = [_block(_written(it))] if written else []
        parts.append(next(_block(_mail(recipient, mail)) for recipient, mail in it.out if recipient == to))
        return "\n\n".join(parts)

    return shown


SCENES: dict[str, Callable[[], str]] = {
    "scene-note": _scene(told.a_note_while_the_reporter_waits),
    "scene-doubt": _scene(told.a_doubt),
    "scene-slip": _scene(told.a_slip),
    "scene-two-at-once": _scene(told.two_at_once, to="grace@example.org"),
    "scene-digest": _scene(told.a_digest, written=False, step=-2),
    "scene-digest-answered": _scene(told.a_digest),
    "scene-reminder": _scene(told.a_reminder, written=False),
}
