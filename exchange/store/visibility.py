"""The predicate that every read carries: what a Permit reaches, inside the query and never after it.

Spec:    docs/decisions/0006-hidden-looks-absent.md.
Leaves:  minting Permits to consent/decision.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.fhir.definitions import type_code
from exchange.permit import DIRECTORY_TYPES, Permit

DIRECTORY_CODES: Final = sorted(type_code(name) for name in DIRECTORY_TYPES)

# A CASE and no ORs: the planner shall find rows by what is searched for, and check them by this.
NAMED: Final = """(CASE
  WHEN r.compartment < 0 THEN r.type = ANY(%(directory)s::smallint[]) OR r.custodian = %(custodian)s
  WHEN r.members IS NULL THEN r.compartment = ANY(%(compartments)s::bigint[])
  ELSE r.compartment = ANY(%(together)s::bigint[]) AND r.members <@ %(together)s::bigint[]
    AND (r.members || r.compartment) && %(compartments)s::bigint[] END)"""

# Every record of a person is shared where each of the person's consents that speaks permits, and one speaks.
# Within a consent the deepest matching provision decides; siblings that both match deny. What the asking facility filed
# itself never permits.
GRANTED: Final = """
SELECT linked.compartment FROM patient_record linked WHERE linked.person IN (
  SELECT spoken.person FROM (
    SELECT p.person, (array_agg(c.is_permit ORDER BY c.depth DESC, c.is_permit))[1] AS permits
    FROM consent_rule c JOIN patient_record p ON p.compartment = c.compartment
    WHERE (c.actor IS NULL OR c.actor = ANY(%(actors)s::bigint[]))
      AND (c.purposes IS NULL OR %(purpose)s = ANY(c.purposes))
      AND NOT (c.is_permit AND p.custodian = %(custodian)s)
      AND c.starts_at <= %(decided_at)s AND %(decided_at)s <= c.ends_at
    GROUP BY p.person, c.compartment, c.consent_id) spoken
  GROUP BY spoken.person HAVING bool_and(spoken.permits))"""

OWN: Final = """(
  r.custodian = %(custodian)s
  OR (r.compartment < 0 AND r.type = ANY(%(directory)s::smallint[])))"""

POPULATION: Final = f"""(
  r.custodian = %(custodian)s
  OR (r.compartment < 0 AND r.type = ANY(%(directory)s::smallint[]))
  OR (r.compartment > 0 AND r.compartment IN ({GRANTED})
      AND (r.members IS NULL OR NOT EXISTS (
        SELECT 1 FROM unnest(r.members) m(member) WHERE m.member NOT IN ({GRANTED})))))"""  # noqa: S608 - constants only


def visible(permit: Permit) -> tuple[str, dict[str, Any]]:
    """The SQL predicate over the row alias `r`, and its parameters."""
    if permit.audit:
        return "true", {}
    parameters: dict[str, Any] = {"directory": DIRECTORY_CODES, "custodian": permit.custodian}
    if permit.compartments is not None:
        compartments = list(permit.compartments)
        return NAMED, parameters | {
            "compartments": compartments,
            "together": compartments + list(permit.beside),
        }
    if not permit.actors:
        return OWN, parameters
    return POPULATION, parameters | {
        "actors": list(permit.actors),
        "purpose": permit.purpose,
        "decided_at": permit.decided_at,
    }
