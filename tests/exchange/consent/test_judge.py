"""Combining rules: exceptions, then deny, then silence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.consent.judgement import Asked, Filed, Judgement, Subject, judge
from exchange.consent.provision import Rule, rules
from exchange.requester import custodian_key
from tests.sample.consent import a_consent, a_provision
from tests.sample.judging import a_lookup, at, judged
from tests.sample.provisions import FACILITIES, PURPOSES, consents, days, permitted, provisions

EVER = (-(2**61), 2**61)
FEATURES = ("level|N", "level|R", "a", "b", "c")

asked_of = st.tuples(st.sampled_from(FACILITIES), st.sampled_from(PURPOSES), days)
some_features = st.frozensets(st.sampled_from(FEATURES), max_size=2)
filed_rules = st.lists(
    st.lists(
        st.builds(
            Rule,
            consent_id=st.just("c"),
            number=st.just(0),
            parent=st.none() | st.integers(0, 3),
            is_permit=st.booleans(),
            covers=st.sampled_from([1, 2, 3]),
            actors=st.none() | st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple),
            purposes=st.none() | st.lists(st.sampled_from(PURPOSES), min_size=1, max_size=2).map(tuple),
            starts_at=st.integers(0, 5),
            ends_at=st.integers(4, 9),
            clinical=st.none() | st.tuples(st.integers(0, 3), st.integers(3, 6)),
            clauses=st.lists(
                st.frozensets(st.sampled_from(FEATURES), min_size=1, max_size=2), max_size=2
            ).map(tuple),
            bars=some_features,
            opens=st.none() | some_features,
        ),
        max_size=4,
    ),
    max_size=4,
)
subjects = st.builds(Subject, some_features, st.none() | st.tuples(st.integers(0, 3), st.integers(3, 6)))
askers = st.builds(
    Asked, st.frozensets(st.integers(1, 3)), st.integers(1, 3), st.sampled_from(PURPOSES), st.integers(0, 9)
)


def filed(told: list[list[Rule]]) -> list[Filed]:
    """Consents of numbered rules; an exception stands after what it is an exception to."""
    return [
        Filed(
            [
                replace(
                    rule, consent_id=f"c{place}", number=number,
                    parent=rule.parent if rule.parent is not None and rule.parent < number else None,
                )
                for number, rule in enumerate(found)
            ],
            place % 3 + 1,
        )
        for place, found in enumerate(told)
    ]  # fmt: skip


@settings(max_examples=1_000)
@given(consents(), asked_of)
def test_rules_say_what_the_consents_say(told, request_asked):
    facility, purpose, day = request_asked
    said = judged(told, asker=facility, purpose=purpose, when=at(f"{day}T12:00:00"), filed_by="nobody")
    assert said.permits == permitted(told, facility, purpose, day)


@settings(max_examples=1_000)
@given(filed_rules, askers, subjects, st.sampled_from([0, 2]), st.randoms())
def test_the_order_of_consents_and_rules_changes_nothing(told, asker, subject, assumed, random):
    found = filed(told)
    shuffled = [Filed(random.sample(list(each.rules), len(each.rules)), each.filed_by) for each in found]
    random.shuffle(shuffled)
    assert judge(found, asker, subject, assumed) == judge(shuffled, asker, subject, assumed)


@settings(max_examples=1_000)
@given(filed_rules, filed_rules, askers, subjects, st.sampled_from([0, 2]))
def test_a_consent_that_denies_never_adds(told, more, asker, subject, assumed):
    denials = [[replace(rule, is_permit=False) for rule in each] for each in more]
    before = judge(filed(told), asker, subject, assumed)
    after = judge(filed(told + denials), asker, subject, assumed)
    assert before.permits or not after.permits


@settings(max_examples=500)
@given(consents(), provisions(levels=0), st.data(), asked_of)
def test_a_denial_never_adds_wherever_it_is_written(told, denial, data, request_asked):
    """In a consent of its own, or inside of any provision of a consent that is there."""
    facility, purpose, day = request_asked
    when = at(f"{day}T12:00:00")
    before = judged(told, asker=facility, purpose=purpose, when=when)
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
        told = [*told, a_consent("new", provision=denial)]
    else:
        chosen.setdefault("provision", []).append(denial)
    after = judged(told, asker=facility, purpose=purpose, when=when)
    assert before.permits or not after.permits


@given(filed_rules, askers, subjects)
def test_a_judgement_names_the_rules_that_made_it(told, asker, subject):
    said = judge(filed(told), asker, subject, 2)
    kinds = {
        f"Consent/{rule.consent_id}#{rule.number}": rule.is_permit
        for each in filed(told)
        for rule in each.rules
    }
    assert all(kinds[each] for each in said.because) or not any(kinds[each] for each in said.because)
    if said.permits:
        assert said.because
        assert all(kinds[each] for each in said.because)


def test_nothing_said_is_a_refusal():
    assert judged([]) == Judgement(permits=False, because=())


def test_two_consents_of_the_same_second_that_contradict_each_other_deny():
    told = [a_consent("a", permit=""), a_consent("b", deny="")]
    for each in (told, told[::-1]):
        assert judged(each) == Judgement(permits=False, because=("Consent/b#0",))


def test_a_shallow_denial_beside_a_deeper_exception_denies():
    told = a_consent(
        provision=a_provision(
            "permit",
            inside=[
                a_provision("deny", purposes=["TREAT"]),
                a_provision("deny", inside=[a_provision("permit", purposes=["TREAT"])]),
            ],
        )
    )
    assert judged([told]).because == ("Consent/c1#1",)


def test_an_exception_to_an_exception_decides():
    told = a_consent(
        provision=a_provision("permit", inside=[a_provision("deny", inside=[a_provision("permit")])])
    )
    assert judged([told]) == Judgement(permits=True, because=("Consent/c1#2",))


@pytest.mark.parametrize("organisation", ["ipress-a", "ipress-b"])
def test_a_permit_for_another_actor_is_none(organisation):
    assert not judged([a_consent(permit="ipress-c")], asker=organisation).permits


def test_what_a_facility_filed_denies_it_and_never_permits_it():
    told = [a_consent(permit="")]
    assert not judged(told, asker="ipress-a", filed_by="ipress-a").permits
    assert judged(told, asker="ipress-a", filed_by="ipress-b").permits
    told.append(a_consent("c2", deny="ipress-a"))
    assert not judged(told, asker="ipress-a", filed_by="ipress-a").permits


def test_break_the_glass_is_covered_by_no_other_purpose():
    assert not judged([a_consent(provision=a_provision("permit", purposes=["TREAT"]))], purpose="BTG").permits


def test_access_alone_is_not_enough_where_sending_needs_its_own_authorisation():
    action = [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "access"}]}
    ]
    sending = [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "disclose"}]}
    ]
    access = a_consent("a", provision=a_provision("permit", action=action))
    send = a_consent("s", provision=a_provision("permit", action=sending))
    assert not judged([access], assumed=0).permits
    assert not judged([send], assumed=0).permits
    assert judged([access, send], assumed=0).permits
    assert judged([access], assumed=2).permits
    assert not judged([send], assumed=2).permits


def test_rules_of_the_root_carry_its_number():
    found = rules(a_consent(permit="", deny="x"), a_lookup())
    assert [(rule.number, rule.parent, rule.has_exceptions) for rule in found] == [
        (0, None, True),
        (1, 0, False),
    ]
    assert found[1].actors == (custodian_key("x"),)
