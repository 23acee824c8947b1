"""The cross-reference: source patient records that share a `person` are of one person.

Spec:    IHE ITI PIXm (patient cross-reference); docs/decisions/0010-linking-records.md.
Leaves:  the verdict on a pair to linkage.

Links are logical: linking and unlinking change this table only, never a resource.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final

from exchange.crypto.blind_index import EVERYWHERE
from exchange.fhir.definitions import type_code
from exchange.identity.demographics import Demographics, demographics
from exchange.identity.linkage import RULE, judge
from exchange.request import Linkage
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, opened

MOST_CANDIDATES: Final = 50

# Two records of one person that arrive at the same moment wait for each other on their documents' locks.
CANDIDATES: Final = f"""
SELECT pg_advisory_xact_lock(place) FROM (SELECT DISTINCT unnest(%(hashes)s::bigint[]) AS place ORDER BY 1) ordered;
SELECT {COLUMNS}, p.person FROM (
  SELECT DISTINCT k.compartment FROM identity_key k
  WHERE k.hash = ANY(%(hashes)s::bigint[]) AND k.compartment <> %(compartment)s LIMIT %(limit)s) k
JOIN patient_record p ON p.compartment = k.compartment
JOIN resource r ON r.compartment = k.compartment AND r.type = %(type)s AND r.id = p.patient_id AND NOT r.is_deleted"""  # noqa: S608

ADD_KEYS: Final = """
INSERT INTO identity_key (hash, compartment)
SELECT h, %(compartment)s FROM unnest(%(hashes)s::bigint[]) h
WHERE NOT EXISTS (SELECT 1 FROM identity_key k WHERE k.compartment = %(compartment)s AND k.hash = h)"""

STORE: Final = f"""
DELETE FROM identity_key WHERE compartment = %(compartment)s AND hash <> ALL(%(hashes)s::bigint[]);
{ADD_KEYS};
INSERT INTO patient_record (compartment, custodian, person, patient_id, linked_by)
VALUES (%(compartment)s, %(custodian)s, %(person)s, %(patient_id)s, %(linked_by)s)
ON CONFLICT (compartment) DO UPDATE SET person = excluded.person, linked_by = excluded.linked_by"""  # noqa: S608

# Whose Patients agree with this one, both ways; what agreed with an earlier version of it does so no more.
LINK: Final = """
DELETE FROM record_link WHERE (compartment, other) IN (
  SELECT l.other, l.compartment FROM record_link l WHERE l.compartment = %(compartment)s);
DELETE FROM record_link WHERE compartment = %(compartment)s;
INSERT INTO record_link (compartment, other)
SELECT %(compartment)s, o FROM unnest(%(linked)s::bigint[]) o
UNION ALL SELECT o, %(compartment)s FROM unnest(%(linked)s::bigint[]) o"""

CURRENT: Final = """
SELECT p.person, p.linked_by, (SELECT count(*) FROM patient_record o WHERE o.person = p.person)
FROM patient_record p WHERE p.compartment = %s"""

MERGE: Final = "UPDATE patient_record SET person = %(person)s WHERE person = ANY(%(others)s::bigint[])"

LINKED: Final = "SELECT other FROM record_link WHERE compartment = %s"

REVIEW: Final = """
INSERT INTO linkage_review (compartment, candidate, reason, noted_at)
VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""

OWNERS: Final = "SELECT compartment, custodian FROM patient_record WHERE compartment = ANY(%s::bigint[])"


def owners(transaction: Transaction, compartments: Iterable[int]) -> dict[int, int]:
    """The custodian of each existing record among the compartments."""
    asked = sorted(set(compartments))
    return dict(transaction.rows(OWNERS, (asked,))) if asked else {}


def register(
    transaction: Transaction, compartment: int, custodian: int, patient: dict[str, Any]
) -> tuple[Linkage, ...]:
    """Enter a new or changed Patient, link it where the evidence is certain, note pairs for review; what that changed.

    Needs no Permit: candidates' demographics are compared in memory and never leave this function.
    """
    described = demographics(patient)
    hashes = identity_hashes(transaction, described)
    persons: list[int] = []
    linked: list[int] = []
    changes: list[Linkage] = []
    if hashes:
        rows = transaction.rows(
            CANDIDATES,
            {
                "hashes": hashes,
                "compartment": compartment,
                "type": type_code("Patient"),
                "limit": MOST_CANDIDATES,
            },
        )
        persons, linked, changes = _judge_all(transaction, compartment, described, rows)
    current = transaction.rows(CURRENT, (compartment,))
    person, linked_by = _person(compartment, current, persons)
    others = sorted(set(persons) - {person})
    if others:
        transaction.run(MERGE, {"person": person, "others": others})
    transaction.run(
        STORE,
        {
            "hashes": hashes,
            "compartment": compartment,
            "custodian": custodian,
            "person": person,
            "patient_id": patient["id"],
            "linked_by": linked_by,
        },
    )
    if linked or current:
        before = {row[0] for row in transaction.rows(LINKED, (compartment,))}
        transaction.run(LINK, {"compartment": compartment, "linked": linked})
        changes += [Linkage("link", compartment, each, RULE) for each in linked if each not in before]
        gone = "the records do not agree any more"
        changes += [Linkage("unlink", compartment, each, gone) for each in sorted(before.difference(linked))]
    return tuple(changes)


def add_keys(transaction: Transaction, compartment: int, patient: dict[str, Any]) -> None:
    """Find a record by its documents under each version of the key that is written, beside what finds it already."""
    hashes = identity_hashes(transaction, demographics(patient))
    if hashes:
        transaction.run(ADD_KEYS, {"hashes": hashes, "compartment": compartment})


def identity_hashes(transaction: Transaction, described: Demographics) -> list[int]:
    """What a record's documents are found by; of two versions of the key while it is rotated."""
    tokens = transaction.crypto.blind_index.tokens
    return sorted(
        each
        for kind, number in described.documents
        for each in tokens(f"identity|{kind}|{number}", EVERYWHERE)
    )


def _judge_all(
    transaction: Transaction, compartment: int, described: Demographics, rows: list[tuple[Any, ...]]
) -> tuple[list[int], list[int], list[Linkage]]:
    """The persons that the record is certainly of, and their records that agree; possible ones are noted for review."""
    persons, linked, noted = [], [], []
    versions = opened(transaction, [row[:-1] for row in rows])
    for version, row in zip(versions, rows, strict=True):
        verdict, reason = judge(described, demographics(version.parsed()))
        if verdict == "certain":
            persons.append(row[-1])
            linked.append(version.compartment)
        elif verdict == "possible":
            pair = sorted((compartment, version.compartment))
            if transaction.run(REVIEW, (*pair, reason, transaction.now)):
                noted.append(Linkage("review", compartment, version.compartment, reason))
    return persons, sorted(set(linked)), noted


def _person(compartment: int, current: list[tuple[Any, ...]], persons: list[int]) -> tuple[int, str]:
    """The person to enter a record under, and the rule: keep what stands, join what is certain, leave what is not."""
    if persons:
        return min(persons), RULE
    if not current:
        return compartment, ""
    person, linked_by, shared = current[0]
    if linked_by in ("", RULE) and shared > 1:
        # The record was changed and agrees with nobody any more: it leaves, and nobody else moves. The first record of a
        # person bears no rule itself, and others joined it by the rule.
        return secrets.randbits(62) + 1, ""
    return person, linked_by
