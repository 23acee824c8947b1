"""The audit log: events, leaves, signed heads.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from exchange.store.tables.columns import (
    DISTRIBUTED,
    REFERENCE,
    by_instant,
    index_columns,
    metadata,
    version_columns,
)

audit_event = Table(
    "audit_event",
    metadata,
    *version_columns(),
    *index_columns(),
    Column("agent", BigInteger, nullable=False, comment="keyed hash of who asked: the user, else the client"),
    Column("body", LargeBinary, nullable=False),
    Column("manifest", LargeBinary, comment="what exactly was shown, sealed; null: the event names it"),
    Column("text_digest", LargeBinary, nullable=False, comment="SHA-256 of the open event"),
    Column(
        "commitment", LargeBinary, nullable=False, comment="of sealed and open event, finding and manifest"
    ),
    Column("mac", LargeBinary, nullable=False, comment="by the hub: nobody else can add an event"),
    Column("finding", LargeBinary, comment="of an erased record: the digest of what found the event"),
    PrimaryKeyConstraint("id", "type", "compartment"),
    Index("audit_event_slice_idx", "compartment", "type", text("clinical_at DESC")),
    Index("audit_event_agent_idx", "agent", text("clinical_at DESC")),
    Index("audit_event_custodian_idx", "custodian", text("clinical_at DESC")),
    Index("audit_event_transaction_idx", "transaction"),
    by_instant("audit_event"),
    info=DISTRIBUTED,
    comment="BALP audit events, sealed; append-only",
)

audit_leaf = Table(
    "audit_leaf",
    metadata,
    Column("leaf_index", BigInteger, nullable=False, autoincrement=False),
    Column("compartment", BigInteger, nullable=False),
    Column("transaction", BigInteger, nullable=False),
    Column("id", Uuid, nullable=False),
    Column(
        "sequence",
        BigInteger,
        nullable=False,
        comment="among the record's events, from 1; 0: about no patient",
    ),
    Column("leaf", LargeBinary, nullable=False),
    PrimaryKeyConstraint("leaf_index"),
    Index("audit_leaf_id_idx", "id"),
    Index(
        "audit_leaf_sequence_idx",
        "compartment",
        "sequence",
        unique=True,
        postgresql_where=text("sequence > 0"),
    ),
    info=REFERENCE,
    comment="the Merkle tree's leaves in commit order; append-only",
)

audit_node = Table(
    "audit_node",
    metadata,
    Column("height", SmallInteger, nullable=False, autoincrement=False),
    Column("index", BigInteger, nullable=False, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("height", "index"),
    info=REFERENCE,
    comment="roots of full subtrees of 2^8, 2^16, 2^24 ... leaves: proofs read few rows; append-only",
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

audit_cosignature = Table(
    "audit_cosignature",
    metadata,
    Column("size", BigInteger, nullable=False, autoincrement=False),
    Column("witness", Text, nullable=False, comment="the name in its published key"),
    Column("line", Text, nullable=False, comment="its signature line, verified before it was stored"),
    Column("taken_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("size", "witness"),
    info=REFERENCE,
    comment="what outside witnesses signed under heads; append-only",
)

access_signal = Table(
    "access_signal",
    metadata,
    Column("number", Text, nullable=False, comment="random: it says nothing of anybody"),
    Column("custodian", BigInteger, nullable=False, comment="key of the facility that asked"),
    Column("kind", Text, nullable=False),
    Column("weight", SmallInteger, nullable=False),
    Column("happened_at", BigInteger, nullable=False),
    Column("agent", BigInteger, nullable=False, comment="keyed hash of who asked"),
    Column("once", BigInteger, nullable=False, comment="keyed hash of what it is about: one signal says it"),
    Column("body", LargeBinary, nullable=False, comment="events and account, sealed under the region's key"),
    Column("verdict", Text, comment="explained, misuse, unclear; null: nobody looked into it"),
    Column("judged_at", BigInteger),
    Column("judgement", LargeBinary, comment="by whom and why, sealed under the region's key"),
    PrimaryKeyConstraint("number"),
    Index("access_signal_once_idx", "once", unique=True),
    Index("access_signal_rank_idx", "weight", "happened_at", "number"),
    Index("access_signal_custodian_idx", "custodian", "weight", "happened_at", "number"),
    info=REFERENCE,
    comment="accesses that somebody should look into",
)

signal_position = Table(
    "signal_position",
    metadata,
    Column("name", Text, nullable=False),
    Column("leaf_index", BigInteger, nullable=False, comment="the next event to look at"),
    PrimaryKeyConstraint("name"),
    info=REFERENCE,
    comment="how far the log was looked through for signals",
)
