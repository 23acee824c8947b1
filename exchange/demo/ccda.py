"""The institute's Continuity of Care Documents: one C-CDA R2.1 CCD for each of its patients.

Spec:    HL7 C-CDA R2.1, US Realm Header and CCD, as far as a Peruvian institute can fill them.
Leaves:  sections to ccda_sections; reading to the tertiary adapter.

Identifiers: DNI under 2.16.840.1.113883.4.904; history number under `local_root(code, "hc")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lxml.etree import Element as RootElement
from lxml.etree import SubElement, tostring

from exchange.demo import cda
from exchange.demo.ccda_sections import write_sections
from exchange.demo.cda import Element, coded, element, instant, template
from exchange.demo.facilities import Facility
from exchange.demo.history import History, Visit
from exchange.demo.names import Name
from exchange.demo.people import ADULT_YEARS, Document, Person
from exchange.demo.records import MISSING_DATE, SourceRecord
from exchange.demo.region import Region

_ROOTS: Final = {
    "DNI": cda.DNI_ROOT,
    "PASS": cda.PASSPORT_ROOT,
    "CE": cda.root_of("urn:chasqui:pe:ce"),
    "PTP": cda.root_of("urn:chasqui:pe:die"),
    "DIE": cda.root_of("urn:chasqui:pe:die"),
    "CNV": cda.root_of("urn:chasqui:pe:cnv"),
}
_GENDER: Final = {"F": "Femenino", "M": "Masculino"}
_CLASS: Final = {"AMB": "ambulatory", "EMER": "emergency", "IMP": "inpatient encounter"}


def write_documents(region: Region, folder: Path) -> tuple[Path, ...]:
    """Write every document of the institute into the folder as `CCD_<history number>.xml`.

    Raises: OSError - the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in documents(region):
        path = folder / name
        path.write_bytes(content)
        written.append(path)
    return tuple(written)


def documents(region: Region) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of every document, one at a time."""
    for person, record in region.records_at(region.tertiary):
        history = region.history(person)
        visits = history.at(record.renipress)
        if visits:
            content = _document(region.tertiary, person, record, history, visits)
            yield f"CCD_{record.hc_number}.xml", content


def _document(
    facility: Facility, person: Person, record: SourceRecord, history: History, visits: tuple[Visit, ...]
) -> bytes:
    """One document: header, then the structured body."""
    last = visits[-1]
    root = RootElement(f"{{{cda.CDA}}}ClinicalDocument", nsmap=cda.NAMESPACES)
    element(root, "realmCode", code="PE")
    element(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    template(root, "1.1", "2015-08-01")
    template(root, "1.2", "2015-08-01")
    element(
        root,
        "id",
        root=cda.local_root(facility.renipress, "documento"),
        extension=f"{record.hc_number}-{last.number}",
    )
    coded(root, "code", "34133-9", cda.LOINC, "Summarization of Episode Note")
    element(root, "title", "Resumen de atención")
    element(root, "effectiveTime", value=instant(last.ended_at))
    coded(root, "confidentialityCode", "N", cda.CONFIDENTIALITY, "normal")
    element(root, "languageCode", code="es-PE")
    element(root, "setId", root=cda.local_root(facility.renipress, "resumen"), extension=record.hc_number)
    element(root, "versionNumber", value="1")
    _patient(root, facility, person, record)
    _author(root, facility, last)
    custodian = element(element(root, "custodian"), "assignedCustodian")
    _organization(custodian, "representedCustodianOrganization", facility)
    _service(root, visits)
    _encounter(root, facility, last)
    body = element(element(root, "component"), "structuredBody")
    write_sections(body, facility.renipress, visits, history)
    content: bytes = tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return content


def _name(parent: Element, name: Name) -> None:
    """Given names, then one `family` for each surname: paternal, maternal, third."""
    made = element(parent, "name", use="L")
    for part in name.given:
        element(made, "given", part)
    for surname in (name.paternal, name.maternal, name.third):
        if surname:
            element(made, "family", surname)


def _document_id(parent: Element, document: Document) -> None:
    element(
        parent,
        "id",
        root=_ROOTS[document.kind],
        extension=document.number,
        assigningAuthorityName="RENIEC" if document.kind == "DNI" else document.kind,
    )


def _patient(root: Element, facility: Facility, person: Person, record: SourceRecord) -> None:
    """recordTarget: document and history number, both surnames, the mother of a minor."""
    role = element(element(root, "recordTarget"), "patientRole")
    if record.document is not None:
        _document_id(role, record.document)
    element(
        role,
        "id",
        root=cda.local_root(facility.renipress, "hc"),
        extension=record.hc_number,
        assigningAuthorityName=facility.name,
    )
    address = element(role, "addr", use="HP")
    element(address, "streetAddressLine", person.address)
    element(address, "city", person.district)
    element(address, "state", "LA LIBERTAD")
    element(address, "postalCode", person.ubigeo)
    element(address, "country", "PE")
    element(role, "telecom", use="MC", value=f"tel:+51{person.phone}")
    patient = element(role, "patient")
    _name(patient, record.name)
    coded(patient, "administrativeGenderCode", record.sex, cda.GENDER, _GENDER[record.sex])
    if record.birth_date == MISSING_DATE:
        element(patient, "birthTime", nullFlavor="UNK")
    else:
        element(patient, "birthTime", value=instant(record.birth_date))
    if "twin" in person.traits and person.birth_order is not None:
        for tag, text in (
            ("multipleBirthInd", "true"),
            ("multipleBirthOrderNumber", str(person.birth_order)),
        ):
            SubElement(patient, f"{{{cda.SDTC}}}{tag}").set("value", text)
    if record.mother.document is not None and person.years_at(record.registered_on) < ADULT_YEARS:
        guardian = element(patient, "guardian")
        _document_id(guardian, record.mother.document)
        coded(guardian, "code", "MTH", cda.ROLE, "Madre")
        _name(element(guardian, "guardianPerson"), record.mother.name)
    _organization(role, "providerOrganization", facility)


def _organization(parent: Element, tag: str, facility: Facility) -> None:
    """A facility with its RENIPRESS code."""
    made = element(parent, tag)
    element(
        made, "id", root=cda.RENIPRESS_ROOT, extension=facility.renipress, assigningAuthorityName="RENIPRESS"
    )
    element(made, "name", facility.name)
    element(made, "telecom", nullFlavor="NI")
    address = element(made, "addr", use="WP")
    element(address, "city", facility.district)
    element(address, "state", "LA LIBERTAD")
    element(address, "postalCode", facility.ubigeo)
    element(address, "country", "PE")


def _professional(parent: Element, visit: Visit) -> None:
    """The name of who attended."""
    name = element(element(parent, "assignedPerson"), "name")
    for part in visit.professional.given.split():
        element(name, "given", part)
    element(name, "family", visit.professional.paternal)
    element(name, "family", visit.professional.maternal)


def _author(root: Element, facility: Facility, visit: Visit) -> None:
    """Who wrote the summary: the professional of the last visit."""
    author = element(root, "author")
    element(author, "time", value=instant(visit.ended_at))
    assigned = element(author, "assignedAuthor")
    element(assigned, "id", root=cda.COLLEGE_ROOT, extension=visit.professional.college_number)
    element(assigned, "addr", nullFlavor="NI")
    element(assigned, "telecom", nullFlavor="NI")
    _professional(assigned, visit)
    _organization(assigned, "representedOrganization", facility)


def _service(root: Element, visits: tuple[Visit, ...]) -> None:
    """documentationOf: the time that the summary spans."""
    event = element(element(root, "documentationOf"), "serviceEvent", classCode="PCPR")
    times = element(event, "effectiveTime")
    element(times, "low", value=instant(visits[0].started_at))
    element(times, "high", value=instant(visits[-1].ended_at))


def _encounter(root: Element, facility: Facility, visit: Visit) -> None:
    """componentOf: the last visit."""
    encounter = element(element(root, "componentOf"), "encompassingEncounter")
    element(encounter, "id", root=cda.local_root(facility.renipress, "atencion"), extension=str(visit.number))
    coded(encounter, "code", visit.kind, cda.ACT_CODE, _CLASS[visit.kind])
    times = element(encounter, "effectiveTime")
    element(times, "low", value=instant(visit.started_at))
    element(times, "high", value=instant(visit.ended_at))
    party = element(element(encounter, "responsibleParty"), "assignedEntity")
    element(party, "id", root=cda.COLLEGE_ROOT, extension=visit.professional.college_number)
    _professional(party, visit)
    place = element(element(encounter, "location"), "healthCareFacility")
    element(place, "id", root=cda.RENIPRESS_ROOT, extension=facility.renipress)
