"""Which records have resources in common: a resource of two patients is found from either.

Revision:   0003
Spec:       docs/decisions/0009-two-kinds-of-search.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None

# What stands already: each pair of the records that one resource lies in.
FILL: Final = """
INSERT INTO shared_record (member, compartment)
SELECT DISTINCT one, other FROM resource r
CROSS JOIN LATERAL unnest(r.members || r.compartment) one CROSS JOIN LATERAL unnest(r.members || r.compartment) other
WHERE r.members IS NOT NULL AND one <> other"""


def upgrade() -> None:
    """Create the table, and fill it."""
    op.create_table(
        "shared_record",
        sa.Column("member", sa.BigInteger(), nullable=False),
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member", "compartment", name="shared_record_pkey"),
        comment="pairs of records that some resource is about together; a row may outlive it",
    )
    op.execute(FILL)


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
