"""What clients may ask for in whose name; tokens that were revoked; what was searched for in this hour.

Revision:   0008
Spec:       docs/clients.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: Final = "0008"
down_revision: Final = "0007"
branch_labels: Final = None
depends_on: Final = None

LISTS: Final = ("further_roles", "within", "user_roles")


def upgrade() -> None:
    """Add the columns and tables."""
    for name in LISTS:
        op.add_column(
            "client", sa.Column(name, ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
        )
    op.add_column("client", sa.Column("jwks_uri", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column(
        "client",
        sa.Column(
            "user_organizations",
            JSONB(),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="id of each: what it is within",
        ),
    )
    op.add_column(
        "client", sa.Column("requests_per_minute", sa.Integer(), comment="null: as the settings say")
    )
    op.create_table(
        "revoked_token",
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.PrimaryKeyConstraint("jti", name="revoked_token_pkey"),
        comment="access tokens that end before their time",
    )
    op.create_index("revoked_token_expires_at_idx", "revoked_token", ["expires_at"])
    op.create_table(
        "searched_value",
        sa.Column("hour", sa.BigInteger(), nullable=False, comment="since 1970"),
        sa.Column("asker", sa.BigInteger(), nullable=False, comment="keyed hash of the client and its user"),
        sa.Column("value", sa.BigInteger(), nullable=False, comment="keyed hash of what was searched for"),
        sa.PrimaryKeyConstraint("hour", "asker", "value", name="searched_value_pkey"),
        comment="different values that each asker searched for, for this hour's limit",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
