"""Rules are derived from Consents; they change with everything that they were derived from."""

from __future__ import annotations

import pytest

from tests.passage.conftest import shared_hub
from tests.passage.world import patient_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

__all__ = ["shared_hub"]


@pytest.fixture
def world(shared_hub):
    made = shared_hub.clear()
    made.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    return made


def sees(world, resource="posta-o1") -> bool:
    said = world.hospital.get(f"Observation/{resource}")
    found = world.hospital.get(f"Observation?_id={resource}")
    assert (said.status == 200) is bool(found.ids)
    return said.status == 200


def test_a_newer_consent_silences_the_older_one_and_its_end_gives_the_voice_back(world):
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL, dateTime="2026-01-01"))
    assert sees(world)
    newer = a_consent("posta-c2", "posta-p1", deny=HOSPITAL, dateTime="2026-02-01")
    world.post.store(newer)
    assert not sees(world)
    world.post.store(a_consent("posta-c3", "posta-p1", permit=HOSPITAL, dateTime="2026-03-01"))
    assert sees(world)
    # The newest is withdrawn: the one before it speaks again.
    world.post.store(
        a_consent("posta-c3", "posta-p1", permit=HOSPITAL, dateTime="2026-03-01", status="inactive")
    )
    assert not sees(world)
    world.post.delete("Consent/posta-c2")
    assert sees(world)


def test_an_older_consent_that_arrives_late_says_nothing(world):
    world.post.store(a_consent("posta-c2", "posta-p1", deny=HOSPITAL, dateTime="2026-02-01"))
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL, dateTime="2026-01-01"))
    assert not sees(world)


def test_a_linked_record_hears_the_consents_of_the_others_and_a_parted_one_no_more(world):
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    world.institute.store(patient_of(INSTITUTE, 1), an_observation("instituto-o1", "instituto-p1"))
    assert sees(world, "instituto-o1")
    # The institute finds that it is somebody else.
    world.institute.store(patient_of(INSTITUTE, 2) | {"id": "instituto-p1"})
    assert not sees(world, "instituto-o1")
    assert sees(world)
    world.institute.store(patient_of(INSTITUTE, 1))
    assert sees(world, "instituto-o1")


def test_a_denial_reaches_a_record_that_is_linked_later(world):
    world.institute.store(patient_of(INSTITUTE, 1), an_observation("instituto-o1", "instituto-p1"))
    world.institute.store(a_consent("instituto-c1", "instituto-p1", permit=HOSPITAL))
    assert sees(world)
    world.institute.store(patient_of(INSTITUTE, 2) | {"id": "instituto-p1"})
    world.post.store(a_consent("posta-c1", "posta-p1", deny=HOSPITAL))
    assert sees(world, "instituto-o1")
    world.institute.store(patient_of(INSTITUTE, 1))
    assert not sees(world, "instituto-o1")


def test_a_team_s_consent_follows_the_team(world):
    def team(*members):
        return {
            "resourceType": "CareTeam", "id": "posta-t1", "status": "active", "subject": {"reference": "Patient/posta-p1"},
            "participant": [{"member": {"reference": each}} for each in members],
        }  # fmt: skip

    world.post.store(a_consent("posta-c1", "posta-p1", permit="CareTeam/posta-t1"))
    assert not sees(world)
    world.post.store(team(f"Organization/{HOSPITAL}"))
    assert sees(world)
    world.post.store(team(f"Organization/{INSTITUTE}"))
    assert not sees(world)
    world.post.store(team(f"Organization/{HOSPITAL}"))
    assert sees(world)
    world.post.delete("CareTeam/posta-t1")
    assert not sees(world)


def test_another_facility_s_team_lets_nobody_in(world):
    team = {
        "resourceType": "CareTeam", "id": "hospital-t1", "status": "active",
        "participant": [{"member": {"reference": f"Organization/{HOSPITAL}"}}],
    }  # fmt: skip
    world.hospital.store(team)
    world.post.store(a_consent("posta-c1", "posta-p1", permit="CareTeam/hospital-t1"))
    assert not sees(world)


def test_a_denial_about_an_episode_reaches_what_arrives_late(world):
    episode = {
        "resourceType": "Encounter", "id": "posta-e1", "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": "Patient/posta-p1"},
    }  # fmt: skip
    related = [{"meaning": "related", "reference": {"reference": "Encounter/posta-e1"}}]
    world.post.store(episode)
    inside = [a_provision("deny", data=related)]
    world.post.store(a_consent("posta-c1", "posta-p1", provision=a_provision("permit", inside=inside)))
    assert sees(world)
    assert world.hospital.get("Encounter/posta-e1").status == 404
    late = an_observation("posta-o2", "posta-p1", encounter={"reference": "Encounter/posta-e1"})
    world.post.store(late)
    assert not sees(world, "posta-o2")
    # What the episode points to belongs to it as well, once it does.
    world.post.store(episode | {"reasonReference": [{"reference": "Observation/posta-o1"}]})
    assert not sees(world)


def test_rules_of_another_policy_are_derived_anew(world):
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    with world.sql() as cursor:
        cursor.execute("UPDATE consent_dependency SET reference = reference + 1")
        cursor.execute("DELETE FROM consent_rule")
    assert not sees(world)
    assert not world.spine.derive_consents()
    assert sees(world)
    with world.sql() as cursor:
        cursor.execute("DELETE FROM consent_rule")
    assert not world.spine.derive_consents()
    assert not sees(world)  # nothing says that these came from another policy


@pytest.mark.parametrize("leaves", ["the record that the consent was filed in", "the other one"])
def test_a_record_that_is_parted_no_longer_opens_by_the_other_s_consent(empty, leaves):
    empty.post.store(patient_of(POST, 1))
    empty.institute.store(patient_of(INSTITUTE, 1), an_observation("instituto-o1", "instituto-p1"))
    empty.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert empty.hospital.get("Observation/instituto-o1").status == 200
    if leaves == "the other one":
        empty.institute.store(patient_of(INSTITUTE, 1, dni="40000099"))
    else:
        empty.post.store(patient_of(POST, 1, dni="40000099"))
    assert empty.hospital.get("Observation/instituto-o1").status == 404
    assert empty.hospital.get("Patient/posta-p1").status == 200
