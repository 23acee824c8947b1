"""Every kind of event that the hub writes is valid R4, and holds to each profile of IHE BALP that it names."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from exchange.acts import ACTS, OPERATIONS
from exchange.fhir.validate import check
from exchange.requester import User
from tests.conformance.balp import PREFIX, failures
from tests.passage import test_every_act_is_an_event as acts
from tests.passage.conftest import shared_hub
from tests.passage.live_hub import live_hub
from tests.passage.world import Caller, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

__all__ = ["shared_hub"]
UNIT = {"resourceType": "Organization", "id": "posta-unit", "name": "UNIDAD"}
PATIENTS = {
    "read": "PatientRead", "vread": "PatientRead", "update": "PatientUpdate", "patch": "PatientUpdate",
    "delete": "PatientDelete", "search-type": "PatientQuery", "create": "Create", "search-system": "Query",
}  # fmt: skip
"""Which profile the examples' events have to name, by interaction."""


@pytest.fixture
def empty(shared_hub):
    return shared_hub.clear()


world = acts.world


def named(event) -> list[str]:
    return [each.removeprefix(PREFIX) for each in event.get("meta", {}).get("profile", ())]


def wrong(event) -> list:
    """What is wrong with an event: of R4, and of each profile that it names."""
    return [
        *check(event, model_check=True),
        *(each for name in named(event) for each in failures(event, name)),
    ]


def of_a_person(caller: Caller) -> Caller:
    user = User("u1", "Rosa Vela", "physician", "Practitioner/posta-m1")
    return Caller(caller.spine, replace(caller.requester, user=user))


@pytest.mark.parametrize("who", ["system", "person"])
@pytest.mark.parametrize("interaction", sorted([*ACTS, "batch"]))
def test_an_interaction(world, interaction, who):
    if who == "person":
        world.post = of_a_person(world.post)
    before = len(world.events())
    assert acts.INTERACTIONS[interaction](world).status < 400
    written = world.events()[before:]
    assert [wrong(each) for each in written] == [[]] * len(written)
    wanted = [PATIENTS[interaction]] if interaction in PATIENTS else []
    wanted += ["OAUTHaccessTokenUse.Minimal"] if who == "person" else []
    if interaction != "batch":  # its entries are acts of their own
        assert [named(each) for each in written] == [wanted]


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_an_operation(world, operation):
    acts.prepare(world, operation)
    before = len(world.events())
    said = acts.OPERATED[operation](world)
    assert said.status < 400, said.text
    for event in world.events()[before:]:
        assert wrong(event) == []
        assert {each["code"] for each in event["subtype"]} >= {"operation", operation}


def test_what_is_of_no_patient_names_its_one_resource(world):
    world.post.store(UNIT)
    world.post.get("Organization/posta-unit")
    world.post.put(UNIT | {"name": "OTRA"})
    world.post.delete("Organization/posta-unit")
    written = world.events()[-4:]
    assert [named(each) for each in written] == [["Update"], ["Read"], ["Update"], ["Delete"]]
    assert [wrong(each) for each in written] == [[]] * 4
    world.post.get("Organization?name=OTRA")
    assert (named(world.events()[-1]), wrong(world.events()[-1])) == (["Query"], [])


def test_a_search_that_shows_one_resource_names_it_beside_its_query(world):
    world.post.get("Observation?patient=posta-p1")
    event = world.events()[-1]
    assert wrong(event) == []
    [data] = [each for each in event["entity"] if each["type"]["code"] == "Observation"]
    assert data["what"] == {"reference": "Observation/posta-o1"}


def test_a_refusal_is_valid_and_claims_no_success(world):
    world.hospital.get("Patient/posta-none")
    world.post.put({"resourceType": "Patient", "id": "posta-bad", "birthDate": "x"})
    world.post.get("AuditEvent")
    world.spine.operate("clients suspend posta", lambda transaction: None)
    events = world.events()[-4:]
    assert [wrong(each) for each in events] == [[]] * 4
    assert [named(each) for each in events] == [[]] * 4
    assert [each["outcome"] for each in events] == ["4", "4", "4", "0"]


def test_links_are_valid(world):
    world.hospital.put(patient_of(HOSPITAL, 1))
    assert [wrong(each) for each in world.events()] == [[]] * len(world.events())


def test_over_http_the_network_address_is_told(server):
    with live_hub(server) as hub:
        hub.world.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
        token = hub.clients["posta"].token()
        known = {"Authorization": f"Bearer {token}", "X-Request-Id": "r-1"}
        assert hub.http("GET", "/fhir/Observation/posta-o1", headers=known).status_code == 200
        hub.http("GET", "/fhir/Observation/posta-o1")
        hub.http("POST", "/auth/token", data={"grant_type": "client_credentials"})
        events = hub.world.events()
    assert [wrong(each) for each in events] == [[]] * len(events)
    read, unknown, unformed = events[-3:]
    assert named(read) == ["PatientRead"]
    assert token not in str(events)
    for event in (read, unknown, unformed):
        assert event["agent"][0]["network"] == {"address": "127.0.0.1", "type": "2"}
    assert "XrequestId" in {each["type"]["code"] for each in read["entity"]}


# --- the tables find what they should


def spoilt(event, change) -> list[str]:
    event = deepcopy(event)
    change(event)
    return failures(event, "PatientRead")


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e["agent"].pop(0), lambda e: e["agent"][0].pop("network"), lambda e: e["agent"][0].pop("who"),
        lambda e: e["agent"].append(e["agent"][0]), lambda e: e["agent"][0]["type"]["coding"][0].update(code="110153"),
        lambda e: e["entity"].append({"type": {"system": e["entity"][0]["type"]["system"], "code": "2"}, "query": "eA=="}),
        lambda e: e["entity"].pop(0), lambda e: e["entity"][0]["what"].update(reference="Group/x"),
        lambda e: e["entity"][1]["role"].update(code="24"), lambda e: e.update(action="E"), lambda e: e.update(outcome="4"),
        lambda e: e["subtype"].clear(), lambda e: e["type"].update(code="x"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_found(world, change):
    world.post.get("Observation/posta-o1")
    event = world.events()[-1]
    assert failures(event, "PatientRead") == []
    assert spoilt(event, change)


def test_a_token_is_told_by_its_id_alone(world):
    of_a_person(world.post).get("Observation/posta-o1")
    event = world.events()[-1]
    event["agent"][2]["policy"] = ["urn:x:token-1"]
    assert failures(event, "OAUTHaccessTokenUse.Minimal") == ["policy"]
