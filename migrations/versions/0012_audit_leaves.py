"""The audit log commits to open events too, counts each record's, and says who may have written them.

Revision:   0012
Spec:       docs/decisions/0012-audit-log.md.

The form of a leaf changes. A log of the older form was never released, and cannot be told in the new one: a database
that holds one is refused and left as it is.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0012"
down_revision: Final = "0011"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Replace salt and leaf by digests, a commitment and a MAC; number the leaves; keep subtrees."""
    if op.get_bind().execute(sa.text("SELECT EXISTS (SELECT 1 FROM audit_event)")).scalar():
        raise RuntimeError(
            "this database holds an audit log of a form from before the first release: keep it for what it proves, "
            "and start a new data folder"
        )
    for name in ("salt", "leaf"):
        op.drop_column("audit_event", name)
    for column in (
        sa.Column(
            "agent",
            sa.BigInteger(),
            nullable=False,
            comment="keyed hash of who asked: the user, else the client",
        ),
        sa.Column(
            "manifest", sa.LargeBinary(), comment="what exactly was shown, sealed; null: the event names it"
        ),
        sa.Column("text_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the open event"),
        sa.Column(
            "commitment",
            sa.LargeBinary(),
            nullable=False,
            comment="of sealed and open event, finding and manifest",
        ),
        sa.Column(
            "mac", sa.LargeBinary(), nullable=False, comment="by the hub: nobody else can add an event"
        ),
        sa.Column(
            "finding", sa.LargeBinary(), comment="of an erased record: the digest of what found the event"
        ),
    ):
        op.add_column("audit_event", column)
    op.execute("ALTER TABLE audit_event ALTER COLUMN manifest SET STORAGE EXTERNAL")
    for name in ("agent", "custodian"):
        op.create_index(
            f"audit_event_{name}_idx", "audit_event", [name, sa.literal_column("clinical_at DESC")]
        )
    op.create_index(
        "audit_event_last_updated_idx",
        "audit_event",
        ["last_updated"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.drop_index("audit_leaf_id_idx", "audit_leaf")
    op.drop_column("audit_leaf", "id")
    op.add_column("audit_leaf", sa.Column("id", sa.Uuid(), nullable=False))
    op.add_column(
        "audit_leaf",
        sa.Column(
            "sequence",
            sa.BigInteger(),
            nullable=False,
            comment="among the record's events, from 1; 0: about no patient",
        ),
    )
    op.create_index("audit_leaf_id_idx", "audit_leaf", ["id"])
    op.create_index(
        "audit_leaf_sequence_idx",
        "audit_leaf",
        ["compartment", "sequence"],
        unique=True,
        postgresql_where=sa.text("sequence > 0"),
    )
    op.create_table(
        "audit_node",
        sa.Column("height", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("height", "index", name="audit_node_pkey"),
        comment="roots of full subtrees of 2^8, 2^16, 2^24 ... leaves: proofs read few rows; append-only",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
