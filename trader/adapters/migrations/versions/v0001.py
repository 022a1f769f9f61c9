"""Version 1: the chain, the lease, and the read models of messages, orders, attempts and fills."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table("meta", _text("name", is_key=True), _whole("value"))
    op.create_table(
        "journal", _whole("seq", is_key=True), _whole("epoch"), *map(_text, ("at", "kind", "body", "prev_hash", "hash"))
    )
    op.create_index("ix_journal_kind", "journal", ["kind"])
    op.create_table(
        "lease", _whole("id", is_key=True), _whole("epoch"), _text("owner"), sa.Column("expires", sa.Float(), nullable=False)
    )  # fmt: skip
    op.create_table(
        "receipts", _text("key", is_key=True), *map(_text, ("source", "digest", "outcome", "why")), _whole("seq")
    )
    op.create_table("outcomes", _text("key", is_key=True), _text("mount", is_key=True), _text("outcome"), _whole("seq"))
    op.create_table(
        "orders", _text("mount", is_key=True), _whole("number", is_key=True),
        *map(_text, ("placed_at", "asset", "venue", "side")), _maybe("quantity"), _maybe("spend"),
        *map(_text, ("why", "state", "reason", "venue_order")),
    )  # fmt: skip
    op.create_table(
        "attempts", _text("client_id", is_key=True), _text("mount"), _whole("number"), _whole("attempt"),
        sa.Column("signed_ms", sa.BigInteger(), nullable=False), sa.Column("not_after_ms", sa.BigInteger(), nullable=False),
        _text("digest"), _whole("epoch"), sa.UniqueConstraint("mount", "number", "attempt"),
    )  # fmt: skip
    op.create_table(
        "fills", _whole("seq", is_key=True), _text("at"), _text("mount"), sa.Column("number", sa.Integer()),
        *map(_text, ("asset", "venue", "side", "quantity", "price", "fee", "fee_asset", "why", "trade")),
    )  # fmt: skip
    op.create_index(
        "one_per_trade", "fills", ["venue", "asset", "trade"], unique=True, sqlite_where=sa.text("trade <> ''"),
        postgresql_where=sa.text("trade <> ''"),
    )  # fmt: skip
    op.execute("INSERT INTO meta (name, value) VALUES ('version', 1)")


def _text(name: str, *, is_key: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(), primary_key=is_key, nullable=False)


def _maybe(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(), nullable=True)


def _whole(name: str, *, is_key: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), primary_key=is_key, nullable=False)
