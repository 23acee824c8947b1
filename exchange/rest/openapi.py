"""The door described for programs and people: OpenAPI from the routes' own table, and one page without scripts.

Spec:    https://spec.openapis.org/oas/v3.1.0
Leaves:  what each type can be searched by to the CapabilityStatement, which says it exactly.

Both are open: they tell what the program can do, as /fhir/metadata does, and nothing of anybody.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from exchange import __version__
from exchange.acts import ACTS, OPERATIONS
from exchange.fhir.definitions import RESOURCE_TYPES
from exchange.rest.body import FHIR_PATH
from exchange.rest.media_type import FHIR_TYPES, FORM, JSON_PATCH
from exchange.rest.rendering import finished
from exchange.rest.routes import ROUTES
from exchange.rest.token import token_url
from exchange.settings import settings

router: Final = APIRouter()

WORDS: Final = {
    "operation": ("An operation", "https://hl7.org/fhir/R4/operations.html"),
    "history-system": ("What changed anywhere", "https://hl7.org/fhir/R4/http.html#history"),
    "search-system": ("Search several types", "https://hl7.org/fhir/R4/http.html#search"),
    "transaction": ("A batch or a transaction", "https://hl7.org/fhir/R4/http.html#transaction"),
    "history-type": ("What changed of a type", "https://hl7.org/fhir/R4/http.html#history"),
    "search-type": ("Search a type", "https://hl7.org/fhir/R4/http.html#search"),
    "read": ("The current version", "https://hl7.org/fhir/R4/http.html#read"),
    "update": ("A new version; without an id, of the one that the query finds", "https://hl7.org/fhir/R4/http.html#update"),
    "patch": ("A change to the current version", "https://hl7.org/fhir/R4/http.html#patch"),
    "delete": ("A deletion", "https://hl7.org/fhir/R4/http.html#delete"),
    "create": ("A new resource", "https://hl7.org/fhir/R4/http.html#create"),
    "vread": ("One version", "https://hl7.org/fhir/R4/http.html#vread"),
    "history-instance": ("What changed of a resource", "https://hl7.org/fhir/R4/http.html#history"),
}  # fmt: skip
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_WORD: Final = re.compile(r"[a-z_]+|\*")
_RESOURCE: Final = {"$ref": "#/components/schemas/Resource"}
_PATTERNS: Final = {
    "resource_id": r"^[A-Za-z0-9\-.]{1,64}$",
    "compartment_id": r"^[A-Za-z0-9\-.]{1,64}$",
    "version_id": r"^[1-9][0-9]{0,8}$",
}
_QUERIED: Final = frozenset(
    {"search-type", "search-system", "history-type", "history-system", "history-instance"}
)
_TOKEN: Final = {
    "grant_type": {"type": "string", "const": "client_credentials"},
    "scope": {"type": "string"},
    "client_assertion_type": {"type": "string"},
    "client_assertion": {"type": "string"},
}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Chasqui: the API</title>
<style>body{{font:16px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}td,th{{border-bottom:1px solid #ccc;padding:.3rem;text-align:left}}</style>
</head><body><h1>Chasqui: the API</h1>
<p>FHIR R4 below <code>{base}</code>, in <code>application/fhir+json</code> and <code>application/fhir+xml</code>.
Each address but this page, <a href="openapi.json">openapi.json</a>, <a href="fhir/metadata">fhir/metadata</a> and the
health checks wants an access token: see <a href="fhir/.well-known/smart-configuration">where to get one</a>.</p>
<table><thead><tr><th>Method</th><th>Address</th><th>What it does</th></tr></thead><tbody>{rows}</tbody></table>
</body></html>
"""


@router.api_route("/openapi.json", methods=["GET", "HEAD"], tags=["open"])
def openapi(request: Request) -> Response:
    """The API's description; open to everybody."""
    return finished(Response(_text(), media_type="application/json"), request.headers)


@router.api_route("/docs", methods=["GET", "HEAD"], tags=["open"])
def docs(request: Request) -> Response:
    """The same for people; open to everybody."""
    page = HTMLResponse(
        _page(), headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    )
    return finished(page, request.headers)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, interaction in ROUTES:
        if interaction != "operation" and interaction not in ACTS:
            continue
        described = _described(method, path, interaction)
        paths.setdefault(FHIR_PATH + path, {})[method.lower()] = described
    paths["/fhir/metadata"] = {"get": _open("The CapabilityStatement")}
    paths["/fhir/.well-known/smart-configuration"] = {"get": _open("Where and how to get a token")}
    paths["/auth/token"] = {"post": _open("An access token for a client assertion") | {
        "requestBody": {"required": True, "content": {FORM: {"schema": {
            "type": "object", "properties": _TOKEN, "required": sorted(_TOKEN)}}}}}}  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Chasqui",
            "version": __version__,
            "description": "FHIR R4 (4.0.1). Search parameters of each type: GET /fhir/metadata.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings().base_url}],
        "security": [{"backend": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"backend": {"type": "oauth2", "flows": {
                "clientCredentials": {"tokenUrl": token_url(), "scopes": {}}}}},
            "schemas": {
                "Resource": {
                    "type": "object",
                    "required": ["resourceType"],
                    "properties": {"resourceType": {"type": "string", "enum": list(RESOURCE_TYPES)}},
                },
            },
        },
    }  # fmt: skip


def _described(method: str, path: str, interaction: str) -> dict[str, Any]:
    summary, link = WORDS[interaction]
    found: dict[str, Any] = {
        "summary": summary,
        "tags": [interaction],
        "externalDocs": {"url": link},
        "operationId": "-".join([interaction, method.lower(), *_WORD.findall(path)]),
        "parameters": [_parameter(name) for name in _PARAMETER.findall(path)],
        "responses": {
            "2XX": {"description": "The answer", "content": _content(_RESOURCE)},
            "4XX": {"description": "An OperationOutcome that says why not", "content": _content(_RESOURCE)},
        },
    }
    if method == "GET":
        names = ["_format", "_pretty"] + (["_count"] if interaction in _QUERIED else [])
        found["parameters"] += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
    if method in ("POST", "PUT", "PATCH"):
        found["requestBody"] = {
            "required": interaction != "operation",
            "content": _taken(path, interaction),
        }
    return found


def _taken(path: str, interaction: str) -> dict[str, Any]:
    if path.endswith("/_search"):
        return {FORM: {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}}
    content = _content(_RESOURCE)
    if interaction == "patch":
        step = {"type": "object", "required": ["op", "path"], "properties": {
            "op": {"type": "string"}, "path": {"type": "string"}, "value": {}}}  # fmt: skip
        content[JSON_PATCH] = {"schema": {"type": "array", "items": step}}
    return content


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    json, xml = FHIR_TYPES
    return {json: {"schema": schema}, xml: {"schema": {"type": "string"}}}


def _parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    match name:
        case "resource_type":
            schema["enum"] = list(RESOURCE_TYPES)
        case "compartment_type":
            schema["enum"] = ["Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"]
        case "operation":
            schema["enum"] = sorted(OPERATIONS)
        case _:
            schema["pattern"] = _PATTERNS[name]
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _open(summary: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "tags": ["open"],
        "security": [],
        "responses": {"2XX": {"description": summary}},
    }


@cache
def _text() -> bytes:
    return msgspec.json.encode(document())


@cache
def _page() -> str:
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(told['summary'])}</td></tr>"
        for path, methods in document()["paths"].items()
        for method, told in methods.items()
    ]
    return _PAGE.format(base=escape(settings().fhir_url), rows="\n".join(rows))
