"""Version 3: snapshots, which shorten a start."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "snapshots",
        sa.Column("seq", sa.Integer(), primary_key=True, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("hash", "program", "body", "digest")),
    )
    op.execute("UPDATE meta SET value = 3 WHERE name = 'version'")
