"""What the tables share: the metadata that they stand in, how they are spread, the columns of a version.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the tables themselves to the files beside.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

DISTRIBUTED: Final = {"distributed_by": "compartment"}
REFERENCE: Final = {"reference_table": True}
TRANSACTION_NUMBER: Final = "transaction_number()"

metadata = MetaData(
    naming_convention={"pk": "%(table_name)s_pkey", "ix": "%(table_name)s_%(column_0_N_name)s_idx"}
)


def version_columns() -> list[Column[Any]]:
    """What a sealed version is, current or past."""
    return [
        Column("compartment", BigInteger, nullable=False),
        Column("custodian", BigInteger, nullable=False),
        Column("last_updated", BigInteger, nullable=False),
        Column("transaction", BigInteger, nullable=False, server_default=text(TRANSACTION_NUMBER)),
        Column("version_id", Integer, nullable=False),
        Column("type", SmallInteger, nullable=False),
        Column("is_deleted", Boolean, nullable=False, server_default=text("false")),
        Column("id", Text, nullable=False),
        Column("members", ARRAY(BigInteger), comment="compartments of further patients on the resource"),
    ]


def index_columns() -> list[Column[Any]]:
    """What finds a row inside its patient's slice."""
    return [
        Column(
            "clinical_at", BigInteger, nullable=False, comment="start of the clinical date, or the minimum"
        ),
        Column("tokens", ARRAY(BigInteger), nullable=False),
        Column("ranges", ARRAY(BigInteger), nullable=False, comment="triples: parameter, low, high"),
    ]


def by_instant(table: str) -> Index:
    """An index that costs next to nothing: rows are written in about the order of their instants."""
    return Index(
        f"{table}_last_updated_idx",
        "last_updated",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
