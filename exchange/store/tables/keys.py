"""The hub's own keys and dictionaries, and what was backed up under which.

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

root_version = Table(
    "root_version",
    metadata,
    Column("version", SmallInteger, nullable=False, autoincrement=False),
    Column("made_at", BigInteger, nullable=False, comment="backups from before are under older versions"),
    PrimaryKeyConstraint("version"),
    info=REFERENCE,
    comment="when versions of the root were made; not the first one",
)

backup = Table(
    "backup",
    metadata,
    Column("number", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("root_version", SmallInteger, comment="under which it opens; null: it was never finished"),
    Column("key_version", SmallInteger, comment="of the key of backups"),
    Column("record_version", SmallInteger, comment="of the newest key that wraps data keys in it"),
    Column("log_size", BigInteger),
    Column("size", BigInteger, comment="bytes of its file"),
    Column("digest", LargeBinary, comment="SHA-256 of its file"),
    Column("verified_at", BigInteger, comment="when it was last restored and found whole"),
    PrimaryKeyConstraint("number"),
    info=REFERENCE,
    comment="backups that were made",
)
