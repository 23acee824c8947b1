"""Every table of the hub, as SQLAlchemy metadata that the migrations are compared with.

Spec:    docs/decisions/0004-postgresql-only.md (why every unique constraint of a distributed table contains
         its compartment, and why no foreign key crosses compartments: Citus stays possible).

`compartment` is positive for a source patient record (one facility's Patient) and never changes; negative for a
resource of no patient. Instants are microseconds since 1970 UTC in `bigint`.
"""

from __future__ import annotations

from exchange.store.tables.adapters import adapter_day, adapter_state, client_invitation, request_tally
from exchange.store.tables.audit import (
    audit_checkpoint,
    audit_cosignature,
    audit_event,
    audit_leaf,
    audit_node,
)
from exchange.store.tables.authentication import assertion, client, revoked_token, searched_value
from exchange.store.tables.columns import metadata
from exchange.store.tables.consent import (
    consent_dependency,
    consent_rule,
    emergency_case,
    policy_version,
    sensitivity_determination,
)
from exchange.store.tables.erasure import erasure
from exchange.store.tables.identity import identity_key, linkage_review, patient_record, record_link
from exchange.store.tables.keys import backup, dictionary, hub_key, root_version
from exchange.store.tables.people import (
    account,
    authorization_code,
    provider_code,
    provider_person,
    signing_key,
)
from exchange.store.tables.record import (
    custom_parameter,
    data_key,
    index_rotation,
    resource,
    resource_history,
    shared_record,
    token_entry,
)
from exchange.store.tables.terminology import (
    canonical_resource,
    code_system_catalogue,
    code_system_concept,
    conformance_generation,
)

__all__ = [
    "account",
    "adapter_day",
    "adapter_state",
    "assertion",
    "audit_checkpoint",
    "audit_cosignature",
    "audit_event",
    "audit_leaf",
    "audit_node",
    "authorization_code",
    "backup",
    "canonical_resource",
    "client",
    "client_invitation",
    "code_system_catalogue",
    "code_system_concept",
    "conformance_generation",
    "consent_dependency",
    "consent_rule",
    "custom_parameter",
    "data_key",
    "dictionary",
    "emergency_case",
    "erasure",
    "hub_key",
    "identity_key",
    "index_rotation",
    "linkage_review",
    "metadata",
    "patient_record",
    "policy_version",
    "provider_code",
    "provider_person",
    "record_link",
    "request_tally",
    "resource",
    "resource_history",
    "revoked_token",
    "root_version",
    "searched_value",
    "sensitivity_determination",
    "shared_record",
    "signing_key",
    "token_entry",
]
