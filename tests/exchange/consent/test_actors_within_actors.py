"""Who asks has several names at once - a facility, those above it, a person, a function - and exceptions may name any."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.consent.provision import rules
from exchange.requester import User
from tests.sample.consent import a_consent, a_provision
from tests.sample.judging import a_lookup, permits
from tests.sample.requester import HOSPITAL, INSTITUTE, a_requester

NETWORK = "red-trujillo"
PHYSICIAN = "Practitioner/d1"
NAMES = (HOSPITAL, INSTITUTE, NETWORK, PHYSICIAN)

DESK = replace(
    a_requester(HOSPITAL), within=(NETWORK,), user=User("u1", role="admission", reference="Practitioner/d9")
)
TREATING = replace(
    a_requester(HOSPITAL), within=(NETWORK,), user=User("u2", role="physician", reference=PHYSICIAN)
)
ELSEWHERE = replace(a_requester(INSTITUTE), user=User("u2", role="physician", reference=PHYSICIAN))


def nested(*kinds_and_actors: tuple[str, str]):
    kind, actor = kinds_and_actors[0]
    inside = [nested(*kinds_and_actors[1:])] if len(kinds_and_actors) > 1 else []
    return a_provision(kind, actors=[actor] if actor else [], inside=inside)


def consent(*kinds_and_actors: tuple[str, str]):
    return a_consent(provision=nested(*kinds_and_actors))


def test_a_person_is_denied_within_a_facility_that_is_permitted():
    told = consent(("permit", HOSPITAL), ("deny", PHYSICIAN))
    assert not permits(told, asker=TREATING)
    assert permits(told, asker=DESK)


def test_a_facility_is_denied_within_a_network_that_is_permitted():
    told = consent(("permit", NETWORK), ("deny", HOSPITAL))
    assert not permits(told, asker=TREATING)
    assert permits(told, asker=replace(a_requester(INSTITUTE), within=(NETWORK,)))


def test_a_facility_is_permitted_within_a_network_that_is_denied():
    told = consent(("permit", ""), ("deny", NETWORK), ("permit", HOSPITAL))
    assert permits(told, asker=TREATING)
    assert not permits(told, asker=replace(a_requester(INSTITUTE), within=(NETWORK,)))


def test_a_denial_within_a_permit_says_nothing_beyond_it():
    told = consent(("permit", HOSPITAL), ("deny", PHYSICIAN))
    other = a_consent("c2", permit=INSTITUTE)
    assert permits(told, other, asker=ELSEWHERE)


def test_a_permit_within_a_denial_says_nothing_beyond_it():
    """The physician is excepted at the hospital alone; at the institute nobody has permitted anything."""
    told = consent(("deny", HOSPITAL), ("permit", PHYSICIAN))
    assert permits(told, asker=TREATING)
    assert not permits(told, asker=ELSEWHERE)
    assert not permits(told, asker=DESK)


@pytest.mark.parametrize("asker", [TREATING, DESK, ELSEWHERE])
def test_facilities_that_are_strangers_never_meet(asker):
    told = consent(("permit", HOSPITAL), ("permit", INSTITUTE), ("deny", ""))
    assert permits(told, asker=asker) is (asker is not ELSEWHERE)


def test_what_it_stands_in_counts_against_the_bound():
    crowd = [f"Practitioner/{number}" for number in range(150)]
    inside = [a_provision("deny", actors=[PHYSICIAN]) for _ in range(150)]
    found = rules(a_consent(provision=a_provision("permit", actors=crowd, inside=inside)), a_lookup())
    assert [(rule.is_permit, rule.actors) for rule in found] == [(False, None)]


def says(provision, asker) -> bool | None:
    """A provision read from its tree, each level by what it names itself: none of the program's code."""
    own = {f"Organization/{each}" for each in (asker.organization_id, *asker.within)} | {asker.user.reference}
    named = {each["reference"]["reference"] for each in provision.get("actor", ())}
    if named and not named & own:
        return None
    said = {says(each, asker) for each in provision.get("provision", ())} - {None}
    return all(said) if said else provision["type"] == "permit"


@st.composite
def provisions(draw, levels: int = 3):
    actors = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    inside = draw(st.lists(provisions(levels - 1), max_size=2)) if levels else []
    return a_provision(draw(st.sampled_from(["permit", "deny"])), actors=actors, inside=inside)


@settings(max_examples=1_000)
@given(provisions(), st.sampled_from([TREATING, ELSEWHERE]))
def test_nested_actors_say_what_the_tree_says(provision, asker):
    assert permits(a_consent(provision=provision), asker=asker) is bool(says(provision, asker))
