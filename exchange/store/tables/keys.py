"""The hub's own keys and dictionaries.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, SmallInteger, Table, Text

from exchange.store.tables.columns import REFERENCE, metadata

hub_key = Table(
    "hub_key",
    metadata,
    Column("purpose", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    PrimaryKeyConstraint("purpose", "version"),
    info=REFERENCE,
    comment="the hub's keys, wrapped under the root key",
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
