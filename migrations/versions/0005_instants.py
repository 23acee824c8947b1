"""Versions by their instant: `_since` finds where to begin without reading the whole history.

Revision:   0005
Spec:       docs/decisions/0014-history-in-commit-order.md.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the indexes."""
    for table in ("resource", "resource_history"):
        op.create_index(
            f"{table}_last_updated_idx",
            table,
            ["last_updated"],
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on"},
        )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
