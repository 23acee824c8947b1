"""What a restated record no longer says: the resources that were told of it are marked as entered in error.

Spec:    https://hl7.org/fhir/R4/condition.html#invs, con-5; https://hl7.org/fhir/R4/valueset-observation-status.html,
         event-status, immunization-status, request-status; docs/adapters.md, "Outbox".
Leaves:  which resources those are to the outbox.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.source_record.bundle import encode

_TYPES: Final = frozenset({
    "AllergyIntolerance", "Appointment", "CarePlan", "CareTeam", "ClinicalImpression", "Condition", "DeviceRequest",
    "DiagnosticReport", "Encounter", "EpisodeOfCare", "FamilyMemberHistory", "Flag", "ImagingStudy", "Immunization",
    "MedicationAdministration", "MedicationDispense", "MedicationRequest", "MedicationStatement", "NutritionOrder",
    "Observation", "Procedure", "RiskAssessment", "ServiceRequest",
})  # fmt: skip
_IN_ERROR: Final = "entered-in-error"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_VERIFICATION: Final = {
    "AllergyIntolerance": _TERMINOLOGY + "allergyintolerance-verification",
    "Condition": _TERMINOLOGY + "condition-ver-status",
}


def is_item(url: str) -> bool:
    """Whether a resource is one of a record's items, and may say that it was entered in error."""
    return url.partition("/")[0] in _TYPES


def is_withdrawn(raw: bytes) -> bool:
    """Whether a resource says of itself that it was entered in error."""
    resource: dict[str, Any] = json.loads(raw)
    verification = resource.get("verificationStatus", {}).get("coding", [{}])
    return _IN_ERROR in (resource.get("status"), verification[0].get("code"))


def withdrawn(raw: bytes) -> bytes:
    """A resource as it was last told, its status `entered-in-error`, its digits kept."""
    resource: dict[str, Any] = json.loads(raw, parse_float=Decimal)
    if system := _VERIFICATION.get(resource["resourceType"]):
        resource.pop("clinicalStatus", None)  # con-5, ait-2
        resource["verificationStatus"] = {"coding": [{"system": system, "code": _IN_ERROR}]}
    else:
        resource["status"] = _IN_ERROR
    return encode(resource)


def pack(items: Mapping[str, bytes]) -> bytes:
    """A record's items, small enough to keep for every visit."""
    return zlib.compress(msgspec.json.encode({url: msgspec.Raw(raw) for url, raw in items.items()}))


def unpack(packed: bytes) -> dict[str, bytes]:
    """The items of `pack`."""
    items = msgspec.json.decode(zlib.decompress(packed), type=dict[str, msgspec.Raw])
    return {url: bytes(raw) for url, raw in items.items()}
