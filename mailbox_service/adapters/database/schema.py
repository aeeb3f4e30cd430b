"""Which schema this program wants, known without loading the migrations."""

from __future__ import annotations

import sqlalchemy as sa

# The newest revision in migrations/versions; a test compares them.
REVISION = "0007"


def revision(connection: sa.Connection) -> str | None:
    """The schema's revision in the database; None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(sa.text("select version_num from alembic_version"))
    return None if found is None else str(found)
