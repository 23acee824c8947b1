"""Consents as rules, emergency cases, the policy's versions, determinations of episodes.

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
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from exchange.store.tables.columns import DISTRIBUTED, REFERENCE, metadata

consent_rule = Table(
    "consent_rule",
    metadata,
    Column("compartment", BigInteger, nullable=False, comment="the record that the rule speaks of"),
    Column("filed_in", BigInteger, nullable=False, comment="the record that the Consent lies in"),
    Column("filed_by", BigInteger, nullable=False, comment="key of the facility that filed it"),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("clinical_from", BigInteger, comment="dataPeriod; null: any"),
    Column("clinical_until", BigInteger),
    Column(
        "rule", SmallInteger, nullable=False, comment="number within the Consent; 0 is the root provision"
    ),
    Column("parent", SmallInteger, comment="the rule that it is an exception to"),
    Column("covers", SmallInteger, nullable=False, comment="1 access, 2 sending, 3 both"),
    Column("is_permit", Boolean, nullable=False),
    Column("is_content", Boolean, nullable=False, comment="it or an exception to it depends on the resource"),
    Column("has_exceptions", Boolean, nullable=False),
    Column("consent_id", Text, nullable=False),
    Column("actors", ARRAY(BigInteger), comment="keys of those it names; null: any"),
    Column("purposes", ARRAY(Text), comment="v3 ActReason codes with what they subsume; null: any"),
    Column("clauses", ARRAY(Integer), comment="two-dimensional: of each row one facet has to be there"),
    Column("bars", ARRAY(Integer), comment="facets of which none may be there"),
    Column(
        "opens", ARRAY(Integer), comment="a permit opens these confidentialities; null: whatever it matches"
    ),
    PrimaryKeyConstraint("compartment", "consent_id", "rule"),
    Index("consent_rule_filed_in_idx", "filed_in"),
    info=DISTRIBUTED,
    comment="the provisions of active Consents, for each record of the person",
)

consent_dependency = Table(
    "consent_dependency",
    metadata,
    Column("compartment", BigInteger, nullable=False, comment="the record that the Consent lies in"),
    Column("consent_id", Text, nullable=False),
    Column(
        "reference", BigInteger, nullable=False, comment="keyed hash of the resource that its rules lean on"
    ),
    PrimaryKeyConstraint("compartment", "consent_id", "reference"),
    Index("consent_dependency_reference_idx", "reference"),
    info=DISTRIBUTED,
    comment="teams, groups and episodes that Consents name: where one changes, the rules do",
)

emergency_case = Table(
    "emergency_case",
    metadata,
    Column("compartment", BigInteger, nullable=False, comment="the record that was asked for"),
    Column(
        "number", Text, nullable=False, comment="the reference that notices name; says nothing of anybody"
    ),
    Column("custodian", BigInteger, nullable=False, comment="key of the facility that opened it"),
    Column("client_id", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, comment="null: nobody has judged it yet"),
    Column("officer_told_at", BigInteger),
    Column("patient_told_at", BigInteger),
    Column(
        "body",
        LargeBinary,
        nullable=False,
        comment="reason, attestations and verdict, sealed under the record",
    ),
    Column("user_key", BigInteger, nullable=False, comment="keyed hash of the person who opened it"),
    Column("facility", Text, nullable=False, comment="the Organization that opened it"),
    Column(
        "reason_key",
        BigInteger,
        nullable=False,
        comment="keyed hash of the typed reason: the same words again are noted",
    ),
    Column("verdict", Text, comment="justified, unjustified, needs-review; null: not judged"),
    Column("judgement", LargeBinary, comment="by whom and why, sealed under the record"),
    Column(
        "notice_tries",
        SmallInteger,
        nullable=False,
        server_default=text("0"),
        comment="how often the officer's notice was sent",
    ),
    Column(
        "notice_due_at",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="when it is sent next, while the officer is not told",
    ),
    PrimaryKeyConstraint("compartment", "number"),
    Index("emergency_case_custodian_idx", "custodian", "opened_at"),
    Index("emergency_case_number_idx", "number"),
    Index("emergency_case_opened_idx", "opened_at"),
    Index(
        "emergency_case_untold_idx",
        "opened_at",
        postgresql_where=text("officer_told_at IS NULL OR patient_told_at IS NULL"),
    ),
    info=DISTRIBUTED,
    comment="emergency access: opened by a person, closed by another one",
)

policy_version = Table(
    "policy_version",
    metadata,
    Column("digest", Text, nullable=False, comment="SHA-256 of the regional policy's file"),
    Column("adopted_at", BigInteger, nullable=False),
    Column(
        "state", Text, nullable=False, server_default=text("'noted'"), comment="noted, waiting, filling, done"
    ),
    Column("barrier", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "done", Text, nullable=False, server_default=text("''"), comment="id of the last row labelled by it"
    ),
    Column("done_type", SmallInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("digest"),
    info=REFERENCE,
    comment="the policies that the hub went by, the newest adoption last, and how far each is applied",
)

sensitivity_determination = Table(
    "sensitivity_determination",
    metadata,
    Column("compartment", BigInteger, nullable=False),
    Column("episode", BigInteger, nullable=False, comment="keyed hash of the Encounter"),
    Column("determined_at", BigInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="what, by whom, why"),
    PrimaryKeyConstraint("id", "compartment"),
    Index("sensitivity_determination_episode_idx", "compartment", "episode", "determined_at"),
    info=DISTRIBUTED,
    comment="what clinicians determined about episodes; the latest counts; append-only",
)
