"""Version 2: the read models of holdings and of equity."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables; a rebuild fills them."""
    op.create_table(
        "holdings",
        sa.Column("mount", sa.String(), primary_key=True, nullable=False),
        sa.Column("asset", sa.String(), primary_key=True, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("venue", "quantity", "entry", "realised")),
        sa.Column("is_flat", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
    )
    op.create_table(
        "equity",
        sa.Column("mount", sa.String(), primary_key=True, nullable=False),
        sa.Column("at", sa.String(), primary_key=True, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("cash", "equity")),
        sa.Column("seq", sa.Integer(), nullable=False),
    )
    op.execute("UPDATE meta SET value = 2 WHERE name = 'version'")
