"""Records that were erased.

Revision:   0016
Spec:       docs/keys.md, "Erasing a record".
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0016"
down_revision: Final = "0015"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "erasure",
        sa.Column("compartment", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "mac",
            sa.LargeBinary(),
            nullable=False,
            comment="by the hub: nobody else can pass off hiding as erasing",
        ),
        sa.Column(
            "is_swept",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="late writes are gone too",
        ),
        sa.PrimaryKeyConstraint("compartment", name="erasure_pkey"),
        comment="records that were erased on an order",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
