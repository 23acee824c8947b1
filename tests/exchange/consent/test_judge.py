"""Combining rules: deepest, then deny, then silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.consent.decision import judge
from exchange.consent.provision import Rule, rules
from exchange.requester import custodian_key
from tests.sample.consent import a_provision
from tests.sample.provisions import FACILITIES, PURPOSES, consents, days, permitted, provisions

LIMA = ZoneInfo("America/Lima")
EVER = (-(2**61), 2**61)

asked = st.tuples(st.sampled_from(FACILITIES), st.sampled_from(PURPOSES), days)
rule_sets = st.lists(
    st.builds(
        Rule,
        compartment=st.integers(1, 3),
        consent_id=st.sampled_from(["a", "b", "c"]),
        depth=st.integers(0, 3),
        is_permit=st.booleans(),
        actor=st.none() | st.integers(1, 3),
        purposes=st.none() | st.lists(st.sampled_from(PURPOSES), min_size=1, max_size=2).map(tuple),
        starts_at=st.integers(0, 5),
        ends_at=st.integers(4, 9),
    ),
    max_size=8,
)


def noon(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=LIMA).timestamp() * 1_000_000)


def flat(told):
    return [rule for consent in told for rule in rules(consent, 7)]


def a_rule(consent_id="a", *, is_permit=True, depth=0, actor=None, purposes=None, compartment=1) -> Rule:
    return Rule(compartment, consent_id, depth, is_permit, actor, purposes, *EVER)


@settings(max_examples=1_000)
@given(consents(), asked)
def test_rules_say_what_the_consents_say(told, request_asked):
    facility, purpose, day = request_asked
    said, _ = judge(flat(told), (custodian_key(facility),), purpose, noon(day))
    assert said == permitted(told, facility, purpose, day)


@settings(max_examples=1_000)
@given(rule_sets, st.randoms(), st.integers(1, 3), st.sampled_from(PURPOSES), st.integers(0, 9))
def test_the_order_of_rules_changes_nothing(found, random, actor, purpose, at):
    shuffled = found[:]
    random.shuffle(shuffled)
    assert judge(found, (actor,), purpose, at) == judge(shuffled, (actor,), purpose, at)


@settings(max_examples=1_000)
@given(rule_sets, rule_sets, st.integers(1, 3), st.sampled_from(PURPOSES), st.integers(0, 9))
def test_a_denying_rule_never_adds(found, more, actor, purpose, at):
    denials = [replace(each, is_permit=False) for each in more]
    before, _ = judge(found, (actor,), purpose, at)
    after, _ = judge(found + denials, (actor,), purpose, at)
    assert before or not after


@settings(max_examples=500)
@given(consents(), provisions(levels=0), st.data(), asked)
def test_a_denial_never_adds_wherever_it_is_written(told, denial, data, request_asked):
    """In a consent of its own, or inside of any provision of a consent that is there."""
    facility, purpose, day = request_asked
    before = judge(flat(told), (custodian_key(facility),), purpose, noon(day))[0]
    places = []

    def collect(provision):
        places.append(provision)
        for each in provision.get("provision", ()):
            collect(each)

    for consent in told:
        collect(consent["provision"])
    chosen = data.draw(st.sampled_from([*places, None]) if places else st.none())
    denial = denial | {"type": "deny"}
    if chosen is None:
        told = [*told, {**consent_of(denial), "id": "new"}]
    else:
        chosen.setdefault("provision", []).append(denial)
    after = judge(flat(told), (custodian_key(facility),), purpose, noon(day))[0]
    assert before or not after


def consent_of(provision):
    from tests.sample.consent import a_consent

    return a_consent(provision=provision)


@given(rule_sets, st.integers(1, 3), st.sampled_from(PURPOSES), st.integers(0, 9))
def test_the_reason_names_a_consent_or_silence(found, actor, purpose, at):
    permits, reason = judge(found, (actor,), purpose, at)
    if reason.startswith("no consent speaks"):
        assert not permits
    else:
        assert reason in {f"Consent/{each.consent_id} {'permits' if permits else 'denies'}" for each in found}


def test_nothing_said_is_a_refusal():
    assert judge([], (1,), "TREAT", 0) == (False, "no consent speaks: the region's default denies")


def test_two_consents_of_the_same_second_that_contradict_each_other_deny():
    assert not judge([a_rule("a"), a_rule("b", is_permit=False)], (1,), "TREAT", 0)[0]
    assert not judge([a_rule("b"), a_rule("a", is_permit=False)], (1,), "TREAT", 0)[0]


def test_the_same_id_in_two_linked_records_is_two_consents():
    found = [a_rule("a", compartment=1, depth=1), a_rule("a", compartment=2, is_permit=False)]
    assert not judge(found, (1,), "TREAT", 0)[0]


def test_the_strictest_of_linked_records_holds():
    assert not judge(
        [a_rule("a", compartment=1), a_rule("b", compartment=2, is_permit=False)], (1,), "TREAT", 0
    )[0]


@pytest.mark.parametrize("actors", [(2,), (), (2, 3)])
def test_a_permit_for_another_actor_is_none(actors):
    assert not judge([a_rule(actor=1)], actors, "TREAT", 0)[0]


def test_a_deny_by_a_parent_organisation_counts():
    found = [a_rule(), a_rule("b", is_permit=False, actor=9)]
    assert not judge(found, (1, 9), "TREAT", 0)[0]
    assert judge(found, (1,), "TREAT", 0)[0]


def test_break_the_glass_is_covered_by_no_other_purpose():
    found = flat([consent_of(a_provision("permit", purposes=["TREAT"]))])
    assert not judge(found, (1,), "BTG", 0)[0]
