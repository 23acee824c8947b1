"""Entering a facility of the region: the one Organization that everything of it points to, with its level and place.

Spec:    https://hl7.org/fhir/R4/organization.html; OrganizacionPe of the national guide (draft 0.1).
Leaves:  which systems may write for it to authentication/registration.

An operator's act. The id follows from the RENIPRESS code, so a facility entered again is a new version of the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from exchange.fhir import peru
from exchange.fhir.validate import check
from exchange.interactions.admission import Admitted, place, store
from exchange.operations.package import OPERATOR
from exchange.problems import Invalid
from exchange.store.session import Transaction
from exchange.store.versions import occupied

LEVELS: Final = ("I-1", "I-2", "I-3", "I-4", "II-1", "II-2", "II-E", "III-1", "III-2", "III-E")
_TYPE: Final = "http://terminology.hl7.org/CodeSystem/organization-type"
_UBIGEO: Final = re.compile(r"(0[1-9]|1\d|2[0-5])\d{4}", re.ASCII)
_NAME: Final = re.compile(r"\S(?:[^\x00-\x1f\x7f]{0,198}\S)?")
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_DIGITS: Final = 8
_MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Facility:
    """A facility as RENIPRESS has it. Units: renipress of 5, 8 or 9 digits; ubigeo is INEI's."""

    renipress: str
    name: str
    level: str
    ubigeo: str
    part_of: str = ""


def renipress_of(code: str) -> str:
    """The code of 8 digits behind one of 5, 8 or 9. Raises: Invalid."""
    bare = code.lstrip("0")
    if not (code.isascii() and code.isdigit() and len(code) <= _MOST_DIGITS and 0 < len(bare) <= _DIGITS):
        raise Invalid("a RENIPRESS code has 5, 8 or 9 digits", "renipress")
    return bare.zfill(_DIGITS)


def enter(transaction: Transaction, facility: Facility) -> str:
    """Write the facility's Organization, within the transaction; its id. Raises: Invalid."""
    resource = organization(facility)
    key = ("Organization", resource["id"])
    standing = occupied(transaction, [key]).get(key)
    admitted = [Admitted(*key, resource, standing, standing.version_id + 1 if standing else 1)]
    place(transaction, OPERATOR, admitted)
    store(transaction, OPERATOR, admitted)
    return str(resource["id"])


def organization(facility: Facility) -> dict[str, Any]:
    """The facility as OrganizacionPe. Raises: Invalid - a part of it has not the form that it should have."""
    renipress = renipress_of(facility.renipress)
    for value, form, name in (
        (facility.name, _NAME, "name"), (facility.ubigeo, _UBIGEO, "ubigeo"), (facility.part_of or "-", _ID, "part_of"),
    ):  # fmt: skip
        if not form.fullmatch(value):
            raise Invalid("it has not the form that it should have", name)
    if facility.level not in LEVELS:
        raise Invalid("there is no such level: " + ", ".join(LEVELS), "level")
    resource: dict[str, Any] = {
        "resourceType": "Organization",
        "id": peru.organization_id(renipress),
        "meta": {"profile": [peru.ORGANIZATION_PROFILE]},
        "identifier": [
            {
                "use": "official",
                "type": {"coding": [{"system": peru.FACILITY_CODES, "code": renipress}]},
                "system": peru.RENIPRESS_SYSTEM,
                "value": renipress,
            }
        ],
        "active": True,
        "type": [
            {"coding": [{"system": _TYPE, "code": "prov", "display": "Healthcare Provider"}]},
            {
                "coding": [{"system": peru.LEVEL_SYSTEM, "code": facility.level}],
                "text": f"Categoría {facility.level}",
            },
        ],
        "name": facility.name,
        "address": [
            {
                "extension": [{"url": peru.UBIGEO_EXTENSION, "valueString": facility.ubigeo}],
                "use": "work",
                "country": peru.PERU,
            }
        ],
    }
    if facility.part_of:
        resource["partOf"] = {"reference": f"Organization/{facility.part_of}"}
    if issues := check(resource):
        raise Invalid(issues[0].diagnostics, issues[0].expression or "Organization")
    return resource
