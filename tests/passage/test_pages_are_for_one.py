"""A page token opens for whoever asked, and for nobody else; what is decided meanwhile counts on the next page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.policy import adopted
from exchange.requester import User
from tests.passage.conftest import shared_hub
from tests.passage.world import Caller, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

__all__ = ["shared_hub"]

ASKED = [
    "Observation?patient=posta-p1&_count=2",
    "Observation/_history?_count=2",
    "Patient/posta-p1/$everything?_count=2",
]


@pytest.fixture
def world(shared_hub):
    made = shared_hub.clear()
    made.post.store(
        patient_of(POST, 1), a_consent("posta-c1", "posta-p1", permit=""),
        *(an_observation(f"posta-o{number}", "posta-p1") for number in range(6)),
    )  # fmt: skip
    return made


OTHERS = {
    "another system": {"client_id": "other"},
    "another facility": {"organization_id": INSTITUTE},
    "another person": {"user": User("u2")},
    "no person": {"user": None},
    "another purpose": {"purpose_of_use": "ETREAT"},
}


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("asked", ASKED)
def test_a_page_opens_for_nobody_else(world, asked, who):
    asker = replace(world.hospital.requester, user=User("u1"))
    first = Caller(world.spine, asker).get(asked)
    assert first.next
    assert Caller(world.spine, asker).get(first.next).status == 200
    stranger = Caller(world.spine, replace(asker, **OTHERS[who]))
    assert stranger.get(asked).status == 200
    assert stranger.get(first.next).status == 400


@pytest.mark.parametrize("asked", ASKED)
def test_a_page_ends_with_the_policy_that_decided_it(world, asked, monkeypatch):
    first = world.hospital.get(asked)
    chosen = adopted.policy().model_copy()
    chosen._digest = "0" * 64
    for place in ("exchange.interactions.page_binding.policy",):
        monkeypatch.setattr(place, lambda: chosen)
    assert world.hospital.get(first.next).status == 400
    assert world.hospital.get(asked).next


@pytest.mark.parametrize("asked", ASKED)
def test_a_consent_withdrawn_between_pages_counts_on_the_next(world, asked):
    first = world.hospital.get(asked)
    assert b"posta-" in first.text
    world.post.store(a_consent("posta-c1", "posta-p1", permit="", status="inactive"))
    said = world.hospital.get(first.next)
    assert said.status in (200, 404)
    assert b'"resourceType":"Observation"' not in said.text


@pytest.mark.parametrize("asked", ASKED)
def test_a_label_given_between_pages_counts_on_the_next(world, asked):
    first = world.hospital.get(asked)
    label = {
        "meta": {
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
        }
    }
    world.post.store(*(an_observation(f"posta-o{number}", "posta-p1") | label for number in range(6)))
    assert b'"resourceType":"Observation"' not in world.hospital.get(first.next).text
    assert HOSPITAL in world.hospital.requester.organization_id
