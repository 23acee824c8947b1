"""The policies that the hub went by, what was determined about episodes, and which rows have no label.

Revision:   0009
Spec:       docs/policy.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0009"
down_revision: Final = "0008"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables and the index."""
    op.create_table(
        "policy_version",
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the regional policy's file"),
        sa.Column("adopted_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Text(),
            server_default=sa.text("'noted'"),
            nullable=False,
            comment="noted, waiting, filling, done",
        ),
        sa.Column("barrier", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "done",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="id of the last row labelled by it",
        ),
        sa.Column("done_type", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="policy_version_pkey"),
        comment="the policies that the hub went by, the newest adoption last, and how far each is applied",
    )
    op.create_table(
        "sensitivity_determination",
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("episode", sa.BigInteger(), nullable=False, comment="keyed hash of the Encounter"),
        sa.Column("determined_at", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="what, by whom, why"),
        sa.PrimaryKeyConstraint("id", "compartment", name="sensitivity_determination_pkey"),
        comment="what clinicians determined about episodes; the latest counts; append-only",
    )
    op.create_index(
        "sensitivity_determination_episode_idx",
        "sensitivity_determination",
        ["compartment", "episode", "determined_at"],
    )
    op.create_index(
        "resource_unlabelled_idx",
        "resource",
        ["id"],
        postgresql_where=sa.text("facets IS NULL AND NOT is_deleted"),
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
