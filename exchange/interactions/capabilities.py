"""capabilities: what this hub does, generated from what is registered.

Spec:    https://hl7.org/fhir/R4/http.html#capabilities, https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from functools import cache
from typing import Any

from exchange import __version__
from exchange.fhir.definitions import RESOURCE_TYPES, search_parameters
from exchange.fhir.resource import dump
from exchange.search.grammar import MODIFIERS
from exchange.settings import settings

RELEASED = "2026-11-22"


@cache
def capability_statement() -> bytes:
    """The CapabilityStatement's text."""
    url = settings().base_url
    statement: dict[str, Any] = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": RELEASED,
        "kind": "instance",
        "software": {"name": "Chasqui", "version": __version__},
        "implementation": {"description": "Regional health-record exchange", "url": settings().fhir_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "description": "SMART Backend Services: private_key_jwt with ES384 or RS384.",
                    "service": [{"coding": [{
                        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                        "code": "SMART-on-FHIR"}]}],
                    "extension": [{
                        "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                        "extension": [{"url": "token", "valueUri": f"{url}/auth/token"}]}],
                },
                "resource": [_resource(name) for name in sorted(RESOURCE_TYPES) if name not in ("Bundle", "Parameters")],
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
            }
        ],
    }  # fmt: skip
    return dump(statement)


def _resource(name: str) -> dict[str, Any]:
    known = [each for each in search_parameters(name).values() if each.kind in MODIFIERS]
    codes: tuple[str, ...] = (
        "read",
        "vread",
        "update",
        "delete",
        "history-instance",
        "create",
        "search-type",
    )
    if name == "AuditEvent":
        codes = ("read", "search-type")
    found: dict[str, Any] = {
        "type": name,
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "searchParam": [
            {"name": each.name, "definition": each.url, "type": each.kind}
            for each in sorted(known, key=lambda each: each.name)
        ],
    }
    if name == "Patient":
        found["operation"] = [
            {"name": "everything", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything"}
        ]
    return found
