"""A FUA as FHIR: the visit, what it says of insurance, pregnancy and referral.

Spec:    https://hl7.org/fhir/R4/encounter.html, coverage.html, servicerequest.html; docs/adapters.md, "e-Qhali".
Leaves:  diagnoses, which the FUA detail does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from adapters.code_map import Coding, concept
from adapters.eqhali.center import Center
from adapters.eqhali.fua import Fua, facility_code
from adapters.eqhali.patients import folded, whole_dni
from adapters.eqhali.pregnancy import pregnancy
from adapters.source_record import Entry, Mapped, Resource
from adapters.source_record.bundle import finish, flag_unmapped
from adapters.source_record.diagnosis import TERMINOLOGY
from adapters.source_record.facility import UPS_SYSTEM
from exchange.fhir.peru import DNI_SYSTEM, organization_id

SIS_SERVICE_SYSTEM: Final = "urn:chasqui:pe:sis-prestacion"
SIS_AFFILIATION_SYSTEM: Final = "urn:chasqui:pe:sis-afiliacion"
_ACT: Final = TERMINOLOGY + "v3-ActCode"
_NULL: Final = TERMINOLOGY + "v3-NullFlavor"
_DISPOSITION: Final = TERMINOLOGY + "discharge-disposition"

_CLASSES: Final = {
    "AMBULATORIA": "AMB",
    "AMBULATORIO": "AMB",
    "REFERENCIA": "AMB",
    "EMERGENCIA": "EMER",
    "": "AMB",
}
_OUTSIDE: Final = frozenset({"EXTRAMURAL", "EXTRAMUROS"})
_DESTINATIONS: Final = {
    "ALTA": "home", "CITADO": "home", "REFERIDO": "other-hcf", "CONTRARREFERIDO": "other-hcf", "FALLECIDO": "exp",
    "HOSPITALIZADO": "oth", "CORTE ADMINISTRATIVO": "oth", "APOYO AL DIAGNOSTICO": "oth", "CONSULTA EXTERNA": "oth",
}  # fmt: skip
_REFERRALS: Final = {"REFERIDO": "Referencia", "CONTRARREFERIDO": "Contrarreferencia"}


@dataclass(slots=True)
class _Read:
    """What is gathered of one FUA."""

    center: Center
    fua: Fua
    encounter: Resource
    entries: list[Entry] = field(default_factory=list)
    unmapped: list[tuple[str, str]] = field(default_factory=list)

    def add(self, resource_type: str, name: str) -> Resource:
        """The beginning of a resource of this visit."""
        key = f"{self.fua.visit_key}|{name}"
        resource = {"resourceType": resource_type, "id": self.center.origin.resource_id(resource_type, key)}
        self.entries.append(Entry(resource))
        return resource


def map_visit(center: Center, fua: Fua) -> Mapped:
    """A FUA as a transaction's entries; of an annulled one only that it was entered in error."""
    encounter = _beginning(center, fua, fua.patient_key)
    read = _Read(center, fua, encounter)
    read.entries.append(Entry(fua.person.resource, only_if_absent=True))
    read.entries.append(Entry(encounter))
    encounter["subject"] = center.origin.reference("Patient", fua.patient_key)
    if fua.is_void:
        return finish(center.origin, fua.record, _in_error(read.entries, encounter))
    encounter["status"] = "finished"
    encounter["class"] = _class(read)
    _tell_service(read)
    came_from = _came_from(read)
    if came_from:
        encounter["basedOn"] = came_from
    if who := _professional(read):
        encounter["participant"] = [who]
    encounter["period"] = {"start": fua.dates["fecha_atencion"]}
    _destination(read)
    encounter["serviceProvider"] = center.origin.organization()
    _coverage(read)
    subject, stay = encounter["subject"], {"reference": f"Encounter/{encounter['id']}"}
    for name, content in pregnancy(fua, center.origin, subject, stay):
        read.add("Observation", name).update(content)
        if "meta" in content:
            read.unmapped.append((name, folded(fua.row.get(name))))
    return finish(center.origin, fua.record, read.entries, read.unmapped)


def withdraw_visit(center: Center, fua: Fua, former: str) -> Mapped:
    """The visit as it was told of another patient: entered in error, with everything that was told at it."""
    encounter = _beginning(center, fua, former)
    encounter["subject"] = center.origin.reference("Patient", former)
    record = replace(
        fua.record,
        natural_key=f"{fua.record.thing_key}|{former}",
        patient_key=former,
        context="de otro paciente",
        thing_key="",
    )
    return finish(center.origin, record, _in_error([Entry(encounter)], encounter))


def _beginning(center: Center, fua: Fua, patient_key: str) -> Resource:
    key = f"{fua.record.thing_key}|{patient_key}"
    return {
        "resourceType": "Encounter",
        "id": center.origin.resource_id("Encounter", key),
        "identifier": [{"system": center.origin.identifier_system("fua"), "value": fua.number}],
    }


def _in_error(entries: list[Entry], encounter: Resource) -> list[Entry]:
    """What was told at the visit is no longer among its entries: the outbox withdraws it with this version."""
    encounter["status"] = "entered-in-error"
    encounter["class"] = {"system": _NULL, "code": "UNK"}
    return entries


def _class(read: _Read) -> Resource:
    """Inside or outside of the facility, or emergency; a word that is not known is no class."""
    place, kind = (folded(read.fua.row.get(column)) for column in ("lugar_atencion", "tipo_atencion"))
    code = _CLASSES.get(kind)
    if code == "AMB" and place in _OUTSIDE:
        code = "FLD"
    if code is not None:
        return {"system": _ACT, "code": code}
    flag_unmapped(read.encounter)
    read.unmapped.append(("tipo_atencion", kind))
    return {"system": _NULL, "code": "UNK", "display": read.fua.row.get("tipo_atencion")}


def _tell_service(read: _Read) -> None:
    """UPS, the SIS's service, and the component under which the visit was made."""
    row = read.fua.row
    codings = [
        Coding(system, code).as_fhir()
        for system, code in ((UPS_SYSTEM, row.get("ups")), (SIS_SERVICE_SYSTEM, row.get("id_servicio")))
        if code
    ]
    words = row.get("servicio_descripcion")
    kinds = [row.get(column) for column in ("componente", "tipo_atencion") if row.get(column)]
    if kinds:
        read.encounter["type"] = [{"text": text} for text in kinds]
    if codings or words:
        service: Resource = {"coding": codings} if codings else {}
        read.encounter["serviceType"] = {**service, **({"text": words} if words else {})}


def _professional(read: _Read) -> Resource | None:
    """Who attended, by document and name, and the profession in words or by the site's table."""
    row, center = read.fua.row, read.center
    individual: Resource = {}
    number = whole_dni(center, row.get("dni_resp_atencion"))
    if number is not None:
        individual = {"type": "Practitioner", "identifier": {"system": DNI_SYSTEM, "value": number}}
    if name := row.get("nombre_profesional"):
        individual["display"] = name
    result: Resource = {}
    if profession := row.get("tipo_profesional"):
        standard = center.codes.find("profession", profession)
        result["type"] = [concept(Coding("", ""), standard, text=profession)]
    if individual:
        result["individual"] = individual
    return result or None


def _came_from(read: _Read) -> list[Resource]:
    """The referral with which the patient came: its sheet, and the facility that wrote it."""
    row = read.fua.row
    if folded(row.get("destino_asegurado")) in _REFERRALS and not read.fua.names_counter_facility:
        return []  # such an export has one pair of columns: it names where the patient went
    code, sheet = facility_code(row.get("eess_ref")), row.get("nro_hoja_ref")
    if row.get("eess_ref"):
        read.encounter.setdefault("hospitalization", {})["origin"] = _facility(row.get("eess_ref"), code)
    return [{"type": "ServiceRequest", "identifier": _sheet(sheet, code)}] if sheet else []


def _destination(read: _Read) -> None:
    """Where the patient went: the visit's end, and a request where somebody else is asked to go on."""
    written = read.fua.row.get("destino_asegurado")
    if not written:
        return
    word = folded(written)
    system = read.center.origin.identifier_system("destino-asegurado")
    code = _DESTINATIONS.get(word)
    standard = Coding(_DISPOSITION, code) if code else None
    stay = read.encounter.setdefault("hospitalization", {})
    stay["dischargeDisposition"] = concept(Coding(system, word), standard, text=written)
    if code is None:
        flag_unmapped(read.encounter)
        read.unmapped.append(("destino_asegurado", word))
    if word in _REFERRALS:
        _referral(read, word)


def _referral(read: _Read, word: str) -> None:
    """A referral, or the answer to one: to whom, under which sheet, and which one it answers."""
    row, fua = read.fua.row, read.fua
    suffix = "_contra" if fua.names_counter_facility else ""
    target, sheet = row.get(f"eess_ref{suffix}"), row.get(f"nro_hoja_ref{suffix}")
    request = read.add("ServiceRequest", "referencia")
    if sheet:
        request["identifier"] = [_sheet(sheet, read.center.origin.renipress)]
    answered = row.get("nro_hoja_ref")
    if word == "CONTRARREFERIDO" and suffix and answered:
        code = facility_code(row.get("eess_ref"))
        request["basedOn"] = [{"type": "ServiceRequest", "identifier": _sheet(answered, code)}]
    request["status"] = "active"
    request["intent"] = "order"
    request["category"] = [{"text": _REFERRALS[word]}]
    request["code"] = {"text": f"{_REFERRALS[word]} a otro establecimiento"}
    request["subject"] = read.encounter["subject"]
    request["encounter"] = {"reference": f"Encounter/{read.encounter['id']}"}
    request["authoredOn"] = fua.dates["fecha_atencion"]
    request["requester"] = read.center.origin.organization()
    if target:
        request["performer"] = [_facility(target, facility_code(target))]


def _coverage(read: _Read) -> None:
    """The SIS affiliation that the FUA declares."""
    number, fua = read.fua.row.get("formato_asegurado"), read.fua
    if not number:
        return
    origin = read.center.origin
    key = f"afiliacion|{number}|{fua.patient_key}"
    coverage = {
        "resourceType": "Coverage",
        "id": origin.resource_id("Coverage", key),
        "identifier": [{"system": SIS_AFFILIATION_SYSTEM, "value": number}],
        "status": "active",
        "type": {"text": "Seguro Integral de Salud"},
        "subscriberId": number,
        "beneficiary": read.encounter["subject"],
        "payor": [{"type": "Organization", "display": "Seguro Integral de Salud (SIS)"}],
    }
    read.entries.append(Entry(coverage, only_if_absent=True))


def _facility(written: str, code: str | None) -> Resource:
    """Another facility: by its code where it is told, by its words where not."""
    if code is None:
        return {"type": "Organization", "display": written}
    return {"reference": f"Organization/{organization_id(code)}", "display": written}


def _sheet(number: str, renipress: str | None) -> Resource:
    """A referral sheet: its number is its facility's own."""
    place = (
        f"urn:chasqui:ipress:{renipress}:hoja-referencia" if renipress else "urn:chasqui:pe:hoja-referencia"
    )
    return {"system": place, "value": number}
