"""Conformance resources by their URLs, and loaded code systems.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from exchange.store.tables.columns import DISTRIBUTED, REFERENCE, metadata

canonical_resource = Table(
    "canonical_resource",
    metadata,
    Column("url", BigInteger, nullable=False, comment="keyed hash of type and canonical URL"),
    Column("compartment", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("id", Text, nullable=False),
    PrimaryKeyConstraint("id", "type", "compartment"),
    Index("canonical_resource_url_idx", "url"),
    info=DISTRIBUTED,
    comment="where conformance resources lie, by the URL that names them",
)

conformance_generation = Table(
    "conformance_generation",
    metadata,
    Column("number", BigInteger, nullable=False, autoincrement=False),
    PrimaryKeyConstraint("number"),
    info=REFERENCE,
    comment="one row, drawn anew by whoever writes a conformance resource or a catalogue",
)

code_system_catalogue = Table(
    "code_system_catalogue",
    metadata,
    Column("number", Integer, nullable=False, autoincrement=False),
    Column("url", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False, comment="SHA-256 of the file that it was loaded from"),
    Column("concepts", Integer, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("loaded_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("number"),
    Index("code_system_catalogue_url_idx", "url", "version", unique=True),
    info=REFERENCE,
    comment="code systems that the site loaded, unsealed: public, and about no patient",
)

code_system_concept = Table(
    "code_system_concept",
    metadata,
    Column("catalogue", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("display", Text, nullable=False),
    Column("folded", Text, nullable=False, comment="the display in small letters without accents"),
    Column("folded_code", Text, nullable=False),
    Column("parent", Text, comment="the code that subsumes it"),
    Column("is_inactive", Boolean, nullable=False),
    Column("properties", JSONB),
    PrimaryKeyConstraint("catalogue", "code"),
    Index("code_system_concept_parent_idx", "catalogue", "parent"),
    info=REFERENCE,
    comment="the concepts of loaded code systems",
)
