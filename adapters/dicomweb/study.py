"""A study of images as ImagingStudy: what was taken, when, for which order, and where it is.

Spec:    https://hl7.org/fhir/R4/imagingstudy.html, 8.17.7 (DICOM mapping); DICOM PS3.3, C.7.2, C.7.3; PS3.18, 10.6.
Leaves:  the images themselves, which stay in the archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.code_map import Coding, concept
from adapters.dicomweb.archive import DCM, SCHEMES, Archive
from adapters.dicomweb.model import Attributes
from adapters.dicomweb.patients import plain_date, shown_name
from adapters.source_record import Resource
from adapters.source_record.bundle import flag_unmapped
from adapters.source_record.moment import compact_moment, is_missing_date

STUDY_TAGS: Final = (
    "00080005", "00080020", "00080030", "00080050", "00080061", "00080090", "00080201", "00081030", "00081032",
    "0020000D", "00200010", "00201206", "00201208",
)  # fmt: skip
SERIES_TAGS: Final = (
    "00080021", "00080031", "00080060", "0008103E", "00080201", "00180015", "00200060", "0020000E", "00200011",
    "00201209",
)  # fmt: skip


@dataclass(slots=True)
class Told:
    """A study in the making, and the codes that had no translation."""

    archive: Archive
    resource: Resource
    unmapped: list[tuple[str, str]] = field(default_factory=list)

    def miss(self, table: str, code: str) -> None:
        """A code that passes as it is: flagged and counted."""
        flag_unmapped(self.resource)
        self.unmapped.append((table, code))


def tell(told: Told, subject: Resource, study: Attributes, series: Sequence[Attributes]) -> None:
    """Say of an ImagingStudy what its study and series say."""
    archive, resource = told.archive, told.resource
    identify(archive, resource, study.uid("0020000D"), study.text("00080050"))
    resource["status"] = "available"
    modalities = list(dict.fromkeys(
        code for code in (*study.texts("00080061"), *(each.text("00080060") for each in series)) if code
    ))  # fmt: skip
    if modalities:
        resource["modality"] = [{"system": DCM, "code": code} for code in modalities]
    resource["subject"] = subject
    if started := _moment(told, study, "00080020", "00080030", study):
        resource["started"] = started
    if number := study.text("00080050"):
        resource["basedOn"] = [{"type": "ServiceRequest", "identifier": archive.accession(number)}]
    if referrer := shown_name(study.person("00080090")):
        resource["referrer"] = {"display": referrer}
    if endpoint := archive.endpoint():
        resource["endpoint"] = [{"reference": f"Endpoint/{endpoint['id']}"}]
    for tag, name in (("00201206", "numberOfSeries"), ("00201208", "numberOfInstances")):
        if (count := study.whole(tag)) is not None:
            resource[name] = count
    if procedures := [code for item in study.items("00081032") if (code := _procedure(told, item))]:
        resource["procedureCode"] = procedures
    if description := study.text("00081030"):
        resource["description"] = description
    if parts := [part for each in series if (part := _series(told, study, each))]:
        resource["series"] = parts


def identify(archive: Archive, resource: Resource, uid: str, accession: str) -> None:
    """The study's own name, and the number of its order."""
    resource["identifier"] = [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}]
    if accession:
        resource["identifier"].append(archive.accession(accession))


def _series(told: Told, study: Attributes, series: Attributes) -> Resource | None:
    uid = series.uid("0020000E")
    if not uid:
        told.miss("series", "(sin UID)")
        return None
    part: Resource = {"uid": uid}
    if (number := series.whole("00200011")) is not None:
        part["number"] = number
    modality = series.text("00080060")
    if not modality:
        told.miss("modality", "(vacía)")
    part["modality"] = {"system": DCM, "code": modality or "OT"}
    if description := series.text("0008103E"):
        part["description"] = description
    if (count := series.whole("00201209")) is not None:
        part["numberOfInstances"] = count
    if body := series.text("00180015"):
        part["bodySite"] = _coding(told, "body-site", body)
    if side := series.text("00200060"):
        part["laterality"] = _coding(told, "laterality", side)
    if started := _moment(told, series, "00080021", "00080031", study):
        part["started"] = started
    return part


def _coding(told: Told, table: str, code: str) -> Resource:
    """One Coding by the site's table; without a translation the archive's own word, flagged."""
    if standard := told.archive.codes.find(table, code):
        return {**standard.as_fhir(), "display": standard.display or code}
    told.miss(table, code)
    return {"system": told.archive.origin.identifier_system(table), "code": code, "display": code}


def _procedure(told: Told, item: Attributes) -> Resource | None:
    code, words = item.text("00080100"), item.text("00080104")
    if not code and not words:
        return None
    scheme = item.text("00080102")
    if system := SCHEMES.get(scheme.upper()):
        return concept(Coding(system, code, words), text=words)
    standard = told.archive.codes.find("procedure", code) if code else None
    if standard is None:
        told.miss("procedure", code or "(solo texto)")
    local = told.archive.origin.identifier_system("codigo-procedure")
    return concept(Coding(local, code, words), standard, text=words)


def _moment(told: Told, found: Attributes, day: str, clock: str, study: Attributes) -> str | None:
    """A moment with the precision that it has; one that cannot be read is left out and counted."""
    date = plain_date(found.text(day))
    if not date or is_missing_date(date):
        return None
    time = found.text(clock).replace(":", "").replace(" ", "")
    offset = found.text("00080201") or study.text("00080201")
    moment = compact_moment(date + time + (offset if time else ""), told.archive.zone)
    if moment is None:
        moment = compact_moment(date, told.archive.zone)
        told.miss("fecha", day)
    return moment
