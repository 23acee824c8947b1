"""The numbers of transactions, as functions of the database: a restored hub goes on where it was.

Revision:   0017
Spec:       docs/decisions/0004-postgresql-only.md.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0017"
down_revision: Final = "0016"
branch_labels: Final = None
depends_on: Final = None

TABLES: Final = ("resource", "resource_history", "audit_event")


def upgrade() -> None:
    """Create the functions, and let rows take their numbers from them."""
    op.execute(
        "CREATE FUNCTION transaction_number() RETURNS bigint LANGUAGE sql STABLE AS"
        "\n  'SELECT pg_current_xact_id()::text::bigint + 0'"
    )
    op.execute(
        "CREATE FUNCTION transaction_horizon() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS"
        "\n  'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 0'"
    )
    op.execute(
        "CREATE FUNCTION transaction_snapshot() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS"
        "\n  'SELECT pg_current_snapshot()::text'"
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN transaction SET DEFAULT transaction_number()")


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
