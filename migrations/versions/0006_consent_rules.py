"""What consents may name of a resource, and their rules for each record of a person.

Revision:   0006
Spec:       docs/decisions/0018-decision-inside-queries.md.

The rules are derived from sealed Consents: `exchange work` derives them anew, and until then nothing is shared.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: Final = "0006"
down_revision: Final = "0005"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Add the columns; make the table of rules anew."""
    op.add_column(
        "resource",
        sa.Column("clinical_until", sa.BigInteger(), comment="end of the clinical date; null: none"),
    )
    op.add_column(
        "resource",
        sa.Column(
            "facets",
            postgresql.ARRAY(sa.Integer()),
            comment="what consents may name, hashed under the record; null: not labelled",
        ),
    )
    op.drop_table("consent_rule")
    op.create_table(
        "consent_rule",
        sa.Column(
            "compartment",
            sa.BigInteger(),
            nullable=False,
            comment="the record that the rule speaks of",
        ),
        sa.Column("filed_in", sa.BigInteger(), nullable=False, comment="the record that the Consent lies in"),
        sa.Column("filed_by", sa.BigInteger(), nullable=False, comment="key of the facility that filed it"),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("clinical_from", sa.BigInteger(), comment="dataPeriod; null: any"),
        sa.Column("clinical_until", sa.BigInteger()),
        sa.Column(
            "rule",
            sa.SmallInteger(),
            nullable=False,
            comment="number within the Consent; 0 is the root provision",
        ),
        sa.Column("parent", sa.SmallInteger(), comment="the rule that it is an exception to"),
        sa.Column("covers", sa.SmallInteger(), nullable=False, comment="1 access, 2 sending, 3 both"),
        sa.Column("is_permit", sa.Boolean(), nullable=False),
        sa.Column(
            "is_content",
            sa.Boolean(),
            nullable=False,
            comment="it or an exception to it depends on the resource",
        ),
        sa.Column("has_exceptions", sa.Boolean(), nullable=False),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column("actors", postgresql.ARRAY(sa.BigInteger()), comment="keys of those it names; null: any"),
        sa.Column(
            "purposes",
            postgresql.ARRAY(sa.Text()),
            comment="v3 ActReason codes with what they subsume; null: any",
        ),
        sa.Column(
            "clauses",
            postgresql.ARRAY(sa.Integer()),
            comment="two-dimensional: of each row one facet has to be there",
        ),
        sa.Column("bars", postgresql.ARRAY(sa.Integer()), comment="facets of which none may be there"),
        sa.Column(
            "opens",
            postgresql.ARRAY(sa.Integer()),
            comment="a permit opens these confidentialities; null: whatever it matches",
        ),
        sa.PrimaryKeyConstraint("compartment", "consent_id", "rule", name="consent_rule_pkey"),
        comment="the provisions of active Consents, for each record of the person",
    )
    op.create_index("consent_rule_filed_in_idx", "consent_rule", ["filed_in"])
    op.create_table(
        "consent_dependency",
        sa.Column(
            "compartment",
            sa.BigInteger(),
            nullable=False,
            comment="the record that the Consent lies in",
        ),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column(
            "reference",
            sa.BigInteger(),
            nullable=False,
            comment="keyed hash of the resource that its rules lean on",
        ),
        sa.PrimaryKeyConstraint("compartment", "consent_id", "reference", name="consent_dependency_pkey"),
        comment="teams, groups and episodes that Consents name: where one changes, the rules do",
    )
    op.create_index("consent_dependency_reference_idx", "consent_dependency", ["reference"])
    op.create_table(
        "emergency_case",
        sa.Column("compartment", sa.BigInteger(), nullable=False, comment="the record that was asked for"),
        sa.Column(
            "number",
            sa.Text(),
            nullable=False,
            comment="the reference that notices name; says nothing of anybody",
        ),
        sa.Column("custodian", sa.BigInteger(), nullable=False, comment="key of the facility that opened it"),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), comment="null: nobody has judged it yet"),
        sa.Column("officer_told_at", sa.BigInteger()),
        sa.Column("patient_told_at", sa.BigInteger()),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=False,
            comment="reason, attestations and verdict, sealed under the record",
        ),
        sa.PrimaryKeyConstraint("compartment", "number", name="emergency_case_pkey"),
        comment="emergency access: opened by a person, closed by another one",
    )
    op.execute("ALTER TABLE emergency_case ALTER COLUMN body SET STORAGE EXTERNAL")
    op.create_index("emergency_case_custodian_idx", "emergency_case", ["custodian", "opened_at"])


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
