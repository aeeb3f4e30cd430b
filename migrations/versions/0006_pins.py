"""which OpenPGP key belongs to whom

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        'pin',
        sa.Column('id', Id, autoincrement=True, nullable=False),
        sa.Column('mailbox', sa.Text(), nullable=False),
        sa.Column('address', sa.Text(), nullable=False),
        sa.Column('fingerprint', sa.Text(), nullable=False),
        sa.Column('scope', sa.Text(), nullable=False),
        sa.Column('case_id', Id, nullable=True),
        sa.Column('data', sa.LargeBinary(), nullable=False),
        sa.Column('how', sa.Text(), nullable=False),
        sa.Column('by', sa.Text(), nullable=False),
        sa.Column('pinned_at', Time, nullable=False),
        sa.Column('expires_at', Time, nullable=True),
        sa.Column('unpinned_at', Time, nullable=True),
        sa.CheckConstraint(
            "scope in ('mailbox', 'case') and (scope = 'case') = (case_id is not null)", name=op.f('ck_pin_scope')
        ),
        sa.ForeignKeyConstraint(['case_id'], ['cases.id'], name=op.f('fk_pin_case_id_cases')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_pin')),
    )
    op.create_index(op.f('ix_pin_mailbox_address'), 'pin', ['mailbox', 'address'])
    op.create_index(op.f('ix_pin_case_id'), 'pin', ['case_id'])


def downgrade() -> None:
    op.drop_table('pin')
