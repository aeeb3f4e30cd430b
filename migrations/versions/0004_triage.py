"""what people said of messages, which sorter sorted them, and what cases are compared by

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.add_column('cases', sa.Column('sketch', sa.LargeBinary(), nullable=True))
    op.add_column('message', sa.Column('model', sa.Text(), nullable=True))
    op.create_table(
        'example',
        sa.Column('id', Id, autoincrement=True, nullable=False),
        sa.Column('message_id', Id, nullable=False),
        sa.Column('label', sa.Text(), nullable=False),
        sa.Column('said', sa.Text(), nullable=False),
        sa.Column('said_by', sa.Text(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('outcome', sa.Text(), nullable=True),
        sa.Column('security', sa.Float(), nullable=True),
        sa.Column('spam', sa.Float(), nullable=True),
        sa.Column('model', sa.Text(), nullable=True),
        sa.CheckConstraint("label in ('security', 'not_security', 'spam')", name=op.f('ck_example_label')),
        sa.CheckConstraint("said in ('sorted', 'closed', 'answered')", name=op.f('ck_example_said')),
        sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_example_message_id_message')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_example')),
    )
    op.create_index(op.f('ix_example_message_id'), 'example', ['message_id'])


def downgrade() -> None:
    op.drop_table('example')
    op.drop_column('message', 'model')
    op.drop_column('cases', 'sketch')
