"""capabilities: what this hub does, generated from what is registered.

Spec:    https://hl7.org/fhir/R4/http.html#capabilities, https://hl7.org/fhir/R4/capabilitystatement.html
Leaves:  what is registered to perform, which tells it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from exchange import __version__
from exchange.fhir.definitions import RESOURCE_TYPES
from exchange.fhir.resource import dump
from exchange.interactions.search import COMPARTMENTS
from exchange.search.grammar import MODIFIERS
from exchange.search.parameter import custom_parameters, known_parameters
from exchange.settings import settings

RELEASED: Final = "2026-11-22"
FORMATS: Final = ("application/fhir+json", "application/fhir+xml", "json", "xml")
PATCHES: Final = ("application/json-patch+json", "application/fhir+json", "application/fhir+xml")
UNSERVED: Final = frozenset({"Parameters"})
"""A type without an address of its own: it is what operations take and give."""

ON_TYPES: Final = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
ON_SYSTEM: Final = ("transaction", "batch", "search-system", "history-system")
READ_ALONE: Final = frozenset({"read", "search-type"})
WHOLE: Final = frozenset({"Binary"})
"""A type that is replaced and never patched."""
OVER_ALL: Final = ("_id", "_lastUpdated", "_profile", "_security", "_source", "_tag")

_OFFICIAL: Final = "http://hl7.org/fhir/OperationDefinition/"
_BULK: Final = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
_BACKPORT: Final = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-"
DEFINED: Final[dict[str, dict[str, str]]] = {
    "access-log": {"Patient": "urn:chasqui:operation:access-log"},
    "access-signals": {"AuditEvent": "urn:chasqui:operation:access-signals"},
    "access-statistics": {"AuditEvent": "urn:chasqui:operation:access-statistics"},
    "accesses": {"AuditEvent": "urn:chasqui:operation:accesses"},
    "adapter-states": {"Device": "urn:chasqui:operation:adapter-states"},
    "close-emergency": {"": "urn:chasqui:operation:close-emergency"},
    "file": {"Consent": "urn:chasqui:operation:file"},
    "revoke": {"Consent": "urn:chasqui:operation:revoke"},
    "determine-sensitivity": {"Encounter": "urn:chasqui:operation:determine-sensitivity"},
    "disclosure": {"AuditEvent": "urn:chasqui:operation:disclosure"},
    "docref": {"DocumentReference": "http://hl7.org/fhir/uv/ipa/OperationDefinition/docref"},
    "document": {"Composition": f"{_OFFICIAL}Composition-document"},
    "emergency-cases": {"": "urn:chasqui:operation:emergency-cases"},
    "events": {"Subscription": f"{_BACKPORT}events"},
    "everything": {"Encounter": f"{_OFFICIAL}Encounter-everything", "Patient": f"{_OFFICIAL}Patient-everything"},
    "expand": {"ValueSet": f"{_OFFICIAL}ValueSet-expand"},
    "export": {"": f"{_BULK}export", "Group": f"{_BULK}group-export", "Patient": f"{_BULK}patient-export"},
    "ihe-pix": {"Patient": "https://profiles.ihe.net/ITI/PIXm/OperationDefinition/IHE.PIXm.pix"},
    "judge-signal": {"AuditEvent": "urn:chasqui:operation:judge-signal"},
    "lastn": {"Observation": f"{_OFFICIAL}Observation-lastn"},
    "lookup": {"CodeSystem": f"{_OFFICIAL}CodeSystem-lookup"},
    "match": {"Patient": f"{_OFFICIAL}Patient-match"},
    "meta": {"*": f"{_OFFICIAL}Resource-meta"},
    "meta-add": {"*": f"{_OFFICIAL}Resource-meta-add"},
    "meta-delete": {"*": f"{_OFFICIAL}Resource-meta-delete"},
    "open-emergency": {"Patient": "urn:chasqui:operation:open-emergency"},
    "question-access": {"Patient": "urn:chasqui:operation:question-access"},
    "report-output": {"Patient": "urn:chasqui:operation:report-output"},
    "status": {"Subscription": f"{_BACKPORT}status"},
    "subsumes": {"CodeSystem": f"{_OFFICIAL}CodeSystem-subsumes"},
    "summary": {"Patient": "http://hl7.org/fhir/uv/ips/OperationDefinition/summary"},
    "translate": {"ConceptMap": f"{_OFFICIAL}ConceptMap-translate"},
    "validate": {"*": f"{_OFFICIAL}Resource-validate"},
    "validate-code": {
        "CodeSystem": f"{_OFFICIAL}CodeSystem-validate-code", "ValueSet": f"{_OFFICIAL}ValueSet-validate-code",
    },
}  # fmt: skip
"""Each operation's definition by the type that it is asked of: `*` every type, "" the whole system."""


def capability_statement(interactions: Collection[str], operations: Collection[str]) -> bytes:
    """The CapabilityStatement's text, for what is registered."""
    posted = [
        (name, each.name, each.url) for name in RESOURCE_TYPES for each in custom_parameters(name).values()
    ]
    return _statement(frozenset(interactions), frozenset(operations), tuple(posted))


@lru_cache(2)
def _statement(
    interactions: frozenset[str], operations: frozenset[str], _posted: tuple[tuple[str, str, str], ...]
) -> bytes:
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": _documentation(),
        "security": _security(),
        "resource": [
            _resource(name, interactions, operations)
            for name in sorted(RESOURCE_TYPES)
            if name not in UNSERVED
        ],
        "interaction": [{"code": code} for code in ON_SYSTEM if code in interactions],
    }
    if "search-system" in interactions:
        rest["searchParam"] = [each for each in _parameters("Patient") if each["name"] in OVER_ALL]
    named = _operations("", operations)
    if named:
        rest["operation"] = named
    rest["compartment"] = [
        f"http://hl7.org/fhir/CompartmentDefinition/{each[0].lower()}{each[1:]}" for each in COMPARTMENTS
    ]
    return dump(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": RELEASED,
            "kind": "instance",
            "software": {"name": "Chasqui", "version": __version__},
            "implementation": {"description": "Regional health-record exchange", "url": settings().fhir_url},
            "fhirVersion": "4.0.1",
            "format": list(FORMATS),
            "patchFormat": list(PATCHES),
            "rest": [rest],
        }
    )


def _resource(name: str, interactions: frozenset[str], operations: frozenset[str]) -> dict[str, Any]:
    served = interactions & (READ_ALONE if name == "AuditEvent" else frozenset(ON_TYPES))
    served -= {"patch"} if name in WHOLE else set()
    parameters = _parameters(name)
    found: dict[str, Any] = {
        "type": name,
        "interaction": [{"code": code} for code in ON_TYPES if code in served],
        "versioning": "versioned",
        "readHistory": "vread" in served,
        "updateCreate": "update" in served,
        "conditionalCreate": "create" in served,
        "conditionalRead": "full-support",
        "conditionalUpdate": "update" in served,
        "conditionalDelete": "single" if "delete" in served else "not-supported",
        "referencePolicy": ["literal", "logical", "local"],
        "searchInclude": [
            "*",
            *(f"{name}:{each['name']}" for each in parameters if each["type"] == "reference"),
        ],
        "searchRevInclude": list(_pointing_to(name)),
        "searchParam": parameters,
    }
    named = _operations(name, operations)
    return found | ({"operation": named} if named else {})


def _parameters(name: str) -> list[dict[str, Any]]:
    """The parameters of a type that the grammar takes."""
    known = sorted(known_parameters(name).values(), key=lambda each: each.name)
    return [
        {"name": each.name, "definition": each.url, "type": each.kind}
        for each in known
        if each.kind in MODIFIERS
    ]


def _pointing_to(target: str) -> tuple[str, ...]:
    """Every reverse include of a type."""
    return tuple(
        f"{source}:{each.name}"
        for source in sorted(RESOURCE_TYPES)
        if source not in UNSERVED
        for each in sorted(known_parameters(source).values(), key=lambda each: each.name)
        if each.kind == "reference" and target in each.targets
    )


def _operations(name: str, operations: frozenset[str]) -> list[dict[str, str]]:
    """The operations that are asked of a type, or of the system."""
    found = []
    for operation in sorted(operations):
        defined = DEFINED[operation]
        # Events are nobody's to change or to hold against a profile.
        canonical = defined.get(name) or (defined.get("*") if name not in ("", "AuditEvent") else None)
        if canonical:
            found.append({"name": operation, "definition": canonical})
    return found


def _documentation() -> str:
    modifiers = "; ".join(
        f"{kind} {' '.join(f':{each}' for each in sorted(taken))}" for kind, taken in MODIFIERS.items()
    )
    return (
        f"Search modifiers: {modifiers}; references also :[type]. Chains, _has, _list, _filter, _text and _content; "
        "_include and _revinclude with :iterate; _sort, _count, _total, _summary, _elements. A parameter, modifier or "
        "value that is not known is refused, unless `Prefer: handling=lenient` asks for it to be passed over. What a "
        "patient's choices withhold looks as if it did not exist."
    )


def _security() -> dict[str, Any]:
    service = {
        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
        "code": "SMART-on-FHIR",
    }
    token = {"url": "token", "valueUri": f"{settings().base_url}/auth/token"}
    return {
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                "extension": [token],
            }
        ],
        "cors": False,
        "service": [{"coding": [service]}],
        "description": "SMART Backend Services: private_key_jwt with ES384 or RS384.",
    }
