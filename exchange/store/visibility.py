"""The predicate that every read carries: what a Permit reaches, inside the query and never after it.

Spec:    docs/decisions/0006-hidden-looks-absent.md, 0018-decision-inside-queries.md.
Leaves:  minting Permits to consent/decision; what rules say to consent/provision.

Three depths. Most records are open as a whole up to a confidentiality, which is the first facet of each row: one
comparison. Records whose consents speak of content are judged row by row. A facility's own rows are its own.
"""

from __future__ import annotations

import re
from typing import Any, Final

from exchange.fhir.definitions import type_code
from exchange.permit import DIRECTORY_TYPES, Permit

DIRECTORY_CODES: Final = sorted(type_code(name) for name in DIRECTORY_TYPES)

# A rule that speaks of this request: of each row of its actors, who asks is one. What the asking facility filed itself
# never permits.
APPLICABLE: Final = """(({rule}.actors IS NULL OR ({rule}.actors && %(actors)s::bigint[] AND (
    array_ndims({rule}.actors) = 1 OR NOT EXISTS (
      SELECT 1 FROM generate_subscripts({rule}.actors, 1) n WHERE NOT {rule}.actors[n:n] && %(actors)s::bigint[]))))
  AND ({rule}.purposes IS NULL OR %(purpose)s = ANY({rule}.purposes))
  AND {rule}.starts_at <= %(decided_at)s AND %(decided_at)s <= {rule}.ends_at
  AND NOT ({rule}.is_permit AND {rule}.filed_by = %(custodian)s))"""

# And of this row. An undated resource is inside of a denied period and outside of a permitted one.
MATCHING: Final = """(
  ({rule}.clauses IS NULL OR NOT EXISTS (
    SELECT 1 FROM generate_subscripts({rule}.clauses, 1) n WHERE NOT r.facets && {rule}.clauses[n:n]))
  AND ({rule}.bars IS NULL OR NOT r.facets && {rule}.bars)
  AND ({rule}.clinical_from IS NULL OR CASE
    WHEN r.clinical_until IS NULL THEN NOT {rule}.is_permit
    WHEN {rule}.is_permit THEN {rule}.clinical_from <= r.clinical_at AND r.clinical_until <= {rule}.clinical_until
    ELSE r.clinical_at <= {rule}.clinical_until AND {rule}.clinical_from <= r.clinical_until END))"""

# A rule speaks where no exception to it does.
EXCEPTED: Final = """({rule}.has_exceptions AND EXISTS (
  SELECT 1 FROM consent_rule e WHERE e.compartment = {rule}.compartment AND e.consent_id = {rule}.consent_id
    AND e.parent = {rule}.rule AND {exception}))"""

APPLIES: Final = APPLICABLE.format(rule="c")
_NARROWER: Final = APPLICABLE.format(rule="e")
SPEAKS: Final = f"{APPLIES} AND (c.is_content OR NOT {EXCEPTED.format(rule='c', exception=_NARROWER)})"
"""Of a rule `c`: it speaks, or may speak of some content."""

# Whether the rules kept for a record allow a row: access and sending are both permitted, and nothing denies.
ALLOWED: Final = f"""coalesce((
  SELECT coalesce(bit_or(c.covers) FILTER (WHERE c.is_permit AND (c.opens IS NULL OR r.facets && c.opens)), 0::smallint)
      | %(assumed)s::smallint = 3
    AND NOT coalesce(bool_or(NOT c.is_permit), false)
  FROM consent_rule c WHERE c.compartment = {{record}} AND {APPLIES} AND {MATCHING.format(rule="c")}
    AND NOT {EXCEPTED.format(rule="c", exception=_NARROWER + " AND " + MATCHING.format(rule="e"))}
  ), false)"""  # noqa: S608 - constants only

_EACH_RECORD: Final = f"""(r.facets[1] IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM unnest(r.members || r.compartment) k(record) WHERE NOT {ALLOWED.format(record="k.record")}))"""  # noqa: S608
_ONE_RECORD: Final = f"(r.facets[1] IS NOT NULL AND {ALLOWED.format(record='r.compartment')})"

# A CASE and no ORs: the planner shall find rows by what is searched for, and check them by this.
NAMED: Final = f"""(CASE
  WHEN r.compartment < 0 THEN r.type = ANY(%(directory)s::smallint[]) OR r.custodian = %(custodian)s
  WHEN r.members IS NULL AND NOT r.compartment = ANY(%(compartments)s::bigint[]) THEN false
  WHEN r.members IS NOT NULL AND NOT (r.compartment = ANY(%(together)s::bigint[])
    AND r.members <@ %(together)s::bigint[] AND (r.members || r.compartment) && %(compartments)s::bigint[]) THEN false
  WHEN r.custodian = %(custodian)s THEN true
  WHEN r.facets[1] = ANY(%(opened)s::integer[]) AND r.members IS NULL THEN true
  WHEN r.members IS NULL AND r.compartment = ANY(%(emergency)s::bigint[])
    AND r.facets[1] = ANY(%(emergency_opened)s::integer[]) AND r.type = ANY(%(emergency_types)s::smallint[]) THEN true
  WHEN r.members IS NOT NULL THEN {_EACH_RECORD}
  WHEN r.compartment = ANY(%(judged)s::bigint[]) THEN {_ONE_RECORD}
  ELSE false END)"""

# What the consents of each record come to, before any row is looked at.
VERDICTS: Final = f"""
  SELECT c.compartment, bool_or(c.is_content) AS is_judged, min(c.opens) FILTER (WHERE c.is_permit) AS opens,
    coalesce(bit_or(c.covers) FILTER (WHERE c.is_permit AND NOT c.is_content), 0::smallint) AS covers,
    bool_or(c.is_permit) AS permits, bool_or(NOT c.is_permit AND NOT c.is_content) AS denies
  FROM consent_rule c WHERE {SPEAKS} GROUP BY c.compartment"""  # noqa: S608

OWN: Final = """(
  r.custodian = %(custodian)s
  OR (r.compartment < 0 AND r.type = ANY(%(directory)s::smallint[])))"""

POPULATION: Final = f"""(
  r.custodian = %(custodian)s
  OR (r.compartment < 0 AND r.type = ANY(%(directory)s::smallint[]))
  OR (r.compartment > 0 AND CASE
    WHEN r.members IS NOT NULL THEN {_EACH_RECORD}
    WHEN r.compartment IN (SELECT v.compartment FROM ({VERDICTS}) v WHERE v.is_judged AND v.permits AND NOT v.denies)
      THEN {_ONE_RECORD}
    ELSE (r.compartment, r.facets[1]) IN (
      SELECT v.compartment, unnest(v.opens) FROM ({VERDICTS}) v
      WHERE NOT v.is_judged AND NOT v.denies AND v.permits AND v.covers | %(assumed)s::smallint = 3) END))"""  # noqa: S608

# Whose audit events: everybody's, those that one facility asked for or that are about its patients, those about oneself.
_EVENTS: Final = {
    "all": "true",
    "facility": """(r.custodian = %(custodian)s OR r.compartment IN (
  SELECT p.compartment FROM patient_record p WHERE p.custodian = %(custodian)s))""",
    "records": "r.compartment = ANY(%(compartments)s::bigint[])",
}

# A version that was superseded shares the fate of the resource: it is seen where the current one is.
PAST: Final = """(EXISTS (
  SELECT 1 FROM resource f WHERE f.id = r.id AND f.type = r.type AND f.compartment = r.compartment AND {current})
  AND (r.members IS NULL OR EXISTS (
  SELECT 1 FROM resource f WHERE f.id = r.id AND f.type = r.type AND f.compartment = r.compartment AND {mixed})))"""


def visible(permit: Permit, table: str = "resource") -> tuple[str, dict[str, Any]]:
    """The SQL predicate over the row alias `r` of a table, and its parameters."""
    if permit.audit:
        return _EVENTS[permit.audit_of], {
            "custodian": permit.custodian, "compartments": list(permit.compartments or ()),
        }  # fmt: skip
    predicate, parameters = _current(permit)
    return _PAST[predicate] if table == "resource_history" else predicate, parameters


def in_directory() -> tuple[str, dict[str, Any]]:
    """The predicate of what describes the region and no patient: every permit reaches it, one over events too."""
    return "r.compartment < 0 AND r.type = ANY(%(directory)s::smallint[])", {"directory": DIRECTORY_CODES}


def _current(permit: Permit) -> tuple[str, dict[str, Any]]:
    parameters: dict[str, Any] = {"directory": DIRECTORY_CODES, "custodian": permit.custodian}
    if permit.compartments is None and not permit.actors:
        return OWN, parameters
    parameters |= {
        "actors": list(permit.actors),
        "purpose": permit.purpose,
        "decided_at": permit.decided_at,
        "assumed": permit.assumed,
    }
    if permit.compartments is None:
        return POPULATION, parameters
    compartments = list(permit.compartments)
    emergency = permit.emergency
    return NAMED, parameters | {
        "compartments": compartments,
        "together": compartments + list(permit.beside),
        "opened": list(permit.opened),
        "judged": list(permit.judged),
        "emergency": list(emergency.compartments) if emergency else [],
        "emergency_opened": list(emergency.opened) if emergency else [],
        "emergency_types": [type_code(each) for each in emergency.types] if emergency else [],
    }


def _past(predicate: str) -> str:
    """The predicate for superseded versions: they bear no facets, and take those of the current one."""
    mixed = predicate.replace("r.facets", "f.facets").replace("r.clinical", "f.clinical")
    return PAST.format(current=re.sub(r"\br\.", "f.", predicate), mixed=mixed)


_PAST: Final = {each: _past(each) for each in (OWN, NAMED, POPULATION)}
