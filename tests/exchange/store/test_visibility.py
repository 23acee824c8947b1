"""The predicate inside of every query: what SQL shows is what the judgement allows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.consent.decision import judge
from exchange.consent.provision import Rule
from exchange.fhir.definitions import type_code
from exchange.permit import Permit
from exchange.store.visibility import GRANTED, visible

PURPOSES = ("TREAT", "ETREAT", "HRESCH")
OWN, OTHER = 1001, 1002
OBSERVATION, ORGANIZATION = type_code("Observation"), type_code("Organization")

records = st.dictionaries(
    st.integers(1, 6), st.tuples(st.sampled_from([OWN, OTHER]), st.integers(1, 3)), max_size=6
)
rule_sets = st.lists(
    st.builds(
        Rule,
        compartment=st.integers(1, 6),
        consent_id=st.sampled_from(["a", "b"]),
        depth=st.integers(0, 2),
        is_permit=st.booleans(),
        actor=st.none() | st.sampled_from([OWN, OTHER]),
        purposes=st.none()
        | st.lists(st.sampled_from(PURPOSES), min_size=1, max_size=2, unique=True).map(tuple),
        starts_at=st.integers(0, 3),
        ends_at=st.integers(2, 6),
    ),
    max_size=8,
)


def a_permit(**more: Any) -> Permit:
    told: dict[str, Any] = {
        "compartments": None, "custodian": OWN, "actors": (), "purpose": "TREAT", "decided_at": 3, "types": None,
        "audit": False, "reason": "",
    }  # fmt: skip
    return Permit(**(told | more))


def enter(transaction, people: dict[int, tuple[int, int]], found: list[Rule]) -> None:
    for compartment, (custodian, person) in people.items():
        transaction.run(
            "INSERT INTO patient_record (compartment, custodian, person, patient_id) VALUES (%s, %s, %s, %s)",
            (compartment, custodian, person, f"p{compartment}"),
        )
    for number, rule in enumerate(found):
        transaction.run(
            "INSERT INTO consent_rule (compartment, starts_at, ends_at, actor, rule, depth, is_permit, consent_id, "
            "purposes) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (rule.compartment, rule.starts_at, rule.ends_at, rule.actor, number, rule.depth, rule.is_permit,
             rule.consent_id, list(rule.purposes) if rule.purposes else None),
        )  # fmt: skip


def put_row(
    transaction, compartment: int, resource_id: str, custodian: int, members=None, code=OBSERVATION
) -> None:
    transaction.run(
        "INSERT INTO resource (compartment, custodian, last_updated, version_id, type, id, members, clinical_at, "
        "tokens, ranges, body) VALUES (%s, %s, 0, 1, %s, %s, %s::bigint[], 0, '{}', '{}', '')",
        (compartment, custodian, code, resource_id, members),
    )


def shown(transaction, permit: Permit) -> set[str]:
    where, parameters = visible(permit)
    return {row[0] for row in transaction.rows(f"SELECT r.id FROM resource r WHERE {where}", parameters)}


@settings(max_examples=150)
@given(records, rule_sets, st.sampled_from([OWN, OTHER]), st.sampled_from(PURPOSES), st.integers(0, 6))
def test_sql_grants_what_the_judgement_permits(store, people, found, actor, purpose, at):
    with store.transaction() as transaction:
        enter(transaction, people, found)
        rows = transaction.rows(
            GRANTED, {"actors": [actor], "custodian": 0, "purpose": purpose, "decided_at": at}
        )
        transaction.rollback()
    persons = {person for _, person in people.values()}
    permitted = set()
    for person in persons:
        own = {compartment for compartment, (_, each) in people.items() if each == person}
        if judge([rule for rule in found if rule.compartment in own], (actor,), purpose, at)[0]:
            permitted |= own
    assert {row[0] for row in rows} == permitted


@settings(max_examples=150)
@given(records, rule_sets, st.data())
def test_a_search_of_the_region_shows_own_rows_and_granted_records(store, people, found, data):
    members = {
        f"r{number}": data.draw(
            st.lists(st.sampled_from(sorted(people)), min_size=1, max_size=3, unique=True)
        )
        for number in range(data.draw(st.integers(0, 4)) if people else 0)
    }
    with store.transaction() as transaction:
        enter(transaction, people, found)
        for resource_id, (first, *others) in members.items():
            put_row(transaction, first, resource_id, people[first][0], others or None)
        seen = shown(transaction, a_permit(actors=(OWN,)))
        transaction.rollback()

    def granted(compartment: int) -> bool:
        same = {each for each in people if people[each][1] == people[compartment][1]}
        # What the asking facility filed itself never permits.
        heard = [
            r
            for r in found
            if r.compartment in same and not (r.is_permit and people[r.compartment][0] == OWN)
        ]
        return judge(heard, (OWN,), "TREAT", 3)[0]

    expected = {
        resource_id
        for resource_id, about in members.items()
        if people[about[0]][0] == OWN or all(granted(each) for each in about)
    }
    assert seen == expected


@pytest.fixture
def rows(transaction):
    put_row(transaction, 1, "of-one", OTHER)
    put_row(transaction, 2, "of-two", OTHER)
    put_row(transaction, 1, "of-both", OTHER, [2])
    put_row(transaction, -5, "organization", OTHER, code=ORGANIZATION)
    put_row(transaction, -6, "other-s-list", OTHER, code=type_code("List"))
    put_row(transaction, -7, "own-list", OWN, code=type_code("List"))
    put_row(transaction, 3, "own", OWN)
    return transaction


def test_named_records_show_what_is_about_them_alone(rows):
    directory = {"organization", "own-list"}
    assert shown(rows, a_permit(compartments=(1,))) == {"of-one"} | directory
    assert shown(rows, a_permit(compartments=(1, 2))) == {"of-one", "of-two", "of-both"} | directory
    assert shown(rows, a_permit(compartments=())) == directory


def test_without_actors_only_own_rows_and_the_directory_are_in_reach(rows):
    assert shown(rows, a_permit()) == {"organization", "own-list", "own"}


def test_silence_hides_everybody_else_s_rows(rows):
    assert shown(rows, a_permit(actors=(OWN,))) == {"organization", "own-list", "own"}


def test_a_permit_never_reaches_a_record_by_its_number_alone(rows):
    """An own record that the permit does not list stays out of a search that names another patient."""
    assert "own" not in shown(rows, a_permit(compartments=(1,)))
