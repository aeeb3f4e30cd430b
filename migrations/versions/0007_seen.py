"""what was encrypted or signed in mails before

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    for table, digest in (('ciphertext', 'data_digest'), ('signed', 'digest')):
        op.create_table(
            table,
            sa.Column('mailbox', sa.Text(), nullable=False),
            sa.Column(digest, sa.Text(), nullable=False),
            sa.Column('message_id', Id, nullable=False),
            sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f(f'fk_{table}_message_id_message')),
            sa.PrimaryKeyConstraint('mailbox', digest, name=op.f(f'pk_{table}')),
        )


def downgrade() -> None:
    op.drop_table('signed')
    op.drop_table('ciphertext')
