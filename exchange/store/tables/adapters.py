"""Adapters as the hub sees them: who is invited, how each one stands, its days against the 24 h rule; requests counted.

Spec:    docs/decisions/0004-postgresql-only.md; docs/region.md.
Leaves:  the columns and the metadata that all tables share to columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from exchange.store.tables.columns import REFERENCE, metadata

client_invitation = Table(
    "client_invitation",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("code_hash", LargeBinary, nullable=False, unique=True, comment="keyed hash of the one-time code"),
    Column("expires_at", BigInteger, nullable=False, comment="seconds since 1970"),
    Column(
        "replaces_keys",
        Boolean,
        nullable=False,
        comment="whether keys that the client has make way for the new one",
    ),
    Column("key_hash", LargeBinary, comment="SHA-256 of the key that used the code; null: nobody did"),
    PrimaryKeyConstraint("client_id"),
    info=REFERENCE,
    comment="systems that may bring their key by a one-time code",
)

adapter_state = Table(
    "adapter_state",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("contact_at", BigInteger, nullable=False, comment="last report taken or token given"),
    Column("reported_at", BigInteger, comment="when the last report was taken; null: none was"),
    Column(
        "number",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="of the last report, by its sender",
    ),
    Column(
        "is_stopped", Boolean, nullable=False, server_default=text("false"), comment="it said that it stops"
    ),
    Column("report", JSONB, comment="the last report: counts and codes, nothing of a patient"),
    Column(
        "silent_since",
        BigInteger,
        comment="its last contact before a silence that was noticed; null: it speaks",
    ),
    Column("notice", Text, comment="silent or back, to be told to the operators; null: nothing is due"),
    Column("notice_due_at", BigInteger, nullable=False, server_default=text("0")),
    Column("notice_tries", SmallInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("client_id"),
    info=REFERENCE,
    comment="how each adapter stands",
)

adapter_day = Table(
    "adapter_day",
    metadata,
    Column("client_id", Text, nullable=False),
    Column("day", Date, nullable=False, comment="on which the hub applied the records, in the region's zone"),
    Column("on_time", Integer, nullable=False, comment="within 24 h of the close of care"),
    Column("late", Integer, nullable=False),
    Column("worst_seconds", Integer, nullable=False),
    PrimaryKeyConstraint("client_id", "day"),
    info=REFERENCE,
    comment="records of each adapter and day against the 24 h rule",
)

request_tally = Table(
    "request_tally",
    metadata,
    Column(
        "process", Text, nullable=False, comment="random for each server process; empty: those that ended"
    ),
    Column("told_at", BigInteger, nullable=False, comment="seconds since 1970"),
    Column(
        "counts",
        JSONB,
        nullable=False,
        comment="interaction|status class|bucket: requests; and their microseconds",
    ),
    PrimaryKeyConstraint("process"),
    info=REFERENCE,
    comment="requests answered by each server process, for the metrics",
)

__all__ = ["adapter_day", "adapter_state", "client_invitation", "request_tally"]
