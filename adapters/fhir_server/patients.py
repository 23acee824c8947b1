"""A Patient of another FHIR server in the national form, with everything that was there.

Spec:    national guide PacientePe (draft 0.1); https://hl7.org/fhir/R4/patient.html
Leaves:  matching one person's records to the hub.
"""

from __future__ import annotations

from typing import Any, Final

from adapters.fhir_server.server import Server
from adapters.settings.identifiers import identifier_kind
from adapters.source_record import Resource
from adapters.source_record.person import (
    DOCUMENT_KINDS,
    PersonIdentifier,
    PersonName,
    clean_name,
    fhir_identifier,
    human_name,
    is_dni,
    is_document_missing,
    split_surnames,
)
from exchange.fhir import peru

_KIND_OF_SYSTEM: Final = {
    peru.DNI_SYSTEM: "dni",
    peru.CE_SYSTEM: "ce",
    peru.PASSPORT_SYSTEM: "passport",
    peru.DIE_SYSTEM: "die",
    peru.CNV_SYSTEM: "cnv",
}
_MAX: Final = 100


def in_national_form(server: Server, patient: Resource) -> None:
    """Say of a Patient what the national profile asks for, beside what it says.

    1. A document that is known gets its national type, country and system; the source's own stands beside it where
       it has another system.
    2. Two surnames in one family are told apart, where the source does not do so itself.
    """
    # 1.
    found: list[Resource] = []
    for item in _objects(patient.get("identifier")):
        national = _national(server, item)
        if national is not None and all(national["system"] != each.get("system") or
                                        national["value"] != each.get("value") for each in found):  # fmt: skip
            found.append(national)
        if national is None or item.get("system") not in {None, national["system"]}:
            found.append(item)
    if found:
        patient["identifier"] = found
    # 2.
    for name in _objects(patient.get("name")):
        _tell_surnames(name)
    if "managingOrganization" not in patient:
        patient["managingOrganization"] = server.origin.organization()


def _national(server: Server, item: Resource) -> Resource | None:
    value, system = item.get("value"), item.get("system")
    if not isinstance(value, str) or is_document_missing(value):
        return None
    kind = _kind(server, item, system if isinstance(system, str) else "")
    if kind not in DOCUMENT_KINDS or (kind == "dni" and not is_dni(value.strip())):
        return None
    national = fhir_identifier(server.origin, PersonIdentifier(kind, value.strip()))
    own = item.get("type")
    if isinstance(own, dict):
        codings = _objects(own.get("coding"))
        told = national["type"].get("coding", [])
        more = [each for each in codings if all(each.get("code") != other["code"] or
                                                each.get("system") != other["system"] for other in told)]  # fmt: skip
        if told or more:
            national["type"]["coding"] = [*told, *more]
        extensions = _objects(own.get("extension"))
        if extensions:
            urls = {each.get("url") for each in extensions}
            kept = [each for each in national["type"].get("extension", []) if each["url"] not in urls]
            national["type"]["extension"] = [*kept, *extensions]
        if isinstance(own.get("text"), str):
            national["type"]["text"] = own["text"]
    for key in item.keys() - {"type", "system", "value"}:
        national[key] = item[key]
    return national


def _kind(server: Server, item: Resource, system: str) -> str:
    """What an identifier is: by the national systems, else by what the site says of its system and types."""
    if known := _KIND_OF_SYSTEM.get(system):
        return known
    own = item.get("type")
    codes = [each["code"] for each in _objects(own.get("coding") if isinstance(own, dict) else None)
             if isinstance(each.get("code"), str)]  # fmt: skip
    for code in [*codes, ""]:
        kind, _ = identifier_kind(server.rules, system, code)
        if kind in DOCUMENT_KINDS:
            return kind
    return ""


def _tell_surnames(name: Resource) -> None:
    family = name.get("family")
    beside = name.get("_family")
    told = _objects(beside.get("extension")) if isinstance(beside, dict) else []
    if not isinstance(family, str) or not clean_name(family):
        return
    if any(each.get("url") in peru.MOTHERS_FAMILY_EXTENSIONS for each in told):
        for each in told:
            if each.get("url") in peru.MOTHERS_FAMILY_EXTENSIONS:
                each["url"] = peru.MOTHERS_FAMILY_EXTENSION
        return
    paternal, maternal = split_surnames(family)
    if maternal and (beside is None or isinstance(beside, dict)):
        parted = human_name(PersonName(paternal, maternal))["_family"]["extension"]
        name["_family"] = {**(beside or {}), "extension": [*told, *parted]}


def _objects(found: Any) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)][:_MAX] if isinstance(found, list) else []
