"""The predicate inside of every query: what SQL shows is what the judgement allows."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.consent.judgement import Asked, Filed, Subject, judge
from exchange.consent.provision import Rule
from exchange.consent.reach import Person, Record, persons_of_patients
from exchange.consent.rules_store import RULE_COLUMNS, lines
from exchange.fhir.definitions import type_code
from exchange.permit import Permit
from exchange.policy.facets import all_hashed, hashed
from exchange.store.visibility import visible
from tests.sample.requester import HOSPITAL, a_requester

PURPOSES = ("TREAT", "ETREAT", "HRESCH")
ASKER = a_requester(HOSPITAL)
OWN, OTHER, THIRD = ASKER.custodian, 1002, 1003
OBSERVATION, ORGANIZATION = type_code("Observation"), type_code("Organization")
LEVELS = ("level|N", "level|R", "level|V")
NOW = 3
NORMAL, RESTRICTED = 7, 8

named = st.frozensets(st.sampled_from(["a", "b", "c", *LEVELS]), min_size=1, max_size=2)
records = st.dictionaries(
    st.integers(1, 5), st.tuples(st.sampled_from([OWN, OTHER, THIRD]), st.integers(1, 3)), max_size=5
)
a_rule = st.builds(
    Rule,
    consent_id=st.just(""),
    number=st.just(0),
    parent=st.none() | st.integers(0, 2),
    is_permit=st.booleans(),
    covers=st.sampled_from([1, 2, 3, 3, 3]),
    actors=st.none() | st.sampled_from([(OWN,), (OTHER,), (OWN, OTHER)]),
    purposes=st.none() | st.lists(st.sampled_from(PURPOSES), min_size=1, max_size=2, unique=True).map(tuple),
    starts_at=st.integers(0, 4),
    ends_at=st.integers(2, 6),
    clinical=st.none() | st.tuples(st.integers(0, 3), st.integers(3, 6)),
    clauses=st.lists(named, max_size=2).map(tuple),
    bars=st.frozensets(st.sampled_from(["a", "b", "level|V"]), max_size=1),
    opens=st.just(frozenset({"level|N"})),
)
plain = a_rule.map(lambda rule: replace(rule, clinical=None, clauses=(), bars=frozenset()))
consents = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.sampled_from([OWN, OTHER]),
        st.lists(a_rule | plain | plain, min_size=1, max_size=3),
    ),
    max_size=4,
)
resources = st.lists(
    st.tuples(
        st.integers(1, 5), st.sampled_from(LEVELS), st.frozensets(st.sampled_from("abc")),
        st.none() | st.tuples(st.integers(0, 3), st.integers(3, 6)), st.none() | st.integers(1, 5),
    ),
    max_size=6,
)  # fmt: skip


def a_permit(**more: Any) -> Permit:
    told: dict[str, Any] = {
        "compartments": None, "custodian": OWN, "actors": (), "purpose": "TREAT", "decided_at": NOW, "types": None,
        "audit": False, "reason": "",
    }  # fmt: skip
    return Permit(**(told | more))


def numbered(place: int, found: list[Rule]) -> list[Rule]:
    """Rules of one Consent as reading one makes them: exceptions after what they are exceptions to, and flagged."""
    made = [
        replace(
            rule, consent_id=f"c{place}", number=number,
            parent=rule.parent if rule.parent is not None and rule.parent < number else None,
            opens=rule.opens if rule.is_permit and not rule.bars else None,
        )
        for number, rule in enumerate(found)
    ]  # fmt: skip
    depends = {
        rule.number
        for rule in made
        if rule.clauses or rule.bars or rule.clinical or (rule.is_permit and rule.opens is None)
    }
    depends |= {rule.parent for rule in made if rule.number in depends and rule.parent is not None}
    excepted = {rule.parent for rule in made}
    return [
        replace(rule, is_content=rule.number in depends, has_exceptions=rule.number in excepted)
        for rule in made
    ]


def put_row(
    transaction, compartment: int, resource_id: str, custodian: int, members=None, code=OBSERVATION,
    facets=(), clinical=None,
) -> None:  # fmt: skip
    transaction.run(
        "INSERT INTO resource (compartment, custodian, last_updated, version_id, type, id, members, clinical_at, "
        "clinical_until, facets, tokens, ranges, body) "
        "VALUES (%s, %s, 0, 1, %s, %s, %s::bigint[], %s, %s, %s::integer[], '{}', '{}', '')",
        (compartment, custodian, code, resource_id, members, clinical[0] if clinical else -(2**62),
         clinical[1] if clinical else None, list(facets)),
    )  # fmt: skip


def shown(transaction, permit: Permit) -> set[str]:
    where, parameters = visible(permit)
    return {row[0] for row in transaction.rows(f"SELECT r.id FROM resource r WHERE {where}", parameters)}


class Region:
    """Records, consents and resources, in the database and beside it."""

    def __init__(self, transaction, people, told, kept) -> None:
        self.people = people
        self.kept = [each for each in kept if each[0] in people]
        self.filed: dict[int, list[Filed]] = {}
        blind = transaction.crypto.blind_index
        for compartment, (custodian, person) in people.items():
            transaction.run(
                "INSERT INTO patient_record (compartment, custodian, person, patient_id) VALUES (%s, %s, %s, %s)",
                (compartment, custodian, person, f"p{compartment}"),
            )
        for place, (compartment, filed_by, found) in enumerate(told):
            rules = numbered(place, found)
            if compartment in people:
                self.filed.setdefault(compartment, []).append(Filed(rules, filed_by))
                text = "".join(
                    lines(rules, compartment, people[compartment][0], compartment, filed_by, blind)
                )
                transaction.copy("consent_rule", RULE_COLUMNS, io.StringIO(text))
        for number, (compartment, level, said, clinical, member) in enumerate(self.kept):
            places = self.places(compartment, member)
            facets = [one for each in places for one in all_hashed(each, [level, *sorted(said)], blind)]
            put_row(transaction, compartment, f"r{number}", people[compartment][0], places[1:] or None,
                    facets=facets, clinical=clinical)  # fmt: skip

    def places(self, compartment, member) -> list[int]:
        """The records that a resource lies in: all of one facility."""
        is_shared = member in self.people and member != compartment
        same = is_shared and self.people[member][0] == self.people[compartment][0]
        return [compartment, member] if same else [compartment]

    def expected(self, assumed: int, among=None) -> set[str]:
        asked = Asked(frozenset(ASKER.actors), OWN, "TREAT", NOW)
        found = set()
        for number, (compartment, level, said, clinical, member) in enumerate(self.kept):
            subject = Subject(frozenset({level, *said}), clinical)
            places = self.places(compartment, member)
            if self.people[compartment][0] == OWN or all(
                judge(
                    # An authorisation to send alone is heard where it was filed.
                    [
                        Filed([rule for rule in each.rules if rule.covers != 2 or self.people[place][0] == each.filed_by],
                              each.filed_by)
                        for each in self.filed.get(place, ())
                    ],
                    asked, subject, assumed,
                ).permits
                for place in places
            ):  # fmt: skip
                found.add((f"r{number}", tuple(places)))
        return {name for name, places in found if among is None or set(places) <= set(among)}


@settings(max_examples=300, deadline=None)
@given(records, consents, resources, st.sampled_from([0, 2]))
def test_a_search_of_the_region_shows_what_the_judgement_permits(store, people, told, kept, assumed):
    with store.transaction() as transaction:
        region = Region(transaction, people, told, kept)
        seen = shown(transaction, a_permit(actors=ASKER.actors, assumed=assumed))
        transaction.rollback()
    assert seen == region.expected(assumed)


@settings(max_examples=300, deadline=None)
@given(records, consents, resources, st.sampled_from([0, 2]))
def test_named_records_show_what_the_judgement_permits(store, people, told, kept, assumed):
    """Records that are open as a whole, records that are judged row by row, and closed ones give the same."""
    with store.transaction() as transaction:
        transaction.now = NOW
        region = Region(transaction, people, told, kept)
        found = persons_of_patients(transaction, ASKER, people)
        permit = named_permit(transaction, found, assumed)
        seen = shown(transaction, permit)
        transaction.rollback()
    assert seen == region.expected(assumed, among=permit.compartments)
    assert region.expected(assumed) - seen == set()


def named_permit(transaction, found: list[Person], assumed: int) -> Permit:
    """What the decision makes of records, without the roles and the persons around it."""
    every: dict[int, Record] = {each.compartment: each for person in found for each in person.records}
    own = {each.compartment for each in every.values() if each.custodian == OWN}
    foreign = [each for each in every.values() if each.compartment not in own and not each.is_denied]
    judged = {each.compartment for each in foreign if each.is_judged and each.permits}
    whole = {each.compartment for each in foreign if not each.is_judged and each.covers | assumed == 3}
    blind = transaction.crypto.blind_index
    return a_permit(
        compartments=tuple(sorted(own | judged | whole)), actors=ASKER.actors, assumed=assumed,
        judged=tuple(sorted(judged)), opened=tuple(hashed(each, "level|N", blind) for each in whole),
    )  # fmt: skip


@pytest.fixture
def rows(transaction):
    put_row(transaction, 1, "of-one", OTHER, facets=[NORMAL])
    put_row(transaction, 2, "of-two", OTHER, facets=[NORMAL])
    put_row(transaction, 2, "restricted", OTHER, facets=[RESTRICTED])
    put_row(transaction, 2, "not-labelled", OTHER)
    put_row(transaction, 1, "of-both", OTHER, [2], facets=[NORMAL])
    put_row(transaction, -5, "organization", OTHER, code=ORGANIZATION)
    put_row(transaction, -6, "other-s-list", OTHER, code=type_code("List"))
    put_row(transaction, -7, "own-list", OWN, code=type_code("List"))
    put_row(transaction, 3, "own", OWN)
    return transaction


def test_named_records_show_what_is_about_them_alone(rows):
    directory = {"organization", "own-list"}
    assert shown(rows, a_permit(compartments=(1,), opened=(NORMAL,))) == {"of-one"} | directory
    assert shown(rows, a_permit(compartments=(1, 2), opened=(NORMAL,))) == {"of-one", "of-two"} | directory
    assert shown(rows, a_permit(compartments=())) == directory


def test_what_is_restricted_or_bears_no_label_is_not_open_with_the_rest(rows):
    seen = shown(rows, a_permit(compartments=(2,), opened=(NORMAL,)))
    assert seen & {"restricted", "not-labelled"} == set()
    assert "restricted" in shown(rows, a_permit(compartments=(2,), opened=(NORMAL, RESTRICTED)))


def test_without_actors_only_own_rows_and_the_directory_are_in_reach(rows):
    assert shown(rows, a_permit()) == {"organization", "own-list", "own"}


def test_silence_hides_everybody_else_s_rows(rows):
    assert shown(rows, a_permit(actors=(OWN,))) == {"organization", "own-list", "own"}


def test_a_permit_never_reaches_a_record_by_its_number_alone(rows):
    """An own record that the permit does not list stays out of a search that names another patient."""
    assert "own" not in shown(rows, a_permit(compartments=(1,)))
