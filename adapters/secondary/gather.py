"""What is gathered while a message is read: resources by id, and codes that had no translation.

Spec:    https://hl7.org/fhir/R4/datatypes.html#CodeableConcept; HL7 v2.5.1, 2.A.13 (CWE).
Leaves:  stamping and Provenance to source_record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.code_map import CodeMap, Coding, cie10_coding, concept
from adapters.hl7v2.message import Field
from adapters.secondary.identity import Hospital, Person
from adapters.source_record import Entry, Resource
from adapters.source_record.bundle import flag_unmapped
from exchange.fhir.peru import CVX_SYSTEM, LOINC_SYSTEM, UCUM_SYSTEM

__all__ = ["Gathered", "Hospital"]

_SYSTEMS: Final = {
    "LN": LOINC_SYSTEM,
    "LOINC": LOINC_SYSTEM,
    "SCT": "http://snomed.info/sct",
    "CVX": CVX_SYSTEM,
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "UCUM": UCUM_SYSTEM,
    "MVX": "http://hl7.org/fhir/sid/mvx",
    "HL70227": "http://hl7.org/fhir/sid/mvx",
    "HL70292": CVX_SYSTEM,
    "NCIT": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
}
_HL7_TABLE: Final = re.compile(r"^HL7(\d{4})$")
_CIE10_NAMES: Final = frozenset({"I10", "ICD10", "ICD-10", "CIE10", "CIE-10", "CIEX", "CIE-X"})


@dataclass(slots=True)
class Gathered:
    """The resources of one message, each id once, in the order in which they were met."""

    hospital: Hospital
    who: Person
    unmapped: list[tuple[str, str]] = field(default_factory=list)
    _entries: dict[tuple[str, str], Entry] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """The site's zone, for moments that name none."""
        return self.hospital.zone

    @property
    def codes(self) -> CodeMap:
        """The site's code tables."""
        return self.hospital.codes

    def add(self, resource: Resource, *, only_if_absent: bool = False) -> None:
        """Gather a resource; a later one of the same id replaces it."""
        self._entries[resource["resourceType"], resource["id"]] = Entry(resource, only_if_absent)

    def has(self, resource: Resource) -> bool:
        """Whether a resource of this id was gathered."""
        return (resource["resourceType"], resource["id"]) in self._entries

    def entries(self) -> list[Entry]:
        """Everything gathered."""
        return list(self._entries.values())

    def resource(self, resource_type: str, natural_key: str) -> Resource:
        """The beginning of a resource: type and id."""
        return {
            "resourceType": resource_type,
            "id": self.hospital.origin.resource_id(resource_type, natural_key),
        }

    def subject(self) -> Resource:
        """A reference to the patient."""
        return self.hospital.origin.reference("Patient", self.who.key)

    def coded(self, resource: Resource, source: Field, table: str, *, is_diagnosis: bool = False) -> Any:
        """The CodeableConcept of a coded field; without any standard code the resource is flagged."""
        code, text, system = (source.component(number) for number in (1, 2, 3))
        text = text or source.component(9)
        standards = [_standard(code, system, text), _standard(*(source.component(n) for n in (4, 6, 5)))]
        is_cie10 = system.upper() in _CIE10_NAMES
        if standards[0] is None and (is_cie10 or (is_diagnosis and not system)):
            standards[0] = cie10_coding(code, text)
        if not any(standards) and code:
            standards.append(self.codes.find(table, code))
        found = [item for item in standards if item is not None]
        original = Coding(self._local_system(system), code, text) if code else Coding("", "", text)
        if any(item.code == code and (is_cie10 or item.system == original.system) for item in found):
            original = Coding("", "", text or code)
        if not found and (code or text):
            self.unmapped.append((table, code or "(solo texto)"))
            flag_unmapped(resource)
        return concept(original, *found, text=text or code)

    def _local_system(self, system: str) -> str:
        if known := _known_system(system):
            return known
        slug = re.sub(r"[^a-z0-9]+", "-", system.lower()).strip("-")[:40]
        return self.hospital.origin.identifier_system(f"codigo-{slug}" if slug else "codigo")


def _known_system(name: str) -> str | None:
    """The system that a v2 name of one stands for: a public one, or one of HL7's own tables."""
    if known := _SYSTEMS.get(name.upper()):
        return known
    found = _HL7_TABLE.match(name.upper())
    return f"http://terminology.hl7.org/CodeSystem/v2-{found.group(1)}" if found else None


def _standard(code: str, system: str, text: str) -> Coding | None:
    known = _known_system(system)
    return Coding(known, code, text) if known and code and not re.search(r"\s", code) else None
