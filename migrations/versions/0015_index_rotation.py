"""How far a rotation of the index key is.

Revision:   0015
Spec:       docs/blind-indexes.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0015"
down_revision: Final = "0014"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "index_rotation",
        sa.Column(
            "version", sa.SmallInteger(), nullable=False, autoincrement=False, comment="of the index key"
        ),
        sa.Column("former", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="see store/index_rotation"),
        sa.Column(
            "since",
            sa.BigInteger(),
            nullable=False,
            comment="when the state began, by the database's clock",
        ),
        sa.Column(
            "done",
            sa.Text(),
            nullable=False,
            server_default=sa.text("''"),
            comment="the last that was gone through",
        ),
        sa.Column("done_type", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("moved", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("version", name="index_rotation_pkey"),
        comment="rotations of the index key, and how far the newest is",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
