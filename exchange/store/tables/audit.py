"""The audit log: events, leaves, signed heads.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from exchange.store.tables.columns import DISTRIBUTED, REFERENCE, index_columns, metadata, version_columns

audit_event = Table(
    "audit_event",
    metadata,
    *version_columns(),
    *index_columns(),
    Column("body", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False, comment="SHA-256(0x00 || SHA-256(salt || body))"),
    PrimaryKeyConstraint("id", "type", "compartment"),
    Index("audit_event_slice_idx", "compartment", "type", text("clinical_at DESC")),
    Index("audit_event_transaction_idx", "transaction"),
    info=DISTRIBUTED,
    comment="BALP audit events, sealed; append-only",
)

audit_leaf = Table(
    "audit_leaf",
    metadata,
    Column("leaf_index", BigInteger, nullable=False, autoincrement=False),
    Column("compartment", BigInteger, nullable=False),
    Column("transaction", BigInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    PrimaryKeyConstraint("leaf_index"),
    Index("audit_leaf_id_idx", "id"),
    info=REFERENCE,
    comment="the Merkle tree's leaves in commit order; append-only",
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", BigInteger, nullable=False, autoincrement=False),
    Column("transaction", BigInteger, nullable=False, comment="every older transaction is in the tree"),
    Column("frontier", LargeBinary, nullable=False, comment="roots of the full subtrees, left to right"),
    Column("note", Text, nullable=False, comment="C2SP tlog checkpoint, signed"),
    Column("signed_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("size"),
    info=REFERENCE,
    comment="signed tree heads; append-only",
)
