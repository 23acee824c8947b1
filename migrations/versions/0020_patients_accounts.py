"""Accounts of patients bear no name: it stands sealed in the record.

Revision:   0020
Spec:       docs/sign-in.md
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0020"
down_revision: Final = "0019"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Empty the names."""
    op.execute("UPDATE account SET name = '' WHERE role = 'patient'")


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
