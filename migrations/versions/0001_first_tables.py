"""Every table of the first release.

Revision:   0001
Spec:       docs/decisions/0004-postgresql-only.md: every unique constraint of a distributed table contains
            its compartment, and no foreign key crosses compartments.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

SEALED: Final = ("resource", "resource_history", "audit_event")


def upgrade() -> None:
    """Create them all. Sealed bodies do not compress, so PostgreSQL is told not to try."""
    create_versions()
    create_population_index()
    create_persons()
    create_clients()
    create_keys()
    create_audit_log()
    for table in SEALED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Refuse: what was sealed under newer tables is not thrown away."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")


def create_versions() -> None:
    """Sealed versions, current and past."""
    op.create_table(
        "resource",
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("custodian", sa.BigInteger(), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.Column(
            "transaction",
            sa.BigInteger(),
            server_default=sa.text("(pg_current_xact_id()::text::bigint)"),
            nullable=False,
        ),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "members", ARRAY(sa.BigInteger()), comment="compartments of further patients on the resource"
        ),
        sa.Column(
            "clinical_at",
            sa.BigInteger(),
            nullable=False,
            comment="start of the clinical date, or the minimum",
        ),
        sa.Column("tokens", ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("ranges", ARRAY(sa.BigInteger()), nullable=False, comment="triples: parameter, low, high"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "type", "compartment", name="resource_pkey"),
        comment="the current version of each resource, sealed",
    )
    op.create_index(
        "resource_slice_idx", "resource", ["compartment", "type", sa.literal_column("clinical_at DESC")]
    )
    op.create_index("resource_transaction_idx", "resource", ["transaction"])
    op.create_table(
        "resource_history",
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("custodian", sa.BigInteger(), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.Column(
            "transaction",
            sa.BigInteger(),
            server_default=sa.text("(pg_current_xact_id()::text::bigint)"),
            nullable=False,
        ),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "members", ARRAY(sa.BigInteger()), comment="compartments of further patients on the resource"
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "type", "version_id", "compartment", name="resource_history_pkey"),
        comment="superseded versions; append-only",
    )
    op.create_index("resource_history_transaction_idx", "resource_history", ["transaction"])


def create_population_index() -> None:
    """What a search across the region is driven by."""
    op.create_table(
        "token_entry",
        sa.Column("hash", sa.BigInteger(), nullable=False),
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", "compartment", name="token_entry_pkey"),
        comment="population search: in which records a keyed hash stands; a row may outlive what it points to",
    )


def create_persons() -> None:
    """Which records are of one person, and what their consents say."""
    op.create_table(
        "patient_record",
        sa.Column("compartment", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("custodian", sa.BigInteger(), nullable=False),
        sa.Column(
            "person", sa.BigInteger(), nullable=False, comment="records that share it are of one person"
        ),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column(
            "linked_by",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="the rule of the link",
        ),
        sa.PrimaryKeyConstraint("compartment", name="patient_record_pkey"),
        comment="the cross-reference: which source patient records are of one person",
    )
    op.create_index("patient_record_custodian_idx", "patient_record", ["custodian"])
    op.create_index("patient_record_person_idx", "patient_record", ["person"])
    op.create_table(
        "identity_key",
        sa.Column("hash", sa.BigInteger(), nullable=False),
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        comment="blocking: keyed hashes of documents and of compounds of demographics",
    )
    op.create_index("identity_key_compartment_idx", "identity_key", ["compartment"])
    op.create_index("identity_key_hash_idx", "identity_key", ["hash"])
    op.create_table(
        "linkage_review",
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("candidate", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("compartment", "candidate", name="linkage_review_pkey"),
        comment="pairs that a person has to judge",
    )
    op.create_table(
        "consent_rule",
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.BigInteger(), comment="key of an organisation; null: any"),
        sa.Column("rule", sa.SmallInteger(), nullable=False, comment="order within the consent"),
        sa.Column("depth", sa.SmallInteger(), nullable=False, comment="0 is the root provision"),
        sa.Column("is_permit", sa.Boolean(), nullable=False),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column(
            "purposes", ARRAY(sa.Text()), comment="v3 ActReason codes with what they subsume; null: any"
        ),
        sa.PrimaryKeyConstraint("compartment", "consent_id", "rule", name="consent_rule_pkey"),
        comment="the provisions of each active Consent, flattened",
    )


def create_clients() -> None:
    """Registered systems and the assertions that they used."""
    op.create_table(
        "client",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("purposes", ARRAY(sa.Text()), nullable=False),
        sa.Column("id_prefix", sa.Text(), nullable=False),
        sa.Column("jwks", JSONB(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "registered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("client_id", name="client_pkey"),
        sa.UniqueConstraint("id_prefix"),
        comment="registered systems and their public keys",
    )
    op.create_table(
        "assertion",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "jti", name="assertion_pkey"),
        comment="client assertions seen: each is used once",
    )
    op.create_index("assertion_expires_at_idx", "assertion", ["expires_at"])


def create_keys() -> None:
    """Wrapped keys and sealed dictionaries."""
    op.create_table(
        "hub_key",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "version", name="hub_key_pkey"),
        comment="the hub's keys, wrapped under the root key",
    )
    op.create_table(
        "data_key",
        sa.Column("compartment", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wrapping_version", sa.SmallInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("compartment", name="data_key_pkey"),
        comment="one wrapped data key for each source patient record; 0 is the region's own",
    )
    op.create_table(
        "dictionary",
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="dictionary_pkey"),
        comment="zstd dictionaries that bodies name; never deleted",
    )


def create_audit_log() -> None:
    """Events, their places in the Merkle tree, its signed heads."""
    op.create_table(
        "audit_event",
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("custodian", sa.BigInteger(), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.Column(
            "transaction",
            sa.BigInteger(),
            server_default=sa.text("(pg_current_xact_id()::text::bigint)"),
            nullable=False,
        ),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "members", ARRAY(sa.BigInteger()), comment="compartments of further patients on the resource"
        ),
        sa.Column(
            "clinical_at",
            sa.BigInteger(),
            nullable=False,
            comment="start of the clinical date, or the minimum",
        ),
        sa.Column("tokens", ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("ranges", ARRAY(sa.BigInteger()), nullable=False, comment="triples: parameter, low, high"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False, comment="SHA-256(0x00 || SHA-256(salt || body))"),
        sa.PrimaryKeyConstraint("id", "type", "compartment", name="audit_event_pkey"),
        comment="BALP audit events, sealed; append-only",
    )
    op.create_index(
        "audit_event_slice_idx",
        "audit_event",
        ["compartment", "type", sa.literal_column("clinical_at DESC")],
    )
    op.create_index("audit_event_transaction_idx", "audit_event", ["transaction"])
    op.create_table(
        "audit_leaf",
        sa.Column("leaf_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", name="audit_leaf_pkey"),
        comment="the Merkle tree's leaves in commit order; append-only",
    )
    op.create_index("audit_leaf_id_idx", "audit_leaf", ["id"])
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "transaction", sa.BigInteger(), nullable=False, comment="every older transaction is in the tree"
        ),
        sa.Column(
            "frontier", sa.LargeBinary(), nullable=False, comment="roots of the full subtrees, left to right"
        ),
        sa.Column("note", sa.Text(), nullable=False, comment="C2SP tlog checkpoint, signed"),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="audit_checkpoint_pkey"),
        comment="signed tree heads; append-only",
    )
