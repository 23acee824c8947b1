"""The national guide as small StructureDefinitions: our reading of a draft of which parts were public.

Facts: guide HL7.FHIR.PE.COREPE 0.1 (ci-build of 2024-12-04), canonical https://www.gob.pe/minsa/RENHICE/fhir/, its
profile pages and published examples. Not official: where the guide says otherwise one day, the guide is right. The value
sets were not published whole: persons' identifiers are the codes that were seen (1, 2, 3), facilities and countries
what has the form of one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from adapters.source_record.countries import COUNTRIES
from exchange.fhir import peru
from exchange.fhir.fhirpath import Item
from exchange.fhir.profile_check import Check, Surroundings
from exchange.fhir.profile_extensions import check_extensions
from exchange.fhir.validate import check

_PERSONS: Final = peru.RENHICE + "ValueSet/IdentificadoresPersonaVS"
_FACILITIES: Final = peru.RENHICE + "ValueSet/IPRESSVS"
_COUNTRIES: Final = peru.RENHICE + "ValueSet/PaisesVS"
_CIE10: Final = peru.RENHICE + "ValueSet/CIE10VS"
_COLLEGES: Final = peru.RENHICE + "ValueSet/ColegiosProfesionalesSaludVS"


def _element(path: str, least: int | None = None, most: str | None = None, **told: Any) -> dict[str, Any]:
    element: dict[str, Any] = {"path": path, **told}
    if "id" not in element:
        element["id"] = path
    if least is not None:
        element["min"] = least
    if most is not None:
        element["max"] = most
    return element


def _bound(path: str, value_set: str, least: int | None = None) -> dict[str, Any]:
    return _element(path, least, binding={"strength": "required", "valueSet": value_set})


def _rule(path: str, key: str, words: str, expression: str) -> dict[str, Any]:
    rule = {"key": key, "severity": "error", "human": words, "expression": expression}
    return _element(path, constraint=[rule])


def _profile(url: str, type_: str, *elements: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition", "url": url, "name": url.rpartition("/")[2], "status": "draft",
        "fhirVersion": "4.0.1", "kind": "resource", "abstract": False, "type": type_,
        "baseDefinition": f"http://hl7.org/fhir/StructureDefinition/{type_}", "derivation": "constraint",
        "differential": {"element": [_element(type_), *elements]},
    }  # fmt: skip


def _extension(url: str, value: str, *contexts: str, more: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    made = _profile(
        url, "Extension", _element("Extension.url", fixedUri=url),
        _element("Extension.value[x]", 1, type=[{"code": value}]), *more,
    )  # fmt: skip
    return made | {"context": [{"type": "element", "expression": each} for each in contexts]}


def _identifiers(type_: str) -> tuple[dict[str, Any], ...]:
    """A person's identifiers: value, type, and in the type the country of issue and a code of persons' identifiers."""
    country = f"extension('{peru.COUNTRY_EXTENSION}').count() = 1"
    return (
        _element(f"{type_}.identifier", 1),
        _element(f"{type_}.identifier.type", 1, "1"),
        _rule(f"{type_}.identifier.type", "pe-1", "An identifier's type has its country of issue", country),
        _bound(f"{type_}.identifier.type.coding.code", _PERSONS),
        _element(f"{type_}.identifier.value", 1),
    )


DEFINITIONS: Final = {
    each["url"]: each
    for each in (
        _profile(peru.PATIENT_PROFILE, "Patient", *_identifiers("Patient"), _element("Patient.name", 1)),
        _profile(
            peru.PRACTITIONER_PROFILE, "Practitioner", *_identifiers("Practitioner"),
            _element("Practitioner.qualification.identifier", 1), _bound("Practitioner.qualification.code", _COLLEGES),
        ),
        _profile(
            peru.ORGANIZATION_PROFILE, "Organization", _element("Organization.identifier", 1),
            _bound("Organization.identifier.type.coding.code", _FACILITIES),
            _element("Organization.identifier.value", 1), _element("Organization.active", 1),
        ),
        _profile(
            peru.CONDITION_PROFILE, "Condition", _element("Condition.verificationStatus", 1),
            _bound("Condition.code", _CIE10, 1), _element("Condition.code.text", 1),
            _element("Condition.subject", 1),
            _element("Condition.onset[x]", 1, type=[{"code": "Period"}]), _element("Condition.onset[x].start", 1),
        ),
        _profile(
            peru.COMPOSITION_PROFILE, "Composition", _element("Composition.status", patternCode="final"),
            _element("Composition.type", 1, patternCodeableConcept={"coding": [
                {"system": peru.LOINC_SYSTEM, "code": peru.BASIC_INFORMATION},
            ]}),
            _element("Composition.subject", 1),
            _element("Composition.author", 1, "1", type=[{
                "code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Practitioner"],
            }]),
            _element("Composition.custodian", 1),
            _rule("Composition.author", "pe-3", "The author is a professional",
                  "type = 'Practitioner' or reference.startsWith('Practitioner/')"),
            _rule("Composition.section", "pe-2", "A section has a LOINC code",
                  "code.coding.where(system = 'http://loinc.org').exists()"),
        ),
        _extension(
            peru.COUNTRY_EXTENSION, "CodeableConcept", "CodeableConcept", "date",
            more=(_bound("Extension.value[x]", _COUNTRIES),),
        ),
        _extension(peru.UBIGEO_EXTENSION, "string", "Address", "date"),
        _extension(peru.THIRD_SURNAME_EXTENSION, "string", "HumanName.family"),
        _extension(peru.MOTHERS_FAMILY_EXTENSION, "string", "HumanName.family"),
        _extension(peru.FATHERS_FAMILY_EXTENSION, "string", "HumanName.family"),
    )
}  # fmt: skip


def _is_member(value_set: str, system: str, code: str) -> tuple[bool | None, str]:
    """The codes that were seen, or the form that they have. A bare code comes with `*`: its element says the system."""
    if value_set == _PERSONS:
        return system in {"*", peru.PERSON_ID_TYPES} and code in {"1", "2", "3"}, ""
    if value_set == _FACILITIES:
        return system in {"*", peru.FACILITY_CODES} and re.fullmatch(r"\d{8}", code) is not None, ""
    if value_set == _COUNTRIES:
        return system == peru.COUNTRIES and code in COUNTRIES, ""
    if value_set == _CIE10:
        is_formed = re.fullmatch(r"[A-Z]\d{2}(\.[0-9A-Z]{1,2})?", code) is not None
        return system == peru.CIE10_SYSTEM and is_formed, ""
    if value_set == _COLLEGES:
        return system == peru.COLLEGES and re.fullmatch(r"\d{2}", code) is not None, ""
    return None, "the value set is not known here"


def failures(resource: dict[str, Any], *profiles: str) -> list[str]:
    """What of a resource does not hold: of R4, of each profile that it claims or that is asked for, of extensions.

    Everything is asked of the hub's own validator, as $validate asks it.
    """
    found = check(resource, model_check=True)
    checked = Check(Item(resource["resourceType"], resource), Surroundings(DEFINITIONS.get, _is_member))
    claimed = resource.get("meta", {}).get("profile", ())
    for url in dict.fromkeys((*profiles, *claimed)):
        if url not in DEFINITIONS:
            return [f"profile {url} is not known"]
        checked.against(url)
    check_extensions(checked)
    return [
        f"{issue.expression}: {issue.diagnostics}"
        for issue in (*found, *checked.issues)
        if issue.severity in {"error", "fatal"}
    ]
