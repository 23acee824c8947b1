"""People's accounts and sign-ins, and the demonstration's provider.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from exchange.store.tables.columns import REFERENCE, metadata

account = Table(
    "account",
    metadata,
    Column("account_id", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("within", ARRAY(Text), nullable=False),
    Column("functional_role", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date, comment="null: no end, for patients alone"),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    PrimaryKeyConstraint("account_id"),
    UniqueConstraint("issuer", "subject"),
    info=REFERENCE,
    comment="people who sign in: one account each",
)

authorization_code = Table(
    "authorization_code",
    metadata,
    Column("grant_id", Text, nullable=False),
    Column("code_hash", LargeBinary, nullable=False, unique=True),
    Column("client_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("purpose_of_use", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False, comment="seconds since 1970"),
    Column("expires_at", BigInteger, nullable=False, comment="seconds since 1970"),
    Column("is_redeemed", Boolean, nullable=False, server_default=text("false")),
    Column("is_revoked", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("grant_id"),
    Index("authorization_code_expires_at_idx", "expires_at"),
    info=REFERENCE,
    comment="codes of sign-ins: each is redeemed once; kept while a token of it may live",
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("purpose", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("purpose"),
    info=REFERENCE,
    comment="private keys of identity tokens, sealed",
)

provider_person = Table(
    "provider_person",
    metadata,
    Column("subject", Text, nullable=False),
    Column("username", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("totp_sealed", LargeBinary, nullable=False),
    Column("totp_step", BigInteger, nullable=False, comment="of the last code that was used"),
    Column("failures", Integer, nullable=False),
    Column("locked_until", BigInteger, nullable=False, comment="seconds since 1970"),
    Column("enrolment_hash", LargeBinary, nullable=False, comment="empty: enrolled"),
    Column("enrolment_until", BigInteger, nullable=False, comment="seconds since 1970"),
    Column("valid_until", Date, nullable=False),
    PrimaryKeyConstraint("subject"),
    info=REFERENCE,
    comment="people of the demonstration's own provider",
)

provider_code = Table(
    "provider_code",
    metadata,
    Column("code_hash", LargeBinary, nullable=False),
    Column("subject", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, comment="seconds since 1970"),
    PrimaryKeyConstraint("code_hash"),
    info=REFERENCE,
    comment="codes of the demonstration's own provider",
)
