"""Consents read as rules: what they say, and what happens to what is not understood."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.consent.provision import DEEPEST, MOST_NAMED, MOST_RULES, rules
from exchange.requester import User
from tests.sample.consent import ACT_REASON, a_consent, a_provision
from tests.sample.judging import NOW, a_lookup, at, permits
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester

KNOWN = a_lookup()


# --- grants ---------------------------------------------------------------------------------------------------------


def test_a_permit_for_everybody():
    assert permits(a_consent(permit=""))


def test_a_permit_for_one_facility_is_for_no_other():
    consent = a_consent(permit=HOSPITAL)
    assert permits(consent)
    assert not permits(consent, asker=INSTITUTE)


def test_a_permit_for_several_facilities():
    consent = a_consent(permit=[HOSPITAL, POST])
    assert permits(consent, asker=HOSPITAL)
    assert permits(consent, asker=POST)
    assert not permits(consent, asker=INSTITUTE)


@pytest.mark.parametrize(
    ("named", "asked", "granted"),
    [
        ("TREAT", "TREAT", True),
        ("TREAT", "ETREAT", True),
        ("ETREAT", "TREAT", False),
        ("ETREAT", "ETREAT", True),
        ("TREAT", "BTG", False),
        ("TREAT", "HRESCH", False),
        ("PUBHLTH", "DISASTER", True),
    ],
)
def test_purposes_cover_what_they_subsume(named, asked, granted):
    consent = a_consent(provision=a_provision("permit", purposes=[named]))
    assert permits(consent, purpose=asked) is granted


def test_a_permit_without_a_purpose_is_for_any():
    assert permits(a_consent(permit=HOSPITAL), purpose="HRESCH")


@pytest.mark.parametrize(
    ("when", "granted"),
    [
        ("2022-01-01T00:00:00", True),
        ("2021-12-31T23:59:59", False),
        ("2022-12-31T23:59:59", True),  # the whole last day, as Lima counts it
        ("2023-01-01T00:00:00", False),
    ],
)
def test_a_period_covers_its_last_day_in_lima(when, granted):
    consent = a_consent(provision=a_provision("permit", start="2022-01-01", end="2022-12-31"))
    assert permits(consent, when=at(when)) is granted


@pytest.mark.parametrize(
    ("start", "end"), [("2026-05", None), (None, "2026-05"), (None, "2026"), ("2026", "2026-06-01")]
)
def test_open_and_coarse_periods(start, end):
    assert permits(a_consent(provision=a_provision("permit", start=start, end=end)))


def test_a_period_with_a_time_ends_at_that_time():
    consent = a_consent(provision=a_provision("permit", end="2026-05-31T12:00:00-05:00"))
    assert permits(consent, when=NOW)
    assert not permits(consent, when=NOW + 1_000_000)


def test_an_action_that_is_access_counts():
    action = [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "access"}]}
    ]
    assert permits(a_consent(provision=a_provision("permit", action=action)))


# --- refusals -------------------------------------------------------------------------------------------------------


def test_silence_denies():
    assert not permits()


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_only_an_active_consent_speaks(status):
    assert rules(a_consent(permit="", status=status), KNOWN) == []


def test_a_consent_to_research_or_treatment_is_none_to_access():
    scope = {"coding": [{"code": "research"}]}
    assert rules(a_consent(permit="", scope=scope), KNOWN) == []


def test_a_consent_without_a_provision_denies():
    consent = a_consent(permit="")
    del consent["provision"]
    assert not permits(consent, a_consent("c2", permit=""))


def test_a_root_without_a_type_denies():
    assert not permits(a_consent(provision=a_provision()), a_consent("c2", permit=""))


def test_a_deny_overrides_a_permit_of_another_consent():
    assert not permits(a_consent(permit=""), a_consent("c2", deny=HOSPITAL))
    assert permits(a_consent(permit=""), a_consent("c2", deny=INSTITUTE))


# --- nested provisions are exceptions -------------------------------------------------------------------------------


def test_an_exception_to_a_permit():
    consent = a_consent(permit="", deny=HOSPITAL)
    assert not permits(consent)
    assert permits(consent, asker=INSTITUTE)


def test_an_exception_to_a_deny():
    consent = a_consent(provision=a_provision("deny", inside=[a_provision("permit", actors=[HOSPITAL])]))
    assert permits(consent)
    assert not permits(consent, asker=INSTITUTE)


def test_an_exception_without_a_type_is_the_opposite_of_what_it_stands_in():
    inside = [a_provision(actors=[HOSPITAL])]
    assert not permits(a_consent(provision=a_provision("permit", inside=inside)))
    assert permits(a_consent(provision=a_provision("deny", inside=inside)))


def test_an_exception_to_an_exception():
    deepest = a_provision("permit", purposes=["ETREAT"])
    consent = a_consent(
        provision=a_provision("permit", inside=[a_provision("deny", actors=[HOSPITAL], inside=[deepest])])
    )
    assert not permits(consent, purpose="TREAT")
    assert permits(consent, purpose="ETREAT")
    assert permits(consent, purpose="TREAT", asker=INSTITUTE)


def test_siblings_that_both_match_deny():
    inside = [a_provision("permit", actors=[HOSPITAL]), a_provision("deny", purposes=["TREAT"])]
    assert not permits(a_consent(provision=a_provision("deny", inside=inside)))


def test_an_exception_never_reaches_beyond_what_it_stands_in():
    inside = [a_provision("permit", actors=[HOSPITAL, INSTITUTE], start="2020-01-01")]
    outer = a_provision("permit", actors=[HOSPITAL], start="2026-01-01", purposes=["TREAT"], inside=inside)
    consent = a_consent(provision=outer)
    assert permits(consent)
    assert not permits(consent, asker=INSTITUTE)
    assert not permits(consent, when=at("2025-06-01T00:00:00"))
    assert not permits(consent, purpose="HRESCH")


def nested(levels: int, innermost: dict) -> dict:
    provision = innermost
    for _ in range(levels):
        provision = a_provision("permit", inside=[provision])
    return provision


@pytest.mark.parametrize("levels", [1, 8, 9, 25, DEEPEST - 1])
def test_a_denial_is_heard_however_deep_it_stands(levels):
    assert not permits(a_consent(provision=nested(levels, a_provision("deny", actors=[HOSPITAL]))))
    assert permits(a_consent(provision=nested(levels, a_provision("deny", actors=[INSTITUTE]))))


def test_what_stands_too_deep_to_be_read_denies():
    assert not permits(a_consent(provision=nested(DEEPEST + 1, a_provision("deny", actors=[INSTITUTE]))))
    assert not permits(a_consent(provision=nested(DEEPEST + 1, a_provision("permit"))))


def test_an_actor_that_is_named_again_and_again_is_one_actor():
    provision = a_provision("permit", actors=[HOSPITAL] * 50)
    for _ in range(20):
        provision = a_provision("permit", actors=[HOSPITAL] * 50, inside=[provision])
    assert len(rules(a_consent(provision=provision), KNOWN)) == 21


def test_a_consent_of_too_many_rules_denies():
    def of(number):
        return a_consent(
            provision=a_provision("permit", inside=[a_provision("permit", actors=[HOSPITAL])] * number)
        )

    assert permits(of(MOST_RULES - 1))
    assert not permits(of(MOST_RULES))


def test_a_consent_that_names_too_many_denies():
    actors = [f"ipress-{number:08d}" for number in range(MOST_NAMED)]
    assert permits(a_consent(permit=[*actors[:-1], HOSPITAL]))
    assert not permits(a_consent(permit=[*actors, HOSPITAL]))


# --- what is not understood fails closed ----------------------------------------------------------------------------

UNKNOWN = {
    "class": [{"system": "http://hl7.org/fhir/resource-types"}],
    "code": [{"text": "nerves"}],
    "securityLabel": [{"code": "R"}],
    "securityLabel of another system": [{"system": "urn:example", "code": "R"}],
    "dataPeriod": {"start": "soon"},
    "data": [{"meaning": "somehow", "reference": {"reference": "Observation/1"}}],
    "data without a resource": [{"meaning": "instance", "reference": {"display": "that one"}}],
    "modifierExtension": [{"url": "https://example.org/unknown", "valueBoolean": True}],
    "_type": {"extension": []},
    "somethingNew": True,
}
OF_MEANING = ("modifierExtension", "_type", "somethingNew")
"""What may change the meaning of all the rest; any other dimension counts as one that matches."""


def with_unknown(kind, dimension, **more):
    return a_provision(kind, **more, **{dimension.split()[0]: UNKNOWN[dimension]})


@pytest.mark.parametrize("dimension", UNKNOWN)
def test_a_permit_with_an_unknown_dimension_permits_nothing(dimension):
    assert not permits(a_consent(provision=with_unknown("permit", dimension)))


@pytest.mark.parametrize("dimension", UNKNOWN)
def test_a_deny_with_an_unknown_dimension_matches_always(dimension):
    strange = with_unknown("deny", dimension)
    assert not permits(a_consent(permit=""), a_consent("c2", provision=strange))
    assert not permits(a_consent(provision=a_provision("permit", inside=[strange])))


@pytest.mark.parametrize("dimension", UNKNOWN)
def test_a_deny_with_an_unknown_dimension_still_means_those_whom_it_names(dimension):
    strange = with_unknown("deny", dimension, actors=[INSTITUTE])
    for consents in (
        [a_consent(permit=""), a_consent("c2", provision=strange)],
        [a_consent(provision=a_provision("permit", inside=[strange]))],
    ):
        assert not permits(*consents, asker=INSTITUTE)
        assert permits(*consents) is (dimension not in OF_MEANING)


@pytest.mark.parametrize("dimension", UNKNOWN)
def test_a_denial_inside_of_an_unknown_permit_still_denies(dimension):
    strange = with_unknown("permit", dimension, inside=[a_provision("deny", actors=[HOSPITAL])])
    everybody = a_consent("c2", permit="")
    assert not permits(a_consent(provision=strange), everybody)
    # On the whole Consent, a modifier makes all of it a denial.
    assert permits(a_consent(provision=strange), everybody, asker=INSTITUTE) is (
        dimension != "modifierExtension"
    )


def test_an_exception_inside_of_an_unknown_deny_is_not_honoured():
    strange = a_provision("deny", inside=[a_provision("permit", actors=[HOSPITAL])], code=UNKNOWN["code"])
    assert not permits(a_consent(provision=strange))


def test_an_unknown_modifier_on_the_consent_itself():
    strange = {"modifierExtension": UNKNOWN["modifierExtension"]}
    assert not permits(a_consent(permit=HOSPITAL, **strange))
    assert not permits(a_consent(permit=""), a_consent("c2", deny=INSTITUTE, **strange))
    assert not permits(a_consent(permit=""), a_consent("c2", permit="", deny=INSTITUTE, **strange))


@pytest.mark.parametrize(
    "reference",
    [
        "PractitionerRole/7",
        "CareTeam/7",
        "#contained",
        "urn:uuid:6f1e",
        "https://elsewhere.example/x",
    ],
)
def test_a_deny_whose_actor_cannot_be_resolved_denies_everybody(reference):
    assert not permits(a_consent(permit=""), a_consent("c2", deny=reference))
    assert not permits(
        a_consent(provision=a_provision("permit", inside=[a_provision("deny", actors=[reference])]))
    )


def test_a_denied_person_is_whoever_does_not_say_who_asks():
    denied = [a_consent(permit=""), a_consent("c2", deny="Practitioner/7")]
    assert not permits(*denied)
    for reference, granted in (("Practitioner/7", False), ("Practitioner/8", True), ("", False)):
        user = replace(a_requester(HOSPITAL), user=User("u1", reference=reference))
        assert permits(*denied, asker=user) is granted


def test_a_permitted_person_is_nobody_else():
    for reference, granted in (("Practitioner/7", True), ("Practitioner/8", False), ("", False)):
        user = replace(a_requester(INSTITUTE), user=User("u1", reference=reference))
        assert permits(a_consent(permit="Practitioner/7"), asker=user) is granted


def test_a_role_is_named_by_an_identifier():
    actor = [
        {"role": {}, "reference": {"identifier": {"system": "urn:chasqui:user-role", "value": "physician"}}}
    ]
    for role, granted in (("physician", True), ("nurse", False), ("", False)):
        user = replace(a_requester(HOSPITAL), user=User("u1", role=role))
        assert permits(a_consent(provision=a_provision("permit", actor=actor)), asker=user) is granted
        denied = a_consent("c2", provision=a_provision("deny", actor=actor))
        assert permits(a_consent(permit=""), denied, asker=user) is (role == "nurse")


def test_a_parent_organisation_is_everything_below_it():
    of_network = replace(a_requester(HOSPITAL), within=("red-trujillo", "geresa"))
    assert permits(a_consent(permit="geresa"), asker=of_network)
    assert not permits(a_consent(permit=""), a_consent("c2", deny="red-trujillo"), asker=of_network)
    assert not permits(a_consent(permit="geresa"))


def test_a_team_is_its_members_and_a_lost_team_is_everybody_to_a_deny():
    def members(reference, is_permit):
        return ("Practitioner/7",) if reference == "CareTeam/t" else None

    known = a_lookup(members=members)
    member = replace(a_requester(INSTITUTE), user=User("u1", reference="Practitioner/7"))
    other = replace(a_requester(INSTITUTE), user=User("u2", reference="Practitioner/8"))
    assert permits(a_consent(permit="CareTeam/t"), asker=member, known=known)
    assert not permits(a_consent(permit="CareTeam/t"), asker=other, known=known)
    for team, granted in (("CareTeam/t", True), ("CareTeam/lost", False)):
        told = [a_consent(permit=""), a_consent("c2", deny=team)]
        assert not permits(*told, asker=member, known=known)
        assert permits(*told, asker=other, known=known) is granted


def test_a_permit_whose_actor_cannot_be_resolved_permits_nobody():
    assert not permits(a_consent(permit="Practitioner/7"))
    assert permits(a_consent(permit=["Practitioner/7", HOSPITAL]))
    assert not permits(a_consent(permit=["Practitioner/7", HOSPITAL]), asker=INSTITUTE)


def test_an_actor_by_identifier_alone_is_not_resolved():
    actor = [{"role": {}, "reference": {"identifier": {"value": "00090012"}}}]
    assert not permits(a_consent(provision=a_provision("permit", asker=actor)))
    assert not permits(a_consent(permit=""), a_consent("c2", provision=a_provision("deny", asker=actor)))


def test_a_purpose_of_another_system_is_not_understood():
    purpose = [{"system": "https://example.org/purposes", "code": "TREAT"}]
    assert not permits(a_consent(provision=a_provision("permit", purpose=purpose)))
    assert not permits(a_consent(permit=""), a_consent("c2", provision=a_provision("deny", purpose=purpose)))


@pytest.mark.parametrize(
    "period",
    [
        {"start": "soon"},
        {"end": "2026-13-01"},
        {"start": 2026},
        {"_start": {}},
        {"start": "2026-06-01", "end": "2026-01-01"},
    ],
)
def test_a_period_that_is_not_understood(period):
    assert not permits(a_consent(provision=a_provision("permit", period=period)))
    assert not permits(a_consent(permit=""), a_consent("c2", provision=a_provision("deny", period=period)))


def test_purposes_are_codes_of_act_reason():
    found = rules(a_consent(provision=a_provision("permit", purposes=["TREAT", "PUBHLTH"])), KNOWN)
    assert ACT_REASON.endswith("v3-ActReason")
    assert set(found[0].purposes or ()) == {
        "TREAT",
        "ETREAT",
        "ERTREAT",
        "CAREMGT",
        "COC",
        "PUBHLTH",
        "DISASTER",
        "THREAT",
    }
