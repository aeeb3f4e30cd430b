"""PostgreSQL keeps the bytes of mail as they are: trying to compress them costs more than all else it does for a message

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

# What is on file stays as it was written; PostgreSQL reads both.
CHUNKS = ('message_chunk', 'outbound_chunk')


def upgrade() -> None:
    store('EXTERNAL')


def downgrade() -> None:
    store('EXTENDED')


def store(how: str) -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for table in CHUNKS:
            op.execute(f'ALTER TABLE {table} ALTER COLUMN data SET STORAGE {how}')
