"""Emergency cases are opened, told of and judged: what that needs beside the case itself.

Revision:   0010
Spec:       docs/emergency.md.

Nobody could open a case before: the table is empty.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0010"
down_revision: Final = "0009"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Name the facility; hide the user; add the judgement and the state of the notices."""
    op.drop_column("emergency_case", "user_id")
    for column in (
        sa.Column("user_key", sa.BigInteger(), nullable=False, comment="keyed hash of the person who opened it"),
        sa.Column("facility", sa.Text(), nullable=False, comment="the Organization that opened it"),
        sa.Column(
            "reason_key", sa.BigInteger(), nullable=False,
            comment="keyed hash of the typed reason: the same words again are noted",
        ),
        sa.Column("verdict", sa.Text(), comment="justified, unjustified, needs-review; null: not judged"),
        sa.Column("judgement", sa.LargeBinary(), comment="by whom and why, sealed under the record"),
        sa.Column(
            "notice_tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False,
            comment="how often the officer's notice was sent",
        ),
        sa.Column(
            "notice_due_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False,
            comment="when it is sent next, while the officer is not told",
        ),
    ):  # fmt: skip
        op.add_column("emergency_case", column)
    op.create_index("emergency_case_number_idx", "emergency_case", ["number"])
    op.create_index("emergency_case_opened_idx", "emergency_case", ["opened_at"])
    op.create_index(
        "emergency_case_untold_idx",
        "emergency_case",
        ["opened_at"],
        postgresql_where=sa.text("officer_told_at IS NULL OR patient_told_at IS NULL"),
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
