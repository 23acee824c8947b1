"""The hub of these tests, and small code systems and value sets in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.passage.conftest import empty, shared_hub

__all__ = ["empty", "shared_hub"]

COLOURS = "urn:test:colours"


def a_code_system(url: str = COLOURS, resource_id: str = "posta-colours", **more: Any) -> dict[str, Any]:
    """Warm and cold colours, one of them out of use, one known by two parents."""
    return {
        "resourceType": "CodeSystem", "id": resource_id, "url": url, "version": "2", "status": "active",
        "content": "complete", "name": "Colours",
        "concept": [
            {"code": "warm", "display": "Cálido", "property": [{"code": "notSelectable", "valueBoolean": True}],
             "concept": [
                {"code": "red", "display": "Rojo vivo", "property": [{"code": "hex", "valueString": "f00"}],
                 "designation": [{"language": "en", "value": "Red"}],
                 "concept": [{"code": "crimson", "display": "Carmesí"}]},
                {"code": "ochre", "display": "Ocre", "property": [{"code": "status", "valueCode": "retired"}]}]},
            {"code": "cold", "display": "Frío", "concept": [{"code": "blue", "display": "Azul"}]},
            {"code": "purple", "display": "Morado", "property": [
                {"code": "parent", "valueCode": "red"}, {"code": "parent", "valueCode": "blue"}]},
        ],
    } | more  # fmt: skip


def a_value_set(
    resource_id: str, include: list[dict], exclude: list[dict] = (), **more: Any
) -> dict[str, Any]:
    """A value set of the tests, by the URL urn:test:[id]."""
    compose: dict[str, Any] = {"include": include}
    if exclude:
        compose["exclude"] = list(exclude)
    return {
        "resourceType": "ValueSet", "id": f"posta-{resource_id}", "url": f"urn:test:{resource_id}", "status": "active",
        "compose": compose,
    } | more  # fmt: skip


@pytest.fixture
def world(empty):
    """A hub that knows the colours, and no catalogue."""
    with empty.sql() as cursor:
        for table in ("code_system_catalogue", "code_system_concept", "canonical_resource"):
            cursor.execute(f"DELETE FROM {table}")
    empty.post.store(a_code_system())
    return empty
