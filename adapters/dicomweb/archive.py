"""The image archive that is read, and what its identifiers and codes are called outside of it.

Spec:    DICOM PS3.16, table 8-1 (coding schemes); https://hl7.org/fhir/R4/endpoint.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from adapters.code_map import CodeMap
from adapters.settings.identifiers import IdentifierRule
from adapters.source_record import Origin, Resource

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
SCHEMES: Final = {
    "DCM": DCM,
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "I10": "http://hl7.org/fhir/sid/icd-10",
}
_CONNECTIONS: Final = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"


@dataclass(frozen=True, slots=True)
class Archive:
    """One site's archive. `region_url` is its WADO-RS address as the region reaches it; nothing where it does not."""

    origin: Origin
    zone: ZoneInfo
    codes: CodeMap
    rules: tuple[IdentifierRule, ...] = ()
    region_url: str = ""
    accession_system: str = ""

    def accession(self, number: str) -> Resource:
        """The number of the order in the archive's words."""
        coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}
        system = self.accession_system or self.origin.identifier_system("acceso")
        return {"type": {"coding": [coding]}, "system": system, "value": number}

    def endpoint(self) -> Resource | None:
        """Where the images are: one for the site, always of the same id."""
        if not self.region_url:
            return None
        return {
            "resourceType": "Endpoint",
            "id": self.origin.resource_id("Endpoint", "wado-rs"),
            "status": "active",
            "connectionType": {"system": _CONNECTIONS, "code": "dicom-wado-rs"},
            "name": "WADO-RS",
            "managingOrganization": self.origin.organization(),
            "payloadType": [{"text": "DICOM"}],
            "payloadMimeType": ["application/dicom"],
            "address": self.region_url,
        }
