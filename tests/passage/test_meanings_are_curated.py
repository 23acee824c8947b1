"""What decides everybody's searches and checks is written by those alone whose registration names it."""

from __future__ import annotations

import pytest

from exchange.authentication.registration import Client
from exchange.requester import CURATED_TYPES, parse_scopes
from tests.passage.world import a_world
from tests.sample.requester import POST

CODE_SYSTEM = {
    "resourceType": "CodeSystem",
    "id": "posta-cs",
    "url": "http://loinc.org",
    "status": "active",
    "content": "complete",
}


@pytest.fixture
def world(server):
    with a_world(server) as made:
        yield made


def test_a_scope_on_everything_does_not_write_meanings(world):
    clinic = world.of(POST, "system/*.cruds")
    said = clinic.put(CODE_SYSTEM)
    assert said.status == 403
    entry = {"resource": CODE_SYSTEM, "request": {"method": "PUT", "url": "CodeSystem/posta-cs"}}
    assert clinic.bundle("transaction", [entry]).status == 403
    assert b'"403"' in clinic.bundle("batch", [entry]).text
    assert clinic.get("CodeSystem?url=http://loinc.org").matches == []
    assert any("CodeSystem" in str(event) and event["outcome"] == "4" for event in world.events())


def test_one_that_names_them_does_and_everybody_reads_them(world):
    curator = world.of(POST, "system/CodeSystem.crud")
    assert curator.put(CODE_SYSTEM).status == 201
    assert world.of(POST, "system/*.cruds").get("CodeSystem/posta-cs").status == 200
    assert curator.delete("CodeSystem/posta-cs").status == 204


@pytest.mark.parametrize("curated", sorted(CURATED_TYPES))
def test_a_token_cannot_name_more_than_the_registration(curated):
    clinic = Client("c", "c", POST, "system", parse_scopes("system/*.cruds") or (), ("TREAT",), "c-", {})
    curator = Client(
        "c", "c", POST, "system", parse_scopes(f"system/*.rs system/{curated}.cu") or (), ("TREAT",), "c-", {}
    )
    for letters, asked in (("c", False), ("u", False), ("d", False), ("rs", True)):
        [scope] = parse_scopes(f"system/{curated}.{letters}") or ()
        assert clinic.allows(scope) is asked
    [scope] = parse_scopes(f"system/{curated}.cu") or ()
    assert curator.allows(scope)
    [scope] = parse_scopes("system/*.cu") or ()
    assert not curator.allows(scope)
