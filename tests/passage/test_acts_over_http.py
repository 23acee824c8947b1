"""The acts as clients ask for them: methods, headers and bodies through the door."""

from __future__ import annotations

import json

import pytest

from tests.passage.live_hub import live_hub
from tests.passage.world import entry, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

UNIT = {"resourceType": "Organization", "name": "UNIDAD"}


@pytest.fixture(scope="module")
def live(server):
    with live_hub(server) as hub:
        hub.world.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
        yield hub


@pytest.fixture
def ask(live):
    """A request with the post's token."""
    client = live.clients["posta"]

    def asked(method: str, path: str, body=None, kind: str = "application/fhir+json", **headers):
        token = client.token()
        content = json.dumps(body).encode() if body is not None else None
        told = {"Authorization": f"Bearer {token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if content is not None:
            told["Content-Type"] = kind
        return live.http(method, f"/fhir{path}", content=content, headers=told)

    return asked


def test_both_patches(ask):
    json_patch = [{"op": "replace", "path": "/status", "value": "amended"}]
    said = ask("PATCH", "/Observation/posta-o1", json_patch, "application/json-patch+json", If_Match='W/"1"')
    assert (said.status_code, said.headers["etag"], said.json()["status"]) == (200, 'W/"2"', "amended")
    path_patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Observation.status"}, {"name": "value", "valueCode": "corrected"}]}]}  # fmt: skip
    assert ask("PATCH", "/Observation/posta-o1", path_patch).json()["status"] == "corrected"
    assert (
        ask("PATCH", "/Observation?_id=posta-o1", json_patch, "application/json-patch+json").json()["status"]
        == "amended"
    )
    assert ask("PATCH", "/Observation/posta-o1", json_patch, "application/xml-patch+xml").status_code == 415
    assert (
        ask(
            "PATCH", "/Observation/posta-o1", json_patch, "application/json-patch+json", If_Match='W/"1"'
        ).status_code
        == 412
    )


def test_conditional_update_and_delete(ask):
    body = UNIT | {"identifier": [{"system": "urn:h", "value": "1"}]}
    assert ask("PUT", "/Organization?identifier=urn:h|1", body).status_code == 201
    assert (
        ask("PUT", "/Organization?identifier=urn:h%7C1", body | {"name": "OTRA"}).headers["etag"] == 'W/"2"'
    )
    assert ask("DELETE", "/Organization?identifier=urn:h|1").status_code == 204
    assert ask("DELETE", "/Organization?identifier=urn:h|1").status_code == 204
    assert ask("POST", "/Organization", body, If_None_Exist="identifier=urn:h|1").status_code == 201
    again = ask("POST", "/Organization", body, If_None_Exist="identifier=urn:h|1")
    assert (again.status_code, "/_history/1" in again.headers["location"]) == (200, True)


def test_histories_of_every_level(ask):
    for path in ("/Observation/posta-o1/_history", "/Observation/_history", "/_history?_count=2"):
        said = ask("GET", path)
        assert (said.status_code, said.json()["type"]) == (200, "history")
    assert ask("GET", "/_history?_sort=x").status_code == 400


def test_a_whole_record_is_streamed(ask):
    said = ask("GET", "/Patient/posta-p1/$everything")
    assert (said.status_code, said.json()["type"]) == (200, "searchset")
    assert "content-length" not in said.headers
    assert ask("POST", "/Patient/posta-p1/$everything", {"resourceType": "Parameters"}).status_code == 200
    assert ask("GET", "/Patient/posta-p1/$everything", Accept="application/fhir+xml").text.startswith("<")
    assert ask("GET", "/Patient/posta-p1/$everything?_pretty=true").json()["total"] >= 2


def test_what_changes_something_is_not_asked_for_with_get(ask):
    assert ask("GET", "/Observation/posta-o1/$meta-add").status_code == 405
    assert ask("GET", "/Composition/posta-d1/$document?persist=true").status_code == 405
    meta = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}],
    }
    assert ask("POST", "/Observation/posta-o1/$meta-add", meta).status_code == 200
    assert ask("GET", "/Observation/posta-o1/$meta").json()["parameter"][0]["valueMeta"]["tag"] == [
        {"code": "x"}
    ]


def test_a_bundle_shows_what_is_preferred(ask):
    body = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry("POST", "Organization", dict(UNIT)), entry("GET", "Patient/posta-p1/$everything")],
    }
    plain, full = ask("POST", "", body), ask("POST", "", body, Prefer="return=representation")
    assert ["resource" in each for each in plain.json()["entry"]] == [False, True]
    assert ["resource" in each for each in full.json()["entry"]] == [True, True]
