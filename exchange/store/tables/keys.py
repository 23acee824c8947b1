"""The hub's own keys and dictionaries.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, PrimaryKeyConstraint, SmallInteger, Table, Text

from exchange.store.tables.columns import REFERENCE, metadata

hub_key = Table(
    "hub_key",
    metadata,
    Column("purpose", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False, comment="empty: destroyed"),
    Column("root_version", SmallInteger, nullable=False, comment="of the root, under which it is wrapped"),
    Column("state", Text, nullable=False, comment="active, retired, destroyed"),
    Column("fingerprint", LargeBinary, nullable=False, comment="shows that the root gave back this key"),
    Column(
        "public", LargeBinary, nullable=False, comment="of audit: verifies checkpoints, also once destroyed"
    ),
    Column("made_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("purpose", "version"),
    info=REFERENCE,
    comment="the hub's keys in their versions, wrapped under the root",
)

dictionary = Table(
    "dictionary",
    metadata,
    Column("number", SmallInteger, nullable=False, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number"),
    info=REFERENCE,
    comment="zstd dictionaries that bodies name; never deleted",
)
