"""The CapabilityStatement says what the hub does, and the hub does what it says."""

from __future__ import annotations

import json

import pytest

from exchange.acts import ACTS, OPERATIONS
from exchange.fhir.definitions import RESOURCE_TYPES, search_parameters
from exchange.fhir.validate import check
from exchange.interactions.capabilities import DEFINED, UNSERVED, capability_statement
from tests.exchange.rest.conftest import live

__all__ = ["live"]


@pytest.fixture(scope="module")
def told(live) -> dict:
    answer = live.http("GET", "/fhir/metadata")
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture(scope="module")
def by_type(told) -> dict:
    return {each["type"]: each for each in told["rest"][0]["resource"]}


def test_it_is_valid_and_names_every_type(told, by_type):
    assert check(told) == []
    assert set(by_type) == set(RESOURCE_TYPES) - UNSERVED
    assert told["format"][:2] == ["application/fhir+json", "application/fhir+xml"]
    assert "application/json-patch+json" in told["patchFormat"]


def test_it_names_what_is_registered_and_no_more(told, by_type):
    assert {each["code"] for each in told["rest"][0]["interaction"]} == {
        "transaction",
        "batch",
        "history-system",
        "search-system",
    } & {*ACTS, "batch"}
    assert {each["code"] for each in by_type["Patient"]["interaction"]} == {*ACTS} - {
        "transaction",
        "history-system",
        "search-system",
    }
    assert {each["code"] for each in by_type["AuditEvent"]["interaction"]} == {"read", "search-type"}
    assert "patch" not in {each["code"] for each in by_type["Binary"]["interaction"]}
    less = json.loads(capability_statement(["read"], []))["rest"][0]
    assert less["interaction"] == []
    assert less["resource"][0]["interaction"] == [{"code": "read"}]
    assert not less["resource"][0]["updateCreate"]
    assert "operation" not in less["resource"][0]


def test_every_operation_has_its_definition(told, by_type):
    assert set(OPERATIONS) <= set(DEFINED)
    named = {
        each["name"] for one in [told["rest"][0], *by_type.values()] for each in one.get("operation", ())
    }
    assert named == set(OPERATIONS)
    assert {each["definition"] for each in by_type["Patient"]["operation"]} >= {
        "http://hl7.org/fhir/OperationDefinition/Patient-everything"
    }


def test_an_operation_is_there_where_it_is_named(live, by_type):
    """Whatever else it lacks, it is not refused for its address."""
    client = live.clients["posta"]
    for name in (
        "Patient",
        "Observation",
        "ValueSet",
        "CodeSystem",
        "ConceptMap",
        "Composition",
        "DocumentReference",
        "Encounter",
    ):
        for operation in by_type[name].get("operation", ()):
            told = []
            for place in (name, f"{name}/posta-x1", f"{name}/posta-x1/_history/1"):
                for method in ("GET", "POST"):
                    answer = client.request(
                        method, f"{place}/${operation['name']}", body=b"" if method == "POST" else None
                    )
                    assert answer.status_code < 500
                    told.append("is asked of" in answer.text or "no such operation" in answer.text)
            assert not all(told), (name, operation)


def test_every_search_parameter_is_taken_and_every_include(live, by_type):
    client = live.clients["posta"]
    for name in ("Patient", "Observation", "Location", "Medication", "Bundle", "AuditEvent"):
        one = by_type[name]
        known = {each["name"] for each in one["searchParam"]}
        assert known == {each.name for each in search_parameters(name).values()}
        for each in known - {"near", "_query"}:
            answer = client.request("GET", f"{name}?{each}:missing=true&_summary=count")
            assert (
                answer.status_code in (200, 403) or "modifier" in answer.text or "too many" in answer.text
            ), (name, each, answer.text)
        assert "_nothing" not in known
        for each in one["searchInclude"][:30]:
            assert client.request("GET", f"{name}?_id=x&_include={each}").status_code in (200, 403), each
        for each in one["searchRevInclude"][:30]:
            assert client.request("GET", f"{name}?_id=x&_revinclude={each}").status_code in (200, 403), each


def test_each_compartment_is_searched(live, told):
    client = live.clients["posta"]
    for canonical in told["rest"][0]["compartment"]:
        kind = canonical.rpartition("/")[2]
        assert client.request("GET", f"{kind[0].upper()}{kind[1:]}/posta-x1/Observation").status_code == 200
