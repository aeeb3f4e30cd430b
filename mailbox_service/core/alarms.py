"""What can go wrong with the service itself: the alarms by name, and when people are told of one.

An alarm is raised, may stay on, and is over. People hear of each change once, and of what stays on once a day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

REMINDER_AFTER = timedelta(days=1)
# What comes and goes must not become a mail each time: from its second end within a day on, an alarm is over only
# when it has been quiet for so long, and for twice as long after each further one.
FIRST_QUIET = timedelta(minutes=15)
LONGEST_QUIET = timedelta(hours=12)
COUNTED_FOR = timedelta(days=1)
# So often the record of an alarm that stays on is renewed; one that was not for three times as long has been left
# behind by a worker that is gone, and any other may end it.
RENEWED_AFTER = timedelta(minutes=5)
LEFT_BEHIND_AFTER = 3 * RENEWED_AFTER


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """One line of the table in docs/operations.md; a test holds the two together."""

    name: str
    meaning: str
    remedy: str
    # Whether the maintainers are told by mail too: not where mail cannot work, or has told them already.
    by_mail: bool = True
    # Alarms of a mailbox are kept in the database, so that they survive a restart and several daemons share them;
    # those of the machine are kept in memory, because they may be about the database.
    of_mailbox: bool = True
    # Whether people hear of it once a day while it lasts; else again only when what is said of it changes.
    daily: bool = True


_KINDS = (
    AlarmKind(
        "imap_login",
        "The IMAP server refuses our login, so no mail is fetched. It is tried less and less often, up to half an hour "
        "apart, so that the account is not locked.",
        "Correct the user name, the password or the server; a new password is used at the next attempt without a "
        "restart. `mailbox-service check` tries it at once.",
    ),
    AlarmKind(
        "smtp_login",
        "The SMTP server refuses our login, so nothing is sent. The mails wait in the outbox.",
        "Correct the user name, the password or the server; `mailbox-service check` tries it at once. "
        "`outbox list --state waiting` shows what waits.",
        by_mail=False,
    ),
    AlarmKind(
        "folder",
        "A watched folder was not looked at for 15 minutes: the server is away or silent, or the folder is gone.",
        "Run `mailbox-service check`, and mend what it names; the service connects again by itself.",
    ),
    AlarmKind(
        "door",
        "A door for mail that is pushed to us (`intake.lmtp`, `intake.smtp`) is not open. The mail server that pushes "
        "keeps its mail and tries again for some days.",
        "Run `mailbox-service check`, and mend what it names: the folder of the socket, its rights, a port in use. The "
        "service opens the door by itself.",
    ),
    AlarmKind(
        "canary_late",
        "The mail that the service sends to its own address did not come back in time, so mail from others may not "
        "arrive either, although the server answers.",
        "Look at the way in: MX records, forwarding, quota, filters, other folders. `check --send-test` "
        "tries it at once; `outbox list` shows whether the last canary has left.",
    ),
    AlarmKind(
        "canary_junk",
        "The mail that the service sends to its own address came back in the Junk folder: the provider takes it for "
        "spam, and may take reports and our answers for spam too.",
        "Check SPF, DKIM and DMARC of the domain and the mailbox's rules; tell the filter that this mail is wanted.",
    ),
    AlarmKind(
        "reconciliation",
        "The daily comparison found, twice in a row, mail that is on the server and not on file, or damaged on file.",
        "Run `mailbox-service reconcile`, which lists each; `reconcile --fetch` takes in what is missing.",
    ),
    AlarmKind(
        "mail_waiting",
        "A mail of ours has waited for more than an hour: the SMTP server does not take it, or `outbox.max_per_hour` "
        "holds it back.",
        "`outbox list --state waiting` and `outbox show ID` have the server's last words. Correct it, then "
        "`outbox retry ID`.",
    ),
    AlarmKind(
        "maintainers_unreached",
        "The last mail to each of the maintainers has failed or come back: nobody is told of new reports.",
        "`outbox list --state failed` and `--state bounced` say why; correct the addresses or the server, then "
        "`outbox retry ID`. "
        "Until then look at `case list` by hand.",
    ),
    AlarmKind(
        "outbox_paused",
        "The outbox has been paused for a day: nobody gets an answer, and maintainers hear of nothing.",
        "`mailbox-service outbox resume`, or leave it paused knowingly.",
        by_mail=False,
    ),
    AlarmKind(
        "held",
        "A message could not be worked in five attempts and is held. The maintainers got a mail about it.",
        "`hold list`, `hold show ID`, then `hold release ID`; please report what our code could not handle.",
        by_mail=False,
    ),
    AlarmKind(
        "worker",
        "Mail on file has been due for 15 minutes without being worked: no case is opened and nobody is answered.",
        "Look for `message failed`, `batch failed` and `task failed` in the log; restart the service.",
    ),
    AlarmKind(
        "own_key",
        "The mailbox's own OpenPGP key expires soon, or has: soon nobody can encrypt to it. Told 30, 14 and 3 days "
        "ahead.",
        "`mailbox-service key check`, then `key generate --another`, and publish the new key (docs/openpgp.md).",
        daily=False,
    ),
    AlarmKind(
        "pinned_key",
        "OpenPGP keys that are pinned to maintainers expire soon, or have: sealed cases cannot be sent to them then. "
        "Told 30, 14 and 3 days ahead.",
        "`mailbox-service key check` names them. Ask for the renewed key, and `key pin` it.",
        daily=False,
    ),
    AlarmKind(
        "disk",
        "The disk that holds the database is almost full. Mail that cannot be stored stays on the IMAP server.",
        "Make room, or move the database; nothing is lost meanwhile.",
        by_mail=False,
        of_mailbox=False,
    ),
    AlarmKind(
        "database",
        "The database did not answer for two minutes: nothing is taken in or sent. The IMAP server keeps the mail.",
        "Bring the database back; the service goes on by itself. No other alarm can be raised meanwhile.",
        by_mail=False,
        of_mailbox=False,
    ),
    AlarmKind(
        "clock",
        "The machine's clock jumped by more than a minute. Deadlines and the times on file may be wrong by that much.",
        "Set the clock right and keep it so (NTP). The alarm ends by itself after an hour without a jump.",
        by_mail=False,
        of_mailbox=False,
    ),
)
ALARMS = {kind.name: kind for kind in _KINDS}


class Change(StrEnum):
    """Why people are told."""

    RAISED = "raised"
    REMINDER = "reminder"  # it is still on
    OVER = "over"


@dataclass(frozen=True, slots=True)
class AlarmState:
    """What is known of one alarm of one mailbox."""

    on: bool
    since: datetime
    told: datetime
    seen: datetime  # when it was last found on; renewed every RENEWED_AFTER
    by: str  # the worker that found it on
    what: str
    raises: int = 1  # how often it was raised since `counting`
    counting: datetime | None = None

    def dump(self) -> str:
        moments = {name: moment.isoformat() for name, moment in self._moments().items()}
        return json.dumps({"on": self.on, "by": self.by, "what": self.what, "raises": self.raises} | moments)

    def _moments(self) -> dict[str, datetime]:
        return {"since": self.since, "told": self.told, "seen": self.seen, "counting": self.counting or self.since}

    @staticmethod
    def load(text: str | None) -> AlarmState | None:
        """The state of `dump`; None for what is none, such as what a later version wrote."""
        try:
            values = json.loads(text or "")
            moments = {k: datetime.fromisoformat(values[k]) for k in ("since", "told", "seen", "counting")}
            return AlarmState(
                on=bool(values["on"]),
                by=str(values["by"]),
                what=str(values["what"]),
                raises=int(values["raises"]),
                **moments,
            )
        except (ValueError, KeyError, TypeError):
            return None


def advance(
    state: AlarmState | None, *, found_on: bool, what: str, by: str, now: datetime, daily: bool = True
) -> tuple[AlarmState | None, Change | None]:
    """The next state after a worker `by` found the alarm on or off, and what people are to be told, if anything."""
    if found_on:
        return _found_on(state, what, by, now, daily=daily)
    if state is None or not state.on:
        return state, None
    silent_for = abs(now - state.seen)
    # What another worker sees is its own to end: it may be the only one that cannot reach the server.
    if state.by != by and silent_for < LEFT_BEHIND_AFTER:
        return state, None
    if state.raises > 1 and silent_for < quiet_after(state.raises):
        return state, None
    return replace(state, on=False, told=now), Change.OVER


def _found_on(
    state: AlarmState | None, what: str, by: str, now: datetime, *, daily: bool
) -> tuple[AlarmState, Change | None]:
    if state is None or not state.on:
        counting = (state.counting if state else None) or now
        recent = state is not None and abs(now - counting) < COUNTED_FOR
        raises = state.raises + 1 if state is not None and recent else 1
        return AlarmState(True, now, now, now, by, what, raises, counting if recent else now), Change.RAISED
    if abs(now - state.told) >= REMINDER_AFTER if daily else what != state.what:
        return replace(state, told=now, seen=now, by=by, what=what), Change.REMINDER
    if abs(now - state.seen) >= RENEWED_AFTER:
        return replace(state, seen=now, by=by, what=what), None
    return state, None


def quiet_after(raises: int) -> timedelta:
    """How long an alarm that was raised so often within a day must be off before it is over."""
    doublings = min(max(raises - 2, 0), 10)
    quiet: timedelta = FIRST_QUIET * 2**doublings
    return min(quiet, LONGEST_QUIET)
