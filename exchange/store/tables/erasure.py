"""Records that were erased.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, PrimaryKeyConstraint, Table, text

from exchange.store.tables.columns import DISTRIBUTED, metadata

erasure = Table(
    "erasure",
    metadata,
    Column("compartment", BigInteger, nullable=False, autoincrement=False),
    Column("erased_at", BigInteger, nullable=False),
    Column(
        "mac", LargeBinary, nullable=False, comment="by the hub: nobody else can pass off hiding as erasing"
    ),
    Column(
        "is_swept", Boolean, nullable=False, server_default=text("false"), comment="late writes are gone too"
    ),
    PrimaryKeyConstraint("compartment"),
    info=DISTRIBUTED,
    comment="records that were erased on an order",
)
