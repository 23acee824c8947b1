"""The short way of a request: to the act that the routes name, or on to FastAPI."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from exchange.rest.dispatch import Application, Dispatch
from exchange.rest.routes import ROUTES, fhir_routes

DISPATCH = Dispatch(fhir_routes())
NAMES = {"resource_type": "Patient", "resource_id": "p1", "version_id": "2", "operation": "everything",
         "compartment_type": "Patient", "compartment_id": "p1"}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "interaction"), ROUTES)
def test_it_finds_what_the_routes_find(method, path, interaction):
    place = "/fhir" + path.format(**NAMES)
    [first, *_] = [
        route for route in fhir_routes() if method in route.methods and route.path_regex.match(place)
    ]
    assert first.name == f"{interaction} {method}"
    _, named = DISPATCH.find(method, place)
    assert named == first.path_regex.match(place).groupdict()


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/fhir/metadata", "/fhir/.well-known/smart-configuration", "/fhir/Patient/", "/fhir//p1",
     "/fhir/Patient/p1/_history/1/2/3", "/fhirx/Patient/p1", "/health/live"],
)  # fmt: skip
def test_anything_else_goes_on(path):
    assert DISPATCH.find("GET", path) is None


def test_a_method_that_an_address_does_not_take_goes_on():
    assert DISPATCH.find("DELETE", "/fhir") is None


@pytest.mark.parametrize(("raised", "sent"), [(ClientDisconnect(), 0), (RuntimeError("a name"), 2)])
def test_a_caller_who_left_is_no_defect_and_a_defect_tells_nothing(raised, sent):
    async def endpoint(_request):
        raise raised

    app = Application()
    app.dispatch = Dispatch([])
    app.dispatch.find = lambda _method, _path: (endpoint, {})
    app.on_defect = lambda _request, _defect: Response(b"failed", 500)
    messages = []

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": "/fhir/Patient/p1", "headers": []}
    asyncio.run(app(scope, None, send))
    assert len(messages) == sent
    assert "a name" not in str(messages)
