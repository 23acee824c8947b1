"""Adapters: invitations, how each one stands, its days against the 24 h rule; requests counted by process.

Revision:   0021
Spec:       docs/region.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0021"
down_revision: Final = "0020"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables, and let a registration say that it is an adapter's."""
    op.add_column(
        "client", sa.Column("is_adapter", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.create_table(
        "client_invitation",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False, comment="keyed hash of the one-time code"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.Column(
            "replaces_keys",
            sa.Boolean(),
            nullable=False,
            comment="whether keys that the client has make way for the new one",
        ),
        sa.Column(
            "key_hash", sa.LargeBinary(), comment="SHA-256 of the key that used the code; null: nobody did"
        ),
        sa.PrimaryKeyConstraint("client_id", name="client_invitation_pkey"),
        sa.UniqueConstraint("code_hash", name="client_invitation_code_hash_key"),
        comment="systems that may bring their key by a one-time code",
    )
    op.create_table(
        "adapter_state",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("contact_at", sa.BigInteger(), nullable=False, comment="last report taken or token given"),
        sa.Column("reported_at", sa.BigInteger(), comment="when the last report was taken; null: none was"),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("0"),
            comment="of the last report, by its sender",
        ),
        sa.Column(
            "is_stopped",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="it said that it stops",
        ),
        sa.Column("report", JSONB(), comment="the last report: counts and codes, nothing of a patient"),
        sa.Column(
            "silent_since",
            sa.BigInteger(),
            comment="its last contact before a silence that was noticed; null: it speaks",
        ),
        sa.Column(
            "notice", sa.Text(), comment="silent or back, to be told to the operators; null: nothing is due"
        ),
        sa.Column("notice_due_at", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("notice_tries", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("client_id", name="adapter_state_pkey"),
        comment="how each adapter stands",
    )
    op.create_table(
        "adapter_day",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column(
            "day",
            sa.Date(),
            nullable=False,
            comment="on which the hub applied the records, in the region's zone",
        ),
        sa.Column("on_time", sa.Integer(), nullable=False, comment="within 24 h of the close of care"),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("worst_seconds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "day", name="adapter_day_pkey"),
        comment="records of each adapter and day against the 24 h rule",
    )
    op.create_table(
        "request_tally",
        sa.Column(
            "process",
            sa.Text(),
            nullable=False,
            comment="random for each server process; empty: those that ended",
        ),
        sa.Column("told_at", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.Column(
            "counts",
            JSONB(),
            nullable=False,
            comment="interaction|status class|bucket: requests; and their microseconds",
        ),
        sa.PrimaryKeyConstraint("process", name="request_tally_pkey"),
        comment="requests answered by each server process, for the metrics",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
