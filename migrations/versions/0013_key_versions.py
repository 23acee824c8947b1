"""Hub keys have versions and states, and say under which version of the root they are wrapped.

Revision:   0013
Spec:       docs/decisions/0024-key-tree.md.

Keys of before carry no fingerprint, and a hub does not open them: they were never released.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0013"
down_revision: Final = "0012"
branch_labels: Final = None
depends_on: Final = None

NEW: Final = (
    ("root_version", sa.SmallInteger(), "1", "of the root, under which it is wrapped"),
    ("state", sa.Text(), "'active'", "active, retired, destroyed"),
    ("fingerprint", sa.LargeBinary(), "''", "shows that the root gave back this key"),
    ("public", sa.LargeBinary(), "''", "of audit: verifies checkpoints, also once destroyed"),
    ("made_at", sa.BigInteger(), "0", None),
)


def upgrade() -> None:
    """Add the columns."""
    for name, kind, before, comment in NEW:
        op.add_column(
            "hub_key",
            sa.Column(name, kind, server_default=sa.text(before), nullable=False, comment=comment),
        )
        op.alter_column("hub_key", name, server_default=None)
    op.alter_column("hub_key", "wrapped", comment="empty: destroyed")
    op.create_table_comment(
        "hub_key", "the hub's keys in their versions, wrapped under the root", existing_comment=None
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
