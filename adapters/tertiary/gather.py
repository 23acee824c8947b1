"""What is gathered while a document is read: resources by id, codes by their OID, quantities with units.

Spec:    HL7 CDA R2 data types CD, PQ, IVL_TS; https://hl7.org/fhir/R4/terminologies-systems.html.
Leaves:  stamping and Provenance to source_record.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from adapters.code_map import CodeMap, Coding, concept, ucum
from adapters.settings import IdentifierRule
from adapters.source_record import Entry, Origin, Resource
from adapters.source_record.bundle import flag_unmapped
from adapters.tertiary.xml import Element
from exchange.fhir.peru import CIE10_SYSTEM, CVX_SYSTEM, LOINC_SYSTEM, UCUM_SYSTEM

_SYSTEMS: Final = {
    "2.16.840.1.113883.6.1": LOINC_SYSTEM,
    "2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "2.16.840.1.113883.6.3": CIE10_SYSTEM,
    "2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "2.16.840.1.113883.12.292": CVX_SYSTEM,
    "2.16.840.1.113883.6.59": CVX_SYSTEM,
    "2.16.840.1.113883.6.12": "http://www.ama-assn.org/go/cpt",
    "2.16.840.1.113883.6.69": "http://hl7.org/fhir/sid/ndc",
    "2.16.840.1.113883.6.73": "http://www.whocc.no/atc",
    "2.16.840.1.113883.3.26.1.1": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    "2.16.840.1.113883.4.9": "http://fdasis.nlm.nih.gov",
    "2.16.840.1.113883.5.4": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "2.16.840.1.113883.5.83": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
}
_OID: Final = re.compile(r"^[0-2](\.(0|[1-9]\d*))+$")


@dataclass(frozen=True, slots=True)
class Institute:
    """A site whose systems write C-CDA."""

    origin: Origin
    zone: ZoneInfo
    codes: CodeMap
    rules: tuple[IdentifierRule, ...] = ()


@dataclass(slots=True)
class Gathered:
    """The resources of one document, each id once."""

    institute: Institute
    patient_key: str
    document_key: str
    unmapped: list[tuple[str, str]] = field(default_factory=list)
    _entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    _seen: Counter[str] = field(default_factory=Counter)

    @property
    def zone(self) -> ZoneInfo:
        """The site's zone."""
        return self.institute.zone

    def add(self, resource: Resource) -> None:
        """Gather a resource."""
        self._entries[resource["resourceType"], resource["id"]] = Entry(resource)

    def entries(self) -> list[Entry]:
        """Everything gathered."""
        return list(self._entries.values())

    def names(self) -> list[str]:
        """`Type/id` of everything gathered, in the order in which each was first gathered."""
        return [f"{kind}/{name}" for kind, name in self._entries]

    def resource(self, resource_type: str, source: Element, code: str) -> Resource:
        """The beginning of a resource: its id from the entry's own, apart from others of the document."""
        number = source.identifier()
        name = f"{self.patient_key}|{number or self.document_key}|{code}"
        self._seen[f"{resource_type}|{name}"] += 1
        count = self._seen[f"{resource_type}|{name}"]
        name = name if count == 1 else f"{name}|{count}"
        return {"resourceType": resource_type, "id": self.institute.origin.resource_id(resource_type, name)}

    def subject(self) -> Resource:
        """A reference to the patient."""
        return self.institute.origin.reference("Patient", self.patient_key)

    def happening(self, source: Element, name: str) -> Resource:
        """When something was, as `{name}DateTime` or, where it has an end, as `{name}Period`."""
        began = source.moment("effectiveTime", self.zone)
        ended = source.ending("effectiveTime", self.zone)
        if ended and (began is None or began <= ended):
            period = {key: moment for key, moment in (("start", began), ("end", ended)) if moment}
            return {f"{name}Period": period}
        return {f"{name}DateTime": began} if began else {}

    def coded(
        self, resource: Resource, source: Element | None, table: str, words: str = ""
    ) -> Resource | None:
        """The CodeableConcept of a CD: code, translations, words; flagged where none is standard."""
        if source is None:
            return {"text": words} if words else None
        codings = [coding for item in (source, *source.all("translation")) if (coding := self._coding(item))]
        original_text = source.first("originalText")
        text = words or source.get("displayName") or (original_text.words() if original_text else "")
        standards = [coding for coding in codings if not coding.system.startswith("urn:oid:")]
        if not standards and codings and (found := self.institute.codes.find(table, codings[0].code)):
            standards = [found]
        locals_ = [coding for coding in codings if coding not in standards]
        if not codings and not text:
            return None
        if not standards:
            self.unmapped.append((table, codings[0].code if codings else "(solo texto)"))
            flag_unmapped(resource)
        return concept(Coding("", "", text), *standards, *locals_, text=text)

    def quantity(self, source: Element | None, table: str = "units") -> Resource | None:
        """A Quantity of a PQ: UCUM where it is UCUM."""
        value = source.number() if source is not None else None
        if source is None or value is None:
            return None
        result: Resource = {"value": value}
        unit = source.get("unit")
        if unit and unit != "1":
            result["unit"] = unit
            # CDA's PQ.unit is UCUM by definition; a form that cannot be UCUM goes through the site's table.
            code = unit if re.match(r"^[!-~]{1,40}$", unit) else ucum(self.institute.codes, unit)
            if code:
                result |= {"system": UCUM_SYSTEM, "code": code}
            else:
                self.unmapped.append((table, unit))
        return result

    def _coding(self, source: Element) -> Coding | None:
        code, oid = source.get("code"), source.get("codeSystem")
        if not code or re.search(r"\s", code):
            return None
        named = self.institute.codes.find("systems", oid)
        known = _SYSTEMS.get(oid) or (named.code if named else None)
        if known:
            return Coding(known, code, source.get("displayName"))
        return Coding(f"urn:oid:{oid}", code, source.get("displayName")) if _OID.match(oid) else None
