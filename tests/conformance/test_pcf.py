"""IHE Privacy Consent on FHIR (PCF 1.1): Consents of its three depths are taken, held, and found by its parameters.

Composed here after the profile's rules; the guide's own examples are not part of this repository.
"""

from __future__ import annotations

import pytest

from tests.passage.conftest import shared_hub
from tests.passage.world import patient_of
from tests.sample.consent import an_actor
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

__all__ = ["shared_hub"]

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
HIV = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]}


@pytest.fixture
def world(shared_hub):
    made = shared_hub.clear()
    made.post.store(
        patient_of(POST, 1),
        an_observation("posta-old", "posta-p1", effective="2019-05-01"),
        an_observation("posta-new", "posta-p1", effective="2026-05-01"),
        {
            "resourceType": "Condition",
            "id": "posta-hiv",
            "code": HIV,
            "subject": {"reference": "Patient/posta-p1"},
        },
    )
    return made


def a_pcf_consent(provision, **more):
    """What every PCF Consent has; `provision` is what the depth adds."""
    return {
        "resourceType": "Consent", "id": "posta-c1", "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [
            {"coding": [{"system": "http://loinc.org", "code": "59284-0"}]},
            {"coding": [{"system": ACT_CODE, "code": "INFA"}]},
        ],
        "patient": {"reference": "Patient/posta-p1"}, "dateTime": "2026-01-15T10:00:00-05:00",
        "performer": [{"reference": "Patient/posta-p1"}], "organization": [{"reference": f"Organization/{POST}"}],
        "sourceReference": {"reference": "DocumentReference/posta-form"},
        "policy": [{"uri": "urn:chasqui:form:FMT_035|1"}], "provision": provision,
    } | more  # fmt: skip


def held(caller) -> set[str]:
    found = caller.get("Observation?patient=posta-p1").ids + caller.get("Condition?patient=posta-p1").ids
    return {each.removeprefix("posta-") for each in found}


def test_a_basic_consent_permits_or_denies_as_a_whole(world):
    world.post.store(a_pcf_consent({"type": "permit"}))
    assert held(world.hospital) == held(world.institute) == {"old", "new"}
    world.post.store(a_pcf_consent({"type": "deny"}))
    assert held(world.hospital) == set()


def test_a_basic_consent_ends_by_its_period(world):
    world.post.store(
        a_pcf_consent({"type": "permit", "period": {"start": "2020-01-01", "end": "2020-12-31"}})
    )
    assert held(world.hospital) == set()


def test_an_intermediate_consent_names_actors_purposes_times_and_resources(world):
    provision = {
        "type": "deny",
        "provision": [
            {
                "type": "permit", "actor": [an_actor(HOSPITAL)], "purpose": [{"system": ACT_REASON, "code": "TREAT"}],
                "dataPeriod": {"start": "2025-01-01"},
            },
            {
                "type": "permit", "actor": [an_actor(INSTITUTE)],
                "data": [{"meaning": "instance", "reference": {"reference": "Observation/posta-old"}}],
            },
        ],
    }  # fmt: skip
    world.post.store(a_pcf_consent(provision))
    assert held(world.hospital) == {"new"}
    assert held(world.institute) == {"old"}
    assert held(world.of(HOSPITAL, purpose="HRESCH")) == set()


def test_an_advanced_consent_names_labels(world):
    label = [{"system": CONFIDENTIALITY, "code": "R"}]
    provision = {
        "type": "permit",
        "provision": [
            {"type": "deny", "actor": [an_actor(INSTITUTE)], "securityLabel": label},
            {
                "type": "permit",
                "actor": [an_actor(HOSPITAL)],
                "securityLabel": [{"system": ACT_CODE, "code": "HIV"}],
            },
        ],
    }
    world.post.store(a_pcf_consent(provision))
    assert held(world.institute) == {"old", "new"}
    assert held(world.hospital) == {"old", "new", "hiv"}


def test_an_action_says_which_of_the_two_authorisations(world):
    def of(*codes):
        return [{"coding": [{"system": ACTION, "code": each}]} for each in codes]

    world.post.store(a_pcf_consent({"type": "permit", "action": of("access", "use")}))
    assert held(world.hospital) == set()
    world.post.store(a_pcf_consent({"type": "permit", "action": of("access", "use", "disclose")}))
    assert held(world.hospital) == {"old", "new"}


@pytest.mark.parametrize(
    "question",
    [
        "_id=posta-c1",
        "patient=Patient/posta-p1",
        "patient=posta-p1&status=active",
        "patient=posta-p1&status=active&category=http://loinc.org|59284-0",
        "patient=posta-p1&date=ge2026-01-01",
        "patient=posta-p1&date=sa2025-12-31&date=lt2026-02-01",
        f"actor=Organization/{HOSPITAL}",
        "patient.identifier=40000001",
        "purpose=TREAT&patient=posta-p1",
        "action=access&patient=posta-p1",
        "security-label=R&patient=posta-p1",
        "scope=patient-privacy&patient=posta-p1",
        f"organization=Organization/{POST}&patient=posta-p1",
        "source-reference=DocumentReference/posta-form&patient=posta-p1",
        "period=2026&patient=posta-p1",
        "data=Observation/posta-old&patient=posta-p1",
        "consentor=Patient/posta-p1",
    ],
)
def test_a_consent_is_found_by_the_profile_s_parameters(world, question):
    provision = {
        "type": "permit", "period": {"start": "2026-01-01", "end": "2026-12-31"}, "actor": [an_actor(HOSPITAL)],
        "action": [{"coding": [{"system": ACTION, "code": "access"}]}], "purpose": [{"system": ACT_REASON, "code": "TREAT"}],
        "securityLabel": [{"system": CONFIDENTIALITY, "code": "R"}],
        "data": [{"meaning": "instance", "reference": {"reference": "Observation/posta-old"}}],
    }  # fmt: skip
    world.post.store(a_pcf_consent(provision))
    assert world.post.get(f"Consent?{question}").ids == ["posta-c1"]
