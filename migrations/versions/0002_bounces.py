"""what came back: when a mail bounced, and what was said

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('outbound', sa.Column('bounced_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('outbound', sa.Column('bounce', sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column('outbound', 'bounce')
    op.drop_column('outbound', 'bounced_at')
