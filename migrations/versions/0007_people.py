"""People: their accounts, the codes of their sign-ins, and the demonstration's own provider.

Revision:   0007
Spec:       docs/sign-in.md.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: Final = "0007"
down_revision: Final = "0006"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables, and what a client that people use needs."""
    op.add_column(
        "client",
        sa.Column("redirect_uris", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column(
        "client", sa.Column("is_public", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_table(
        "account",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("within", ARRAY(sa.Text()), nullable=False),
        sa.Column("functional_role", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), comment="null: no end, for patients alone"),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="account_pkey"),
        sa.UniqueConstraint("issuer", "subject"),
        comment="people who sign in: one account each",
    )
    op.create_table(
        "authorization_code",
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("challenge", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("purpose_of_use", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.Column("is_redeemed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_revoked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", name="authorization_code_pkey"),
        sa.UniqueConstraint("code_hash"),
        comment="codes of sign-ins: each is redeemed once; kept while a token of it may live",
    )
    op.create_index("authorization_code_expires_at_idx", "authorization_code", ["expires_at"])
    op.create_table(
        "signing_key",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name="signing_key_pkey"),
        comment="private keys of identity tokens, sealed",
    )
    op.create_table(
        "provider_person",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("totp_step", sa.BigInteger(), nullable=False, comment="of the last code that was used"),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.Column("enrolment_hash", sa.LargeBinary(), nullable=False, comment="empty: enrolled"),
        sa.Column("enrolment_until", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="provider_person_pkey"),
        sa.UniqueConstraint("username"),
        comment="people of the demonstration's own provider",
    )
    op.create_table(
        "provider_code",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("challenge", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="seconds since 1970"),
        sa.PrimaryKeyConstraint("code_hash", name="provider_code_pkey"),
        comment="codes of the demonstration's own provider",
    )


def downgrade() -> None:
    """Refuse: migrations go forward only."""
    raise NotImplementedError("migrations go forward only: restore a backup instead")
