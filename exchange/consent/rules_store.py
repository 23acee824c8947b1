"""The rules of active Consents, beside the records that they speak of.

Leaves:  reading Consents to provision; judging to decision. Reading rules needs no Permit (HOUSE rule: named exception).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.consent.provision import Rule, rules
from exchange.fhir.definitions import type_code
from exchange.problems import Denied
from exchange.request import Written
from exchange.requester import Requester
from exchange.store.session import Transaction

_RULE: Final = "c.consent_id, c.depth, c.is_permit, c.actor, c.purposes, c.starts_at, c.ends_at"

# One round trip: where a resource lies, which records are of the same person, what their consents say.
OF_RESOURCE: Final = f"""
WITH target AS (SELECT r.compartment, r.members FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s)
SELECT asked.compartment, l.compartment, l.custodian, false, {_RULE}
FROM target t CROSS JOIN LATERAL unnest(t.compartment || coalesce(t.members, '{{}}')) AS asked(compartment)
LEFT JOIN patient_record q ON q.compartment = asked.compartment
LEFT JOIN patient_record l ON l.person = q.person
LEFT JOIN consent_rule c ON c.compartment = l.compartment"""  # noqa: S608

# And the persons with whom the asked ones share resources: such a resource is reached where each of them is.
OF_PATIENTS: Final = f"""
SELECT q.compartment, l.compartment, l.custodian, asked.is_beside, {_RULE}
FROM (
  SELECT unnest(%(compartments)s::bigint[]) AS compartment, false AS is_beside
  UNION ALL
  SELECT DISTINCT s.compartment, true FROM patient_record a JOIN patient_record m ON m.person = a.person
  JOIN shared_record s ON s.member = m.compartment WHERE a.compartment = ANY(%(compartments)s::bigint[])) asked
JOIN patient_record q ON q.compartment = asked.compartment
JOIN patient_record l ON l.person = q.person
LEFT JOIN consent_rule c ON c.compartment = l.compartment"""  # noqa: S608

REPLACE: Final = """
DELETE FROM consent_rule WHERE compartment = %(compartment)s AND consent_id = %(consent_id)s"""

INSERT: Final = """
INSERT INTO consent_rule (compartment, starts_at, ends_at, actor, rule, depth, is_permit, consent_id, purposes)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""


@dataclass(slots=True)
class Person:
    """The linked records of one person, and what their consents say of all of them."""

    asked: int
    records: dict[int, int]
    rules: list[Rule]
    is_beside: bool = False
    """Whether the person was not asked for, and shares a resource with one who was."""


def persons_of_resource(transaction: Transaction, resource_type: str, resource_id: str) -> list[Person]:
    """The persons whom a resource is about; empty when it is absent or about nobody."""
    return _persons(transaction.prepared(OF_RESOURCE, {"id": resource_id, "type": type_code(resource_type)}))


def persons_of_patients(transaction: Transaction, compartments: Collection[int]) -> list[Person]:
    """The persons behind source patient records; records that do not exist are left out."""
    return _persons(transaction.prepared(OF_PATIENTS, {"compartments": sorted(compartments)}))


def record_rules(transaction: Transaction, requester: Requester, written: Sequence[Written]) -> None:
    """Replace the rules of the Consents that an act wrote, in the same transaction.

    Raises: Denied - a Consent that permits the facility that files it: it would open others' records to itself.
    """
    for each in written:
        if each.resource_type != "Consent":
            continue
        transaction.run(REPLACE, {"compartment": each.compartment, "consent_id": each.resource_id})
        if each.resource is None:
            continue
        found = rules(each.resource, each.compartment)
        if any(rule.is_permit and rule.actor == requester.custodian for rule in found):
            raise Denied(
                "a facility cannot file a consent that permits itself", reason="self-granted consent"
            )
        for number, rule in enumerate(found):
            transaction.run(
                INSERT,
                (rule.compartment, rule.starts_at, rule.ends_at, rule.actor, number, rule.depth, rule.is_permit,
                 rule.consent_id, list(rule.purposes) if rule.purposes is not None else None),
            )  # fmt: skip


def _persons(rows: list[tuple[Any, ...]]) -> list[Person]:
    persons: dict[tuple[int, bool], Person] = {}
    for (
        asked,
        compartment,
        custodian,
        is_beside,
        consent_id,
        depth,
        is_permit,
        actor,
        purposes,
        starts_at,
        ends_at,
    ) in rows:
        person = persons.setdefault((asked, is_beside), Person(asked, {}, [], is_beside))
        if compartment is None:
            continue  # a resource about nobody
        person.records[compartment] = custodian
        if consent_id is not None:
            named = tuple(purposes) if purposes is not None else None
            person.rules.append(
                Rule(compartment, consent_id, depth, is_permit, actor, named, starts_at, ends_at)
            )
    return list(persons.values())
