"""Records: versions of resources, and what finds them.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from exchange.store.tables.columns import (
    DISTRIBUTED,
    REFERENCE,
    by_instant,
    index_columns,
    metadata,
    version_columns,
)

resource = Table(
    "resource",
    metadata,
    *version_columns(),
    *index_columns(),
    Column("clinical_until", BigInteger, comment="end of the clinical date; null: none"),
    Column(
        "facets",
        ARRAY(Integer),
        comment="what consents may name, hashed under the record; null: not labelled",
    ),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", "type", "compartment"),
    Index("resource_slice_idx", "compartment", "type", text("clinical_at DESC")),
    Index("resource_transaction_idx", "transaction"),
    Index("resource_unlabelled_idx", "id", postgresql_where=text("facets IS NULL AND NOT is_deleted")),
    by_instant("resource"),
    info=DISTRIBUTED,
    comment="the current version of each resource, sealed",
)

resource_history = Table(
    "resource_history",
    metadata,
    *version_columns(),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", "type", "version_id", "compartment"),
    Index("resource_history_transaction_idx", "transaction"),
    by_instant("resource_history"),
    info=DISTRIBUTED,
    comment="superseded versions; append-only",
)

token_entry = Table(
    "token_entry",
    metadata,
    Column("hash", BigInteger, nullable=False),
    Column("compartment", BigInteger, nullable=False),
    PrimaryKeyConstraint("hash", "compartment"),
    info=DISTRIBUTED,
    comment="population search: in which records a keyed hash stands; a row may outlive what it points to",
)

custom_parameter = Table(
    "custom_parameter",
    metadata,
    Column("type", SmallInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("id", Text, nullable=False, comment="of the SearchParameter"),
    Column("kind", Text, nullable=False),
    Column("expression", Text, nullable=False),
    Column("targets", ARRAY(Text), nullable=False),
    Column("url", Text, nullable=False),
    Column("state", Text, nullable=False, comment="noted, waiting, filling, ready; or unindexed"),
    Column("noted_at", BigInteger, nullable=False),
    Column("barrier", BigInteger, nullable=False, server_default=text("0")),
    Column("done", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("type", "code"),
    info=REFERENCE,
    comment="search parameters that have been posted, and how far they are indexed",
)

index_rotation = Table(
    "index_rotation",
    metadata,
    Column("version", SmallInteger, nullable=False, autoincrement=False, comment="of the index key"),
    Column("former", SmallInteger, nullable=False),
    Column("state", Text, nullable=False, comment="see store/index_rotation"),
    Column("since", BigInteger, nullable=False, comment="when the state began, by the database's clock"),
    Column("done", Text, nullable=False, server_default=text("''"), comment="the last that was gone through"),
    Column("done_type", SmallInteger, nullable=False, server_default=text("0")),
    Column("moved", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("version"),
    info=REFERENCE,
    comment="rotations of the index key, and how far the newest is",
)

shared_record = Table(
    "shared_record",
    metadata,
    Column("member", BigInteger, nullable=False),
    Column("compartment", BigInteger, nullable=False),
    PrimaryKeyConstraint("member", "compartment"),
    info=DISTRIBUTED,
    comment="pairs of records that some resource is about together; a row may outlive it",
)

data_key = Table(
    "data_key",
    metadata,
    Column("compartment", BigInteger, nullable=False, autoincrement=False),
    Column("wrapping_version", SmallInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    PrimaryKeyConstraint("compartment"),
    info=DISTRIBUTED,
    comment="one wrapped data key for each source patient record; 0 is the region's own",
)
