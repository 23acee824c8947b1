"""Search parameters that are posted to the hub.

Revision:   0004
Spec:       docs/decisions/0017-search-parameters-of-its-own.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "custom_parameter",
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="of the SearchParameter"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("targets", ARRAY(sa.Text()), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="noted, waiting, filling, ready; or unindexed"),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.Column("barrier", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("type", "code", name="custom_parameter_pkey"),
        comment="search parameters that have been posted, and how far they are indexed",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
