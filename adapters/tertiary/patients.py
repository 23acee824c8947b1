"""Who a document is about: recordTarget, its ids by the site's rules, its names with two surnames.

Spec:    HL7 C-CDA R2.1, US Realm Header, recordTarget; national guide PacientePe.
Leaves:  matching to the hub.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.settings import identifier_kind
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import as_date, compact_moment
from adapters.source_record.person import (
    DOCUMENT_KINDS,
    UNCHECKED,
    PersonIdentifier,
    PersonName,
    is_dni,
    is_document_missing,
    patient,
    person_name,
    split_surnames,
)
from adapters.tertiary.gather import Institute
from adapters.tertiary.xml import Element
from exchange.fhir.peru import DNI_SYSTEM, PASSPORT_SYSTEM

_GENDERS: Final = {"M": "male", "F": "female", "UN": "other"}
_DOCUMENT_ROOTS: Final = {
    DNI_SYSTEM.removeprefix("urn:oid:"): "dni",
    PASSPORT_SYSTEM.removeprefix("urn:oid:"): "passport",
}
_BIRTH_ORDER: Final = "{urn:hl7-org:sdtc}multipleBirthOrderNumber"
_MOST_CHILDREN: Final = 20
_OID: Final = re.compile(r"^[0-2](\.(0|[1-9]\d*))+$")


def person(institute: Institute, root: Element) -> tuple[str, Resource]:
    """The key and the Patient of a document.

    Raises: Refusal - of class identity.
    """
    roles = root.all("recordTarget/patientRole")
    if len(roles) != 1:
        text = "El documento no es de un solo paciente (recordTarget)."
        raise Refusal("identity", "A-274", text, location="recordTarget")
    role = roles[0]
    identifiers = _identifiers(institute, role)
    if not identifiers:
        text = "El paciente del documento no tiene identificador (patientRole/id)."
        raise Refusal("identity", "A-275", text, location="recordTarget/patientRole/id")
    best = min(identifiers, key=lambda item: item.kind in DOCUMENT_KINDS)
    key = f"{best.system or best.kind}|{best.value}"
    who = role.first("patient")
    name, gender, birth = PersonName(), None, None
    if who is not None:
        name = _name(who)
        code = who.first("administrativeGenderCode")
        gender = _GENDERS.get(code.get("code")) if code else None
        born = who.first("birthTime")
        birth = as_date(compact_moment(born.get("value"), institute.zone)) if born else None
    resource = patient(institute.origin, key, identifiers, name, gender, birth)
    managing = resource.pop("managingOrganization")
    node = who.node.find(_BIRTH_ORDER) if who is not None else None
    order = node.get("value", "") if node is not None else ""
    if order.isdigit() and 0 < int(order) <= _MOST_CHILDREN:
        resource["multipleBirthInteger"] = int(order)
    telecom = [item for source in role.all("telecom") if (item := _telecom(source))]
    if telecom:
        resource["telecom"] = telecom
    addresses = [item for source in role.all("addr") if (item := _address(source))]
    if addresses:
        resource["address"] = addresses
    resource["managingOrganization"] = managing
    return key, resource


def _identifiers(institute: Institute, role: Element) -> list[PersonIdentifier]:
    """Ids by their root: the site's rules name an OID as `authority`; others keep the OID as system."""
    found = []
    for item in role.all("id"):
        root, value = item.get("root"), item.get("extension")
        if item.get("nullFlavor") or not root or not value or is_document_missing(value):
            continue
        kind, system = identifier_kind(institute.rules, root, "")
        if kind.startswith("hc-"):
            kind, system = _DOCUMENT_ROOTS.get(root, "id"), None
            if kind == "id":  # whose number it is, nobody said
                system = f"urn:{'oid' if _OID.match(root) else 'uuid'}:{root}"
        if kind == "ignore":
            continue
        if kind == "dni" and not is_dni(value):
            kind, system = UNCHECKED, None
        found.append(PersonIdentifier(kind, value, system))
    return found


def _name(who: Element) -> PersonName:
    """The legal name: two family elements are two surnames, one may hold both."""
    names = who.all("name")
    source = next((item for item in names if item.get("use") == "L"), names[0] if names else None)
    if source is None:
        return PersonName()
    given = [item.words() for item in source.all("given") if item.get("qualifier") != "CL"]
    families = [words for item in source.all("family") if (words := item.words())]
    if len(families) > 1:
        return person_name(families[0], families[1], given, *families[2:3])
    paternal, maternal = split_surnames(families[0]) if families else ("", "")
    return person_name(paternal, maternal, given)


def _telecom(source: Element) -> Resource | None:
    scheme, _, value = source.get("value").partition(":")
    systems = {"tel": "phone", "mailto": "email", "fax": "fax"}
    if not value.strip() or scheme not in systems:
        return None
    uses = {"HP": "home", "H": "home", "WP": "work", "MC": "mobile"}
    use = uses.get(source.get("use"))
    return {"system": systems[scheme], "value": value.strip(), **({"use": use} if use else {})}


def _address(source: Element) -> Resource | None:
    address: Resource = {}
    lines = [words for item in source.all("streetAddressLine") if (words := item.words())]
    if lines:
        address["line"] = lines
    for name, path in (
        ("city", "city"),
        ("state", "state"),
        ("postalCode", "postalCode"),
        ("country", "country"),
    ):
        part = source.first(path)
        if part is not None and (words := part.words()):
            address[name] = words
    return address or None
