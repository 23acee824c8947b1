"""The records of persons, and what the consents kept for each record come to for one requester.

Spec:    docs/decisions/0018-decision-inside-queries.md.
Leaves:  what follows from it to decision. Reading rules needs no Permit (a named exception).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.definitions import type_code
from exchange.permit import Permit
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.visibility import SPEAKS, visible

# One row for each record of a person: whose it is, and its consents in five columns.
_VERDICT: Final = f"""LEFT JOIN LATERAL (
  SELECT coalesce(bit_or(c.covers) FILTER (WHERE c.is_permit AND NOT c.is_content), 0::smallint) AS covers,
    coalesce(bool_or(NOT c.is_permit AND NOT c.is_content), false) AS denies,
    coalesce(bool_or(c.is_content), false) AS is_judged, coalesce(bool_or(c.is_permit), false) AS permits,
    min(c.consent_id || '#' || c.rule) FILTER (WHERE c.is_permit) AS permitting,
    min(c.consent_id || '#' || c.rule) FILTER (WHERE NOT c.is_permit) AS denying
  FROM consent_rule c WHERE c.compartment = l.compartment AND {SPEAKS}) v ON true
LEFT JOIN resource s ON s.id = l.patient_id AND s.type = %(patient)s AND s.compartment = l.compartment
  AND NOT s.is_deleted"""  # noqa: S608
_COLUMNS: Final = """l.compartment, l.custodian, l.person, v.covers, v.denies, v.is_judged, v.permits,
  v.permitting, v.denying, l.patient_id, s.facets[1]"""

# One round trip: where a resource lies, which records are of the same person, what their consents say.
OF_RESOURCE: Final = f"""
WITH target AS (SELECT r.compartment, r.members FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s)
SELECT asked.compartment, false, {_COLUMNS}
FROM target t CROSS JOIN LATERAL unnest(t.compartment || coalesce(t.members, '{{}}')) AS asked(compartment)
LEFT JOIN patient_record q ON q.compartment = asked.compartment
LEFT JOIN patient_record l ON l.person = q.person
{_VERDICT}"""  # noqa: S608

# And the persons with whom the asked ones share resources: such a resource is reached where each of them is.
OF_PATIENTS: Final = f"""
SELECT q.compartment, asked.is_beside, {_COLUMNS}
FROM (
  SELECT unnest(%(compartments)s::bigint[]) AS compartment, false AS is_beside
  UNION ALL
  SELECT DISTINCT s.compartment, true FROM patient_record a JOIN patient_record m ON m.person = a.person
  JOIN shared_record s ON s.member = m.compartment WHERE a.compartment = ANY(%(compartments)s::bigint[])) asked
JOIN patient_record q ON q.compartment = asked.compartment
JOIN patient_record l ON l.person = q.person
{_VERDICT}"""  # noqa: S608

LINKS: Final = "SELECT compartment, other FROM record_link WHERE compartment = ANY(%(records)s::bigint[])"

IN_SIGHT: Final = """
SELECT r.compartment FROM patient_record p
JOIN resource r ON r.compartment = p.compartment AND r.id = p.patient_id AND r.type = %(type)s AND NOT r.is_deleted
WHERE p.compartment = ANY(%(asked)s::bigint[]) AND """


@dataclass(frozen=True, slots=True)
class Record:
    """One source patient record, and what its consents say to a requester.

    covers     authorisations that are permitted whatever the content, as bits: 1 access, 2 sending
    is_denied  whether access is denied whatever the content
    is_judged  whether some consent speaks of content
    permits    whether anything permits at all, some content included
    permitting, denying  the rules that decided, as consent#rule, for the audit log
    """

    compartment: int
    custodian: int
    person: int
    covers: int = 0
    is_denied: bool = False
    is_judged: bool = False
    permits: bool = False
    permitting: str = ""
    denying: str = ""
    patient_id: str = ""
    patient_level: int | None = None
    """The facet of the Patient's confidentiality; None where there is none."""


@dataclass(slots=True)
class Person:
    """The linked records of one person."""

    asked: int
    is_beside: bool = False
    """Whether the person was not asked for, and shares a resource with one who was."""
    records: list[Record] = field(default_factory=list)


def persons_of_resource(
    transaction: Transaction, requester: Requester, resource_type: str, resource_id: str
) -> list[Person]:
    """The persons whom a resource is about; empty when it is absent or about nobody."""
    parameters = _speaking(transaction, requester)
    return _persons(
        transaction.prepared(OF_RESOURCE, parameters | {"id": resource_id, "type": type_code(resource_type)})
    )


def persons_of_patients(
    transaction: Transaction, requester: Requester, compartments: Collection[int]
) -> list[Person]:
    """The persons behind source patient records; records that do not exist are left out."""
    parameters = _speaking(transaction, requester)
    return _persons(transaction.prepared(OF_PATIENTS, parameters | {"compartments": sorted(compartments)}))


def _speaking(transaction: Transaction, requester: Requester) -> dict[str, Any]:
    return {
        "actors": list(requester.actors),
        "purpose": requester.purpose_of_use,
        "decided_at": transaction.now,
        "custodian": requester.custodian,
        "patient": type_code("Patient"),
    }


def _persons(rows: list[tuple[Any, ...]]) -> list[Person]:
    persons: dict[tuple[int, bool], Person] = {}
    for asked, is_beside, compartment, *told in rows:
        person = persons.setdefault((asked, is_beside), Person(asked, is_beside))
        if compartment is not None:  # else a resource about nobody
            person.records.append(Record(compartment, *told))
    return list(persons.values())


def connected(transaction: Transaction, person: Person, reach: set[int], seen: set[int]) -> set[int]:
    """The records in reach that the one that was asked for is of one person with, as far as the requester can tell.

    Records are linked by what their Patients say: where a Patient is hidden, nothing is linked through it.
    """
    records = {each.compartment for each in person.records}
    if len(records) <= 2 or (reach >= records and seen >= records):  # noqa: PLR2004 - a pair needs no third
        return reach
    pairs: dict[int, set[int]] = {}
    for one, other in transaction.rows(LINKS, {"records": sorted(records)}):
        pairs.setdefault(one, set()).add(other)
    found, rest = {person.asked}, [person.asked]
    while rest:
        near = (pairs.get(rest.pop(), set()) & reach) - found
        found |= near
        rest += near & seen
    return found & reach


def patients_in_sight(transaction: Transaction, permit: Permit, compartments: Collection[int]) -> set[int]:
    """The records among these whose Patient the permit reaches."""
    where, parameters = visible(permit)
    asked = {"asked": sorted(compartments), "type": type_code("Patient")}
    return {row[0] for row in transaction.rows(IN_SIGHT + where, parameters | asked)}
