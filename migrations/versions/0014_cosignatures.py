"""What outside witnesses signed under the log's heads.

Revision:   0014
Spec:       https://c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0014"
down_revision: Final = "0013"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Add the table of cosignatures."""
    op.create_table(
        "audit_cosignature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.Text(), nullable=False, comment="the name in its published key"),
        sa.Column(
            "line", sa.Text(), nullable=False, comment="its signature line, verified before it was stored"
        ),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size", "witness", name="audit_cosignature_pkey"),
        comment="what outside witnesses signed under heads; append-only",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
