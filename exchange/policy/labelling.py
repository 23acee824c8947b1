"""The labels and facets of rows: what their codes say, together with what was determined about their episodes.

Spec:    docs/policy.md, "How a resource gets its label".
Leaves:  calling it for new versions to interactions/admission; walking all rows to policy/relabelling.

Rows are read without a Permit here: nothing of them leaves but a label, which only ever hides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.fhir.datatype import parse_reference
from exchange.fhir.definitions import type_code
from exchange.policy.determination import determinations, determined, encounters_of
from exchange.policy.facets import facets, hashed, joined
from exchange.policy.regional_policy import RegionalPolicy
from exchange.policy.sensitivity import Label, Linked, label, told_label
from exchange.problems import KeyDestroyed, SealBroken
from exchange.search.reference import local
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, Version, array_text, opened, refacet

LOG: Final = logging.getLogger("exchange.policy")
BATCH_ROWS: Final = 500
DIRECTORY_LINKS: Final = frozenset({"Medication"})

LINKED: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s AND NOT r.is_deleted
AND (r.custodian = %(custodian)s OR %(is_directory)s)"""  # noqa: S608 - constants only

# Every row of an episode: the Encounter and what refers to it, in the record and in those that share it.
OF_EPISODE: Final = f"""
SELECT {COLUMNS}, r.custodian FROM resource r
WHERE (r.compartment = %(compartment)s OR (r.compartment IN (
    SELECT s.compartment FROM shared_record s WHERE s.member = %(compartment)s) AND %(compartment)s = ANY(r.members)))
AND (r.facets && %(facets)s::integer[] OR r.facets IS NULL) AND (r.id, r.type) > (%(id)s, %(type)s)
ORDER BY r.id, r.type LIMIT %(limit)s FOR UPDATE"""  # noqa: S608 - constants only


PAST: Final = f"""
SELECT {COLUMNS} FROM unnest(%(compartments)s::bigint[], %(types)s::smallint[], %(ids)s::text[])
  AS asked(compartment, type, id)
JOIN resource_history r ON r.id = asked.id AND r.type = asked.type AND r.compartment = asked.compartment
WHERE NOT r.is_deleted AND (r.id, r.type, r.version_id) > (%(id)s, %(type)s, %(version)s)
ORDER BY r.id, r.type, r.version_id LIMIT %(limit)s"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Row:
    """One resource to label. `last_updated` in microseconds since the epoch."""

    resource: dict[str, Any]
    compartments: tuple[int, ...]
    last_updated: int
    custodian: int


def labels(
    transaction: Transaction,
    rows: Sequence[Row],
    policy: RegionalPolicy,
    at_hand: Mapping[str, dict[str, Any]] | None = None,
) -> list[Label]:
    """The label of each row, with one query for the determinations about all their episodes.

    `at_hand` holds resources by `Type/id` that are written in the same act: a document's Binary is found there first.
    """
    episodes = [encounters_of(each.resource) for each in rows]
    named = frozenset[str]().union(*episodes)
    touched = {compartment for each in rows for compartment in each.compartments}
    found = determinations(transaction, touched, named) if named else {}
    made = []
    for each, encounters in zip(rows, episodes, strict=True):
        automatic = label(each.resource, policy, linked_in(transaction, each.custodian, at_hand or {}))
        if encounters and found:
            told = told_label(each.resource, policy)
            automatic = determined(automatic, told, encounters, each.compartments, found, each.last_updated)
        made.append(automatic)
    return made


def linked_in(transaction: Transaction, custodian: int, at_hand: Mapping[str, dict[str, Any]]) -> Linked:
    """What documents and prescriptions of a facility point to: written in the same act, its own, or a Medication."""

    def linked(reference: str) -> dict[str, Any] | None:
        place = local(reference, settings().fhir_url)
        if place in at_hand:
            return at_hand[place]
        named = parse_reference(place)
        if not named.type or not named.id or named.base is not None:
            return None
        parameters = {"id": named.id, "type": type_code(named.type), "custodian": custodian,
                      "is_directory": named.type in DIRECTORY_LINKS}  # fmt: skip
        try:
            versions = opened(transaction, transaction.rows(LINKED, parameters))
        except KeyDestroyed:
            return None
        return versions[0].parsed() if versions else None

    return linked


def relabel(transaction: Transaction, compartment: int, encounter_id: str, policy: RegionalPolicy) -> int:
    """Give every row of an episode the facets that its label has now; how many rows there were."""
    blind = transaction.crypto.blind_index
    features = (f"instance|Encounter/{encounter_id}", f"reference|Encounter/{encounter_id}")
    asked: dict[str, Any] = {
        "compartment": compartment,
        "facets": array_text(hashed(compartment, each, blind) for each in features),
        "id": "", "type": 0, "limit": BATCH_ROWS,
    }  # fmt: skip
    count = 0
    while True:
        rows = transaction.rows(OF_EPISODE, asked)
        relabel_rows(transaction, rows, policy)
        count += len(rows)
        if len(rows) < BATCH_ROWS:
            return count
        asked |= {"type": rows[-1][1], "id": rows[-1][2]}


def relabel_rows(transaction: Transaction, rows: list[tuple[Any, ...]], policy: RegionalPolicy) -> None:
    """Label rows of COLUMNS and their custodian anew. Erased ones have no facets; altered ones keep what they have."""
    try:
        _relabel(transaction, rows, policy)
    except (KeyDestroyed, SealBroken):
        for row in rows:
            try:
                _relabel(transaction, [row], policy)
            except KeyDestroyed:
                refacet(transaction, [(row[0], row[1], row[2], ())])
            except SealBroken:
                LOG.warning("E-504 a row does not open: it keeps the label that it has")


def _relabel(transaction: Transaction, rows: list[tuple[Any, ...]], policy: RegionalPolicy) -> None:
    """All versions of a resource share what any of them says, as admission has it; who is nobody's patient has none."""
    beyond: set[tuple[int, str]] = set()  # more than consents can be held against: hidden from others
    shared: dict[tuple[int, str], list[int]] = {(row[1], row[2]): [] for row in rows}
    places = {(row[1], row[2]): ((row[0], *(row[7] or ())), row[-1]) for row in rows if row[0] > 0}
    blind = transaction.crypto.blind_index
    for batch in _versions(transaction, rows):
        told = [
            each for each in batch if (each.type_code, each.resource_id) in places and not each.is_deleted
        ]
        subjects = []
        for each in told:
            compartments, custodian = places[each.type_code, each.resource_id]
            subjects.append(Row(each.parsed(), compartments, each.last_updated, custodian))
        made = labels(transaction, subjects, policy)
        for version, subject, label_made in zip(told, subjects, made, strict=True):
            key = (version.type_code, version.resource_id)
            new = facets(subject.resource, label_made, subject.compartments, blind)
            shared[key] = joined(new, shared[key], version.compartment, blind)
            if not new:
                beyond.add(key)
    shown = [(row, () if (row[1], row[2]) in beyond else shared[row[1], row[2]]) for row in rows]
    refacet(transaction, [(row[0], row[1], row[2], each) for row, each in shown])


def _versions(transaction: Transaction, rows: list[tuple[Any, ...]]) -> Iterator[list[Version]]:
    """The current versions of rows, then the past ones, some at a time."""
    yield opened(transaction, [row[:-1] for row in rows])
    asked: dict[str, Any] = {
        "compartments": array_text(row[0] for row in rows),
        "types": array_text(row[1] for row in rows),
        "ids": [row[2] for row in rows],
        "id": "", "type": 0, "version": 0, "limit": BATCH_ROWS,
    }  # fmt: skip
    while True:
        past = transaction.rows(PAST, asked)
        if past:
            yield opened(transaction, past)
        if len(past) < BATCH_ROWS:
            return
        asked |= {"type": past[-1][1], "id": past[-1][2], "version": past[-1][3]}
