"""what is known of a case besides its stage, when something falls due for it, and questions that wait for an answer

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
Json = sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')
Time = sa.DateTime(timezone=True)

# Nullable all of them: adding them touches no row, whatever the number of cases.
COLUMNS = {
    'owner': sa.Text(),
    'resolution': sa.Text(),
    'duplicate_of': sa.Text(),
    'stage_since': Time,
    'answered_at': Time,
    'told_at': Time,
    'promised_at': Time,
    'released_at': Time,
    'published_at': Time,
    'details_at': Time,
    'facts': Json,
    'reporters': Json,
    'participants': Json,
    'asked': Json,
    'next_due_at': Time,
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column('cases', sa.Column(name, kind, nullable=True))
    op.add_column('cases', sa.Column('reminded', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f('ix_cases_next_due_at'), 'cases', ['next_due_at'])
    op.create_table(
        'confirmation',
        sa.Column('id', Id, autoincrement=True, nullable=False),
        sa.Column('message_id', Id, nullable=False),
        sa.Column('case_id', Id, nullable=False),
        sa.Column('case_version', sa.Integer(), server_default='0', nullable=False),
        sa.Column('mail_id', sa.Text(), nullable=False),
        sa.Column('recipient', sa.Text(), nullable=False),
        sa.Column('purpose', sa.Text(), nullable=False),
        sa.Column('argument', sa.Text(), nullable=False),
        sa.Column('expires_at', Time, nullable=False),
        sa.Column('used_at', Time, nullable=True),
        sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_confirmation_message_id_message')),
        sa.ForeignKeyConstraint(['case_id'], ['cases.id'], name=op.f('fk_confirmation_case_id_cases')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_confirmation')),
        sa.UniqueConstraint('mail_id', name=op.f('uq_confirmation_mail_id')),
    )


def downgrade() -> None:
    op.drop_table('confirmation')
    op.drop_index(op.f('ix_cases_next_due_at'), table_name='cases')
    op.drop_column('cases', 'reminded')
    for name in reversed(COLUMNS):
        op.drop_column('cases', name)
