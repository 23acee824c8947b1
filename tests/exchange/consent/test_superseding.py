"""A newer Consent of the same authorisation silences an older one, in whatever order they arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.consent.superseding import Told, superseded
from tests.sample.consent import a_consent, a_provision
from tests.sample.judging import NOW

HERE, THERE = (1, 10), (1, 11)
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"


def signed(consent_id, day, **more):
    return a_consent(consent_id, **({"permit": ""} | more), dateTime=day)


def silent(*consents, places=None):
    told = [Told(place, each) for each, place in zip(consents, places or [HERE] * len(consents), strict=True)]
    return {consent_id for _, consent_id in superseded(told, NOW)}


def of_action(*codes):
    return a_provision("permit", action=[{"coding": [{"system": ACTION, "code": each}]} for each in codes])


def test_the_newest_speaks():
    assert silent(signed("a", "2026-01-01"), signed("b", "2026-02-01"), signed("c", "2026-03-01")) == {
        "a",
        "b",
    }


@given(st.permutations(["2026-01-01", "2026-02-01", "2026-02-01T10:00:00-05:00", "2026-03-01"]))
def test_the_order_of_arrival_is_of_no_consequence(days):
    consents = [signed(day[:13].replace(":", "-"), day) for day in days]
    assert "2026-03-01" not in silent(*consents)
    assert len(silent(*consents)) == 3


def test_the_same_instant_leaves_both():
    assert silent(signed("a", "2026-01-01"), signed("b", "2026-01-01", permit=None, deny="")) == set()


def test_opting_out_and_in_answer_one_question():
    out = signed("a", "2026-01-01", permit=None, deny="")
    out["policyRule"]["coding"][0]["code"] = "OPTOUT"
    assert silent(out, signed("b", "2026-02-01")) == {"a"}


def test_another_facility_or_record_silences_nobody():
    told = [signed("a", "2026-01-01"), signed("b", "2026-02-01")]
    assert silent(*told, places=[HERE, THERE]) == set()
    assert silent(*told, places=[HERE, (2, 10)]) == set()


@pytest.mark.parametrize(
    "more",
    [
        {"category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}]},
        {"policy": [{"uri": "urn:chasqui:form:035|2"}]},
        {"status": "inactive"},
        {"scope": {"coding": [{"code": "research"}]}},
    ],
)
def test_another_subject_or_one_that_does_not_speak_silences_nobody(more):
    assert silent(signed("a", "2026-01-01"), signed("b", "2026-02-01", **more)) == set()


def test_another_version_of_the_form_is_the_same_form():
    one = {"policy": [{"uri": "urn:chasqui:form:035|1"}]}
    other = {"policy": [{"uri": "urn:chasqui:form:035|2"}]}
    assert silent(signed("a", "2026-01-01", **one), signed("b", "2026-02-01", **other)) == {"a"}


def test_access_and_sending_are_two_authorisations():
    access = signed("a", "2026-01-01", provision=of_action("access", "use"))
    sending = signed("b", "2026-02-01", provision=of_action("disclose"))
    assert silent(access, sending) == set()
    assert silent(access, signed("c", "2026-03-01", provision=of_action("access"))) == {"a"}


@pytest.mark.parametrize("day", ["", "soon", "2099-01-01", None])
def test_without_a_date_that_has_been_nobody_silences_or_is_silenced(day):
    undated = signed("a", day)
    if day is None:
        del undated["dateTime"]
    assert silent(undated, signed("b", "2026-02-01")) == set()
    assert silent(undated, signed("b", "2020-02-01")) == set()
