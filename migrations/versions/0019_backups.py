"""Backups that were made, and when versions of the root were.

Revision:   0019
Spec:       docs/backup.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0019"
down_revision: Final = "0018"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables. A version of the root of which nobody noted when it was made is taken for the first one."""
    op.create_table(
        "root_version",
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "made_at", sa.BigInteger(), nullable=False, comment="backups from before are under older versions"
        ),
        sa.PrimaryKeyConstraint("version", name="root_version_pkey"),
        comment="when versions of the root were made; not the first one",
    )
    op.create_table(
        "backup",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "root_version", sa.SmallInteger(), comment="under which it opens; null: it was never finished"
        ),
        sa.Column("key_version", sa.SmallInteger(), comment="of the key of backups"),
        sa.Column(
            "record_version", sa.SmallInteger(), comment="of the newest key that wraps data keys in it"
        ),
        sa.Column("log_size", sa.BigInteger()),
        sa.Column("size", sa.BigInteger(), comment="bytes of its file"),
        sa.Column("digest", sa.LargeBinary(), comment="SHA-256 of its file"),
        sa.Column("verified_at", sa.BigInteger(), comment="when it was last restored and found whole"),
        sa.PrimaryKeyConstraint("number", name="backup_pkey"),
        comment="backups that were made",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
