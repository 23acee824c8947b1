"""Signals: accesses that somebody should look into.

Revision:   0018
Spec:       docs/audit.md, "Signals".
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0018"
down_revision: Final = "0017"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "access_signal",
        sa.Column("number", sa.Text(), nullable=False, comment="random: it says nothing of anybody"),
        sa.Column("custodian", sa.BigInteger(), nullable=False, comment="key of the facility that asked"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("weight", sa.SmallInteger(), nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("agent", sa.BigInteger(), nullable=False, comment="keyed hash of who asked"),
        sa.Column(
            "once",
            sa.BigInteger(),
            nullable=False,
            comment="keyed hash of what it is about: one signal says it",
        ),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=False,
            comment="events and account, sealed under the region's key",
        ),
        sa.Column("verdict", sa.Text(), comment="explained, misuse, unclear; null: nobody looked into it"),
        sa.Column("judged_at", sa.BigInteger()),
        sa.Column("judgement", sa.LargeBinary(), comment="by whom and why, sealed under the region's key"),
        sa.PrimaryKeyConstraint("number", name="access_signal_pkey"),
        comment="accesses that somebody should look into",
    )
    op.execute("ALTER TABLE access_signal ALTER COLUMN body SET STORAGE EXTERNAL")
    op.create_index("access_signal_once_idx", "access_signal", ["once"], unique=True)
    op.create_index("access_signal_rank_idx", "access_signal", ["weight", "happened_at", "number"])
    op.create_index(
        "access_signal_custodian_idx", "access_signal", ["custodian", "weight", "happened_at", "number"]
    )
    op.create_table(
        "signal_position",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=False, comment="the next event to look at"),
        sa.PrimaryKeyConstraint("name", name="signal_position_pkey"),
        comment="how far the log was looked through for signals",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
