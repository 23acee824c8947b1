"""Every table of the hub, as SQLAlchemy metadata that the migrations are compared with.

Spec:    docs/decisions/0004-postgresql-only.md (why every unique constraint of a distributed table contains
         its compartment, and why no foreign key crosses compartments: Citus stays possible).

`compartment` is positive for a source patient record (one facility's Patient) and never changes; negative for a
resource of no patient. Instants are microseconds since 1970 UTC in `bigint`.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

DISTRIBUTED: Final = {"distributed_by": "compartment"}
REFERENCE: Final = {"reference_table": True}
TRANSACTION_NUMBER: Final = "(pg_current_xact_id()::text::bigint)"

metadata = MetaData(
    naming_convention={"pk": "%(table_name)s_pkey", "ix": "%(table_name)s_%(column_0_N_name)s_idx"}
)


def _version_columns() -> list[Column[Any]]:
    """What a sealed version is, current or past."""
    return [
        Column("compartment", BigInteger, nullable=False),
        Column("custodian", BigInteger, nullable=False),
        Column("last_updated", BigInteger, nullable=False),
        Column("transaction", BigInteger, nullable=False, server_default=text(TRANSACTION_NUMBER)),
        Column("version_id", Integer, nullable=False),
        Column("type", SmallInteger, nullable=False),
        Column("is_deleted", Boolean, nullable=False, server_default=text("false")),
        Column("id", Text, nullable=False),
        Column("members", ARRAY(BigInteger), comment="compartments of further patients on the resource"),
    ]


def _index_columns() -> list[Column[Any]]:
    """What finds a row inside its patient's slice."""
    return [
        Column(
            "clinical_at", BigInteger, nullable=False, comment="start of the clinical date, or the minimum"
        ),
        Column("tokens", ARRAY(BigInteger), nullable=False),
        Column("ranges", ARRAY(BigInteger), nullable=False, comment="triples: parameter, low, high"),
    ]


def _by_instant(table: str) -> Index:
    """An index that costs next to nothing: rows are written in about the order of their instants."""
    return Index(
        f"{table}_last_updated_idx",
        "last_updated",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )


resource = Table(
    "resource",
    metadata,
    *_version_columns(),
    *_index_columns(),
    Column("clinical_until", BigInteger, comment="end of the clinical date; null: none"),
    Column(
        "facets",
        ARRAY(Integer),
        comment="what consents may name, hashed under the record; null: not labelled",
    ),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", "type", "compartment"),
    Index("resource_slice_idx", "compartment", "type", text("clinical_at DESC")),
    Index("resource_transaction_idx", "transaction"),
    Index("resource_unlabelled_idx", "id", postgresql_where=text("facets IS NULL AND NOT is_deleted")),
    _by_instant("resource"),
    info=DISTRIBUTED,
    comment="the current version of each resource, sealed",
)

resource_history = Table(
    "resource_history",
    metadata,
    *_version_columns(),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", "type", "version_id", "compartment"),
    Index("resource_history_transaction_idx", "transaction"),
    _by_instant("resource_history"),
    info=DISTRIBUTED,
    comment="superseded versions; append-only",
)

audit_event = Table(
    "audit_event",
    metadata,
    *_version_columns(),
    *_index_columns(),
    Column("body", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False, comment="SHA-256(0x00 || SHA-256(salt || body))"),
    PrimaryKeyConstraint("id", "type", "compartment"),
    Index("audit_event_slice_idx", "compartment", "type", text("clinical_at DESC")),
    Index("audit_event_transaction_idx", "transaction"),
    info=DISTRIBUTED,
    comment="BALP audit events, sealed; append-only",
)

token_entry = Table(
    "token_entry",
    metadata,
    Column("hash", BigInteger, nullable=False),
    Column("compartment", BigInteger, nullable=False),
    PrimaryKeyConstraint("hash", "compartment"),
    info=DISTRIBUTED,
    comment="population search: in which records a keyed hash stands; a row may outlive what it points to",
)

custom_parameter = Table(
    "custom_parameter",
    metadata,
    Column("type", SmallInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("id", Text, nullable=False, comment="of the SearchParameter"),
    Column("kind", Text, nullable=False),
    Column("expression", Text, nullable=False),
    Column("targets", ARRAY(Text), nullable=False),
    Column("url", Text, nullable=False),
    Column("state", Text, nullable=False, comment="noted, waiting, filling, ready; or unindexed"),
    Column("noted_at", BigInteger, nullable=False),
    Column("barrier", BigInteger, nullable=False, server_default=text("0")),
    Column("done", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("type", "code"),
    info=REFERENCE,
    comment="search parameters that have been posted, and how far they are indexed",
)

shared_record = Table(
    "shared_record",
    metadata,
    Column("member", BigInteger, nullable=False),
    Column("compartment", BigInteger, nullable=False),
    PrimaryKeyConstraint("member", "compartment"),
    info=DISTRIBUTED,
    comment="pairs of records that some resource is about together; a row may outlive it",
)

data_key = Table(
    "data_key",
    metadata,
    Column("compartment", BigInteger, nullable=False, autoincrement=False),
    Column("wrapping_version", SmallInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    PrimaryKeyConstraint("compartment"),
    info=DISTRIBUTED,
    comment="one wrapped data key for each source patient record; 0 is the region's own",
)

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

hub_key = Table(
    "hub_key",
    metadata,
    Column("purpose", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    PrimaryKeyConstraint("purpose", "version"),
    info=REFERENCE,
    comment="the hub's keys, wrapped under the root key",
)

dictionary = Table(
    "dictionary",
    metadata,
    Column("number", SmallInteger, nullable=False, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number"),
    info=REFERENCE,
    comment="zstd dictionaries that bodies name; never deleted",
)

audit_leaf = Table(
    "audit_leaf",
    metadata,
    Column("leaf_index", BigInteger, nullable=False, autoincrement=False),
    Column("compartment", BigInteger, nullable=False),
    Column("transaction", BigInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    PrimaryKeyConstraint("leaf_index"),
    Index("audit_leaf_id_idx", "id"),
    info=REFERENCE,
    comment="the Merkle tree's leaves in commit order; append-only",
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", BigInteger, nullable=False, autoincrement=False),
    Column("transaction", BigInteger, nullable=False, comment="every older transaction is in the tree"),
    Column("frontier", LargeBinary, nullable=False, comment="roots of the full subtrees, left to right"),
    Column("note", Text, nullable=False, comment="C2SP tlog checkpoint, signed"),
    Column("signed_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("size"),
    info=REFERENCE,
    comment="signed tree heads; append-only",
)

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
