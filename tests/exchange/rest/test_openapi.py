"""The description of the API says what the routes say, and the page for people runs nothing."""

from __future__ import annotations

import json

from exchange.acts import ACTS, OPERATIONS
from exchange.rest.openapi import WORDS, document
from exchange.rest.routes import FHIR_PATH, ROUTES


def test_every_route_that_acts_is_described_once():
    told = {
        (method.upper(), path): described
        for path, methods in document()["paths"].items()
        for method, described in methods.items()
    }
    acting = {
        (method, FHIR_PATH + path)
        for method, path, interaction in ROUTES
        if interaction == "operation" or interaction in ACTS
    }
    assert acting <= set(told)
    assert {interaction for _, _, interaction in ROUTES} == set(WORDS)
    ids = [each["operationId"] for each in told.values() if "operationId" in each]
    assert len(ids) == len(set(ids)) == len(acting)
    for (_, path), each in told.items():
        named = [one["name"] for one in each.get("parameters", ()) if one["in"] == "path"]
        assert all("{" + name + "}" in path for name in named)
        assert path.count("{") == len(named)


def test_what_wants_a_token_says_so():
    for path, methods in document()["paths"].items():
        for told in methods.values():
            assert ("security" in told) == (told["tags"] == ["open"]), path
    assert document()["security"] == [{"backend": []}]


def test_operations_are_those_that_there_are():
    parameters = document()["paths"]["/fhir/${operation}"]["get"]["parameters"]
    assert parameters[0]["schema"]["enum"] == sorted(OPERATIONS)


def test_it_is_served_and_runs_nothing(live):
    told = live.http("GET", "/openapi.json")
    assert told.headers["content-type"] == "application/json"
    served = told.json()
    assert {**served, "servers": [], "components": {}} == json.loads(
        json.dumps({**document(), "servers": [], "components": {}})
    )
    assert served["servers"] == [{"url": live.url}]
    page = live.http("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "://" not in page.text.replace(live.url, "")
