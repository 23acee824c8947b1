"""The cross-reference: which source patient records are of one person.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, text

from exchange.store.tables.columns import DISTRIBUTED, metadata

patient_record = Table(
    "patient_record",
    metadata,
    Column("compartment", BigInteger, nullable=False, autoincrement=False),
    Column("custodian", BigInteger, nullable=False),
    Column("person", BigInteger, nullable=False, comment="records that share it are of one person"),
    Column("patient_id", Text, nullable=False),
    Column("linked_by", Text, nullable=False, server_default=text("''"), comment="the rule of the link"),
    PrimaryKeyConstraint("compartment"),
    Index("patient_record_person_idx", "person"),
    Index("patient_record_custodian_idx", "custodian"),
    info=DISTRIBUTED,
    comment="the cross-reference: which source patient records are of one person",
)

identity_key = Table(
    "identity_key",
    metadata,
    Column("hash", BigInteger, nullable=False),
    Column("compartment", BigInteger, nullable=False),
    Index("identity_key_hash_idx", "hash"),
    Index("identity_key_compartment_idx", "compartment"),
    info=DISTRIBUTED,
    comment="blocking: keyed hashes of documents and of compounds of demographics",
)

record_link = Table(
    "record_link",
    metadata,
    Column("compartment", BigInteger, nullable=False),
    Column("other", BigInteger, nullable=False),
    PrimaryKeyConstraint("compartment", "other"),
    info=DISTRIBUTED,
    comment="pairs of records whose Patients agree with certainty, both ways",
)

linkage_review = Table(
    "linkage_review",
    metadata,
    Column("compartment", BigInteger, nullable=False),
    Column("candidate", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("compartment", "candidate"),
    info=DISTRIBUTED,
    comment="pairs that a person has to judge",
)
