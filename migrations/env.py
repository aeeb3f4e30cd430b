"""Alembic's environment: the connection comes from the caller (mailbox_service.adapters.database.migrating)."""

from alembic import context

from mailbox_service.adapters.database.tables import SafeJson, SafeText, UtcDateTime, metadata


def render_item(kind, item, autogen_context):
    """Write our own column types as the plain types the database sees: a migration must not change with our code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, SafeText):
        return "sa.Text()"
    if kind == "type" and isinstance(item, SafeJson):
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    render_item=render_item,
)
# The caller's transaction: all migrations of one run stand or fall together.
context.run_migrations()
