"""Clients that others wrote, against a served hub with real tokens: what they expect of a FHIR server holds here."""

from __future__ import annotations

import uuid

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException, FHIRUnauthorizedException
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)

from tests.passage.world import patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

SYSTEM = "urn:test:clients"


@pytest.fixture(autouse=True)
def directly(monkeypatch):
    """No proxy between a client and the hub."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def post(live):
    client = live.clients["posta"]
    client.request("PUT", "Patient/posta-p1", body=patient_of(POST, 1)).raise_for_status()
    return client


@pytest.fixture
def mark() -> str:
    """An identifier's value of this test's own."""
    return uuid.uuid4().hex


# --- fhirpy


@pytest.fixture
def fhirpy(live, post) -> SyncFHIRClient:
    return SyncFHIRClient(live.fhir, authorization=f"Bearer {post.token()}")


def unit(mark: str, name: str = "Posta") -> dict:
    return {"name": name, "identifier": [{"system": SYSTEM, "value": mark}], "active": True}


def test_fhirpy_creates_reads_updates_and_deletes(fhirpy, mark):
    made = fhirpy.resource("Organization", **unit(mark)).save()
    assert made.id
    assert made.meta.versionId == "1"
    assert fhirpy.reference("Organization", made.id).to_resource().name == "Posta"
    made["name"] = "Hospital"
    assert made.save().meta.versionId == "2"
    assert fhirpy.get("Organization", made.id)["name"] == "Hospital"
    assert fhirpy.execute(f"Organization/{made.id}/_history", method="get")["total"] == 2
    made.delete()
    with pytest.raises(ResourceNotFound):
        fhirpy.get("Organization", made.id)


def test_fhirpy_searches_counts_and_turns_pages(fhirpy, mark):
    for number in range(7):
        body = an_observation("x", "posta-p1") | {
            "identifier": [{"system": SYSTEM, "value": mark}],
            "valueQuantity": {"value": number},
        }
        fhirpy.resource(
            "Observation",
            **{name: value for name, value in body.items() if name not in ("id", "resourceType")},
        ).save()
    found = fhirpy.resources("Observation").search(identifier=f"{SYSTEM}|{mark}", patient="posta-p1")
    assert len(found.limit(3).fetch()) == 3
    assert sorted(each.valueQuantity.value for each in found.limit(2).sort("_id").fetch_all()) == list(
        range(7)
    )
    assert found.first().resourceType == "Observation"
    with pytest.raises(MultipleResourcesFound):
        found.get()
    # Its count() adds a parameter that is not FHIR's: taken where the caller asks for leniency.
    lenient = SyncFHIRClient(
        fhirpy.url, authorization=fhirpy.authorization, extra_headers={"Prefer": "handling=lenient"}
    )
    assert lenient.resources("Observation").search(identifier=f"{SYSTEM}|{mark}").count() == 7
    with pytest.raises(OperationOutcome):
        found.count()


def test_fhirpy_includes(fhirpy, mark):
    body = an_observation("x", "posta-p1") | {"identifier": [{"system": SYSTEM, "value": mark}]}
    fhirpy.resource(
        "Observation", **{name: value for name, value in body.items() if name not in ("id", "resourceType")}
    ).save()
    observations = (
        fhirpy.resources("Observation")
        .search(identifier=f"{SYSTEM}|{mark}")
        .include("Observation", "subject")
    )
    assert {each.resource.resourceType for each in observations.fetch_raw().entry} >= {
        "Observation",
        "Patient",
    }
    patients = fhirpy.resources("Patient").search(_id="posta-p1").revinclude("Observation", "subject")
    assert {each.resource.resourceType for each in patients.fetch_raw().entry} >= {"Observation", "Patient"}
    assert (
        fhirpy.resources("Patient").has("Observation", "subject", identifier=f"{SYSTEM}|{mark}").get().id
        == "posta-p1"
    )


def test_fhirpy_patches(fhirpy, mark):
    made = fhirpy.resource("Organization", **unit(mark)).save()
    # Its own patch() sends a part of the resource, which R4 does not know, and is told so.
    with pytest.raises(OperationOutcome):
        fhirpy.patch("Organization", made.id, name="x")
    by_json_patch = SyncFHIRClient(
        fhirpy.url,
        authorization=fhirpy.authorization,
        extra_headers={"Content-Type": "application/json-patch+json"},
    )
    changed = by_json_patch.execute(
        f"Organization/{made.id}",
        method="patch",
        data=[{"op": "replace", "path": "/name", "value": "Hospital"}],
    )
    assert (changed.name, changed.meta.versionId) == ("Hospital", "2")


def test_fhirpy_does_things_under_conditions(fhirpy, mark):
    found = fhirpy.resources("Organization").search(identifier=f"{SYSTEM}|{mark}")
    # Criteria in the address of a create are not R4's: they are refused rather than passed over.
    with pytest.raises(OperationOutcome):
        found.get_or_create(fhirpy.resource("Organization", **unit(mark)))
    by_header = SyncFHIRClient(
        fhirpy.url,
        authorization=fhirpy.authorization,
        extra_headers={"If-None-Exist": f"identifier={SYSTEM}|{mark}"},
    )
    made = [
        by_header.execute("Organization", data={"resourceType": "Organization"} | unit(mark))
        for _ in range(2)
    ]
    assert made[0].id == made[1].id
    changed, is_new = found.update(fhirpy.resource("Organization", **unit(mark, "Instituto")))
    assert (changed.id, changed.name, is_new) == (made[0].id, "Instituto", False)
    fresh = fhirpy.resources("Organization").search(identifier=f"{SYSTEM}|{mark}-2")
    assert fresh.update(fhirpy.resource("Organization", **unit(f"{mark}-2")))[1] is True
    assert found.delete()[1] in (200, 204)
    with pytest.raises(ResourceNotFound):
        found.get()


def test_fhirpy_without_a_token_gets_nothing(live):
    with pytest.raises(AuthorizationError):
        SyncFHIRClient(live.fhir, authorization="Bearer x").get("Patient", "posta-p1")


# --- fhirclient, the SMART client: it finds the token endpoint in the CapabilityStatement


@pytest.fixture
def smart(live, post) -> FHIRClient:
    settings = {
        "app_id": "posta",
        "api_base": live.fhir,
        "scope": "system/*.cruds",
        "jwt_token": post.assertion(),
    }
    client = FHIRClient(settings=settings)
    client.wants_patient = False
    assert client.prepare() is False
    client.authorize()
    assert client.ready
    return client


def test_fhirclient_creates_reads_updates_and_deletes(smart):
    body = an_observation("x", "posta-p1")
    body.pop("id")
    told = Observation(body)
    made = told.create(smart.server)
    read = Observation.read(made["id"], smart.server)
    assert read.valueQuantity.value == 118
    read.valueQuantity.value = 120
    assert read.update(smart.server)["meta"]["versionId"] == "2"
    assert Patient.read("posta-p1", smart.server).as_json()["id"] == "posta-p1"
    read.delete(smart.server)
    with pytest.raises(Exception, match="410"):
        Observation.read(made["id"], smart.server)
    with pytest.raises(FHIRNotFoundException):
        Observation.read("no-such-one", smart.server)


def test_fhirclient_searches_with_includes_and_pages(smart, mark):
    for _ in range(5):
        body = an_observation("x", "posta-p1") | {"identifier": [{"system": SYSTEM, "value": mark}]}
        body.pop("id")
        Observation(body).create(smart.server)
    search = Observation.where({"identifier": f"{SYSTEM}|{mark}", "_count": "2"})
    found = [
        each for each in search.perform_resources_iter(smart.server) if each.resource_type == "Observation"
    ]
    assert len({each.id for each in found}) == 5
    assert len(list(search.perform_iter(smart.server))) == 3
    including = Observation.where({"identifier": f"{SYSTEM}|{mark}"}).include("subject")
    kinds = {each.resource_type for each in including.perform_resources_iter(smart.server)}
    assert {"Observation", "Patient"} <= kinds
    reverse = Patient.where({"_id": "posta-p1"}).include("subject", Observation, reverse=True)
    assert {"Observation", "Patient"} <= {
        each.resource_type for each in reverse.perform_resources_iter(smart.server)
    }


def test_fhirclient_posts_a_transaction(smart, mark):
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "POST", "url": "Organization", "ifNoneExist": f"identifier={SYSTEM}|{mark}"}, "resource": {"resourceType": "Organization"} | unit(mark)},
        {"request": {"method": "GET", "url": "Patient/posta-p1"}}]}  # fmt: skip
    said = Bundle(smart.server.post_json("", body).json())
    assert said.type == "transaction-response"
    assert [each.response.status[:3] for each in said.entry] == ["201", "200"]
    assert said.entry[1].resource.id == "posta-p1"


def test_fhirclient_without_a_good_assertion_gets_no_token(live, smart):
    used = FHIRClient(
        settings={
            "app_id": "posta",
            "api_base": live.fhir,
            "scope": "system/*.cruds",
            "jwt_token": smart.server.auth.jwt_token,
        }
    )
    used.wants_patient = False
    used.prepare()
    with pytest.raises(FHIRUnauthorizedException):
        used.authorize()


def test_fhirclient_reads_what_the_hub_can(smart):
    told = smart.server.capabilityStatement
    assert told.fhirVersion == "4.0.1"
    assert {each.type for each in told.rest[0].resource} > {"Patient", "Observation"}
