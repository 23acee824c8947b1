"""Which pairs of records are certainly of one person: a hidden record links nobody.

Revision:   0011
Spec:       docs/decisions/0018-decision-inside-queries.md, 9.

Pairs are entered when a Patient is written. Until then records of one person, three or more, are not shown together
where one of them is hidden.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0011"
down_revision: Final = "0010"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "record_link",
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("other", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("compartment", "other", name="record_link_pkey"),
        comment="pairs of records whose Patients agree with certainty, both ways",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
