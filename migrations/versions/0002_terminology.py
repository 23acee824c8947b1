"""Conformance resources by their URL, and the code systems that a site loads.

Revision:   0002
Spec:       docs/decisions/0016-terminology.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables, and the first generation."""
    create_canonicals()
    create_catalogues()
    op.execute("INSERT INTO conformance_generation (number) VALUES (0)")


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")


def create_canonicals() -> None:
    """Where conformance resources lie."""
    op.create_table(
        "canonical_resource",
        sa.Column("url", sa.BigInteger(), nullable=False, comment="keyed hash of type and canonical URL"),
        sa.Column("compartment", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "type", "compartment", name="canonical_resource_pkey"),
        comment="where conformance resources lie, by the URL that names them",
    )
    op.create_index("canonical_resource_url_idx", "canonical_resource", ["url"])
    op.create_table(
        "conformance_generation",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("number", name="conformance_generation_pkey"),
        comment="one row, drawn anew by whoever writes a conformance resource or a catalogue",
    )


def create_catalogues() -> None:
    """Loaded code systems."""
    op.create_table(
        "code_system_catalogue",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the file that it was loaded from"),
        sa.Column("concepts", sa.Integer(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("loaded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="code_system_catalogue_pkey"),
        comment="code systems that the site loaded, unsealed: public, and about no patient",
    )
    op.create_index("code_system_catalogue_url_idx", "code_system_catalogue", ["url", "version"], unique=True)
    op.create_table(
        "code_system_concept",
        sa.Column("catalogue", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("display", sa.Text(), nullable=False),
        sa.Column(
            "folded", sa.Text(), nullable=False, comment="the display in small letters without accents"
        ),
        sa.Column("folded_code", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), comment="the code that subsumes it"),
        sa.Column("is_inactive", sa.Boolean(), nullable=False),
        sa.Column("properties", JSONB()),
        sa.PrimaryKeyConstraint("catalogue", "code", name="code_system_concept_pkey"),
        comment="the concepts of loaded code systems",
    )
    op.create_index("code_system_concept_parent_idx", "code_system_concept", ["catalogue", "parent"])
