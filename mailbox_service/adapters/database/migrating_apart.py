"""Migrating in a process of its own: Alembic and what it loads are 20 MB that a daemon would keep for good.

`migrate` is the caller's end; run as a module, it is the other one: a URL on standard input, one line of JSON back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from mailbox_service.errors import PermanentError, TemporaryError

PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])


def migrate(url: str) -> tuple[str | None, str | None]:
    """As `migrating.migrate`, of the database at SQLAlchemy URL `url`; it takes as long as it takes.

    Raises: TemporaryError when the database is away, or the process ended early; PermanentError when the database was
    made by a newer program.
    """
    search_path = os.pathsep.join(filter(None, (PACKAGE_ROOT, os.environ.get("PYTHONPATH"))))
    # The URL may hold a password: others could read it among the arguments.
    child = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=url,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": search_path},
        check=False,
    )
    try:
        answer = json.loads(child.stdout)
    except ValueError as error:
        raise TemporaryError(f"the migration ended early, with exit code {child.returncode}") from error
    if (reason := answer.get("permanent")) is not None:
        raise PermanentError(reason)
    if (reason := answer.get("temporary")) is not None:
        raise TemporaryError(reason)
    return answer["before"], answer["after"]


def main() -> None:
    from mailbox_service.adapters.database import migrating
    from mailbox_service.adapters.database.storage import Database

    answer: dict[str, str | None]
    try:
        database = Database.open(sys.stdin.read())
        try:
            before, after = migrating.migrate(database)
        finally:
            database.close()
        answer = {"before": before, "after": after}
    except PermanentError as error:
        answer = {"permanent": str(error)}
    except TemporaryError as error:
        answer = {"temporary": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
