"""Registered clients, what they used up, and what was taken back.

Spec:    docs/decisions/0004-postgresql-only.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from exchange.store.tables.columns import REFERENCE, metadata

client = Table(
    "client",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("purposes", ARRAY(Text), nullable=False),
    Column("id_prefix", Text, nullable=False, unique=True),
    Column("jwks", JSONB, nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("redirect_uris", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("is_public", Boolean, nullable=False, server_default=text("false")),
    Column("further_roles", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("within", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("user_roles", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("jwks_uri", Text, nullable=False, server_default=text("''")),
    Column(
        "user_organizations",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="id of each: what it is within",
    ),
    Column("requests_per_minute", Integer, comment="null: as the settings say"),
    Column("is_adapter", Boolean, nullable=False, server_default=text("false")),
    Column("registered_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("client_id"),
    info=REFERENCE,
    comment="registered systems and their public keys",
)

assertion = Table(
    "assertion",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("jti", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("client_id", "jti"),
    Index("assertion_expires_at_idx", "expires_at"),
    info=REFERENCE,
    comment="client assertions seen: each is used once",
)

revoked_token = Table(
    "revoked_token",
    metadata,
    Column("jti", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, comment="seconds since 1970"),
    PrimaryKeyConstraint("jti"),
    Index("revoked_token_expires_at_idx", "expires_at"),
    info=REFERENCE,
    comment="access tokens that end before their time",
)

searched_value = Table(
    "searched_value",
    metadata,
    Column("hour", BigInteger, nullable=False, autoincrement=False, comment="since 1970"),
    Column("asker", BigInteger, nullable=False, comment="keyed hash of the client and its user"),
    Column("value", BigInteger, nullable=False, comment="keyed hash of what was searched for"),
    PrimaryKeyConstraint("hour", "asker", "value"),
    info=REFERENCE,
    comment="different values that each asker searched for, for this hour's limit",
)
